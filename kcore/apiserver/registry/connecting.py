"""Where logs, exec, attach, port-forward and proxies lead: the address that the door streams to.

Sources, Kubernetes 1.36: pkg/registry/core/pod/strategy.go (LogLocation, streamLocation, ResourceLocation),
pkg/registry/core/node/strategy.go, pkg/registry/core/service/storage/storage.go (ResourceLocation),
pkg/kubelet/client/kubelet_client.go, apimachinery pkg/util/net/port_split.go, pkg/apis/core/validation
(ValidatePodLogOptions).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from kcore.api import field
from kcore.api.field import FieldError, quoted
from kcore.api.status import ApiError, bad_request, invalid, not_found, unavailable
from kcore.apiserver.operation import Object, Operation
from kcore.apiserver.registry.core import Core
from kcore.apiserver.registry.options import boolean, first, integer
from kcore.apiserver.registry.stored_form import decode

Query = Mapping[str, Sequence[str]]

KUBELET_PORT: Final = 10250
ADDRESS_TYPES: Final = ("Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP")
CONTAINER_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: ``path`` and ``query`` are of the upstream request. ``kubelet``: with the server's own certificate."""

    scheme: str
    host: str
    port: int
    path: str = ""
    query: str = ""
    kubelet: bool = False
    follow: bool = False
    insecure: bool = False

    @property
    def authority(self) -> str:
        """Host and port as in a URL; without a port the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


async def log_target(core: Core, op: Operation, query: Query) -> Target | None:
    """Where the log of a container is; None: the pod has no node yet, the log is empty."""
    errors = _validate_log_options(query)
    if errors:
        raise invalid("", "PodLogOptions", op.name, errors)
    pod = await _get(core, "pods", op.namespace, op.name)
    container = _container(pod, first(query, "container"))
    node = _spec(pod).get("nodeName")
    if not node:
        return None
    params = {name: "true" for name in ("follow", "previous", "timestamps") if _flag(query, name)}
    for name in ("sinceSeconds", "sinceTime", "tailLines", "limitBytes"):
        if value := first(query, name):
            params[name] = value
    kubelet = await node_target(core, node)
    metadata = pod["metadata"]
    path = f"/containerLogs/{metadata['namespace']}/{metadata['name']}/{container}"
    return Target(
        kubelet.scheme, kubelet.host, kubelet.port, path, urlencode(sorted(params.items())), True,
        params.get("follow") == "true", _flag(query, "insecureSkipTLSVerifyBackend"),
    )  # fmt: skip


async def stream_target(core: Core, op: Operation, query: Query) -> Target:
    """Where exec and attach go."""
    pod = await _get(core, "pods", op.namespace, op.name)
    container = _container(pod, first(query, "container"))
    node = _node_of(pod, op)
    given = {"stdin": False, "stdout": True, "stderr": True, "tty": False}
    names = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
    params = [
        (names[name], "1")
        for name, otherwise in given.items()
        if (_flag(query, name) if name in query else otherwise)
    ]
    params += [("command", word) for word in query.get("command", ())] if op.subresource == "exec" else []
    kubelet = await node_target(core, node)
    metadata = pod["metadata"]
    path = f"/{op.subresource}/{metadata['namespace']}/{metadata['name']}/{container}"
    ordered = sorted(params, key=lambda pair: pair[0])
    return Target(kubelet.scheme, kubelet.host, kubelet.port, path, urlencode(ordered), True)


async def port_forward_target(core: Core, op: Operation, query: Query) -> Target:
    """Where a port-forward goes."""
    pod = await _get(core, "pods", op.namespace, op.name)
    kubelet = await node_target(core, _node_of(pod, op))
    metadata = pod["metadata"]
    path = f"/portForward/{metadata['namespace']}/{metadata['name']}"
    ports = ",".join(str(integer(each)) for each in query.get("ports", ()))
    text = urlencode([("port", ports)]) if ports else ""
    return Target(kubelet.scheme, kubelet.host, kubelet.port, path, text, True)


async def node_target(core: Core, name: str) -> Target:
    """The kubelet of the node; upstream's complaint where it says no address."""
    node = await _get(core, "nodes", "", name)
    status = node.get("status") or {}
    addresses = status.get("addresses") or []
    for wanted in ADDRESS_TYPES:
        for each in addresses:
            if each.get("type") == wanted:
                endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
                port = endpoint.get("Port") or 0
                return Target("https", each["address"], port if port > 0 else KUBELET_PORT, kubelet=True)
    shown = " ".join(f"{{{each.get('type', '')} {each.get('address', '')}}}" for each in addresses)
    raise ApiError(500, "", f"no preferred addresses found; known addresses: [{shown}]")


async def proxy_target(core: Core, op: Operation) -> Target:
    """Where ``pods|services|nodes/{name}/proxy`` goes; the name may say scheme and port."""
    if op.row.plural == "nodes":
        return await _node_proxy(core, op.name)
    if op.row.plural == "services":
        return await _service_proxy(core, op)
    scheme, name, port = split_name(op.name, "pod")
    pod = await _get(core, "pods", op.namespace, name)
    if not port:
        containers = _spec(pod).get("containers") or ()
        port = next((str(each["ports"][0]["containerPort"]) for each in containers if each.get("ports")), "")
    addresses = (pod.get("status") or {}).get("podIPs") or []
    address = addresses[0].get("ip", "") if addresses else ""
    if not _is_reachable(address):
        raise bad_request("address not allowed")
    return Target(scheme or "http", address, int(port) if port.isdecimal() else 0)


