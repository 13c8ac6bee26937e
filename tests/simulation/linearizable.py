"""Decides whether a history of concurrent operations is linearizable.

Wing and Gong's search (Testing and Verifying Concurrent Objects, 1993) in Lowe's just-in-time form with memoisation
(Testing for Linearizability, 2017): operations are taken into the order only when one returns that must be in it, so
requests of unknown outcome cost nothing until somebody sees what they wrote. A history is cut into parts that share no
key (Herlihy and Wing: it is linearizable where each part is), each judged by itself.

The search knows nothing of etcd: a model gives the parts, an initial state, and ``step(state, operation)``: the states
in which the operation may leave the object, none where its result cannot be. States are hashable.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.simulation.history import Operation

STEPS_MAX = 2_000_000
"""Attempts to place one operation in the search of one part, after which the answer is given up."""


SHOWN_MAX = 12
"""Operations before a dead end that its text shows."""


class Model(Protocol):
    """A sequential object, how its histories fall into independent parts, and what is known of every order of a part."""

    def parts(self, operations: Iterable[Operation]) -> Iterable[tuple[Hashable, Sequence[Operation]]]: ...
    def initial(self, part: Hashable) -> Hashable: ...
    def step(self, state: Hashable, operation: Operation) -> Iterable[Hashable]: ...

    def rank(self, operation: Operation) -> int:
        """No operation stands before one of a smaller rank, but for the rank 0, of which nothing is known.

        An operation of unknown outcome that has a rank is known to have happened.
        """

    def room(self, state: Hashable, rank: int) -> bool:
        """Whether an operation of rank 0 that changes something can stand between the state and that rank."""

    def kind(self, operation: Operation) -> Hashable:
        """Operations of unknown outcome that may stand for each other in any order have the same kind."""


class Undecided(Exception):
    """The search was given up after STEPS_MAX steps."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A part that has no order. ``stuck`` is the operation whose result nothing explains, ``pending`` what ran beside it."""

    part: Hashable
    stuck: Operation
    state: Hashable
    pending: tuple[Operation, ...]
    before: tuple[Operation, ...]

    def __str__(self) -> str:
        """The dead end that got furthest, in lines."""
        lines = [f"no linearization of {self.part!r}: nothing explains", f"  {self.stuck}"]
        lines += [f"in the state {self.state}, with these not yet in the order:"]
        lines += [f"  {operation}" for operation in self.pending] or ["  (none)"]
        lines += ["after this order:", *(f"  {operation}" for operation in self.before)]
        return "\n".join(lines)


def violation(history: Iterable[Operation], model: Model, *, steps_max: int = STEPS_MAX) -> Violation | None:
    """The first part of the history that has no linearization, None where all have one."""
    for part, operations in model.parts(history):
        if found := _Search(part, operations, model).run(steps_max):
            return found
    return None


@dataclass(frozen=True, slots=True)
class _Return:
    """A moment at which ``operation`` must be in the order, and what else is pending then."""

    operation: Operation
    bit: int
    others: tuple[
        tuple[int, Operation], ...
    ]  # (bit, operation) of those that will return, the first to return first
    unknown_count: int  # so many of the part's operations of unknown outcome have begun
    called: int  # bits of all that were called since the return before


_Unknown = list[tuple[int, Operation]]


def _returns(operations: Sequence[Operation]) -> tuple[list[_Return], _Unknown]:
    """All returns in time order, and the operations of unknown outcome with their bits, in the order of their calls.

    A call goes before a return of the same moment. Bits of operations that return are used again after it; those of
    unknown outcome are numbered by themselves.
    """
    moments = [(operation.call, 0, number) for number, operation in enumerate(operations)]
    moments += [
        (operation.returned, 1, number)
        for number, operation in enumerate(operations)
        if operation.returned is not None
    ]
    moments.sort()
    free: list[int] = []
    bits: dict[int, int] = {}
    called = most = 0
    unknown: _Unknown = []
    returns = []
    for _, is_return, number in moments:
        operation = operations[number]
        if is_return:
            bit = bits.pop(number)
            others = sorted(bits, key=lambda other: operations[other].returned or 0)
            pairs = tuple((bits[other], operations[other]) for other in others)
            returns.append(_Return(operation, bit, pairs, len(unknown), called))
            free.append(bit)
            called = 0
        elif operation.returned is None:
            unknown.append((1 << len(unknown), operation))
        else:
            if free:
                bits[number] = free.pop()
            else:
                bits[number] = 1 << most
                most += 1
            called |= bits[number]
    return returns, unknown


