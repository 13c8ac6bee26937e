"""A pod's spec holds what the API server would have written into it.

Sources, Kubernetes 1.36: pkg/apis/core/v1/defaults.go with zz_generated.defaults.go, pkg/apis/core/v1/conversion.go
(the two names of the service account, negative grace), distribution/reference (names of images). What Go writes
though it is empty (``resources``, ``securityContext``, a divisor of "0") is written here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from kcore.api.kinds.names import CACHED_COUNT_MAX
from kcore.api.kinds.resource_lists import aggregate_spec
from kcore.api.pod_amounts import DEFAULT_SCHEDULER
from kcore.api.quantity import binary_text, canonical_in_milli, decimal_text, is_binary

Object = dict[str, Any]

GRACE_SECONDS: Final = 30
TERMINATION_MESSAGE_PATH: Final = "/dev/termination-log"
TOKEN_SECONDS: Final = 3600
FILE_MODE: Final = 0o644
REPOSITORY_BYTES_MAX: Final = 255

_DOMAIN_PART = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"({_DOMAIN}/{_PATH_PART}(?:/{_PATH_PART})*)(?::([\w][\w.-]{{0,127}}))?"
    r"(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?",
    re.ASCII,
)
_IDENTIFIER = re.compile("[a-f0-9]{64}")
_DIGEST_CHARS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}

# annotations of init containers from before they were fields: dropped from every pod
_INIT_CONTAINER_ANNOTATIONS: Final = (
    "pod.beta.kubernetes.io/init-containers",
    "pod.alpha.kubernetes.io/init-containers",
    "pod.beta.kubernetes.io/init-container-statuses",
    "pod.alpha.kubernetes.io/init-container-statuses",
)


@lru_cache(maxsize=CACHED_COUNT_MAX)
def pull_policy(image: str) -> str:
    """Always for an image under the tag ``latest``, said or meant; IfNotPresent for all others, malformed ones too."""
    return "Always" if _tag(image) == "latest" else "IfNotPresent"


def _tag(image: str) -> str:
    """ParseImageName: the tag, ``latest`` without tag and digest, empty where the name is malformed."""
    if _IDENTIFIER.fullmatch(image):
        return ""
    first, slash, rest = image.partition("/")
    if slash and (any(char in first for char in ".:") or first == "localhost" or first.lower() != first):
        domain, remainder = first, rest
    else:
        domain, remainder = "docker.io", image
    if domain == "index.docker.io":
        domain = "docker.io"
    if domain == "docker.io" and "/" not in remainder:
        remainder = f"library/{remainder}"
    found = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    if found is None or len(found[1]) > REPOSITORY_BYTES_MAX:
        return ""
    tag, digest = found[2] or "", found[3] or ""
    if digest:
        algorithm, _, encoded = digest.partition(":")
        if _DIGEST_CHARS.get(algorithm) != len(encoded) or encoded.lower() != encoded:
            return ""
    return tag if tag or digest else "latest"


def default_resource_list(amounts: dict[str, Any]) -> None:
    """Every amount in its canonical text, none finer than a thousandth (SetDefaults_ResourceList)."""
    for name, amount in amounts.items():
        amounts[name] = canonical_in_milli(amount)


def default_requirements(resources: Object) -> None:
    """The same for requests and limits."""
    for side in ("limits", "requests"):
        if amounts := resources.get(side):
            for name, amount in amounts.items():
                amounts[name] = canonical_in_milli(amount)


def default_pod(pod: Object) -> None:
    """A pod holds all defaults: SetObjectDefaults_Pod and what conversion adds."""
    _default_spec_of_pod(pod.setdefault("spec", {}))
    _drop_annotations(pod)
    if (status := pod.get("status")) is None:
        pod["status"] = {}
    elif status:
        _default_status(status)


def default_changed_pod(pod: Object, old: Object) -> None:
    """The same for a pod that may share spec and status with its old self, which have their defaults."""
    spec, status = pod.setdefault("spec", {}), pod.get("status")
    if spec is not old.get("spec"):
        _default_spec_of_pod(spec)
    _drop_annotations(pod)
    if status is None:
        pod["status"] = {}
    elif status is not old.get("status"):
        _default_status(status)


def _drop_annotations(pod: Object) -> None:
    metadata = pod.get("metadata") or {}
    if (annotations := metadata.get("annotations")) and any(
        key in annotations for key in _INIT_CONTAINER_ANNOTATIONS
    ):
        for key in _INIT_CONTAINER_ANNOTATIONS:
            annotations.pop(key, None)


def _default_spec_of_pod(spec: Object) -> None:
    get = spec.get
    for side in ("containers", "initContainers"):
        for container in get(side) or ():
            resources = container.get("resources")
            if resources and (limits := resources.get("limits")) is not None:
                resources["requests"] = {**limits, **(resources.get("requests") or {})}
    if (resources := get("resources")) is not None:
        _default_pod_resources(spec, resources)
    if get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    if get("hostNetwork"):
        for side in ("containers", "initContainers"):
            for container in get(side) or ():
                for port in container.get("ports") or ():
                    if not port.get("hostPort"):
                        port["hostPort"] = port.get("containerPort") or 0
    default_pod_spec(spec)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1


def _default_status(status: Object) -> None:
    _unify_pod_ips(status)
    for side in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for container in status.get(side) or ():
            if amounts := container.get("allocatedResources"):
                default_resource_list(amounts)
            if resources := container.get("resources"):
                default_requirements(resources)
    if amounts := status.get("allocatedResources"):
        default_resource_list(amounts)
    if resources := status.get("resources"):
        default_requirements(resources)


def _unify_pod_ips(status: Object) -> None:
    """``podIP`` is the first of ``podIPs``; where both are given and differ it stands alone, as kubelets of old mean it."""
    ip, ips = status.get("podIP"), status.get("podIPs")
    if ip and (not ips or ips[0].get("ip") != ip):
        status["podIPs"] = [{"ip": ip}]
    elif ips and (first := ips[0].get("ip")):
        status["podIP"] = first


def _default_pod_resources(spec: Object, resources: Object) -> None:
    """Pod-level amounts follow from the containers' and from pod-level limits (defaultPodRequests)."""
    if resources.get("limits") or resources.get("requests"):
        requests = resources.get("requests") or {}
        limits = dict(resources.get("limits") or {})
        for name, nanos in aggregate_spec(spec, "limits").items():
            if name.startswith("hugepages-") and name not in requests:
                limits.setdefault(name, _sum_text(spec, "limits", name, nanos))
        if limits:
            resources["limits"] = limits
    if not (limits := resources.get("limits") or {}):
        return
    requests = dict(resources.get("requests") or {})
    for name, nanos in aggregate_spec(spec, "requests").items():
        if name in ("cpu", "memory"):
            requests.setdefault(name, _sum_text(spec, "requests", name, nanos))
    for name, amount in limits.items():
        if name in ("cpu", "memory") or name.startswith("hugepages-"):
            requests.setdefault(name, amount)
    if requests:
        resources["requests"] = requests


