"""What an object uses of a quota: counts, sums of requests, scopes. Pure functions, for admission and the controller.

Amounts are nano-units beside the form that they are written in. Source: pkg/quota/v1/evaluator/core and
apiserver pkg/quota/v1 of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from kcore.api.kinds.resource_lists import aggregate_spec, is_native, quality_of_service
from kcore.api.quantity import NANO_PER_UNIT, binary_text, decimal_text, is_binary, parse_quantity

Object = dict[str, Any]


class Amount(NamedTuple):
    """An amount that is computed with; ``text`` is as Go prints it."""

    nanos: int
    binary: bool = False

    @classmethod
    def of(cls, value: Any) -> Amount:
        """The amount of a quantity as written."""
        return cls(parse_quantity(value), is_binary(value))

    @property
    def text(self) -> str:
        """Canonical."""
        return (binary_text if self.binary else decimal_text)(self.nanos)

    def plus(self, other: Amount) -> Amount:
        """The sum, in this one's form; a zero has none."""
        return Amount(self.nanos + other.nanos, self.binary if self.nanos else other.binary)


Usage = dict[str, Amount]
ONE: Final = Amount(NANO_PER_UNIT)
ZERO: Final = Amount(0)

POD_RESOURCES: Final = frozenset({
    "count/pods", "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory",
    "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods",
})  # fmt: skip
POD_PREFIXES: Final = (
    "hugepages-", "requests.hugepages-", "requests.deviceclass.resource.kubernetes.io/",
)  # fmt: skip
REQUIRED_OF_CONTAINERS: Final = frozenset(
    {"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"}
)
SERVICE_RESOURCES: Final = frozenset(
    {"count/services", "services", "services.nodeports", "services.loadbalancers"}
)
CLAIM_RESOURCES: Final = frozenset(
    {"count/persistentvolumeclaims", "persistentvolumeclaims", "requests.storage"}
)
STORAGE_CLASS_INFIX: Final = ".storageclass.storage.k8s.io/"
STORAGE_CLASS_SUFFIXES: Final = tuple(
    f"{STORAGE_CLASS_INFIX}{name}" for name in ("persistentvolumeclaims", "requests.storage")
)
CLAIM_CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"
COUNT_ALIASES: Final = {
    ("", "configmaps"): "configmaps",
    ("", "resourcequotas"): "resourcequotas",
    ("", "replicationcontrollers"): "replicationcontrollers",
    ("", "secrets"): "secrets",
}
DEVICE_CLAIMS_SUFFIX: Final = ".deviceclass.resource.k8s.io/devices"


class Evaluator(NamedTuple):
    """What quotas mean to one resource. ``matching``: the resources of a quota that it uses, sorted."""

    usage: Callable[[Object, str], Usage]  # object, now
    matching: Callable[[Iterable[str]], list[str]]
    in_scope: Callable[[Object, Object], bool]  # selector (scopeName, operator, values), object
    constraint: Callable[[Iterable[str], Object], str | None]


def evaluator_of(group: str, plural: str) -> Evaluator:
    """Of a resource: pods, services and claims have their own, all others are counted."""
    if group == "" and plural in _OWN:
        return _OWN[plural]
    if (group, plural) == ("resource.k8s.io", "resourceclaims"):
        return Evaluator(_claim_usage_of_devices, _matching_devices, _no_scope, _no_constraint)
    names = {f"count/{plural}.{group}" if group else f"count/{plural}"}
    if alias := COUNT_ALIASES.get((group, plural)):
        names.add(alias)
    return Evaluator(
        lambda obj, now: dict.fromkeys(names, ONE),
        lambda resources: sorted(names.intersection(resources)),
        _no_scope,
        _no_constraint,
    )


def selectors_of(quota: Object) -> list[Object]:
    """A quota's scopes as selectors."""
    spec = quota.get("spec") or {}
    made = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    return [*made, *((spec.get("scopeSelector") or {}).get("matchExpressions") or ())]


def used_of(quota: Object, key: str = "used") -> Usage:
    """``status.used`` (or ``status.hard``) as amounts."""
    return {name: Amount.of(value) for name, value in ((quota.get("status") or {}).get(key) or {}).items()}


def _no_scope(selector: Object, obj: Object) -> bool:
    return False


def _no_constraint(resources: Iterable[str], obj: Object) -> str | None:
    return None


# Pods


