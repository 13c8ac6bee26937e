# cython: language_level=3
"""Watches: every watcher is a place in the log of records, from which it reads what matches whenever it is asked.

Nothing is queued for a slow watcher: it reads history when it comes, in batches of whole revisions. Only when a
compaction is about to drop what it has not read is that made into batches, up to BACKLOG_EVENTS_MAX; a watcher further
behind is cut off with the compact revision, as one that asks for a compacted revision is. Event objects are made once
and shared by all watchers, where there are several, that read them while they are among the newest.

A watcher that found nothing waits: it gives a callback, which ``publish`` calls once when something matches. Watchers of
one key are found by the key; those of ranges are asked one by one, but only the waiting ones, up to their first match.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kcore_native.mvcc.keyspace cimport (
    KeyNode,
    Keyspace,
    Rec,
    compare,
    hash_of,
    key_bytes,
    key_value,
    position_at,
    record_at,
    revs_of,
    value_size,
)
from kcore_native.mvcc.values cimport Event, WatchBatch

BATCH_REVISIONS_MAX = C_BATCH_REVISIONS  # of one batch, as etcd's
BATCH_BYTES_MAX = C_BATCH_BYTES  # of one batch, keys and values; one revision may be more unless fragments are wanted
BACKLOG_EVENTS_MAX = C_BACKLOG_EVENTS  # kept for one watcher when they are compacted
BACKLOG_BYTES_MAX = C_BACKLOG_BYTES
EVENTS_SHARED_MAX = C_SHARED  # newest events that are kept for the next watcher
EVENTS_SHARED_BYTES_MAX = C_SHARED_BYTES
COMPACTED = "etcdserver: mvcc: required revision has been compacted"  # etcd's text for a negative start
EMPTY_RANGE = "mvcc: watcher range is empty"  # etcd's text

cdef enum:
    C_BATCH_REVISIONS = 1000
    C_BATCH_BYTES = 1048576
    C_BACKLOG_EVENTS = 4096
    C_BACKLOG_BYTES = 2097152
    C_SHARED = 16384  # a power of two
    C_SHARED_BYTES = 16777216
    EVENT_BYTES = 64  # counted for each event beside key and value


cdef class Watcher:
    """One open watch. ``pending`` takes what is there; ``on_ready`` is called once when there is more.

    Setting ``on_ready`` calls it at once where there is something already.
    """

    @property
    def done(self):
        """True where no batch will ever come any more."""
        return self.over and not self.backlog

    @property
    def on_ready(self):
        """The callback that waits, or None."""
        return self.callback

    @on_ready.setter
    def on_ready(self, callback):
        self.callback = callback
        if callback is None:
            self.hub.disarm(self)
        elif self.over or self.backlog or self.progress_due() or has_match(self):
            self.call()
        elif self.point:
            self.hub.points.setdefault(self.key, {})[self] = None
        else:
            self.hub.ranges[self] = None

    def pending(self):
        """The next batch, or None where nothing has happened since the last one."""
        cdef WatchBatch batch
        if self.backlog:
            return self.backlog.pop(0)
        if self.over:
            return None
        batch = self.collect()
        if batch is None and self.progress_due():
            batch = WatchBatch(self.hub.keys.revision, [])
            self.progress = False
        return batch

    def request_progress(self):
        """A batch without events tells how far the watch is, as soon as it has delivered all there is."""
        self.progress = True
        if self.callback is not None and not self.over and self.progress_due():
            self.call()

    def cancel(self, str reason=""):
        """The watch is over; a last batch says why where there is a reason."""
        if not self.over:
            self.backlog.clear()
            self.finish(WatchBatch(self.hub.keys.revision, [], False, 0, reason) if reason else None)
            if self.callback is not None:
                self.call()

    cdef int finish(self, WatchBatch last) except -1:
        self.over = True
        self.hub.watchers.pop(self, None)
        self.hub.disarm(self)
        if last is not None:
            self.backlog.append(last)
        return 0

    def progress_due(self):
        """True where a progress mark is asked for and nothing is left to deliver before it."""
        return self.progress and self.start <= self.hub.keys.revision and not has_match(self)

    def call(self):
        """The callback is called and forgotten."""
        callback = self.callback
        self.callback = None
        self.hub.disarm(self)
        callback(self)

    cdef void seek(self) noexcept:
        """``next_match`` begins at the first record that is not delivered."""
        cdef Keyspace keys = self.hub.keys
        cdef KeyNode *node
        if self.point:
            node = keys.find(
                PyBytes_AS_STRING(self.key), <uint32_t>PyBytes_GET_SIZE(self.key),
                hash_of(PyBytes_AS_STRING(self.key), <uint32_t>PyBytes_GET_SIZE(self.key)),
            )
            self.index = 0
            if node != NULL:
                self.index = position_at(node, self.next_revision - 1)
                while (
                    self.index < node.count and revs_of(node)[self.index].main == self.next_revision
                    and revs_of(node)[self.index].sub < self.next_sub
                ):
                    self.index += 1
        elif self.epoch != keys.epoch:
            self.epoch = keys.epoch
            self.seq = keys.seq_from(keys.boundary_seq, self.next_revision, self.next_sub)

    cdef Rec *next_match(self) noexcept:
        """The next record that the watch is about, NULL at the end of the log; goes on behind it."""
        cdef Keyspace keys = self.hub.keys
        cdef const char *key = PyBytes_AS_STRING(self.key)
        cdef uint32_t size = <uint32_t>PyBytes_GET_SIZE(self.key), end_size
        cdef const char *end
        cdef KeyNode *node
        cdef Rec *rec
        if self.point:
            node = keys.find(key, size, hash_of(key, size))
            while node != NULL and self.index < node.count:
                rec = revs_of(node)[self.index]
                self.index += 1
                if not (self.no_delete if rec.version == 0 else self.no_put):
                    return rec
            return NULL
        end = NULL if self.end is None else PyBytes_AS_STRING(self.end)
        end_size = 0 if self.end is None else <uint32_t>PyBytes_GET_SIZE(self.end)
        while self.seq < keys.end_seq:
            rec = keys.record(self.seq)
            self.seq += 1
            if rec == NULL or rec.main < self.next_revision:
                continue
            node = rec.key
            if compare(key_bytes(node), node.size, key, size) < 0:
                continue
            if end != NULL and compare(key_bytes(node), node.size, end, end_size) >= 0:
                continue
            if not (self.no_delete if rec.version == 0 else self.no_put):
                return rec
        return NULL

    cdef WatchBatch collect(self):
        """The next events, whole revisions up to the limits; None where there are none."""
        cdef Hub hub = self.hub
        cdef list events = []
        cdef int64_t main = 0, size = 0
        cdef int revisions = 0
        cdef bint fragment = False
        cdef Rec *rec
        cdef WatchBatch batch
        self.seek()
        rec = self.next_match()
        while rec != NULL:
            if rec.main != main:
                if revisions == C_BATCH_REVISIONS or size >= C_BATCH_BYTES:
                    break
                revisions += 1
                main = rec.main
            elif self.fragment and size >= C_BATCH_BYTES:
                fragment = True
                break
            events.append(hub.event(rec, self.prev_kv))
            size += EVENT_BYTES + rec.key.size + value_size(rec)
            rec = self.next_match()
        if rec == NULL:
            self.next_revision = max(self.next_revision, hub.keys.revision + 1)
            self.next_sub = 0
            main = hub.keys.revision
        else:
            self.next_revision = rec.main
            self.next_sub = rec.sub if fragment else 0
            if not self.point:
                self.seq = rec.seq
        if not events:
            return None
        batch = WatchBatch.__new__(WatchBatch)
        batch.revision = main
        batch.events = events
        batch.fragment = fragment
        batch.cancel_reason = ""
        return batch


cdef class Hub:
    """All watchers of a store, and the newest events."""

    def __cinit__(self):
        self.watchers = {}
        self.ranges = {}
        self.points = {}
        self.due = []
        self.seqs = <uint64_t *>PyMem_Malloc(2 * C_SHARED * sizeof(uint64_t))
        if self.seqs == NULL:
            raise MemoryError
        self.forget_events()

    def __dealloc__(self):
        PyMem_Free(self.seqs)

    cdef void forget_events(self):
        self.events = [None] * (2 * C_SHARED)
        self.events_bytes = 0

    cdef Event event(self, Rec *rec, bint previous):
        """The record as an event, the same object for all who ask while it is among the newest.

        The previous value is what the key was one revision before; none where that is compacted (etcd's watch).
        """
        cdef Py_ssize_t place = 2 * <Py_ssize_t>(rec.seq & (C_SHARED - 1)) + previous
        cdef Event event
        cdef Rec *before = NULL
        if self.events_epoch != self.keys.epoch or self.events_bytes > C_SHARED_BYTES:
            self.forget_events()
            self.events_epoch = self.keys.epoch
        event = self.events[place]
        if event is not None and self.seqs[place] == rec.seq:
            return event
        event = Event.__new__(Event)
        event.type = 1 if rec.version == 0 else 0
        event.kv = key_value(rec, False)
        if previous and (rec.version == 0 or rec.create != rec.main) and rec.main > self.keys.compact_revision:
            before = record_at(rec.key, rec.main - 1)
            if before != NULL and before.version != 0:
                event.previous = key_value(before, False)
        self.events_bytes += EVENT_BYTES + rec.key.size + value_size(rec)
        if before != NULL:
            self.events_bytes += EVENT_BYTES + value_size(before)
        if len(self.watchers) > 1:
            self.events[place] = event
            self.seqs[place] = rec.seq
        return event

    cdef Watcher open(
        self, bytes key, bytes end, int64_t start, bint prev_kv, bint no_put, bint no_delete, bint fragment
    ):
        """A watcher from ``start`` on, 0 for what comes; over at once where that cannot be."""
        cdef Watcher watcher = Watcher.__new__(Watcher)
        watcher.hub = self
        watcher.key = key
        watcher.point = not end
        watcher.end = None if watcher.point or end == b"\0" else end
        watcher.prev_kv = prev_kv
        watcher.no_put = no_put
        watcher.no_delete = no_delete
        watcher.fragment = fragment
        watcher.backlog = []
        watcher.epoch = self.keys.epoch - 1
        watcher.start = start
        watcher.next_revision = start if start else self.keys.revision + 1
        self.watchers[watcher] = None
        if watcher.end is not None and key >= watcher.end:
            watcher.finish(WatchBatch(self.keys.revision, [], False, 0, EMPTY_RANGE))
        elif start < 0:
            watcher.finish(WatchBatch(self.keys.revision, [], False, 0, COMPACTED))
        elif start and start < self.keys.compact_revision:
            watcher.finish(WatchBatch(self.keys.revision, [], False, self.keys.compact_revision))
        return watcher

    cdef void disarm(self, Watcher watcher):
        cdef dict waiting
        if watcher.point:
            waiting = self.points.get(watcher.key)
            if waiting is not None:
                waiting.pop(watcher, None)
                if not waiting:
                    del self.points[watcher.key]
        else:
            self.ranges.pop(watcher, None)

    cdef int publish(self) except -1:
        """The callbacks of all waiting watchers that have something to read are called."""
        cdef Keyspace keys = self.keys
        cdef uint64_t seq = self.published_seq
        cdef list due = self.due
        cdef Watcher watcher
        cdef dict waiting
        cdef Rec *rec
        if seq == keys.end_seq and not due:
            return 0
        self.published_seq = keys.end_seq
        if not self.watchers:
            return 0
        self.due = []
        if self.points:
            while seq < keys.end_seq:
                rec = keys.record(seq)
                seq += 1
                if rec != NULL:
                    waiting = self.points.get(PyBytes_FromStringAndSize(key_bytes(rec.key), rec.key.size))
                    if waiting is not None:
                        due.extend(waiting)
        due.extend(self.ranges)
        for watcher in due:
            if watcher.callback is not None and (watcher.over or watcher.backlog or has_match(watcher)):
                watcher.call()
        return 0

    cdef int before_compaction(self, int64_t revision) except -1:
        """What watchers have not read and is about to be dropped becomes their backlog, or they are over."""
        cdef Watcher watcher
        cdef WatchBatch batch
        cdef Event event
        cdef int64_t count, size
        for watcher in list(self.watchers):
            count = size = 0
            for batch in watcher.backlog:
                count += len(batch.events)
            while watcher.next_revision <= revision and count < C_BACKLOG_EVENTS and size < C_BACKLOG_BYTES:
                batch = watcher.collect()
                if batch is None:
                    break
                watcher.backlog.append(batch)
                count += len(batch.events)
                for event in batch.events:
                    size += EVENT_BYTES + len(event.kv.key) + len(event.kv.value)
            if watcher.next_revision < revision:
                watcher.finish(WatchBatch(self.keys.revision, [], False, revision))
            if watcher.backlog and watcher.callback is not None:
                self.due.append(watcher)
        self.forget_events()  # some have a previous value that nobody else would be given
        return 0

    cdef int rebase(self, Keyspace keys) except -1:
        """All watchers go on where they are, in other keys (a snapshot's)."""
        cdef Watcher watcher
        self.keys = keys
        self.published_seq = 0
        self.forget_events()
        for watcher in list(self.watchers):
            watcher.epoch = keys.epoch - 1
            if watcher.next_revision < keys.compact_revision:
                watcher.finish(WatchBatch(keys.revision, [], False, keys.compact_revision))
            if watcher.callback is not None:
                self.due.append(watcher)
        return 0


cdef bint has_match(Watcher watcher) noexcept:
    """True where a batch is there to read; where none is, the place behind all that was looked at is kept."""
    cdef Rec *rec
    watcher.seek()
    rec = watcher.next_match()
    if rec == NULL:
        watcher.next_revision = max(watcher.next_revision, watcher.hub.keys.revision + 1)
        watcher.next_sub = 0
        return False
    if not watcher.point:
        watcher.seq = rec.seq
    return True
