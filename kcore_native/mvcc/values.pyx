# cython: language_level=3
"""What the store answers with: immutable values without a dict, made some ten times faster than named tuples.

Fields, order of arguments and defaults are part of the kv face (``kcore.store.kv`` re-exports them). Values of one class
are equal where all their fields are; they hold nothing that could hold them, so the garbage collector skips them.
"""

cimport cython


cdef bint same(object left, object right, object kind):
    return type(left) is kind and type(right) is kind and left._fields() == right._fields()


@cython.no_gc
@cython.freelist(4096)
@cython.final
cdef class KeyValue:
    """One version of one key (etcd ``mvccpb.KeyValue``)."""

    __match_args__ = ("key", "value", "create_revision", "mod_revision", "version", "lease")

    def __init__(
        self,
        bytes key not None,
        bytes value not None,
        int64_t create_revision,
        int64_t mod_revision,
        int64_t version,
        int64_t lease=0,
    ):
        self.key = key
        self.value = value
        self.create_revision = create_revision
        self.mod_revision = mod_revision
        self.version = version
        self.lease = lease

    def _fields(self):
        return self.key, self.value, self.create_revision, self.mod_revision, self.version, self.lease

    def __eq__(self, other):
        return same(self, other, KeyValue) if type(other) is KeyValue else NotImplemented

    def __hash__(self):
        return hash(self._fields())

    def __reduce__(self):
        return KeyValue, self._fields()

    def __repr__(self):
        return (
            f"KeyValue(key={self.key!r}, value={self.value!r}, create_revision={self.create_revision}, "
            f"mod_revision={self.mod_revision}, version={self.version}, lease={self.lease})"
        )


@cython.no_gc
@cython.freelist(4096)
@cython.final
cdef class Event:
    """One change; a deletion's ``kv`` has key and mod_revision only. ``previous`` is None unless asked for."""

    __match_args__ = ("type", "kv", "previous")

    def __init__(self, int type, KeyValue kv not None, KeyValue previous=None):
        self.type = type
        self.kv = kv
        self.previous = previous

    def _fields(self):
        return self.type, self.kv, self.previous

    def __eq__(self, other):
        return same(self, other, Event) if type(other) is Event else NotImplemented

    def __hash__(self):
        return hash(self._fields())

    def __reduce__(self):
        return Event, self._fields()

    def __repr__(self):
        return f"Event(type={self.type}, kv={self.kv!r}, previous={self.previous!r})"


@cython.no_gc
@cython.freelist(256)
@cython.final
cdef class RangeResult:
    """``count`` is of all keys in the range, ``more`` whether ``limit`` cut the answer."""

    __match_args__ = ("revision", "kvs", "count", "more")

    def __init__(self, int64_t revision, list kvs not None, int64_t count, bint more=False):
        self.revision = revision
        self.kvs = kvs
        self.count = count
        self.more = more

    def _fields(self):
        return self.revision, self.kvs, self.count, self.more

    def __eq__(self, other):
        return same(self, other, RangeResult) if type(other) is RangeResult else NotImplemented

    __hash__ = None

    def __reduce__(self):
        return RangeResult, self._fields()

    def __repr__(self):
        return f"RangeResult(revision={self.revision}, kvs={self.kvs!r}, count={self.count}, more={self.more})"


@cython.no_gc
@cython.freelist(4096)
@cython.final
cdef class PutResult:
    """The revision that the put made; ``previous`` is None unless asked for."""

    __match_args__ = ("revision", "previous")

    def __init__(self, int64_t revision, KeyValue previous=None):
        self.revision = revision
        self.previous = previous

    def _fields(self):
        return self.revision, self.previous

    def __eq__(self, other):
        return same(self, other, PutResult) if type(other) is PutResult else NotImplemented

    __hash__ = None

    def __reduce__(self):
        return PutResult, self._fields()

    def __repr__(self):
        return f"PutResult(revision={self.revision}, previous={self.previous!r})"


@cython.no_gc
@cython.freelist(256)
@cython.final
cdef class DeleteResult:
    """How many keys were deleted; ``previous`` is empty unless asked for."""

    __match_args__ = ("revision", "deleted", "previous")

    def __init__(self, int64_t revision, int64_t deleted, list previous not None):
        self.revision = revision
        self.deleted = deleted
        self.previous = previous

    def _fields(self):
        return self.revision, self.deleted, self.previous

    def __eq__(self, other):
        return same(self, other, DeleteResult) if type(other) is DeleteResult else NotImplemented

    __hash__ = None

    def __reduce__(self):
        return DeleteResult, self._fields()

    def __repr__(self):
        return f"DeleteResult(revision={self.revision}, deleted={self.deleted}, previous={self.previous!r})"


@cython.no_gc
@cython.freelist(256)
@cython.final
cdef class TxnResult:
    """``results`` holds one result for each operation of the branch taken, in order."""

    __match_args__ = ("revision", "succeeded", "results")

    def __init__(self, int64_t revision, bint succeeded, list results not None):
        self.revision = revision
        self.succeeded = succeeded
        self.results = results

    def _fields(self):
        return self.revision, self.succeeded, self.results

    def __eq__(self, other):
        return same(self, other, TxnResult) if type(other) is TxnResult else NotImplemented

    __hash__ = None

    def __reduce__(self):
        return TxnResult, self._fields()

    def __repr__(self):
        return f"TxnResult(revision={self.revision}, succeeded={self.succeeded}, results={self.results!r})"


@cython.no_gc
@cython.freelist(256)
@cython.final
cdef class WatchBatch:
    """Events of whole revisions in order; no events: a progress mark (all up to ``revision`` was delivered).

    ``fragment`` is true where more of the same revision follows. ``compact_revision`` is set, and the watch over,
    where the revision asked for is compacted; ``cancel_reason`` where the watch is over for another reason.
    """

    __match_args__ = ("revision", "events", "fragment", "compact_revision", "cancel_reason")

    def __init__(
        self,
        int64_t revision,
        list events not None,
        bint fragment=False,
        int64_t compact_revision=0,
        str cancel_reason not None="",
    ):
        self.revision = revision
        self.events = events
        self.fragment = fragment
        self.compact_revision = compact_revision
        self.cancel_reason = cancel_reason

    def _fields(self):
        return self.revision, self.events, self.fragment, self.compact_revision, self.cancel_reason

    def __eq__(self, other):
        return same(self, other, WatchBatch) if type(other) is WatchBatch else NotImplemented

    __hash__ = None

    def __reduce__(self):
        return WatchBatch, self._fields()

    def __repr__(self):
        return (
            f"WatchBatch(revision={self.revision}, events={self.events!r}, fragment={self.fragment}, "
            f"compact_revision={self.compact_revision}, cancel_reason={self.cancel_reason!r})"
        )
