"""Bugs that the simulation plants itself, beside ``Member``'s own canaries: each must be caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kcore_native.raft import HardState

if TYPE_CHECKING:
    from tests.simulation.host import Host


def forgets_votes(host: Host) -> None:
    """The disk never gets to know for whom this member voted, so after a restart it votes again."""
    assert host.disk is not None
    append = host.disk.append

    def forgetful(hard_state: HardState | None, entries: Any) -> None:
        if hard_state is not None:
            hard_state = HardState(hard_state.term, 0, hard_state.commit)
        append(hard_state, entries)

    host.disk.append = forgetful  # type: ignore[method-assign]


def promises_early(host: Host) -> None:
    """A follower says that entries are on its disk before they are."""
    assert host.member is not None
    member, work_of = host.member, host.member.work

    def early() -> Any:
        work = work_of()
        if work is not None and work.ready is not None:
            work.messages.extend(work.ready.messages)
        return work

    member.work = early  # type: ignore[method-assign]


def skips_an_entry(host: Host) -> None:
    """One member passes over the content of every 50th entry."""
    if host.id == 1:
        assert host.machine is not None
        host.machine.skips = 50


def lying_disk(host: Host) -> None:
    """The disk says synced and does nothing; see ``World``."""


OURS: dict[str, Callable[[Any], None]] = {
    "forgets_votes": forgets_votes,
    "promises_early": promises_early,
    "skips_an_entry": skips_an_entry,
    "lying_disk": lying_disk,
}
