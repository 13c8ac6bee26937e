from libc.stdint cimport int64_t, uint32_t, uint64_t

from kcore_native.mvcc.values cimport KeyValue

cdef enum:
    LEAF_MAX = 128  # keys of one leaf of the ordered index
    LOG_BITS = 10
    LOG_CHUNK = 1024  # records of one chunk of the log
    SIZE_MASK = 0x3FFFFFFF
    PACKED_BIT = 0x40000000


cdef struct Rec:
    # One version of one key. Invariant: records of a key, and of the log, are in ascending (main, sub).
    KeyNode *key
    int64_t main
    int64_t create
    int64_t version  # 0: the key was deleted
    uint64_t seq  # place in the log
    uint32_t sub
    uint32_t size  # bytes of the value; the top bits: eight bytes of lease come before it; it is packed


cdef struct KeyNode:
    # One key, in the table and in the ordered index as long as it has records.
    void *revs  # count == 1 and room == 1: the Rec itself; else an array of Rec pointers
    uint32_t count
    uint32_t room
    uint32_t size
    uint32_t hash


cdef struct Leaf:
    uint32_t count
    uint32_t live  # keys of this leaf that exist now
    KeyNode *keys[128]


cdef inline const char *key_bytes(const KeyNode *node) noexcept nogil:
    return <const char *>(node + 1)


cdef inline Rec **revs_of(KeyNode *node) noexcept nogil:
    return <Rec **>&node.revs if node.room == 1 else <Rec **>node.revs


cdef inline Rec *newest(KeyNode *node) noexcept nogil:
    return revs_of(node)[node.count - 1] if node.count else NULL


cdef inline uint32_t value_size(const Rec *rec) noexcept nogil:
    return rec.size & SIZE_MASK


cdef inline bint is_packed(const Rec *rec) noexcept nogil:
    return (rec.size & PACKED_BIT) != 0


cdef inline const char *value_bytes(const Rec *rec) noexcept nogil:
    # of a record that is not packed; of one that is, its packed size and then that
    return <const char *>(rec + 1) + (rec.size >> 31) * 8


cdef struct Scratch:
    # room for values that are packed; ``free`` it
    char *bytes
    size_t room


cdef inline int64_t lease_of(const Rec *rec) noexcept nogil:
    return (<const int64_t *>(rec + 1))[0] if rec.size >> 31 else 0


cdef inline bint exists(KeyNode *node) noexcept nogil:
    cdef Rec *rec = newest(node)
    return rec != NULL and rec.version != 0


cdef int compare(const char *left, uint32_t left_size, const char *right, uint32_t right_size) noexcept nogil
cdef KeyValue key_value(Rec *rec, bint keys_only)
cdef uint32_t hash_of(const char *key, uint32_t size) noexcept nogil
cdef Rec *record_at(KeyNode *node, int64_t revision) noexcept nogil
cdef uint32_t position_at(KeyNode *node, int64_t revision) noexcept nogil


cdef class Keyspace:
    cdef KeyNode **table
    cdef uint32_t table_mask
    cdef Leaf **leaves
    cdef Py_ssize_t leaf_count
    cdef Py_ssize_t leaf_room
    cdef Py_ssize_t hint  # the leaf that was last inserted into
    cdef Rec ***chunks
    cdef Py_ssize_t chunk_count
    cdef Py_ssize_t chunk_room
    cdef uint64_t first_seq  # of the first chunk
    cdef uint64_t end_seq  # one more than the newest record's
    cdef uint64_t holes  # places in the log whose record was dropped
    cdef Py_ssize_t key_count  # also of keys that are deleted and not yet compacted
    cdef Py_ssize_t live_count
    cdef int64_t bytes_held  # keys and records, without the index
    cdef int64_t revision
    cdef int64_t compact_revision  # -1 until the first compaction
    cdef uint64_t boundary_seq  # no record at or after compact_revision is before this place
    cdef Py_ssize_t pins  # open snapshots; what they read is not dropped
    cdef uint32_t packed_behind  # records that are newer than the one whose predecessor is packed next
    cdef Scratch scratch
    cdef uint64_t epoch  # changes when records change their places in the log

    cdef KeyNode *find(self, const char *key, uint32_t size, uint32_t hash) noexcept nogil
    cdef KeyNode *insert(self, const char *key, uint32_t size, uint32_t hash) except NULL
    cdef Rec *append(
        self, KeyNode *node, int64_t main, uint32_t sub, int64_t create, int64_t version, int64_t lease,
        const char *value, uint32_t size,
    ) except NULL
    cdef Rec *record(self, uint64_t seq) noexcept nogil
    cdef Py_ssize_t leaf_for(self, const char *key, uint32_t size) noexcept nogil
    cdef void lower_bound(self, const char *key, uint32_t size, Py_ssize_t *leaf, uint32_t *at) noexcept nogil
    cdef void drop_front(self, KeyNode *node, uint32_t count) noexcept
    cdef void remove(self, KeyNode *node) noexcept
    cdef uint64_t seq_from(self, uint64_t low, int64_t revision, uint32_t sub) noexcept nogil
    cdef int squeeze(self) except -1
    cdef void clear(self) noexcept
    cdef int drop_compacted(self) except -1
    cdef bint is_kept_at(self, Rec *rec, int64_t revision) noexcept nogil
    cdef int grow_table(self) except -1
    cdef int index(self, KeyNode *node) except -1
    cdef int new_leaf(self, Py_ssize_t at) except -1
    cdef int extend_log(self) except -1
    cdef void count_live(self, KeyNode *node, int change) noexcept nogil
    cdef bint holds(self, Py_ssize_t at, const char *key, uint32_t size) noexcept nogil
    cdef void shrink(self, Py_ssize_t at) noexcept
    cdef int make_room(self, KeyNode *node) except -1
    cdef int pack_behind(self) except -1
    cdef int pack(self, Rec **place, Rec *base) except -1
