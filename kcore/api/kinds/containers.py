"""What is wrong with the containers of a pod.

Source, Kubernetes 1.36: pkg/apis/core/validation/validation.go (validateContainerCommon and all below it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Final, NamedTuple

from kcore.api.field import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
    too_many,
)
from kcore.api.kinds.metadata import NOT_NEGATIVE
from kcore.api.kinds.names import (
    config_key,
    dns1123_label,
    dns1123_subdomain,
    faults,
    http_header_name,
    name_is_subdomain,
    port_name,
    port_number,
    relaxed_environment_name,
)
from kcore.api.kinds.pod_options import PodOptions
from kcore.api.kinds.projections import VARIABLE_FIELDS, validate_field_selector, validate_resource_selector
from kcore.api.kinds.relative_paths import validate_no_backsteps
from kcore.api.kinds.resource_lists import validate_requirements
from kcore.api.kinds.security import validate_container_security
from kcore.api.kinds.volumes import PULL_POLICIES, validate_mounts, validate_pull_policy

Object = Mapping[str, Any]

RESTART_RULES_MAX: Final = 20
EXIT_CODES_MAX: Final = 255
PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
SCHEMES: Final = ("HTTP", "HTTPS")
RESTART_POLICIES: Final = ("Always", "Never", "OnFailure")
RESTART_ACTIONS: Final = ("Restart", "RestartAllContainers")
WINDOWS_SIGNALS: Final = ("SIGKILL", "SIGTERM")
LINUX_SIGNALS: Final = tuple(sorted((
    *(f"SIG{each}" for each in (
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
        "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
        "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
    )),
    *(f"SIGRTMIN+{each}" for each in range(1, 16)),
    *(f"SIGRTMAX-{each}" for each in range(1, 15)),
)))  # fmt: skip
SIDECAR_ONLY: Final = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
# what an ephemeral container may not have, in the order of its Go type
NOT_EPHEMERAL: Final = (
    "ports", "resources", "resizePolicy", "restartPolicy", "restartPolicyRules", "livenessProbe", "readinessProbe",
    "startupProbe", "lifecycle",
)  # fmt: skip
_PROBE_NUMBERS: Final = (
    "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold",
)  # fmt: skip
_TERMINATION_POLICIES: Final = ("File", "FallbackToLogsOnError")


class PodParts(NamedTuple):
    """What a container is checked against."""

    volumes: Mapping[str, Object]
    claim_names: Set[str]
    grace_seconds: int | None
    restart_policy: str
    host_users: bool
    os: str | None
    options: PodOptions


def validate_containers(
    containers: Sequence[Object], pod: PodParts, path: str, errors: list[FieldError]
) -> None:
    """validateContainers."""
    if not containers:
        errors.append(required(path))
        return
    names = set()
    for index, container in enumerate(containers):
        at = f"{path}[{index}]"
        _validate_common(container, pod, at, errors)
        name = container.get("name") or ""
        if name in names:
            errors.append(duplicate(f"{at}.name", name))
        names.add(name)
        _validate_probes(container, pod, at, errors)
        _validate_restart(container, at, errors)
    _validate_host_ports(containers, path, errors)


def validate_init_containers(
    containers: Sequence[Object],
    regular: Sequence[Object],
    pod: PodParts,
    path: str,
    errors: list[FieldError],
) -> None:
    """validateInitContainers."""
    names = {each.get("name") or "" for each in regular}
    for index, container in enumerate(containers):
        at = f"{path}[{index}]"
        get = container.get
        _validate_common(container, pod, at, errors)
        policy = get("restartPolicy")
        if policy is None:
            if get("restartPolicyRules"):
                detail = "must specify restartPolicy when restart rules are used"
                errors.append(required(f"{at}.restartPolicy", detail))
        else:
            _validate_restart(container, at, errors)
        name = get("name") or ""
        if name in names:
            errors.append(duplicate(f"{at}.name", name))
        elif name:
            names.add(name)
        _validate_host_ports((container,), path, errors)
        if policy == "Always":
            _validate_probes(container, pod, at, errors)
            continue
        for each in SIDECAR_ONLY:
            if get(each) is not None:
                detail = "may not be set for init containers without restartPolicy=Always"
                errors.append(forbidden(f"{at}.{each}", detail))
        if not pod.options.allow_restart_of_plain_init_container:
            for position, resize in enumerate(get("resizePolicy") or ()):
                if resize.get("restartPolicy") == "RestartContainer":
                    detail = "must not be set to 'RestartContainer' for non-sidecar initContainers"
                    where = f"{at}.resizePolicy[{position}].restartPolicy"
                    errors.append(invalid(where, "RestartContainer", detail))


def validate_ephemeral_containers(
    containers: Sequence[Object],
    others: Iterable[Object],
    pod: PodParts,
    path: str,
    errors: list[FieldError],
) -> None:
    """validateEphemeralContainers."""
    other_names = {each.get("name") or "" for each in others}
    names = set(other_names)
    for index, container in enumerate(containers):
        at = f"{path}[{index}]"
        get = container.get
        _validate_common(container, pod, at, errors)
        validate_image_of_pod(container, at, errors)
        name, target = get("name") or "", get("targetContainerName")
        if name in names:
            errors.append(duplicate(f"{at}.name", name))
        names.add(name)
        if target and target not in other_names:
            errors.append(not_found(f"{at}.targetContainerName", target))
        detail = "cannot be set for an Ephemeral Container"
        errors += [forbidden(f"{at}.{each}", detail) for each in NOT_EPHEMERAL if get(each)]
        for position, mount in enumerate(get("volumeMounts") or ()):
            for each in ("subPath", "subPathExpr"):
                if mount.get(each):
                    where = f"{at}.volumeMounts[{position}].{each}"
                    errors.append(forbidden(where, detail))


def validate_image_of_pod(container: Object, path: str, errors: list[FieldError]) -> None:
    """validateContainerOnlyForPod: templates may have such images, pods may not."""
    image = container.get("image") or ""
    if image and (image[0].isspace() or image[-1].isspace()):
        errors.append(invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))


def _validate_common(container: Object, pod: PodParts, path: str, errors: list[FieldError]) -> None:
    get = container.get
    if not (name := get("name")):
        errors.append(required(f"{path}.name"))
    elif complaints := dns1123_label(name):
        errors += faults(f"{path}.name", name, complaints)
    if not get("image"):
        errors.append(required(f"{path}.image"))
    if (policy := get("terminationMessagePolicy")) not in _TERMINATION_POLICIES:
        at = f"{path}.terminationMessagePolicy"
        errors.append(not_supported(at, policy, _TERMINATION_POLICIES) if policy else required(at))
    if ports := get("ports"):
        _validate_ports(ports, f"{path}.ports", errors)
    if variables := get("env"):
        _validate_env(variables, f"{path}.env", errors)
    if sources := get("envFrom"):
        _validate_env_from(sources, f"{path}.envFrom", errors)
    if get("volumeMounts") or get("volumeDevices"):
        validate_mounts(container, pod.volumes, path, errors)
    if (pull := get("imagePullPolicy")) not in PULL_POLICIES:
        validate_pull_policy(pull or "", f"{path}.imagePullPolicy", errors)
    if resources := get("resources"):
        indivisible = pod.options.allow_indivisible_huge_pages
        validate_requirements(
            resources, pod.claim_names, f"{path}.resources", errors, allow_indivisible=indivisible
        )
    if resize := get("resizePolicy"):
        _validate_resize(resize, f"{path}.resizePolicy", pod.restart_policy, errors)
    if security := get("securityContext"):
        validate_container_security(security, f"{path}.securityContext", pod.host_users, pod.options, errors)


def _validate_ports(ports: Sequence[Object], path: str, errors: list[FieldError]) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        get = port.get
        if name := get("name"):
            if complaints := port_name(name):
                # upstream reuses its index here: later messages of this port name another one
                errors += faults(f"{path}[{index}].name", name, complaints)
            elif name in names:
                errors.append(duplicate(f"{path}[{index}].name", name))
            names.add(name)
        if not (number := get("containerPort")):
            errors.append(required(f"{path}[{index}].containerPort"))
        elif not 1 <= number <= 65535:
            errors += faults(f"{path}[{index}].containerPort", number, port_number(number))
        if (host := get("hostPort")) and not 1 <= host <= 65535:
            errors += faults(f"{path}[{index}].hostPort", host, port_number(host))
        if (protocol := get("protocol")) not in PROTOCOLS:
            at = f"{path}[{index}].protocol"
            errors.append(not_supported(at, protocol, PROTOCOLS) if protocol else required(at))


def _validate_host_ports(containers: Sequence[Object], path: str, errors: list[FieldError]) -> None:
    """checkHostPortConflicts: a port of the node is taken once."""
    taken: set[str] = set()
    for index, container in enumerate(containers):
        for position, port in enumerate(container.get("ports") or ()):
            if host := port.get("hostPort"):
                text = f"{port.get('protocol') or ''}/{port.get('hostIP') or ''}/{host}"
                if text in taken:
                    errors.append(duplicate(f"{path}[{index}].ports[{position}].hostPort", text))
                taken.add(text)


def _validate_env(variables: Sequence[Object], path: str, errors: list[FieldError]) -> None:
    for index, variable in enumerate(variables):
        if not (name := variable.get("name")):
            errors.append(required(f"{path}[{index}].name"))
        elif complaints := relaxed_environment_name(name):
            errors += faults(f"{path}[{index}].name", name, complaints)
        if (source := variable.get("valueFrom")) is not None:
            _validate_variable(source, variable.get("value"), f"{path}[{index}].valueFrom", errors)


def _validate_variable(source: Object, value: str | None, path: str, errors: list[FieldError]) -> None:
    count = 0
    if (each := source.get("fieldRef")) is not None:
        count += 1
        validate_field_selector(each, VARIABLE_FIELDS, f"{path}.fieldRef", errors)
    if (each := source.get("resourceFieldRef")) is not None:
        count += 1
        validate_resource_selector(each, f"{path}.resourceFieldRef", False, errors)
    for name in ("configMapKeyRef", "secretKeyRef"):
        if (each := source.get(name)) is not None:
            count += 1
            _validate_key(each, f"{path}.{name}", errors)
    if (each := source.get("fileKeyRef")) is not None:
        count += 1
        _validate_file_key(each, f"{path}.fileKeyRef", errors)
    if count == 0:
        names = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        errors.append(invalid(path, "", f"must specify one of: {names}"))
    elif value:
        errors.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif count > 1:
        errors.append(invalid(path, "", "may not have more than one field specified at a time"))


def _validate_key(selector: Object, path: str, errors: list[FieldError]) -> None:
    name, key = selector.get("name") or "", selector.get("key")
    errors += faults(f"{path}.name", name, dns1123_subdomain(name))
    if not key:
        errors.append(required(f"{path}.key"))
    else:
        errors += faults(f"{path}.key", key, config_key(key))


def _validate_file_key(selector: Object, path: str, errors: list[FieldError]) -> None:
    if not (key := selector.get("key")):
        errors.append(required(f"{path}.key"))
    else:
        errors += faults(f"{path}.key", key, relaxed_environment_name(key))
    if not (volume := selector.get("volumeName")):
        errors.append(required(f"{path}.volumeName"))
    else:
        errors += faults(f"{path}.volumeName", volume, dns1123_label(volume))
    if not (where := selector.get("path")):
        errors.append(required(f"{path}.path"))
    else:
        validate_no_backsteps(where, f"{path}.path", errors)


def _validate_env_from(sources: Sequence[Object], path: str, errors: list[FieldError]) -> None:
    for index, source in enumerate(sources):
        at = f"{path}[{index}]"
        if prefix := source.get("prefix"):
            errors += faults(f"{at}.prefix", prefix, relaxed_environment_name(prefix))
        count = 0
        for name in ("configMapRef", "secretRef"):
            if (each := source.get(name)) is not None:
                count += 1
                if not (named := each.get("name")):
                    errors.append(required(f"{at}.{name}.name"))
                else:
                    errors += faults(f"{at}.{name}.name", named, name_is_subdomain(named, True))
        if count == 0:
            errors.append(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif count > 1:
            errors.append(invalid(path, "", "may not have more than one field specified at a time"))


def _validate_resize(
    policies: Sequence[Object], path: str, pod_policy: str, errors: list[FieldError]
) -> None:
    seen = set()
    for index, policy in enumerate(policies):
        resource, restart = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if resource in seen:
            errors.append(duplicate(f"{path}[{index}]", resource))
        seen.add(resource)
        for value, supported in (
            (resource, ("cpu", "memory")), (restart, ("NotRequired", "RestartContainer")),
        ):  # fmt: skip
            if value not in supported:
                errors.append(not_supported(path, value, supported) if value else required(path))
        if pod_policy == "Never" and restart != "NotRequired":
            detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'"
            errors.append(invalid(path, restart, detail))


def _validate_restart(container: Object, path: str, errors: list[FieldError]) -> None:
    """validateContainerRestartPolicy."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or ()
    at = f"{path}.restartPolicy"
    if policy is None:
        if not rules:
            return
        errors.append(required(at, "must specify restartPolicy when restart rules are used"))
    elif policy not in RESTART_POLICIES:
        errors.append(not_supported(at, policy, RESTART_POLICIES))
    at = f"{path}.restartPolicyRules"
    if len(rules) > RESTART_RULES_MAX:
        errors.append(too_many(at, len(rules), RESTART_RULES_MAX))
    for index, rule in enumerate(rules):
        if (action := rule.get("action") or "") not in RESTART_ACTIONS:
            errors.append(not_supported(f"{at}[{index}].action", action, RESTART_ACTIONS))
        codes = rule.get("exitCodes")
        if codes is None:
            errors.append(required(f"{at}[{index}].exitCodes", "must be specified"))
            continue
        if (operator := codes.get("operator") or "") not in ("In", "NotIn"):
            errors.append(not_supported(f"{at}[{index}].exitCodes.operator", operator, ("In", "NotIn")))
        if (count := len(codes.get("values") or ())) > EXIT_CODES_MAX:
            errors.append(too_many(f"{at}[{index}].exitCodes.values", count, EXIT_CODES_MAX))


