"""How a Raft node is set up: identity, clock in ticks, limits, options.

Source of names and meaning: etcd-io/raft, ``Config`` in raft.go.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from kcore_native.raft.entry import ConfState, Entry, HardState, Snapshot
from kcore_native.raft.message import NONE, is_local_target

NO_LIMIT: Final = 0xFFFFFFFFFFFFFFFF
MESSAGE_BYTES_MAX: Final = 1024 * 1024  # what etcd sends at most in one append
INFLIGHT_MESSAGES_MAX: Final = 256


class Storage(Protocol):
    """What Raft reads of the log that is on the disk; it never writes. MemoryStorage is one.

    Errors: ``Compacted`` for an index before the log, ``Unavailable`` for one behind it,
    ``SnapshotTemporarilyUnavailable`` from ``snapshot``.
    """

    def initial_state(self) -> tuple[HardState, ConfState]:
        """The hard state and the configuration that were saved last; read once, at the start."""
        ...

    def first_index(self) -> int:
        """Index of the first entry that there may be; older ones are in the snapshot."""
        ...

    def last_index(self) -> int:
        """Index of the last entry."""
        ...

    def term(self, index: int) -> int:
        """Term of the entry, for first_index() - 1 <= index <= last_index()."""
        ...

    def entries(self, low: int, high: int, max_size: int) -> list[Entry]:
        """Entries of [low, high), at most max_size bytes of them but at least one; the list is the caller's."""
        ...

    def snapshot(self) -> Snapshot:
        """The newest snapshot."""
        ...


@dataclass(slots=True)
class Config:
    """The set-up of one node. Sizes are in bytes of etcd's protocol buffers of the entries, 0 as said."""

    id: int  # not 0
    election_tick: int = (
        10  # ticks without a leader after which an election starts; up to twice as many, by chance
    )
    heartbeat_tick: int = 1  # ticks between heartbeats of a leader
    storage: Storage | None = None
    applied: int = 0  # entries up to here are not handed out again
    max_size_per_message: int = MESSAGE_BYTES_MAX  # 0: one entry a message
    max_committed_size_per_ready: int = 0  # also over all that are not acknowledged; 0: max_size_per_message
    max_uncommitted_size: int = 0  # of payloads; proposals beyond are dropped; 0: no limit
    max_inflight_messages: int = INFLIGHT_MESSAGES_MAX  # appends to one peer that are not acknowledged
    max_inflight_bytes: int = 0  # the same in bytes of payload; 0: no limit
    check_quorum: bool = False  # a leader that hears no quorum for election_tick steps down
    pre_vote: bool = False  # ask before raising the term (dissertation, 9.6)
    lease_based_reads: bool = False  # read index without asking a quorum; trusts clocks, needs check_quorum
    async_storage_writes: bool = False  # messages to the storage threads in place of advance()
    disable_proposal_forwarding: bool = False  # a follower drops proposals
    disable_conf_change_validation: bool = False  # for who serialises changes above Raft
    # A leader removed or made a learner becomes a follower. In a configuration of two that can end all elections: the
    # other may not have heard that the removal is committed, and needs a vote that the longer log of the removed refuses.
    step_down_on_removal: bool = False
    seed: int = 0  # of the election timeouts, together with the id

    def validate(self) -> None:
        """Every field is within its bounds; ValueError says which is not."""
        if self.id == NONE:
            raise ValueError("cannot use none as id")
        if not 0 < self.id <= NO_LIMIT or is_local_target(self.id):
            raise ValueError("cannot use local target as id")
        if self.heartbeat_tick <= 0:
            raise ValueError("heartbeat tick must be greater than 0")
        if self.election_tick <= self.heartbeat_tick:
            raise ValueError("election tick must be greater than heartbeat tick")
        if self.storage is None:
            raise ValueError("storage cannot be nil")
        if self.max_inflight_messages <= 0:
            raise ValueError("max inflight messages must be greater than 0")
        if self.max_inflight_bytes and self.max_inflight_bytes < self.max_size_per_message:
            raise ValueError("max inflight bytes must be >= max message size")
        if self.lease_based_reads and not self.check_quorum:
            raise ValueError("CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased")