def is_terminating(pod: Object) -> bool:
    """True for a pod that has a deadline."""
    deadline = pod["spec"].get("activeDeadlineSeconds")
    return deadline is not None and int(deadline) >= 0


def counts(pod: Object, now: str) -> bool:
    """False for a pod that has ended, or should have (QuotaV1Pod)."""
    if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return False
    metadata = pod["metadata"]
    stamp, grace = metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")
    if not stamp or grace is None or not now:
        return True
    passed = datetime.fromisoformat(now) - datetime.fromisoformat(stamp)
    return passed.total_seconds() <= int(grace)


def _sums(spec: Object, side: str) -> Usage:
    """What the pod asks for as a whole, with its overhead (PodRequests, PodLimits)."""
    totals = {
        name: Amount(nanos, _form(spec, side, name)) for name, nanos in aggregate_spec(spec, side).items()
    }
    for name, value in ((spec.get("resources") or {}).get(side) or {}).items():
        totals[name] = Amount.of(value)
    for name, value in (spec.get("overhead") or {}).items():
        if side == "requests" or name in totals:
            totals[name] = totals.get(name, ZERO).plus(Amount.of(value))
    return totals


def _form(spec: Object, side: str, name: str) -> bool:
    for kind in ("containers", "initContainers"):
        for container in spec.get(kind) or ():
            value = ((container.get("resources") or {}).get(side) or {}).get(name)
            if value is not None:
                return bool(is_binary(value))
    return False


def _is_extended(name: str) -> bool:
    return not is_native(name)


def _named(requests: Mapping[str, Amount], limits: Mapping[str, Amount]) -> Usage:
    """Requests and limits under the names that quotas know them by (podComputeUsageHelper)."""
    made: Usage = {"pods": ONE}
    for name in ("cpu", "memory", "ephemeral-storage"):
        if (amount := requests.get(name)) is not None:
            made[name] = made[f"requests.{name}"] = amount
        if (amount := limits.get(name)) is not None:
            made[f"limits.{name}"] = amount
    for name, amount in requests.items():
        if name.startswith("hugepages-"):
            made[name] = made[f"requests.{name}"] = amount
        elif _is_extended(name):
            made[f"requests.{name}"] = amount
    return made


def _pod_usage(pod: Object, now: str) -> Usage:
    made: Usage = {"count/pods": ONE}
    if not counts(pod, now):
        return made
    return made | _named(_sums(pod["spec"], "requests"), _sums(pod["spec"], "limits"))


def _matching_pod(resources: Iterable[str]) -> list[str]:
    return sorted(name for name in resources if name in POD_RESOURCES or _is_of_pods(name))


def _is_of_pods(name: str) -> bool:
    return name.startswith(POD_PREFIXES) or (name.startswith("requests.") and _is_extended(name))


def _pod_constraint(resources: Iterable[str], pod: Object) -> str | None:
    """What each container must say where a quota counts it."""
    spec = pod["spec"]
    stated = spec.get("resources") or {}
    if any(stated.get(side) for side in ("requests", "limits")):
        return None
    required = REQUIRED_OF_CONTAINERS.intersection(resources)
    missing: dict[str, set[str]] = {}
    for side in ("containers", "initContainers"):
        for container in spec.get(side) or ():
            said = container.get("resources") or {}
            present = _named(
                dict.fromkeys(said.get("requests") or (), ONE), dict.fromkeys(said.get("limits") or (), ONE)
            )
            for name in required - present.keys():
                missing.setdefault(name, set()).add(container.get("name", ""))
    if not missing:
        return None
    parts = (f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))
    return f"must specify {'; '.join(parts)}"


def _pod_in_scope(selector: Object, pod: Object) -> bool:
    scope = selector.get("scopeName")
    if scope == "Terminating":
        return is_terminating(pod)
    if scope == "NotTerminating":
        return not is_terminating(pod)
    if scope == "BestEffort":
        return quality_of_service(pod["spec"]) == "BestEffort"
    if scope == "NotBestEffort":
        return quality_of_service(pod["spec"]) != "BestEffort"
    if scope == "PriorityClass":
        name = pod["spec"].get("priorityClassName", "")
        return _selected(selector, [name] if name else [])
    if scope == "CrossNamespacePodAffinity":
        return _crosses_namespaces(pod["spec"])
    return False


