"""What clients of a store did and saw, in the order of one clock.

The simulator and the tests of real faults record it; ``linearizable.py`` judges it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from kcore.store.kv import Op, Result


@dataclass(slots=True, eq=False)
class Operation:
    """One request. ``returned`` is None where its outcome is unknown: it may happen at any time after ``call``, or never.

    Moments are of one clock for all clients; only their order counts. An operation that certainly was not done (an
    error of the request itself) does not belong into a history.
    """

    client: int
    call: int
    request: Op
    returned: int | None = None
    result: Result | None = None
    member: int = 0  # which member was asked, for people who read the trace

    def __str__(self) -> str:
        until = "?" if self.returned is None else self.returned
        return (
            f"[{self.call} .. {until}] client {self.client} at {self.member}: {self.request} -> {self.result}"
        )


@dataclass(slots=True)
class History:
    """Operations in the order of their calls; each ends once, by ``returns``, ``refused`` or not at all."""

    operations: list[Operation] = field(default_factory=list)
    _refused: set[int] = field(default_factory=set)

    def calls(self, client: int, moment: int, request: Op, member: int = 0) -> Operation:
        """A new operation in flight; of unknown outcome until told otherwise."""
        operation = Operation(client, moment, request, member=member)
        self.operations.append(operation)
        return operation

    def returns(self, operation: Operation, moment: int, result: Result) -> None:
        """The client has the answer."""
        operation.returned, operation.result = moment, result

    def refused(self, operation: Operation) -> None:
        """It was certainly not done, and is not part of the history any more."""
        self._refused.add(id(operation))

    def __iter__(self) -> Iterator[Operation]:
        return (operation for operation in self.operations if id(operation) not in self._refused)

    def __len__(self) -> int:
        return len(self.operations) - len(self._refused)
