from libc.stdint cimport uint64_t

from kcore_native.raft.core cimport Raft
from kcore_native.raft.message cimport Message

cdef int step(Raft r, Message m) except -1
cdef int tick(Raft r) except -1
cdef int propose(Raft r, list entries) except -1
cdef int check_message(Message m) except -1
