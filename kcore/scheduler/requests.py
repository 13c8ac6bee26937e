"""What a pod asks for: the sums that the scheduler counts, exact to the rounding.

Source: component-helpers/resource/helpers.go (PodRequests) and pkg/scheduler/framework/types.go
(CalculateResource) of Kubernetes 1.36. Amounts are exact integers in nano units until the last step, because
upstream adds quantities before it rounds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kcore.api.errors import InputError
from kcore.api.objects import Container, ContainerStatus, Pod, Quantity
from kcore.api.quantity import milli_value, parse_quantity, unit_value
from kcore.scheduler.codes import QUANTITY_MAX

Nanos = dict[str, int]

NANO = 10**9
DEFAULT_CPU = 100 * NANO // 1000
"""Nano-CPU that a container counts as where it asks for none (util.DefaultMilliCPURequest)."""
DEFAULT_MEMORY = 200 * 1024 * 1024 * NANO
DEFAULTS: Nanos = {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY}


class PodRequest(NamedTuple):
    """Amounts of one pod: ``amount`` by resource (milli-CPU, base units), CPU and memory with defaults beside it.

    ``score`` is what NodeResourcesFit's scoring strategy reads where that is something else: upstream's scorer does
    not know of pod-level resources (fit.go, NewFit leaves enablePodLevelResources of the scorer unset).
    """

    amount: tuple[tuple[str, int], ...]
    nonzero: tuple[int, int]
    score: tuple[tuple[str, int], ...] | None = None


def is_scalar(name: str) -> bool:
    """Tell whether the scheduler counts the resource beside CPU, memory and ephemeral storage."""
    if name.startswith(("hugepages-", "attachable-volumes-")) or "kubernetes.io/" in name:
        return True
    return is_extended(name)


def is_extended(name: str) -> bool:
    """Tell whether the resource is an extended one: a name with a domain that is not Kubernetes' own."""
    return "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")


def parse(resources: Mapping[str, Quantity] | None, field: str) -> Nanos:
    """Exact amounts of a resource list.

    Raises:
        InputError: not a quantity, or a negative one; the field is ``field`` plus the resource.
    """
    if not resources:
        return {}
    result: Nanos = {}
    for name, value in resources.items():
        try:
            amount = parse_quantity(value)
        except InputError as error:
            raise error.at(field=f"{field}.{name}") from None
        if amount < 0:
            raise InputError(
                f"{value!r} is negative", field=f"{field}.{name}", expected="a quantity of 0 or more"
            )
        result[name] = amount
    return result


def _add(total: Nanos, more: Nanos) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _maximum(total: Nanos, other: Nanos) -> None:
    for name, amount in other.items():
        if amount > total.get(name, -1):
            total[name] = amount


def _with_defaults(own: Nanos, defaults: Nanos) -> Nanos:
    return own if all(name in own for name in defaults) else {**defaults, **own}


def _container_requests(
    container: Container, status: ContainerStatus | None, infeasible: bool, field: str
) -> Nanos:
    own = parse(container.resources.requests if container.resources else None, f"{field}.resources.requests")
    if status is None or status.resources is None:
        return own
    return _effective(own, status.resources.requests, status.allocated_resources, infeasible, field)


def _effective(
    own: Nanos,
    actuated: Mapping[str, Quantity] | None,
    allocated: Mapping[str, Quantity] | None,
    infeasible: bool,
    field: str,
) -> Nanos:
    """The larger of what is asked and what the kubelet reports while a resize is under way."""
    result: Nanos = {} if infeasible else dict(own)
    _maximum(result, parse(actuated, f"{field}.status.resources.requests"))
    _maximum(result, parse(allocated, f"{field}.status.allocatedResources"))
    return result


def _resize_infeasible(pod: Pod) -> bool:
    for condition in pod.status.conditions or ():
        if condition.type == "PodResizePending":
            return condition.reason == "Infeasible"
    return False


def _statuses(pod: Pod) -> dict[str, ContainerStatus]:
    both = (pod.status.container_statuses or ()), (pod.status.init_container_statuses or ())
    return {status.name: status for statuses in both for status in statuses if status.resources is not None}


