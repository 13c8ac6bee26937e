"""The Pod Security Standards: what each check forbids, from which version on, in upstream's words. Pure functions.

A check gives (reason, detail), None where it finds nothing. Source: pod-security-admission policy/check_*.go and
policy/registry.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from functools import cache
from typing import Any, Final, NamedTuple

from kcore.api.field import quoted

Object = dict[str, Any]
Finding = tuple[str, str]
CheckPod = Callable[[Object, Object], Finding | None]  # metadata, spec

LATEST_MINOR: Final = 36
CAPABILITIES: Final = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip
SYSCTLS: Final = {
    0: (
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start",
    ),
    27: ("net.ipv4.ip_local_reserved_ports",),
    29: (
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    ),
    32: ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
}  # fmt: skip
SELINUX_TYPES: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
ALLOWED_VOLUMES: Final = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
)  # fmt: skip
RESTRICTED_VOLUMES: Final = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "rbd", "flexVolume",
    "cinder", "cephfs", "flocker", "fc", "azureFile", "vsphereVolume", "quobyte", "azureDisk", "photonPersistentDisk",
    "portworxVolume", "scaleIO", "storageos",
)  # fmt: skip
APP_ARMOR_PREFIX: Final = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP_POD: Final = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER_PREFIX: Final = "container.seccomp.security.alpha.kubernetes.io/"
PROFILES: Final = frozenset({"RuntimeDefault", "Localhost"})


def _containers(spec: Object) -> Iterator[Object]:
    for side in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(side) or ()


def _context(obj: Object) -> Object:
    return obj.get("securityContext") or {}


def _joined(items: Iterable[str]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def _plural(word: str, items: Iterable[str]) -> str:
    return word if len(list(items)) == 1 else f"{word}s"


def _names(containers: Iterable[Object]) -> list[str]:
    return [each.get("name", "") for each in containers]


def _these(names: list[str], word: str = "container") -> str:
    return f"{_plural(word, names)} {_joined(names)}"


def _setters(pod_is_bad: bool, names: list[str]) -> list[str]:
    """Who set what is forbidden: the pod, its containers."""
    return [*(["pod"] if pod_is_bad else []), *([_these(names)] if names else [])]


def _is_windows(spec: Object) -> bool:
    return bool((spec.get("os") or {}).get("name") == "windows")


def _allow_privilege_escalation(metadata: Object, spec: Object) -> Finding | None:
    bad = _names(
        each for each in _containers(spec) if _context(each).get("allowPrivilegeEscalation") is not False
    )
    if not bad:
        return None
    return (
        "allowPrivilegeEscalation != false",
        f"{_these(bad)} must set securityContext.allowPrivilegeEscalation=false",
    )


def _app_armor(metadata: Object, spec: Object) -> Finding | None:
    def kind(obj: Object) -> str | None:
        profile = _context(obj).get("appArmorProfile")
        return None if profile is None else profile.get("type", "")

    pod_is_bad = (found := kind(spec)) is not None and found not in PROFILES
    values = {found} if pod_is_bad and found is not None else set()
    bad = [each for each in _containers(spec) if (found := kind(each)) is not None and found not in PROFILES]
    values |= {found for each in bad if (found := kind(each)) is not None}
    setters = _setters(pod_is_bad, _names(bad))
    annotations = sorted(
        f"{key}={quoted(value)}"
        for key, value in (metadata.get("annotations") or {}).items()
        if key.startswith(APP_ARMOR_PREFIX)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    )
    listed = [*sorted(values), *annotations]
    if annotations:
        setters.append(_plural("annotation", annotations))
    if not setters:
        return None
    return (
        _plural("forbidden AppArmor profile", listed),
        f"{' and '.join(setters)} must not set AppArmor profile type to {_joined(listed)}",
    )


def _added(container: Object) -> list[str]:
    return (_context(container).get("capabilities") or {}).get("add") or []


def _capabilities_baseline(metadata: Object, spec: Object) -> Finding | None:
    bad = [each for each in _containers(spec) if set(_added(each)) - CAPABILITIES]
    if not bad:
        return None
    wrong = sorted({name for each in bad for name in _added(each)} - CAPABILITIES)
    detail = f"{_these(_names(bad))} must not include {_joined(wrong)} in securityContext.capabilities.add"
    return "non-default capabilities", detail


def _capabilities_restricted(metadata: Object, spec: Object) -> Finding | None:
    keeping = _names(
        each
        for each in _containers(spec)
        if "ALL" not in ((_context(each).get("capabilities") or {}).get("drop") or ())
    )
    adding = [each for each in _containers(spec) if set(_added(each)) - {"NET_BIND_SERVICE"}]
    details = []
    if keeping:
        details.append(f'{_these(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        wrong = sorted({name for each in adding for name in _added(each)} - {"NET_BIND_SERVICE"})
        details.append(
            f"{_these(_names(adding))} must not include {_joined(wrong)} in securityContext.capabilities.add"
        )
    return ("unrestricted capabilities", "; ".join(details)) if details else None


def _host_namespaces(metadata: Object, spec: Object) -> Finding | None:
    shared = [f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    return ("host namespaces", ", ".join(shared)) if shared else None


def _host_path_volumes(metadata: Object, spec: Object) -> Finding | None:
    bad = _names(each for each in spec.get("volumes") or () if each.get("hostPath") is not None)
    return ("hostPath volumes", _these(bad, "volume")) if bad else None


def _host_ports(metadata: Object, spec: Object) -> Finding | None:
    def ports(container: Object) -> list[str]:
        return [str(port["hostPort"]) for port in container.get("ports") or () if port.get("hostPort")]

    bad = [each for each in _containers(spec) if ports(each)]
    if not bad:
        return None
    listed = sorted({port for each in bad for port in ports(each)})
    uses = "uses" if len(bad) == 1 else "use"
    return "hostPort", f"{_these(_names(bad))} {uses} {_plural('hostPort', listed)} {', '.join(listed)}"


def _host_probes(metadata: Object, spec: Object) -> Finding | None:
    def hosts(container: Object) -> list[str]:
        lifecycle = container.get("lifecycle") or {}
        actions = [
            *(container.get(key) or {} for key in ("livenessProbe", "readinessProbe", "startupProbe")),
            *(lifecycle.get(key) or {} for key in ("postStart", "preStop")),
        ]
        found = (
            (action.get(kind) or {}).get("host") for action in actions for kind in ("httpGet", "tcpSocket")
        )
        return [host for host in found if host]

    bad = sorted({each.get("name", "") for each in _containers(spec) if hosts(each)})
    if not bad:
        return None
    listed = sorted({host for each in _containers(spec) for host in hosts(each)})
    uses = "uses" if len(bad) == 1 else "use"
    return (
        "probe or lifecycle host",
        f"{_these(bad)} {uses} {_plural('probe or lifecycle host', listed)} {_joined(listed)}",
    )


def _privileged(metadata: Object, spec: Object) -> Finding | None:
    bad = _names(each for each in _containers(spec) if _context(each).get("privileged"))
    return ("privileged", f"{_these(bad)} must not set securityContext.privileged=true") if bad else None


def _proc_mount(metadata: Object, spec: Object) -> Finding | None:
    bad = [each for each in _containers(spec) if _context(each).get("procMount", "Default") != "Default"]
    if not bad:
        return None
    wrong = sorted({_context(each)["procMount"] for each in bad})
    return "procMount", f"{_these(_names(bad))} must not set securityContext.procMount to {_joined(wrong)}"


def _unless_own_users(check: CheckPod) -> CheckPod:
    """Pods whose users are not the host's are let off."""
    return lambda metadata, spec: None if spec.get("hostUsers") is False else check(metadata, spec)


