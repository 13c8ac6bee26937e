"""The fields of a Service that hang together: what a client left out is as it was.

Source: pkg/registry/core/service/storage/storage.go of Kubernetes 1.36 (normalizeClusterIPs, patchAllocatedValues).
"""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

NONE = "None"
EXTERNAL_NAME = "ExternalName"
NODE_PORT = "NodePort"
LOAD_BALANCER = "LoadBalancer"


def needs_cluster_ip(spec: Spec) -> bool:
    """All services but ExternalName."""
    return spec.get("type") != EXTERNAL_NAME


def needs_node_port(spec: Spec) -> bool:
    """Its ports get node ports."""
    if spec.get("type") == LOAD_BALANCER:
        return spec.get("allocateLoadBalancerNodePorts") is not False
    return spec.get("type") == NODE_PORT


def needs_health_check_port(spec: Spec) -> bool:
    """A load balancer asks its nodes for health."""
    return spec.get("type") == LOAD_BALANCER and spec.get("externalTrafficPolicy") == "Local"


def set_or_drop(spec: Spec, name: str, value: Any) -> None:
    """The field has the value; it is absent where that is empty."""
    if value:
        spec[name] = value
    else:
        spec.pop(name, None)


def normalize_cluster_ips(spec: Spec, old: Spec | None) -> None:
    """clusterIP and clusterIPs agree as far as the client's intent is clear."""
    one, many = spec.get("clusterIP", ""), spec.get("clusterIPs") or []
    if old is None:
        if one and not many:
            spec["clusterIPs"] = [one]
        return
    old_one, old_many = old.get("clusterIP", ""), old.get("clusterIPs") or []
    if old_many and not many and old_one == one:
        many = spec["clusterIPs"] = list(old_many)
    if old_one != one and many == old_many:
        set_or_drop(spec, "clusterIPs", [] if old_one and not one else [one])


def keep_allocated(spec: Spec, old: Spec) -> None:
    """What was allocated and is not in the new spec is kept, where it still applies."""
    if needs_cluster_ip(old) and needs_cluster_ip(spec):
        if not spec.get("clusterIP") and old.get("clusterIP"):
            spec["clusterIP"] = old["clusterIP"]
        if not spec.get("clusterIPs") and old.get("clusterIPs"):
            spec["clusterIPs"] = list(old["clusterIPs"])
    if needs_node_port(old) and needs_node_port(spec):
        used = _node_ports(old) & _node_ports(spec)
        known = {port.get("name", ""): port.get("nodePort", 0) for port in old.get("ports") or ()}
        for port in spec.get("ports") or ():
            if not port.get("nodePort"):
                before = known.get(port.get("name", ""), 0)
                if before and before not in used:
                    port["nodePort"] = before
    if needs_health_check_port(old) and needs_health_check_port(spec):
        if not spec.get("healthCheckNodePort") and old.get("healthCheckNodePort"):
            spec["healthCheckNodePort"] = old["healthCheckNodePort"]


def _node_ports(spec: Spec) -> set[int]:
    return {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}


def node_ports(spec: Spec) -> list[int]:
    """The node ports in their order."""
    return [port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")]
