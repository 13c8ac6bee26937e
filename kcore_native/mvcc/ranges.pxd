from libc.stdint cimport int64_t

from kcore_native.mvcc.command cimport Node
from kcore_native.mvcc.keyspace cimport Keyspace, Rec
from kcore_native.mvcc.values cimport RangeResult


cdef class Hits:
    cdef Rec **recs
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef int add(self, Rec *rec) except -1


cdef Node node_of(bytes key, bytes end) noexcept
cdef int64_t find_range(
    Keyspace keys, Node *node, int64_t revision, bint latest, Py_ssize_t wanted, Hits hits
) except -1
cdef RangeResult range_result(Keyspace keys, Node *node, int64_t now, refuse)
cdef bint holds(Keyspace keys, Node *node) except -1
