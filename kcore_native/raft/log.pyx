# cython: language_level=3
"""The log as Raft sees it: what the storage has, and behind it what is not known to be on the disk yet.

Source: etcd-io/raft, log.go and log_unstable.go.
"""

cimport cython

from kcore_native.raft.entry cimport Entry, entries_size, limit_size
from kcore_native.raft.storage cimport TERM_COMPACTED, TERM_KNOWN, TERM_UNAVAILABLE

from kcore_native.raft.errors import Compacted, InvariantViolated, Unavailable

cdef tuple READS = ("first_index", "last_index", "term", "entries")


@cython.final
cdef class Unstable:
    """Entries and a snapshot on their way to the disk.

    Invariants: entries[i] has index offset + i; offset <= offset_in_progress <= offset + len(entries); entries before
    offset_in_progress are being written, and so is the snapshot if ``snapshot_in_progress``. ``offset`` may be lower
    than the storage's last index: then the next write truncates the storage.
    """

    def __cinit__(self, uint64_t offset):
        self.snapshot = None
        self.entries = []
        self.offset = offset
        self.snapshot_in_progress = False
        self.offset_in_progress = offset

    cdef uint64_t last_index(self) noexcept:
        # 0 where there is neither an entry nor a snapshot
        if self.entries:
            return self.offset + <uint64_t>len(self.entries) - 1
        if self.snapshot is not None:
            return self.snapshot.metadata.index
        return 0

    cdef bint find_term(self, uint64_t index, uint64_t *term) noexcept:
        cdef uint64_t position
        if index < self.offset:
            if self.snapshot is not None and self.snapshot.metadata.index == index:
                term[0] = self.snapshot.metadata.term
                return True
            return False
        position = index - self.offset
        if position >= <uint64_t>len(self.entries):
            return False
        term[0] = (<Entry>self.entries[<Py_ssize_t>position]).term
        return True

    cdef bint has_next_entries(self) noexcept:
        return <uint64_t>len(self.entries) > self.offset_in_progress - self.offset

    cdef list next_entries(self):
        # those that are not being written yet; a list of the caller's
        if not self.has_next_entries():
            return []
        return self.entries[<Py_ssize_t>(self.offset_in_progress - self.offset) :]

    cdef Snapshot next_snapshot(self):
        return None if self.snapshot_in_progress else self.snapshot

    cdef int accept_in_progress(self) except -1:
        # all there is is being written from now on
        if self.entries:
            self.offset_in_progress = self.offset + <uint64_t>len(self.entries)
        if self.snapshot is not None:
            self.snapshot_in_progress = True
        return 0

    cdef int stable_to(self, uint64_t index, uint64_t term) except -1:
        # Entries up to this one are on the disk, and no write under way can replace them. An entry that is no longer
        # here, or has been replaced since its write began, changes nothing.
        cdef uint64_t present = 0
        if index < self.offset or not self.find_term(index, &present) or present != term:
            return 0
        del self.entries[: <Py_ssize_t>(index + 1 - self.offset)]
        self.offset = index + 1
        self.offset_in_progress = max(self.offset_in_progress, self.offset)
        return 0

    cdef void stable_snapshot_to(self, uint64_t index) noexcept:
        if self.snapshot is not None and self.snapshot.metadata.index == index:
            self.snapshot = None
            self.snapshot_in_progress = False

    cdef int restore(self, Snapshot snapshot) except -1:
        self.offset = snapshot.metadata.index + 1
        self.offset_in_progress = self.offset
        self.entries = []
        self.snapshot = snapshot
        self.snapshot_in_progress = False
        return 0

    cdef int truncate_and_append(self, list entries) except -1:
        cdef uint64_t first = (<Entry>entries[0]).index
        if first == self.offset + <uint64_t>len(self.entries):
            self.entries.extend(entries)
        elif first <= self.offset:
            self.entries = entries[:]
            self.offset = first
            self.offset_in_progress = first
        else:
            if first > self.offset + <uint64_t>len(self.entries):
                raise InvariantViolated(f"unstable.slice[{self.offset},{first}) out of bound")
            del self.entries[<Py_ssize_t>(first - self.offset) :]
            self.entries.extend(entries)
            self.offset_in_progress = min(self.offset_in_progress, first)
        return 0

    cdef list slice(self, uint64_t low, uint64_t high):
        if low > high or low < self.offset or high > self.offset + <uint64_t>len(self.entries):
            raise InvariantViolated(f"unstable.slice[{low},{high}) out of bound")
        return self.entries[<Py_ssize_t>(low - self.offset) : <Py_ssize_t>(high - self.offset)]


