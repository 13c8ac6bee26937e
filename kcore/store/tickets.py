"""Requests that wait: proposals until their entry is applied here, reads until this member is known to be fresh.

A ticket is anything with ``done``, ``set_result`` and ``set_exception``: an asyncio future in the replica, a
``Ticket`` in the simulator. Pure: time is an argument. A proposal is answered only when an entry that carries its
request id is applied on this member, so never for an entry that another one overwrote; where that does not happen in
time the ticket gets etcd's "timed out", which says: unknown.
"""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Any, Final, Protocol

from kcore.store import errors
from kcore_native.mvcc import command

ENTRY_BYTES_MAX: Final = 1 << 20  # requests of one turn go into one log entry up to this size
QUEUE_BYTES_MAX: Final = 256 << 20  # frames that wait to be proposed; more is "too many requests"
PENDING_COUNT_MAX: Final = 200_000  # requests without an answer; more is "too many requests"
ID_TIME_BITS: Final = 38  # of a request id: milliseconds since the epoch, wraps after 8.7 years
ID_COUNT_BITS: Final = 10  # of a request id: counts within a millisecond, may run over into the time


class Waiting(Protocol):
    """What a ticket must do; asyncio.Future does."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Any, /) -> None: ...


class Ticket:
    """A request's answer, once it is there; ``on_done`` is called with the ticket then."""

    __slots__ = ("_done", "error", "on_done", "value")

    def __init__(self, on_done: "Callable[[Ticket], None] | None" = None) -> None:
        self._done = False
        self.value: Any = None
        self.error: Exception | None = None
        self.on_done = on_done

    def done(self) -> bool:
        return self._done

    def result(self) -> Any:
        """The answer; raises the error where there is one. Only of a ticket that is done."""
        assert self._done
        if self.error is not None:
            raise self.error
        return self.value

    def set_result(self, result: Any) -> None:
        self._done = True
        self.value = result
        if self.on_done is not None:
            self.on_done(self)

    def set_exception(self, exception: Exception) -> None:
        self._done = True
        self.error = exception
        if self.on_done is not None:
            self.on_done(self)

    def __repr__(self) -> str:
        return f"Ticket({self.error or self.value!r})" if self._done else "Ticket(waits)"


def first_request_id(member_id: int, unix_ms: int) -> int:
    """The id before the first that a member started at that time gives out: unlike those of its earlier starts.

    As etcd's ``pkg/idutil``: 16 bits of the member, 38 of time, 10 that count.
    """
    time_part = unix_ms & ((1 << ID_TIME_BITS) - 1)
    return (member_id & 0xFFFF) << 48 | time_part << ID_COUNT_BITS


class Proposals:
    """Frames to propose, in order, and the tickets of all that were proposed and are not applied yet.

    Invariant: ids in ``pending`` ascend, as they are given out and waited for in order.
    """

    def __init__(self, first_id: int, timeout_ms: int) -> None:
        self.last_id = first_id
        self.timeout_ms = timeout_ms
        self.refusal = ""  # the name of the error that every new request gets
        self.frames: list[bytes] = []
        self.queued_bytes = 0
        self.failed = 0  # that nobody agreed to in time
        self.pending: dict[int, Waiting] = {}
        self._boundaries: deque[tuple[int, int]] = deque()  # (ms, last id given out by then)

    def next_id(self) -> int:
        """A request id that no other request of this member has."""
        self.last_id += 1
        return self.last_id

    def add(self, request_id: int, frame: bytes, ticket: Waiting) -> None:
        """The frame will be proposed in the next turn; raises RequestTooManyRequests where too much waits."""
        if self.queued_bytes > QUEUE_BYTES_MAX or len(self.pending) >= PENDING_COUNT_MAX:
            raise errors.of("RequestTooManyRequests")
        self.pending[request_id] = ticket
        self.frames.append(frame)
        self.queued_bytes += len(frame)

    def wait(self, request_id: int, ticket: Waiting) -> None:
        """The ticket waits for that id, which is proposed by other means (a change of the membership)."""
        self.pending[request_id] = ticket

    def payload(self) -> tuple[bytes, int]:
        """The next entry's bytes and how many frames it holds; (b"", 0) where nothing waits."""
        frames = self.frames
        if self.queued_bytes <= ENTRY_BYTES_MAX:
            return b"".join(frames), len(frames)
        size = count = 0
        for frame in frames:
            if count and size + len(frame) > ENTRY_BYTES_MAX:
                break
            size += len(frame)
            count += 1
        return b"".join(frames[:count]), count

    def taken(self, count: int, size: int) -> None:
        """The first ``count`` frames, ``size`` bytes, were proposed."""
        if count == len(self.frames):
            self.frames = []
            self.queued_bytes = 0
        else:
            del self.frames[:count]
            self.queued_bytes -= size

    def answer(self, outcomes: Iterable[tuple[int, Any]]) -> None:
        """Tickets of this member among the applied requests have their results; others' ids are passed over."""
        pop = self.pending.pop
        for request_id, result in outcomes:
            ticket = pop(request_id, None)
            if ticket is None or ticket.done():
                continue
            if isinstance(result, Exception):
                ticket.set_exception(result)
            else:
                ticket.set_result(result)

    def expire(self, now_ms: int, error_of: Callable[[int], Exception]) -> None:
        """Those that waited ``timeout_ms`` have ``error_of(asked at)``; what is still queued is never proposed."""
        if self.pending:
            self._boundaries.append((now_ms, self.last_id))
        gone: set[int] = set()
        while self._boundaries and self._boundaries[0][0] + self.timeout_ms <= now_ms:
            asked_ms, last_id = self._boundaries.popleft()
            late = list(takewhile(last_id.__ge__, self.pending))
            for request_id in late:
                ticket = self.pending.pop(request_id)
                gone.add(request_id)
                self.failed += 1
                if not ticket.done():
                    ticket.set_exception(error_of(asked_ms))
        if gone and self.frames:
            self.frames = [f for f in self.frames if not gone.intersection(command.request_ids(f))]
            self.queued_bytes = sum(map(len, self.frames))

    def fail(self, error: Callable[[], Exception]) -> None:
        """Every ticket that waits has that error; nothing is queued."""
        pending, self.pending = self.pending, {}
        self.frames, self.queued_bytes = [], 0
        self._boundaries.clear()
        for ticket in pending.values():
            if not ticket.done():
                ticket.set_exception(error())
