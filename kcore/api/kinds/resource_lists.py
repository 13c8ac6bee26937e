"""Lists of resources (requests, limits, overhead): their names, their amounts, and what follows from both.

Sources, Kubernetes 1.36: pkg/apis/core/helper/helpers.go, pkg/apis/core/validation/validation.go
(ValidateContainerResourceRequirements and around it), pkg/apis/core/helper/qos, component-helpers/resource.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, Final, NamedTuple

from kcore.api.errors import InputError
from kcore.api.field import FieldError, duplicate, forbidden, invalid, not_supported, required
from kcore.api.field import not_found as field_not_found
from kcore.api.kinds.metadata import NOT_NEGATIVE
from kcore.api.kinds.names import CACHED_COUNT_MAX, dns1123_label, faults, qualified_name
from kcore.api.pod_amounts import aggregate
from kcore.api.quantity import canonical, milli_value, parse_quantity, unit_value

Object = dict[str, Any]
Amounts = Mapping[str, Any]

HUGE_PAGES: Final = "hugepages-"
NOT_POSITIVE: Final = "must be greater than zero"
NOT_INTEGER: Final = "must be an integer"
CONTAINER_RESOURCES: Final = frozenset({"cpu", "memory", "ephemeral-storage"})
POD_RESOURCES: Final = ("cpu", "hugepages-", "memory")  # that may be asked for at the level of the pod
STANDARD_RESOURCES: Final = frozenset({
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
    "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "resourcequotas", "services",
    "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims", "storage", "requests.storage",
    "services.nodeports", "services.loadbalancers",
})  # fmt: skip
INTEGER_RESOURCES: Final = frozenset({
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
    "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
})  # fmt: skip


def is_huge_pages(name: str) -> bool:
    """IsHugePageResourceName."""
    return name.startswith(HUGE_PAGES)


def is_native(name: str) -> bool:
    """IsNativeResource: without a domain, or in kubernetes.io's."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """IsExtendedResourceName."""
    return not (is_native(name) or name.startswith("requests.") or qualified_name(f"requests.{name}"))


def is_standard(name: str) -> bool:
    """IsStandardResourceName."""
    return name in STANDARD_RESOURCES or name.startswith((HUGE_PAGES, "requests.hugepages-"))


def is_integer(name: str) -> bool:
    """IsIntegerResourceName."""
    return name in INTEGER_RESOURCES or is_extended(name)


class ResourceName(NamedTuple):
    """What is known of a resource by its name alone."""

    complaints: tuple[str, ...]  # of validateContainerResourceName
    is_integer: bool
    is_huge_pages: bool
    may_overcommit: bool
    is_compute: bool  # cpu or memory


