# cython: language_level=3
"""The store of keys: revisions, ranges, transactions, compaction, leases, with etcd's exact semantics.

Sources: etcd ``server/storage/mvcc`` (revisions, index, compaction) and ``server/etcdserver/txn`` (requests). A write
takes effect at once; ``commit`` ends the transaction and gives its changes the next revision, one for them all.

Refusals are made by ``refuse(name)``, the name being one of etcd's table in ``kcore.store.errors``; nothing has been
done then. Requests are taken as they come: that keys are not empty, a transaction puts no key twice, and limits on
sizes are for who lets them in (etcd ``v3rpc/key.go``); whatever comes here is done the same way on all members.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from kcore_native.mvcc cimport command
from kcore_native.mvcc.command cimport Frames, Node
from kcore_native.mvcc.digest cimport hash_keys
from kcore_native.mvcc.keyspace cimport (
    KeyNode,
    Keyspace,
    Rec,
    compare,
    exists,
    hash_of,
    key_bytes,
    key_value,
    lease_of,
    newest,
    record_at,
    value_bytes,
    value_size,
)
from kcore_native.mvcc.lease cimport Lease, LeaseBook
from kcore_native.mvcc.ranges cimport Hits, find_range, holds, node_of, range_result
from kcore_native.mvcc.snapshot cimport SnapshotLoader, SnapshotReader
from kcore_native.mvcc.values cimport DeleteResult, KeyValue, PutResult, RangeResult, TxnResult
from kcore_native.mvcc.watch cimport Hub

from kcore_native.mvcc.command import txn as txn_frame
from kcore_native.mvcc.lease import LEASE_TTL_MAX

class Refused(Exception):
    """A request was refused; ``args[0]`` is the error's name in etcd's table."""


cdef class Store:
    """All keys and leases of a member. ``guarded``: every frame's request is put to ``check`` before it is done."""

    def __init__(self, refuse=Refused, error=Refused, int64_t min_lease_ttl=2):
        self.keys = Keyspace()
        self.leases = LeaseBook()
        self.hub = Hub()
        self.hub.rebase(self.keys)
        self.frames = Frames()
        self.refuse = refuse
        self.error = error
        self.min_lease_ttl = min_lease_ttl

    @property
    def revision(self):
        """The revision of the newest change; 1 in an empty store."""
        return self.keys.revision

    @property
    def compact_revision(self):
        """Reads before this revision are refused; -1 until the first compaction."""
        return self.keys.compact_revision

    @property
    def key_count(self):
        """How many keys exist now."""
        return self.keys.live_count

    @property
    def record_count(self):
        """How many versions, tombstones too, are in memory."""
        return self.keys.end_seq - self.keys.first_seq - self.keys.holes

    @property
    def size_bytes(self):
        """Bytes of all keys and versions in memory with their own overhead, without the index."""
        return self.keys.bytes_held

    @property
    def packed_behind(self):
        """A version is packed when its key's next one has so many records behind it."""
        return self.keys.packed_behind

    @packed_behind.setter
    def packed_behind(self, uint32_t count):
        self.keys.packed_behind = count

    @property
    def watcher_count(self):
        """How many watches are open."""
        return len(self.hub.watchers)

    cdef int64_t now(self) noexcept nogil:
        """The revision that reads see: the next one as soon as the transaction under way has changed something."""
        return self.keys.revision + (self.changes != 0)

    cdef int64_t done_count(self) noexcept nogil:
        return self.range_count + self.put_count + self.delete_count

    cdef void count_txn(self, int64_t before) noexcept nogil:
        """What was done since is etcd's transaction where it is more than one."""
        if self.done_count() - before > 1:
            self.txn_count += 1

    cdef int commit(self) except -1:
        if self.changes:
            self.keys.revision += 1
            self.changes = 0
        return 0

    # Writes.

    cdef int write(
        self, const char *key, uint32_t key_size, const char *value, uint32_t value_size, int64_t lease
    ) except -1:
        cdef uint32_t hash = hash_of(key, key_size)
        cdef KeyNode *node = self.keys.find(key, key_size, hash)
        cdef int64_t main = self.keys.revision + 1, create = main, version = 1, old = 0
        cdef Lease attached
        cdef Rec *rec
        if node == NULL:
            node = self.keys.insert(key, key_size, hash)
        else:
            rec = newest(node)
            if rec != NULL and rec.version != 0:
                create = rec.create
                version = rec.version + 1
                old = lease_of(rec)
        self.keys.append(node, main, self.changes, create, version, lease, value, value_size)
        self.changes += 1
        if old != lease:
            if old:
                attached = self.leases.find(old)
                if attached is not None:
                    attached.discard(node)
            if lease:
                attached = self.leases.find(lease)
                if attached is not None:
                    attached.add(node)
        return 0

    cdef int erase(self, KeyNode *node) except -1:
        cdef int64_t old = lease_of(newest(node))
        cdef Lease attached
        self.keys.append(node, self.keys.revision + 1, self.changes, 0, 0, 0, NULL, 0)
        self.changes += 1
        if old:
            attached = self.leases.find(old)
            if attached is not None:
                attached.discard(node)
        return 0

    cdef int check_put(self, Node *node) except -1:
        cdef KeyNode *found
        if node.number and self.leases.find(node.number) is None:
            raise self.refuse("LeaseNotFound")
        if node.flags & (command.FLAG_IGNORE_VALUE | command.FLAG_IGNORE_LEASE):
            found = self.keys.find(node.key, node.key_size, hash_of(node.key, node.key_size))
            if found == NULL or not exists(found):
                raise self.refuse("KeyNotFound")
        return 0

    cdef PutResult do_put(self, Node *node):
        cdef const char *value = node.value
        cdef uint32_t size = node.value_size
        cdef int64_t lease = node.number
        cdef KeyNode *found
        cdef Rec *rec = NULL
        cdef PutResult result = PutResult.__new__(PutResult)
        self.put_count += 1
        if node.flags:
            self.range_count += 1
            found = self.keys.find(node.key, node.key_size, hash_of(node.key, node.key_size))
            if found != NULL and exists(found):
                rec = newest(found)
            if node.flags & command.FLAG_IGNORE_VALUE:
                value = NULL if rec == NULL else value_bytes(rec)
                size = 0 if rec == NULL else value_size(rec)
            if node.flags & command.FLAG_IGNORE_LEASE:
                lease = 0 if rec == NULL else lease_of(rec)
            if node.flags & command.FLAG_PREV_KV and rec != NULL:
                result.previous = key_value(rec, False)
        self.put_bytes += node.key_size + size
        self.write(node.key, node.key_size, value, size, lease)
        result.revision = self.keys.revision + 1
        return result

    cdef DeleteResult do_delete(self, Node *node):
        cdef Hits hits = Hits.__new__(Hits)
        cdef DeleteResult result = DeleteResult.__new__(DeleteResult)
        cdef Py_ssize_t i
        find_range(self.keys, node, self.now(), True, 0, hits)
        result.previous = []
        self.delete_count += 1
        if node.flags & command.FLAG_PREV_KV:
            self.range_count += 1
            for i in range(hits.count):
                result.previous.append(key_value(hits.recs[i], False))
        for i in range(hits.count):
            self.erase(hits.recs[i].key)
        result.deleted = hits.count
        result.revision = self.now()
        return result

    # Transactions.

    cdef TxnResult do_txn(self, Frames frames, uint32_t index):
        """All comparisons are made and all operations checked before the first is done (etcd ``txn.Txn``)."""
        cdef TxnResult result
        cdef int64_t before = self.done_count()
        self.compare_path(frames, index)
        self.check_txn(frames, index)
        if writes(frames, index):
            self.count_txn(before)  # etcd has then read in a transaction of its own
            before = self.done_count()
        result = self.run_txn(frames, index)
        self.count_txn(before)
        result.revision = self.now()
        return result

    cdef int compare_path(self, Frames frames, uint32_t index) except -1:
        """Which branch is taken, here and in the transactions inside that branch; all as of before."""
        cdef uint32_t child = index + 1, i, branch
        cdef Node *nodes = frames.nodes
        cdef bint taken = True
        for i in range(nodes[index].compare_count):
            if taken:
                self.range_count += 1
                taken = holds(self.keys, &nodes[child])
            child = nodes[child].next
        nodes[index].taken = taken
        for branch in range(2):
            for i in range(nodes[index].failure_count if branch else nodes[index].success_count):
                if nodes[child].kind == command.KIND_TXN and (branch == 0) == taken:
                    self.compare_path(frames, child)
                child = nodes[child].next
        return 0

    cdef int check_txn(self, Frames frames, uint32_t index) except -1:
        cdef uint32_t child = first_taken(frames, index), i
        cdef Node *nodes = frames.nodes
        for i in range(nodes[index].success_count if nodes[index].taken else nodes[index].failure_count):
            if nodes[child].kind == command.KIND_RANGE:
                if nodes[child].number > self.keys.revision:
                    raise self.refuse("FutureRev")
                if nodes[child].number != 0 and nodes[child].number < self.keys.compact_revision:
                    raise self.refuse("Compacted")
            elif nodes[child].kind == command.KIND_PUT:
                self.range_count += nodes[child].flags != 0
                self.check_put(&nodes[child])
            elif nodes[child].kind == command.KIND_TXN:
                self.check_txn(frames, child)
            child = nodes[child].next
        return 0

    cdef TxnResult run_txn(self, Frames frames, uint32_t index):
        """The branch taken is done; the revision of a transaction inside is 0, as in etcd's answer."""
        cdef uint32_t child = first_taken(frames, index), i
        cdef Node *nodes = frames.nodes
        cdef list results = []
        cdef TxnResult result = TxnResult.__new__(TxnResult)
        for i in range(nodes[index].success_count if nodes[index].taken else nodes[index].failure_count):
            if nodes[child].kind == command.KIND_PUT:
                results.append(self.do_put(&nodes[child]))
            elif nodes[child].kind == command.KIND_RANGE:
                self.range_count += 1
                results.append(range_result(self.keys, &nodes[child], self.now(), self.refuse))
            elif nodes[child].kind == command.KIND_DELETE:
                results.append(self.do_delete(&nodes[child]))
            else:
                results.append(self.run_txn(frames, child))
            child = nodes[child].next
        result.succeeded = nodes[index].taken
        result.results = results
        return result

    cdef object execute(self, Frames frames, uint32_t index):
        """One frame's put, deletion or transaction, as a transaction of its own."""
        cdef Node *node = &frames.nodes[index]
        cdef int64_t before = self.done_count()
        if node.kind == command.KIND_PUT:
            if node.number or node.flags:
                self.check_put(node)
            result = self.do_put(node)
            self.count_txn(before)
        elif node.kind == command.KIND_DELETE:
            result = self.do_delete(node)
            self.count_txn(before)
        else:
            result = self.do_txn(frames, index)
        self.commit()
        return result

    def apply(self, bytes payload not None, check, act, bint results=True):
        """[(request id, result or refusal)] of an entry's frames in order; empty where ``results`` is false.

        ``act(request)`` does what is no put, deletion or transaction; ``check(request)`` is asked first about those
        where the store is ``guarded``. ValueError, and nothing done, where the payload is garbage.
        """
        cdef Frames frames = self.frames
        cdef uint32_t index = 0
        cdef list outcomes = []
        cdef Node *node
        frames.load(payload)
        while index < frames.count:
            node = &frames.nodes[index]
            try:
                if node.kind > command.KIND_TXN:
                    result = act(frames.request(index))
                else:
                    if self.guarded:
                        check(frames.request(index))
                    result = self.execute(frames, index)
            except self.error as refusal:
                result = refusal
            if results:
                outcomes.append((frames.nodes[index].request_id, result))
            index = frames.nodes[index].next
        self.hub.publish()
        return outcomes

    # The same one by one, for callers in Python.

    def put(
        self,
        bytes key not None,
        bytes value not None,
        int64_t lease=0,
        bint prev_kv=False,
        bint ignore_value=False,
        bint ignore_lease=False,
    ):
        """Puts the key at the next revision. Refused: LeaseNotFound, KeyNotFound."""
        cdef Node node = node_of(key, None)
        node.value = PyBytes_AS_STRING(value)
        node.value_size = <uint32_t>PyBytes_GET_SIZE(value)
        node.number = lease
        node.flags = (
            (command.FLAG_PREV_KV if prev_kv else 0)
            | (command.FLAG_IGNORE_VALUE if ignore_value else 0)
            | (command.FLAG_IGNORE_LEASE if ignore_lease else 0)
        )
        self.check_put(&node)
        result = self.do_put(&node)
        self.commit()
        return result

    def delete_range(self, bytes key not None, bytes end=None, bint prev_kv=False):
        """Deletes what is there; the revision stays where nothing was."""
        cdef Node node = node_of(key, end)
        node.flags = command.FLAG_PREV_KV if prev_kv else 0
        result = self.do_delete(&node)
        self.commit()
        return result

    def txn(self, compares=(), success=(), failure=()):
        """One transaction of ``kcore.store.kv``'s comparisons and operations."""
        cdef Frames frames = Frames()
        frames.load(txn_frame(0, compares, success, failure))
        return self.execute(frames, 0)

    def range(
        self,
        bytes key not None,
        bytes end=None,
        int64_t limit=0,
        int64_t revision=0,
        int sort_order=0,
        int sort_target=0,
        bint keys_only=False,
        bint count_only=False,
        int64_t min_mod_revision=0,
        int64_t max_mod_revision=0,
        int64_t min_create_revision=0,
        int64_t max_create_revision=0,
    ):
        """What is in the range. Refused: FutureRev, Compacted."""
        cdef Node node = node_of(key, end)
        node.limit = limit
        node.number = revision
        node.relation = sort_order
        node.target = sort_target
        node.flags = (command.FLAG_KEYS_ONLY if keys_only else 0) | (command.FLAG_COUNT_ONLY if count_only else 0)
        node.min_mod_revision = min_mod_revision
        node.max_mod_revision = max_mod_revision
        node.min_create_revision = min_create_revision
        node.max_create_revision = max_create_revision
        self.range_count += 1
        return range_result(self.keys, &node, self.keys.revision, self.refuse)

    def get(self, bytes key not None):
        """The key as it is now, or None."""
        cdef const char *name = PyBytes_AS_STRING(key)
        cdef uint32_t size = <uint32_t>PyBytes_GET_SIZE(key)
        cdef KeyNode *node = self.keys.find(name, size, hash_of(name, size))
        cdef Rec *rec
        self.range_count += 1
        if node == NULL:
            return None
        rec = newest(node)
        if rec == NULL or rec.version == 0:
            return None
        return key_value(rec, False)

    def compact(self, int64_t revision):
        """Reads before ``revision`` are refused from now on; answers the revision. Refused: Compacted, FutureRev."""
        if revision <= self.keys.compact_revision:
            raise self.refuse("Compacted")
        if revision > self.keys.revision:
            raise self.refuse("FutureRev")
        self.hub.before_compaction(revision)
        self.keys.compact_revision = revision
        self.unpinned()
        return self.keys.revision

    def unpinned(self):
        """What is compacted is freed, unless a snapshot is still reading."""
        if self.keys.pins == 0:
            self.keys.drop_compacted()

    def hash_kv(self, int64_t revision=0):
        """(hash, compact revision, revision hashed), as etcd's ``HashKV``. Refused: Compacted, FutureRev."""
        if 0 < revision < self.keys.compact_revision:
            raise self.refuse("Compacted")
        if revision > self.keys.revision:
            raise self.refuse("FutureRev")
        if revision <= 0:
            revision = self.keys.revision
        return hash_keys(self.keys, revision), self.keys.compact_revision, revision

    # Leases.

    def lease_grant(self, int64_t id, int64_t ttl):
        """The seconds granted. Refused: LeaseNotFound for id 0, LeaseTTLTooLarge, LeaseExist."""
        if id == 0:
            raise self.refuse("LeaseNotFound")
        if ttl > <int64_t>LEASE_TTL_MAX:
            raise self.refuse("LeaseTTLTooLarge")
        if self.leases.find(id) is not None:
            raise self.refuse("LeaseExist")
        ttl = max(ttl, self.min_lease_ttl)
        self.leases.grant(id, ttl, 0)
        return ttl

    def lease_revoke(self, int64_t id):
        """The lease is gone and its keys, in order, at one revision; answers the revision. Refused: LeaseNotFound."""
        cdef Lease lease = self.leases.find(id)
        cdef bytes key
        cdef KeyNode *node
        cdef int64_t before = self.done_count()
        if lease is None:
            raise self.refuse("LeaseNotFound")
        for key in lease.sorted_keys():
            node = self.keys.find(
                PyBytes_AS_STRING(key), <uint32_t>PyBytes_GET_SIZE(key),
                hash_of(PyBytes_AS_STRING(key), <uint32_t>PyBytes_GET_SIZE(key)),
            )
            self.erase(node)
            self.delete_count += 1
        self.count_txn(before)
        self.leases.drop(id)
        self.commit()
        return self.keys.revision

    # Watches and snapshots.

    def watch(
        self,
        bytes key not None,
        bytes end=None,
        int64_t start_revision=0,
        bint prev_kv=False,
        bint no_put=False,
        bint no_delete=False,
        bint fragment=False,
        on_ready=None,
    ):
        """A watcher of the range from ``start_revision`` on, 0 for what comes."""
        watcher = self.hub.open(key, end, start_revision, prev_kv, no_put, no_delete, fragment)
        if on_ready is not None:
            watcher.on_ready = on_ready
        return watcher

    def publish(self):
        """Waiting watchers are told what was written since the last call; ``apply`` does so itself."""
        self.hub.publish()

    def snapshot(self, bytes head not None=b""):
        """A reader of the whole store as it is now, ``head`` in front; close it."""
        return SnapshotReader(self.keys, self.leases, head, self.unpinned)

    def restore(self, chunks, accept=None):
        """Everything is as the snapshot says, and open watches go on; answers the head.

        ValueError, and nothing has changed, where it is not a whole snapshot. ``accept(head)`` may raise its own before
        anything changes.
        """
        cdef SnapshotLoader loader = SnapshotLoader()
        for chunk in chunks:
            loader.feed(chunk)
        head = loader.finish()
        if accept is not None:
            accept(head)
        loader.install(self.leases)
        loader.keys.packed_behind = self.keys.packed_behind
        self.keys = loader.keys
        self.hub.rebase(self.keys)
        self.hub.publish()
        return head


cdef inline bint writes(Frames frames, uint32_t index) noexcept:
    """Whether a branch, taken or not, has more than ranges: what etcd does in a transaction that writes."""
    cdef Node *nodes = frames.nodes
    cdef uint32_t child = index + 1, i
    for i in range(nodes[index].compare_count):
        child = nodes[child].next
    for i in range(nodes[index].success_count + nodes[index].failure_count):
        if nodes[child].kind != command.KIND_RANGE:
            return True
        child = nodes[child].next
    return False


cdef inline uint32_t first_taken(Frames frames, uint32_t index) noexcept:
    """The first operation of the branch taken."""
    cdef Node *nodes = frames.nodes
    cdef uint32_t child = index + 1, skipped = nodes[index].compare_count, i
    if not nodes[index].taken:
        skipped += nodes[index].success_count
    for i in range(skipped):
        child = nodes[child].next
    return child
