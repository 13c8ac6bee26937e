"""Resource slices, device classes and resource claims as the allocator reads them, from their form in JSON (resource.k8s.io/v1).

What the API server would have set by default is set here: objects may come from files. Sources, Kubernetes 1.36:
staging/src/k8s.io/api/resource/v1/types.go, pkg/apis/resource/v1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from kcore.api.objects import Toleration
from kcore.api.quantity import canonical, parse_quantity

Object = Mapping[str, Any]

EXACT_COUNT: Final = "ExactCount"
ALL: Final = "All"
_VALUE_KINDS: Final = ("int", "bool", "string", "version")


class Quantity(NamedTuple):
    """An amount, exact, and how Go would write it."""

    nanos: int
    text: str


class RequestPolicy(NamedTuple):
    """In which parts a capacity may be asked for; a range has a minimum, maybe a maximum and a step."""

    default: Quantity | None
    has_range: bool
    minimum: Quantity | None
    maximum: Quantity | None
    step: Quantity | None
    values: tuple[Quantity, ...] | None


class Capacity(NamedTuple):
    """How much of something a device has."""

    value: Quantity
    policy: RequestPolicy | None


class Attribute(NamedTuple):
    """What a driver says of a device; the kind is int, bool, string, version, or empty where it is none of them."""

    kind: str
    value: Any


class Selection(NamedTuple):
    """The nodes that a slice or a device is for."""

    node_name: str | None
    all_nodes: bool
    selector: Object | None


class DeviceId(NamedTuple):
    """A device by the names that make it unique in a cluster."""

    driver: str
    pool: str
    device: str

    def __str__(self) -> str:
        return "/".join(self)


class Taint(NamedTuple):
    """Why a device is not for everybody."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """One device of a slice."""

    id: DeviceId
    attributes: Mapping[str, Attribute]
    capacity: Mapping[str, Capacity]
    consumes: tuple[tuple[str, Mapping[str, int]], ...]
    """Counter sets and what of their counters the device takes, in nano-units."""
    selection: Selection
    taints: tuple[Taint, ...]
    binds_to_node: bool
    binding_conditions: tuple[str, ...] | None
    failure_conditions: tuple[str, ...]
    is_shared: bool
    """It may be allocated more than once, while its capacity lasts."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Some devices of a pool, or the counters that they share."""

    name: str
    driver: str
    pool: str
    generation: int
    slice_count: int
    selection: Selection
    is_per_device: bool
    devices: tuple[Device, ...]
    counter_sets: tuple[tuple[str, Mapping[str, int]], ...]


