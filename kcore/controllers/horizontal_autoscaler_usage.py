"""What pods use against what they should: how many replicas a resource metric asks for.

Pure. Amounts are milli-units. Source: pkg/controller/podautoscaler/replica_calculator.go, metrics/ of Kubernetes 1.36.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from kcore.api.durations import read_duration_ns
from kcore.api.errors import InputError
from kcore.api.quantity import NANO_PER_MILLI, canonical, milli_value, parse_quantity
from kcore.controllers.contract import Object
from kcore.controllers.pods import condition
from kcore.controllers.times import ms_of
from kcore_native.quantity_text import FORMAT_WRONG
from kcore_native.schema.literals import time

T = TypeVar("T")

JSON_KINDS: Final = {str: "string", bool: "bool", list: "array", dict: "object"}


class NoCount(Exception):
    """No count of replicas can be said, for the reason given."""


class Used(NamedTuple):
    """What a pod used over a window that ended then."""

    amount: int
    at_ms: int = 0
    window_ms: int = 0


class Youth(NamedTuple):
    """How long a pod's use of CPU is not believed, and how long its readiness may count as its first."""

    initialization_ms: int = 300_000  # --horizontal-pod-autoscaler-cpu-initialization-period
    readiness_ms: int = 30_000  # --horizontal-pod-autoscaler-initial-readiness-delay


YOUTH: Final = Youth()


class Tolerances(NamedTuple):
    """How far from 1 a ratio may be without a change."""

    down: float
    up: float

    def holds(self, ratio: float) -> bool:
        """Nothing is to be changed."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Proposal(NamedTuple):
    """How many replicas, and what was measured: percent of the requests, and the average of a pod."""

    replicas: int
    utilization: int | None
    average: int


class Unreadable(Exception):
    """What a metrics server answered cannot be read; in the words of Go's decoder."""


def used_by_pod(metrics: Sequence[Object], resource: str, container: str = "") -> dict[str, Used]:
    """What each pod of a PodMetricsList uses, or its one container does; Unreadable where one of them cannot be read.

    Source: getPodMetrics, getContainerMetrics.
    """
    found: dict[str, Used] = {}
    for each in _of_type(list, metrics, "items", "[]v1beta1.PodMetrics"):
        name, at_ms, window_ms, containers = _read(each)
        if container:
            containers = [one for one in containers if one[0] == container][:1]
        if containers and all(resource in usage for _, usage in containers):
            found[name] = Used(sum(usage[resource] for _, usage in containers), at_ms, window_ms)
    return found


def _read(item: object) -> tuple[str, int, int, list[tuple[str, dict[str, int]]]]:
    """Name, time, window and containers with their amounts of one PodMetrics."""
    each = _of_type(dict, item, "items", "v1beta1.PodMetrics")
    metadata = _of_type(dict, each.get("metadata"), "items.metadata", "v1.ObjectMeta")
    containers = []
    for one in _of_type(list, each.get("containers"), "items.containers", "[]v1beta1.ContainerMetrics"):
        given = _of_type(dict, one, "items.containers", "v1beta1.ContainerMetrics")
        usage = _of_type(dict, given.get("usage"), "items.containers.usage", "v1.ResourceList")
        containers.append(
            (str(given.get("name") or ""), {name: _amount(text) for name, text in usage.items()})
        )
    timestamp = _of_type(str, each.get("timestamp"), "items.timestamp", "string")
    window = _of_type(str, each.get("window"), "items.window", "string")
    try:
        if timestamp:
            time(timestamp)
        window_ms = read_duration_ns(window) // NANO_PER_MILLI if window else 0
    except ValueError as error:
        raise Unreadable(str(error)) from None
    return str(metadata.get("name") or ""), ms_of(timestamp) or 0, window_ms, containers


def _amount(text: object) -> int:
    if text is None:
        return 0
    try:
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ValueError(FORMAT_WRONG)
        return milli_value(parse_quantity(canonical(text)))
    except (ValueError, InputError) as error:
        raise Unreadable(str(error)) from None


