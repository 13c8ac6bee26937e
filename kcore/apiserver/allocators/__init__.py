"""Numbers of which there is one each: addresses of services and ports on every node."""

from kcore.apiserver.allocators.addresses import AddressRange
from kcore.apiserver.allocators.ports import PortRange

__all__ = ["AddressRange", "PortRange"]
