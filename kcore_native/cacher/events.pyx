# cython: language_level=3
"""What happened to the objects of one resource: kept for those who come late, given to those who wait.

``Cache`` takes the store's events. Each makes a ``Change``, kept in a ring that grows while what it holds is younger than
FRESH_SECONDS (up to RING_MAX) and shrinks when it is older. Streams that ask the same are a ``Group``: a change is held
against its predicate once, and serialised once for all groups. Groups are found by the prefix or the key that they
are about, or by a field that they want to have one value, so that a change costs nothing to those it does not concern.

Source: apiserver pkg/storage/cacher/{watch_cache,cacher,cache_watcher}.go of Kubernetes 1.36.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from kcore_native.cacher.scan cimport Plan, head_end, put_version, spliced_size
from kcore_native.cacher.table cimport Entry, Predicate, Table, find_value, new_entry
from kcore_native.mvcc.store cimport Store
from kcore_native.mvcc.values cimport Event, KeyValue

from kcore_native.cacher.table import Missing

RING_MIN = C_RING_MIN
RING_MAX = C_RING_MAX
FRESH_SECONDS = C_FRESH_SECONDS
KEPT_BYTES_MAX = C_KEPT_BYTES  # of values that the ring holds itself after a compaction

ADDED = C_ADDED
MODIFIED = C_MODIFIED
DELETED = C_DELETED

cdef enum:
    C_RING_MIN = 100
    C_RING_MAX = 102400
    C_FRESH_SECONDS = 75
    C_KEPT_BYTES = 16777216
    C_ADDED = 0
    C_MODIFIED = 1
    C_DELETED = 2

TYPES = ("ADDED", "MODIFIED", "DELETED")
cdef tuple OPENINGS = (
    b'{"type":"ADDED","object":', b'{"type":"MODIFIED","object":', b'{"type":"DELETED","object":',
)


cdef bytes framed(Store store, Entry entry, int64_t revision, bytes opening, bytes closing):
    """The entry's JSON, with that version, between the two; raises Missing."""
    cdef const char *value
    cdef Py_ssize_t size, head, opened = PyBytes_GET_SIZE(opening), closed = PyBytes_GET_SIZE(closing), whole
    cdef bint more
    cdef bytes made
    cdef char *place
    if not find_value(store, entry, &value, &size):
        raise Missing(entry.key)
    head = head_end(value, size)
    if head < 0:
        raise ValueError(f"not a stored object: {entry.key!r}")
    more = value[head] != c'}'
    whole = opened + spliced_size(size, revision, more) + closed
    made = PyBytes_FromStringAndSize(NULL, whole)
    place = PyBytes_AS_STRING(made)
    memcpy(place, PyBytes_AS_STRING(opening), opened)
    memcpy(place + opened, value, head)
    place += opened + head
    place += put_version(place, revision, more)
    memcpy(place, value + head, size - head)
    memcpy(place + size - head, PyBytes_AS_STRING(closing), closed)
    return made


def added_frame(Store store, Entry entry not None):
    """The frame that tells of the object as if it were new: a watch begins with these. Raises Missing."""
    return framed(store, entry, entry.revision, OPENINGS[C_ADDED], b"}\n")


def added_body(Store store, Entry entry not None):
    """The object's JSON with its resourceVersion; raises Missing."""
    return framed(store, entry, entry.revision, b"", b"")


@cython.final
cdef class Change:
    """One event: ``new`` is None for a deletion, ``old`` for a creation. Frames are kept while it is ``live``."""

    cdef bytes frame(self, Store store, int kind):
        """The event of that type as a line of JSON; raises Missing."""
        if not self.live:
            return framed(store, self.old if kind == C_DELETED else self.new, self.revision, OPENINGS[kind], b"}\n")
        if kind == C_ADDED:
            if self.added is None:
                self.added = framed(store, self.new, self.revision, OPENINGS[0], b"}\n")
            return self.added
        if kind == C_MODIFIED:
            if self.modified is None:
                self.modified = framed(store, self.new, self.revision, OPENINGS[1], b"}\n")
            return self.modified
        if self.deleted is None:
            self.deleted = framed(store, self.old, self.revision, OPENINGS[2], b"}\n")
        return self.deleted

    cdef bytes encoded(self, Store store, int kind, object representation, object encode):
        """The event as ``encode`` writes it, made once for all who ask for the representation; raises Missing."""
        cdef bytes made = None if self.others is None else self.others.get((representation, kind))
        if made is None:
            made = encode(TYPES[kind], framed(store, self.old if kind == C_DELETED else self.new, self.revision, b"", b""))
            if self.live:
                if self.others is None:
                    self.others = {}
                self.others[(representation, kind)] = made
        return made

    def forget(self):
        """What was serialised is not kept any more."""
        self.live = False
        self.added = self.modified = self.deleted = None
        self.others = None