async def _node_proxy(core: Core, text: str) -> Target:
    scheme, name, port = split_name(text, "node")
    kubelet = await node_target(core, name)
    if not port or port == str(kubelet.port):
        return kubelet
    return Target(scheme or "http", kubelet.host, int(port) if port.isdecimal() else 0)


async def _service_proxy(core: Core, op: Operation) -> Target:
    scheme, name, port = split_name(op.name, "service")
    if port.isdecimal():
        service = await _get(core, "services", op.namespace, name)
        ports = _spec(service).get("ports") or ()
        found = next((each for each in ports if each["port"] == int(port)), None)
        if found is None:
            raise unavailable(f"no service port {int(port)} found for service {quoted(name)}")
        port = found.get("name", "")
    endpoints = await _get(core, "endpoints", op.namespace, name)
    subsets = endpoints.get("subsets") or []
    if not subsets:
        raise unavailable(f"no endpoints available for service {quoted(name)}")
    for subset in subsets:
        for each in subset.get("ports") or ():
            if each.get("name", "") != port:
                continue
            for address in subset.get("addresses") or ():
                if await _is_pod(core, op.namespace, address):
                    return Target(scheme or "http", address["ip"], each["port"])
    raise unavailable(f"no endpoints available for service {quoted(op.name)}")


async def _is_pod(core: Core, namespace: str, address: Object) -> bool:
    """Only addresses that are pods' are proxied to."""
    reference = address.get("targetRef")
    if not reference or reference.get("namespace") != namespace:
        return False
    try:
        pod = await _get(core, "pods", namespace, reference.get("name", ""))
    except ApiError:
        return False
    return any(each.get("ip") == address.get("ip") for each in (pod.get("status") or {}).get("podIPs") or ())


def split_name(text: str, what: str) -> tuple[str, str, str]:
    """Scheme, name and port of ``name``, ``name:port`` or ``scheme:name:port``; 400 for anything else."""
    parts = text.split(":")
    name = parts[0] if len(parts) < 3 else parts[1]
    scheme = parts[0] if len(parts) == 3 else ""
    port = parts[-1] if len(parts) > 1 else ""
    if not name or scheme not in ("", "http", "https") or len(parts) > 3:
        raise bad_request(f"invalid {what} request {quoted(text)}")
    return scheme, name, port


def _is_reachable(address: str) -> bool:
    """Go's ``IsGlobalUnicast``."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (
        parsed.is_unspecified or parsed.is_loopback or parsed.is_multicast or parsed.is_link_local
        or address == "255.255.255.255"
    )  # fmt: skip


def _spec(obj: Object) -> Object:
    found: Object = obj.get("spec") or {}
    return found


def _node_of(pod: Object, op: Operation) -> str:
    node: str = _spec(pod).get("nodeName") or ""
    if not node:
        raise bad_request(f"pod {op.name} does not have a host assigned")
    return node


def _container(pod: Object, name: str) -> str:
    """The container meant; 400 where it is not clear, or none of the pod's."""
    spec, pod_name = _spec(pod), pod["metadata"]["name"]
    every = [each["name"] for kind in CONTAINER_LISTS for each in spec.get(kind) or ()]
    if name:
        if name not in every:
            raise bad_request(f"container {name} is not valid for pod {pod_name}")
        return name
    containers: list[Object] = spec.get("containers") or []
    if len(containers) == 1:
        return str(containers[0]["name"])
    text = f"a container name must be specified for pod {pod_name}"
    raise bad_request(f"{text}, choose one of: [{' '.join(every)}]" if containers else text)


def _flag(query: Query, name: str) -> bool:
    values = query.get(name)
    return boolean(values[0]) if values else False


def _validate_log_options(query: Query) -> list[FieldError]:
    errors = []
    lines, limit = first(query, "tailLines"), first(query, "limitBytes")
    seconds, since = first(query, "sinceSeconds"), first(query, "sinceTime")
    if lines and integer(lines) < 0:
        errors.append(field.invalid("tailLines", integer(lines), "must be greater than or equal to 0"))
    if limit and integer(limit) < 1:
        errors.append(field.invalid("limitBytes", integer(limit), "must be greater than 0"))
    if seconds and since:
        text = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        errors.append(field.forbidden("", text))
    elif seconds and integer(seconds) < 1:
        errors.append(field.invalid("sinceSeconds", integer(seconds), "must be greater than 0"))
    return errors


async def _get(core: Core, plural: str, namespace: str, name: str) -> Object:
    row = core.catalog.row("", "v1", plural)
    assert row is not None
    stored = await core.store.get(row, namespace, name)
    if stored is None:
        raise not_found("", plural, name)
    return decode(stored.value, stored.revision)


TARGETS: Final[dict[str, Callable[[Core, Operation, Query], Awaitable[Target | None]]]] = {
    "log": log_target,
    "exec": stream_target,
    "attach": stream_target,
    "portforward": port_forward_target,
}