def is_pod_level(name: str) -> bool:
    """Tell whether spec.resources may set the resource for the whole pod."""
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def pod_requests(pod: Pod, defaults: Nanos, *, use_status: bool, pod_level: bool = True) -> Nanos:
    """Sum of the pod's requests; containers that lack one of ``defaults`` count with it.

    ``use_status`` takes the kubelet's reports of a resize into account, as upstream does for pods on nodes.
    """
    statuses = _statuses(pod) if use_status else {}
    infeasible = bool(statuses) and _resize_infeasible(pod)
    total: Nanos = {}
    for index, container in enumerate(pod.spec.containers or ()):
        own = _container_requests(
            container, statuses.get(container.name), infeasible, f"spec.containers[{index}]"
        )
        _add(total, _with_defaults(own, defaults))
    restartable: Nanos = {}
    peak: Nanos = {}
    for index, container in enumerate(pod.spec.init_containers or ()):
        sidecar = container.restart_policy == "Always"
        status = statuses.get(container.name) if sidecar else None
        own = _with_defaults(
            _container_requests(container, status, infeasible, f"spec.initContainers[{index}]"), defaults
        )
        if sidecar:
            _add(total, own)
            _add(restartable, own)
            _maximum(peak, restartable)
        else:
            running = dict(own)
            _add(running, restartable)
            _maximum(peak, running)
    _maximum(total, peak)
    if pod_level:
        _apply_pod_level(pod, total, use_status)
    _add(total, parse(pod.spec.overhead, "spec.overhead"))
    return total


def _apply_pod_level(pod: Pod, total: Nanos, use_status: bool) -> None:
    resources = pod.spec.resources
    if resources is None or not any(is_pod_level(name) for name in resources.requests or ()):
        return
    own = parse(resources.requests, "spec.resources.requests")
    effective = own
    if use_status and pod.status.resources is not None:
        effective = _effective(
            own,
            pod.status.resources.requests,
            pod.status.allocated_resources,
            _resize_infeasible(pod),
            "status",
        )
    for name in own:
        if is_pod_level(name):
            total[name] = effective.get(name, 0)


def pod_request(pod: Pod, *, bound: bool) -> PodRequest:
    """Everything that one pod asks for, rounded as upstream rounds it (milli-CPU and whole units, upward)."""
    plain = pod_requests(pod, {}, use_status=bound)
    resources = pod.spec.resources
    pod_level = resources is not None and any(is_pod_level(name) for name in resources.requests or ())
    missing = {name: value for name, value in DEFAULTS.items() if not pod_level or name not in plain}
    nonzero = pod_requests(pod, missing, use_status=bound) if missing else plain
    score = None
    if pod_level and not bound:
        score = tuple(
            sorted(_rounded(pod_requests(pod, DEFAULTS, use_status=False, pod_level=False)).items())
        )
    return PodRequest(
        tuple(sorted(_rounded(plain).items())),
        (milli_value(nonzero.get("cpu", 0)), unit_value(nonzero.get("memory", 0))),
        score,
    )


def _rounded(amounts: Nanos) -> dict[str, int]:
    result = {}
    for name, amount in amounts.items():
        if name in ("cpu", "memory", "ephemeral-storage") or is_scalar(name):
            value = milli_value(amount) if name == "cpu" else unit_value(amount)
            if value > QUANTITY_MAX:
                raise InputError(
                    f"the pod's requests of {name} add up to {value}",
                    field="spec",
                    expected=f"at most {QUANTITY_MAX}",
                )
            result[name] = value
    return result


def request_key(pod: Pod) -> tuple[object, ...]:
    """A key that is equal for pods whose :func:`pod_request` is sure to be equal."""
    spec = pod.spec
    key: list[object] = [_containers_key(spec.containers)]
    if spec.init_containers:
        key.append(("init", _containers_key(spec.init_containers)))
    if spec.overhead:
        key.append(("overhead", tuple(spec.overhead.items())))
    if spec.resources is not None and spec.resources.requests:
        key.append(("pod", tuple(spec.resources.requests.items())))
    if spec.node_name:
        key.append(("status", _status_key(pod)))
    return tuple(key)


def _containers_key(containers: Iterable[Container] | None) -> tuple[object, ...]:
    return tuple(
        (
            tuple(container.resources.requests.items())
            if container.resources and container.resources.requests
            else (),
            container.restart_policy == "Always",
        )
        for container in containers or ()
    )


def _status_key(pod: Pod) -> tuple[object, ...]:
    status = pod.status
    if status.resources is None and not any(
        one.resources is not None
        for both in (status.container_statuses, status.init_container_statuses)
        for one in both or ()
    ):
        return ()
    names = tuple(one.name for both in (pod.spec.containers, pod.spec.init_containers) for one in both or ())
    reported = tuple(
        (one.name, str(one.resources and one.resources.requests), str(one.allocated_resources))
        for both in (status.container_statuses, status.init_container_statuses)
        for one in both or ()
    )
    level = (str(status.resources and status.resources.requests), str(status.allocated_resources))
    return (names, reported, level, _resize_infeasible(pod))