def _selected(selector: Object, names: Sequence[str]) -> bool:
    operator, values = selector.get("operator"), selector.get("values") or ()
    if operator == "Exists":
        return bool(names)
    if operator == "DoesNotExist":
        return not names
    if operator == "In":
        return any(name in values for name in names)
    if operator == "NotIn":
        return not names or any(name not in values for name in names)
    return False


def _crosses_namespaces(spec: Object) -> bool:
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(kind) or {}
        listed = [
            *(terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()),
            *(
                each.get("podAffinityTerm") or {}
                for each in terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
            ),
        ]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in listed):
            return True
    return False


# Services and claims


def _service_usage(service: Object, now: str) -> Usage:
    spec = service.get("spec") or {}
    ports = spec.get("ports") or []
    made: Usage = {
        "count/services": ONE, "services": ONE, "services.loadbalancers": ZERO, "services.nodeports": ZERO,
    }  # fmt: skip
    kind = spec.get("type")
    if kind == "LoadBalancer":
        made["services.loadbalancers"] = ONE
    if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
        ports = [port for port in ports if port.get("nodePort")]
    if kind in ("NodePort", "LoadBalancer"):
        made["services.nodeports"] = Amount(len(ports) * NANO_PER_UNIT)
    return made


def _claim_usage(claim: Object, now: str) -> Usage:
    spec = claim.get("spec") or {}
    made: Usage = {"persistentvolumeclaims": ONE, "count/persistentvolumeclaims": ONE}
    annotations = claim["metadata"].get("annotations") or {}
    name = annotations.get(CLAIM_CLASS_ANNOTATION, spec.get("storageClassName") or "")
    if name:
        made[f"{name}{STORAGE_CLASS_INFIX}persistentvolumeclaims"] = ONE
    requested = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if requested is None:
        return made
    amount = _rounded(requested)
    allocated = ((claim.get("status") or {}).get("allocatedResources") or {}).get("storage")
    if allocated is not None and parse_quantity(allocated) > amount.nanos:
        amount = _rounded(allocated)
    made["requests.storage"] = amount
    if name:
        made[f"{name}{STORAGE_CLASS_INFIX}requests.storage"] = amount
    return made


def _rounded(value: Any) -> Amount:
    """The amount in whole units, rounded up."""
    amount = Amount.of(value)
    return Amount(-(-amount.nanos // NANO_PER_UNIT) * NANO_PER_UNIT, amount.binary)


def _matching_claim(resources: Iterable[str]) -> list[str]:
    return sorted(
        name for name in resources if name in CLAIM_RESOURCES or name.endswith(STORAGE_CLASS_SUFFIXES)
    )


def _claim_in_scope(selector: Object, claim: Object) -> bool:
    if selector.get("scopeName") != "VolumeAttributesClass":
        return False
    status = claim.get("status") or {}
    names = (
        (claim.get("spec") or {}).get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    )
    return _selected(selector, sorted({name for name in names if name}))


def _claim_usage_of_devices(claim: Object, now: str) -> Usage:
    """A resource claim counts itself, and the devices it asks for by class."""
    made: Usage = {"count/resourceclaims.resource.k8s.io": ONE}
    for request in ((claim.get("spec") or {}).get("devices") or {}).get("requests") or ():
        alternatives = [request["exactly"]] if request.get("exactly") else request.get("firstAvailable") or []
        wanted: dict[str, int] = {}
        for each in alternatives:
            count = each.get("count", 1) if each.get("allocationMode", "ExactCount") == "ExactCount" else 32
            name = each.get("deviceClassName", "") + DEVICE_CLAIMS_SUFFIX
            wanted[name] = max(wanted.get(name, 0), int(count))
        for name, count in wanted.items():
            made[name] = made.get(name, ZERO).plus(Amount(count * NANO_PER_UNIT))
    return made


def _matching_devices(resources: Iterable[str]) -> list[str]:
    return sorted(
        name
        for name in resources
        if name == "count/resourceclaims.resource.k8s.io" or name.endswith(DEVICE_CLAIMS_SUFFIX)
    )


_OWN: Final = {
    "pods": Evaluator(_pod_usage, _matching_pod, _pod_in_scope, _pod_constraint),
    "services": Evaluator(
        _service_usage,
        lambda resources: sorted(SERVICE_RESOURCES.intersection(resources)),
        _no_scope,
        _no_constraint,
    ),
    "persistentvolumeclaims": Evaluator(_claim_usage, _matching_claim, _claim_in_scope, _no_constraint),
}