def _of_type(kind: type[T], value: object, field: str, named: str) -> T:
    """The value, an empty one where there is none."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        what = JSON_KINDS.get(type(value), "number")
        raise Unreadable(
            f"json: cannot unmarshal {what} into Go struct field PodMetricsList.{field} of type {named}"
        )
    return value


def by_utilization(
    pods: Sequence[Object], used: Mapping[str, Used], resource: str, container: str, target: int,
    current: int, tolerances: Tolerances, now_ms: int, youth: Youth = YOUTH,
) -> Proposal:  # fmt: skip
    """The count at which pods use that percentage of their requests. Source: GetResourceReplicas."""
    amounts, ready, unready, missing = _grouped(pods, used, resource, now_ms, youth)
    requests = {pod["metadata"]["name"]: _requested(pod, container, resource) for pod in pods}
    percent, average = _percentage(amounts, requests)
    replicas = _count(
        amounts, ready, unready, missing, percent / target, current, tolerances,
        lambda name: requests[name] * max(100, target) // 100,
        lambda given: _percentage(given, requests)[0] / target,
    )  # fmt: skip
    return Proposal(replicas, percent, average)


def by_value(
    pods: Sequence[Object], used: Mapping[str, Used], resource: str, target: int, current: int,
    tolerances: Tolerances, now_ms: int, youth: Youth = YOUTH,
) -> Proposal:  # fmt: skip
    """The count at which pods use that much on average. Source: calcPlainMetricReplicas."""
    amounts, ready, unready, missing = _grouped(pods, used, resource, now_ms, youth)
    average = _quotient(sum(amounts.values()), len(amounts))
    replicas = _count(
        amounts, ready, unready, missing, average / target, current, tolerances,
        lambda name: target, lambda given: sum(given.values()) // len(given) / target,
    )  # fmt: skip
    return Proposal(replicas, None, average)


def _count(
    amounts: Mapping[str, int], ready: int, unready: set[str], missing: set[str], ratio: float, current: int,
    tolerances: Tolerances, full: Callable[[str], int], again: Callable[[Mapping[str, int]], float],
) -> int:  # fmt: skip
    """Missing pods are taken to hold the scaling back: busy where it goes down, idle where it goes up; unready too."""
    grows_with_unready = bool(unready) and ratio > 1.0
    if not grows_with_unready and not missing:
        return current if tolerances.holds(ratio) else math.ceil(ratio * ready)
    amounts = dict(amounts)
    if ratio != 1.0:
        for name in missing:
            amounts[name] = full(name) if ratio < 1.0 else 0
    if grows_with_unready:
        for name in unready:
            amounts[name] = 0
    new = again(amounts)
    if tolerances.holds(new) or (ratio < 1.0 < new) or (ratio > 1.0 > new):
        return current
    count = math.ceil(new * len(amounts))
    if (new < 1.0 and count > current) or (new > 1.0 and count < current):
        return current
    return count


def _percentage(amounts: Mapping[str, int], requests: Mapping[str, int]) -> tuple[int, int]:
    """Percent of the requests, and the average of a pod. Source: GetResourceUtilizationRatio."""
    known = [name for name in amounts if name in requests]
    used, requested = sum(amounts[name] for name in known), sum(requests[name] for name in known)
    if not requested:
        raise NoCount("no metrics returned matched known pods")
    return _quotient(used * 100, requested), _quotient(used, len(known))


def _quotient(amount: int, by: int) -> int:
    """As Go divides: towards zero, which counts where a metrics server says that less than nothing is used."""
    return -(-amount // by) if amount < 0 else amount // by


def _grouped(
    pods: Sequence[Object], used: Mapping[str, Used], resource: str, now_ms: int, youth: Youth
) -> tuple[dict[str, int], int, set[str], set[str]]:
    """What counts: amounts of pods, how many are ready, the unready ones, those without metrics. Source: groupPods."""
    if not pods:
        raise NoCount("no pods returned by selector while calculating replica count")
    ready = 0
    unready: set[str] = set()
    missing: set[str] = set()
    ignored: set[str] = set()
    for pod in pods:
        name, phase = pod["metadata"]["name"], (pod.get("status") or {}).get("phase")
        if "deletionTimestamp" in pod["metadata"] or phase == "Failed":
            ignored.add(name)
        elif phase == "Pending":
            unready.add(name)
        elif name not in used:
            missing.add(name)
        elif resource == "cpu" and _is_starting(pod, used[name], now_ms, youth):
            unready.add(name)
        else:
            ready += 1
    amounts = {name: each.amount for name, each in used.items() if name not in ignored | unready}
    if not amounts:
        raise NoCount("did not receive metrics for targeted pods (pods might be unready)")
    return amounts, ready, unready, missing


def _is_starting(pod: Object, used: Used, now_ms: int, youth: Youth) -> bool:
    found = condition(pod, "Ready")
    started = ms_of(pod["status"].get("startTime"))
    if found is None or started is None:
        return True
    changed = ms_of(found.get("lastTransitionTime")) or 0
    if started + youth.initialization_ms > now_ms:
        return found["status"] == "False" or used.at_ms < changed + used.window_ms
    return found["status"] == "False" and started + youth.readiness_ms > changed


# -- requests -------------------------------------------------------------------------------------------------------


def _requested(pod: Object, container: str, resource: str) -> int:
    """Source: calculateRequests."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    whole = _requests(spec)
    if not container and any(each in ("cpu", "memory") or each.startswith("hugepages-") for each in whole):
        amount = _of_pod(spec, whole, resource)
        if amount is None:
            raise NoCount(f"missing pod-level request for {resource} in Pod {name}")
        return amount
    total = 0
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    for each in [*spec["containers"], *sidecars]:
        if container in ("", each["name"]):
            if resource not in _requests(each):
                raise NoCount(f"missing request for {resource} in container {each['name']} of Pod {name}")
            total += _milli(_requests(each)[resource])
        if container == each["name"]:
            return total
    if container:
        raise NoCount(f"container {container} not found in Pod {name}")
    return total


def _requests(of: Object) -> Mapping[str, str]:
    return (of.get("resources") or {}).get("requests") or {}


def _milli(text: str) -> int:
    return milli_value(parse_quantity(text))


def _of_pod(spec: Object, whole: Mapping[str, str], resource: str) -> int | None:
    """The pod's own request where it has one, its containers' otherwise. Source: component-helpers PodRequests."""
    over = spec.get("overhead") or {}
    extra = _milli(over[resource]) if resource in over else 0
    if resource in whole:
        return _milli(whole[resource]) + extra
    given = [*spec["containers"], *(spec.get("initContainers") or ())]
    if not any(resource in _requests(each) for each in given):
        return extra if resource in over else None
    total = sum(_milli(_requests(each).get(resource, "0")) for each in spec["containers"])
    beside = most = 0
    for each in spec.get("initContainers") or ():
        amount = _milli(_requests(each).get(resource, "0"))
        if each.get("restartPolicy") == "Always":
            total += amount
            beside += amount
            most = max(most, beside)
        else:
            most = max(most, amount + beside)
    return max(total, most) + extra
