"""The pools of devices that a node has access to: those that are whole, and those that cannot be used now, and why.

Source: structured/internal/incubating/pools_incubating.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kcore.scheduler.dynamic.objects import Slice
from kcore.scheduler.dynamic.selection import NodeView, is_selected

CounterSets = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """A pool as one node sees it."""

    driver: str
    name: str
    is_incomplete: bool = False
    """Its driver is about to publish it anew, not all slices of its generation are there."""
    fault: str = ""
    """Why nothing of it may be allocated: names that are not unique, counters that are not there."""
    slices: tuple[Slice, ...] = ()
    """Those with devices for the node, by name."""
    elsewhere: tuple[Slice, ...] = ()
    """Those without, where they had to be looked at."""
    counter_sets: CounterSets = ()  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self.driver}/{self.name}"

    @property
    def waits_to_bind(self) -> bool:
        """Whether a pod that gets one of its devices may have to wait: such pools come last."""
        return any(device.binding_conditions is not None for one in self.slices for device in one.devices)


def gather_pools(of_node: Iterable[Slice], node: NodeView, every: Sequence[Slice]) -> list[Pool]:
    """The pools that have something for the node, in the order in which they are searched; outdated slices are left out."""
    newest: dict[tuple[str, str], list[Slice]] = {}
    for one in of_node:
        if _is_relevant(one, node):
            _add(newest, one)
    found = [pool for key, slices in newest.items() if (pool := _pool(key, slices, every)) is not None]
    return sorted(found, key=lambda pool: (pool.waits_to_bind, pool.driver, pool.name))


def _is_relevant(one: Slice, node: NodeView) -> bool:
    if one.counter_sets:
        return True
    where = one.selection
    if where.node_name or where.all_nodes or where.selector is not None:
        return is_selected(where, node)
    return one.is_per_device and any(is_selected(device.selection, node) for device in one.devices)


def _add(newest: dict[tuple[str, str], list[Slice]], one: Slice) -> None:
    known = newest.setdefault((one.driver, one.pool), [])
    if known and one.generation < known[0].generation:
        return
    if known and one.generation > known[0].generation:
        known.clear()
    known.append(one)


def _pool(key: tuple[str, str], slices: list[Slice], every: Sequence[Slice]) -> Pool | None:
    """The pool of these slices; None where there is a newer generation that has nothing for the node."""
    wanted, generation = slices[0].slice_count, slices[0].generation
    if len(slices) == wanted:
        return _build(key, slices, None)
    of_pool = [one for one in every if (one.driver, one.pool) == key and one.generation >= generation]
    if any(one.generation > generation for one in of_pool):
        return None
    if len(of_pool) != wanted:
        return Pool(*key, is_incomplete=True)
    return _build(key, slices, of_pool)


def _build(key: tuple[str, str], slices: list[Slice], every: list[Slice] | None) -> Pool:
    slices = sorted(slices, key=lambda one: one.name)
    with_devices = [one for one in slices if not one.counter_sets]
    counter_sets: dict[str, Mapping[str, int]] = {}
    fault = (
        _name_fault(with_devices)
        or _counter_set_fault(slices, counter_sets)
        or _counter_fault(slices, counter_sets)
    )
    elsewhere: list[Slice] = []
    if not fault and every is not None and len(slices) != len(every):
        here = {one.name for one in slices}
        elsewhere = [one for one in every if one.name not in here]
        fault = _counter_fault(elsewhere, counter_sets)
    if fault:
        return Pool(*key, fault=fault)
    return Pool(*key, slices=tuple(with_devices), elsewhere=tuple(elsewhere), counter_sets=counter_sets)


def _name_fault(slices: Iterable[Slice]) -> str:
    names: set[str] = set()
    for one in slices:
        for device in one.devices:
            if device.id.device in names:
                return f"duplicate device name {device.id.device}"
            names.add(device.id.device)
    return ""


def _counter_set_fault(slices: Iterable[Slice], found: dict[str, Mapping[str, int]]) -> str:
    for one in slices:
        for name, counters in one.counter_sets:
            if name in found:
                return f"duplicate counter set name {name}"
            found[name] = counters
    return ""


def _counter_fault(slices: Iterable[Slice], counter_sets: CounterSets) -> str:
    for one in slices:
        for device in one.devices:
            for name, counters in device.consumes:
                if name not in counter_sets:
                    return f"counter set {name} not found"
                for counter in counters:
                    if counter not in counter_sets[name]:
                        return f"counter {counter} not found in counter set {name}"
    return ""
