"""What happens in a cluster that may let a pod fit which fitted nowhere, and whom it may help.

A plugin names the events that may change its verdict; a pod that it rejected is tried again once one of those has
happened. Too many tries cost a little time, one too few leaves a pod waiting for the periodic flush: where upstream's
hint needs more than the event tells, the answer here is yes.
Source: EventsToRegister of pkg/scheduler/framework/plugins/*, staging kube-scheduler framework types of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import IntFlag
from typing import Any, Final

import msgspec

from kcore.api.errors import InputError
from kcore.api.objects import LabelSelector
from kcore.api.selectors import Selector, from_label_selector

Object = dict[str, Any]
REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


class Event(IntFlag):
    """Kinds of events, as a set of bits."""

    NONE = 0
    NODE_ADD = 1
    NODE_ALLOCATABLE = 2
    NODE_LABEL = 4
    NODE_TAINT = 8
    NODE_DELETE = 16
    POD_ASSIGNED = 32
    POD_GONE = 64
    POD_LABEL = 128
    POD_SCALED_DOWN = 256
    NAMESPACE_LABEL = 512
    NODE_IMAGES = 1024
    CLAIM_ADD = 1 << 11
    CLAIM_UPDATE = 1 << 12
    VOLUME = 1 << 13
    VOLUME_ZONE = 1 << 14
    CLASS = 1 << 15
    CLASS_WAITS = 1 << 16
    CSI_NODE = 1 << 17
    CSI_LIMIT = 1 << 18
    CSI_CAPACITY = 1 << 19
    ATTACHMENT_GONE = 1 << 20
    RESOURCE_CLAIM = 1 << 21
    DEVICE = 1 << 22
    DEVICE_FREED = 1 << 23
    ALL = (1 << 24) - 1


GATES: Final = "SchedulingGates"
FREED: Final = Event.POD_GONE | Event.POD_SCALED_DOWN
CLAIMS: Final = Event.CLAIM_ADD | Event.CLAIM_UPDATE
OWN_CLAIMS: Final = CLAIMS | Event.RESOURCE_CLAIM
"""Events that help no pod but those that use the claim."""
REGISTERED: Final = {
    "NodeResourcesFit": FREED | Event.NODE_ADD | Event.NODE_ALLOCATABLE,
    "NodeAffinity": Event.NODE_ADD | Event.NODE_LABEL,
    "NodeName": Event.NODE_ADD,
    "NodeUnschedulable": Event.NODE_ADD | Event.NODE_TAINT,
    "TaintToleration": Event.NODE_ADD | Event.NODE_TAINT,
    "NodePorts": Event.NODE_ADD | Event.POD_GONE,
    "PodTopologySpread": Event.POD_ASSIGNED | Event.POD_GONE | Event.POD_LABEL | Event.NODE_ADD | Event.NODE_DELETE
    | Event.NODE_LABEL | Event.NODE_TAINT,
    "InterPodAffinity": Event.POD_ASSIGNED | Event.POD_GONE | Event.POD_LABEL | Event.NODE_ADD | Event.NODE_LABEL
    | Event.NAMESPACE_LABEL,
    "VolumeRestrictions": Event.POD_GONE | Event.NODE_ADD | Event.CLAIM_ADD,
    "NodeVolumeLimits": Event.CSI_LIMIT | Event.POD_GONE | Event.CLAIM_ADD | Event.ATTACHMENT_GONE,
    "VolumeBinding": Event.CLASS | CLAIMS | Event.VOLUME | Event.NODE_ADD | Event.NODE_LABEL | Event.CSI_NODE
    | Event.CSI_CAPACITY,
    "VolumeZone": Event.CLASS_WAITS | Event.NODE_ADD | Event.NODE_LABEL | CLAIMS | Event.VOLUME_ZONE,
    "DynamicResources": Event.NODE_ADD | Event.NODE_LABEL | Event.NODE_ALLOCATABLE | Event.RESOURCE_CLAIM | Event.DEVICE
    | Event.DEVICE_FREED,
    "NoNodes": Event.NODE_ADD,
    GATES: Event.NONE,  # nothing but a change of the pod itself
}  # fmt: skip

RESOURCES: Final = {"nodes": "Node", "namespaces": "Namespace"}
BY_NAME: Final = {
    "Node/Add": Event.NODE_ADD, "Node/Delete": Event.NODE_DELETE, "Node/UpdateNodeAllocatable": Event.NODE_ALLOCATABLE,
    "Node/UpdateNodeLabel": Event.NODE_LABEL, "Node/UpdateNodeTaint": Event.NODE_TAINT,
    "Node/Update": Event.NODE_ALLOCATABLE | Event.NODE_LABEL | Event.NODE_TAINT | Event.NODE_IMAGES,
    "Pod/Add": Event.POD_ASSIGNED, "Pod/Delete": Event.POD_GONE, "Pod/UpdatePodLabel": Event.POD_LABEL,
    "Pod/UpdatePodScaleDown": Event.POD_SCALED_DOWN, "Namespace/Update": Event.NAMESPACE_LABEL,
    "PersistentVolumeClaim/Add": Event.CLAIM_ADD, "PersistentVolumeClaim/Update": Event.CLAIM_UPDATE,
    "PersistentVolume/Add": Event.VOLUME, "PersistentVolume/Update": Event.VOLUME,
    "StorageClass/Add": Event.CLASS, "StorageClass/Update": Event.CLASS,
    "ResourceClaim/Add": Event.RESOURCE_CLAIM, "ResourceClaim/Update": Event.RESOURCE_CLAIM | Event.DEVICE_FREED,
    "ResourceSlice/Add": Event.DEVICE, "ResourceSlice/Update": Event.DEVICE,
    "DeviceClass/Add": Event.DEVICE, "DeviceClass/Update": Event.DEVICE,
    "CSINode/Add": Event.CSI_NODE, "CSINode/Update": Event.CSI_NODE | Event.CSI_LIMIT,
}  # fmt: skip
"""Events as a user's plugin names them."""