@cython.final
cdef class Batch:
    """Changes that one group is told of together, each as an addition, a modification or a deletion."""

    def __len__(self):
        return len(self.changes)

    @property
    def first_revision(self):
        """The revision of the first change."""
        return (<Change>self.changes[0]).revision

    @property
    def last_revision(self):
        """The revision of the last change."""
        return (<Change>self.changes[len(self.changes) - 1]).revision

    def after(self, int64_t revision):
        """The changes later than that revision, None where there are none."""
        cdef Batch made = Batch.__new__(Batch)
        cdef Py_ssize_t i
        made.store = self.store
        made.changes = []
        made.kinds = []
        for i in range(len(self.changes)):
            if (<Change>self.changes[i]).revision > revision:
                made.changes.append(self.changes[i])
                made.kinds.append(self.kinds[i])
        return made if made.changes else None

    def is_whole(self):
        """True where every object that is told of is still there."""
        cdef const char *value
        cdef Py_ssize_t size, i
        cdef Change change
        for i in range(len(self.changes)):
            change = <Change>self.changes[i]
            if not find_value(self.store, change.old if self.kinds[i] == C_DELETED else change.new, &value, &size):
                return False
        return True

    def part(self, Py_ssize_t start, Py_ssize_t end):
        """The changes of those places."""
        cdef Batch made = Batch.__new__(Batch)
        made.store = self.store
        made.changes = self.changes[start:end]
        made.kinds = self.kinds[start:end]
        return made

    def frames(self):
        """All as lines of JSON in one piece; raises Missing."""
        cdef Py_ssize_t i, count = len(self.changes)
        cdef bytes made = self.whole
        if made is None:
            if count == 1:
                return (<Change>self.changes[0]).frame(self.store, self.kinds[0])
            made = b"".join([(<Change>self.changes[i]).frame(self.store, self.kinds[i]) for i in range(count)])
            if self.live:
                self.whole = made
        return made

    def encoded(self, representation, encode):
        """All as ``encode(type, JSON of the object)`` writes them, in one piece; raises Missing."""
        cdef Py_ssize_t i, count = len(self.changes)
        cdef bytes made = None if self.others is None else self.others.get(representation)
        if made is None:
            made = b"".join(
                [(<Change>self.changes[i]).encoded(self.store, self.kinds[i], representation, encode) for i in range(count)]
            )
            if self.live:
                if self.others is None:
                    self.others = {}
                self.others[representation] = made
        return made

    def forget(self):
        """What was serialised is not kept any more."""
        self.live = False
        self.whole = None
        self.others = None


@cython.final
cdef class Group:
    """Streams that ask the same. A stream is anything with ``offer(batch)``."""

    def __init__(self, Predicate predicate not None, Py_ssize_t trigger=-1, str trigger_value=None):
        self.predicate = predicate
        self.streams = {}
        self.trigger = trigger
        self.trigger_value = trigger_value