def _sum_text(spec: Mapping[str, Any], side: str, name: str, nanos: int) -> str:
    """A sum has the form of its first summand."""
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        amount = ((container.get("resources") or {}).get(side) or {}).get(name)
        if amount is not None:
            return binary_text(nanos) if is_binary(amount) else decimal_text(nanos)
    return decimal_text(nanos)


def default_template(template: Object) -> None:
    """A pod template holds its defaults."""
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def default_pod_spec(spec: Object) -> None:
    """SetDefaults_PodSpec and what lies below it."""
    get = spec.get
    if not get("dnsPolicy"):
        spec["dnsPolicy"] = "ClusterFirst"
    if not get("restartPolicy"):
        spec["restartPolicy"] = "Always"
    if get("securityContext") is None:
        spec["securityContext"] = {}
    if get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = GRACE_SECONDS
    if not get("schedulerName"):
        spec["schedulerName"] = DEFAULT_SCHEDULER
    unify_service_account(spec)
    for volume in get("volumes") or ():
        _default_volume(volume)
    for container in get("initContainers") or ():
        _default_container(container)
    for container in get("containers") or ():
        _default_container(container)
    for container in get("ephemeralContainers") or ():
        _default_container(container)
    if amounts := get("overhead"):
        default_resource_list(amounts)
    if resources := get("resources"):
        default_requirements(resources)


