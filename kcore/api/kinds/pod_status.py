"""What a status of a pod may say, and what it may not take back.

Source, Kubernetes 1.36: pkg/apis/core/validation/validation.go (ValidatePodStatusUpdate), pkg/api/v1/pod/util.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kcore.api.field import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)
from kcore.api.kinds.addresses import is_ipv4, parse_ip, validate_ip_of_legacy_field
from kcore.api.kinds.metadata import IMMUTABLE
from kcore.api.kinds.names import (
    byte_count,
    dns1123_label,
    dns1123_subdomain,
    faults,
    qualified_name,
    user_or_group_id,
)

Object = Mapping[str, Any]

HEALTH_MESSAGE_BYTES_MAX: Final = 1024
HEALTHS: Final = ("Healthy", "Unhealthy", "Unknown")
SYSTEM_CONDITIONS: Final = ("PodScheduled", "Ready", "Initialized")
_NOT_NEGATIVE: Final = "must be a non-negative integer"
_STATUS_LISTS: Final = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


def validate_pod_status(pod: Object, old: Object, errors: list[FieldError]) -> None:
    """ValidatePodStatusUpdate after metadata and annotations."""
    spec, before = pod.get("spec") or {}, old.get("spec") or {}
    status, was = pod.get("status") or {}, old.get("status") or {}
    _validate_conditions(status.get("conditions") or (), errors)
    if (spec.get("nodeName") or "") != (before.get("nodeName") or ""):
        errors.append(forbidden("status.nodeName", "may not be changed directly"))
    node = status.get("nominatedNodeName") or ""
    if node and node != (was.get("nominatedNodeName") or ""):
        errors += faults("status.nominatedNodeName", node, dns1123_subdomain(node))
        if before.get("nodeName"):
            detail = "may not be set on pods that are already bound to a node"
            errors.append(forbidden("status.nominatedNodeName", detail))
    if (generation := status.get("observedGeneration") or 0) < 0:
        errors.append(invalid("status.observedGeneration", generation, _NOT_NEGATIVE))
    quality = status.get("qosClass") or ""
    if quality != (was.get("qosClass") or ""):
        errors.append(invalid("status.qosClass", quality, IMMUTABLE))
    for name, side in (("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")):
        _validate_transitions(status.get(name) or (), was.get(name) or (), name, before, side, errors)
    name = "ephemeralContainerStatuses"
    _validate_transitions(status.get(name) or (), was.get(name) or (), name, before, "", errors)
    _validate_claim_statuses(
        status.get("resourceClaimStatuses") or (), spec.get("resourceClaims") or (), errors
    )
    if (extended := status.get("extendedResourceClaimStatus")) is not None:
        _validate_extended_claim(extended, spec, errors)
    _validate_ips(status, was, "podIPs", errors)
    if hosts := status.get("hostIPs"):
        if (first := hosts[0].get("ip") or "") != (status.get("hostIP") or ""):
            errors.append(invalid("status.hostIPs[0].ip", first, "must be equal to `hostIP`"))
        _validate_ips(status, was, "hostIPs", errors)
    _validate_users(status, (spec.get("os") or {}).get("name") or "linux", errors)
    for name, side in (("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")):
        _validate_allocated(status.get(name) or (), f"status.{name}", spec.get(side) or (), errors)
    for index, container in enumerate(status.get("ephemeralContainerStatuses") or ()):
        if container.get("allocatedResourcesStatus"):
            at = f"status.ephemeralContainerStatuses[{index}].allocatedResourcesStatus"
            errors.append(forbidden(at, "must not be specified in container status"))


def _validate_conditions(conditions: Sequence[Object], errors: list[FieldError]) -> None:
    for index, condition in enumerate(conditions):
        at = f"status.conditions[{index}]"
        if (generation := condition.get("observedGeneration") or 0) < 0:
            errors.append(invalid(f"{at}.observedGeneration", generation, _NOT_NEGATIVE))
        kind = condition.get("type") or ""
        if kind not in SYSTEM_CONDITIONS:
            errors += faults(f"{at}.Type", kind, qualified_name(kind))


def _terminated(status: Object) -> Object | None:
    found: Object | None = (status.get("state") or {}).get("terminated")
    return found


def _validate_transitions(
    new: Sequence[Object], old: Sequence[Object], name: str, spec: Object, side: str, errors: list[FieldError]
) -> None:
    """A container that ended does not run again, unless its restart policy lets it; ephemeral ones never."""
    if side and _all_may_restart(spec):
        return
    by_name = {each.get("name"): each for each in reversed(new)}
    for index, before in enumerate(old):
        ended, now = _terminated(before), by_name.get(before.get("name"))
        if ended is None or now is None or _terminated(now) is not None:
            continue
        container = next(
            (each for each in spec.get(side) or () if each.get("name") == before.get("name")), None
        )
        if container is None or not _may_restart(container, spec, ended.get("exitCode") or 0):
            detail = "may not be transitioned to non-terminated state"
            errors.append(forbidden(f"status.{name}[{index}].state", detail))


def _all_may_restart(spec: Object) -> bool:
    return any(
        rule.get("action") == "RestartAllContainers"
        for side in ("initContainers", "containers")
        for container in spec.get(side) or ()
        for rule in container.get("restartPolicyRules") or ()
    )


def _may_restart(container: Object, spec: Object, code: int) -> bool:
    """ContainerShouldRestart."""
    policy = container.get("restartPolicy")
    if policy is not None:
        for rule in container.get("restartPolicyRules") or ():
            codes = rule.get("exitCodes")
            if codes is None:
                continue
            listed = code in (codes.get("values") or ())
            if {"In": listed, "NotIn": not listed}.get(codes.get("operator"), False):
                if rule.get("action") in ("Restart", "RestartAllContainers"):
                    return True
                break
    if policy not in ("Always", "OnFailure", "Never"):
        policy = spec.get("restartPolicy")
    return {"OnFailure": code != 0, "Never": False}.get(policy or "", True)


def _validate_claim_statuses(
    statuses: Sequence[Object], claims: Sequence[Object], errors: list[FieldError]
) -> None:
    known = {each.get("name") or "" for each in claims}
    seen: set[str] = set()
    for index, status in enumerate(statuses):
        at, name = f"status.resourceClaimStatuses[{index}]", status.get("name") or ""
        if name not in known:
            detail = "must match the name of an entry in `spec.resourceClaims`"
            errors.append(invalid(f"{at}.name", name, detail))
        if name in seen:
            errors.append(duplicate(f"{at}.name", name))
        seen.add(name)
        if (claim := status.get("resourceClaimName")) is not None:
            errors += faults(f"{at}.resourceClaimName", claim, dns1123_subdomain(claim))


def _validate_extended_claim(status: Object, spec: Object, errors: list[FieldError]) -> None:
    path = "status.extendedResourceClaimStatus"
    containers = {
        each.get("name") or "": each
        for side in ("initContainers", "containers")
        for each in spec.get(side) or ()
    }
    mappings = status.get("requestMappings") or ()
    if not mappings:
        errors.append(required(f"{path}.requestMappings", "at least one request mapping is required"))
    seen: set[tuple[str, ...]] = set()
    for index, mapping in enumerate(mappings):
        at = f"{path}.requestMappings[{index}]"
        names = {key: mapping.get(key) or "" for key in ("containerName", "resourceName", "requestName")}
        container = containers.get(names["containerName"])
        if container is None:
            detail = "must match the name of an entry in spec.initContainers.name or spec.containers.name"
            errors.append(invalid(f"{at}.containerName", names["containerName"], detail))
        elif names["resourceName"] not in ((container.get("resources") or {}).get("requests") or {}):
            detail = (
                "must match the extended resource name of an entry in spec.initContainers.resources.requests or "
                "spec.containers.resources.requests"
            )
            errors.append(invalid(f"{at}.resourceName", names["resourceName"], detail))
        errors += faults(f"{path}.requestName", names["requestName"], dns1123_label(names["requestName"]))
        if (key := tuple(names.values())) in seen:
            errors += [duplicate(f"{at}.{name}", value) for name, value in names.items()]
        seen.add(key)
    if not (claim := status.get("resourceClaimName")):
        errors.append(required(f"{path}.resourceClaimName"))
    else:
        errors += faults(f"{path}.resourceClaimName", claim, dns1123_subdomain(claim))


def _validate_ips(status: Object, was: Object, name: str, errors: list[FieldError]) -> None:
    listed = [each.get("ip") or "" for each in status.get(name) or ()]
    old = [each.get("ip") or "" for each in was.get(name) or ()]
    for index, text in enumerate(listed):
        errors += validate_ip_of_legacy_field(f"status.{name}[{index}]", text, old=old)
    if len(listed) > 1:
        addresses = [parse_ip(text) for text in listed]
        families = {is_ipv4(each) for each in addresses if each is not None}
        if len(families) != 2 or len(listed) > 2 or None in addresses:
            shown = [{"IP": text} for text in listed]
            detail = "may specify no more than one IP for each IP family"
            errors.append(invalid(f"status.{name}", shown, detail))


def _validate_users(status: Object, os: str, errors: list[FieldError]) -> None:
    for name in _STATUS_LISTS:
        for index, container in enumerate(status.get(name) or ()):
            user = (container.get("user") or {}).get("linux")
            at = f"status.{name}[{index}].user.linux"
            if user is None:
                continue
            if os == "windows":
                errors.append(forbidden(at, "cannot be set for a windows pod"))
            elif os == "linux":
                for key in ("uid", "gid"):
                    errors += faults(f"{at}.{key}", user.get(key) or 0, user_or_group_id(user.get(key) or 0))
                for position, group in enumerate(user.get("supplementalGroups") or ()):
                    where = f"{at}.supplementalGroups[{position}]"
                    errors += faults(where, group, user_or_group_id(group))


def _validate_allocated(
    statuses: Sequence[Object], path: str, containers: Sequence[Object], errors: list[FieldError]
) -> None:
    """validateContainerStatusAllocatedResourcesStatus."""
    for index, status in enumerate(statuses):
        for position, allocated in enumerate(status.get("allocatedResourcesStatus") or ()):
            at = f"{path}[{index}].allocatedResourcesStatus[{position}]"
            name = allocated.get("name") or ""
            container = next((each for each in containers if each.get("name") == status.get("name")), None)
            if container is not None:
                _validate_allocated_name(name, container.get("resources") or {}, at, errors)
            seen: set[str] = set()
            for number, health in enumerate(allocated.get("resources") or ()):
                where = f"{at}.resources[{number}]"
                if (value := health.get("health") or "") not in HEALTHS:
                    errors.append(not_supported(f"{where}.health", value, HEALTHS))
                message = health.get("message")
                if message == "":
                    errors.append(required(f"{where}.message", "must be non-empty if specified"))
                elif message and byte_count(message) > HEALTH_MESSAGE_BYTES_MAX:
                    errors.append(too_long(f"{where}.message", HEALTH_MESSAGE_BYTES_MAX))
                if (identity := health.get("resourceID") or "") in seen:
                    errors.append(duplicate(f"{where}.resourceID", identity))
                seen.add(identity)


def _validate_allocated_name(name: str, resources: Object, path: str, errors: list[FieldError]) -> None:
    if name.startswith("claim:"):
        known = {
            f"claim:{each.get('name')}{'/' if each.get('request') else ''}{each.get('request') or ''}"
            for each in resources.get("claims") or ()
        }
        detail = (
            "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or "
            "'claim:<claimName>' if request is empty"
        )
    else:
        known = set(resources.get("requests") or ())
        detail = "must match one of the container's resource requests"
    if name not in known:
        errors.append(invalid(f"{path}.name", name, detail))
