"""The search for devices: claim by claim, request by request, device by device, the first whole solution is taken.

Pools are searched by driver and name, slices by name, devices in the order of their slice. Source:
structured/internal/incubating/allocator_incubating.go of Kubernetes 1.36, in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kcore.api.tolerations import tolerates
from kcore.scheduler.dynamic.allocated import Allocated, give_back, take
from kcore.scheduler.dynamic.capacity import NOTHING, consumption, fits
from kcore.scheduler.dynamic.constraints import Check
from kcore.scheduler.dynamic.faults import (
    AllocationError,
    AllocationTimeout,
    CompileError,
    EvaluationError,
)
from kcore.scheduler.dynamic.objects import (
    ALL,
    Claim,
    Device,
    DeviceClass,
    DeviceId,
    Quantity,
    Request,
    Slice,
)
from kcore.scheduler.dynamic.pools import Pool
from kcore.scheduler.dynamic.selection import NodeView, is_selected

RESULTS_MAX: Final = 32  # devices of one claim (AllocationResultsMaxSize)
PREVENTING_EFFECTS: Final = ("NoExecute", "NoSchedule")

CounterUse = dict[str, dict[str, int]]  # by counter set and counter, in nano-units
Key = tuple[int, int, int]  # claim, request, alternative

FOUND: Final = "found"
NONE: Final = "none"
TOO_MANY: Final = "too many"
"""No solution, because a claim would get more devices than it may: other devices for what went before are no help."""


class Candidate(NamedTuple):
    """A device, and where it was found."""

    device: Device
    slice: Slice
    pool: Pool


class Place(NamedTuple):
    """Where the search goes on within one request: a pool, a slice, a device, by index."""

    pool: int = 0
    slice: int = 0
    device: int = 0


class Step(NamedTuple):
    """One device that is to be found next."""

    claim: int
    request: int = 0
    alternative: int = 0
    device: int = 0


class Chosen(NamedTuple):
    """A device that a request gets. ``consumed``: of a shared device, by what it has."""

    request: Request
    candidate: Candidate
    consumed: Mapping[str, Quantity] | None
    consumes: bool
    """It took its counters, as the first share of a shared device does, and others always do."""
    was_shared: bool
    """The claims that are being allocated had a share of it already."""


@dataclass(slots=True, eq=False)
class Wanted:
    """A request or an alternative, as far as it is known before the search."""

    request: Request
    device_class: DeviceClass
    count: int
    every: list[Candidate] = field(default_factory=list)
    """All devices, where all are asked for."""
    selected: int = 0
    """Of a request with alternatives: the one that was taken; kept with the first of them."""


class World(NamedTuple):
    """What does not change while claims are allocated on one node."""

    node: NodeView
    claims: Sequence[Claim]
    pools: Sequence[Pool]
    allocated: Allocated
    available: dict[str, CounterUse]
    """What counters of a pool have left, by the pool's name; filled when first asked for, kept from node to node."""
    matches: Callable[[str, Device], bool]
    """Whether an expression selects the device; raises CompileError or EvaluationError."""
    is_late: Callable[[], bool]


def _tolerates_all(request: Request, device: Device) -> bool:
    """Whether no taint keeps the request from having the device."""
    return all(
        taint.effect not in PREVENTING_EFFECTS or any(tolerates(one, *taint) for one in request.tolerations)
        for taint in device.taints
    )


Walk = Generator["Walk", str, str]
"""A part of the search: it yields what is to be searched next, is sent its outcome, and returns its own."""


