from libc.stdint cimport uint64_t

from kcore_native.raft.message cimport Message
from kcore_native.raft.progress cimport Tracker


cdef class ReadOnly:
    cdef dict acked
    cdef list waiting
    cdef uint64_t confirmed

    cdef int add(self, uint64_t index, Message request) except -1
    cdef int acknowledge(self, uint64_t node_id, bytes context) except -1
    cdef list advance(self, Tracker tracker)
    cdef bytes context(self)
