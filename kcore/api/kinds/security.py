"""What is wrong with the security contexts of a pod and its containers.

Source, Kubernetes 1.36: pkg/apis/core/validation/validation.go (ValidateSecurityContext,
validatePodSpecSecurityContext, seccomp, AppArmor, Windows), component-helpers/node/util/sysctl.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from kcore.api.field import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    quoted,
    required,
    too_long,
)
from kcore.api.kinds.internal_form import shown
from kcore.api.kinds.names import byte_count, dns1123_subdomain, faults, user_or_group_id
from kcore.api.kinds.pod_options import PodOptions, containers_of
from kcore.api.kinds.relative_paths import validate_descending

Object = Mapping[str, Any]

SYSCTL_BYTES_MAX: Final = 253
APPARMOR_BYTES_MAX: Final = 4095
GMSA_KIB_MAX: Final = 64
DOMAIN_BYTES_MAX: Final = 255
USER_BYTES_MAX: Final = 104
PROFILE_TYPES: Final = ("Localhost", "RuntimeDefault", "Unconfined")
SECCOMP_POD_KEY: Final = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER_PREFIX: Final = "container.seccomp.security.alpha.kubernetes.io/"
APPARMOR_PREFIX: Final = "container.apparmor.security.beta.kubernetes.io/"
_SYSCTL: Final = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_match_sysctl = re.compile(_SYSCTL).fullmatch
_IPC_SYSCTLS: Final = frozenset(
    f"kernel.{each}"
    for each in (
        "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced", "shm", "msgmax", "msgmnb", "msgmni", "msg",
    )
)  # fmt: skip
_match_control = re.compile(r"[\x00-\x1f\x7f]").search
_match_netbios = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}').fullmatch
_LABEL: Final = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_match_domain = re.compile(rf"{_LABEL}(?:\.{_LABEL})*").fullmatch
_match_user = re.compile(r'["/\\:;|=,+*?<>@\[\]]').search


def _validate_ids(context: Object, names: tuple[str, ...], path: str, errors: list[FieldError]) -> None:
    for name in names:
        if (value := context.get(name)) is not None:
            errors += faults(f"{path}.{name}", value, user_or_group_id(value))


def validate_container_security(
    context: Object, path: str, host_users: bool, options: PodOptions, errors: list[FieldError]
) -> None:
    """ValidateSecurityContext."""
    get = context.get
    privileged = get("privileged")
    if privileged and not options.allow_privileged:
        errors.append(forbidden(f"{path}.privileged", "disallowed by cluster policy"))
    _validate_ids(context, ("runAsUser", "runAsGroup"), path, errors)
    if (mount := get("procMount")) is not None:
        if mount not in ("Default", "Unmasked"):
            errors.append(not_supported(f"{path}.procMount", mount, ("Default", "Unmasked")))
        if host_users and mount == "Unmasked":
            detail = "`hostUsers` must be false to use `Unmasked`"
            errors.append(invalid(f"{path}.procMount", mount, detail))
    if (profile := get("seccompProfile")) is not None:
        validate_seccomp(profile, f"{path}.seccompProfile", errors)
    if get("allowPrivilegeEscalation") is False:
        if privileged:
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            errors.append(invalid(path, shown(context, "SecurityContext"), detail))
        for capability in (get("capabilities") or {}).get("add") or ():
            if capability == "CAP_SYS_ADMIN":
                detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
                errors.append(invalid(path, shown(context, "SecurityContext"), detail))
    if (windows := get("windowsOptions")) is not None:
        validate_windows_options(windows, f"{path}.windowsOptions", errors)
    if (profile := get("appArmorProfile")) is not None:
        errors += validate_apparmor(profile, f"{path}.appArmorProfile")


def validate_seccomp(profile: Object, path: str, errors: list[FieldError]) -> None:
    """validateSeccompProfileField."""
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    if not kind:
        errors.append(required(f"{path}.type", "type is required when seccompProfile is set"))
    elif kind not in PROFILE_TYPES:
        errors.append(not_supported(f"{path}.type", kind, PROFILE_TYPES))
    at = f"{path}.localhostProfile"
    if kind == "Localhost":
        if local is None:
            errors.append(required(at, "must be set when seccomp type is Localhost"))
        else:
            validate_descending(local, at, errors)
    elif local is not None:
        detail = "can only be set when seccomp type is Localhost"
        errors.append(invalid(at, shown(profile, "SeccompProfile"), detail))


def validate_apparmor(profile: Object, path: str) -> list[FieldError]:
    """ValidateAppArmorProfileField."""
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    at = f"{path}.localhostProfile"
    errors = []
    if kind == "Localhost":
        if local is None:
            return [required(at, "must be set when AppArmor type is Localhost")]
        if local.strip() != local:
            errors.append(invalid(at, local, "must not be padded with whitespace"))
        elif not local:
            errors.append(required(at, "must be set when AppArmor type is Localhost"))
        if byte_count(local) > APPARMOR_BYTES_MAX:
            errors.append(too_long(at, APPARMOR_BYTES_MAX))
    elif kind in PROFILE_TYPES:
        if local is not None:
            errors.append(invalid(at, local, "can only be set when AppArmor type is Localhost"))
    elif not kind:
        errors.append(required(f"{path}.type", "type is required when appArmorProfile is set"))
    else:
        errors.append(not_supported(f"{path}.type", kind, PROFILE_TYPES))
    return errors


def validate_windows_options(options: Object, path: str, errors: list[FieldError]) -> None:
    """validateWindowsSecurityContextOptions."""
    name, spec = options.get("gmsaCredentialSpecName"), options.get("gmsaCredentialSpec")
    if name is not None:
        errors += faults(f"{path}.gmsaCredentialSpecName", name, dns1123_subdomain(name))
    if spec is not None:
        at = f"{path}.gmsaCredentialSpec"
        if not spec:
            errors.append(invalid(at, spec, "gmsaCredentialSpec cannot be an empty string"))
        elif byte_count(spec) > GMSA_KIB_MAX << 10:
            detail = f"gmsaCredentialSpec size must be under {GMSA_KIB_MAX} KiB"
            errors.append(invalid(at, spec, detail))
    if (user := options.get("runAsUserName")) is not None:
        errors += [
            invalid(f"{path}.runAsUserName", user, f"runAsUserName{each}") for each in _user_faults(user)
        ]


def _user_faults(text: str) -> list[str]:
    if not text:
        return [" cannot be an empty string"]
    if _match_control(text):
        return [" cannot contain control characters"]
    parts = text.split("\\")
    if len(parts) > 2:
        return [" cannot contain more than one backslash"]
    domain, user = parts if len(parts) == 2 else ("", parts[0])
    found = []
    if byte_count(domain) > DOMAIN_BYTES_MAX:
        found.append(f"'s Domain length must be under {DOMAIN_BYTES_MAX + 1} characters")
    if len(parts) == 2 and not (_match_netbios(domain) or _match_domain(domain)):
        found.append("'s Domain doesn't match the NetBios nor the DNS format")
    if not user:
        found.append("'s User cannot be empty")
    elif byte_count(user) > USER_BYTES_MAX:
        found.append(f"'s User length must not be longer than {USER_BYTES_MAX} characters")
    if user and not user.strip(". "):
        found.append("'s User cannot contain only periods or spaces")
    if _match_user(user):
        found.append(r"""'s User cannot contain the following characters: "/\:;|=,+*?<>@[]""")
    return found


