"""Spec classes: pods that scheduling cannot tell apart, except by what they ask for and by priority, share one.

The key of a class is read off the pod; labels that no selector of the cluster reads do not count, or every pod of a
StatefulSet would be a class of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from kcore.api.objects import Container, Pod, PodAffinity, PodAffinityTerm, Toleration, Volume
from kcore.api.selectors import from_label_selector
from kcore.api.tolerations import tolerates as tolerates_taint
from kcore.scheduler.ledger import Contributor, OwnTerm, Port

CORDON_TAINT = ("node.kubernetes.io/unschedulable", "", "NoSchedule")

_VOLUMES_WITH_PLUGINS = {
    "persistent_volume_claim": "persistentVolumeClaim",
    "ephemeral": "ephemeral",
    "gce_persistent_disk": "gcePersistentDisk",
    "aws_elastic_block_store": "awsElasticBlockStore",
    "azure_disk": "azureDisk",
    "portworx_volume": "portworxVolume",
    "iscsi": "iscsi",
    "rbd": "rbd",
    "cinder": "cinder",
}
"""Volume sources that VolumeBinding, VolumeZone, VolumeRestrictions or NodeVolumeLimits judges."""
_NO_SOURCE = msgspec.structs.astuple(Volume())[1:]
"""All fields of a volume but its name, where none of these sources is set."""


@dataclass(frozen=True, slots=True)
class SpecClass:
    """One class: an exemplar pod and what has been read off it."""

    exemplar: Pod
    namespace: str
    labels: dict[str, str]
    terminating: bool
    terms: tuple[OwnTerm, ...]
    ports: tuple[Port, ...]
    wanted_node: str
    """spec.nodeName of a pod that is pending all the same; empty for almost all."""
    hosted: str
    """The field for which plugins on objects are asked about the pods; empty for almost all."""
    unsupported: str | None
    """What kcore does not schedule yet, as a sentence; None for almost all."""

    def contributor(self) -> Contributor:
        """The part of the class that other pods' questions are about."""
        return Contributor(self.namespace, self.labels, self.terminating, self.terms, self.ports)


def class_key(pod: Pod, label_keys: frozenset[str], named: bool, wanted_node: str) -> tuple[object, ...]:
    """A key equal for pods of one class. ``named`` pods (of a budget's disruptedPods) are classes of their own."""
    metadata, spec = pod.metadata, pod.spec
    labels = metadata.labels
    encode = msgspec.json.encode
    return (
        metadata.namespace,
        tuple(sorted((key, value) for key, value in labels.items() if key in label_keys)) if labels else (),
        metadata.deletion_timestamp is not None,
        spec.scheduler_name,
        tuple(spec.node_selector.items()) if spec.node_selector else None,
        encode(spec.affinity) if spec.affinity is not None else None,
        encode(spec.tolerations) if spec.tolerations else None,
        encode(spec.topology_spread_constraints) if spec.topology_spread_constraints else None,
        encode(metadata.owner_references) if metadata.owner_references else None,
        _containers_key(spec.containers),
        _containers_key(spec.init_containers) if spec.init_containers else None,
        _volumes_key(pod) if spec.volumes or spec.resource_claims else None,
        encode(spec.scheduling_gates) if spec.scheduling_gates else None,
        spec.preemption_policy,
        metadata.name if named else None,
        wanted_node,
        bool(labels),
    )


def _volumes_key(pod: Pod) -> tuple[object, ...] | None:
    if not pod.spec.resource_claims:
        for volume in pod.spec.volumes or ():
            if msgspec.structs.astuple(volume)[1:] != _NO_SOURCE:
                break
        else:
            return None
    return (hosted_field(pod), unsupported(pod), image_volumes(pod))


def _containers_key(containers: Iterable[Container] | None) -> tuple[object, ...]:
    return tuple(
        (one.image, msgspec.json.encode(one.ports) if one.ports else None, one.restart_policy == "Always")
        for one in containers or ()
    )


