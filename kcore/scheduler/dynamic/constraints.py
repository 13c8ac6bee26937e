"""What the devices of a claim have to have in common, checked as devices are chosen and given back.

Source: structured/internal/incubating/allocator_incubating.go (matchAttributeConstraint) and constraint.go of
Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.scheduler.dynamic.objects import Attribute, Constraint, Device, Request


class Check:
    """One constraint of a claim, and the devices that count for it."""

    __slots__ = ("_count", "_distinct", "_match", "_name", "_requests", "_values")

    def __init__(self, constraint: Constraint) -> None:
        self._requests = constraint.requests
        self._distinct = constraint.match is None
        self._name = (constraint.distinct if constraint.match is None else constraint.match) or ""
        self._count = 0
        self._match: Attribute | None = None
        self._values: dict[str, Attribute] = {}

    def add(self, request: Request, device: Device) -> bool:
        """Whether the constraint holds with the device, which counts from now on if so."""
        if not self._applies(request):
            return True
        attribute = find_attribute(device, self._name)
        if attribute is None:
            return False
        if self._distinct:
            # upstream keeps one value a request, that of its last device
            if self._count and any(not attribute.kind or attribute == one for one in self._values.values()):
                return False
            self._values[_base(request)] = attribute
        elif not self._count:
            self._match = attribute
        elif not attribute.kind or attribute != self._match:
            return False
        self._count += 1
        return True

    def remove(self, request: Request, device: Device) -> None:
        """The device, which was added, counts no more."""
        if not self._applies(request):
            return
        if self._distinct:
            self._values.pop(_base(request), None)
        self._count -= 1

    def _applies(self, request: Request) -> bool:
        return not self._requests or _base(request) in self._requests or request.full_name in self._requests


def _base(request: Request) -> str:
    return request.parent or request.name


def find_attribute(device: Device, name: str) -> Attribute | None:
    """The attribute by its full name; of the driver's own domain also where the device names none."""
    found = device.attributes.get(name)
    if found is not None:
        return found
    domain, slash, identifier = name.partition("/")
    return device.attributes.get(identifier) if slash and domain == device.id.driver else None
