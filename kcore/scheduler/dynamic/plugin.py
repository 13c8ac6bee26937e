"""DynamicResources: the claims of a pod are allocated on the node that it goes to, or can be used there.

Source: plugins/dynamicresources/dynamicresources.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

import numpy as np

from kcore.api.objects import Pod
from kcore.scheduler.codes import MAX_NODE_SCORE
from kcore.scheduler.dynamic.catalog import DeviceCatalog, allocation_of, uid_of
from kcore.scheduler.dynamic.faults import AllocationError, AllocationTimeout, NodeRefused
from kcore.scheduler.dynamic.objects import Claim
from kcore.scheduler.dynamic.pod_claims import ClaimsMissing, claims_of, is_reserved_for
from kcore.scheduler.dynamic.readiness import BINDING_TIMEOUT_S, BindingFailed, is_ready, is_timed_out
from kcore.scheduler.dynamic.selection import NodeView, selector_matches
from kcore.scheduler.host import CycleError, HostFilter, Occupants, Refused, Reservation, Turned
from kcore.scheduler.nodes import NodeTable
from kcore.scheduler.reasons import UNRESOLVABLE, Rejection

NAME: Final = "DynamicResources"
ALTERNATIVES_MAX: Final = 8  # of one request (FirstAvailableDeviceRequestMaxSize)
FILTER_TIMEOUT_S: Final = 10.0  # of one node
NOT_AVAILABLE: Final = "resourceclaim not available on the node"
NOT_ALLOCATED: Final = "cannot allocate all claims"
DEALLOCATED: Final = "deallocation of ResourceClaim completed"
STILL_UNSCHEDULABLE: Final = "still not schedulable"

Object = dict[str, Any]


class DeviceTables(Protocol):
    """The state of a scheduler whose pods have claims."""

    nodes: NodeTable
    devices: DeviceCatalog


class DynamicResources:
    """The plugin of one state."""

    name = NAME

    def __init__(self, tables: DeviceTables) -> None:
        self._tables = tables

    def begin(self, row: int, pod: Pod, occupants: Occupants) -> HostFilter | None:
        """What the claims of the pod mean for it; None where it has none."""
        catalog = self._tables.devices
        try:
            claims = claims_of(pod, catalog)
        except ClaimsMissing as missing:
            raise Turned(str(missing)) from None
        if not claims:
            return None
        for claim in claims:
            if allocation_of(claim) is None:
                _check_unallocated(claim, catalog)
        return ClaimFilter(self._tables, pod, claims)


def _check_unallocated(claim: Object, catalog: DeviceCatalog) -> None:
    """The claim is free to be allocated, and what it asks for exists; Turned where not."""
    read = catalog.read(claim)
    if catalog.pending(uid_of(claim)) is not None:
        raise Turned(f"resource claim {read} is in the process of being allocated")
    for asked in read.requests:
        if asked.exactly is None and not asked.alternatives:
            raise Turned(f"resource claim {read}, request {asked.name}: unknown request type")
        for request in (asked.exactly,) if asked.exactly is not None else asked.alternatives:
            if not request.class_name:
                raise CycleError(f"request {request.full_name}: unsupported request type")
            if request.class_name not in catalog.classes:
                raise Turned(f"request {request.full_name}: device class {request.class_name} does not exist")


class ClaimFilter(HostFilter):
    """The claims of one pod in one cycle, and what would be allocated for them on which node."""

    plugin = NAME

    def __init__(self, tables: DeviceTables, pod: Pod, claims: Sequence[Object]) -> None:
        self._nodes = tables.nodes
        self._catalog = catalog = tables.devices
        self._pod = pod
        self._claims = claims
        self._free = [claim for claim in claims if allocation_of(claim) is None]
        self._wanted: list[Claim] = [catalog.read(claim) for claim in self._free]
        self._selectors = [(allocation_of(claim) or {}).get("nodeSelector") for claim in claims]
        self._found: dict[int, list[Object]] = {}
        self._unavailable: set[int] = set()
        self._late_at_s = 0.0
        self._allocator = catalog.allocator
        self._allocator.begin(self._is_late)
        self._is_broken = [self._check_ready(claim) for claim in claims]

    def _is_late(self) -> bool:
        clock = self._catalog.elapsed_s
        return clock is not None and clock() > self._late_at_s

    def _check_ready(self, claim: Object) -> bool:
        """Whether the claim's devices will not be ready, or not in time."""
        if allocation_of(claim) is None:
            return False
        now_s = self._catalog.now_s
        try:
            return (
                not is_ready(claim) and now_s is not None and is_timed_out(claim, now_s(), BINDING_TIMEOUT_S)
            )
        except BindingFailed:
            return True

    def filter(self, slots: np.ndarray) -> Iterable[Refused]:
        """The nodes that claims keep the pod from; what is allocated elsewhere is remembered."""
        refused: dict[str, list[int]] = {}
        for slot in slots.tolist():
            reason = self._judge(slot)
            if reason:
                refused.setdefault(reason, []).append(slot)
        return [
            Refused(np.array(found, dtype=np.int64), Rejection(NAME, UNRESOLVABLE, (reason,)))
            for reason, found in refused.items()
        ]

    def _judge(self, slot: int) -> str:
        node = self._view(slot)
        unavailable = {
            index
            for index, selector in enumerate(self._selectors)
            if self._is_broken[index] or (selector is not None and not selector_matches(selector, node))
        }
        if self._free:
            clock = self._catalog.elapsed_s
            self._late_at_s = 0.0 if clock is None else clock() + FILTER_TIMEOUT_S
            try:
                found = self._allocator.allocate(node, self._wanted)
            except NodeRefused as refused:
                return str(refused)
            except AllocationTimeout:
                raise CycleError(f"node {node.name}: timed out trying to allocate devices") from None
            except AllocationError as error:
                raise CycleError(str(error)) from None
            if found is None:
                return NOT_ALLOCATED
            if not unavailable:
                self._found[slot] = found
        self._unavailable |= unavailable
        return NOT_AVAILABLE if unavailable else ""

    def _view(self, slot: int) -> NodeView:
        node = self._nodes.nodes[slot]
        assert node is not None
        return NodeView(node.metadata.name, node.metadata.labels or {})

    def score(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """More for alternatives that stand earlier in their lists, in all claims together."""
        raw = np.array(
            [self._points(self._found[slot]) if slot in self._found else 0 for slot in slots.tolist()],
            dtype=np.int64,
        )
        most = int(raw.max(initial=0))
        return raw, raw * MAX_NODE_SCORE // most if most else raw

    def _points(self, found: Sequence[Object]) -> int:
        allocations = iter(found)
        points = 0
        for claim in self._claims:
            allocation = allocation_of(claim) or next(allocations)
            results = (allocation.get("devices") or {}).get("results") or ()
            taken = {result["request"] for result in results}
            for asked in self._catalog.read(claim).requests:
                points += sum(
                    ALTERNATIVES_MAX - place
                    for place, request in enumerate(asked.alternatives)
                    if asked.exactly is None and request.full_name in taken
                )
        return points

    def reserve(self, slot: int) -> Reservation | None:
        """The devices that were found for the node are the claims', though nobody has written it yet."""
        if not self._free:
            return None
        found = self._found.get(slot)
        if found is None:
            raise CycleError("claim allocation not found for node")
        reservation = ClaimReservation(self._catalog, self._pod, tuple(zip(self._free, found, strict=True)))
        reservation.redo()
        return reservation

    def post_filter(self) -> str:
        """What PostFilter says: a claim that is allocated where the pod cannot use it is given up, if only the pod has it."""
        for index in sorted(self._unavailable):
            claim = self._claims[index]
            reserved = (claim.get("status") or {}).get("reservedFor") or ()
            if not reserved or (len(reserved) == 1 and is_reserved_for(claim, self._pod.metadata.uid)):
                self._catalog.give_up(claim)
                return DEALLOCATED
        return STILL_UNSCHEDULABLE


class ClaimReservation(Reservation):
    """The devices of one pod's claims."""

    plugin = NAME

    def __init__(
        self, catalog: DeviceCatalog, pod: Pod, allocated: tuple[tuple[Object, Object], ...]
    ) -> None:
        self._catalog = catalog
        self._pod = {"resource": "pods", "name": pod.metadata.name, "uid": pod.metadata.uid}
        self.allocated = allocated
        """Claims as they were, and what they get (``status.allocation``)."""

    def undo(self) -> None:
        """The devices are free again."""
        for claim, _ in self.allocated:
            self._catalog.withdraw(claim)

    def redo(self) -> None:
        """They are the claims'."""
        for claim, allocation in self.allocated:
            self._catalog.hold(claim, allocation, self._pod)
