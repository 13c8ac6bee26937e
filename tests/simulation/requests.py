"""How simulated clients ask a host: as the embedded store does, with a deadline of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kcore.store.errors import Code, StoreError
from kcore.store.kv import DeleteOp, Op, PutOp, RangeOp, TxnOp
from kcore.store.tickets import Ticket
from kcore_native.mvcc import command
from tests.simulation.host import Host

if TYPE_CHECKING:
    from tests.simulation.world import World

UNKNOWN = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)
"""Codes after which nobody knows whether the request was done."""

Answer = Callable[[Any, bool], None]
"""Called once with the result, or None and whether the request may yet be done."""


class Request:
    """One request in flight; its answer comes once, or the deadline does."""

    def __init__(self, world: World, host: Host, timeout_us: int, answer: Answer) -> None:
        self.answer: Answer | None = answer
        self.host = host
        self.life = host.life
        self.writes = True
        world.timeline.after(timeout_us, self.ends, None, True)

    def ends(self, result: Any, maybe: bool) -> None:
        """The client goes on."""
        answer, self.answer = self.answer, None
        if answer is not None:
            answer(result, maybe and self.writes)

    def done(self, ticket: Ticket) -> None:
        """The member has answered."""
        if self.host.life != self.life:
            return  # the answer is lost with the process
        if ticket.error is None:
            self.ends(ticket.value, False)
        elif isinstance(ticket.error, StoreError):
            self.ends(None, ticket.error.code in UNKNOWN)
        else:
            raise ticket.error


def ask(
    world: World, host: Host, timeout_us: int, start: Callable[[Host, Ticket], None], answer: Answer
) -> None:
    """``start`` hands the ticket to the host's member; a host that is down or paused does not answer."""
    request = Request(world, host, timeout_us, answer)
    if not host.up:
        request.ends(None, False)
        return
    ticket = Ticket(request.done)

    def begin() -> None:
        try:
            start(host, ticket)
        except StoreError:
            request.ends(None, False)
        host.kick()

    host.enter(begin)


def write(world: World, host: Host, timeout_us: int, frame: Callable[[int], bytes], answer: Answer) -> None:
    """Proposes the frame that is made of a request id."""

    def start(host: Host, ticket: Ticket) -> None:
        assert host.member is not None
        request_id = host.member.request_id()
        host.member.propose(request_id, frame(request_id), ticket)

    ask(world, host, timeout_us, start, answer)


def frame_of(request: Op) -> Callable[[int], bytes]:
    """The log's frame of a request that writes."""
    if isinstance(request, PutOp):
        return lambda i: command.put(i, request.key, request.value, request.lease, request.prev_kv)
    if isinstance(request, DeleteOp):
        return lambda i: command.delete_range(i, request.key, request.end, request.prev_kv)
    assert isinstance(request, TxnOp)
    return lambda i: command.txn(i, request.compares, request.success, request.failure)


def read(world: World, host: Host, timeout_us: int, request: RangeOp, answer: Answer) -> None:
    """A linearizable range: read index, then the machine."""

    def see(_: Any, maybe: bool) -> None:
        answer(
            host.machine.range(request.key, request.end) if host.machine and not maybe and _ else None, False
        )

    def start(host: Host, ticket: Ticket) -> None:
        assert host.member is not None
        host.member.read(ticket)

    ask(world, host, timeout_us, start, see)