@dataclass(frozen=True, slots=True, eq=False)
class DeviceClass:
    """What devices of a class have in common; a selector that is no expression is None."""

    name: str
    selectors: tuple[str | None, ...]
    configs: tuple[Object, ...]
    extended_resource: str


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Devices that a claim asks for, or one of the alternatives."""

    name: str
    parent: str
    """The request that it is an alternative of; empty where it is none."""
    class_name: str
    mode: str
    count: int
    is_admin: bool
    selectors: tuple[str | None, ...]
    tolerations: tuple[Toleration, ...]
    raw_tolerations: Sequence[Object] | None
    capacity: Mapping[str, Quantity]

    @property
    def full_name(self) -> str:
        """As results and configurations name it."""
        return f"{self.parent}/{self.name}" if self.parent else self.name


class Asked(NamedTuple):
    """One entry of ``spec.devices.requests``: a request, or alternatives of which the first that fits is taken."""

    name: str
    exactly: Request | None
    alternatives: tuple[Request, ...]


class Constraint(NamedTuple):
    """What devices have to have in common (``match``) or not; of all requests where none is named."""

    requests: frozenset[str]
    match: str | None
    distinct: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A resource claim's name and what it asks for."""

    namespace: str
    name: str
    uid: str
    requests: tuple[Asked, ...]
    constraints: tuple[Constraint, ...]
    configs: tuple[Object, ...]
    wish: bytes
    """What it asks for, and nothing of whose claim it is: equal for claims that get the same."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def quantity(value: str | int | float) -> Quantity:
    """The amount that a manifest says; InputError where it is none."""
    return Quantity(parse_quantity(value), canonical(value))


def _optional(value: Any) -> Quantity | None:
    return None if value is None else quantity(value)


def _policy(given: Object | None) -> RequestPolicy | None:
    if given is None:
        return None
    bounds, values = given.get("validRange"), given.get("validValues")
    limits = bounds or {}
    return RequestPolicy(
        _optional(given.get("default")),
        bounds is not None,
        _optional(limits.get("min")),
        _optional(limits.get("max")),
        _optional(limits.get("step")),
        None if values is None else tuple(quantity(one) for one in values),
    )


def _attribute(given: Object) -> Attribute:
    for kind in _VALUE_KINDS:
        if given.get(kind) is not None:
            return Attribute(kind, given[kind])
    return Attribute("", None)


def _selection(given: Object) -> Selection:
    return Selection(given.get("nodeName"), bool(given.get("allNodes")), given.get("nodeSelector"))


def _counters(given: Object) -> dict[str, int]:
    return {name: parse_quantity(one["value"]) for name, one in (given.get("counters") or {}).items()}


def _names(given: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(given)


def _device(given: Object, driver: str, pool: str) -> Device:
    return Device(
        id=DeviceId(driver, pool, given["name"]),
        attributes={name: _attribute(one) for name, one in (given.get("attributes") or {}).items()},
        capacity={
            name: Capacity(quantity(one["value"]), _policy(one.get("requestPolicy")))
            for name, one in (given.get("capacity") or {}).items()
        },
        consumes=tuple((one["counterSet"], _counters(one)) for one in given.get("consumesCounters") or ()),
        selection=_selection(given),
        taints=tuple(
            Taint(one.get("key", ""), one.get("value", ""), one.get("effect", ""))
            for one in given.get("taints") or ()
        ),
        binds_to_node=bool(given.get("bindsToNode")),
        binding_conditions=_names(given.get("bindingConditions")),
        failure_conditions=tuple(given.get("bindingFailureConditions") or ()),
        is_shared=bool(given.get("allowMultipleAllocations")),
    )


def read_slice(obj: Object) -> Slice:
    """A ResourceSlice; InputError where an amount is none."""
    spec = obj["spec"]
    driver, pool = spec["driver"], spec["pool"]
    return Slice(
        name=obj["metadata"]["name"],
        driver=driver,
        pool=pool["name"],
        generation=int(pool.get("generation") or 0),
        slice_count=int(pool.get("resourceSliceCount") or 0),
        selection=_selection(spec),
        is_per_device=bool(spec.get("perDeviceNodeSelection")),
        devices=tuple(_device(one, driver, pool["name"]) for one in spec.get("devices") or ()),
        counter_sets=tuple((one["name"], _counters(one)) for one in spec.get("sharedCounters") or ()),
    )


def _selectors(given: Sequence[Object] | None) -> tuple[str | None, ...]:
    return tuple((one.get("cel") or {}).get("expression") for one in given or ())


def read_class(obj: Object) -> DeviceClass:
    """A DeviceClass."""
    spec = obj.get("spec") or {}
    return DeviceClass(
        name=obj["metadata"]["name"],
        selectors=_selectors(spec.get("selectors")),
        configs=tuple(spec.get("config") or ()),
        extended_resource=spec.get("extendedResourceName") or "",
    )


def _request(given: Object, name: str, parent: str) -> Request:
    mode = given.get("allocationMode") or EXACT_COUNT
    tolerations = given.get("tolerations")
    return Request(
        name=name,
        parent=parent,
        class_name=given.get("deviceClassName", ""),
        mode=mode,
        count=int(given.get("count") or 1) if mode == EXACT_COUNT else 0,
        is_admin=not parent and bool(given.get("adminAccess")),
        selectors=_selectors(given.get("selectors")),
        tolerations=tuple(
            Toleration(
                key=one.get("key", ""),
                operator=one.get("operator", ""),
                value=one.get("value", ""),
                effect=one.get("effect", ""),
            )
            for one in tolerations or ()
        ),
        raw_tolerations=tolerations or None,
        capacity={
            key: quantity(value)
            for key, value in ((given.get("capacity") or {}).get("requests") or {}).items()
        },
    )


def _asked(given: Object) -> Asked:
    name, exactly = given["name"], given.get("exactly")
    return Asked(
        name,
        None if exactly is None else _request(exactly, name, ""),
        tuple(_request(one, one["name"], name) for one in given.get("firstAvailable") or ()),
    )


def read_claim(obj: Object) -> Claim:
    """A ResourceClaim; InputError where an amount is none."""
    metadata = obj["metadata"]
    devices = (obj.get("spec") or {}).get("devices") or {}
    return Claim(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata.get("uid") or "",
        requests=tuple(_asked(one) for one in devices.get("requests") or ()),
        constraints=tuple(
            Constraint(
                frozenset(one.get("requests") or ()), one.get("matchAttribute"), one.get("distinctAttribute")
            )
            for one in devices.get("constraints") or ()
        ),
        configs=tuple(devices.get("config") or ()),
        wish=msgspec.json.encode(devices, order="sorted"),
    )
