from libc.stdint cimport int64_t, uint32_t

from kcore_native.mvcc.store cimport Store


cdef class Entry:
    cdef readonly bytes key
    cdef readonly bytes value
    cdef readonly tuple labels
    cdef readonly tuple fields
    cdef readonly int64_t revision


cdef class Predicate:
    cdef readonly bytes prefix
    cdef readonly bint one
    cdef readonly bint everything
    cdef list labels
    cdef list fields
    cdef bint matches(self, Entry entry) except -1
    cdef bint covers(self, bytes key) noexcept


cdef int find_value(Store store, Entry entry, const char **value, Py_ssize_t *size) except -1
cdef Entry new_entry(bytes key, bytes value, tuple labels, tuple fields, int64_t revision)
cdef int less(bytes left, bytes right) noexcept


cdef class Table:
    cdef dict entries
    cdef list blocks
    cdef list firsts
    cdef Entry put(self, Entry entry)
    cdef Entry pop(self, bytes key)
    cdef Entry find(self, bytes key)
    cdef void lower_bound(self, bytes key, Py_ssize_t *block, Py_ssize_t *at) except *