def is_host_sysctl(name: str, host_network: bool, host_ipc: bool) -> str:
    """ValidateHostSysctl: the namespace shared with the host that such a sysctl would change, or nothing."""
    text = name
    # NormalizeName: the separator is whichever of . and / comes first
    first = next((char for char in text if char in "./"), "")
    if first == "/":
        text = text.translate(str.maketrans("./", "/."))
    text = text.partition("*")[0]
    if host_network and text.startswith("net."):
        return "hostNetwork"
    if host_ipc and (text in _IPC_SYSCTLS or text.startswith("fs.mqueue.")):
        return "hostIPC"
    return ""


def _validate_sysctls(
    sysctls: list[Object], spec: Object, path: str, options: PodOptions, errors: list[FieldError]
) -> None:
    seen = set()
    for index, sysctl in enumerate(sysctls):
        name, at = sysctl.get("name") or "", f"{path}[{index}].name"
        if not name:
            errors.append(required(at))
        elif byte_count(name) > SYSCTL_BYTES_MAX or not _match_sysctl(name):
            detail = f"must have at most {SYSCTL_BYTES_MAX} characters and match regex ^{_SYSCTL}$"
            errors.append(invalid(at, name, detail))
        elif name in seen:
            errors.append(duplicate(at, name))
        seen.add(name)
        if not options.allow_host_sysctls:
            shared = is_host_sysctl(name, bool(spec.get("hostNetwork")), bool(spec.get("hostIPC")))
            if shared:
                errors.append(invalid(at, name, f"may not be specified when '{shared}' is true"))


def validate_pod_security(
    context: Object, spec: Object, path: str, options: PodOptions, errors: list[FieldError]
) -> None:
    """validatePodSpecSecurityContext."""
    get = context.get
    _validate_ids(context, ("fsGroup", "runAsUser", "runAsGroup"), path, errors)
    for index, group in enumerate(get("supplementalGroups") or ()):
        errors += faults(f"{path}.supplementalGroups[{index}]", group, user_or_group_id(group))
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(invalid(f"{path}.shareProcessNamespace", True, detail))
    if sysctls := get("sysctls"):
        _validate_sysctls(sysctls, spec, f"{path}.sysctls", options, errors)
    if (policy := get("fsGroupChangePolicy")) is not None and policy not in ("Always", "OnRootMismatch"):
        supported = ("Always", "OnRootMismatch")
        errors.append(not_supported(f"{path}.fsGroupChangePolicy", policy, supported))
    if (profile := get("seccompProfile")) is not None:
        validate_seccomp(profile, f"{path}.seccompProfile", errors)
    if (windows := get("windowsOptions")) is not None:
        validate_windows_options(windows, f"{path}.windowsOptions", errors)
    if (profile := get("appArmorProfile")) is not None:
        errors += validate_apparmor(profile, f"{path}.appArmorProfile")
    if (policy := get("supplementalGroupsPolicy")) is not None and policy not in ("Merge", "Strict"):
        errors.append(not_supported(f"{path}.supplementalGroupsPolicy", policy, ("Merge", "Strict")))
    if (policy := get("seLinuxChangePolicy")) is not None:
        allowed = ("MountOption", "Recursive") if options.allow_selinux_mount_option else ("Recursive",)
        if policy not in allowed:
            errors.append(not_supported(f"{path}.seLinuxChangePolicy", policy, allowed))


