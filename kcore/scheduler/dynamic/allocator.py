"""Devices for claims on one node, or that there are none: the face of the search.

Source: structured/internal/incubating/allocator_incubating.go of Kubernetes 1.36, the variant that its scheduler uses
with the feature gates as they are by default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from kcore.scheduler.dynamic.allocated import Allocated
from kcore.scheduler.dynamic.constraints import Check
from kcore.scheduler.dynamic.faults import AllocationError, NodeRefused
from kcore.scheduler.dynamic.objects import ALL, EXACT_COUNT, Claim, Device, DeviceClass, Request, Slice
from kcore.scheduler.dynamic.pools import Pool, gather_pools
from kcore.scheduler.dynamic.results import allocation_result
from kcore.scheduler.dynamic.search import (
    RESULTS_MAX,
    Candidate,
    CounterUse,
    Key,
    Search,
    Wanted,
    World,
)
from kcore.scheduler.dynamic.selection import NodeView

ANSWERS_MAX: Final = 1_000_000  # remembered; beyond it all are forgotten
INVALID_POOLS: Final = "invalid resource pools were encountered"


class Answer(NamedTuple):
    """What was found on a node: allocations, nothing, or a refusal; for pools as they were then."""

    pools: Sequence[Pool]
    state: tuple[int, ...]
    allocations: list[dict[str, Any]] | None
    refusal: str


class Allocator:
    """What is there to allocate, and what is allocated, for one pod after the other (:meth:`begin`) and all nodes.

    What was found for claims that ask for the same is remembered while nothing of the node's pools has been allocated or
    given back; not where devices are shared, whose shares have names of their own, nor where they share counters.
    """

    def __init__(
        self,
        allocated: Allocated,
        classes: Mapping[str, DeviceClass],
        slices: Sequence[Slice],
        matches: Callable[[str, Device], bool],
        make_share_id: Callable[[], str],
        is_late: Callable[[], bool] = lambda: False,
    ) -> None:
        self._allocated = allocated
        self._classes = classes
        self._every = slices
        self._matches = matches
        self._make_share_id = make_share_id
        self.is_late = is_late
        self._gathered: dict[str, tuple[NodeView, list[Pool], bool]] = {}
        self._answers: dict[tuple[str, tuple[bytes, ...]], Answer] = {}
        self._of_node: dict[str, list[Slice]] = {}
        self._shared: list[Slice] = []
        self._available: dict[str, CounterUse] = {}
        for one in slices:
            name = one.selection.node_name
            if not name or one.counter_sets:
                self._shared.append(one)
            else:
                self._of_node.setdefault(name, []).append(one)

    def begin(self, is_late: Callable[[], bool]) -> None:
        """Another pod's turn: what others have been given meanwhile counts."""
        self.is_late = is_late
        self._available = {}

    def _pools(self, node: NodeView) -> tuple[list[Pool], bool]:
        """The pools of the node, and whether what is found there may be remembered."""
        known = self._gathered.get(node.name)
        if known is None or known[0].labels != node.labels:
            pools = gather_pools([*self._of_node.get(node.name, ()), *self._shared], node, self._every)
            is_plain = not any(
                pool.counter_sets or any(device.is_shared for one in pool.slices for device in one.devices)
                for pool in pools
            )
            known = self._gathered[node.name] = (node, pools, is_plain)
        return known[1], known[2]

    def allocate(self, node: NodeView, claims: Sequence[Claim]) -> list[dict[str, Any]] | None:
        """The ``status.allocation`` of every claim, were they allocated for the node; None where that cannot be.

        Raises:
            NodeRefused: not on this node, with the reason.
            AllocationError: on no node: something is wrong with a claim or a class.
            AllocationTimeout: the search took too long.
        """
        pools, is_plain = self._pools(node)
        if not is_plain:
            return self._found(node, claims, pools)
        key = (node.name, tuple(claim.wish for claim in claims))
        versions = self._allocated.versions
        state = tuple(versions.get((pool.driver, pool.name), 0) for pool in pools)
        answer = self._answers.get(key)
        if answer is None or answer.pools is not pools or answer.state != state:
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()
            try:
                answer = Answer(pools, state, self._found(node, claims, pools), "")
            except NodeRefused as refused:
                answer = Answer(pools, state, None, str(refused))
            self._answers[key] = answer
        if answer.refusal:
            raise NodeRefused(answer.refusal)
        return answer.allocations

    def _found(
        self, node: NodeView, claims: Sequence[Claim], pools: Sequence[Pool]
    ) -> list[dict[str, Any]] | None:
        checks: list[list[Check]] = []
        world = World(node, claims, pools, self._allocated, self._available, self._matches, self.is_late)
        search = Search(world, checks)
        for index, claim in enumerate(claims):
            self._prepare(search, index, claim, pools)
            checks.append(_checks_of(claim))
        if not search.run():
            if any(pool.fault for pool in pools):
                raise NodeRefused(INVALID_POOLS)
            return None
        return [
            allocation_result(
                claim, index, search.chosen[index], search.wanted, node.name, self._make_share_id
            )
            for index, claim in enumerate(claims)
        ]

    def _prepare(self, search: Search, index: int, claim: Claim, pools: Sequence[Pool]) -> None:
        """What each request of the claim wants is known, and that it is not too much."""
        least = 0
        for position, asked in enumerate(claim.requests):
            requests = asked.alternatives or ((asked.exactly,) if asked.exactly is not None else ())
            counts = []
            for alternative, request in enumerate(requests):
                key = (index, position, alternative)
                search.wanted[key] = wanted = self._wanted(search, key, claim, request, pools)
                counts.append(wanted.count)
            least += min(counts, default=0)
        if least > RESULTS_MAX:
            raise AllocationError(
                f"claim {claim}: number of requested devices {least} exceeds the claim limit of {RESULTS_MAX}"
            )

    def _wanted(
        self, search: Search, key: Key, claim: Claim, request: Request, pools: Sequence[Pool]
    ) -> Wanted:
        where = f"claim {claim}, request {request.name}"
        for number, selector in enumerate(request.selectors):
            if selector is None:
                raise AllocationError(
                    f"{where}, selector #{number}: CEL expression empty (unsupported selector type?)"
                )
        if not request.class_name:
            raise AllocationError(f"{where}: missing device class name (unsupported request type?)")
        device_class = self._classes.get(request.class_name)
        if device_class is None:
            name = request.class_name
            raise AllocationError(
                f"{where}: could not retrieve device class {name}: "
                f'deviceclass.resource.k8s.io "{name}" not found'
            )
        wanted = Wanted(request, device_class, request.count)
        if request.mode == ALL:
            wanted.every = _every_device(search, key, wanted, where, pools)
            wanted.count = len(wanted.every)
        elif request.mode != EXACT_COUNT:
            raise AllocationError(f"{where}: unsupported count mode {request.mode}")
        return wanted


def _every_device(
    search: Search, key: Key, wanted: Wanted, where: str, pools: Sequence[Pool]
) -> list[Candidate]:
    """All devices that a request for all of them means."""
    found: list[Candidate] = []
    for pool in pools:
        if pool.is_incomplete or pool.fault:
            state = "being updated" if pool.is_incomplete else "invalid"
            raise AllocationError(
                f"{where}: asks for all devices, but resource pool {pool} is currently {state}"
            )
        for one in pool.slices:
            found += [
                Candidate(device, one, pool)
                for device in one.devices
                if search.is_selectable(key, wanted, one, device)
                and search.has_capacity(wanted.request, device)
            ]
    return found


def _checks_of(claim: Claim) -> list[Check]:
    for index, constraint in enumerate(claim.constraints):
        if constraint.match is None and constraint.distinct is None:
            raise AllocationError(
                f"claim {claim}, constraint #{index}: empty constraint (unsupported constraint type?)"
            )
    return [Check(constraint) for constraint in claim.constraints]
