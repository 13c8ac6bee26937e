# cython: language_level=3
"""The log in memory: what Raft reads while the disk driver has the same on the disk.

Source: etcd-io/raft, storage.go (MemoryStorage).
"""

from kcore_native.raft.entry cimport Entry, SnapshotMetadata, limit_size

from kcore_native.raft.errors import Compacted, InvariantViolated, SnapshotOutOfDate, Unavailable


cdef class MemoryStorage:
    """The entries behind the last compaction, the newest snapshot, the hard state.

    Invariant: kept[i] has index offset + 1 + i; ``offset_term`` is the term of the entry at ``offset``, which is gone.
    """

    def __init__(self):
        self.hard_state = HardState()
        self.newest = Snapshot()
        self.kept = []
        self.offset = 0
        self.offset_term = 0

    def initial_state(self) -> tuple[HardState, ConfState]:
        """The hard state and the configuration of the newest snapshot."""
        return self.hard_state, self.newest.metadata.conf_state

    cpdef uint64_t first_index(self) except? 0:
        """Index of the first entry that is kept, or would be."""
        return self.offset + 1

    cpdef uint64_t last_index(self) except? 0:
        """Index of the last entry."""
        return self.offset + <uint64_t>len(self.kept)

    cdef int find_term(self, uint64_t index, uint64_t *term) except -1:
        term[0] = 0
        if index < self.offset:
            return TERM_COMPACTED
        if index == self.offset:
            term[0] = self.offset_term
            return TERM_KNOWN
        if index > self.offset + <uint64_t>len(self.kept):
            return TERM_UNAVAILABLE
        term[0] = (<Entry>self.kept[<Py_ssize_t>(index - self.offset - 1)]).term
        return TERM_KNOWN

    def term(self, uint64_t index) -> int:
        """Term of the entry; Compacted or Unavailable where it is not here."""
        cdef uint64_t term = 0
        cdef int found = self.find_term(index, &term)
        if found == TERM_COMPACTED:
            raise Compacted
        if found == TERM_UNAVAILABLE:
            raise Unavailable
        return term

    cpdef list entries(self, uint64_t low, uint64_t high, uint64_t max_size):
        """Entries of [low, high), at most max_size bytes of them but at least one."""
        if low <= self.offset:
            raise Compacted
        if high > self.offset + <uint64_t>len(self.kept) + 1:
            raise InvariantViolated(f"entries' hi({high}) is out of bound lastindex({self.last_index()})")
        if not self.kept:
            raise Unavailable
        return limit_size(
            self.kept[<Py_ssize_t>(low - self.offset - 1) : <Py_ssize_t>(high - self.offset - 1)], max_size
        )

    def snapshot(self) -> Snapshot:
        """The newest snapshot; of index 0 where there is none."""
        return self.newest

    def set_hard_state(self, HardState hard_state not None) -> None:
        """The hard state is saved."""
        self.hard_state = hard_state

    def append(self, entries) -> None:
        """The entries are in the log; what had their indices, or later ones, is gone."""
        cdef list fresh = entries if type(entries) is list else list(entries)
        cdef uint64_t first, position
        if not fresh:
            return
        first = (<Entry?>fresh[0]).index
        if first + <uint64_t>len(fresh) - 1 <= self.offset:
            return  # all compacted already
        if first <= self.offset:
            fresh = fresh[<Py_ssize_t>(self.offset + 1 - first) :]
            first = self.offset + 1
        position = first - self.offset - 1
        if position > <uint64_t>len(self.kept):
            raise InvariantViolated(f"missing log entry [last: {self.last_index()}, append at: {first}]")
        if position < <uint64_t>len(self.kept):
            del self.kept[<Py_ssize_t>position :]
        self.kept.extend(fresh)

    def apply_snapshot(self, Snapshot snapshot not None) -> None:
        """The snapshot stands in place of all that was."""
        cdef uint64_t present = self.newest.metadata.index
        # at index 0 an application may give only the configuration to start with
        if present != 0 and present >= snapshot.metadata.index:
            raise SnapshotOutOfDate
        self.newest = snapshot
        self.offset = snapshot.metadata.index
        self.offset_term = snapshot.metadata.term
        self.kept = []

    def create_snapshot(self, uint64_t index, ConfState conf_state, bytes data not None) -> Snapshot:
        """The newest snapshot is the state at index, with this configuration (None: as it was) and data."""
        cdef uint64_t term = 0
        if index <= self.newest.metadata.index:
            raise SnapshotOutOfDate
        if index > self.last_index():
            raise InvariantViolated(f"snapshot {index} is out of bound lastindex({self.last_index()})")
        if self.find_term(index, &term) == TERM_COMPACTED:
            raise Compacted
        if conf_state is None:
            conf_state = self.newest.metadata.conf_state
        self.newest = Snapshot(data, SnapshotMetadata(conf_state, index, term))
        return self.newest

    def compact(self, uint64_t index) -> None:
        """Entries up to index are gone; index must have been applied."""
        cdef uint64_t term = 0
        if index <= self.offset:
            raise Compacted
        if index > self.last_index():
            raise InvariantViolated(f"compact {index} is out of bound lastindex({self.last_index()})")
        self.find_term(index, &term)
        del self.kept[: <Py_ssize_t>(index - self.offset)]
        self.offset = index
        self.offset_term = term