def awaited(plugins: Collection[str], registered: Mapping[str, Event] = REGISTERED) -> Event:
    """The events that may help a pod that these plugins rejected; all of them where one is not known here.

    ``registered``: what plugins that are not Kubernetes' own wait for.
    """
    found = Event.NONE
    for plugin in plugins:
        known = REGISTERED.get(plugin)
        found |= registered.get(plugin, Event.ALL) if known is None else known
    return found if plugins else Event.ALL


_NAMES: Final = {
    Event.NODE_ADD: "NodeAdd", Event.NODE_ALLOCATABLE: "NodeUpdateNodeAllocatable",
    Event.NODE_LABEL: "NodeUpdateNodeLabel", Event.NODE_TAINT: "NodeUpdateNodeTaint", Event.NODE_DELETE: "NodeDelete",
    Event.POD_ASSIGNED: "AssignedPodAdd", Event.POD_GONE: "AssignedPodDelete",
    Event.POD_LABEL: "AssignedPodUpdatePodLabel", Event.POD_SCALED_DOWN: "AssignedPodUpdatePodScaleDown",
    Event.NAMESPACE_LABEL: "NamespaceUpdate", Event.NODE_IMAGES: "NodeUpdate",
    Event.CLAIM_ADD: "PersistentVolumeClaimAdd", Event.CLAIM_UPDATE: "PersistentVolumeClaimUpdate",
    Event.VOLUME: "PersistentVolumeUpdate", Event.VOLUME_ZONE: "PersistentVolumeAdd", Event.CLASS: "StorageClassAdd",
    Event.CLASS_WAITS: "StorageClassAdd", Event.CSI_NODE: "CSINodeAdd", Event.CSI_LIMIT: "CSINodeUpdate",
    Event.CSI_CAPACITY: "CSIStorageCapacityUpdate", Event.ATTACHMENT_GONE: "VolumeAttachmentDelete",
    Event.RESOURCE_CLAIM: "ResourceClaimUpdate", Event.DEVICE: "ResourceSliceUpdate",
    Event.DEVICE_FREED: "ResourceClaimUpdate",
}  # fmt: skip


def name_of(event: Event) -> str:
    """An event by upstream's name, the first where there are several."""
    return next(_NAMES[one] for one in Event if one in _NAMES and event & one)


Wanted = tuple[tuple[frozenset[str] | None, Selector], ...]


