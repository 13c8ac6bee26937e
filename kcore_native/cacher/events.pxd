from libc.stdint cimport int64_t

from kcore_native.cacher.scan cimport Plan
from kcore_native.cacher.table cimport Entry, Predicate, Table
from kcore_native.mvcc.store cimport Store


cdef class Change:
    cdef readonly Entry new
    cdef readonly Entry old
    cdef readonly int64_t revision
    cdef double at
    cdef bint live
    cdef bytes added
    cdef bytes modified
    cdef bytes deleted
    cdef dict others
    cdef bytes frame(self, Store store, int kind)
    cdef bytes encoded(self, Store store, int kind, object representation, object encode)


cdef class Batch:
    cdef Store store
    cdef list changes
    cdef list kinds
    cdef bytes whole
    cdef bint live
    cdef dict others


cdef class Group:
    cdef readonly Predicate predicate
    cdef readonly dict streams
    cdef Batch batch
    cdef Py_ssize_t trigger
    cdef str trigger_value


cdef class Cache:
    cdef readonly Table table
    cdef readonly Plan plan
    cdef readonly Store store
    cdef readonly bytes root
    cdef readonly int64_t revision
    cdef readonly int64_t list_revision
    cdef readonly int64_t last_change
    cdef readonly int64_t event_count
    cdef object decode
    cdef list ring
    cdef Py_ssize_t start
    cdef readonly Py_ssize_t capacity
    cdef bint removed
    cdef dict groups
    cdef dict scopes
    cdef dict triggers
    cdef list touched
    cdef list fresh
    cdef public object on_change
    cdef Entry read(self, bytes key, bytes value, int64_t revision)
    cdef int record(self, Change change) except -1
    cdef int dispatch(self, Change change) except -1
    cdef int offer(self, list candidates, Change change) except -1
    cdef list index(self, Group group)
    cdef Py_ssize_t after(self, int64_t revision) noexcept
