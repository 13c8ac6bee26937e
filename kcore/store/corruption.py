"""Members compare the hashes of their keys at one revision: who differs is corrupt (etcd ``corrupt.go``).

A comparison begins on the leader with its own hash, asks all others for theirs at that revision, and raises the
CORRUPT alarm for a member that differs at equal compaction, or is ahead of what the leader has since committed.
"""

import contextlib
from collections.abc import Callable
from functools import partial

from kcore.store import calls
from kcore.store.errors import StoreError
from kcore.store.face import HashResult
from kcore.store.principal import Principal
from kcore.store.tickets import Ticket


class HashComparison:
    """One round of questions; ``mismatches`` is complete when ``done``."""

    def __init__(self, member: Principal, alarm: Callable[[int], None] = lambda member_id: None) -> None:
        self.member = member
        self.alarm = alarm
        self.mismatches: list[int] = []
        self.answers: dict[int, HashResult] = {}
        self.own = member.machine.hash_kv(0)
        others = [i for i in member.machine.members if i != member.config.id]
        self._left = len(others)
        for other in others:
            member.call(other, calls.HASH, [self.own.hash_revision], Ticket(partial(self._answered, other)))

    @property
    def done(self) -> bool:
        """True where every other member has answered or timed out."""
        return self._left <= 0

    def _answered(self, other: int, ticket: Ticket) -> None:
        if ticket.error is None:
            with contextlib.suppress(TypeError, ValueError):  # not an answer: as if none had come
                self.answers[other] = HashResult(*map(int, ticket.value))
        elif not isinstance(ticket.error, StoreError):
            raise ticket.error
        self._left -= 1
        if self.done:
            # Answers are compared with what the leader has applied by a later linearizable read: a follower may be
            # ahead of the leader's state when it was asked, never of what the leader knows to be committed now.
            try:
                self.member.read(Ticket(lambda read: self._compare() if read.error is None else None))
            except StoreError:
                return  # too busy, or stopped: the next comparison is soon

    def differing(self) -> list[int]:
        """Those whose hash differs at equal compaction."""
        own = self.own
        return [
            other
            for other, answer in sorted(self.answers.items())
            if answer.compact_revision == own.compact_revision and answer.hash != own.hash
        ]

    def _compare(self) -> None:
        machine = self.member.machine
        differing = self.differing()
        for other, answer in sorted(self.answers.items()):
            ahead = answer.revision > machine.revision or answer.compact_revision > machine.compact_revision
            if ahead or other in differing:
                self.mismatches.append(other)
        if self.mismatches:
            self.alarm(self.mismatches[0])
