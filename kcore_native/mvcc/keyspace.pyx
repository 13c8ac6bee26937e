# cython: language_level=3
"""Keys and their versions in memory: a table by hash, an ordered index of leaves, and the log of records by revision.

Each version of a key is one allocation, a ``Rec`` with its value behind it; each key is one ``KeyNode`` with its name
behind it and its records in order. The table finds one key with two cache misses. The ordered index is an array of
leaves of at most LEAF_MAX keys each: a split moves a pointer for each of the leaves behind it, some 80 KB in a store of
a million keys once in 64 insertions, which measured cheaper than the levels of a B+tree. The log has the records in
(main, sub) order in chunks; what compaction drops leaves a hole until there are more holes than records.

A version that another has followed for PACKED_BEHIND records is packed: told by its successor (``past``), but for every
PLAIN_EVERY-th of a key, so that few need be unpacked to read one. Of what a living cluster keeps of its past, renewals of
leases and the states that pods went through, a tenth is left. The newest version of a key is never packed.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy, memmove, memset

from kcore_native.mvcc.past cimport copy_value, packed_record, packed_size, place_of
from kcore_native.mvcc.values cimport KeyValue

PACKED_BEHIND = C_PACKED_BEHIND
PLAIN_EVERY = C_PLAIN_EVERY

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    /* 64 bits of key at a time, folded by a 128 bit product (the scheme of wyhash). */
    static inline uint64_t kcore_fold(uint64_t left, uint64_t right) {
        __uint128_t product = (__uint128_t)left * right;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    static inline uint32_t kcore_hash(const char *key, uint32_t size, uint64_t seed) {
        uint64_t hash = seed ^ size, word = 0;
        while (size >= 8) {
            memcpy(&word, key, 8);
            hash = kcore_fold(hash ^ word ^ 0xa0761d6478bd642fULL, 0xe7037ed1a0b428dbULL);
            key += 8;
            size -= 8;
        }
        word = 0;
        memcpy(&word, key, size);
        hash = kcore_fold(hash ^ word ^ 0x8ebc6af09c88c6e3ULL, 0x589965cc75374cc3ULL);
        return (uint32_t)(hash ^ (hash >> 32));
    }
    """
    uint32_t kcore_hash(const char *key, uint32_t size, uint64_t seed) noexcept nogil

cdef enum:
    FIRST_TABLE = 64  # places of an empty table; a power of two
    SQUEEZE_HOLES_MIN = 65536
    C_PACKED_BEHIND = 1024  # records: watches that are up to date read plain ones
    C_PLAIN_EVERY = 16
    PACKED_SIZE_MIN = 128  # of a value that is worth it

# Python's own secret, so that nobody can choose keys that collide; nothing that can be seen depends on it.
cdef uint64_t SEED = <uint64_t><int64_t>hash(b"kcore_native.mvcc.keyspace")


cdef int compare(const char *left, uint32_t left_size, const char *right, uint32_t right_size) noexcept nogil:
    """Less than, equal to or greater than 0 as ``left`` is to ``right`` in byte order."""
    cdef int order = memcmp(left, right, min(left_size, right_size))
    if order != 0:
        return order
    return (left_size > right_size) - (left_size < right_size)


cdef uint32_t hash_of(const char *key, uint32_t size) noexcept nogil:
    return kcore_hash(key, size, SEED)


cdef uint32_t position_at(KeyNode *node, int64_t revision) noexcept nogil:
    """How many of the key's records are not newer than ``revision``."""
    cdef Rec **revs = revs_of(node)
    cdef uint32_t low = 0, high = node.count, middle
    if high and revs[high - 1].main <= revision:
        return high
    while low < high:
        middle = (low + high) >> 1
        if revs[middle].main <= revision:
            low = middle + 1
        else:
            high = middle
    return low


cdef Rec *record_at(KeyNode *node, int64_t revision) noexcept nogil:
    """The key's record as of ``revision``, also a tombstone; NULL where there is none."""
    cdef uint32_t position = position_at(node, revision)
    return revs_of(node)[position - 1] if position else NULL