@lru_cache(maxsize=CACHED_COUNT_MAX)
def resource_name(name: str) -> ResourceName:
    """The facts of the name; cached, since the same few names repeat."""
    complaints = [*standard_name_complaints(name)]
    if "/" not in name:
        if name not in CONTAINER_RESOURCES and not is_huge_pages(name):
            complaints.append("must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        complaints.append("doesn't follow extended resource name standard")
    huge = is_huge_pages(name)
    return ResourceName(
        tuple(complaints), is_integer(name), huge, is_native(name) and not huge, name in ("cpu", "memory")
    )


def standard_name_complaints(name: str) -> tuple[str, ...]:
    """validateResourceName: qualified, and standard where it has no domain."""
    if complaints := qualified_name(name):
        return complaints
    if "/" not in name and not is_standard(name):
        return ("must be a standard resource type or fully qualified",)
    return ()


def validate_resource_name(name: str, path: str) -> list[FieldError]:
    """ValidateResourceName of any kind of list."""
    return faults(path, name, standard_name_complaints(name))


def validate_amount(name: str, amount: Any, path: str) -> list[FieldError]:
    """ValidateResourceQuantityValue: not negative, whole where the resource is."""
    nanos = parse_quantity(amount)
    errors = []
    if nanos < 0:
        errors.append(invalid(path, canonical(amount), NOT_NEGATIVE))
    if is_integer(name) and milli_value(nanos) % 1000:
        errors.append(invalid(path, canonical(amount), NOT_INTEGER))
    return errors


def validate_positive(amount: Any, path: str) -> list[FieldError]:
    """ValidatePositiveQuantityValue."""
    return [] if parse_quantity(amount) > 0 else [invalid(path, canonical(amount), NOT_POSITIVE)]


@lru_cache(maxsize=CACHED_COUNT_MAX)
def _page_size(name: str) -> int:
    """Bytes of a page by the resource's name; 0 where it says none."""
    try:
        nanos = parse_quantity(name.removeprefix(HUGE_PAGES))
    except InputError:
        return 0
    return 0 if nanos <= 0 or milli_value(nanos) % 1000 else unit_value(nanos)


def fills_pages(name: str, amount: Any) -> bool:
    """IsHugePageResourceValueDivisible."""
    size = _page_size(name)
    return size > 0 and unit_value(parse_quantity(amount)) % size == 0


def _validate_entry(
    name: str, amount: Any, path: str, pod_level: bool, allow_indivisible: bool, errors: list[FieldError]
) -> ResourceName:
    facts = resource_name(name)
    if pod_level:
        if complaints := standard_name_complaints(name):
            errors += faults(path, name, complaints)
        elif name not in POD_RESOURCES and not facts.is_huge_pages:
            errors.append(not_supported(path, name, POD_RESOURCES))
    elif facts.complaints:
        errors += faults(path, name, facts.complaints)
    nanos = parse_quantity(amount)
    if nanos < 0:
        errors.append(invalid(path, canonical(amount), NOT_NEGATIVE))
    if facts.is_integer and milli_value(nanos) % 1000:
        errors.append(invalid(path, canonical(amount), NOT_INTEGER))
    if facts.is_huge_pages and not allow_indivisible and not fills_pages(name, amount):
        detail = f"{canonical(amount)} is not positive integer multiple of {name}"
        errors.append(invalid(path, canonical(amount), detail))
    return facts


def validate_requirements(
    resources: Mapping[str, Any],
    claim_names: Set[str],
    path: str,
    errors: list[FieldError],
    *,
    pod_level: bool = False,
    allow_indivisible: bool = False,
) -> None:
    """ValidateContainerResourceRequirements; ``pod_level``: of the pod as a whole."""
    limits: Amounts = resources.get("limits") or {}
    requests: Amounts = resources.get("requests") or {}
    compute = huge = False
    for name, amount in limits.items():
        facts = _validate_entry(name, amount, f"{path}.limits[{name}]", pod_level, allow_indivisible, errors)
        compute = compute or facts.is_compute
        huge = huge or facts.is_huge_pages
    for name, amount in requests.items():
        at = f"{path}.requests[{name}]"
        facts = _validate_entry(name, amount, at, pod_level, True, errors)
        limit = limits.get(name)
        if limit is not None:
            difference = parse_quantity(amount) - parse_quantity(limit)
            if difference and not facts.may_overcommit:
                detail = f"must be equal to {name} limit of {canonical(limit)}"
                errors.append(invalid(f"{path}.requests", canonical(amount), detail))
            elif difference > 0:
                detail = f"must be less than or equal to {name} limit of {canonical(limit)}"
                errors.append(invalid(f"{path}.requests", canonical(amount), detail))
        elif not facts.may_overcommit:
            detail = "Limit must be set for non overcommitable resources"
            errors.append(required(f"{path}.limits", detail))
        if facts.is_huge_pages and not allow_indivisible and not fills_pages(name, amount):
            detail = f"{canonical(amount)} is not positive integer multiple of {name}"
            errors.append(invalid(at, canonical(amount), detail))
        compute = compute or facts.is_compute
        huge = huge or facts.is_huge_pages
    if huge and not compute:
        errors.append(forbidden(path, "HugePages require cpu or memory"))
    if claims := resources.get("claims"):
        _validate_claims(claims, claim_names, f"{path}.claims", errors)


def _validate_claims(
    claims: Sequence[Mapping[str, Any]], claim_names: Set[str], path: str, errors: list[FieldError]
) -> None:
    """validateResourceClaimNames: a claim once as a whole, or once for each of its requests."""
    seen: set[str] = set()
    requested: dict[str, int] = {}  # how many requests of each claim were seen
    listed = f": {', '.join(sorted(claim_names))}" if claim_names else " which is empty"
    elsewhere = f"must be one of the names in pod.spec.resourceClaims{listed}"
    for index, claim in enumerate(claims):
        at = f"{path}[{index}]"
        name = claim.get("name") or ""
        if not name:
            errors.append(required(at))
            continue
        if name in seen:
            errors.append(duplicate(at, name))
        else:
            key, request = name, claim.get("request")
            if request:
                errors += faults(f"{at}.request", request, dns1123_label(request))
                key = f"{name}/{request}"
            if key in seen:
                errors.append(duplicate(at, key))
            elif request:
                requested[name] = requested.get(name, 0) + 1
            else:
                errors += [duplicate(at, name)] * requested.get(name, 0)
            seen.add(key)
        if name not in claim_names:
            errors.append(field_not_found(at, name)._replace(detail=elsewhere))


# Sums over the containers of a pod


def aggregate_spec(spec: Mapping[str, Any], side: str) -> dict[str, int]:
    """AggregateContainerRequests or AggregateContainerLimits of a pod's spec; ``side`` is requests or limits."""
    return aggregate(
        [(each.get("resources") or {}).get(side) for each in spec.get("containers") or ()],
        [
            ((each.get("resources") or {}).get(side), each.get("restartPolicy") == "Always")
            for each in spec.get("initContainers") or ()
        ],
    )


def quality_of_service(spec: Mapping[str, Any]) -> str:
    """ComputePodQOS: BestEffort, Burstable or Guaranteed."""
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    guaranteed = True
    if (resources := spec.get("resources")) is not None:
        _add_compute(requests, resources.get("requests"))
        if listed := resources.get("limits"):
            guaranteed = _add_compute(limits, listed) == 2
    else:
        for side in ("containers", "initContainers"):
            for container in spec.get(side) or ():
                resources = container.get("resources") or {}
                _add_compute(requests, resources.get("requests"))
                if _add_compute(limits, resources.get("limits")) < 2:
                    guaranteed = False
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if guaranteed and requests == limits else "Burstable"


def _add_compute(total: dict[str, int], amounts: Amounts | None) -> int:
    """How many of cpu and memory are asked for; they are added to the total."""
    found = 0
    for name in ("cpu", "memory"):
        if amounts and (amount := amounts.get(name)) is not None and (nanos := parse_quantity(amount)) > 0:
            total[name] = total.get(name, 0) + nanos
            found += 1
    return found


def equal_amounts(new: Amounts | None, old: Amounts | None) -> bool:
    """True where both lists have the same resources in the same amounts, however written."""
    new, old = new or {}, old or {}
    return new.keys() == old.keys() and all(
        parse_quantity(amount) == parse_quantity(old[name]) for name, amount in new.items()
    )


def is_fraction(amount: Any) -> bool:
    """True for an amount that is not whole, finer than a thousandth ignored as Go does."""
    return milli_value(parse_quantity(amount)) % 1000 != 0