# index of the next return, pending bits, used bits of unknown outcome, state, what was placed
_Choice = tuple[int, int, int, Hashable, Operation]


class _Search:
    """Depth first: at each return its operation is placed at once, or after others that are pending."""

    def __init__(self, part: Hashable, operations: Sequence[Operation], model: Model) -> None:
        self.part = part
        self.model = model
        self.returns, self.unknown = _returns(operations)
        self.ranks = {id(operation): model.rank(operation) for operation in operations}
        self.kinds = {id(operation): model.kind(operation) for _, operation in self.unknown}
        # what failed with some operations of unknown outcome left fails with fewer of them left
        self.failed: dict[tuple[int, int, Hashable], list[int]] = {}
        self.order: list[Operation] = []

    def choices(self, index: int, pending: int, used: int, state: Hashable) -> Iterator[_Choice]:
        """What may stand next."""
        due = self.returns[index]
        ranks, step = self.ranks, self.model.step
        here = [(due.bit, due.operation), *(pair for pair in due.others if pending & pair[0])]
        first = min(ranks[id(operation)] for _, operation in here)
        revealed, unseen = [], []
        for pair in self.unknown[: due.unknown_count]:
            if not used & pair[0]:
                (revealed if ranks[id(pair[1])] else unseen).append(pair)
        happened = min((ranks[id(operation)] for _, operation in revealed), default=first)
        if happened < first:  # it is next, though others that nobody saw may stand before it
            here, first = [], happened
        for bit, operation in here:
            if ranks[id(operation)] == first:
                for after in step(state, operation):
                    yield index + (bit == due.bit), pending & ~bit, used, after, operation
        tried: set[Hashable] = set()
        for bit, operation in revealed + unseen if self.model.room(state, first) else revealed:
            if ranks[id(operation)] > first or (kind := self.kinds[id(operation)]) in tried:
                continue
            tried.add(kind)
            for after in step(state, operation):
                if after != state:  # else it may as well never happen
                    yield index, pending, used | bit, after, operation

    def fresh(self, index: int, pending: int, used: int, state: Hashable) -> bool:
        """Whether nothing like it was tried before; it counts as tried from now on."""
        before = self.failed.setdefault((index, pending, state), [])
        if any(other & used == other for other in before):
            return False
        before.append(used)
        return True

    def run(self, steps_max: int) -> Violation | None:
        """The deepest dead end, None where there is an order."""
        returns = self.returns
        if not returns:
            return None
        start = (returns[0].called, 0, self.model.initial(self.part))
        stack = [(0, *start, self.choices(0, *start))]
        deepest: Violation | None = None
        deepest_index = -1
        for _ in range(steps_max):
            before, pending, used, state, choices = stack[-1]
            choice = next(choices, None)
            if choice is None:
                if before > deepest_index:
                    deepest_index, deepest = before, self.stuck(before, pending, used, state)
                stack.pop()
                if not stack:
                    return deepest
                self.order.pop()
                continue
            index, pending, used, state, placed = choice
            while index > before and index < len(returns):
                pending |= returns[index].called
                if pending & returns[index].bit:
                    break
                index += 1  # its operation stands in the order already
            if index == len(returns):
                return None
            if self.fresh(index, pending, used, state):
                self.order.append(placed)
                stack.append((index, pending, used, state, self.choices(index, pending, used, state)))
        raise Undecided(f"{self.part!r}: no answer in {steps_max} steps")

    def stuck(self, index: int, pending: int, used: int, state: Hashable) -> Violation:
        """What to show of a dead end."""
        due = self.returns[index]
        beside = [operation for bit, operation in due.others if pending & bit]
        beside += [operation for bit, operation in self.unknown[: due.unknown_count] if not used & bit]
        return Violation(self.part, due.operation, state, tuple(beside), tuple(self.order[-SHOWN_MAX:]))