cdef class Cache:
    """One resource: ``root`` is what its keys begin with. ``store``: values are read from there, None: they are kept.

    ``decode(key, value)`` gives the JSON of a value that does not begin as stored objects do, None where it cannot be
    read: then there is no such object.
    """

    def __init__(self, bytes root not None, Plan plan not None, decode, Store store=None):
        self.root = root
        self.plan = plan
        self.decode = decode
        self.store = store
        self.table = Table()
        self.ring = []
        self.capacity = C_RING_MIN
        self.groups = {}
        self.scopes = {}
        self.triggers = {}
        self.touched = []
        self.fresh = []

    # -- what the store says -------------------------------------------------------------------------------------

    cdef Entry read(self, bytes key, bytes value, int64_t revision):
        cdef const char *text = PyBytes_AS_STRING(value)
        cdef bint plain = head_end(text, PyBytes_GET_SIZE(value)) >= 0
        cdef bytes held = None
        if not plain:
            value = self.decode(key, value)
            if value is None:
                return None
            text = PyBytes_AS_STRING(value)
            held = value
        elif self.store is None:
            held = value
        labels, fields = self.plan.scan(text, PyBytes_GET_SIZE(value))
        return new_entry(key, held, labels, fields, revision)

    def load(self, list kvs not None):
        """The objects are there; nobody is told. For a cache that has just been made."""
        cdef KeyValue kv
        cdef Entry entry
        for kv in kvs:
            entry = self.read(kv.key, kv.value, kv.mod_revision)
            if entry is not None:
                self.table.put(entry)
            self.last_change = max(self.last_change, kv.mod_revision)

    def loaded(self, int64_t revision):
        """All that ``load`` was given is the state as of ``revision``."""
        self.revision = self.list_revision = revision

    def apply(self, list events not None, double now):
        """The events, in order, have happened; streams are told. Those up to ``revision`` are known and left out."""
        cdef Event event
        cdef KeyValue kv
        cdef Change change
        cdef Entry old, new
        cdef int64_t known = self.revision
        for event in events:
            kv = event.kv
            if kv.mod_revision <= known:
                continue
            if event.type == 0:
                old = self.table.find(kv.key)
                new = self.read(kv.key if old is None else old.key, kv.value, kv.mod_revision)
            else:
                new = None
                old = self.table.find(kv.key)
            if new is not None:
                self.table.put(new)
            elif old is not None:
                self.table.pop(old.key)
            else:
                continue
            change = Change.__new__(Change)
            change.new = new
            change.old = old
            change.revision = kv.mod_revision
            change.at = now
            self.record(change)
            self.dispatch(change)
            self.last_change = kv.mod_revision
            self.event_count += 1
            if self.on_change is not None:
                self.on_change(kv.key, new)
        self.tell()

    def reached(self, int64_t revision):
        """All up to that revision was applied."""
        if revision > self.revision:
            self.revision = revision

    def tell(self):
        """Each group's streams are offered what came together for them."""
        cdef list touched = self.touched
        cdef Group group
        cdef Batch batch
        if not touched:
            return
        self.touched = []
        for group in touched:
            batch = group.batch
            group.batch = None
            self.fresh.append(batch)
            for stream in list(group.streams):
                stream.offer(batch)

    def forget(self):
        """What was serialised for the streams is not kept any more; slow ones make it anew."""
        cdef Batch batch
        cdef Change change
        for batch in self.fresh:
            batch.forget()
            for change in batch.changes:
                change.forget()
        self.fresh = []

    # -- the ring ------------------------------------------------------------------------------------------------

    cdef int record(self, Change change) except -1:
        cdef Py_ssize_t size = len(self.ring) - self.start
        if size >= self.capacity:
            if change.at - (<Change>self.ring[self.start]).at < C_FRESH_SECONDS:
                self.capacity = min(self.capacity * 2, <Py_ssize_t>C_RING_MAX)
            elif change.at - (<Change>self.ring[len(self.ring) - self.capacity // 4]).at > C_FRESH_SECONDS:
                self.capacity = max(self.capacity // 2, <Py_ssize_t>C_RING_MIN)
        while len(self.ring) - self.start >= self.capacity:
            self.drop()
        self.ring.append(change)
        return 0

    def drop(self):
        """The oldest change is not kept any more."""
        self.ring[self.start] = None
        self.start += 1
        self.removed = True
        if self.start >= 1024 and self.start * 2 >= len(self.ring):
            del self.ring[: self.start]
            self.start = 0

    @property
    def oldest(self):
        """The least revision from which on (excluding it) all changes are known."""
        if not self.removed:
            return self.list_revision
        if self.start < len(self.ring):
            return (<Change>self.ring[self.start]).revision - 1
        return self.revision

    cdef Py_ssize_t after(self, int64_t revision) noexcept:
        """The place of the first change that is later."""
        cdef Py_ssize_t low = self.start, high = len(self.ring), middle
        while low < high:
            middle = (low + high) >> 1
            if (<Change>self.ring[middle]).revision <= revision:
                low = middle + 1
            else:
                high = middle
        return low

    def since(self, int64_t revision, Predicate predicate not None):
        """The changes after that revision that concern the predicate, as a Batch, None for none."""
        cdef Batch batch = Batch.__new__(Batch)
        cdef Py_ssize_t i
        cdef Change change
        cdef int kind
        batch.store = self.store
        batch.changes = []
        batch.kinds = []
        for i in range(self.after(revision), len(self.ring)):
            change = <Change>self.ring[i]
            if predicate.covers((change.new if change.new is not None else change.old).key):
                kind = kind_for(predicate, change)
                if kind >= 0:
                    batch.changes.append(change)
                    batch.kinds.append(kind)
        return batch if batch.changes else None

    def before_compaction(self, int64_t revision):
        """The store is about to drop what is older than ``revision``: the ring holds what it alone knows, newest first.

        At most KEPT_BYTES_MAX; changes before that are not kept any more.
        """
        cdef Py_ssize_t i = self.after(revision) - 1, size = 0
        cdef Change change
        if self.store is None:
            return
        while i >= self.start:
            change = <Change>self.ring[i]
            size += self.hold(change.new) + self.hold(change.old)
            if size > C_KEPT_BYTES:
                break
            i -= 1
        while self.start <= i:
            self.drop()

    def hold(self, Entry entry):
        """The entry keeps its value, unless it is its key's newest; the bytes that costs."""
        cdef const char *value
        cdef Py_ssize_t size
        if entry is None or entry.value is not None or self.table.find(entry.key) is entry:
            return 0
        if not find_value(self.store, entry, &value, &size):
            return C_KEPT_BYTES + 1
        entry.value = PyBytes_FromStringAndSize(value, size)
        return size

    # -- streams -------------------------------------------------------------------------------------------------

    def join(self, object identity, Predicate predicate not None, object stream, Py_ssize_t trigger=-1, str value=None):
        """The stream is told of what concerns the predicate, until it leaves; streams of one identity ask the same.

        ``trigger`` and ``value``: a field that the predicate wants to have that value, -1 for none.
        """
        cdef Group group = self.groups.get(identity)
        if group is None:
            group = self.groups[identity] = Group(predicate, trigger, value)
            self.index(group).append(group)
        group.streams[stream] = None

    cdef list index(self, Group group):
        """The list in which the group is found."""
        if group.trigger >= 0:
            return self.triggers.setdefault(group.trigger, {}).setdefault(group.trigger_value, [])
        return self.scopes.setdefault(group.predicate.prefix, [])

    def leave(self, object identity, object stream):
        """The stream is told of nothing any more."""
        cdef Group group = self.groups.get(identity)
        cdef list found
        if group is None:
            return
        group.streams.pop(stream, None)
        if group.streams:
            return
        del self.groups[identity]
        found = self.index(group)
        found.remove(group)
        if found:
            return
        if group.trigger < 0:
            del self.scopes[group.predicate.prefix]
            return
        del self.triggers[group.trigger][group.trigger_value]
        if not self.triggers[group.trigger]:
            del self.triggers[group.trigger]

    @property
    def streams(self):
        """All streams that are told."""
        cdef Group group
        return [stream for group in self.groups.values() for stream in group.streams]

    cdef int dispatch(self, Change change) except -1:
        cdef bytes key = (change.new if change.new is not None else change.old).key
        cdef bytes folder
        cdef list found
        cdef Py_ssize_t place
        cdef dict values
        if not self.groups:
            return 0
        if self.scopes:
            found = self.scopes.get(self.root)
            if found is not None:
                self.offer(found, change)
            folder = key[: key.rindex(b"/") + 1]
            if PyBytes_GET_SIZE(folder) != PyBytes_GET_SIZE(self.root):
                found = self.scopes.get(folder)
                if found is not None:
                    self.offer(found, change)
            found = self.scopes.get(key)
            if found is not None:
                self.offer(found, change)
        for place, values in self.triggers.items():
            new = None if change.new is None else change.new.fields[place]
            old = None if change.old is None else change.old.fields[place]
            if new is not None:
                found = values.get(new)
                if found is not None:
                    self.offer(found, change)
            if old is not None and old != new:
                found = values.get(old)
                if found is not None:
                    self.offer(found, change)
        return 0

    cdef int offer(self, list candidates, Change change) except -1:
        cdef Group group
        cdef int kind
        cdef bytes key = (change.new if change.new is not None else change.old).key
        for group in candidates:
            if not group.predicate.covers(key):
                continue
            kind = kind_for(group.predicate, change)
            if kind < 0:
                continue
            if group.batch is None:
                group.batch = Batch.__new__(Batch)
                group.batch.store = self.store
                group.batch.live = True
                group.batch.changes = []
                group.batch.kinds = []
                self.touched.append(group)
            if not change.live:
                change.live = True
            group.batch.changes.append(change)
            group.batch.kinds.append(kind)
        return 0


cdef int kind_for(Predicate predicate, Change change) except -2:
    """What the change is for one who sees only what the predicate accepts; -1 for nothing."""
    cdef bint new = change.new is not None and predicate.matches(change.new)
    cdef bint old = change.old is not None and predicate.matches(change.old)
    if new:
        return C_MODIFIED if old else C_ADDED
    return C_DELETED if old else -1


def split(list events not None, dict caches not None, Py_ssize_t skip):
    """The events by the cache that their key belongs to: (cache, events). ``skip``: characters of the keys' common prefix.

    ``caches``: by the folder, of one part (``pods``) or two (``services/specs``).
    """
    cdef dict found = {}
    cdef Event event
    cdef bytes key
    cdef Py_ssize_t first, second
    cdef list mine
    for event in events:
        key = event.kv.key
        first = key.find(b"/", skip)
        if first < 0:
            continue
        cache = caches.get(key[skip:first])
        if cache is None:
            second = key.find(b"/", first + 1)
            cache = None if second < 0 else caches.get(key[skip:second])
            if cache is None:
                continue
        mine = found.get(cache)
        if mine is None:
            mine = found[cache] = []
        mine.append(event)
    return list(found.items())
