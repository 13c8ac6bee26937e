"""The tables of nodes, events and what governs a cluster.

Source: pkg/printers/internalversion/printers.go of Kubernetes 1.36; of APIService kube-aggregator's registry.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kcore.api.selectors import go_text
from kcore.api.tables.cells import (
    NONE,
    UNKNOWN,
    UNSET,
    Object,
    age,
    condition,
    human_duration,
    is_deleted,
    name,
    part,
    quantity,
    since,
)

ROLE_PREFIX: Final = "node-role.kubernetes.io/"
ROLE_LABEL: Final = "kubernetes.io/role"


def name_and_age(obj: Object, now: float) -> list[Any]:
    """The cells of a kind that shows no more."""
    return [name(obj), age(obj, now)]


def namespace(obj: Object, now: float) -> list[Any]:
    """The cells of a Namespace."""
    return [name(obj), part(obj, "status").get("phase", ""), age(obj, now)]


def _roles(labels: dict[str, str]) -> str:
    roles = {key.removeprefix(ROLE_PREFIX) for key in labels if key.startswith(ROLE_PREFIX)}
    roles.add(labels.get(ROLE_LABEL, ""))
    return ",".join(sorted(role for role in roles if role)) or NONE


def _address(addresses: Iterable[Object], kind: str) -> str:
    return next((str(each.get("address", "")) for each in addresses if each.get("type") == kind), NONE)


def node(obj: Object, now: float) -> list[Any]:
    """The cells of a Node."""
    status = part(obj, "status")
    state = "Unknown"
    for each in status.get("conditions") or ():
        if each.get("type") == "Ready":
            state = "Ready" if each.get("status") == "True" else "NotReady"
    if part(obj, "spec").get("unschedulable"):
        state += ",SchedulingDisabled"
    info = part(status, "nodeInfo")
    kernel = info.get("kernelVersion") or UNKNOWN
    if info.get("architecture"):
        kernel += f" ({info['architecture']})"
    addresses = status.get("addresses") or ()
    return [
        name(obj),
        state,
        _roles(part(obj, "metadata", "labels")),
        age(obj, now),
        info.get("kubeletVersion", ""),
        _address(addresses, "InternalIP"),
        _address(addresses, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        kernel,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def event(obj: Object, now: float) -> list[Any]:
    """The cells of an Event of either group."""
    regarding = part(obj, "involvedObject") or part(obj, "regarding")
    source = part(obj, "source") or part(obj, "deprecatedSource")
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime")
    last = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or first
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    if (series := obj.get("series")) is not None:
        last, count = series.get("lastObservedTime"), series.get("count", 0)
    kind = regarding.get("kind", "").lower()
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController", "")
    instance = source.get("host") or obj.get("reportingInstance")
    return [
        since(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{regarding['name']}" if regarding.get("name") else kind,
        regarding.get("fieldPath", ""),
        f"{component}, {instance}" if instance else component,
        (obj.get("message") or obj.get("note") or "").strip(),
        since(first, now),
        count,
        name(obj),
    ]


def component_status(obj: Object, now: float) -> list[Any]:
    """The cells of a ComponentStatus."""
    healthy = condition(obj.get("conditions"), "Healthy")
    if healthy is None:
        return [name(obj), "Unknown", "", ""]
    status = "Healthy" if healthy.get("status") == "True" else "Unhealthy"
    return [name(obj), status, healthy.get("message", ""), healthy.get("error", "")]


def role_binding(obj: Object, now: float) -> list[Any]:
    """The cells of a RoleBinding or ClusterRoleBinding."""
    role = part(obj, "roleRef")
    subjects = obj.get("subjects") or ()
    accounts = [
        f"{each.get('namespace', '')}/{each.get('name', '')}"
        for each in subjects
        if each.get("kind") == "ServiceAccount"
    ]
    return [
        name(obj),
        f"{role.get('kind', '')}/{role.get('name', '')}",
        age(obj, now),
        ", ".join(each.get("name", "") for each in subjects if each.get("kind") == "User"),
        ", ".join(each.get("name", "") for each in subjects if each.get("kind") == "Group"),
        ", ".join(accounts),
    ]


def certificate_signing_request(obj: Object, now: float) -> list[Any]:
    """The cells of a CertificateSigningRequest."""
    spec, status = part(obj, "spec"), part(obj, "status")
    kinds = {each.get("type") for each in status.get("conditions") or ()}
    state = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    if "Failed" in kinds:
        state += ",Failed"
    if status.get("certificate"):
        state += ",Issued"
    expiration = spec.get("expirationSeconds")
    return [
        name(obj),
        age(obj, now),
        spec.get("signerName") or NONE,
        spec.get("username", ""),
        NONE if expiration is None else human_duration(expiration),
        state,
    ]


def lease(obj: Object, now: float) -> list[Any]:
    """The cells of a Lease."""
    return [name(obj), part(obj, "spec").get("holderIdentity", ""), age(obj, now)]


def resource_quota(obj: Object, now: float) -> list[Any]:
    """The cells of a ResourceQuota."""
    hard, used = part(obj, "status", "hard"), part(obj, "status", "used")
    requests: list[str] = []
    limits: list[str] = []
    for resource in sorted(hard):
        column = limits if resource.startswith("limits.") else requests
        column.append(f"{resource}: {quantity(used.get(resource))}/{quantity(hard[resource])}")
    return [name(obj), ", ".join(requests), ", ".join(limits), age(obj, now)]


def priority_class(obj: Object, now: float) -> list[Any]:
    """The cells of a PriorityClass."""
    return [
        name(obj),
        obj.get("value", 0),
        obj.get("globalDefault", False),
        age(obj, now),
        obj.get("preemptionPolicy", ""),
    ]


def runtime_class(obj: Object, now: float) -> list[Any]:
    """The cells of a RuntimeClass."""
    return [name(obj), obj.get("handler", ""), age(obj, now)]


def webhook_configuration(obj: Object, now: float) -> list[Any]:
    """The cells of a mutating or validating webhook configuration."""
    return [name(obj), len(obj.get("webhooks") or ()), age(obj, now)]


def _param_kind(spec: Object) -> str:
    kind = spec.get("paramKind")
    return UNSET if kind is None else f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}"


def validating_admission_policy(obj: Object, now: float) -> list[Any]:
    """The cells of a ValidatingAdmissionPolicy."""
    spec = part(obj, "spec")
    return [name(obj), len(spec.get("validations") or ()), _param_kind(spec), age(obj, now)]


def mutating_admission_policy(obj: Object, now: float) -> list[Any]:
    """The cells of a MutatingAdmissionPolicy."""
    spec = part(obj, "spec")
    return [name(obj), len(spec.get("mutations") or ()), _param_kind(spec), age(obj, now)]


def admission_policy_binding(obj: Object, now: float) -> list[Any]:
    """The cells of a validating or mutating admission policy's binding."""
    spec = part(obj, "spec")
    reference = spec.get("paramRef") or {}
    text = UNSET
    if reference.get("name"):
        text = f"{reference.get('namespace') or '*'}/{reference['name']}"
    elif reference.get("selector") is not None:
        text = go_text(reference["selector"])
    return [name(obj), spec.get("policyName", ""), text, age(obj, now)]