cdef KeyValue key_value(Rec *rec, bint keys_only):
    """The record as a value of the kv face; a tombstone has key and mod_revision only."""
    cdef KeyValue kv = KeyValue.__new__(KeyValue)
    kv.key = PyBytes_FromStringAndSize(key_bytes(rec.key), rec.key.size)
    if keys_only:
        kv.value = b""
    elif is_packed(rec):
        kv.value = PyBytes_FromStringAndSize(NULL, value_size(rec))
        copy_value(rec, PyBytes_AS_STRING(kv.value))
    else:
        kv.value = PyBytes_FromStringAndSize(value_bytes(rec), value_size(rec))
    kv.create_revision = rec.create
    kv.mod_revision = rec.main
    kv.version = rec.version
    kv.lease = lease_of(rec)
    return kv


cdef inline int64_t rec_bytes(const Rec *rec) noexcept nogil:
    cdef int64_t held = <int64_t>sizeof(uint32_t) + packed_size(rec) if is_packed(rec) else value_size(rec)
    return <int64_t>sizeof(Rec) + held + (rec.size >> 31) * 8


cdef class Keyspace:
    """All keys with all their versions; ``Store`` gives them their meaning."""

    def __cinit__(self):
        self.revision = 1
        self.compact_revision = -1
        self.packed_behind = C_PACKED_BEHIND
        self.grow_table()

    def __dealloc__(self):
        self.clear()
        PyMem_Free(self.table)
        PyMem_Free(self.leaves)
        PyMem_Free(self.chunks)
        free(self.scratch.bytes)

    cdef void clear(self) noexcept:
        """Nothing is left; the empty table stays."""
        cdef Py_ssize_t i
        cdef uint32_t k, r
        cdef KeyNode *node
        cdef Rec **revs
        for i in range(self.leaf_count):
            for k in range(self.leaves[i].count):
                node = self.leaves[i].keys[k]
                revs = revs_of(node)
                for r in range(node.count):
                    PyMem_Free(revs[r])
                if node.room > 1:
                    PyMem_Free(node.revs)
                PyMem_Free(node)
            PyMem_Free(self.leaves[i])
        for i in range(self.chunk_count):
            PyMem_Free(self.chunks[i])
        if self.table != NULL:
            memset(self.table, 0, (<size_t>self.table_mask + 1) * sizeof(void *))
        self.leaf_count = self.chunk_count = self.hint = self.key_count = self.live_count = 0
        self.first_seq = self.end_seq = self.holes = self.boundary_seq = 0
        self.bytes_held = 0
        self.epoch += 1

    # The table.

    cdef int grow_table(self) except -1:
        cdef uint64_t old_size = 0 if self.table == NULL else <uint64_t>self.table_mask + 1
        cdef uint64_t size = FIRST_TABLE if self.table == NULL else old_size * 2
        cdef KeyNode **table = <KeyNode **>PyMem_Malloc(size * sizeof(void *))
        cdef uint64_t i
        cdef uint32_t place, mask = <uint32_t>(size - 1)
        if table == NULL or size > 0x100000000:
            PyMem_Free(table)
            raise MemoryError
        memset(table, 0, size * sizeof(void *))
        for i in range(old_size):
            if self.table[i] != NULL:
                place = self.table[i].hash & mask
                while table[place] != NULL:
                    place = (place + 1) & mask
                table[place] = self.table[i]
        PyMem_Free(self.table)
        self.table = table
        self.table_mask = mask
        return 0

    cdef KeyNode *find(self, const char *key, uint32_t size, uint32_t hash) noexcept nogil:
        """The key's node, or NULL."""
        cdef uint32_t place = hash & self.table_mask
        cdef KeyNode *node = self.table[place]
        while node != NULL:
            if node.hash == hash and node.size == size and memcmp(key_bytes(node), key, size) == 0:
                return node
            place = (place + 1) & self.table_mask
            node = self.table[place]
        return NULL

    cdef KeyNode *insert(self, const char *key, uint32_t size, uint32_t hash) except NULL:
        """A node without records for a key that has none yet."""
        cdef KeyNode *node
        cdef uint32_t place
        if <uint64_t>self.key_count * 3 >= (<uint64_t>self.table_mask + 1) * 2:
            self.grow_table()
        node = <KeyNode *>PyMem_Malloc(sizeof(KeyNode) + size)
        if node == NULL:
            raise MemoryError
        node.revs = NULL
        node.count = 0
        node.room = 1
        node.size = size
        node.hash = hash
        memcpy(<char *>key_bytes(node), key, size)
        try:
            self.index(node)
        except MemoryError:
            PyMem_Free(node)
            raise
        place = hash & self.table_mask
        while self.table[place] != NULL:
            place = (place + 1) & self.table_mask
        self.table[place] = node
        self.key_count += 1
        self.bytes_held += sizeof(KeyNode) + size
        return node

    cdef void remove(self, KeyNode *node) noexcept:
        """The node, which has no records any more, is freed."""
        cdef uint32_t place = node.hash & self.table_mask, next, home
        cdef Py_ssize_t at
        cdef Leaf *leaf
        cdef uint32_t k = 0
        while self.table[place] != node:
            place = (place + 1) & self.table_mask
        next = place
        while True:  # close the gap: whoever probed over this place moves up
            next = (next + 1) & self.table_mask
            if self.table[next] == NULL:
                break
            home = self.table[next].hash & self.table_mask
            if ((next - home) & self.table_mask) >= ((next - place) & self.table_mask):
                self.table[place] = self.table[next]
                place = next
        self.table[place] = NULL
        at = self.leaf_for(key_bytes(node), node.size)
        leaf = self.leaves[at]
        while leaf.keys[k] != node:
            k += 1
        memmove(&leaf.keys[k], &leaf.keys[k + 1], (leaf.count - k - 1) * sizeof(void *))
        leaf.count -= 1
        self.shrink(at)
        self.key_count -= 1
        self.bytes_held -= sizeof(KeyNode) + node.size
        if node.room > 1:
            PyMem_Free(node.revs)
        PyMem_Free(node)

    # The ordered index.

    cdef Py_ssize_t leaf_for(self, const char *key, uint32_t size) noexcept nogil:
        """The last leaf whose first key is not greater, else the first."""
        cdef Py_ssize_t low = 0, high = self.leaf_count, middle
        cdef KeyNode *first
        while low < high:
            middle = (low + high) >> 1
            first = self.leaves[middle].keys[0]
            if compare(key_bytes(first), first.size, key, size) <= 0:
                low = middle + 1
            else:
                high = middle
        return low - 1 if low else 0

    cdef void lower_bound(self, const char *key, uint32_t size, Py_ssize_t *leaf, uint32_t *at) noexcept nogil:
        """Leaf and place of the first key that is not less; past the last one, the leaf is leaf_count."""
        cdef Py_ssize_t i = self.leaf_for(key, size)
        cdef uint32_t k = 0
        if i < self.leaf_count:
            k = place_in(self.leaves[i], key, size)
            if k == self.leaves[i].count:
                i += 1
                k = 0
        leaf[0] = i
        at[0] = k

    cdef int new_leaf(self, Py_ssize_t at) except -1:
        cdef Leaf **grown
        cdef Leaf *leaf
        cdef Py_ssize_t room
        if self.leaf_count == self.leaf_room:
            room = max(self.leaf_room + (self.leaf_room >> 1), 64)
            grown = <Leaf **>PyMem_Realloc(self.leaves, room * sizeof(void *))
            if grown == NULL:
                raise MemoryError
            self.leaves = grown
            self.leaf_room = room
        leaf = <Leaf *>PyMem_Malloc(sizeof(Leaf))
        if leaf == NULL:
            raise MemoryError
        leaf.count = leaf.live = 0
        memmove(&self.leaves[at + 1], &self.leaves[at], (self.leaf_count - at) * sizeof(void *))
        self.leaves[at] = leaf
        self.leaf_count += 1
        return 0

    cdef int index(self, KeyNode *node) except -1:
        """The node is in its place; keys that arrive in order fill their leaves to the last place."""
        cdef const char *key = key_bytes(node)
        cdef Py_ssize_t at = self.hint
        cdef Leaf *leaf
        cdef Leaf *right
        cdef uint32_t k, half
        if self.leaf_count == 0:
            self.new_leaf(0)
            at = 0
        elif not self.holds(at, key, node.size):
            at = self.leaf_for(key, node.size)
        leaf = self.leaves[at]
        k = place_in(leaf, key, node.size)
        if leaf.count == LEAF_MAX:
            if k == LEAF_MAX:
                at += 1
                k = 0
                if at == self.leaf_count or self.leaves[at].count == LEAF_MAX:
                    self.new_leaf(at)
            else:
                self.new_leaf(at + 1)
                right = self.leaves[at + 1]
                half = LEAF_MAX // 2
                memcpy(&right.keys[0], &leaf.keys[half], half * sizeof(void *))
                leaf.count = right.count = half
                leaf.live = live_in(leaf)
                right.live = live_in(right)
                if k > half:
                    at += 1
                    k -= half
            leaf = self.leaves[at]
        memmove(&leaf.keys[k + 1], &leaf.keys[k], (leaf.count - k) * sizeof(void *))
        leaf.keys[k] = node
        leaf.count += 1
        self.hint = at
        return 0

    cdef bint holds(self, Py_ssize_t at, const char *key, uint32_t size) noexcept nogil:
        """True where ``key`` belongs into that leaf."""
        cdef KeyNode *first
        if at >= self.leaf_count:
            return False
        first = self.leaves[at].keys[0]
        if compare(key, size, key_bytes(first), first.size) < 0:
            return False
        if at + 1 == self.leaf_count:
            return True
        first = self.leaves[at + 1].keys[0]
        return compare(key, size, key_bytes(first), first.size) < 0

    cdef void shrink(self, Py_ssize_t at) noexcept:
        """A leaf that lost a key joins its neighbour where both are small, and goes where it is empty."""
        cdef Leaf *leaf = self.leaves[at]
        cdef Leaf *right
        if leaf.count and (at + 1 == self.leaf_count or leaf.count + self.leaves[at + 1].count > LEAF_MAX // 2):
            return
        if leaf.count:
            right = self.leaves[at + 1]
            memcpy(&leaf.keys[leaf.count], &right.keys[0], right.count * sizeof(void *))
            leaf.count += right.count
            leaf.live += right.live
            at += 1
        PyMem_Free(self.leaves[at])
        self.leaf_count -= 1
        memmove(&self.leaves[at], &self.leaves[at + 1], (self.leaf_count - at) * sizeof(void *))

    cdef void count_live(self, KeyNode *node, int change) noexcept nogil:
        """One key more or less exists."""
        cdef Py_ssize_t at = self.hint
        if not self.holds(at, key_bytes(node), node.size):
            at = self.leaf_for(key_bytes(node), node.size)
        self.leaves[at].live += change
        self.live_count += change

    # The log.

    cdef int extend_log(self) except -1:
        cdef Rec ***grown
        cdef Rec **chunk
        cdef Py_ssize_t room
        if self.chunk_count == self.chunk_room:
            room = max(self.chunk_room + (self.chunk_room >> 1), 16)
            grown = <Rec ***>PyMem_Realloc(self.chunks, room * sizeof(void *))
            if grown == NULL:
                raise MemoryError
            self.chunks = grown
            self.chunk_room = room
        chunk = <Rec **>PyMem_Malloc(LOG_CHUNK * sizeof(void *))
        if chunk == NULL:
            raise MemoryError
        self.chunks[self.chunk_count] = chunk
        self.chunk_count += 1
        return 0

    cdef Rec *record(self, uint64_t seq) noexcept nogil:
        """The record at that place of the log; NULL in a hole."""
        cdef uint64_t place = seq - self.first_seq
        return self.chunks[place >> LOG_BITS][place & (LOG_CHUNK - 1)]

    cdef uint64_t seq_from(self, uint64_t low, int64_t revision, uint32_t sub) noexcept nogil:
        """The place of the first record not before (revision, sub), searched from ``low`` on; there are few holes."""
        cdef uint64_t high = self.end_seq, middle, probe
        cdef Rec *rec
        while low < high:
            middle = probe = (low + high) >> 1
            rec = self.record(probe)
            while rec == NULL and probe + 1 < high:
                probe += 1
                rec = self.record(probe)
            if rec == NULL:
                high = middle
            elif rec.main < revision or (rec.main == revision and rec.sub < sub):
                low = probe + 1
            else:
                high = middle
        return low

    cdef Rec *append(
        self, KeyNode *node, int64_t main, uint32_t sub, int64_t create, int64_t version, int64_t lease,
        const char *value, uint32_t size,
    ) except NULL:
        """The key's newest record, at the end of the log."""
        cdef uint32_t extra = 8 if lease else 0
        cdef bint was = exists(node)
        cdef Rec *rec
        if self.end_seq - self.first_seq == <uint64_t>self.chunk_count * LOG_CHUNK:
            self.extend_log()
        self.make_room(node)
        rec = <Rec *>PyMem_Malloc(sizeof(Rec) + extra + size)
        if rec == NULL:
            raise MemoryError
        rec.key = node
        rec.main = main
        rec.create = create
        rec.version = version
        rec.sub = sub
        rec.size = size | (<uint32_t>(lease != 0) << 31)
        if lease:
            memcpy(rec + 1, &lease, 8)
        memcpy(<char *>value_bytes(rec), value, size)
        rec.seq = self.end_seq
        self.chunks[(rec.seq - self.first_seq) >> LOG_BITS][(rec.seq - self.first_seq) & (LOG_CHUNK - 1)] = rec
        self.end_seq += 1
        revs_of(node)[node.count] = rec
        node.count += 1
        self.bytes_held += sizeof(Rec) + extra + size
        if was != (version != 0):
            self.count_live(node, -1 if was else 1)
        self.pack_behind()
        return rec

    cdef int pack_behind(self) except -1:
        """The version before that of the record which is now old enough is packed."""
        cdef Rec *rec
        cdef uint32_t place
        if self.end_seq - self.first_seq <= self.packed_behind:
            return 0
        rec = self.record(self.end_seq - 1 - self.packed_behind)
        if rec == NULL or rec.version < 2 or is_packed(rec):
            return 0
        place = place_of(rec)
        return self.pack(&revs_of(rec.key)[place - 1], rec) if place else 0

    cdef int pack(self, Rec **place, Rec *base) except -1:
        """The record there is told by its successor, where that saves a quarter."""
        cdef Rec *old = place[0]
        cdef Rec *rec
        cdef uint64_t at = old.seq - self.first_seq
        if is_packed(old) or value_size(old) < PACKED_SIZE_MIN or old.version % C_PLAIN_EVERY == 0:
            return 0
        rec = packed_record(old, base, &self.scratch)
        if rec == NULL:
            return 0
        self.bytes_held += rec_bytes(rec) - rec_bytes(old)
        self.chunks[at >> LOG_BITS][at & (LOG_CHUNK - 1)] = rec
        place[0] = rec
        PyMem_Free(old)
        return 0

    cdef int make_room(self, KeyNode *node) except -1:
        """The key can take one more record."""
        cdef Rec **grown
        cdef uint32_t room
        if node.count < node.room:
            return 0
        room = 4 if node.room == 1 else node.room * 2
        grown = <Rec **>PyMem_Malloc(room * sizeof(void *))
        if grown == NULL:
            raise MemoryError
        memcpy(grown, revs_of(node), node.count * sizeof(void *))
        if node.room > 1:
            PyMem_Free(node.revs)
        node.revs = grown
        node.room = room
        return 0

    cdef void drop_front(self, KeyNode *node, uint32_t count) noexcept:
        """The oldest ``count`` records of the key are freed; the caller removes a key that has none left."""
        cdef Rec **revs = revs_of(node)
        cdef Rec *only
        cdef uint64_t place
        cdef uint32_t i
        for i in range(count):
            place = revs[i].seq - self.first_seq
            self.chunks[place >> LOG_BITS][place & (LOG_CHUNK - 1)] = NULL
            self.holes += 1
            self.bytes_held -= rec_bytes(revs[i])
            PyMem_Free(revs[i])
        node.count -= count
        if node.count == 1 and node.room > 1:
            only = revs[count]
            PyMem_Free(node.revs)
            node.revs = only
            node.room = 1
        else:
            memmove(revs, revs + count, node.count * sizeof(void *))

    cdef bint is_kept_at(self, Rec *rec, int64_t revision) noexcept nogil:
        """True for a record that compaction at ``revision`` does not drop: it is newer, or what its key was then.

        A tombstone goes unless it is of that very revision (etcd ``keyIndex.compact``).
        """
        if rec.main > revision:
            return True
        return record_at(rec.key, revision) == rec and (rec.version != 0 or rec.main == revision)

    cdef int drop_compacted(self) except -1:
        """What nobody can read any more since ``compact_revision`` is freed."""
        cdef uint64_t seq = self.boundary_seq
        cdef bint found = False
        cdef uint32_t count
        cdef KeyNode *node
        cdef Rec *rec
        while seq < self.end_seq:
            rec = self.record(seq)
            if rec != NULL:
                if not found and rec.main >= self.compact_revision:
                    found = True
                    self.boundary_seq = seq
                if rec.main > self.compact_revision:
                    break
                node = rec.key
                count = position_at(node, self.compact_revision)
                rec = revs_of(node)[count - 1]
                if rec.version != 0 or rec.main == self.compact_revision:
                    count -= 1
                if count:
                    self.drop_front(node, count)
                    if node.count == 0:
                        self.remove(node)
            seq += 1
        if not found:
            self.boundary_seq = self.end_seq
        if self.squeeze():
            self.boundary_seq = self.seq_from(self.first_seq, self.compact_revision, 0)
        return 0

    cdef int squeeze(self) except -1:
        """No holes are left in the log, where there were more of them than records; 1 if so, else 0."""
        cdef uint64_t records = self.end_seq - self.first_seq - self.holes, seq, kept = 0
        cdef Py_ssize_t chunks
        cdef Rec *rec
        if self.holes < records + SQUEEZE_HOLES_MIN:
            return 0
        for seq in range(self.first_seq, self.end_seq):
            rec = self.record(seq)
            if rec != NULL:
                rec.seq = self.first_seq + kept
                self.chunks[kept >> LOG_BITS][kept & (LOG_CHUNK - 1)] = rec
                kept += 1
        chunks = <Py_ssize_t>((kept + LOG_CHUNK - 1) >> LOG_BITS)
        while self.chunk_count > chunks:
            self.chunk_count -= 1
            PyMem_Free(self.chunks[self.chunk_count])
        self.end_seq = self.first_seq + kept
        self.holes = 0
        self.epoch += 1
        return 1


cdef uint32_t place_in(Leaf *leaf, const char *key, uint32_t size) noexcept nogil:
    """The place of the leaf's first key that is not less."""
    cdef uint32_t low = 0, high = leaf.count, middle
    while low < high:
        middle = (low + high) >> 1
        if compare(key_bytes(leaf.keys[middle]), leaf.keys[middle].size, key, size) < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef uint32_t live_in(Leaf *leaf) noexcept nogil:
    cdef uint32_t k, live = 0
    for k in range(leaf.count):
        live += exists(leaf.keys[k])
    return live
