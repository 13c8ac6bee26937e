"""What a cluster has beside its policy: namespaces, priority classes, the service of the API server, its network.

Sources, Kubernetes 1.36: pkg/controlplane/controller/{systemnamespaces,kubernetesservice,defaultservicecidr,
clusterauthenticationtrust,legacytokentracking}, pkg/controlplane/reconcilers, pkg/apis/scheduling/v1/helpers.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from kcore.api.admission import PREEMPT_LOWER_PRIORITY, SYSTEM_PRIORITIES

Object = dict[str, Any]

SYSTEM_NAMESPACES: Final = ("default", "kube-node-lease", "kube-public", "kube-system")
KUBERNETES: Final = "kubernetes"
SERVICE_LABELS: Final = {"component": "apiserver", "provider": "kubernetes"}
SERVICE_PORT: Final = 443
TOKEN_TRACKING: Final = "kube-apiserver-legacy-service-account-token-tracking"
PRIORITY_DESCRIPTIONS: Final = {
    "system-node-critical": ("Used for system critical pods that must not be moved from their current node."),
    "system-cluster-critical": (
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."
    ),
}


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What the objects of a cluster say about it.

    ``advertise_address`` and ``secure_port`` are where pods reach this API server. The service's own address is the
    first of the first range. ``front_proxy`` is the part of extension-apiserver-authentication about front proxies.
    """

    advertise_address: str = "127.0.0.1"
    secure_port: int = 6443
    service_ranges: tuple[str, ...] = ("10.0.0.0/24",)
    client_ca_pem: str = ""
    front_proxy_ca_pem: str = ""
    front_proxy_names: tuple[str, ...] = ()
    front_proxy_username_headers: tuple[str, ...] = ("X-Remote-User",)
    front_proxy_uid_headers: tuple[str, ...] = ()
    front_proxy_group_headers: tuple[str, ...] = ("X-Remote-Group",)
    front_proxy_extra_prefixes: tuple[str, ...] = ("X-Remote-Extra-",)

    @property
    def service_address(self) -> str:
        """The cluster IP of the service ``kubernetes``."""
        return str(ipaddress.ip_network(self.service_ranges[0], strict=False)[1])


def namespaces() -> list[Object]:
    """The namespaces of the system."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in SYSTEM_NAMESPACES
    ]


def priority_classes() -> list[Object]:
    """The classes of the system's own pods."""
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
            "description": PRIORITY_DESCRIPTIONS[name],
            "preemptionPolicy": PREEMPT_LOWER_PRIORITY,
        }
        for name, value in SYSTEM_PRIORITIES.items()
    ]


def service_cidr(settings: ClusterSettings) -> Object:
    """The ranges that cluster IPs are taken from."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": KUBERNETES},
        "spec": {"cidrs": list(settings.service_ranges)},
    }


def ready_service_cidr(found: Object, now: str) -> Object | None:
    """The object with its condition Ready, None where it has one."""
    conditions = (found.get("status") or {}).get("conditions") or []
    if any(each.get("type") == "Ready" for each in conditions):
        return None
    ready = {
        "type": "Ready", "status": "True", "lastTransitionTime": now, "reason": "",
        "message": "Kubernetes default Service CIDR is ready",
    }  # fmt: skip
    return {**found, "status": {**(found.get("status") or {}), "conditions": [*conditions, ready]}}


def kubernetes_service(settings: ClusterSettings) -> Object:
    """The service under whose address pods reach the API server."""
    port = {"name": "https", "protocol": "TCP", "port": SERVICE_PORT, "targetPort": settings.secure_port}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": KUBERNETES, "namespace": "default", "labels": dict(SERVICE_LABELS)},
        "spec": {
            "ports": [port],
            "clusterIP": settings.service_address,
            "clusterIPs": [settings.service_address],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": [_family(settings.service_address)],
            "ipFamilyPolicy": "SingleStack",
        },
    }


def kubernetes_endpoints(settings: ClusterSettings) -> list[Object]:
    """Where the service leads: this API server, as Endpoints and as an EndpointSlice.

    None on a machine that has only its loopback address, which neither may hold.
    """
    if ipaddress.ip_address(settings.advertise_address).is_loopback:
        return []
    port = {"name": "https", "port": settings.secure_port, "protocol": "TCP"}
    address = settings.advertise_address
    return [
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {
                "name": KUBERNETES,
                "namespace": "default",
                "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
            },
            "subsets": [{"addresses": [{"ip": address}], "ports": [port]}],
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": KUBERNETES,
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": KUBERNETES},
            },
            "addressType": _family(address),
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [port],
        },
    ]


def extension_authentication(settings: ClusterSettings) -> Object:
    """What extension API servers need in order to believe this one's front proxy and its clients."""
    data: dict[str, str] = {}
    if settings.client_ca_pem:
        data["client-ca-file"] = settings.client_ca_pem
    if settings.front_proxy_ca_pem:
        data["requestheader-client-ca-file"] = settings.front_proxy_ca_pem
        data["requestheader-allowed-names"] = _json(settings.front_proxy_names)
        data["requestheader-username-headers"] = _json(settings.front_proxy_username_headers)
        if settings.front_proxy_uid_headers:
            data["requestheader-uid-headers"] = _json(settings.front_proxy_uid_headers)
        data["requestheader-group-headers"] = _json(settings.front_proxy_group_headers)
        data["requestheader-extra-headers-prefix"] = _json(settings.front_proxy_extra_prefixes)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": data,
    }


def token_tracking(now: str) -> Object:
    """From which day on the secrets of accounts' tokens say when they were last used; their cleaner asks for it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": TOKEN_TRACKING, "namespace": "kube-system"},
        "data": {"since": now[: len("2006-01-02")]},
    }


def _family(address: str) -> str:
    return f"IPv{ipaddress.ip_address(address).version}"


def _json(values: Sequence[str]) -> str:
    return orjson.dumps(list(values)).decode()
