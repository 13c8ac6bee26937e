"""The scenario of a run: events and node groups in order of time, and what each does to the simulation."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from kcore.api.errors import InputError
from kcore.api.objects import Node
from kcore.scheduler.state import State
from kcore.sim import timeline as names
from kcore.sim.autoscaling import Autoscaler, NodeGroup
from kcore.sim.events import NODE_KINDS, Event, Running
from kcore.sim.loop import first_waiting, give_back
from kcore.sim.timeline import leave_line
from kcore.traces.trace import ADD, NodeEvent, Trace


@dataclass
class Scenario:
    """Events in order of time, and the autoscaler; ``position`` is the next event."""

    events: list[Event]
    autoscaler: Autoscaler | None = None
    position: int = 0
    removed: dict[str, Node] = field(default_factory=dict)
    """Nodes that went, by name: they may come again."""
    happened: list[tuple[int, str, str, int]] = field(default_factory=list)
    """What has happened to nodes: ms, kind, name, and the node group whose doing it was, -1 for none."""

    @classmethod
    def of(
        cls,
        given: Sequence[Event | Mapping[str, Any]],
        node_events: Iterable[NodeEvent],
        trace: Trace,
        groups: Sequence[NodeGroup | Mapping[str, Any]],
    ) -> Scenario:
        """The scenario of a run: what the caller says, what the trace says of machines, and the node groups."""
        events = [
            one if isinstance(one, Event) else Event.read(one, index) for index, one in enumerate(given)
        ]
        events += [
            Event(one.time_ms, "add-node" if one.kind == ADD else "remove-node", one.node)
            for one in node_events
        ]
        removed = {node.metadata.name: node for node in trace.objects.nodes}
        autoscaler = Autoscaler.of(groups) if groups else None
        return cls(sorted(events, key=lambda one: one.at_ms), autoscaler, 0, removed)

    def next_ms(self, simulation: Running) -> int:
        """When the next of it happens."""
        at = self.events[self.position].at_ms if self.position < len(self.events) else names.FOREVER
        if self.autoscaler is not None:
            at = min(at, self.autoscaler.next_ms(simulation))
        return max(at, simulation.now_ms)

    def watches(self, simulation: Running) -> bool:
        """Whether node groups would look as soon as anybody waits, and nobody does."""
        return self.autoscaler is not None and simulation.timeline.clock[names.WAITING_COUNT] == 0

    def pending(self, simulation: Running) -> bool:
        """Whether anything is left to happen."""
        return self.next_ms(simulation) < names.FOREVER

    def due(self, simulation: Running) -> list[Event]:
        """What is to happen now, taken off."""
        now, taken = simulation.now_ms, []
        while self.position < len(self.events) and self.events[self.position].at_ms <= now:
            taken.append(self.events[self.position])
            self.position += 1
        if self.autoscaler is not None:
            taken += self.autoscaler.due(simulation)
        return taken

    def told(self) -> dict[str, Any]:
        """All that changes, as plain data."""
        autoscaler = None if self.autoscaler is None else self.autoscaler.told()
        return {"position": self.position, "happened": self.happened, "autoscaler": autoscaler}

    def recall(self, told: Mapping[str, Any]) -> None:
        """Stand where another stood that told this; nodes that went are not known yet."""
        self.position = int(told["position"])
        if not 0 <= self.position <= len(self.events):
            raise InputError("is damaged", field="scenario", expected="what a simulation saved")
        groups = 0 if self.autoscaler is None else len(self.autoscaler.groups)
        self.happened = [
            (int(at), str(kind), str(name), int(group)) for at, kind, name, group in told["happened"]
        ]
        if any(group >= groups for _, _, _, group in self.happened):
            raise InputError("is damaged", field="scenario", expected="what a simulation saved")
        if self.autoscaler is not None:
            self.autoscaler.recall(told["autoscaler"])

    def copy(self) -> Scenario:
        """The same, for another future."""
        return Scenario(
            self.events,
            copy.deepcopy(self.autoscaler),
            self.position,
            dict(self.removed),
            list(self.happened),
        )


class Told(Running, Protocol):
    """A simulation whose scenario is told."""

    scenario: Scenario


def apply(simulation: Told, event: Event) -> bool:
    """Let the event happen; whether what is derived from nodes and pods must be made anew.

    Raises:
        InputError: it names a node or pod that is not there.
    """
    try:
        if event.kind == "add-node":
            simulation.state.add_node(new_node(simulation.state, simulation.scenario.removed, event))
        elif event.kind in ("remove-node", "fail-node"):
            _lose_node(simulation, event.name)
        elif event.kind in ("cordon", "uncordon"):
            simulation.state.nodes.cordon(event.name, event.kind == "cordon")
        elif event.kind == "delete-pod":
            _delete_pod(simulation, _place_of(simulation, event.pod))
            return False
        else:
            place = _place_of(simulation, event.pod)
            simulation.state.pods.priority[simulation.jobs.rows[place]] = event.priority
            if simulation.order == "queue" and not simulation.timeline.option[names.RULED]:
                simulation.timeline.key[place] = -event.priority
            least = simulation.timeline.option
            least[names.PRIORITY_LEAST] = min(int(least[names.PRIORITY_LEAST]), event.priority)
    except InputError as error:
        raise error.at(document=f"event {event.kind} at {event.at_ms} ms") from None
    if event.kind in NODE_KINDS:
        name = event.node.metadata.name if event.node is not None else event.name
        simulation.scenario.happened.append((simulation.now_ms, event.kind, name, event.group))
    return True


def new_node(state: State, known: Mapping[str, Node], event: Event) -> Node:
    """The node that the event adds; ``known`` are those that went.

    Raises:
        InputError: it is to be like one that is not there and never was.
    """
    if event.node is not None:
        node: Node = event.node
        return node
    nodes = state.nodes
    source = event.like or event.name
    template = nodes.nodes[nodes.index[source]] if source in nodes.index else known.get(source)
    if template is None:
        raise InputError(f"there is no node {source!r}", field="like", expected="a node to copy")
    if event.name == template.metadata.name:
        return template
    labels = dict(template.metadata.labels or {})
    if "kubernetes.io/hostname" in labels:
        labels["kubernetes.io/hostname"] = event.name
    metadata = msgspec.structs.replace(template.metadata, name=event.name, labels=labels)
    return msgspec.structs.replace(template, metadata=metadata)


def _place_of(simulation: Running, pod: str) -> int:
    namespace, _, name = pod.rpartition("/")
    row = simulation.state.find_pod(namespace or "default", name)
    place = int(simulation.timeline.place_of[row])
    if place < 0:
        raise InputError(f"{pod} was there before the simulation", field="pod", expected="a pod of the trace")
    return place


def _lose_node(simulation: Told, name: str) -> None:
    """Take a node away; its pods wait again, or are lost."""
    state, timeline = simulation.state, simulation.timeline
    slot = state.nodes.find(name)
    node = state.nodes.nodes[slot]
    assert node is not None
    for row in sorted(state.pods_on(slot)):
        place = int(timeline.place_of[row])
        if place < 0:
            simulation.drop(row)
            continue
        simulation.take_off(place, names.FAILED)
        timeline = simulation.room_for_evictions()
        timeline.end[place] = -1
        give_back(timeline, place, 1)
    simulation.scenario.removed[name] = node
    state.remove_node(name)


def _delete_pod(simulation: Running, place: int) -> None:
    """A user deletes the pod, wherever it is."""
    timeline = simulation.timeline
    status = int(timeline.status[place])
    if status == names.RUNNING:
        simulation.take_off(place, names.DELETED)
    elif status == names.WAITING:
        one = int(timeline.of_class[place])
        timeline.status[place] = names.DELETED
        if int(timeline.head[one]) == place:
            leave_line(timeline, one)
            first_waiting(timeline, one)
        else:
            timeline.waited[place] += simulation.now_ms - int(timeline.since[place])
            timeline.clock[names.WAITING_COUNT] -= 1
        if timeline.option[names.STRICT]:
            # it may have been in the way of all others
            timeline.clock[names.WOKEN] = 1
    elif status in (names.COMING, names.UNTRIED):
        timeline.status[place] = names.DELETED
    if status not in (names.COMPLETED, names.FAILED, names.DELETED):
        timeline.end[place] = simulation.now_ms