# The annotations from before there were fields


def seccomp_annotation_errors(profile: str, path: str) -> list[FieldError]:
    """ValidateSeccompProfile."""
    if profile in ("runtime/default", "docker/default", "unconfined"):
        return []
    if profile.startswith("localhost/"):
        errors: list[FieldError] = []
        validate_descending(profile.removeprefix("localhost/"), path, errors)
        return errors
    return [invalid(path, profile, "must be a valid seccomp profile")]


def speaks_of_security(annotations: Mapping[str, str]) -> bool:
    """True where an annotation of old is about seccomp or AppArmor."""
    return any(
        key.startswith((APPARMOR_PREFIX, SECCOMP_CONTAINER_PREFIX)) or key == SECCOMP_POD_KEY
        for key in annotations
    )


def validate_security_annotations(
    annotations: Mapping[str, str], spec: Object, path: str, errors: list[FieldError]
) -> None:
    """ValidateSeccompPodAnnotations and ValidateAppArmorPodAnnotations."""
    if not speaks_of_security(annotations):
        return
    if (profile := annotations.get(SECCOMP_POD_KEY)) is not None:
        errors += seccomp_annotation_errors(profile, f"{path}.{SECCOMP_POD_KEY}")
    for key, profile in annotations.items():
        if key.startswith(SECCOMP_CONTAINER_PREFIX):
            errors += seccomp_annotation_errors(profile, f"{path}.{key}")
    for key, profile in annotations.items():
        if key.startswith(APPARMOR_PREFIX):
            name = key.removeprefix(APPARMOR_PREFIX)
            if not any(container.get("name") == name for _, _, container in containers_of(spec)):
                errors.append(invalid(f"{path}[{key}]", name, "container not found"))
            if profile not in ("", "runtime/default", "unconfined") and not profile.startswith("localhost/"):
                detail = f"invalid AppArmor profile name: {quoted(profile)}"
                errors.append(invalid(f"{path}[{key}]", profile, detail))


def validate_annotations_match(
    annotations: Mapping[str, str], spec: Object, path: str, errors: list[FieldError]
) -> None:
    """Annotations and fields say the same of seccomp and AppArmor, where both say something."""
    if not speaks_of_security(annotations):
        return
    context = spec.get("securityContext") or {}
    if (profile := context.get("seccompProfile")) is not None and SECCOMP_POD_KEY in annotations:
        at = f"{path}.securityContext.seccompProfile"
        _validate_match(annotations[SECCOMP_POD_KEY], profile, at, "seccomp", errors)
    for side, index, container in containers_of(spec):
        profile = (container.get("securityContext") or {}).get("seccompProfile")
        key = f"{SECCOMP_CONTAINER_PREFIX}{container.get('name') or ''}"
        if profile is not None and key in annotations:
            at = f"{path}.{side}[{index}].securityContext.seccompProfile"
            _validate_match(annotations[key], profile, at, "seccomp", errors)
    if (spec.get("os") or {}).get("name") == "windows":
        return
    of_pod = context.get("appArmorProfile")
    for side, index, container in containers_of(spec):
        profile = (container.get("securityContext") or {}).get("appArmorProfile")
        profile = of_pod if profile is None else profile
        key = f"{APPARMOR_PREFIX}{container.get('name') or ''}"
        if profile is not None and key in annotations:
            at = f"{path}.{side}[{index}].securityContext.appArmorProfile"
            _validate_match(annotations[key], profile, at, "apparmor", errors)


def _validate_match(annotation: str, profile: Object, path: str, what: str, errors: list[FieldError]) -> None:
    kind, local = profile.get("type"), profile.get("localhostProfile")
    default = ("runtime/default", "docker/default") if what == "seccomp" else ("runtime/default",)
    wrong = {
        "Unconfined": annotation != "unconfined",
        "RuntimeDefault": annotation not in default,
        "Localhost": not annotation.startswith("localhost/"),
    }.get(kind or "", False)
    if wrong:
        errors.append(forbidden(f"{path}.type", f"{what} type in annotation and field must match"))
    elif kind == "Localhost" and annotation.removeprefix("localhost/") != local:
        detail = f"{what} profile in annotation and field must match"
        errors.append(forbidden(f"{path}.localhostProfile", detail))