def _unless_windows(check: CheckPod) -> CheckPod:
    return lambda metadata, spec: None if _is_windows(spec) else check(metadata, spec)


def _restricted_volumes(metadata: Object, spec: Object) -> Finding | None:
    bad = [
        each for each in spec.get("volumes") or () if all(each.get(kind) is None for kind in ALLOWED_VOLUMES)
    ]
    if not bad:
        return None
    kinds = sorted({
        next((kind for kind in RESTRICTED_VOLUMES if each.get(kind) is not None), "unknown") for each in bad
    })  # fmt: skip
    uses = "uses" if len(bad) == 1 else "use"
    return (
        "restricted volume types",
        f"{_these(_names(bad), 'volume')} {uses} {_plural('restricted volume type', kinds)} {_joined(kinds)}",
    )


def _run_as_non_root(metadata: Object, spec: Object) -> Finding | None:
    of_pod = _context(spec).get("runAsNonRoot")
    explicit = _names(each for each in _containers(spec) if _context(each).get("runAsNonRoot") is False)
    reason = "runAsNonRoot != true"
    if setters := _setters(of_pod is False, explicit):
        return reason, f"{' and '.join(setters)} must not set securityContext.runAsNonRoot=false"
    implicit = _names(each for each in _containers(spec) if _context(each).get("runAsNonRoot") is None)
    if implicit and not of_pod:
        return reason, f"pod or {_these(implicit)} must set securityContext.runAsNonRoot=true"
    return None


