"""What is wrong with the spec of a pod, in a pod or in a template of one.

Source, Kubernetes 1.36: pkg/apis/core/validation/validation.go (ValidatePodSpec, ValidatePodTemplateSpec,
ValidatePodSpecificAnnotations).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from kcore.api.field import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
    too_long,
)
from kcore.api.kinds.addresses import validate_ip_of_legacy_field
from kcore.api.kinds.containers import (
    PodParts,
    validate_containers,
    validate_ephemeral_containers,
    validate_image_of_pod,
    validate_init_containers,
)
from kcore.api.kinds.internal_form import shown
from kcore.api.kinds.metadata import validate_annotations, validate_labels
from kcore.api.kinds.names import (
    between,
    byte_count,
    dns1123_label,
    dns1123_subdomain,
    dns1123_subdomain_with_underscore,
    faults,
    qualified_name,
)
from kcore.api.kinds.pod_options import OF_POD, PodOptions, containers_of
from kcore.api.kinds.resource_lists import aggregate_spec, validate_requirements
from kcore.api.kinds.scheduling_terms import (
    validate_affinity,
    validate_host_aliases,
    validate_tolerations,
    validate_topology_spread,
)
from kcore.api.kinds.security import (
    validate_annotations_match,
    validate_pod_security,
    validate_security_annotations,
)
from kcore.api.kinds.volumes import validate_volumes
from kcore.api.quantity import binary_text, canonical, decimal_text, is_binary, parse_quantity

Object = Mapping[str, Any]

INT32_MAX: Final = (1 << 31) - 1
INT32_MIN: Final = -(1 << 31)
NAMESERVERS_MAX: Final = 3
SEARCHES_MAX: Final = 32
SEARCH_BYTES_MAX: Final = 2048
HOSTNAME_OVERRIDE_BYTES_MAX: Final = 64
REMEMBERED_COUNT_MAX: Final = 512  # specs whose faults are remembered
REMEMBERED_BYTES_MAX: Final = 16 << 10  # of such a spec
_TOKEN_VOLUME: Final = b"kube-api-access-"
_search_token_volume = re.compile(_TOKEN_VOLUME + b'[a-z0-9]{5}"').search
MIRROR_KEY: Final = "kubernetes.io/config.mirror"
TOLERATIONS_KEY: Final = "scheduler.alpha.kubernetes.io/tolerations"
DELETION_COST_KEY: Final = "controller.kubernetes.io/pod-deletion-cost"
RESTART_POLICIES: Final = ("Always", "OnFailure", "Never")
DNS_POLICIES: Final = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_match_cost = re.compile("0|[1-9][0-9]*|-[0-9]+").fullmatch
_NO_CLAIMS: Final[frozenset[str]] = frozenset()
_FOR_POD_OF_WINDOWS: Final = "cannot be set for a windows pod"


def validate_pod_spec(
    spec: Object,
    path: str,
    options: PodOptions,
    errors: list[FieldError],
    metadata: Object | None = None,
) -> None:
    """ValidatePodSpec; ``metadata`` is the pod's, None in a template."""
    get = spec.get
    grace = get("terminationGracePeriodSeconds")
    if grace is None:
        errors.append(required(f"{path}.terminationGracePeriodSeconds"))
    pod_name = (metadata.get("name") or "") if metadata else ""
    volumes: dict[str, Object] = {}
    if listed := get("volumes"):
        volumes = validate_volumes(listed, pod_name, f"{path}.volumes", options, errors)
    claim_names = _NO_CLAIMS
    if claims := get("resourceClaims"):
        claim_names = frozenset(each["name"] for each in claims if each.get("name"))
        _validate_claims(claims, metadata, f"{path}.resourceClaims", errors)
    os = get("os")
    parts = PodParts(
        volumes, claim_names, grace, get("restartPolicy") or "", get("hostUsers") is not False,
        None if os is None else os.get("name") or "", options,
    )  # fmt: skip
    containers = get("containers") or ()
    validate_containers(containers, parts, f"{path}.containers", errors)
    init_containers = get("initContainers") or ()
    if init_containers:
        validate_init_containers(init_containers, containers, parts, f"{path}.initContainers", errors)
    if ephemeral := get("ephemeralContainers"):
        others = (*containers, *init_containers)
        validate_ephemeral_containers(ephemeral, others, parts, f"{path}.ephemeralContainers", errors)
    if (resources := get("resources")) is not None:
        _validate_pod_resources(spec, resources, claim_names, f"{path}.resources", errors)
    if get("hostNetwork"):
        _validate_host_network(containers, f"{path}.containers", options, errors)
    _validate_policies(spec, path, errors)
    if selector := get("nodeSelector"):
        errors += validate_labels(selector, f"{path}.nodeSelector")
    security = get("securityContext")
    if security or get("shareProcessNamespace"):
        validate_pod_security(security or {}, spec, f"{path}.securityContext", options, errors)
    if affinity := get("affinity"):
        validate_affinity(affinity, f"{path}.affinity", options, errors)
    if (config := get("dnsConfig")) is not None or get("dnsPolicy") == "None":
        _validate_dns(config, get("dnsPolicy") == "None", f"{path}.dnsConfig", errors)
    _validate_gates(spec, path, options, errors)
    if any(
        (context := each.get("securityContext")) and "windowsOptions" in context
        for each in (spec, *containers, *init_containers, *(get("ephemeralContainers") or ()))
    ):
        _validate_windows_processes(spec, path, options, errors)
    if get("hostUsers") is False:
        _validate_user_namespace(spec, path, options, errors)
    if (hostname := get("hostnameOverride")) is not None:
        _validate_hostname_override(hostname, spec, path, errors)
    _validate_names(spec, path, options, errors)
    if os is not None:
        _validate_os(spec, os, path, errors)
    _validate_file_keys(spec, path, errors)