# Probes and hooks


def _validate_probes(container: Object, pod: PodParts, path: str, errors: list[FieldError]) -> None:
    """The lifecycle and the three probes of a container that goes on."""
    get = container.get
    if (lifecycle := get("lifecycle")) is not None:
        _validate_lifecycle(lifecycle, pod, f"{path}.lifecycle", errors)
    if (probe := get("livenessProbe")) is not None:
        _validate_probe(probe, pod.grace_seconds, f"{path}.livenessProbe", errors)
        _validate_success_threshold(probe, f"{path}.livenessProbe", errors)
    if (probe := get("readinessProbe")) is not None:
        _validate_probe(probe, pod.grace_seconds, f"{path}.readinessProbe", errors)
        if (seconds := probe.get("terminationGracePeriodSeconds")) is not None:
            at = f"{path}.readinessProbe.terminationGracePeriodSeconds"
            errors.append(invalid(at, seconds, "must not be set for readinessProbes"))
    if (probe := get("startupProbe")) is not None:
        _validate_probe(probe, pod.grace_seconds, f"{path}.startupProbe", errors)
        _validate_success_threshold(probe, f"{path}.startupProbe", errors)


def _validate_success_threshold(probe: Object, path: str, errors: list[FieldError]) -> None:
    if (threshold := probe.get("successThreshold") or 0) != 1:
        errors.append(invalid(f"{path}.successThreshold", threshold, "must be 1"))


