"""What the API server warns of in a pod or a template of one.

Source, Kubernetes 1.36: pkg/api/pod/warnings.go, pkg/api/node/util.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kcore.api.field import quoted
from kcore.api.kinds.addresses import ip_warnings
from kcore.api.kinds.claims import claim_spec_warnings
from kcore.api.kinds.names import label_value
from kcore.api.kinds.pod_options import containers_of
from kcore.api.kinds.resource_lists import is_fraction
from kcore.api.kinds.scheduling_terms import PREFERRED_TERMS, REQUIRED_TERMS
from kcore.api.kinds.security import APPARMOR_PREFIX, SECCOMP_CONTAINER_PREFIX, SECCOMP_POD_KEY
from kcore.api.quantity import canonical

Object = Mapping[str, Any]

DEPRECATED_LABELS: Final = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
DEPRECATED_ANNOTATIONS: Final = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
# the annotations that are looked at begin with one of these
WARNED_OF: Final = (
    "scheduler.alpha.kubernetes.io/",
    "security.alpha.kubernetes.io/",
    APPARMOR_PREFIX,
    SECCOMP_CONTAINER_PREFIX,
    SECCOMP_POD_KEY,
)
DEPRECATED_VOLUMES: Final = {
    "photonPersistentDisk": ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    "gitRepo": ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    "scaleIO": ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    "flocker": ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    "storageos": ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    "quobyte": ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    "glusterfs": ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    "cephfs": ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    "rbd": ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
}
_NO_SELECTOR: Final = "a null labelSelector results in matching no pod"
_SECCOMP: Final = 'non-functional in v1.27+; use the "seccompProfile" field instead'


def pod_warnings(spec: Object, metadata: Object, path: str) -> list[str]:
    """warningsForPodSpecAndMeta; ``path`` is empty for a pod, a template's place otherwise."""
    get = spec.get
    at = f"{path}." if path else ""
    found: list[str] = []
    _scheduling(spec, f"{at}spec", found)
    annotations = metadata.get("annotations") or {}
    for key, message in DEPRECATED_ANNOTATIONS.items() if annotations else ():
        if key in annotations:
            found.append(f"{at}metadata.annotations[{key}]: {message}")
    if volumes := get("volumes"):
        _volumes(volumes, f"{at}spec.volumes", found)
    _duplicates(get("hostAliases") or (), "ip", f"{at}spec.hostAliases", found)
    secrets = get("imagePullSecrets") or ()
    _duplicates(secrets, "name", f"{at}spec.imagePullSecrets", found)
    for index, secret in enumerate(secrets):
        if not secret.get("name"):
            found.append(f'{at}spec.imagePullSecrets[{index}].name: invalid empty name ""')
    if overhead := get("overhead"):
        _fractions(overhead, f"{at}spec.overhead", found)
    if SECCOMP_POD_KEY in annotations and not (get("securityContext") or {}).get("seccompProfile"):
        found.append(f"{at}metadata.annotations[{SECCOMP_POD_KEY}]: {_SECCOMP}")
    of_pod = (get("securityContext") or {}).get("appArmorProfile")
    for side, index, container in containers_of(spec):
        _container(container, f"{at}spec.{side}[{index}]", found)
        if annotations:
            _annotations(container, annotations, at, bool(path), of_pod, found)
    _ports(spec, f"{at}spec", found)
    if (get("terminationGracePeriodSeconds") or 0) < 0:
        found.append(
            f"{at}spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        )
    if affinity := get("affinity"):
        _pod_affinity(affinity, f"{at}spec.affinity", found)
    for index, server in enumerate((get("dnsConfig") or {}).get("nameservers") or ()):
        found += ip_warnings(f"{at}spec.dnsConfig.nameservers[{index}]", server)
    for index, alias in enumerate(get("hostAliases") or ()):
        found += ip_warnings(f"{at}spec.hostAliases[{index}].ip", alias.get("ip") or "")
    return found


def template_warnings(template: Object, path: str) -> list[str]:
    """GetWarningsForPodTemplate."""
    return pod_warnings(template.get("spec") or {}, template.get("metadata") or {}, path)


def _scheduling(spec: Object, path: str, found: list[str]) -> None:
    found += [
        f"{path}.nodeSelector[{key}]: {DEPRECATED_LABELS[key]}"
        for key in spec.get("nodeSelector") or ()
        if key in DEPRECATED_LABELS
    ]
    nodes = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    if nodes:
        at = f"{path}.affinity.nodeAffinity"
        for index, term in enumerate((nodes.get(REQUIRED_TERMS) or {}).get("nodeSelectorTerms") or ()):
            found += node_term_warnings(term, False, f"{at}.{REQUIRED_TERMS}.nodeSelectorTerms[{index}]")
        for index, weighted in enumerate(nodes.get(PREFERRED_TERMS) or ()):
            term = weighted.get("preference") or {}
            found += node_term_warnings(term, True, f"{at}.{PREFERRED_TERMS}[{index}].preference")
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        at, key = f"{path}.topologySpreadConstraints[{index}]", constraint.get("topologyKey") or ""
        if message := DEPRECATED_LABELS.get(key):
            found.append(f"{at}.topologyKey: {key} is {message}")
        if constraint.get("labelSelector") is None:
            found.append(f"{at}.labelSelector: {_NO_SELECTOR}")


def node_term_warnings(term: Object, check_values: bool, path: str) -> list[str]:
    """GetWarningsForNodeSelectorTerm."""
    found = []
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        key = expression.get("key") or ""
        if message := DEPRECATED_LABELS.get(key):
            found.append(f"{path}.matchExpressions[{index}].key: {key} is {message}")
        for position, value in enumerate((expression.get("values") or ()) if check_values else ()):
            for complaint in label_value(value):
                at = f"{path}.matchExpressions[{index}].values[{position}]"
                found.append(f"{at}: {value} is invalid, {complaint}")
    return found


def _duplicates(items: Sequence[Object], key: str, path: str, found: list[str]) -> None:
    if len(items) < 2:
        return
    seen = set()
    for index, item in enumerate(items):
        value = item.get(key) or ""
        if value in seen:
            found.append(f"{path}[{index}].{key}: duplicate {key} {quoted(value)}")
        seen.add(value)


def _fractions(amounts: Object, path: str, found: list[str]) -> None:
    for name in ("memory", "ephemeral-storage"):
        if (amount := amounts.get(name)) is not None and is_fraction(amount):
            shown = quoted(canonical(amount))
            found.append(f"{path}[{name}]: fractional byte value {shown} is invalid, must be an integer")


def _container(container: Object, path: str, found: list[str]) -> None:
    if resources := container.get("resources"):
        for name in ("memory", "ephemeral-storage"):
            for side in ("limits", "requests"):
                amount = (resources.get(side) or {}).get(name)
                if amount is not None and is_fraction(amount):
                    shown = quoted(canonical(amount))
                    found.append(
                        f"{path}.resources.{side}[{name}]: fractional byte value {shown} is invalid, must be an integer"
                    )
    variables = container.get("env") or ()
    if len(variables) < 2:
        return
    seen = set()
    for index, variable in enumerate(variables):
        name, value = variable.get("name") or "", variable.get("value") or ""
        reference = f"$({name})"
        if name not in seen:
            seen.add(name)
        elif variable.get("valueFrom") is not None or value == reference or reference not in value:
            found.append(
                f"{path}.env[{index}]: hides previous definition of {quoted(name)}, which may be dropped when using apply"
            )


def _annotations(
    container: Object,
    annotations: Mapping[str, str],
    at: str,
    is_template: bool,
    of_pod: Any,
    found: list[str],
) -> None:
    name, context = container.get("name") or "", container.get("securityContext") or {}
    key = f"{SECCOMP_CONTAINER_PREFIX}{name}"
    if key in annotations and context.get("seccompProfile") is None:
        found.append(f"{at}metadata.annotations[{key}]: {_SECCOMP}")
    key = f"{APPARMOR_PREFIX}{name}"
    if is_template and key in annotations and context.get("appArmorProfile") is None:
        meant = {"unconfined": "Unconfined", "runtime/default": "RuntimeDefault"}.get(
            annotations[key], "Localhost"
        )
        local = annotations[key].removeprefix("localhost/") if meant == "Localhost" else None
        if of_pod is None or of_pod.get("type") != meant or of_pod.get("localhostProfile") != local:
            found.append(
                f'{at}metadata.annotations[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'
            )


def _ports(spec: Object, path: str, found: list[str]) -> None:
    by_number: dict[tuple[int, str], list[tuple[str, Object]]] = {}
    names: dict[str, str] = {}
    named = []
    for side, index, container in containers_of(spec):
        for position, port in enumerate(container.get("ports") or ()):
            at = f"{path}.{side}[{index}].ports[{position}]"
            ip, host = port.get("hostIP") or "", port.get("hostPort") or 0
            if ip and not host:
                found.append(f"{at}: hostIP set without hostPort: {_go_port(port)}")
            others = by_number.setdefault((port.get("containerPort") or 0, port.get("protocol") or ""), [])
            for other_at, other in others:
                other_ip, other_host = other.get("hostIP") or "", other.get("hostPort") or 0
                if (ip, host) == (other_ip, other_host):
                    found.append(f"{at}: duplicate port definition with {other_at}")
                elif not host or not other_host:
                    found.append(f"{at}: overlapping port definition with {other_at}")
                elif host == other_host and bool(ip) != bool(other_ip):
                    found.append(f"{at}: dangerously ambiguous port definition with {other_at}")
            others.append((at, port))
            if name := port.get("name"):
                if (first := names.setdefault(name, at)) != at:
                    named.append(
                        f"{at}: duplicate port name {quoted(name)} with {first}, services and probes that select "
                        f"ports by name will use {first}"
                    )
    found += named


def _go_port(port: Object) -> str:
    """``%+v`` of a ContainerPort."""
    get = port.get
    return (
        f"{{Name:{get('name') or ''} HostPort:{get('hostPort') or 0} ContainerPort:{get('containerPort') or 0} "
        f"Protocol:{get('protocol') or ''} HostIP:{get('hostIP') or ''}}}"
    )


def _pod_affinity(affinity: Object, path: str, found: list[str]) -> None:
    for name in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(name) or {}
        for index, term in enumerate(pods.get(REQUIRED_TERMS) or ()):
            if term.get("labelSelector") is None:
                found.append(f"{path}.{name}.{REQUIRED_TERMS}[{index}].labelSelector: {_NO_SELECTOR}")
        for index, weighted in enumerate(pods.get(PREFERRED_TERMS) or ()):
            if (weighted.get("podAffinityTerm") or {}).get("labelSelector") is None:
                at = f"{path}.{name}.{PREFERRED_TERMS}[{index}].podAffinityTerm.labelSelector"
                found.append(f"{at}: {_NO_SELECTOR}")


# Volumes


def _volumes(volumes: Sequence[Object], path: str, found: list[str]) -> None:
    for index, volume in enumerate(volumes):
        for name, (shown, message) in DEPRECATED_VOLUMES.items():
            if volume.get(name) is not None:
                found.append(f"{path}[{index}].{shown}: {message}")
        template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
        if template is not None:
            at = f"{path}[{index}].ephemeral.volumeClaimTemplate.spec"
            found += claim_spec_warnings(template.get("spec") or {}, at)
    for volume in volumes:
        found += _overlaps(volume)


def _overlaps(volume: Object) -> list[str]:
    """warningsForOverlappingVirtualPaths of one volume."""
    name = volume.get("name") or ""
    found: list[str] = []
    for key, title in (("configMap", "ConfigMap"), ("secret", "Secret"), ("downwardAPI", "DownwardAPI")):
        source = volume.get(key)
        if source is None or not source.get("items"):
            continue
        shown = {"configMap": "name", "secret": "secretName"}.get(key)
        what = f"{title} {quoted(source.get(shown) or '')}" if shown else title
        taken: list[tuple[str, str]] = []
        for item in source["items"]:
            found += _collide((item.get("path") or "", ""), taken, name, what)
    projected = volume.get("projected")
    taken = []
    for source in (projected or {}).get("sources") or ():
        if not any(value is not None for value in source.values()):
            found.append(f"volume {quoted(name)} (Projected) has no sources provided")
            continue
        for each in _projected_paths(source):
            found += _collide(each, taken, name, "Projected")
    return found


def _projected_paths(source: Object) -> list[tuple[str, str]]:
    for key, title in (("configMap", "ConfigMap"), ("secret", "Secret"), ("downwardAPI", "DownwardAPI")):
        if (each := source.get(key)) is not None and each.get("items"):
            shown = title if key == "downwardAPI" else f"{title} {quoted(each.get('name') or '')}"
            return [(item.get("path") or "", shown) for item in each["items"]]
    if (token := source.get("serviceAccountToken")) is not None:
        return [(token.get("path") or "", "ServiceAccountToken")]
    return []


def _collide(each: tuple[str, str], taken: list[tuple[str, str]], volume: str, what: str) -> list[str]:
    path, source = each[0].rstrip("/"), each[1]

    def shown(pair: tuple[str, str]) -> str:
        return f"{quoted(pair[0])} ({pair[1]})" if pair[1] else quoted(pair[0])

    found = [
        f"volume {quoted(volume)} ({what}): overlapping paths: {shown((path, source))} with {shown(other)}"
        for other in taken
        if path
        and other[0]
        and (f"{other[0]}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other[0]}/"))
    ]
    taken.append((path, source))
    return found
