from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from kcore_native.mvcc.keyspace cimport Rec, Scratch, value_bytes


cdef inline uint32_t packed_size(const Rec *rec) noexcept nogil:
    cdef uint32_t size
    memcpy(&size, value_bytes(rec), sizeof(uint32_t))
    return size


cdef inline const char *packed_bytes(const Rec *rec) noexcept nogil:
    return value_bytes(rec) + sizeof(uint32_t)


cdef uint32_t place_of(const Rec *rec) noexcept nogil
cdef int copy_value(const Rec *rec, char *to) except -1 nogil
cdef const char *plain_value(const Rec *rec, Scratch *scratch) except NULL nogil
cdef Rec *packed_record(const Rec *old, const Rec *base, Scratch *scratch) except? NULL
