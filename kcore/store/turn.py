"""What a member is given and gives: its constants, a turn's work, and what follows when that is done."""

from dataclasses import dataclass
from typing import Final

from kcore.store.calls import Packet
from kcore_native.raft import Config, Entry, HardState, MemoryStorage, Message, Ready, SnapshotMetadata

REQUEST_TIMEOUT_MS: Final = 5_000  # and two election timeouts: how long a request waits, as etcd's ReqTimeout
UNCOMMITTED_BYTES_MAX: Final = 64 << 20  # of the leader's log; more waits in the queue
MESSAGE_BYTES_MAX: Final = 1 << 20  # of the entries in one append message
INFLIGHT_MESSAGES_MAX: Final = 512  # append messages to one follower without an answer
SNAPSHOT_LOG_BYTES: Final = 64 << 20  # of log since the last snapshot on disk before the next one is taken


@dataclass(frozen=True, slots=True)
class MemberConfig:
    """A member's constants. ``unix_ms`` is when it was started: request ids and members' ids are made of it."""

    id: int
    cluster_id: int
    name: str = "default"
    client_urls: tuple[str, ...] = ()
    tick_ms: int = 100  # etcd's --heartbeat-interval
    election_ticks: int = 10
    snapshot_count: int = 10_000  # entries applied until the log in memory is cut
    catch_up_entries: int = 5_000  # of those cut, kept for slow followers
    snapshot_log_bytes: int = SNAPSHOT_LOG_BYTES
    pre_vote: bool = True
    check_quorum: bool = True
    strict_reconfig_check: bool = True
    auto_compaction_mode: str = "periodic"
    auto_compaction_retention: int = 0  # milliseconds, or revisions; 0: none
    corrupt_check_ms: int = 0  # how often the leader compares hashes; 0: never
    lease_checkpoints: bool = False
    seed: int = 0
    unix_ms: int = 0

    @property
    def election_ms(self) -> int:
        return self.tick_ms * self.election_ticks

    @property
    def request_timeout_ms(self) -> int:
        return REQUEST_TIMEOUT_MS + 2 * self.election_ms


class Work:
    """What a driver must do before ``Member.done``. ``messages`` may be sent at once, in order.

    ``snapshot``: it becomes the newest on disk before ``hard_state`` and ``entries`` are written (its chunks were
    given to ``snapshot_received``). ``must_sync``: all of it is on disk before ``done``. ``snapshots_to_send``: for
    each, ask ``snapshot_for`` and stream it.
    """

    __slots__ = (
        "entries", "hard_state", "messages", "must_sync", "ready", "snapshot", "snapshots_to_send", "to_apply",
    )  # fmt: skip

    def __init__(self, messages: list[Packet], ready: Ready | None = None) -> None:
        self.messages = messages
        self.ready = ready
        self.hard_state: HardState | None = ready.hard_state if ready else None
        self.entries: list[Entry] = ready.entries if ready else []
        self.snapshot: SnapshotMetadata | None = ready.snapshot.metadata if ready and ready.snapshot else None
        self.must_sync: bool = bool(ready and ready.must_sync) or self.snapshot is not None
        self.snapshots_to_send: list[Message] = []
        self.to_apply: list[Entry] = ready.committed_entries if ready else []


class Outcome:
    """What follows from work that is done. ``messages`` are sent now.

    ``take_snapshot``: call ``open_snapshot`` and write it to disk, in pieces between turns. ``members_changed``: the
    network learns of new members and forgets the removed. ``removed``: this member is none any more; it stops.
    """

    __slots__ = ("members_changed", "messages", "removed", "take_snapshot")

    def __init__(self) -> None:
        self.messages: list[Packet] = []
        self.take_snapshot = False
        self.members_changed = False
        self.removed = False


def raft_config(config: MemberConfig, storage: MemoryStorage, applied: int) -> Config:
    """Raft's constants for that member."""
    return Config(
        id=config.id,
        election_tick=config.election_ticks,
        heartbeat_tick=1,
        storage=storage,
        applied=applied,
        max_size_per_message=MESSAGE_BYTES_MAX,
        max_uncommitted_size=UNCOMMITTED_BYTES_MAX,
        max_inflight_messages=INFLIGHT_MESSAGES_MAX,
        check_quorum=config.check_quorum,
        pre_vote=config.pre_vote,
        seed=config.seed,
    )
