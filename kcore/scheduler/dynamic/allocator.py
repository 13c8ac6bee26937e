"""Devices for claims on one node, or that there are none: the face of the search.

Source: structured/internal/incubating/allocator_incubating.go of Kubernetes 1.36, the variant that its scheduler uses
with the feature gates as they are by default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

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

INVALID_POOLS: Final = "invalid resource pools were encountered"


class Allocator:
    """What is there to allocate, and what is allocated, for the nodes that one pod is tried on."""

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
        self._is_late = is_late
        self._of_node: dict[str, list[Slice]] = {}
        self._shared: list[Slice] = []
        self._available: dict[str, CounterUse] = {}
        for one in slices:
            name = one.selection.node_name
            if not name or one.counter_sets:
                self._shared.append(one)
            else:
                self._of_node.setdefault(name, []).append(one)

    def allocate(self, node: NodeView, claims: Sequence[Claim]) -> list[dict[str, Any]] | None:
        """The ``status.allocation`` of every claim, were they allocated for the node; None where that cannot be.

        Raises:
            NodeRefused: not on this node, with the reason.
            AllocationError: on no node: something is wrong with a claim or a class.
            AllocationTimeout: the search took too long.
        """
        pools = gather_pools([*self._of_node.get(node.name, ()), *self._shared], node, self._every)
        checks: list[list[Check]] = []
        world = World(node, claims, pools, self._allocated, self._available, self._matches, self._is_late)
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
