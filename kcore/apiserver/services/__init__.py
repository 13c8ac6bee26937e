"""What a Service gets beside its object: addresses, node ports, IP families."""

from kcore.apiserver.services.allocation import ServiceAllocation, service_hooks

__all__ = ["ServiceAllocation", "service_hooks"]
