"""Node groups that grow when pods fit nowhere and shrink when nodes are idle, as the cluster autoscaler's do.

Every ``period`` the autoscaler looks: if pods wait, it adds as many nodes of a group as those need that would fit on its
template (resources, taints, node selectors and affinity; not affinity to pods, nor spreading), after ``delay``; a node of
a group that no pod has used for ``idle`` goes. Source: Kubernetes cluster-autoscaler, FAQ ("How does scale-up work?",
"How does scale-down work?"): scan interval 10 s, unneeded time 10 min.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from kcore.api.errors import InputError
from kcore.api.objects import Node
from kcore.sim import timeline as names
from kcore.sim.events import Event, Running, read_node, time_ms
from kcore.sources.eligibility import may_run

PERIOD_MS = 10_000
DELAY_MS = 60_000
IDLE_MS = 600_000
NODES_MAX = 100_000
SAMPLE_MAX = 10_000
"""Waiting pods that one look considers."""


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Nodes of one template, between ``least`` and ``most`` of them."""

    name: str
    template: Node
    most: int
    least: int = 0
    delay_ms: int = DELAY_MS
    idle_ms: int = IDLE_MS
    period_ms: int = PERIOD_MS

    @classmethod
    def read(cls, given: Mapping[str, Any], index: int) -> NodeGroup:
        """The group that a mapping (name, template, min, max, delay, idle, period) describes."""
        place = f"group {index + 1}"
        if not isinstance(given, Mapping):
            raise InputError("is no mapping", document=place, expected="name, template and max")
        known = ("name", "template", "min", "max", "delay", "idle", "period")
        for key in given:
            if key not in known:
                raise InputError("is not known", document=place, field=key, expected=", ".join(known))
        for key in ("name", "template", "max"):
            if key not in given:
                raise InputError("is missing", document=place, field=key)
        if not (isinstance(given["name"], str) and given["name"]):
            raise InputError(f"{given['name']!r} is no name", document=place, field="name", expected="a text")
        if not isinstance(given["template"], Mapping):
            raise InputError("is no mapping", document=place, field="template", expected="a Node")
        template = read_node(given["template"], place, "template")
        bounds = {}
        for key, default in (("min", 0), ("max", 0)):
            value = given.get(key, default)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= NODES_MAX:
                raise InputError(
                    f"{value!r} is no number of nodes",
                    document=place,
                    field=key,
                    expected=f"0 to {NODES_MAX}",
                )
            bounds[key] = value
        if bounds["min"] > bounds["max"]:
            raise InputError("is more than max", document=place, field="min")
        times = [
            time_ms(given.get(key, default), place, key)
            for key, default in (("delay", DELAY_MS), ("idle", IDLE_MS), ("period", PERIOD_MS))
        ]
        if times[2] < 1:
            raise InputError("is no time", document=place, field="period", expected="1 ms or more")
        return cls(given["name"], template, bounds["max"], bounds["min"], *times)


