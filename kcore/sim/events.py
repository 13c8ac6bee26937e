"""What may happen besides arrivals and completions, as it is described, and what it sees of a simulation.

An event is a mapping with ``at`` (a number with a unit, "90s", "2h", or milliseconds), ``kind``, and what the kind needs:

| kind | needs |
|---|---|
| add-node | ``node``: a Node object; or ``name`` and ``like``: the name of a node to copy; or the name of one that was removed |
| remove-node | ``name``: it is drained; its pods wait again and lose nothing but what ``preempted`` says |
| fail-node | ``name``: it is gone, and its pods are treated in the same way |
| cordon, uncordon | ``name`` |
| delete-pod | ``pod``: namespace/name |
| set-priority | ``pod``, ``priority`` |
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kcore.api.errors import InputError
from kcore.api.objects import Node
from kcore.scheduler.state import State
from kcore.sim.lines import Jobs
from kcore.sim.timeline import Timeline
from kcore.sources import decode_objects

NEEDS = {
    "add-node": (),
    "remove-node": ("name",),
    "fail-node": ("name",),
    "cordon": ("name",),
    "uncordon": ("name",),
    "delete-pod": ("pod",),
    "set-priority": ("pod", "priority"),
}
NODE_KINDS = ("add-node", "remove-node", "fail-node", "cordon", "uncordon")
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
PRIORITY_MAX = 2_147_483_647


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at a time."""

    at_ms: int
    kind: str
    name: str = ""
    node: Any = None
    like: str = ""
    pod: str = ""
    priority: int = 0
    group: int = -1
    """The node group that adds the node, -1 for none."""

    @classmethod
    def read(cls, given: Mapping[str, Any], index: int) -> Event:
        """The event that a mapping describes.

        Raises:
            InputError: what is wrong, with the event's number and field.
        """
        place = f"event {index + 1}"
        if not isinstance(given, Mapping):
            raise InputError("is no mapping", document=place, expected="at, kind and what the kind needs")
        known = {"at", "kind", "name", "node", "like", "pod", "priority"}
        for key in given:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                expected = f"{near[0]}" if near else ", ".join(sorted(known))
                raise InputError("is not known", document=place, field=str(key), expected=expected)
        kind = given.get("kind")
        if kind not in NEEDS:
            raise InputError(
                f"{kind!r} is no kind of event", document=place, field="kind", expected=", ".join(NEEDS)
            )
        for key in NEEDS[kind]:
            if key not in given:
                raise InputError("is missing", document=place, field=key, expected=f"what {kind} concerns")
        for key in ("name", "like", "pod"):
            if key in given and not (isinstance(given[key], str) and given[key]):
                raise InputError(f"{given[key]!r} is no name", document=place, field=key, expected="a text")
        if "at" not in given:
            raise InputError("is missing", document=place, field="at", expected="a time, as 90s")
        node = None
        if kind == "add-node":
            node = _node(given, place)
        priority = given.get("priority", 0)
        if isinstance(priority, bool) or not isinstance(priority, int) or abs(priority) > PRIORITY_MAX:
            raise InputError(
                f"{priority!r} is no priority", document=place, field="priority", expected="an int32"
            )
        return cls(
            time_ms(given.get("at"), place, "at"), kind, str(given.get("name", "")), node,
            str(given.get("like", "")), str(given.get("pod", "")), priority,
        )  # fmt: skip


def _node(given: Mapping[str, Any], place: str) -> Node | None:
    if "node" not in given:
        if "name" not in given:
            raise InputError(
                "is missing", document=place, field="node", expected="a Node, or the name of one"
            )
        return None
    if not isinstance(given["node"], Mapping):
        raise InputError("is no mapping", document=place, field="node", expected="a Node")
    return read_node(given["node"], place, "node")


def read_node(given: Mapping[str, Any], place: str, name: str) -> Node:
    """The Node that stands in the field ``name`` of an item.

    Raises:
        InputError: what is wrong with it, with its place.
    """
    try:
        return decode_objects([{**given, "kind": "Node", "apiVersion": "v1"}]).nodes[0]
    except InputError as error:
        field = f"{name}.{error.field}" if error.field else name
        raise InputError(error.problem, document=place, field=field, expected=error.expected) from None


def time_ms(given: Any, place: str, name: str) -> int:
    """A time in milliseconds: a whole number, or one with a unit (ms, s, m, h, d)."""
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    text = str(given).strip()
    for unit in sorted(UNITS_MS, key=len, reverse=True):
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit():
            return round(float(number) * UNITS_MS[unit])
    raise InputError(
        f"{given!r} is no time", document=place, field=name, expected="milliseconds, or as 90s, 5m, 2h, 1d"
    )


class Running(Protocol):
    """A simulation, as those see it that make something happen in it."""

    state: State
    timeline: Timeline
    jobs: Jobs
    order: str
    scenario: Any

    @property
    def now_ms(self) -> int:
        """Simulated milliseconds since the first arrival."""

    def take_off(self, place: int, status: int) -> None:
        """Take a running pod off its node; it has that status now."""

    def drop(self, row: int) -> None:
        """Take a pod that was there before the simulation off its node, for good."""

    def room_for_evictions(self) -> Timeline:
        """The timeline, with room for another eviction."""