def flow_schema(obj: Object, now: float) -> list[Any]:
    """The cells of a FlowSchema."""
    spec = part(obj, "spec")
    dangling = condition(part(obj, "status").get("conditions"), "Dangling")
    method = spec.get("distinguisherMethod")
    return [
        name(obj),
        part(spec, "priorityLevelConfiguration").get("name", ""),
        spec.get("matchingPrecedence", 0),
        NONE if method is None else method.get("type", ""),
        age(obj, now),
        "?" if dangling is None else dangling.get("status", ""),
    ]


def flow_schema_order(obj: Object) -> tuple[int, str]:
    """Flow schemas are shown in the order in which they match."""
    return part(obj, "spec").get("matchingPrecedence", 0), name(obj)


def priority_level_configuration(obj: Object, now: float) -> list[Any]:
    """The cells of a PriorityLevelConfiguration."""
    spec = part(obj, "spec")
    limited = spec.get("limited")
    shares: Any = NONE
    queues: list[Any] = [NONE, NONE, NONE]
    if limited is not None:
        shares = limited.get("nominalConcurrencyShares", 0)
        if (queuing := part(limited, "limitResponse").get("queuing")) is not None:
            queues = [queuing.get(key, 0) for key in ("queues", "handSize", "queueLengthLimit")]
    return [name(obj), spec.get("type", ""), shares, *queues, age(obj, now)]


def resource_claim(obj: Object, now: float) -> list[Any]:
    """The cells of a ResourceClaim."""
    status = part(obj, "status")
    states = ["deleted"] if is_deleted(obj) else []
    if status.get("allocation") is not None:
        states.append("allocated")
        if status.get("reservedFor"):
            states.append("reserved")
    elif not states:
        states.append("pending")
    return [name(obj), ",".join(states), age(obj, now)]


def resource_slice(obj: Object, now: float) -> list[Any]:
    """The cells of a ResourceSlice."""
    spec = part(obj, "spec")
    pool = part(spec, "pool").get("name", "")
    return [name(obj), spec.get("nodeName", ""), spec.get("driver", ""), pool, age(obj, now)]


def api_service(obj: Object, now: float) -> list[Any]:
    """The cells of an APIService."""
    service = part(obj, "spec").get("service")
    where = "Local" if service is None else f"{service.get('namespace', '')}/{service.get('name', '')}"
    available = condition(part(obj, "status").get("conditions"), "Available")
    status = "Unknown"
    if available is not None:
        status = str(available.get("status", ""))
        if status != "True" and available.get("reason"):
            status = f"{status} ({available['reason']})"
    return [name(obj), where, status, age(obj, now)]


def status(obj: Object, now: float) -> list[Any]:
    """The cells of a Status."""
    return [obj.get("status", ""), obj.get("reason", ""), obj.get("message", "")]