def pod_spec_errors(spec: Object, options: PodOptions, metadata: Object) -> Sequence[FieldError]:
    """The same for a pod at ``spec``; what was found for an equal spec is remembered.

    The pods of a workload have one spec but for the volume of their token, whose name admission draws: it stands for
    any other in the text that is remembered. A spec whose faults depend on the pod's metadata is looked at anew.
    """
    text = remembered_text(spec)
    if text is None:
        errors: list[FieldError] = []
        validate_pod_spec(spec, "spec", options, errors, metadata)
        return errors
    found = _errors_of_text(text, options)
    if found and text != orjson.dumps(spec):  # the messages name the volume
        errors = []
        validate_pod_spec(spec, "spec", options, errors, metadata)
        return errors
    return found


def remembered_text(spec: Object) -> bytes | None:
    """The spec as text, with the same name for every token's volume; None where it is not to be remembered."""
    if spec.get("resourceClaims"):
        return None
    text = orjson.dumps(spec)
    if len(text) > REMEMBERED_BYTES_MAX or b'"ephemeral":' in text:
        return None
    if (drawn := _search_token_volume(text)) is not None:
        name = drawn[0]
        if text.count(name) == text.count(_TOKEN_VOLUME):
            text = text.replace(name, _TOKEN_VOLUME + b'00000"')
    return text


@lru_cache(maxsize=REMEMBERED_COUNT_MAX)
def _errors_of_text(text: bytes, options: PodOptions) -> tuple[FieldError, ...]:
    errors: list[FieldError] = []
    validate_pod_spec(orjson.loads(text), "spec", options, errors)
    return tuple(errors)


def validate_spec_of_pod(spec: Object, errors: list[FieldError]) -> None:
    """What validatePodMetadataAndSpec asks of a pod beyond its spec as such."""
    if not spec.get("serviceAccountName"):
        for index, volume in enumerate(spec.get("volumes") or ()):
            for position, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
                if source.get("serviceAccountToken") is not None:
                    at = f"spec.volumes[{index}].projected.sources[{position}].serviceAccountToken"
                    errors.append(forbidden(at, "must not be specified when serviceAccountName is not set"))
    for side in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(side) or ()):
            validate_image_of_pod(container, f"spec.{side}[{index}]", errors)