def wanted_of(pod: Object, plugins: Iterable[str]) -> Wanted | None:
    """The pods whose coming may help that one, by namespaces (None: any) and selector; None where any pod may.

    Only PodTopologySpread and InterPodAffinity ever wait for a pod to come: for one like those that they count.
    """
    if not frozenset(plugins) & {"PodTopologySpread", "InterPodAffinity"}:
        return None
    spec, own = pod["spec"], frozenset((pod["metadata"].get("namespace") or "",))
    constraints = spec.get("topologySpreadConstraints")
    if "PodTopologySpread" in plugins and not constraints:
        return None  # the profile's own constraints, whose selectors are those of services and controllers
    found: list[tuple[frozenset[str] | None, Selector]] = []
    try:
        found += [(own, _selector(constraint.get("labelSelector"))) for constraint in constraints or ()]
        affinity = ((spec.get("affinity") or {}).get("podAffinity") or {}).get(REQUIRED)
        for term in affinity or ():
            named = frozenset(term.get("namespaces") or ()) or own
            found.append(
                (
                    named if term.get("namespaceSelector") is None else None,
                    _selector(term.get("labelSelector")),
                )
            )
    except (InputError, msgspec.ValidationError):
        return None
    return tuple(found)


def _selector(given: Object | None) -> Selector:
    return from_label_selector(None if given is None else msgspec.convert(given, LabelSelector))


def is_wanted(wanted: Wanted | None, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether a pod of that namespace with those labels is one of them."""
    return wanted is None or any(
        (namespaces is None or namespace in namespaces) and selector.matches(labels)
        for namespaces, selector in wanted
    )


def uses_claim(pod: Object, keys: Collection[str]) -> bool:
    """Whether the pod uses one of these claims (NAMESPACE/NAME), be it by name or made for it."""
    metadata = pod["metadata"]
    for volume in pod["spec"].get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if name is None and "ephemeral" in volume:
            name = f"{metadata['name']}-{volume['name']}"
        if name is not None and f"{metadata.get('namespace')}/{name}" in keys:
            return True
    made = {
        one.get("name"): one.get("resourceClaimName")
        for one in (pod.get("status") or {}).get("resourceClaimStatuses") or ()
    }
    return any(
        f"{metadata.get('namespace')}/{one.get('resourceClaimName') or made.get(one.get('name'))}" in keys
        for one in pod["spec"].get("resourceClaims") or ()
    )


def of_node(old: Object | None, new: Object | None) -> Event:
    """What a change of a node is."""
    if old is None or new is None:
        return Event.NODE_ADD if old is None else Event.NODE_DELETE
    found = Event.NONE
    if old["metadata"].get("labels") != new["metadata"].get("labels"):
        found |= Event.NODE_LABEL
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if before.get("taints") != after.get("taints") or before.get("unschedulable") != after.get(
        "unschedulable"
    ):
        found |= Event.NODE_TAINT
    was, now = old.get("status") or {}, new.get("status") or {}
    if was.get("allocatable") != now.get("allocatable") or was.get("capacity") != now.get("capacity"):
        found |= Event.NODE_ALLOCATABLE
    if was.get("images") != now.get("images"):
        found |= Event.NODE_IMAGES
    return found


def label_of(resource: str, old: Object | None, new: Object | None) -> str:
    """What a change that a watch shows is called in upstream's ``event_handling_duration_seconds``."""
    obj = new if new is not None else old
    assert obj is not None
    if resource == "pods":
        what = "AssignedPod" if obj["spec"].get("nodeName") else "UnschedulablePod"
    else:
        what = RESOURCES.get(resource, resource)
    return what + ("Delete" if new is None else "Add" if old is None else "Update")


def of_pod(old: Object, new: Object) -> str:
    """What a change of a pod without a node is called (PodSchedulingPropertiesChange), the first where there are several."""
    before, after = old["spec"], new["spec"]
    if old["metadata"].get("labels") != new["metadata"].get("labels"):
        return "UpdatePodLabel"
    if before.get("schedulingGates") and not after.get("schedulingGates"):
        return "UpdatePodSchedulingGatesEliminated"
    if len(before.get("tolerations") or ()) != len(after.get("tolerations") or ()):
        return "UpdatePodToleration"
    was, now = old.get("status") or {}, new.get("status") or {}
    claims = ("resourceClaimStatuses", "extendedResourceClaimStatus")
    return (
        "UpdatePodGeneratedResourceClaim" if any(was.get(one) != now.get(one) for one in claims) else "Update"
    )
