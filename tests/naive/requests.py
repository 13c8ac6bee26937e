"""What a pod asks for. Source: component-helpers resource/helpers.go and the scheduler's util/utils.go."""

from __future__ import annotations

from fractions import Fraction

from kcore.api.objects import Container, ContainerPort, ContainerStatus, Pod
from tests.naive.quantity import ResourceList, parse_resources
from tests.naive.selectors import is_qualified_name

DEFAULT_CPU = Fraction(100, 1000)
DEFAULT_MEMORY = Fraction(200 * 1024 * 1024)
NON_ZERO_DEFAULTS: ResourceList = {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY}


def is_native(name: str) -> bool:
    """Whether the resource is in the kubernetes.io namespace, said or implied."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """Whether the resource is an extended one, such as nvidia.com/gpu."""
    if is_native(name) or name.startswith("requests."):
        return False
    return is_qualified_name(f"requests.{name}")


def is_scalar(name: str) -> bool:
    """Whether the scheduler counts the resource at all, apart from cpu, memory, ephemeral-storage and pods."""
    return (
        is_extended(name)
        or name.startswith("hugepages-")
        or "kubernetes.io/" in name
        or name.startswith("attachable-volumes-")
    )


def is_sidecar(container: Container) -> bool:
    """Whether an init container keeps running beside the others."""
    return container.restart_policy == "Always"


def host_ports(pod: Pod) -> list[ContainerPort]:
    """The host ports of the containers that run all the time: sidecars and main containers."""
    containers = [c for c in pod.spec.init_containers or () if is_sidecar(c)] + (pod.spec.containers or [])
    return [port for container in containers for port in container.ports or () if port.host_port > 0]


def has_pod_level_requests(pod: Pod) -> bool:
    """Whether spec.resources.requests names any resource that pod-level requests support."""
    requests = pod.spec.resources.requests if pod.spec.resources else None
    return any(supports_pod_level(name) for name in requests or ())


def supports_pod_level(name: str) -> bool:
    """Whether a pod-level request for the resource counts."""
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def _add(total: ResourceList, more: ResourceList) -> None:
    for name, quantity in more.items():
        total[name] = total.get(name, Fraction(0)) + quantity


def _raise_to(total: ResourceList, other: ResourceList) -> None:
    for name, quantity in other.items():
        if name not in total or quantity > total[name]:
            total[name] = quantity


def _effective(pod: Pod, spec: ResourceList, actuated: ResourceList, allocated: ResourceList) -> ResourceList:
    """The maximum of desired, actuated and allocated; without desired if the resize is known to be infeasible."""
    infeasible = False
    for condition in pod.status.conditions or ():
        if condition.type == "PodResizePending":
            infeasible = condition.reason == "Infeasible"
            break
    result: ResourceList = {}
    if not infeasible:
        _raise_to(result, spec)
    _raise_to(result, actuated)
    _raise_to(result, allocated)
    return result


def _container_requests(
    pod: Pod, container: Container, status: ContainerStatus | None, defaults: ResourceList
) -> ResourceList:
    requests = parse_resources(container.resources.requests if container.resources else None)
    if status is not None and status.resources is not None:
        requests = _effective(
            pod,
            requests,
            parse_resources(status.resources.requests),
            parse_resources(status.allocated_resources),
        )
    for name, quantity in defaults.items():
        requests.setdefault(name, quantity)
    return requests


def pod_requests(
    pod: Pod, *, use_status: bool, pod_level: bool = True, defaults: ResourceList | None = None
) -> ResourceList:
    """The pod's total request per resource, overhead included.

    ``use_status`` takes in-place resize into account, ``pod_level`` lets spec.resources replace the containers' sum,
    ``defaults`` stand in for what a container does not mention (an explicit zero stays zero).
    """
    defaults = defaults or {}
    statuses: dict[str, ContainerStatus] = {}
    if use_status:
        for status in (pod.status.container_statuses or []) + (pod.status.init_container_statuses or []):
            statuses[status.name] = status

    total: ResourceList = {}
    for container in pod.spec.containers or ():
        _add(total, _container_requests(pod, container, statuses.get(container.name), defaults))

    sidecars: ResourceList = {}
    init_peak: ResourceList = {}
    for container in pod.spec.init_containers or ():
        sidecar = is_sidecar(container)
        known = statuses.get(container.name) if sidecar else None
        requests = _container_requests(pod, container, known, defaults)
        if sidecar:
            _add(total, requests)
            _add(sidecars, requests)
            while_starting = dict(sidecars)
        else:
            while_starting = requests
            _add(while_starting, sidecars)
        _raise_to(init_peak, while_starting)
    _raise_to(total, init_peak)

    if pod_level and has_pod_level_requests(pod):
        _replace_by_pod_level(pod, total, use_status)
    _add(total, parse_resources(pod.spec.overhead))
    return total


def _replace_by_pod_level(pod: Pod, total: ResourceList, use_status: bool) -> None:
    assert pod.spec.resources is not None
    requests = parse_resources(pod.spec.resources.requests)
    effective = requests
    if use_status and pod.status.resources is not None:
        effective = _effective(
            pod,
            requests,
            parse_resources(pod.status.resources.requests),
            parse_resources(pod.status.allocated_resources),
        )
    for name in requests:
        if supports_pod_level(name):
            total[name] = effective.get(name, Fraction(0))
