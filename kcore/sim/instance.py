"""A packing problem: which pods may go on which nodes, and what there is room for; what models and bounds read.

Equal pods are one *kind*, equal nodes can be found by :meth:`Instance.node_groups`. Which nodes a kind may go on is the
engine's answer: its filters that do not depend on where other pods go.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kcore.api.errors import InputError
from kcore.scheduler import fields
from kcore.scheduler.accounts import account_many
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Engine, Options
from kcore.scheduler.ledger import Port
from kcore.scheduler.plugins.contract import IN_TREE, Depends
from kcore.scheduler.profile import Profile, SchedulerConfiguration
from kcore.scheduler.state import State
from kcore.scheduler.vocab import distinct

if TYPE_CHECKING:
    from kcore.cluster import Cluster

FIT = "NodeResourcesFit"
PODS = "pods"
DEVICE_MILLI = 1000
"""A whole device of a resource that is shared in thousandths."""
_ASKED = {plugin.name for plugin in IN_TREE if plugin.filter is Depends.STATIC} | {"NodePorts"}
"""Filters whose answer stands while pods come: those of the node alone, and ports, which only get fewer."""
_READ = (
    fields.TOLERATION, fields.TOLERATES_CORDON, fields.NODE_NAME, fields.SELECTOR, fields.AFFINITY, fields.ENFORCED,
    fields.HAS_NAMES,
)  # fmt: skip
"""What of a demand they read, besides names and ports."""


@dataclass(frozen=True)
class Instance:
    """Pods to place on nodes; amounts are milli-CPU, bytes, counts."""

    resources: tuple[str, ...]
    """Resources that some pod asks for; the last is ``pods``."""
    nodes: list[str]
    pods: list[str]
    """``namespace/name`` in the order of the queue."""
    kind: np.ndarray  # int32[pod]
    amount: np.ndarray  # int64[kind, resource]
    allowed: np.ndarray  # bool[kind, node]: no filter that is asked here rejects the pod
    free: np.ndarray  # int64[resource, node], not negative
    busy: np.ndarray  # bool[node]: there are pods on it already
    rivals: tuple[tuple[int, int], ...] = ()
    """Kinds that cannot share a node, because of host ports; (k, k) for a kind of which a node holds one."""
    device: str | None = None
    """A resource that comes in devices of 1,000: a pod that asks for less takes it from one of them."""
    device_count: np.ndarray | None = None  # int64[node]
    left_out: tuple[str, ...] = ()
    """Filters that pods of the queue are subject to and that are not modelled: the best here may be out of reach."""

    @property
    def counts(self) -> np.ndarray:
        """``int64[kind]``: how many pods there are of each."""
        return np.bincount(self.kind, minlength=len(self.amount))

    def room(self) -> np.ndarray:
        """``int64[kind, node]``: how many pods of a kind an otherwise unchanged node can take, at most all there are."""
        found = np.where(self.allowed, self.counts[:, np.newaxis], 0)
        for resource in range(len(self.resources)):
            asked = self.amount[:, resource]
            fit = self.free[resource][np.newaxis] // np.maximum(asked, 1)[:, np.newaxis]
            found = np.where(asked[:, np.newaxis] > 0, np.minimum(found, fit), found)
        for first, second in self.rivals:
            if first == second:
                found[first] = np.minimum(found[first], 1)
        if self.device is not None:
            found = np.minimum(found, self._device_room())
        return found

    def _device_room(self) -> np.ndarray:
        """The same by devices alone: of a kind that takes whole ones, or parts of one."""
        assert self.device_count is not None
        asked = self.amount[:, self.resources.index(str(self.device))][:, np.newaxis]
        each = np.where(asked > 0, DEVICE_MILLI // np.maximum(asked, 1), 0)
        whole = self.device_count[np.newaxis] // np.maximum(asked // DEVICE_MILLI, 1)
        fits = np.where(asked >= DEVICE_MILLI, whole, each * self.device_count[np.newaxis])
        return np.where(asked > 0, fits, np.iinfo(np.int64).max)

    def node_groups(self) -> list[np.ndarray]:
        """Nodes that nothing tells apart, as ``int64[node]`` of each group."""
        columns = [self.free, self.busy[np.newaxis].astype(np.int64), self.allowed.astype(np.int64)]
        if self.device_count is not None:
            columns.append(self.device_count[np.newaxis])
        return groups_of(np.vstack(columns))

    def violations(self, placed: np.ndarray) -> list[str]:
        """What is wrong with ``placed[kind, node]``, the number of pods put on each node; devices aside."""
        found = []
        if (placed < 0).any() or (placed.sum(axis=1) > self.counts).any():
            found.append("more pods than there are")
        if (placed[~self.allowed] > 0).any():
            found.append("a pod on a node that rejects it")
        for index, name in enumerate(self.resources):
            if (self.amount[:, index] @ placed > self.free[index]).any():
                found.append(f"too little {name}")
        for first, second in self.rivals:
            both = placed[first] + placed[second] if first != second else placed[first]
            if (both > 1).any():
                found.append("two pods with one host port")
        return found


def groups_of(columns: np.ndarray) -> list[np.ndarray]:
    """The indices of equal columns, a group each, in the order of their first."""
    _, first, inverse = np.unique(columns, axis=1, return_index=True, return_inverse=True)
    inverse = inverse.ravel()
    order = np.argsort(inverse, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    return [parts[one] for one in np.argsort(first, kind="stable")]


def instance_of(
    cluster: Cluster,
    rows: np.ndarray | None = None,
    *,
    config: Any = None,
    profile: str | None = None,
    device: str | None = None,
) -> Instance:
    """The problem of placing a cluster's pending pods, or the pods in ``rows`` as if they had no node yet.

    The cluster is as it was afterwards. Pods that never enter the queue (gated, not supported) are left out.

    Raises:
        InputError: anything wrong with the configuration or the device.
    """
    if rows is None:
        rows = cluster.pending_rows()
    engine = cluster.engine(config=config, profile=profile)
    demand = cluster.state.pods.demand.copy()
    try:
        return _read(engine, rows, device)
    finally:
        cluster.state.pods.demand[:] = demand


def _read(engine: Engine, rows: np.ndarray, device: str | None) -> Instance:
    state = engine.state
    decisions = Decisions(rows, np.zeros(0), np.zeros(0))
    runnable, _ = engine.prepare(rows, decisions, Options(preemption="off", hosts=False))
    queue = rows[runnable]
    state.world()
    left_out = tuple(_left_out(engine, queue))
    amounts = _amounts(engine, queue)
    asking = _asking(engine, queue)
    state.world()  # complete before anything is taken off, so that no row is counted without
    with _taken_off(state, queue):
        slots = np.array(sorted(state.nodes.index.values()), dtype=np.int64)
        masks = _masks(asking, queue, slots)
        free = state.nodes.allocatable[:, slots] - state.nodes.requested[:, slots]
        count_free = state.nodes.pods_allowed[slots] - state.nodes.pod_count[slots]
        busy = state.nodes.pod_count[slots] > 0
    free = np.maximum(np.vstack([free, count_free[np.newaxis]]), 0)
    found = replace(_put_together(state, queue, slots, amounts, masks, free), busy=busy, left_out=left_out)
    return found if device is None else with_devices(found, device, state, slots)


@contextmanager
def _taken_off(state: State, rows: np.ndarray) -> Iterator[None]:
    """Take pods off their nodes, and every nomination back, for the time being."""
    world = state.world()
    nodes, pods = world.nodes, world.pods
    kept = [
        (column, column.copy())
        for column in (
            nodes.requested,
            nodes.nonzero,
            nodes.pair,
            nodes.pod_count,
            nodes.ledger,
            nodes.gpu_left,
            nodes.gpu_kind,
        )
    ]
    nominated, claims = pods.nominated.copy(), state.nominated
    placed = rows[pods.node[rows] >= 0].astype(np.int32)
    account_many(nodes, pods, world.requests, placed, pods.node[placed].copy(), -1)
    pods.nominated[:] = -1
    state.nominated = claims[:0]
    try:
        yield
    finally:
        state.nominated = claims
        pods.nominated[:] = nominated
        for column, before in kept:
            column[:] = before


def _put_together(
    state: State,
    rows: np.ndarray,
    slots: np.ndarray,
    amounts: np.ndarray,
    masks: tuple[dict[int, int], np.ndarray],
    free: np.ndarray,
) -> Instance:
    """Find the kinds of pods, and leave out the resources that none asks for."""
    classes = state.pods.spec_class[rows].tolist()
    ports = [state.classes[number].ports for number in classes]
    mask_numbers = [masks[0][number] for number in classes]
    keys: dict[tuple[bytes, int, tuple[Port, ...]], int] = {}
    kind = np.zeros(len(rows), dtype=np.int32)
    first: list[int] = []
    for place, (mask, held) in enumerate(zip(mask_numbers, ports, strict=True)):
        key = (amounts[place].tobytes(), mask, held)
        if key not in keys:
            keys[key] = len(first)
            first.append(place)
        kind[place] = keys[key]
    amount = amounts[first]
    asked = np.flatnonzero(amount.any(axis=0))
    asked = np.union1d(asked, [len(free) - 1])
    names = [*state.nodes.resources.values, PODS]
    return Instance(
        resources=tuple(names[row] for row in asked),
        nodes=[state.nodes.name(slot) for slot in slots.tolist()],
        pods=[f"{state.namespace(row)}/{state.pods.name(row)}" for row in rows.tolist()],
        kind=kind,
        amount=amount[:, asked],
        allowed=masks[1][[mask_numbers[place] for place in first]],
        free=free[asked],
        busy=np.zeros(len(slots), dtype=bool),
        rivals=tuple(_rivals([ports[place] for place in first])),
    )


def with_devices(instance: Instance, device: str, state: State, slots: np.ndarray) -> Instance:
    """The instance with one resource in devices of 1,000, so many of them as the node has thousands.

    Of what is taken already only the sum is known: it is taken to be packed as well as can be.
    """
    row = state.nodes.resources.find(device)
    if row < 0:
        known = ", ".join(state.nodes.resources.values)
        raise InputError(
            f"no node or pod has the resource {device!r}", field="device", expected=f"one of {known}"
        )
    count = state.nodes.allocatable[row][slots] // DEVICE_MILLI
    if device not in instance.resources:
        return instance
    asked = instance.amount[:, instance.resources.index(device)]
    uneven = asked[(asked > DEVICE_MILLI) & (asked % DEVICE_MILLI != 0)]
    if len(uneven):
        raise InputError(
            f"a pod asks for {uneven[0]} of {device}",
            field="device",
            expected=f"at most {DEVICE_MILLI}, or whole thousands",
        )
    return replace(instance, device=device, device_count=count)


def _amounts(engine: Engine, rows: np.ndarray) -> np.ndarray:
    """``int64[pod, resource row + 1]``: what the fit filter counts, the last column the pod itself."""
    state = engine.state
    world = state.world()
    names = state.nodes.resources
    found = np.zeros((len(rows), len(names) + 1), dtype=np.int64)
    found[:, :-1] = world.requests.amount[state.pods.request[rows]]
    found[:, -1] = 1
    for number in distinct(state.pods.spec_class[rows]):
        members = state.pods.spec_class[rows] == number
        profile = engine.profile_of(int(rows[members][0]))
        assert profile is not None
        if FIT not in profile.filters:
            found[members] = 0
        else:
            ignored = np.flatnonzero(engine.settings(profile).fit_ignored)
            found[np.ix_(members, ignored)] = 0
    return found


def _asking(engine: Engine, rows: np.ndarray) -> Engine:
    """An engine that asks only the filters whose answers stand."""
    state = engine.state

    def narrowed(profile: Profile) -> Profile:
        return replace(profile, filters=tuple(name for name in profile.filters if name in _ASKED))

    forced = narrowed(engine.forced) if engine.forced is not None else None
    profiles = (forced,) if forced else tuple(narrowed(one) for one in engine.configuration.profiles)
    found = Engine(state, SchedulerConfiguration(profiles), compiled=False, forced=forced)
    found.compile_demands(rows)
    return found


def _masks(asking: Engine, rows: np.ndarray, slots: np.ndarray) -> tuple[dict[int, int], np.ndarray]:
    """For every spec class the number of its mask, and ``bool[mask, node]``."""
    state = asking.state
    verdict = asking.scratch(state.world()).verdict
    numbers: dict[tuple[Any, ...], int] = {}
    mask_of: dict[int, int] = {}
    masks: list[np.ndarray] = []
    classes = state.pods.spec_class[rows]
    for number in distinct(classes):
        row = int(rows[int(np.argmax(classes == number))])
        profile = asking.profile_of(row)
        assert profile is not None
        demand = state.demands.demands[int(state.pods.demand[row])]
        # classes that differ in nothing that these filters read are asked about once
        key = (
            profile.scheduler_name, tuple(demand.fixed[one] for one in _READ), tuple(demand.names),
            tuple(demand.ports),
        )  # fmt: skip
        if key not in numbers:
            numbers[key] = len(masks)
            asking.filter(profile, row)
            masks.append(verdict[slots] == 0)
        mask_of[number] = numbers[key]
    if not masks:
        return mask_of, np.zeros((0, len(slots)), dtype=bool)
    same, inverse = np.unique(np.array(masks), axis=0, return_inverse=True)
    merged = inverse.ravel().tolist()
    return {number: merged[mask] for number, mask in mask_of.items()}, same


def _rivals(ports: list[tuple[Port, ...]]) -> Iterator[tuple[int, int]]:
    """Pairs of kinds with host ports that exclude each other."""
    holders = [kind for kind, held in enumerate(ports) if held]
    for first, second in itertools.combinations_with_replacement(holders, 2):
        if any(one.conflicts(other) for one in ports[first] for other in ports[second]):
            yield first, second


def _left_out(engine: Engine, rows: np.ndarray) -> Iterator[str]:
    """Filters that reject pods of the queue for what other pods do, and users' filters."""
    state = engine.state
    found: set[str] = set()
    demands = state.pods.demand[rows]
    for number in distinct(demands):
        demand = state.demands.demands[number]
        profile = engine.profile_of(int(rows[int(np.argmax(demands == number))]))
        assert profile is not None
        if demand.spread_hard and "PodTopologySpread" in profile.filters:
            found.add("PodTopologySpread")
        terms = demand.affinity or demand.anti_affinity or demand.existing_anti_affinity
        if terms and "InterPodAffinity" in profile.filters:
            found.add("InterPodAffinity")
        found.update(one.name for one in engine.extension(profile).filters)
    yield from sorted(found)
