from libc.stdint cimport int64_t, uint32_t

from kcore_native.mvcc.keyspace cimport KeyNode


cdef class Lease:
    cdef int64_t id
    cdef int64_t ttl
    cdef int64_t remaining
    cdef KeyNode **slots
    cdef uint32_t mask
    cdef uint32_t count
    cdef int add(self, KeyNode *node) except -1
    cdef void discard(self, KeyNode *node) noexcept
    cdef list sorted_keys(self)
    cdef int grow(self) except -1


cdef class LeaseBook:
    cdef dict leases
    cdef list fresh  # ids granted since the lessor last looked; None where none looks
    cdef Lease find(self, int64_t id)
    cdef Lease grant(self, int64_t id, int64_t ttl, int64_t remaining)
    cdef void drop(self, int64_t id)
    cdef void clear(self)
