"""Where a daemon set's pods are to be, and what they look like.

Source: pkg/controller/daemon/util/daemonset_util.go, NodeShouldRunDaemonPod of daemon_controller.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from kcore.api.selectors import int64
from kcore.controllers import pods as podlib
from kcore.controllers.contract import Object
from kcore.controllers.controller_revisions import HASH_LABEL
from kcore.controllers.deployment_sizes import scaled
from kcore.controllers.node_fit import NAME_FIELD, affinity_of, is_tolerated, tolerations_of
from kcore.controllers.owners import controller_reference
from kcore.controllers.times import ms_of

RESOURCE: Final = "daemonsets.apps"
GENERATION: Final = "deprecated.daemonset.template.generation"
GENERATION_LABEL: Final = "pod-template-generation"
REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
TOLERATED: Final = (
    ("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"), ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule"),
)  # fmt: skip
TOLERATED_ON_HOST_NETWORK: Final = ("node.kubernetes.io/network-unavailable", "NoSchedule")


class Fit(NamedTuple):
    """Whether a node is to have a daemon pod, and whether one that is there may stay."""

    runs: bool
    stays: bool


def fit_of(daemon_set: Object) -> Callable[[Object], Fit]:
    """Tells of a node what it is for the daemon set."""
    spec = daemon_set["spec"]["template"]["spec"]
    tolerations = tolerations_of(with_tolerations(spec)["tolerations"])
    fits, only = affinity_of(spec), spec.get("nodeName", "")

    def of(node: Object) -> Fit:
        if only not in ("", node["metadata"]["name"]) or not fits(node):
            return Fit(False, False)
        taints = (node.get("spec") or {}).get("taints") or ()
        if is_tolerated(taints, tolerations, ("NoExecute", "NoSchedule")):
            return Fit(True, True)
        return Fit(False, is_tolerated(taints, tolerations, ("NoExecute",)))

    return of


def with_tolerations(spec: Object) -> Object:
    """The pod's spec with what every daemon pod tolerates."""
    found: list[Object] = list(spec.get("tolerations") or ())
    wanted = [*TOLERATED, *([TOLERATED_ON_HOST_NETWORK] if spec.get("hostNetwork") else [])]
    for key, effect in wanted:
        new = {"key": key, "operator": "Exists", "effect": effect}
        for number, each in enumerate(found):
            if (each.get("key"), each.get("operator"), each.get("effect"), each.get("value", "")) == (
                key, "Exists", effect, "",
            ):  # fmt: skip
                found[number] = new
                break
        else:
            found.append(new)
    return {**spec, "tolerations": found}


def template_generation(daemon_set: Object) -> str | None:
    """What its annotation says, if that is a number."""
    text = (daemon_set["metadata"].get("annotations") or {}).get(GENERATION)
    value = int64(text) if text else None
    return None if value is None else str(value)


def made(daemon_set: Object, hashed: str) -> Callable[[str], Object]:
    """Makes the pod for a node of that name; the scheduler binds it."""
    reference = controller_reference("apps/v1", "DaemonSet", daemon_set)
    pod = podlib.from_template(daemon_set["spec"]["template"], daemon_set, reference)
    labels = {**pod["metadata"].get("labels", {}), HASH_LABEL: hashed}
    generation = template_generation(daemon_set)
    if generation is not None:
        labels[GENERATION_LABEL] = generation
    metadata, spec = {**pod["metadata"], "labels": labels}, with_tolerations(pod["spec"])

    def of(node_name: str) -> Object:
        return {
            **pod,
            "metadata": metadata,
            "spec": {**spec, "affinity": _on(spec.get("affinity"), node_name)},
        }

    return of


def _on(affinity: Object | None, node_name: str) -> Object:
    affinity = affinity or {}
    of_nodes = affinity.get("nodeAffinity") or {}
    field = {"key": NAME_FIELD, "operator": "In", "values": [node_name]}
    required = {**(of_nodes.get(REQUIRED) or {}), "nodeSelectorTerms": [{"matchFields": [field]}]}
    return {**affinity, "nodeAffinity": {**of_nodes, REQUIRED: required}}


def node_of(pod: Object) -> str | None:
    """The node that it is on, or is made for."""
    name: str | None = pod["spec"].get("nodeName")
    if name:
        return name
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    for term in (affinity.get(REQUIRED) or {}).get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == NAME_FIELD and field["operator"] == "In":
                values: list[str] = field.get("values") or []
                return values[0] if len(values) == 1 else None
    return None


def is_updated(pod: Object, hashed: str, generation: str | None) -> bool:
    """It was made by the template as it is."""
    labels = pod["metadata"].get("labels") or {}
    return bool(hashed and labels.get(HASH_LABEL) == hashed) or (
        generation is not None and labels.get(GENERATION_LABEL) == generation
    )


def by_age(pods: Iterable[Object]) -> list[Object]:
    """Those on a node first, then the oldest."""

    def rank(pod: Object) -> tuple[bool, int, str]:
        metadata = pod["metadata"]
        return (
            not pod["spec"].get("nodeName"),
            ms_of(metadata.get("creationTimestamp")) or 0,
            metadata["name"],
        )

    return sorted(pods, key=rank)


def _rolling(daemon_set: Object) -> dict[str, Any]:
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    return (strategy.get("rollingUpdate") or {}) if strategy.get("type") == "RollingUpdate" else {}


def max_surge(daemon_set: Object, count: int) -> int:
    """How many nodes may have two pods at once."""
    return scaled(_rolling(daemon_set).get("maxSurge"), count, up=True)


def max_unavailable(daemon_set: Object, count: int) -> int:
    """How many nodes may be without an available pod."""
    return scaled(_rolling(daemon_set).get("maxUnavailable"), count, up=True)
