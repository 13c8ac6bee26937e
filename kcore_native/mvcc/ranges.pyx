# cython: language_level=3
"""What is in a range of keys at a revision: found in the ordered index, filtered, sorted, cut, as etcd's ranges are.

Also whether a transaction's comparison holds. Everything reads the node of a request (``command``) and changes nothing.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from kcore_native.mvcc cimport command
from kcore_native.mvcc.command cimport Node
from kcore_native.mvcc.keyspace cimport (
    KeyNode,
    Keyspace,
    Leaf,
    Rec,
    compare,
    hash_of,
    key_value,
    lease_of,
    newest,
    record_at,
    value_bytes,
    value_size,
)
from kcore_native.mvcc.values cimport RangeResult

cdef enum:
    TARGET_VERSION = 0  # of comparisons
    TARGET_CREATE = 1
    TARGET_MOD = 2
    TARGET_VALUE = 3
    SORT_NONE = 0
    SORT_DESCEND = 2
    SORT_KEY = 0
    SORT_VERSION = 1
    SORT_CREATE = 2
    SORT_MOD = 3
    SORT_VALUE = 4


cdef class Hits:
    """Records found by a range."""

    def __dealloc__(self):
        PyMem_Free(self.recs)

    cdef int add(self, Rec *rec) except -1:
        cdef Py_ssize_t room
        cdef Rec **grown
        if self.count == self.room:
            room = max(16, self.room * 2)
            grown = <Rec **>PyMem_Realloc(self.recs, room * sizeof(void *))
            if grown == NULL:
                raise MemoryError
            self.recs = grown
            self.room = room
        self.recs[self.count] = rec
        self.count += 1
        return 0


cdef Node node_of(bytes key, bytes end) noexcept:
    cdef Node node
    memset(&node, 0, sizeof(Node))
    node.key = PyBytes_AS_STRING(key)
    node.key_size = <uint32_t>PyBytes_GET_SIZE(key)
    if end is not None and PyBytes_GET_SIZE(end):
        node.end = PyBytes_AS_STRING(end)
        node.end_size = <uint32_t>PyBytes_GET_SIZE(end)
    return node


cdef inline bint passes(Node *node, Rec *rec) noexcept nogil:
    """True where the record passes the range's filters."""
    if node.max_mod_revision and rec.main > node.max_mod_revision:
        return False
    if node.min_mod_revision and rec.main < node.min_mod_revision:
        return False
    if node.max_create_revision and rec.create > node.max_create_revision:
        return False
    return not (node.min_create_revision and rec.create < node.min_create_revision)


cdef Rec *find_one(Keyspace keys, Node *node, int64_t revision, bint latest) noexcept:
    """The record of the node's one key, NULL where it does not exist then."""
    cdef KeyNode *found = keys.find(node.key, node.key_size, hash_of(node.key, node.key_size))
    cdef Rec *rec
    if found == NULL:
        return NULL
    rec = newest(found) if latest else record_at(found, revision)
    return NULL if rec == NULL or rec.version == 0 else rec


cdef int64_t find_range(
    Keyspace keys, Node *node, int64_t revision, bint latest, Py_ssize_t wanted, Hits hits
) except -1:
    """How many keys exist in the range at the revision; ``hits`` gets those that pass the filters, in key order.

    At most ``wanted``, 0 for all; ``hits`` may be None. ``latest``: whatever the revision, the newest records.
    """
    cdef int64_t count = 0
    cdef Rec *rec
    cdef Py_ssize_t leaf = 0, last = 0
    cdef uint32_t at = 0, last_at = 0, stop
    if node.end == NULL:
        rec = find_one(keys, node, revision, latest)
        if rec != NULL and hits is not None and passes(node, rec):
            hits.add(rec)
        return rec != NULL
    keys.lower_bound(node.key, node.key_size, &leaf, &at)
    if node.end_size == 1 and node.end[0] == 0:
        last = keys.leaf_count
    else:
        keys.lower_bound(node.end, node.end_size, &last, &last_at)
    while leaf < last or (leaf == last and at < last_at):
        stop = last_at if leaf == last else keys.leaves[leaf].count
        if latest and at == 0 and leaf < last and (hits is None or (wanted and hits.count >= wanted)):
            count += keys.leaves[leaf].live
        else:
            count += find_in_leaf(keys.leaves[leaf], at, stop, node, revision, latest, wanted, hits)
        leaf += 1
        at = 0
    return count


