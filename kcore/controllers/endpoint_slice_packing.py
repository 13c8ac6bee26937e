"""Endpoints in slices of a bounded size, with as few slices changed as can be.

Pure: from the slices there are and the endpoints there should be to what is to be created, updated and deleted.
Source: reconcileByPortMapping, getSliceToFill of staging/src/k8s.io/endpointslice, trafficdist/trafficdist.go of
Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kcore.controllers.contract import Object

PREFER_ZONE: Final = ("PreferClose", "PreferSameZone", "PreferSameNode")
PREFER_NODE: Final = "PreferSameNode"
COMPARED: Final = ("nodeName", "zone")
CONDITIONS: Final = ("ready", "serving", "terminating")
Identity = tuple[Any, ...]


@dataclass(slots=True)
class Changes:
    """Slices to write. Those to create have no name yet."""

    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)

    def add(self, other: Changes) -> None:
        """These too."""
        self.create += other.create
        self.update += other.update
        self.delete += other.delete


def identity(endpoint: Object) -> Identity:
    """What makes two endpoints the same one: addresses, hostname, pod."""
    target = endpoint.get("targetRef") or {}
    return (
        tuple(sorted(endpoint["addresses"])), endpoint.get("hostname") or "", target.get("namespace", ""),
        target.get("name", ""),
    )  # fmt: skip


def is_same(one: Object, other: Object) -> bool:
    """Nothing but hints tells them apart, given that their identity is one."""
    if any(one.get(name) != other.get(name) for name in COMPARED):
        return False
    conditions, others = one.get("conditions") or {}, other.get("conditions") or {}
    if any(conditions.get(name) != others.get(name) for name in CONDITIONS):
        return False
    return _target(one) == _target(other)


def _target(endpoint: Object) -> Object:
    return {
        name: value for name, value in (endpoint.get("targetRef") or {}).items() if name != "resourceVersion"
    }


def ports_key(ports: Iterable[Object] | None) -> Identity:
    """The same for the same set of ports."""
    return tuple(
        sorted(
            (
                port.get("name") or "", port.get("port") or 0, port.get("protocol") or "TCP",
                port.get("appProtocol") or "",
            )
            for port in ports or ()
        )
    )  # fmt: skip


def endpoints_of(piece: Object) -> list[Object]:
    """The slice's endpoints."""
    return piece.get("endpoints") or []


def packed(
    existing: Sequence[Object],
    desired: Mapping[Identity, Object],
    made: Callable[[], Object],
    labels_of: Callable[[Object], tuple[dict[str, str], bool]],
    count_max: int,
) -> Changes:
    """What is to be written that slices of one set of ports have these endpoints.

    ``made`` is a new empty slice; ``labels_of`` says the labels a slice should have, and whether it lacks them.
    """
    left = dict(desired)
    by_name: dict[str, Object] = {}
    unchanged: list[str] = []
    update: list[str] = []
    changes = Changes()
    for piece in existing:
        name = piece["metadata"]["name"]
        by_name[name] = piece
        labels, relabelled = labels_of(piece)
        kept, differs = _kept(piece, left)
        if differs and not kept:
            changes.delete.append(piece)
        elif differs or relabelled:
            endpoints = kept if differs else endpoints_of(piece)
            metadata = {**piece["metadata"], "labels": labels}
            by_name[name] = {**piece, "metadata": metadata, "endpoints": list(endpoints)}
            update.append(name)
        else:
            unchanged.append(name)
    for name in sorted(update, key=lambda each: -len(by_name[each]["endpoints"])):
        _fill(by_name[name]["endpoints"], left, count_max)
    while left:
        name = ""
        if len(left) < count_max:
            name = _closest([by_name[each] for each in unchanged], len(left), count_max)
        piece = made() if not name else {**by_name[name], "endpoints": list(endpoints_of(by_name[name]))}
        _fill(piece["endpoints"], left, count_max)
        if name:
            by_name[name] = piece
            update.append(name)
            unchanged.remove(name)
        else:
            changes.create.append(piece)
    changes.update = [by_name[name] for name in update]
    return changes


def _kept(piece: Object, left: dict[Identity, Object]) -> tuple[list[Object], bool]:
    """Its endpoints that are wanted still, as wanted, taken from ``left``; and whether that is a change."""
    kept: list[Object] = []
    updated = False
    there = endpoints_of(piece)
    for endpoint in there:
        wanted = left.pop(identity(endpoint), None)
        if wanted is None:
            continue
        if is_same(wanted, endpoint):
            wanted = {**wanted, "hints": endpoint["hints"]} if endpoint.get("hints") else wanted
        else:
            updated = True
        kept.append(wanted)
    return kept, updated or len(kept) != len(there)


def _fill(endpoints: list[Object], left: dict[Identity, Object], count_max: int) -> None:
    while left and len(endpoints) < count_max:
        endpoints.append(left.pop(next(iter(left))))


def _closest(pieces: Iterable[Object], count: int, count_max: int) -> str:
    """The name of the slice that is closest to full with so many more; "" where there is none."""
    best, found = count_max, ""
    for piece in pieces:
        room = count_max - count - len(endpoints_of(piece))
        if 0 <= room < best:
            best, found = room, piece["metadata"]["name"]
    return found


def hinted(changes: Changes, unchanged: Iterable[Object], distribution: str | None) -> None:
    """Endpoints say for which zone and node they are, as ``trafficDistribution`` asks; nothing where it does not."""
    changes.create = [_with_hints(piece, distribution) for piece in changes.create]
    changes.update = [_with_hints(piece, distribution) for piece in changes.update]
    for piece in unchanged:
        made = _with_hints(piece, distribution)
        if made is not piece:
            changes.update.append(made)


def _with_hints(piece: Object, distribution: str | None) -> Object:
    endpoints = [_hint(endpoint, distribution) for endpoint in endpoints_of(piece)]
    if all(one is other for one, other in zip(endpoints, endpoints_of(piece), strict=True)):
        return piece
    return {**piece, "endpoints": endpoints}


def _hint(endpoint: Object, distribution: str | None) -> Object:
    before = endpoint.get("hints")
    if distribution in PREFER_ZONE:
        if not (endpoint.get("conditions") or {}).get("ready"):
            return endpoint
        zone, node = endpoint.get("zone"), endpoint.get("nodeName") if distribution == PREFER_NODE else None
        hints = {
            **({"forZones": [{"name": zone}]} if zone is not None else {}),
            **({"forNodes": [{"name": node}]} if node is not None else {}),
        }
    else:
        hints = {}
    if (before or {}) == hints:
        return endpoint
    rest = {name: value for name, value in endpoint.items() if name != "hints"}
    return {**rest, "hints": hints} if hints else rest


def sent(piece: Object) -> Object:
    """The slice as Go's clients send it: an empty list is none, which all who read it see as null."""
    return {**piece, "endpoints": piece.get("endpoints") or None, "ports": piece.get("ports") or None}
