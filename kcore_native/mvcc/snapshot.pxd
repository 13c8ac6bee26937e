from libc.stdint cimport int64_t, uint32_t, uint64_t

from kcore_native.mvcc.keyspace cimport Keyspace, Rec
from kcore_native.mvcc.lease cimport LeaseBook


cdef class SnapshotReader:
    cdef Keyspace keys
    cdef object on_close
    cdef bytes front  # head and leases, until they are read
    cdef readonly int64_t revision
    cdef readonly int64_t compact_revision
    cdef uint64_t seq
    cdef uint64_t end_seq
    cdef uint64_t records
    cdef uint32_t crc
    cdef bint ended
    cdef bytes chunk(self)
    cdef Rec *next_record(self) noexcept
    cdef Py_ssize_t write_end(self, char *at) noexcept


cdef class SnapshotLoader:
    cdef Keyspace keys
    cdef list leases
    cdef bytes head
    cdef object buffer
    cdef uint32_t crc
    cdef uint64_t records
    cdef int64_t last_main
    cdef int64_t last_sub
    cdef int state
    cdef uint64_t leases_left
    cdef Py_ssize_t read_front(self, const unsigned char *at, Py_ssize_t size) except -1
    cdef Py_ssize_t read_record(self, const unsigned char *at, Py_ssize_t size) except -1
    cdef Py_ssize_t read_end(self, const unsigned char *at, Py_ssize_t size) except -1
