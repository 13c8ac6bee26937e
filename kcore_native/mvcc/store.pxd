from libc.stdint cimport int64_t, uint32_t, uint64_t

from kcore_native.mvcc.command cimport Frames, Node
from kcore_native.mvcc.keyspace cimport KeyNode, Keyspace, Rec
from kcore_native.mvcc.lease cimport LeaseBook
from kcore_native.mvcc.values cimport DeleteResult, KeyValue, PutResult, RangeResult, TxnResult
from kcore_native.mvcc.watch cimport Hub


cdef class Store:
    cdef Keyspace keys
    cdef readonly LeaseBook leases
    cdef Hub hub
    cdef Frames frames
    cdef object refuse
    cdef object error
    cdef int64_t min_lease_ttl
    cdef uint32_t changes  # of the transaction under way
    cdef public bint guarded
    # What was done since the start, as etcd's metrics count it (server/storage/mvcc/metrics_txn.go).
    cdef readonly int64_t range_count  # comparisons and looks at a key's previous value, too
    cdef readonly int64_t put_count
    cdef readonly int64_t delete_count
    cdef readonly int64_t txn_count  # of more than one range, put or deletion
    cdef readonly int64_t put_bytes

    cdef int64_t now(self) noexcept nogil
    cdef int64_t done_count(self) noexcept nogil
    cdef void count_txn(self, int64_t before) noexcept nogil
    cdef int commit(self) except -1
    cdef int write(
        self, const char *key, uint32_t key_size, const char *value, uint32_t value_size, int64_t lease
    ) except -1
    cdef int erase(self, KeyNode *node) except -1
    cdef int check_put(self, Node *node) except -1
    cdef PutResult do_put(self, Node *node)
    cdef DeleteResult do_delete(self, Node *node)
    cdef TxnResult do_txn(self, Frames frames, uint32_t index)
    cdef int compare_path(self, Frames frames, uint32_t index) except -1
    cdef int check_txn(self, Frames frames, uint32_t index) except -1
    cdef TxnResult run_txn(self, Frames frames, uint32_t index)
    cdef object execute(self, Frames frames, uint32_t index)