def is_sound(spec: Object) -> bool:
    """True where the spec is right by the rules for a new pod, and so whatever an old one permits; remembered.

    What it is not sure of is not sound. The node that a pod is bound to is looked at by itself: the rest is mostly
    another pod's, too.
    """
    node = spec.get("nodeName")
    if node is not None:
        if dns1123_subdomain(node):
            return False
        spec = {name: value for name, value in spec.items() if name != "nodeName"}
    text = remembered_text(spec)
    return text is not None and _is_sound_text(text)


@lru_cache(maxsize=REMEMBERED_COUNT_MAX)
def _is_sound_text(text: bytes) -> bool:
    spec = orjson.loads(text)
    errors: list[FieldError] = []
    validate_spec_of_pod(spec, errors)
    if errors or _errors_of_text(text, OF_POD):
        return False
    return all(each.get("image") for _, _, each in containers_of(spec))


def _validate_policies(spec: Object, path: str, errors: list[FieldError]) -> None:
    for name, supported in (("restartPolicy", RESTART_POLICIES), ("dnsPolicy", DNS_POLICIES)):
        value = spec.get(name)
        if value not in supported:
            at = f"{path}.{name}"
            errors.append(not_supported(at, value, supported) if value else required(at))


def _validate_gates(spec: Object, path: str, options: PodOptions, errors: list[FieldError]) -> None:
    get = spec.get
    for index, gate in enumerate(get("readinessGates") or ()):
        kind = gate.get("conditionType") or ""
        errors += faults(f"{path}.readinessGates[{index}].conditionType", kind, qualified_name(kind))
    if gates := get("schedulingGates"):
        seen = set()
        for index, gate in enumerate(gates):
            name, at = gate.get("name") or "", f"{path}.schedulingGates[{index}]"
            errors += faults(at, name, qualified_name(name))
            if name in seen:
                errors.append(duplicate(at, name))
            seen.add(name)
    if constraints := get("topologySpreadConstraints"):
        validate_topology_spread(constraints, f"{path}.topologySpreadConstraints", options, errors)


def _validate_names(spec: Object, path: str, options: PodOptions, errors: list[FieldError]) -> None:
    get = spec.get
    for name in ("serviceAccountName", "nodeName"):
        if (value := get(name)) and (complaints := dns1123_subdomain(value)):
            errors += faults(f"{path}.{name}", value, complaints)
    deadline = get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= INT32_MAX:
        errors.append(invalid(f"{path}.activeDeadlineSeconds", deadline, between(1, INT32_MAX)))
    for name in ("hostname", "subdomain"):
        if value := get(name):
            errors += faults(f"{path}.{name}", value, dns1123_label(value))
    if tolerations := get("tolerations"):
        allow = options.allow_comparing_tolerations
        validate_tolerations(tolerations, f"{path}.tolerations", errors, allow)
    if aliases := get("hostAliases"):
        validate_host_aliases(aliases, f"{path}.hostAliases", errors)
    if value := get("priorityClassName"):
        errors += faults(f"{path}.priorityClassName", value, dns1123_subdomain(value))
    if (value := get("runtimeClassName")) is not None:
        errors += faults(f"{path}.runtimeClassName", value, dns1123_subdomain(value))
    if (policy := get("preemptionPolicy")) is not None and policy not in ("PreemptLowerPriority", "Never"):
        at, supported = f"{path}.preemptionPolicy", ("PreemptLowerPriority", "Never")
        errors.append(not_supported(at, policy, supported) if policy else required(at))
    if overhead := get("overhead"):
        indivisible = options.allow_indivisible_huge_pages
        validate_requirements(
            {"limits": overhead}, _NO_CLAIMS, f"{path}.overhead", errors, allow_indivisible=indivisible
        )