def _validate_probe(probe: Object, grace: int | None, path: str, errors: list[FieldError]) -> None:
    validate_hook(probe, grace, path, errors)
    errors += [
        invalid(f"{path}.{name}", value, NOT_NEGATIVE)
        for name in _PROBE_NUMBERS
        if (value := probe.get(name) or 0) < 0
    ]
    seconds = probe.get("terminationGracePeriodSeconds")
    if seconds is not None and seconds <= 0:
        errors.append(invalid(f"{path}.terminationGracePeriodSeconds", seconds, "must be greater than 0"))


def _validate_lifecycle(lifecycle: Object, pod: PodParts, path: str, errors: list[FieldError]) -> None:
    for name in ("postStart", "preStop"):
        if (hook := lifecycle.get(name)) is not None:
            validate_hook(hook, pod.grace_seconds, f"{path}.{name}", errors)
    if (signal := lifecycle.get("stopSignal")) is not None:
        at = f"{path}.stopSignal"
        supported = {"windows": WINDOWS_SIGNALS, "linux": LINUX_SIGNALS}.get(pod.os or "", ())
        if pod.os is None:
            detail = "may not be set for containers with empty `spec.os.name`"
            errors.append(forbidden(at, detail))
        elif supported and signal not in supported:
            errors.append(not_supported(at, signal, supported))