@cython.final
cdef class RaftLog:
    """Storage and unstable entries as one log, with the marks in it.

    Invariants: applied <= applying <= committed <= last index. ``committed`` is known to be on a quorum's disks;
    up to ``applying`` entries were given out to be applied, up to ``applied`` they have been. ``applying_size`` is the
    size of what was given out and not acknowledged; no more is given out while ``applying_paused``.
    """

    def __cinit__(self, storage, uint64_t max_applying_size):
        cdef uint64_t last
        self.storage = storage
        # the common storage is read without Python in between, unless its reads are overridden
        self.memory = None
        if isinstance(storage, MemoryStorage) and all(
            [getattr(type(storage), name) is getattr(MemoryStorage, name) for name in READS]
        ):
            self.memory = <MemoryStorage>storage
        last = storage.last_index()
        self.unstable = Unstable(last + 1)
        self.committed = self.applying = self.applied = <uint64_t>storage.first_index() - 1
        self.max_applying_size = max_applying_size
        self.applying_size = 0
        self.applying_paused = False

    cdef uint64_t first_index(self) except? 0:
        if self.unstable.snapshot is not None:
            return self.unstable.snapshot.metadata.index + 1
        if self.memory is not None:
            return self.memory.offset + 1
        return self.storage.first_index()

    cdef uint64_t last_index(self) except? 0:
        if self.unstable.entries or self.unstable.snapshot is not None:
            return self.unstable.last_index()
        if self.memory is not None:
            return self.memory.offset + <uint64_t>len(self.memory.kept)
        return self.storage.last_index()

    cdef int find_term(self, uint64_t index, uint64_t *term) except -1:
        # TERM_KNOWN for first_index - 1 <= index <= last_index
        term[0] = 0
        if self.unstable.find_term(index, term):
            return TERM_KNOWN
        if index + 1 < self.first_index():
            return TERM_COMPACTED
        if index > self.last_index():
            return TERM_UNAVAILABLE
        if self.memory is not None:
            return self.memory.find_term(index, term)
        try:
            term[0] = self.storage.term(index)
        except Compacted:
            return TERM_COMPACTED
        except Unavailable:
            return TERM_UNAVAILABLE
        return TERM_KNOWN

    cdef uint64_t term_or_zero(self, uint64_t index) except? 0:
        cdef uint64_t term = 0
        self.find_term(index, &term)
        return term

    cdef uint64_t last_term(self) except? 0:
        cdef uint64_t term = 0, index = self.last_index()
        if self.find_term(index, &term) != TERM_KNOWN:
            raise InvariantViolated(f"unexpected error when getting the last term at {index}")
        return term

    cdef int match_term(self, uint64_t index, uint64_t term) except -1:
        cdef uint64_t present = 0
        return self.find_term(index, &present) == TERM_KNOWN and present == term

    cdef int is_up_to_date(self, uint64_t index, uint64_t term) except -1:
        # True where a log that ends so lacks nothing that this one may have committed
        cdef uint64_t our_term = self.last_term()
        return term > our_term or (term == our_term and index >= self.last_index())

    cdef int maybe_append(self, uint64_t index, uint64_t term, list entries, uint64_t committed) except -1:
        # False unless this log has the entry before; then the entries are in it, and committed as far as known
        cdef uint64_t conflict
        if not self.match_term(index, term):
            return False
        if entries is None:
            self.commit_to(min(committed, index))
            return True
        conflict = self.find_conflict(entries)
        if conflict != 0:
            if conflict <= self.committed:
                raise InvariantViolated(
                    f"entry {conflict} conflict with committed entry [committed({self.committed})]"
                )
            self.append(entries[<Py_ssize_t>(conflict - index - 1) :] if conflict > index + 1 else entries)
        self.commit_to(min(committed, index + <uint64_t>len(entries)))
        return True

    cdef int append(self, list entries) except -1:
        cdef uint64_t first
        if not entries:
            return 0
        first = (<Entry>entries[0]).index
        if first <= self.committed:
            raise InvariantViolated(f"after({first - 1}) is out of range [committed({self.committed})]")
        self.unstable.truncate_and_append(entries)
        return 0

    cdef uint64_t find_conflict(self, list entries) except? 0:
        # index of the first of the entries that this log has not got, or has of another term; 0 where there is none
        cdef Entry entry
        for entry in entries:
            if not self.match_term(entry.index, entry.term):
                return entry.index
        return 0

    cdef uint64_t find_conflict_by_term(self, uint64_t index, uint64_t term, uint64_t *found_term) except? 0:
        # The largest index, not above the given one, whose term is not above the given one or is unknown: where a log
        # may match another of which only the entry (index, term) is known. found_term is 0 where unknown.
        cdef uint64_t present = 0
        while index > 0:
            if self.find_term(index, &present) != TERM_KNOWN:
                found_term[0] = 0
                return index
            if present <= term:
                found_term[0] = present
                return index
            index -= 1
        found_term[0] = 0
        return 0

    cdef uint64_t max_appliable_index(self, bint allow_unstable) noexcept:
        return self.committed if allow_unstable else min(self.committed, self.unstable.offset - 1)

    cdef bint has_next_committed(self, bint allow_unstable) noexcept:
        # a snapshot must be applied first
        if self.applying_paused or self.unstable.snapshot is not None:
            return False
        return self.applying < self.max_appliable_index(allow_unstable)

    cdef list next_committed(self, bint allow_unstable):
        # entries to apply; one that is not known to be on this disk only if allow_unstable
        if not self.has_next_committed(allow_unstable):
            return []
        if self.max_applying_size <= self.applying_size:
            raise InvariantViolated(
                f"applying entry size ({self.max_applying_size}-{self.applying_size}) not positive"
            )
        return self.unapplied(
            self.applying + 1,
            self.max_appliable_index(allow_unstable) + 1,
            self.max_applying_size - self.applying_size,
        )

    cdef Snapshot snapshot(self):
        if self.unstable.snapshot is not None:
            return self.unstable.snapshot
        return self.storage.snapshot()

    cdef int commit_to(self, uint64_t index) except -1:
        if self.committed < index:
            if self.last_index() < index:
                raise InvariantViolated(
                    f"tocommit({index}) is out of range [lastIndex({self.last_index()})]. "
                    "Was the raft log corrupted, truncated, or lost?"
                )
            self.committed = index
        return 0

    cdef int maybe_commit(self, uint64_t index, uint64_t term) except -1:
        # a leader counts replicas only of entries of its own term (dissertation, 3.6.2)
        if term != 0 and index > self.committed and self.match_term(index, term):
            self.commit_to(index)
            return True
        return False

    cdef int applied_to(self, uint64_t index, uint64_t size) except -1:
        if self.committed < index or index < self.applied:
            raise InvariantViolated(
                f"applied({index}) is out of range [prevApplied({self.applied}), committed({self.committed})]"
            )
        self.applied = index
        self.applying = max(self.applying, index)
        self.applying_size = self.applying_size - size if self.applying_size > size else 0
        self.applying_paused = self.applying_size >= self.max_applying_size
        return 0

    cdef int accept_applying(self, uint64_t index, uint64_t size, bint allow_unstable) except -1:
        if self.committed < index:
            raise InvariantViolated(
                f"applying({index}) is out of range [prevApplying({self.applying}), committed({self.committed})]"
            )
        self.applying = index
        self.applying_size += size
        # paused also where the next entry would pass the limit: then fewer were given out than could be applied
        self.applying_paused = (
            self.applying_size >= self.max_applying_size or index < self.max_appliable_index(allow_unstable)
        )
        return 0

    cdef int restore(self, Snapshot snapshot) except -1:
        self.committed = snapshot.metadata.index
        self.unstable.restore(snapshot)
        return 0

    cdef list entries_from(self, uint64_t index, uint64_t max_size):
        cdef uint64_t last = self.last_index()
        if index > last:
            return []
        return self.slice(index, last + 1, max_size)

    cdef list stored(self, uint64_t low, uint64_t high, uint64_t max_size):
        try:
            if self.memory is not None:
                return self.memory.entries(low, high, max_size)
            return self.storage.entries(low, high, max_size)
        except Unavailable:
            raise InvariantViolated(f"entries[{low}:{high}) is unavailable from storage") from None

    cdef list unapplied(self, uint64_t low, uint64_t high, uint64_t max_size):
        try:
            return self.slice(low, high, max_size)
        except Compacted:
            raise InvariantViolated(f"entries from {low} on were compacted before they were applied") from None

    cdef list slice(self, uint64_t low, uint64_t high, uint64_t max_size):
        # entries of [low, high), at most max_size bytes of them but at least one; Compacted where low is gone
        cdef list entries, more
        cdef uint64_t cut, size
        if low > high:
            raise InvariantViolated(f"invalid slice {low} > {high}")
        if low < self.first_index():
            raise Compacted
        if high > self.last_index() + 1:
            raise InvariantViolated(
                f"slice[{low},{high}) out of bound [{self.first_index()},{self.last_index()}]"
            )
        if low == high:
            return []
        if low >= self.unstable.offset:
            return limit_size(self.unstable.slice(low, high), max_size)
        cut = min(high, self.unstable.offset)
        entries = self.stored(low, cut, max_size)
        if high <= self.unstable.offset or <uint64_t>len(entries) < cut - low:
            return entries
        size = entries_size(entries)
        if size >= max_size:
            return entries
        more = limit_size(self.unstable.slice(self.unstable.offset, high), max_size - size)
        if len(more) == 1 and size + entries_size(more) > max_size:
            return entries
        return entries + more