def _validate_claims(
    claims: list[Object], metadata: Object | None, path: str, errors: list[FieldError]
) -> None:
    mirrored = metadata is not None and MIRROR_KEY in (metadata.get("annotations") or ())
    names: set[str] = set()
    for index, claim in enumerate(claims):
        if mirrored:
            errors.append(forbidden("", "static pods do not support resource claims"))
            continue
        at = f"{path}[{index}]"
        name, direct = claim.get("name") or "", claim.get("resourceClaimName")
        template = claim.get("resourceClaimTemplateName")
        if not name:
            errors.append(required(f"{at}.name"))
        elif name in names:
            errors.append(duplicate(f"{at}.name", name))
        else:
            errors += faults(f"{at}.name", name, dns1123_label(name))
            names.add(name)
        if direct is not None and template is not None:
            detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            errors.append(invalid(at, shown(claim, "PodResourceClaim"), detail))
        if direct is None and template is None:
            detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            errors.append(invalid(at, shown(claim, "PodResourceClaim"), detail))
        for key, value in (("resourceClaimName", direct), ("resourceClaimTemplateName", template)):
            if value is not None:
                errors += faults(f"{at}.{key}", value, dns1123_subdomain(value))


def _validate_host_network(
    containers: Sequence[Object], path: str, options: PodOptions, errors: list[FieldError]
) -> None:
    for index, container in enumerate(containers):
        for position, port in enumerate(container.get("ports") or ()):
            host, inner = port.get("hostPort") or 0, port.get("containerPort") or 0
            if (options.is_pod or host) and host != inner:
                detail = "must match `containerPort` when `hostNetwork` is true"
                errors.append(invalid(f"{path}[{index}].ports[{position}].hostPort", host, detail))


def _validate_dns(config: Object | None, alone: bool, path: str, errors: list[FieldError]) -> None:
    """validatePodDNSConfig; ``alone``: the policy is None, so all of DNS is the config's."""
    if config is None:
        if alone:
            errors.append(required(path, "must provide `dnsConfig` when `dnsPolicy` is None"))
        return
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if alone and not servers:
        detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        errors.append(required(f"{path}.nameservers", detail))
        return
    if len(servers) > NAMESERVERS_MAX:
        detail = f"must not have more than {NAMESERVERS_MAX} nameservers"
        errors.append(invalid(f"{path}.nameservers", servers, detail))
    for index, server in enumerate(servers):
        errors += validate_ip_of_legacy_field(f"{path}.nameservers[{index}]", server)
    if len(searches) > SEARCHES_MAX:
        detail = f"must not have more than {SEARCHES_MAX} search paths"
        errors.append(invalid(f"{path}.searches", searches, detail))
    if byte_count(" ".join(searches)) > SEARCH_BYTES_MAX:
        detail = (
            f"must not have more than {SEARCH_BYTES_MAX} characters (including spaces) in the search list"
        )
        errors.append(invalid(f"{path}.searches", searches, detail))
    for index, search in enumerate(searches):
        if search != ".":
            search = search.removesuffix(".")
            errors += faults(f"{path}.searches[{index}]", search, dns1123_subdomain_with_underscore(search))
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            errors.append(required(f"{path}.options[{index}]", "must not be empty"))