def validate_hook(hook: Object, grace: int | None, path: str, errors: list[FieldError]) -> None:
    """validateHandler: exactly one action, and that one is right."""
    found = False
    for name in ("exec", "httpGet", "tcpSocket", "grpc", "sleep"):
        if (action := hook.get(name)) is None:
            continue
        at = f"{path}.{name}"
        if found:
            errors.append(forbidden(at, "may not specify more than 1 handler type"))
        elif name == "exec":
            if not action.get("command"):
                errors.append(required(f"{at}.command"))
        elif name == "httpGet":
            _validate_http_get(action, at, errors)
        elif name == "sleep":
            seconds = action.get("seconds") or 0
            if grace is not None and not 0 <= seconds <= grace:
                detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                errors.append(invalid(at, seconds, detail))
        else:
            errors += validate_port(action.get("port") or 0, f"{at}.port")
        found = True
    if not found:
        errors.append(required(path, "must specify a handler type"))


def validate_port(port: int | str, path: str) -> list[FieldError]:
    """ValidatePortNumOrName."""
    return faults(path, port, port_number(port) if isinstance(port, int) else port_name(port))


def _validate_http_get(action: Object, path: str, errors: list[FieldError]) -> None:
    if not action.get("path"):
        errors.append(required(f"{path}.path"))
    port = action.get("port")
    errors += validate_port(0 if port is None else port, f"{path}.port")
    if (scheme := action.get("scheme") or "") not in SCHEMES:
        errors.append(not_supported(f"{path}.scheme", scheme, SCHEMES))
    for header in action.get("httpHeaders") or ():
        name = header.get("name") or ""
        if complaints := http_header_name(name):
            errors += faults(f"{path}.httpHeaders", name, complaints)