def unify_service_account(spec: Object) -> None:
    """``serviceAccount`` repeats ``serviceAccountName``, which takes its value where it has none."""
    if name := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _default_container(container: Object) -> None:
    get = container.get
    if not get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(get("image") or "")
    if not get("terminationMessagePath"):
        container["terminationMessagePath"] = TERMINATION_MESSAGE_PATH
    if not get("terminationMessagePolicy"):
        container["terminationMessagePolicy"] = "File"
    for port in get("ports") or ():
        if not port.get("protocol"):
            port["protocol"] = "TCP"
    for variable in get("env") or ():
        if (source := variable.get("valueFrom")) is not None:
            _default_variable(source)
    if (resources := get("resources")) is None:
        container["resources"] = {}
    elif resources:
        default_requirements(resources)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := get(name)) is not None:
            _default_probe(probe)
    if lifecycle := get("lifecycle"):
        for hook in lifecycle.values():
            if isinstance(hook, dict) and (action := hook.get("httpGet")) is not None:
                _default_http_get(action)


def _default_variable(source: Object) -> None:
    if (selector := source.get("fieldRef")) is not None:
        selector.setdefault("apiVersion", "v1")
    if (selector := source.get("resourceFieldRef")) is not None:
        _default_divisor(selector)
    if (selector := source.get("fileKeyRef")) is not None and selector.get("optional") is None:
        selector["optional"] = False


def _default_divisor(selector: Object) -> None:
    selector["divisor"] = canonical_in_milli(selector.get("divisor") or "0")


def _default_probe(probe: Object) -> None:
    for name, value in (
        ("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3),
    ):  # fmt: skip
        if not probe.get(name):
            probe[name] = value
    if (action := probe.get("httpGet")) is not None:
        _default_http_get(action)
    if (action := probe.get("grpc")) is not None and action.get("service") is None:
        action["service"] = ""


def _default_http_get(action: Object) -> None:
    if not action.get("path"):
        action["path"] = "/"
    if not action.get("scheme"):
        action["scheme"] = "HTTP"


def _default_volume(volume: Object) -> None:
    if not any(value is not None for name, value in volume.items() if name != "name"):
        volume["emptyDir"] = {}
        return
    for name, default in VOLUME_DEFAULTS.items():
        if (source := volume.get(name)) is not None:
            for key, value in default.items():
                if source.get(key) is None:
                    source[key] = value
    if (source := volume.get("emptyDir")) and source.get("sizeLimit") is not None:
        source["sizeLimit"] = canonical_in_milli(source["sizeLimit"])
    if (source := volume.get("image")) is not None and not source.get("pullPolicy"):
        source["pullPolicy"] = pull_policy(source.get("reference") or "")
    if (source := volume.get("downwardAPI")) is not None:
        _default_downward(source)
    if (source := volume.get("projected")) is not None:
        for projection in source.get("sources") or ():
            if (downward := projection.get("downwardAPI")) is not None:
                _default_downward(downward)
            token = projection.get("serviceAccountToken")
            if token is not None and token.get("expirationSeconds") is None:
                token["expirationSeconds"] = TOKEN_SECONDS
    if (source := volume.get("ephemeral")) and (template := source.get("volumeClaimTemplate")) is not None:
        template.setdefault("metadata", {})
        default_claim_spec(template.setdefault("spec", {}))


def default_claim_spec(spec: Object) -> None:
    """SetDefaults_PersistentVolumeClaimSpec."""
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    default_requirements(spec.setdefault("resources", {}))


def _default_downward(source: Object) -> None:
    for item in source.get("items") or ():
        if (selector := item.get("fieldRef")) is not None:
            selector.setdefault("apiVersion", "v1")
        if (selector := item.get("resourceFieldRef")) is not None:
            _default_divisor(selector)


VOLUME_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "hostPath": {"type": ""},
    "secret": {"defaultMode": FILE_MODE},
    "configMap": {"defaultMode": FILE_MODE},
    "downwardAPI": {"defaultMode": FILE_MODE},
    "projected": {"defaultMode": FILE_MODE},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}
