"""Slices, classes and claims for tests, in few words; and what the allocator makes of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kcore.scheduler.dynamic.allocated import Allocated
from kcore.scheduler.dynamic.allocator import Allocator
from kcore.scheduler.dynamic.expressions import Selectors
from kcore.scheduler.dynamic.faults import AllocationError, AllocationTimeout, NodeRefused
from kcore.scheduler.dynamic.objects import Device, read_claim, read_class, read_slice
from kcore.scheduler.dynamic.selection import NodeView

Object = dict[str, Any]
DRIVER = "driver.example.com"
NODE = NodeView("worker", {"zone": "a"})
SELECTORS = Selectors()
HERE = {"nodeName": "worker"}
GiB = "Gi"


def device(name: str, /, attributes: Object | None = None, memory: str = "", **more: Any) -> Object:
    """A device; attributes by name with their value."""
    kinds = {bool: "bool", int: "int", str: "string"}
    found: Object = {"name": name, **more}
    if attributes:
        found["attributes"] = {
            key: value if isinstance(value, dict) else {kinds[type(value)]: value}
            for key, value in attributes.items()
        }
    if memory:
        found["capacity"] = {"memory": {"value": memory}}
    return found


def slice_of(*devices: Object, name: str = "slice", pool: str = "pool", driver: str = DRIVER, count: int = 1,
             generation: int = 1, **where: Any) -> Object:  # fmt: skip
    """A slice of one pool, on the node ``worker`` unless told otherwise."""
    named = {"name": pool, "generation": generation, "resourceSliceCount": count}
    spec: Object = {"driver": driver, "pool": named, **(where or HERE)}
    if devices:
        spec["devices"] = list(devices)
    return {"metadata": {"name": name}, "spec": spec}


def device_class(name: str, /, *expressions: str, **more: Any) -> Object:
    """A class of what the expressions select."""
    return {"metadata": {"name": name}, "spec": {"selectors": _selectors(expressions), **more}}


def _selectors(expressions: Iterable[str]) -> list[Object]:
    return [{"cel": {"expression": one}} for one in expressions]


def asks(of: str = "any", count: int | str = 1, /, *expressions: str, **more: Any) -> Object:
    """What a request asks for: so many devices of a class, or all."""
    found: Object = {"deviceClassName": of, **more}
    found |= {"allocationMode": "All"} if count == "All" else {"allocationMode": "ExactCount", "count": count}
    return found | ({"selectors": _selectors(expressions)} if expressions else {})


def claim(name: str, /, *requests: Object | Sequence[Object], **more: Any) -> Object:
    """A claim; requests are r0, r1, ..., a list is one of alternatives a0, a1, ..."""
    asked: list[Object] = []
    for index, one in enumerate(requests):
        if isinstance(one, dict):
            asked.append({"name": f"r{index}", "exactly": one})
        else:
            alternatives = [{**each, "name": f"a{place}"} for place, each in enumerate(one)]
            asked.append({"name": f"r{index}", "firstAvailable": alternatives})
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {"devices": {"requests": asked, **more}},
    }


def allocate(
    slices: Sequence[Object],
    claims: Sequence[Object],
    *,
    classes: Sequence[Object] = (device_class("any"),),
    allocated: Sequence[Object] = (),
    node: NodeView = NODE,
    matches: Callable[[str, Device], bool] = SELECTORS.matches,
    is_late: Callable[[], bool] = lambda: False,
) -> list[Object] | str | None:
    """The allocations of the claims, None, or the words of what is wrong; shares are all named alike."""
    state = Allocated()
    for one in allocated:
        state.add(one)
    allocator = Allocator(
        state,
        {one["metadata"]["name"]: read_class(one) for one in classes},
        [read_slice(one) for one in slices],
        matches,
        lambda: "share",
        is_late,
    )
    try:
        return copy.deepcopy(allocator.allocate(node, [read_claim(one) for one in claims]))
    except (AllocationError, NodeRefused) as error:
        return str(error)
    except AllocationTimeout:
        return "timeout"


def devices_of(found: list[Object] | str | None) -> Any:
    """By claim, what each request got: "r0=a r0=b"; a text or None as it is."""
    if not isinstance(found, list):
        return found
    return [
        " ".join(f"{one['request']}={one['device']}" for one in each["devices"]["results"]) for each in found
    ]
