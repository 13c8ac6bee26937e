from libc.stdint cimport int64_t


cdef class KeyValue:
    cdef readonly bytes key
    cdef readonly bytes value
    cdef readonly int64_t create_revision
    cdef readonly int64_t mod_revision
    cdef readonly int64_t version
    cdef readonly int64_t lease


cdef class Event:
    cdef readonly int type
    cdef readonly KeyValue kv
    cdef readonly KeyValue previous


cdef class RangeResult:
    cdef readonly int64_t revision
    cdef readonly list kvs
    cdef readonly int64_t count
    cdef readonly bint more


cdef class PutResult:
    cdef readonly int64_t revision
    cdef readonly KeyValue previous


cdef class DeleteResult:
    cdef readonly int64_t revision
    cdef readonly int64_t deleted
    cdef readonly list previous


cdef class TxnResult:
    cdef readonly int64_t revision
    cdef readonly bint succeeded
    cdef readonly list results


cdef class WatchBatch:
    cdef readonly int64_t revision
    cdef readonly list events
    cdef readonly bint fragment
    cdef readonly int64_t compact_revision
    cdef readonly str cancel_reason