def read_class(pod: Pod, label_keys: frozenset[str], wanted_node: str) -> SpecClass:
    """Read a class off its first pod.

    Raises:
        InputError: a selector that does not exist in Kubernetes, with its field.
    """
    labels = pod.metadata.labels or {}
    return SpecClass(
        exemplar=pod,
        namespace=pod.metadata.namespace,
        labels={key: value for key, value in labels.items() if key in label_keys},
        terminating=pod.metadata.deletion_timestamp is not None,
        terms=own_terms(pod),
        ports=host_ports(pod),
        wanted_node=wanted_node,
        hosted=hosted_field(pod),
        unsupported=unsupported(pod),
    )


def host_ports(pod: Pod) -> tuple[Port, ...]:
    """The host ports that the pod holds while it runs: those of containers and sidecars."""
    sidecars = [one for one in pod.spec.init_containers or () if one.restart_policy == "Always"]
    return tuple(
        Port(port.host_ip or "0.0.0.0", port.protocol or "TCP", port.host_port)
        for container in [*sidecars, *(pod.spec.containers or ())]
        for port in container.ports or ()
        if port.host_port > 0
    )


def term_namespaces(pod: Pod, term: PodAffinityTerm) -> frozenset[str]:
    """The namespaces that a term names; its own where it names none and has no selector for them."""
    if not term.namespaces and term.namespace_selector is None:
        return frozenset((pod.metadata.namespace,))
    return frozenset(term.namespaces or ())


def own_term(pod: Pod, term: PodAffinityTerm, kind: str, weight: int, field: str) -> OwnTerm:
    """A term of the pod as other pods meet it."""
    return OwnTerm(
        kind,
        weight,
        term.topology_key,
        term_namespaces(pod, term),
        from_label_selector(term.namespace_selector, f"{field}.namespaceSelector"),
        from_label_selector(term.label_selector, f"{field}.labelSelector"),
    )


def own_terms(pod: Pod) -> tuple[OwnTerm, ...]:
    """All inter-pod terms of the pod: required anti-affinity, required affinity, preferred ones signed."""
    affinity = pod.spec.affinity
    if affinity is None:
        return ()
    found: list[OwnTerm] = []
    for kind, sign, side, name in (
        ("hard", 1, affinity.pod_affinity, "podAffinity"),
        ("anti", -1, affinity.pod_anti_affinity, "podAntiAffinity"),
    ):
        found.extend(_side_terms(pod, side, kind, sign, f"spec.affinity.{name}"))
    return tuple(found)


def _side_terms(pod: Pod, side: PodAffinity | None, kind: str, sign: int, field: str) -> Iterable[OwnTerm]:
    if side is None:
        return
    where = f"{field}.requiredDuringSchedulingIgnoredDuringExecution"
    for index, term in enumerate(side.required or ()):
        yield own_term(pod, term, kind, 0, f"{where}[{index}]")
    where = f"{field}.preferredDuringSchedulingIgnoredDuringExecution"
    for index, weighted in enumerate(side.preferred or ()):
        yield own_term(
            pod,
            weighted.pod_affinity_term,
            "soft",
            sign * weighted.weight,
            f"{where}[{index}].podAffinityTerm",
        )


def image_volumes(pod: Pod) -> tuple[str, ...]:
    """The images that the pod mounts as volumes."""
    return tuple(
        str(volume.image.get("reference", ""))
        for volume in pod.spec.volumes or ()
        if volume.image is not None
    )


def hosted_field(pod: Pod) -> str:
    """The first field of the pod that a plugin on objects has something to say about; empty where there is none."""
    for index, volume in enumerate(pod.spec.volumes or ()):
        if msgspec.structs.astuple(volume)[1:] == _NO_SOURCE:
            continue
        for attribute, source in _VOLUMES_WITH_PLUGINS.items():
            if getattr(volume, attribute) is not None:
                return f"spec.volumes[{index}].{source}"
    return ""


def unsupported(pod: Pod) -> str | None:
    """What of the pod kcore does not schedule yet, as a sentence for the user, or None."""
    if pod.spec.resource_claims:
        return "devices are not supported yet: spec.resourceClaims"
    return None


def tolerates(tolerations: list[Toleration] | None, taint: tuple[str, str, str]) -> bool:
    """Tell whether any toleration covers the taint (key, value, effect)."""
    return any(tolerates_taint(toleration, *taint) for toleration in tolerations or ())
