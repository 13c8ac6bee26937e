"""A member as its disk knows it."""

from collections.abc import Callable, Iterable

from kcore.store.machine import Machine
from kcore.store.member import Member
from kcore.store.turn import MemberConfig
from kcore_native.raft import Entry, HardState, MemoryStorage, Snapshot, SnapshotMetadata


def recover(
    config: MemberConfig,
    machine: Machine,
    hard_state: HardState,
    entries: list[Entry],
    snapshot: SnapshotMetadata | None,
    chunks: Callable[[], Iterable[bytes]] | None,
    now_ms: int,
    *,
    planted: frozenset[str] = frozenset(),
) -> Member:
    """The member as its disk knows it: the snapshot's state, and the log after it.

    What is committed since is applied in the first turns. A crash between a received snapshot and the hard state
    leaves a hard state that is older than the snapshot: the snapshot is committed, so it is brought up to it.
    """
    storage = MemoryStorage()
    applied_term = 0
    if snapshot is not None and snapshot.index:
        assert chunks is not None
        machine.restore(chunks())
        storage.apply_snapshot(Snapshot(b"", snapshot))
        applied_term = snapshot.term
        entries = [entry for entry in entries if entry.index > snapshot.index]
        if hard_state.term < snapshot.term:
            hard_state = HardState(snapshot.term, 0, hard_state.commit)
        if hard_state.commit < snapshot.index:
            hard_state = HardState(hard_state.term, hard_state.vote, snapshot.index)
    storage.set_hard_state(hard_state)
    if entries:
        storage.append(entries)
    member = Member(config, machine, storage, now_ms, planted=planted)
    member.applied_term = applied_term
    return member