def _run_as_user(metadata: Object, spec: Object) -> Finding | None:
    bad = _names(each for each in _containers(spec) if _context(each).get("runAsUser") == 0)
    setters = _setters(_context(spec).get("runAsUser") == 0, bad)
    return ("runAsUser=0", f"{' and '.join(setters)} must not set runAsUser=0") if setters else None


def _selinux(allowed: Set[str]) -> CheckPod:
    def is_bad(obj: Object) -> bool:
        options = _context(obj).get("seLinuxOptions") or {}
        return options.get("type", "") not in allowed or bool(options.get("user") or options.get("role"))

    def check(metadata: Object, spec: Object) -> Finding | None:
        bad = [each for each in _containers(spec) if is_bad(each)]
        setters = _setters(is_bad(spec), _names(bad))
        if not setters:
            return None
        options = [_context(each).get("seLinuxOptions") or {} for each in (*bad, spec)]
        types = sorted({each.get("type", "") for each in options} - allowed)
        data = [f"{_plural('type', types)} {_joined(types)}"] if types else []
        data.extend(
            f"{key} may not be set" for key in ("user", "role") if any(each.get(key) for each in options)
        )
        return (
            "seLinuxOptions",
            f"{' and '.join(setters)} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}",
        )

    return check


def _seccomp_annotations(metadata: Object, spec: Object) -> Finding | None:
    annotations = metadata.get("annotations") or {}
    keys = {SECCOMP_POD, *(f"{SECCOMP_CONTAINER_PREFIX}{name}" for name in _names(_containers(spec)))}
    bad = sorted(
        f"{key}={quoted(annotations[key])}"
        for key in keys
        if key in annotations
        and annotations[key] not in ("runtime/default", "docker/default")
        and not annotations[key].startswith("localhost/")
    )
    return ("seccompProfile", f"forbidden {_plural('annotation', bad)} {', '.join(bad)}") if bad else None


def _seccomp_type(obj: Object) -> str | None:
    profile = _context(obj).get("seccompProfile")
    return None if profile is None else profile.get("type", "")


def _seccomp_baseline(metadata: Object, spec: Object) -> Finding | None:
    def is_bad(obj: Object) -> bool:
        return (found := _seccomp_type(obj)) is not None and found not in PROFILES

    bad = [each for each in _containers(spec) if is_bad(each)]
    setters = _setters(is_bad(spec), _names(bad))
    if not setters:
        return None
    wrong = sorted({found for each in (*bad, spec) if (found := _seccomp_type(each)) is not None} - PROFILES)
    return (
        "seccompProfile",
        f"{' and '.join(setters)} must not set securityContext.seccompProfile.type to {_joined(wrong)}",
    )


def _seccomp_restricted(metadata: Object, spec: Object) -> Finding | None:
    if (found := _seccomp_baseline(metadata, spec)) is not None:
        return found
    implicit = _names(each for each in _containers(spec) if _seccomp_type(each) is None)
    if implicit and _seccomp_type(spec) is None:
        types = '"RuntimeDefault" or "Localhost"'
        return (
            "seccompProfile",
            f"pod or {_these(implicit)} must set securityContext.seccompProfile.type to {types}",
        )
    return None