@dataclass
class Autoscaler:
    """What the groups have, what is on its way, and since when nodes are idle."""

    groups: list[NodeGroup]
    nodes: dict[str, list[str]] = field(default_factory=dict)
    """Names of a group's nodes that are there."""
    coming: list[tuple[int, int, str]] = field(default_factory=list)
    """(ms, group, name) of nodes that were ordered."""
    idle_since: dict[str, int] = field(default_factory=dict)
    made: int = 0
    look_ms: int = 0
    futile: tuple[int, int, int] | None = None
    """How things stood when nodes were ordered the last time: while they stand so, more would not help either."""

    @classmethod
    def of(cls, groups: Sequence[NodeGroup | Mapping[str, Any]]) -> Autoscaler:
        """The autoscaler of the groups; those with a ``min`` order that many at once."""
        read = [
            one if isinstance(one, NodeGroup) else NodeGroup.read(one, index)
            for index, one in enumerate(groups)
        ]
        made = cls(read)
        for index, group in enumerate(read):
            if group.name in made.nodes:
                raise InputError(
                    f"{group.name!r} is the name of two groups", document=f"group {index + 1}", field="name"
                )
            made.nodes[group.name] = []
            for _ in range(group.least):
                made._order(index, 0)
        return made

    def told(self) -> dict[str, Any]:
        """All that changes, as plain data."""
        return {
            "nodes": self.nodes, "coming": self.coming, "idle_since": self.idle_since, "made": self.made,
            "look_ms": self.look_ms, "futile": self.futile,
        }  # fmt: skip

    def recall(self, told: Mapping[str, Any]) -> None:
        """Stand where another stood that told this."""
        self.nodes = {one.name: [str(name) for name in told["nodes"][one.name]] for one in self.groups}
        self.coming = [(int(at), int(index), str(name)) for at, index, name in told["coming"]]
        self.idle_since = {str(name): int(at) for name, at in told["idle_since"].items()}
        self.made, self.look_ms = int(told["made"]), int(told["look_ms"])
        self.futile = None
        if told["futile"] is not None:
            arrived, running, completed = map(int, told["futile"])
            self.futile = (arrived, running, completed)
        if any(not 0 <= index < len(self.groups) for _, index, _ in self.coming):
            raise InputError("is damaged", field="coming", expected="what a simulation saved")

    def _order(self, index: int, at: int) -> None:
        name = f"{self.groups[index].name}-{self.made:05d}"
        self.made += 1
        self.coming.append((at, index, name))

    def next_ms(self, simulation: Running) -> int:
        """When a node arrives, or the autoscaler looks again; never where nothing could come of it."""
        at = min((when for when, _, _ in self.coming), default=names.FOREVER)
        clock = simulation.timeline.clock
        could_shrink = any(len(self.nodes[one.name]) > one.least for one in self.groups)
        could_grow = clock[names.WAITING_COUNT] > 0 and any(
            len(self.nodes[one.name]) < one.most for one in self.groups
        )
        going_on = _goes_on(simulation)
        grows = could_grow and (going_on or (self.futile != _standing(clock) and self._helps(simulation)))
        if grows or (could_shrink and (going_on or bool(self.idle_since))):
            period = self._period_ms
            at = min(at, max(self.look_ms, -(-simulation.now_ms // period) * period))
        return at

    @property
    def _period_ms(self) -> int:
        return min(one.period_ms for one in self.groups)

    def _helps(self, simulation: Running) -> bool:
        """Whether any waiting pod fits on an empty node of some group."""
        return any(self._needed(simulation, one)[0] for one in self.groups)

    def due(self, simulation: Running) -> list[Event]:
        """Nodes that arrive now, and what a look finds."""
        now, events = simulation.now_ms, []
        for at, index, name in [one for one in self.coming if one[0] <= now]:
            self.coming.remove((at, index, name))
            group = self.groups[index]
            self.nodes[group.name].append(name)
            self.idle_since[name] = now
            events.append(Event(now, "add-node", name, named(group.template, name), group=index))
        # nodes that arrive are there, and who waits has been tried on them, before the next look
        if not events and now >= self.look_ms:
            events += self._shrink(simulation)
            clock = simulation.timeline.clock
            if clock[names.WAITING_COUNT] > 0 and (_goes_on(simulation) or self.futile != _standing(clock)):
                self._grow(simulation)
            self.look_ms = now + self._period_ms
        return events

    def _grow(self, simulation: Running) -> None:
        """Order nodes for the pods that wait, group by group, the first group first (expander: priority by order)."""
        left: np.ndarray | None = None
        for index, group in enumerate(self.groups):
            ordered = sum(1 for _, other, _ in self.coming if other == index)
            room = group.most - len(self.nodes[group.name]) - ordered
            count, left = self._needed(simulation, group, left)
            for _ in range(min(count - ordered, room)):
                self.futile = _standing(simulation.timeline.clock)
                self._order(index, simulation.now_ms + group.delay_ms)

    def _needed(
        self, simulation: Running, group: NodeGroup, places: np.ndarray | None = None
    ) -> tuple[int, np.ndarray]:
        """How many nodes of the group the waiting pods fill, first fit in order of the queue, and who does not fit on one."""
        if places is None:
            waiting = np.flatnonzero(simulation.timeline.status == names.WAITING)
            order = np.lexsort((simulation.timeline.sequence[waiting], simulation.timeline.key[waiting]))
            places = waiting[order][:SAMPLE_MAX]
        amounts, allowed = simulation.state.nodes.amounts_of(group.template)
        world = simulation.state.world()
        request = world.requests.amount[world.pods.request[simulation.jobs.rows[places]]]
        capacity = np.array([amounts.get(row, 0) for row in range(request.shape[1])], dtype=np.int64)
        classes = world.pods.spec_class[simulation.jobs.rows[places]]
        allowed_in = {
            one: may_run(simulation.state.classes[one].exemplar.spec, group.template)
            for one in np.unique(classes).tolist()
        }
        fits = (request <= capacity).all(axis=1) & np.array(
            [allowed_in[one] for one in classes.tolist()], bool
        )
        nodes: list[np.ndarray] = []
        pods: list[int] = []
        for wanted in request[fits]:
            for index, free in enumerate(nodes):
                if pods[index] < allowed and (wanted <= free).all():
                    free -= wanted
                    pods[index] += 1
                    break
            else:
                nodes.append(capacity - wanted)
                pods.append(1)
        return len(nodes), places[~fits]

    def _shrink(self, simulation: Running) -> list[Event]:
        """Nodes that have been idle for long go, down to the group's least."""
        now, state = simulation.now_ms, simulation.state
        events = []
        for group in self.groups:
            for name in list(self.nodes[group.name]):
                slot = state.nodes.index.get(name, -1)
                if slot < 0:
                    # it failed
                    self.nodes[group.name].remove(name)
                    self.idle_since.pop(name, None)
                elif state.nodes.pod_count[slot] > 0:
                    self.idle_since.pop(name, None)
                elif now - self.idle_since.setdefault(name, now) >= group.idle_ms:
                    if len(self.nodes[group.name]) > group.least:
                        self.nodes[group.name].remove(name)
                        self.idle_since.pop(name)
                        events.append(Event(now, "remove-node", name))
        return events


def _goes_on(simulation: Running) -> bool:
    """Whether any pod is to arrive or to complete yet."""
    timeline = simulation.timeline
    arrives = timeline.clock[names.ARRIVED] < len(simulation.jobs.rows)
    return bool(arrives) or names.next_ending(timeline) < names.FOREVER


def _standing(clock: np.ndarray) -> tuple[int, int, int]:
    """What changes when anything happens to pods."""
    return int(clock[names.ARRIVED]), int(clock[names.RUNNING_COUNT]), int(clock[names.COMPLETED_COUNT])


def named(template: Node, name: str) -> Node:
    """The node of that name that a template makes."""
    labels = {**(template.metadata.labels or {}), "kubernetes.io/hostname": name}
    metadata = msgspec.structs.replace(template.metadata, name=name, labels=labels)
    return msgspec.structs.replace(template, metadata=metadata)
