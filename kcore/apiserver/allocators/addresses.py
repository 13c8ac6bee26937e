"""The addresses of one service CIDR.

An address is an integer; which are taken is known from the IPAddress objects. Dynamic addresses come from the upper part
of a range as long as one is free there, so that static ones rarely collide (KEP-3070). Source:
pkg/registry/core/service/ipallocator/ipallocator.go of Kubernetes 1.36.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection
from typing import Final

NOT_HERE: Final = "the provided network does not match the current range"
TAKEN: Final = "provided IP is already allocated"
FULL: Final = "range is full"

OFFSET_MIN: Final = 16
OFFSET_MAX: Final = 256
OFFSET_STEP: Final = 16
IPV6_PREFIX_MIN: Final = 64


class AddressRange:
    """``first`` to ``last`` may be given out; below ``offset`` only when asked for or when the rest is taken."""

    def __init__(self, cidr: str) -> None:
        network = ipaddress.ip_network(cidr, strict=False)
        if network.version == 6 and network.prefixlen < IPV6_PREFIX_MIN:
            raise ValueError(
                f"shortest allowed prefix length for service CIDR is {IPV6_PREFIX_MIN}, got {network.prefixlen}"
            )
        self.network: Final = network
        self.family: Final = "IPv4" if network.version == 4 else "IPv6"
        self.first: Final = int(network.network_address) + 1
        self.last: Final = int(network.broadcast_address) - (network.version == 4)
        self.offset: Final = self.first + range_offset(network.num_addresses)

    @property
    def base(self) -> str:
        """The address that a dry run answers with."""
        return str(self.network.network_address)

    def __contains__(self, address: object) -> bool:
        return (
            isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address)
            and address.version == self.network.version
            and self.first <= int(address) <= self.last
        )

    def text(self, number: int) -> str:
        """The address as an IPAddress object is named."""
        kind = ipaddress.IPv4Address if self.network.version == 4 else ipaddress.IPv6Address
        return str(kind(number))

    def free(self, taken: Collection[str], below: Callable[[int], int]) -> str | None:
        """An address that nobody has, from a random one on; None where there is none. ``below(n)``: a random number."""
        for first, last in ((self.offset, self.last), (self.first, self.offset - 1)):
            size = last - first + 1
            if size <= 0:
                continue
            start = below(size)
            for step in range(min(size, len(taken) + 1)):
                found = self.text(first + (start + step) % size)
                if found not in taken:
                    return found
        return None


def range_offset(size: int) -> int:
    """How many addresses from the first on are kept for those who ask for one."""
    if size <= OFFSET_MIN:
        return 0
    return max(OFFSET_MIN, min(OFFSET_MAX, size // OFFSET_STEP))