def _sysctls(minor: int) -> CheckPod:
    allowed = {name for since, names in SYSCTLS.items() if since <= minor for name in names}

    def check(metadata: Object, spec: Object) -> Finding | None:
        bad = [
            each.get("name", "")
            for each in _context(spec).get("sysctls") or ()
            if each.get("name", "") not in allowed
        ]
        return ("forbidden sysctls", ", ".join(bad)) if bad else None

    return check


def _windows_host_process(metadata: Object, spec: Object) -> Finding | None:
    def is_bad(obj: Object) -> bool:
        return bool((_context(obj).get("windowsOptions") or {}).get("hostProcess"))

    bad = _names(each for each in _containers(spec) if is_bad(each))
    setters = _setters(is_bad(spec), bad)
    if not setters:
        return None
    return (
        "hostProcess",
        f"{' and '.join(setters)} must not set securityContext.windowsOptions.hostProcess=true",
    )


class Check(NamedTuple):
    """``since``: from which minor version on which function holds; ``overrides``: the baseline check it replaces."""

    id: str
    is_restricted: bool
    since: tuple[tuple[int, CheckPod], ...]
    overrides: str = ""


# in the order in which findings are named: baseline by id, then restricted by id
CHECKS: Final = (
    Check("appArmorProfile", False, ((0, _app_armor),)),
    Check("capabilities_baseline", False, ((0, _capabilities_baseline),)),
    Check("hostNamespaces", False, ((0, _host_namespaces),)),
    Check("hostPathVolumes", False, ((0, _host_path_volumes),)),
    Check("hostPorts", False, ((0, _host_ports),)),
    Check("hostProbesAndHostLifecycle", False, ((34, _host_probes),)),
    Check("privileged", False, ((0, _privileged),)),
    Check("procMount", False, ((0, _proc_mount), (35, _unless_own_users(_proc_mount)))),
    Check(
        "seLinuxOptions", False, ((0, _selinux(SELINUX_TYPES)), (31, _selinux(SELINUX_TYPES | {"container_engine_t"})))
    ),
    Check("seccompProfile_baseline", False, ((0, _seccomp_annotations), (19, _seccomp_baseline))),
    Check("sysctls", False, tuple((minor, _sysctls(minor)) for minor in SYSCTLS)),
    Check("windowsHostProcess", False, ((0, _windows_host_process),)),
    Check(
        "allowPrivilegeEscalation", True,
        ((8, _allow_privilege_escalation), (25, _unless_windows(_allow_privilege_escalation))),
    ),
    Check(
        "capabilities_restricted", True,
        ((22, _capabilities_restricted), (25, _unless_windows(_capabilities_restricted))), "capabilities_baseline",
    ),
    Check("procMount_restricted", True, ((35, _proc_mount),), "procMount"),
    Check("restrictedVolumes", True, ((0, _restricted_volumes),), "hostPathVolumes"),
    Check("runAsNonRoot", True, ((0, _run_as_non_root), (35, _unless_own_users(_run_as_non_root)))),
    Check("runAsUser", True, ((23, _run_as_user), (35, _unless_own_users(_run_as_user)))),
    Check(
        "seccompProfile_restricted", True,
        ((19, _seccomp_restricted), (25, _unless_windows(_seccomp_restricted))), "seccompProfile_baseline",
    ),
)  # fmt: skip


@cache
def checks_of(level: str, minor: int) -> tuple[CheckPod, ...]:
    """The checks of a level (baseline or restricted) as they were in that version of Kubernetes."""
    chosen: dict[str, CheckPod] = {}
    for check in CHECKS:
        if check.is_restricted and level != "restricted":
            continue
        held = [function for since, function in check.since if since <= minor]
        if held:
            chosen[check.id] = held[-1]
            chosen.pop(check.overrides, None)
    return tuple(chosen.values())


def findings(level: str, minor: int, metadata: Object, spec: Object) -> list[Finding]:
    """What a pod does that the level forbids; nothing for ``privileged``."""
    if level == "privileged":
        return []
    found = (check(metadata, spec) for check in checks_of(level, min(minor, LATEST_MINOR)))
    return [each for each in found if each is not None]
