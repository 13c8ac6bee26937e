"""The devices that claims of the cluster hold: whole ones, shares of shared ones, and how much of these is taken.

Source: structured/schedulerapi/types.go, plugins/dynamicresources/allocateddevices.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kcore.api.quantity import parse_quantity
from kcore.scheduler.dynamic.objects import DeviceId

Object = Mapping[str, Any]


class Allocated:
    """What is allocated. Devices held by administrative access are free for others, and do not count."""

    __slots__ = ("capacity", "devices", "shares", "versions")

    def __init__(self) -> None:
        self.devices: set[DeviceId] = set()
        self.shares: dict[DeviceId, set[str]] = {}
        self.capacity: dict[DeviceId, dict[str, int]] = {}
        self.versions: dict[tuple[str, str], int] = {}
        """By driver and pool, how often anything of the pool was allocated or given back."""

    def holds(self, device: DeviceId) -> bool:
        """Whether anybody has the device, or a share of it."""
        return device in self.devices or device in self.shares or device in self.capacity

    def add(self, allocation: Object) -> None:
        """The results of an allocation (``status.allocation`` of a claim) count."""
        for device, share, consumed in _results(allocation):
            self._changed(device)
            if share is None:
                self.devices.add(device)
                continue
            self.shares.setdefault(device, set()).add(share)
            if consumed is not None:
                take(self.capacity, device, consumed)

    def remove(self, allocation: Object) -> None:
        """They count no more."""
        for device, share, consumed in _results(allocation):
            self._changed(device)
            if share is None:
                self.devices.discard(device)
                continue
            shares = self.shares.get(device, set())
            shares.discard(share)
            if not shares:
                self.shares.pop(device, None)
            if consumed is not None:
                give_back(self.capacity, device, consumed)

    def _changed(self, device: DeviceId) -> None:
        pool = (device.driver, device.pool)
        self.versions[pool] = self.versions.get(pool, 0) + 1


def take(capacity: dict[DeviceId, dict[str, int]], device: DeviceId, amounts: Mapping[str, int]) -> None:
    """So much more of the device is taken."""
    known = capacity.setdefault(device, {})
    for name, nanos in amounts.items():
        known[name] = known.get(name, 0) + nanos


def give_back(capacity: dict[DeviceId, dict[str, int]], device: DeviceId, amounts: Mapping[str, int]) -> None:
    """So much less is; a device of which nothing is taken is forgotten."""
    known = capacity.get(device)
    if known is None:
        return
    for name, nanos in amounts.items():
        if name in known:
            known[name] -= nanos
    if not any(known.values()):
        del capacity[device]


def _results(allocation: Object) -> Iterator[tuple[DeviceId, str | None, dict[str, int] | None]]:
    for result in (allocation.get("devices") or {}).get("results") or ():
        if result.get("adminAccess"):
            continue
        consumed = result.get("consumedCapacity")
        yield (
            DeviceId(result["driver"], result["pool"], result["device"]),
            result.get("shareID"),
            None if consumed is None else {name: parse_quantity(value) for name, value in consumed.items()},
        )
