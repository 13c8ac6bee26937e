from libc.stdint cimport uint64_t

from kcore_native.raft.entry cimport ConfState, HardState, Snapshot

cdef enum:
    TERM_KNOWN = 0
    TERM_COMPACTED = 1
    TERM_UNAVAILABLE = 2


cdef class MemoryStorage:
    cdef HardState hard_state
    cdef Snapshot newest
    cdef list kept
    cdef uint64_t offset
    cdef uint64_t offset_term

    cpdef uint64_t first_index(self) except? 0
    cpdef uint64_t last_index(self) except? 0
    cdef int find_term(self, uint64_t index, uint64_t *term) except -1
    cpdef list entries(self, uint64_t low, uint64_t high, uint64_t max_size)
