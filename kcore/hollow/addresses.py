"""Addresses of pods out of a range: given, taken back, and known to be in use."""

from __future__ import annotations

import ipaddress

from kcore.api.errors import InputError, KcoreError


class NoAddressLeft(KcoreError):
    """Every address of the range is in use."""


class AddressRange:
    """Addresses of one range; neither its first (the network's) nor, in IPv4, its last (broadcast) is given.

    Addresses that came back are given again before new ones, the last first.
    """

    def __init__(self, cidr: str) -> None:
        try:
            network = ipaddress.ip_network(cidr, strict=False)
        except ValueError:
            raise InputError(f"{cidr!r} is no range of addresses", expected="one like 10.128.0.0/9") from None
        self.cidr = cidr
        self._make = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
        self._parse = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
        self._first = int(network.network_address)
        self._next = 1
        # a range of one or two addresses has no address of its own
        self._end = network.num_addresses - (network.version == 4 and network.num_addresses > 2)
        if network.num_addresses <= 2:
            self._next = 0
        self._used: set[int] = set()
        self._back: list[int] = []

    def get(self) -> str:
        """An address that nobody has; NoAddressLeft where there is none."""
        while self._back:
            offset = self._back.pop()
            if offset not in self._used:
                return self._given(offset)
        while self._next < self._end:
            offset = self._next
            self._next += 1
            if offset not in self._used:
                return self._given(offset)
        raise NoAddressLeft(f"no address is left in {self.cidr}")

    def _given(self, offset: int) -> str:
        self._used.add(offset)
        return str(self._make(self._first + offset))

    def _offset(self, address: str) -> int | None:
        try:
            offset = int(self._parse(address)) - self._first
        except ValueError:
            return None
        return offset if 0 <= offset < self._end else None

    def use(self, address: str) -> bool:
        """The address is somebody's; False where it is not of this range."""
        offset = self._offset(address)
        if offset is None:
            return False
        self._used.add(offset)
        return True

    def put(self, address: str) -> bool:
        """The address is nobody's any more; False where it was not in use."""
        offset = self._offset(address)
        if offset is None or offset not in self._used:
            return False
        self._used.discard(offset)
        if offset < self._next:
            self._back.append(offset)
        return True

    def clear(self) -> None:
        """No address is in use."""
        self._back = sorted(offset for offset in {*self._back, *self._used} if offset < self._next)[::-1]
        self._used.clear()

    def __len__(self) -> int:
        return len(self._used)