def _validate_user_namespace(spec: Object, path: str, options: PodOptions, errors: list[FieldError]) -> None:
    detail = "when `hostUsers` is false"
    if spec.get("hostNetwork") and not options.allow_host_network_in_user_namespace:
        errors.append(forbidden(f"{path}.hostNetwork", detail))
    for name, spelt in (("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(name):
            errors.append(forbidden(f"{path}.{spelt}", detail))
    if not options.allow_devices_in_user_namespace:
        for side, index, container in containers_of(spec):
            if container.get("volumeDevices"):
                errors.append(forbidden(f"{path}.{side}[{index}].volumeDevices", detail))


def _validate_hostname_override(hostname: str, spec: Object, path: str, errors: list[FieldError]) -> None:
    at = f"{path}.hostnameOverride"
    if spec.get("setHostnameAsFQDN"):
        errors.append(forbidden(at, "may not be specified when setHostnameAsFQDN is true"))
    if spec.get("hostNetwork"):
        errors.append(forbidden(at, "may not be specified when hostNetwork is true"))
    if byte_count(hostname) > HOSTNAME_OVERRIDE_BYTES_MAX:
        errors.append(too_long(at, HOSTNAME_OVERRIDE_BYTES_MAX))
    errors += faults(at, hostname, dns1123_subdomain(hostname))


def _validate_windows_processes(
    spec: Object, path: str, options: PodOptions, errors: list[FieldError]
) -> None:
    """validateWindowsHostProcessPod."""
    of_pod = ((spec.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess")
    count = total = 0
    for side, index, container in containers_of(spec):
        total += 1
        context = container.get("securityContext")
        own = (context.get("windowsOptions") or {}).get("hostProcess") if context else None
        if of_pod is not None and own is not None and of_pod != own:
            shown = "true" if of_pod else "false"
            detail = f"pod hostProcess value must be identical if both are specified, was {shown}"
            at = f"{path}.{side}[{index}].securityContext.windowsOptions.hostProcess"
            errors.append(invalid(at, own, detail))
        if own or (own is None and of_pod):
            count += 1
    if not count:
        return
    if count != total:
        detail = (
            "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        )
        errors.append(invalid(path, "", detail))
    if not spec.get("hostNetwork"):
        detail = "hostNetwork must be true if pod contains any hostProcess containers"
        errors.append(invalid(f"{path}.hostNetwork", False, detail))
    if not options.allow_privileged:
        errors.append(forbidden(path, "hostProcess containers are disallowed by cluster policy"))


_NOT_ON_WINDOWS: Final = (
    "securityContext.appArmorProfile", "securityContext.seLinuxOptions", "hostUsers", "hostPID", "hostIPC",
    "securityContext.seccompProfile", "securityContext.fsGroup", "securityContext.fsGroupChangePolicy",
    "securityContext.sysctls", "shareProcessNamespace", "securityContext.runAsUser", "securityContext.runAsGroup",
    "securityContext.supplementalGroups", "securityContext.supplementalGroupsPolicy",
    "securityContext.seLinuxChangePolicy",
)  # fmt: skip
_CONTAINER_NOT_ON_WINDOWS: Final = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged",
    "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
)  # fmt: skip


def _validate_os(spec: Object, os: Object, path: str, errors: list[FieldError]) -> None:
    name = os.get("name") or ""
    if not name:
        errors.append(required(f"{path}.os.name"))
        return
    if name not in ("linux", "windows"):
        errors.append(not_supported(f"{path}.os", name, ("linux", "windows")))
        return
    context = spec.get("securityContext") or {}
    if name == "linux":
        detail = "windows options cannot be set for a linux pod"
        if context.get("windowsOptions") is not None:
            errors.append(forbidden(f"{path}.securityContext.windowsOptions", detail))
        for side, index, container in containers_of(spec):
            if (container.get("securityContext") or {}).get("windowsOptions") is not None:
                at = f"{path}.{side}[{index}].securityContext.windowsOptions"
                errors.append(forbidden(at, detail))
        return
    for each in _NOT_ON_WINDOWS:
        within, dot, key = each.partition(".")
        value = context.get(key) if dot else spec.get(within)
        if value is not None and not (value in (False, []) and key in ("", "sysctls") and within not in (
            "hostUsers", "shareProcessNamespace",
        )):  # fmt: skip
            errors.append(forbidden(f"{path}.{each}", _FOR_POD_OF_WINDOWS))
    for side, index, container in containers_of(spec):
        own = container.get("securityContext") or {}
        for key in _CONTAINER_NOT_ON_WINDOWS:
            if own.get(key) is not None:
                at = f"{path}.{side}[{index}].securityContext.{key}"
                errors.append(forbidden(at, _FOR_POD_OF_WINDOWS))


def _validate_file_keys(spec: Object, path: str, errors: list[FieldError]) -> None:
    """validateFileKeyRefVolumes: a variable from a file of a volume that is emptyDir."""
    for side, index, container in containers_of(spec):
        for position, variable in enumerate(container.get("env") or ()):
            if not (source := variable.get("valueFrom")) or (key := source.get("fileKeyRef")) is None:
                continue
            name = key.get("volumeName") or ""
            at = f"{path}.{side}[{index}].env[{position}].valueFrom.fileKeyRef.volumeName"
            found = [each for each in spec.get("volumes") or () if (each.get("name") or "") == name]
            if not found:
                errors.append(not_found(at, name))
            elif found[-1].get("emptyDir") is None:
                errors.append(invalid(at, name, "referenced volume must be of type emptyDir"))


def _validate_pod_resources(
    spec: Object, resources: Object, claim_names: frozenset[str], path: str, errors: list[FieldError]
) -> None:
    """validatePodResources: pod-level amounts hold what the containers ask for."""
    if (spec.get("os") or {}).get("name") == "windows":
        errors.append(forbidden(path, "may not be set for a windows pod"))
        return
    if resources.get("claims") is not None:
        errors.append(forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level"))
    validate_requirements(resources, claim_names, path, errors, pod_level=True)
    for side in ("requests", "limits"):
        stated = resources.get(side) or {}
        for name, nanos in sorted(aggregate_spec(spec, side).items()) if stated else ():
            amount = stated.get(name)
            if amount is None or (side == "limits" and not name.startswith("hugepages-")):
                continue
            if nanos > parse_quantity(amount):
                shown = binary_text(nanos) if is_binary(amount) else decimal_text(nanos)
                detail = f"must be greater than or equal to aggregate container {side} of {shown}"
                errors.append(invalid(f"{path}.{side}[{name}]", canonical(amount), detail))
    limits = resources.get("limits") or {}
    for index, container in enumerate(spec.get("containers") or ()):
        for name, amount in ((container.get("resources") or {}).get("limits") or {}).items():
            if name in limits and parse_quantity(amount) > parse_quantity(limits[name]):
                detail = f"must be less than or equal to pod limits of {canonical(limits[name])}"
                at = f"{path}.containers[{index}][{name}].limits"
                errors.append(invalid(at, canonical(amount), detail))


# Metadata of pods and of templates


def validate_pod_annotations(
    annotations: Mapping[str, str], spec: Object, path: str, options: PodOptions, errors: list[FieldError]
) -> None:
    """ValidatePodSpecificAnnotations."""
    mirror = annotations.get(MIRROR_KEY)
    if mirror is not None and not spec.get("nodeName"):
        detail = "must set spec.nodeName if mirror pod annotation is set"
        errors.append(invalid(f"{path}[{MIRROR_KEY}]", mirror, detail))
    if text := annotations.get(TOLERATIONS_KEY):
        try:
            tolerations = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            errors.append(invalid(path, TOLERATIONS_KEY, str(error)))
        else:
            if isinstance(tolerations, list) and all(isinstance(each, dict) for each in tolerations):
                validate_tolerations(tolerations, f"{path}.{TOLERATIONS_KEY}", errors)
    cost = annotations.get(DELETION_COST_KEY)
    if cost is not None and not options.allow_invalid_deletion_cost and not is_deletion_cost(cost):
        errors.append(invalid(f"{path}[{DELETION_COST_KEY}]", cost, "must be a 32bit integer"))
    validate_security_annotations(annotations, spec, path, errors)


def is_deletion_cost(text: str) -> bool:
    """True for what GetDeletionCostFromPodAnnotations takes."""
    return _match_cost(text) is not None and len(text) < 24 and INT32_MIN <= int(text) <= INT32_MAX


def validate_template(template: Object, path: str, options: PodOptions, errors: list[FieldError]) -> None:
    """ValidatePodTemplateSpec."""
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    if labels := metadata.get("labels"):
        errors += validate_labels(labels, f"{path}.labels")
    annotations = metadata.get("annotations")
    if annotations:
        errors += validate_annotations(annotations, f"{path}.annotations")
        validate_pod_annotations(annotations, spec, f"{path}.annotations", options, errors)
    validate_pod_spec(spec, f"{path}.spec", options, errors)
    if annotations:
        validate_annotations_match(annotations, spec, f"{path}.spec", errors)
    if spec.get("ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        errors.append(forbidden(f"{path}.spec.ephemeralContainers", detail))