class Search:
    """One search on one node: what has been chosen so far, and how to go back."""

    def __init__(self, world: World, checks: list[list[Check]]) -> None:
        self._world = world
        self._checks = checks
        self.wanted: dict[Key, Wanted] = {}
        self.chosen: list[list[Chosen]] = [[] for _ in world.claims]
        self._selectable: dict[tuple[DeviceId, Key], bool] = {}
        self._allocating: dict[DeviceId, set[int]] = {}
        self._taken: dict[DeviceId, dict[str, int]] = {}
        self._counters: dict[str, CounterUse] = {}

    # -- the walk ---------------------------------------------------------------------------------------------------
    def run(self) -> bool:
        """A solution is in ``chosen``; False where there is none. Deep searches need no deep stack."""
        stack = [self._one(Step(0), False, Place())]
        outcome: str | None = None
        while stack:
            try:
                stack.append(next(stack[-1]) if outcome is None else stack[-1].send(outcome))
                outcome = None
            except StopIteration as ended:
                stack.pop()
                outcome = ended.value
        return outcome == FOUND

    def _one(self, step: Step, is_alternative: bool, start: Place) -> Walk:
        """Find the device of that step and all that follow; what it yields is searched, and the outcome sent back."""
        world = self._world
        if world.is_late():
            raise AllocationTimeout
        if step.claim >= len(world.claims):
            return FOUND
        if step.request >= len(world.claims[step.claim].requests):
            outcome = yield self._one(Step(step.claim + 1), False, Place())
            return NONE if outcome == TOO_MANY else outcome
        key = (step.claim, step.request, step.alternative)
        wanted = self.wanted[key]
        if wanted.request.parent and not is_alternative:
            return (yield self._first_available(step))
        is_all = wanted.request.mode == ALL
        if is_all and not wanted.every:
            return NONE
        if step.device >= wanted.count:
            return (yield self._one(Step(step.claim, step.request + 1), False, Place()))
        if len(self.chosen[step.claim]) + wanted.count - step.device > RESULTS_MAX:
            return TOO_MANY
        if is_all:
            return (yield self._next_of_all(step, wanted, is_alternative))
        return (yield self._any(step, key, wanted, is_alternative, start))

    def _first_available(self, step: Step) -> Walk:
        all_too_many = True
        index = 0
        while (step.claim, step.request, index) in self.wanted:
            outcome = yield self._one(step._replace(alternative=index), True, Place())
            if outcome == FOUND:
                self.wanted[step.claim, step.request, 0].selected = index
                return FOUND
            all_too_many = all_too_many and outcome == TOO_MANY
            index += 1
        return TOO_MANY if all_too_many else NONE

    def _next_of_all(self, step: Step, wanted: Wanted, is_alternative: bool) -> Walk:
        candidate = wanted.every[step.device]
        if not self._allocate(step, wanted.request, candidate, must=True):
            return NONE
        outcome = yield self._one(step._replace(device=step.device + 1), is_alternative, Place())
        if outcome != FOUND:
            self._release(step, wanted.request, candidate)
        return outcome

    def _any(self, step: Step, key: Key, wanted: Wanted, is_alternative: bool, start: Place) -> Walk:
        request, pools = wanted.request, self._world.pools
        following = step._replace(device=step.device + 1)
        for pool_index in range(start.pool, len(pools)):
            pool = pools[pool_index]
            is_first = pool_index == start.pool  # an incomplete or invalid pool has no slices
            for slice_index in range(start.slice if is_first else 0, len(pool.slices)):
                one = pool.slices[slice_index]
                begin = start.device if is_first and slice_index == start.slice else 0
                for index in range(begin, len(one.devices)):
                    device = one.devices[index]
                    if self._is_taken(request, device.id, step.claim):
                        continue
                    if not self.is_selectable(key, wanted, one, device):
                        continue
                    candidate = Candidate(device, one, pool)
                    if not self.has_capacity(request, device) or not self._allocate(
                        step, request, candidate, must=False
                    ):
                        continue
                    place = Place(pool_index, slice_index, index + 1)
                    outcome = yield self._one(following, is_alternative, place)
                    if outcome == FOUND:
                        return FOUND
                    self._release(step, request, candidate)
                    if outcome == TOO_MANY:
                        return TOO_MANY
        return NONE

    # -- one device -------------------------------------------------------------------------------------------------
    def is_selectable(self, key: Key, wanted: Wanted, one: Slice, device: Device) -> bool:
        """Whether class and request select the device, and it is for the node; asked once for each."""
        known = self._selectable.get((device.id, key))
        if known is None:
            claim = self._world.claims[key[0]]
            known = (
                self._select(f"class {wanted.device_class.name}", wanted.device_class.selectors, device)
                and self._select(f"claim {claim}", wanted.request.selectors, device)
                and (not one.is_per_device or is_selected(device.selection, self._world.node))
            )
            self._selectable[device.id, key] = known
        return known

    def _select(self, owner: str, selectors: Sequence[str | None], device: Device) -> bool:
        for index, text in enumerate(selectors):
            try:
                if not self._world.matches(text or "", device):
                    return False
            except CompileError as error:
                raise AllocationError(f"{owner}: selector #{index}: CEL compile error: {error}") from None
            except EvaluationError as error:
                raise AllocationError(f"{owner}: selector #{index}: CEL runtime error: {error}") from None
        return True

    def has_capacity(self, request: Request, device: Device) -> bool:
        """Whether what is left of the device is enough for the request."""
        return fits(
            request.capacity,
            device.capacity,
            self._world.allocated.capacity.get(device.id, NOTHING),
            self._taken.get(device.id, NOTHING),
        )

    def _is_taken(self, request: Request, device: DeviceId, claim: int) -> bool:
        allocating = self._allocating.get(device)
        if request.is_admin:
            return bool(allocating) and claim in (allocating or ())
        return device in self._world.allocated.devices or bool(allocating)

    def _allocate(self, step: Step, request: Request, candidate: Candidate, *, must: bool) -> bool:
        """The device is chosen; False where it cannot be, and nothing is other than before."""
        device, checks = candidate.device, self._checks[step.claim]
        if not (request.is_admin and device.is_shared) and self._is_taken(request, device.id, step.claim):
            return False
        was_shared = device.id in self._taken
        is_in_use = was_shared or device.id in self._world.allocated.capacity
        consumes = bool(device.consumes) and not (device.is_shared and is_in_use)
        if consumes and not self._consume(candidate):
            return False
        added = 0
        if _tolerates_all(request, device):
            for check in checks:
                if not check.add(request, device):
                    if must:
                        raise AllocationError(
                            f"claim {self._world.claims[step.claim]}, request {request.name}: cannot add device "
                            f"{device.id} because a claim constraint would not be satisfied"
                        )
                    break
                added += 1
            else:
                if self.has_capacity(request, device):
                    self._choose(step, request, candidate, consumes, was_shared)
                    return True
        self._undo(step, request, candidate, added, consumes)
        return False

    def _choose(
        self, step: Step, request: Request, candidate: Candidate, consumes: bool, was_shared: bool
    ) -> None:
        device = candidate.device
        consumed = None
        if device.is_shared:
            consumed = consumption(request.capacity, device.capacity)
            take(self._taken, device.id, {name: one.nanos for name, one in consumed.items()})
        else:
            self._allocating.setdefault(device.id, set()).add(step.claim)
        self.chosen[step.claim].append(Chosen(request, candidate, consumed, consumes, was_shared))

    def _release(self, step: Step, request: Request, candidate: Candidate) -> None:
        """The device that was chosen last is free again."""
        device, last = candidate.device, self.chosen[step.claim].pop()
        if last.consumed is not None:
            give_back(self._taken, device.id, {name: one.nanos for name, one in last.consumed.items()})
            if last.was_shared:
                self._taken.setdefault(device.id, {})
        else:
            self._allocating[device.id].discard(step.claim)
        self._undo(step, request, candidate, len(self._checks[step.claim]), last.consumes)

    def _undo(self, step: Step, request: Request, candidate: Candidate, added: int, consumes: bool) -> None:
        for check in reversed(self._checks[step.claim][:added]):
            check.remove(request, candidate.device)
        if consumes:
            self._replenish(candidate)

    # -- counters ---------------------------------------------------------------------------------------------------
    def _consume(self, candidate: Candidate) -> bool:
        """The device's counters are taken; False where any counter of the pool does not last."""
        pool = candidate.pool
        available = self._world.available.get(pool.name)
        if available is None:
            available = self._world.available[pool.name] = self._left(pool)
        used = self._counters.setdefault(pool.name, {})
        for name, counters in candidate.device.consumes:
            known = used.setdefault(name, {})
            for counter, nanos in counters.items():
                known[counter] = known.get(counter, 0) + nanos
        for name, left in available.items():
            known = used.get(name, {})
            if any(nanos < known.get(counter, 0) for counter, nanos in left.items()):
                self._replenish(candidate)
                return False
        return True

    def _replenish(self, candidate: Candidate) -> None:
        used = self._counters[candidate.pool.name]
        for name, counters in candidate.device.consumes:
            for counter, nanos in counters.items():
                used[name][counter] -= nanos

    def _left(self, pool: Pool) -> CounterUse:
        """What allocated devices leave of the counters of a pool; less than nothing is possible."""
        left = {name: dict(counters) for name, counters in pool.counter_sets.items()}
        for one in (*pool.slices, *pool.elsewhere):
            for device in one.devices:
                if not device.consumes or not self._world.allocated.holds(device.id):
                    continue
                for name, counters in device.consumes:
                    known = left.get(name, {})
                    for counter, nanos in counters.items():
                        if counter in known:
                            known[counter] -= nanos
        return left
