"""What must be true of a cluster after every step, whatever fails (Raft, figure 3; the promises of the store).

The judge is told what hosts write, apply and lead; it keeps one record of all of them and raises ``Violated`` at the
first contradiction.
"""

from __future__ import annotations

import hashlib
from typing import Any

from kcore.store.kv import EventType
from kcore.store.machine import Machine
from kcore_native.raft import Entry

DIGEST_EVERY = 8
"""Applied entries between two comparisons of whole states."""


class Violated(AssertionError):
    """The store broke a promise."""


Change = tuple[int, bytes, bytes, int, int, int]  # type, key, value, create, version, lease


class Judge:
    """The record: what any member ever had at a place, all others must have too."""

    def __init__(self) -> None:
        self.leaders: dict[int, int] = {}  # term -> leader
        self.entries: dict[
            tuple[int, int], bytes
        ] = {}  # (index, term) -> digest of the entry and its predecessor
        self.applied: dict[int, tuple[int, bytes]] = {}  # index -> term and digest of the entry
        self.states: dict[
            int, tuple[int, str]
        ] = {}  # index -> who had it first, digest of the state after it
        self.changes: dict[int, tuple[Change, ...]] = {}  # revision -> its events, in order
        self.highest_applied = 0
        self.compacted = 0  # nobody can ask for what is below
        self.revoked: dict[int, int] = {}  # lease -> when
        self.checks_count = 0

    def leads(self, member: int, term: int) -> None:
        """Election safety: at most one leader in a term."""
        self.checks_count += 1
        other = self.leaders.setdefault(term, member)
        if other != member:
            raise Violated(f"two leaders in term {term}: {other} and {member}")

    def elected(self, member: int, term: int, last_index: int, term_at: Any) -> None:
        """Leader completeness: a leader's log holds all that was ever committed and applied before."""
        for index in sorted(self.applied, reverse=True)[:200]:
            applied_term, _ = self.applied[index]
            if applied_term >= term:
                continue
            if index > last_index:
                raise Violated(
                    f"leader {member} of term {term} has a log up to {last_index}, without the applied entry {index}"
                )
            known = term_at(index)
            if known is not None and known != applied_term:
                raise Violated(
                    f"leader {member} of term {term} has term {known} at {index}, where term {applied_term} was applied"
                )

    def wrote(self, member: int, entries: list[Entry], term_before: int | None) -> None:
        """Log matching: entries of one index and term are the same everywhere, and follow the same."""
        for entry in entries:
            self.checks_count += 1
            digest = _digest(entry.type, entry.data)
            known = self.entries.setdefault((entry.index, entry.term), digest)
            if known != digest:
                raise Violated(f"member {member} has another entry {entry.index} of term {entry.term}")
            if term_before is not None:
                before = b"%d" % term_before
                known = self.entries.setdefault((entry.index, -entry.term), before)
                if known != before:
                    raise Violated(
                        f"member {member}: before entry {entry.index} of term {entry.term} stands term {term_before},"
                        f" elsewhere {known.decode()}"
                    )
            term_before = entry.term

    def applies(self, member: int, index: int, term: int, kind: int, data: bytes) -> None:
        """State machine safety: at one index all members apply the same."""
        self.checks_count += 1
        digest = _digest(kind, data)
        known = self.applied.setdefault(index, (term, digest))
        if known != (term, digest):
            raise Violated(
                f"member {member} applies another entry at {index}: term {term}, elsewhere term {known[0]}"
            )
        self.highest_applied = max(self.highest_applied, index)

    def state(self, member: int, index: int, machine: Machine, *, now: bool = False) -> None:
        """Equal states at equal indices."""
        if index % DIGEST_EVERY and not now:
            return
        digest = digest_of(machine)
        first, known = self.states.setdefault(index, (member, digest))
        if known != digest:
            raise Violated(f"at index {index} member {member} has\n  {digest}\nand member {first}\n  {known}")

    def changed(self, member: int, revision: int, changes: tuple[Change, ...]) -> None:
        """One history of the keys: a revision's events are the same for all who watch."""
        known = self.changes.setdefault(revision, changes)
        if known != changes:
            raise Violated(
                f"watching member {member}, revision {revision} is\n  {changes}\nand was\n  {known}"
            )


def changes_of(events: list[Any]) -> tuple[Change, ...]:
    """The events of one revision as values that compare."""
    found = []
    for event in events:
        kv = event.kv
        if event.type == EventType.DELETE:
            found.append((1, kv.key, b"", 0, 0, 0))
        else:
            found.append((0, kv.key, kv.value, kv.create_revision, kv.version, kv.lease))
    return tuple(found)


def digest_of(machine: Machine) -> str:
    """The whole replicated state in one line."""
    hashed = machine.hash_kv(0)
    leases = [(row.id, row.ttl, row.remaining) for row in machine.leases.rows()]
    members = [tuple(machine.members[i]) for i in sorted(machine.members)]
    kept = [(lease, sorted(machine.leases.keys(lease))) for lease, _, _ in leases]
    rest = hashlib.blake2b(repr((sorted(leases), sorted(kept), members)).encode(), digest_size=8).hexdigest()
    return (
        f"revision {machine.revision} compacted {machine.compact_revision} hash {hashed.hash} at {hashed.hash_revision}"
        f" leases and members {rest} alarms {sorted(machine.alarms)}"
    )


def _digest(kind: int, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8, salt=b"%d" % kind).digest()
