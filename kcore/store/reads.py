"""Linearizable reads: one round of read index for all that wait, then the wait until that index is applied.

Raft thesis 6.4; etcd ``server/etcdserver/read``. One round is out at a time, and whoever asks meanwhile waits for the
next one: a round may answer only those who asked before it began. A round that gets no answer is asked again.
"""

from collections.abc import Callable
from typing import Final

from kcore.store import errors
from kcore.store.tickets import Waiting

RETRY_MS: Final = 500  # a round without an answer is asked again, as etcd's readIndexRetryTime


class Round:
    """Reads that share one read index; ``index`` is -1 until the leader has confirmed it."""

    __slots__ = ("asked_ms", "context", "index", "retry_ms", "tickets")

    def __init__(self, context: bytes, tickets: list[Waiting], now_ms: int) -> None:
        self.context = context
        self.tickets = tickets
        self.asked_ms = now_ms
        self.retry_ms = now_ms + RETRY_MS
        self.index = -1


class Reads:
    """The reads that wait. Invariant: at most one round is unconfirmed."""

    def __init__(self, timeout_ms: int, first_id: int) -> None:
        self.timeout_ms = timeout_ms
        self.waiting: list[Waiting] = []  # for the next round
        self.asked: Round | None = None  # out, not confirmed
        self.confirmed: list[Round] = []  # until their index is applied; in order of index
        self._last_id = first_id
        self.rounds = 0  # begun since the start

    def begin(self, now_ms: int) -> bytes | None:
        """The context to ask the leader with, where reads wait and no round is out."""
        if not self.waiting or self.asked is not None:
            return None
        self._last_id += 1
        self.rounds += 1
        self.asked = Round((self._last_id & (1 << 64) - 1).to_bytes(8, "big"), self.waiting, now_ms)
        self.waiting = []
        return self.asked.context

    def again(self, now_ms: int, *, at_once: bool = False) -> bytes | None:
        """The context of the round that is out, where it is time to ask again."""
        asked = self.asked
        if asked is None or (now_ms < asked.retry_ms and not at_once):
            return None
        asked.retry_ms = now_ms + RETRY_MS
        return asked.context

    def confirm(self, context: bytes, index: int) -> None:
        """The round of that context may answer from ``index`` on; an answer to an older question is passed over."""
        asked = self.asked
        if asked is not None and asked.context == context:
            asked.index = index
            self.confirmed.append(asked)
            self.asked = None

    def applied(self, index: int) -> None:
        """Reads whose index is applied are answered (with the index)."""
        while self.confirmed and self.confirmed[0].index <= index:
            done = self.confirmed.pop(0)
            for ticket in done.tickets:
                if not ticket.done():
                    ticket.set_result(done.index)

    def leader_changed(self) -> None:
        """The round that is out fails: the leader it asked may be gone (etcd: "leader changed")."""
        if self.asked is not None:
            _fail(self.asked.tickets, lambda: errors.of("LeaderChanged"))
            self.asked = None

    def expire(self, now_ms: int, error_of: Callable[[int], Exception]) -> None:
        """A round that was out for ``timeout_ms`` has ``error_of(asked at)``; one that waits to be applied, etcd's."""
        asked = self.asked
        if asked is not None and asked.asked_ms + self.timeout_ms <= now_ms:
            self.asked = None
            _fail(asked.tickets, lambda: error_of(asked.asked_ms))
        while self.confirmed and self.confirmed[0].asked_ms + self.timeout_ms <= now_ms:
            _fail(self.confirmed.pop(0).tickets, lambda: errors.of("TimeoutWaitAppliedIndex"))

    def fail(self, error: Callable[[], Exception]) -> None:
        """Every read that waits has that error."""
        waiting, self.waiting = self.waiting, []
        _fail(waiting, error)
        for round_ in [*([self.asked] if self.asked else []), *self.confirmed]:
            _fail(round_.tickets, error)
        self.asked = None
        self.confirmed = []


def _fail(tickets: list[Waiting], error: Callable[[], Exception]) -> None:
    for ticket in tickets:
        if not ticket.done():
            ticket.set_exception(error())