cdef int64_t find_in_leaf(
    Leaf *leaf, uint32_t first, uint32_t stop, Node *node, int64_t revision, bint latest, Py_ssize_t wanted, Hits hits
) except -1:
    cdef int64_t count = 0
    cdef uint32_t k
    cdef Rec *rec
    for k in range(first, stop):
        rec = newest(leaf.keys[k]) if latest else record_at(leaf.keys[k], revision)
        if rec != NULL and rec.version != 0:
            count += 1
            if hits is not None and (wanted == 0 or hits.count < wanted) and passes(node, rec):
                hits.add(rec)
    return count


cdef RangeResult range_result(Keyspace keys, Node *node, int64_t now, refuse):
    """A range as etcd's ``executeRange``: filters, then order, then the limit; the count is of all keys.

    ``now`` is the revision that the newest records have.
    """
    cdef int64_t revision = node.number
    cdef Py_ssize_t i, wanted = 0
    cdef bint filtered, ordered, keys_only = (node.flags & command.FLAG_KEYS_ONLY) != 0
    cdef Hits hits
    cdef Rec *rec
    cdef RangeResult result = RangeResult.__new__(RangeResult)
    cdef list kvs = []
    result.revision = now
    result.kvs = kvs
    if revision > now:
        raise refuse("FutureRev")
    if revision <= 0:
        revision = now
    if revision < keys.compact_revision:
        raise refuse("Compacted")
    if node.flags & command.FLAG_COUNT_ONLY:
        result.count = find_range(keys, node, revision, revision >= now, 0, None)
        return result
    if node.end == NULL:  # one key needs no order and no limit
        rec = find_one(keys, node, revision, revision >= now)
        if rec != NULL:
            result.count = 1
            if passes(node, rec):
                kvs.append(key_value(rec, keys_only))
        return result
    hits = Hits.__new__(Hits)
    filtered = (
        node.min_mod_revision or node.max_mod_revision or node.min_create_revision or node.max_create_revision
    )
    ordered = node.target == SORT_KEY and node.relation != SORT_DESCEND
    # etcd reads no further than the limit where no order is said, even if a target then sorts what was read
    if (ordered or node.relation == SORT_NONE) and not filtered and 0 < node.limit < 0x7FFFFFFF:
        wanted = <Py_ssize_t>node.limit + 1
    result.count = find_range(keys, node, revision, revision >= now, wanted, hits)
    wanted = hits.count
    if node.limit > 0 and hits.count > node.limit:
        wanted = <Py_ssize_t>node.limit
        result.more = True
    if ordered:
        for i in range(wanted):
            kvs.append(key_value(hits.recs[i], keys_only))
    else:
        for place in sort_hits(hits, node.target, node.relation == SORT_DESCEND)[:wanted]:
            i = place
            kvs.append(key_value(hits.recs[i], keys_only))
    return result


cdef list sort_hits(Hits hits, int target, bint descend):
    """Places of the hits in the order wanted; equal ones stay in key order."""
    cdef Py_ssize_t i
    cdef list fields = []
    cdef Rec *rec
    if target == SORT_KEY:
        return list(range(hits.count - 1, -1, -1)) if descend else list(range(hits.count))
    for i in range(hits.count):
        rec = hits.recs[i]
        if target == SORT_VERSION:
            fields.append(rec.version)
        elif target == SORT_CREATE:
            fields.append(rec.create)
        elif target == SORT_MOD:
            fields.append(rec.main)
        else:
            fields.append(key_value(rec, False).value)
    return sorted(range(hits.count), key=fields.__getitem__, reverse=descend)


cdef bint holds(Keyspace keys, Node *node) except -1:
    """True where every key in the comparison's range stands in the relation.

    No key: as one with all numbers 0, but a comparison of values fails.
    """
    cdef Hits hits = Hits.__new__(Hits)
    cdef Py_ssize_t i
    cdef int64_t count = find_range(keys, node, 0, True, 0, hits)
    if count == 0:
        return node.target != TARGET_VALUE and stands(node, NULL)
    for i in range(hits.count):
        if not stands(node, hits.recs[i]):
            return False
    return True


cdef bint stands(Node *node, Rec *rec) noexcept nogil:
    """True where the record, NULL for none, stands in the comparison's relation."""
    cdef int64_t value = 0
    cdef int order
    if node.target == TARGET_VALUE:
        order = compare(value_bytes(rec), value_size(rec), node.value, node.value_size)
    else:
        if rec != NULL:
            if node.target == TARGET_VERSION:
                value = rec.version
            elif node.target == TARGET_CREATE:
                value = rec.create
            elif node.target == TARGET_MOD:
                value = rec.main
            else:
                value = lease_of(rec)
        order = (value > node.number) - (value < node.number)
    if node.relation == 0:
        return order == 0
    if node.relation == 1:
        return order > 0
    if node.relation == 2:
        return order < 0
    return order != 0
