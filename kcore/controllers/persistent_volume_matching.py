"""Which volume a claim gets: classes, modes, sizes, references, as pure functions.

Source: staging/src/k8s.io/component-helpers/storage/volume/pv_helpers.go, pkg/controller/volume/persistentvolume/index.go
of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from kcore.api.quantity import parse_quantity
from kcore.controllers.contract import Object
from kcore.controllers.selection import selector_of

BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
CLASS: Final = "volume.beta.kubernetes.io/storage-class"
DEFAULT_CLASS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def notes_of(obj: Object) -> Mapping[str, str]:
    """The object's."""
    found: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return found


def annotated(obj: Object, **more: str) -> Object:
    """The object with these annotations; ``annotated(obj, **{name: value})``."""
    metadata = {**obj["metadata"], "annotations": {**notes_of(obj), **more}}
    return {**obj, "metadata": metadata}


def class_of(obj: Object) -> str:
    """The storage class of a claim or of a volume, "" where it has none."""
    told = notes_of(obj).get(CLASS)
    name: str = told if told is not None else obj["spec"].get("storageClassName") or ""
    return name


def has_class(claim: Object) -> bool:
    """It says a class, be it the empty one."""
    return CLASS in notes_of(claim) or claim["spec"].get("storageClassName") is not None


def default_class(classes: Iterable[Object]) -> Object | None:
    """The newest of those that say they are the default; of several the first by name. Source: GetDefaultClass."""
    found = [each for each in classes if any(notes_of(each).get(name) == "true" for name in DEFAULT_CLASS)]
    found.sort(key=lambda each: each["metadata"]["name"])
    return max(found, key=lambda each: each["metadata"].get("creationTimestamp", ""), default=None)


def reference_key(volume: Object) -> str:
    """NAMESPACE/NAME of the claim the volume is for; "" where it is for none."""
    reference = volume["spec"].get("claimRef")
    return f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else ""


def is_for(volume: Object, claim: Object) -> bool:
    """The volume is for this claim, or for one of its name whichever it be. Source: IsVolumeBoundToClaim."""
    metadata = claim["metadata"]
    if reference_key(volume) != f"{metadata['namespace']}/{metadata['name']}":
        return False
    return volume["spec"]["claimRef"].get("uid", "") in ("", metadata["uid"])


def reference_to(claim: Object) -> Object:
    """What a volume says of its claim."""
    metadata = claim["metadata"]
    return {
        "kind": "PersistentVolumeClaim", "namespace": metadata["namespace"], "name": metadata["name"],
        "uid": metadata["uid"], "apiVersion": "v1", "resourceVersion": metadata["resourceVersion"],
    }  # fmt: skip


def requested(claim: Object) -> int:
    """Bytes, in nano-units."""
    text = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage")
    return parse_quantity(text) if text is not None else 0


def capacity(volume: Object) -> int:
    """Bytes, in nano-units."""
    text = (volume["spec"].get("capacity") or {}).get("storage")
    return parse_quantity(text) if text is not None else 0


def same_mode(claim: Object, volume: Object) -> bool:
    """Both are file systems, or both are blocks."""
    modes = [each["spec"].get("volumeMode") or "Filesystem" for each in (claim, volume)]
    return bool(modes[0] == modes[1])


def _attributes(obj: Object) -> str:
    return obj["spec"].get("volumeAttributesClassName") or ""


def misfit(volume: Object, claim: Object) -> str:
    """Why the claim may not have the volume it names; "" where it may. Source: checkVolumeSatisfyClaim."""
    if "deletionTimestamp" in volume["metadata"]:
        return f'the volume is marked for deletion "{volume["metadata"]["name"]}"'
    if capacity(volume) < requested(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if _attributes(claim) != _attributes(volume):
        return "volumeAttributesClassName does not match"
    if not same_mode(claim, volume):
        return "incompatible volumeMode"
    if not _modes(claim) <= _modes(volume):
        return "incompatible accessMode"
    return ""


def _modes(obj: Object) -> frozenset[str]:
    return frozenset(obj["spec"].get("accessModes") or ())


def best(claim: Object, volumes: Iterable[Object], *, delayed: bool) -> Object | None:
    """The volume that is for the claim already, or the smallest that fits, of those with fewest access modes.

    A claim that waits for its first consumer gets only what is for it already. Source: findByClaim.
    """
    groups: dict[frozenset[str], list[Object]] = {}
    for volume in volumes:
        if _modes(claim) <= _modes(volume):
            groups.setdefault(_modes(volume), []).append(volume)
    for modes in sorted(groups, key=lambda each: (len(each), sorted(each))):
        found = _matching(claim, groups[modes], delayed)
        if found is not None:
            return found
    return None


def _matching(claim: Object, volumes: Sequence[Object], delayed: bool) -> Object | None:
    """Source: FindMatchingVolume."""
    size, wanted = requested(claim), class_of(claim)
    given = claim["spec"].get("selector")
    selector = selector_of(given) if given is not None else None
    smallest: Object | None = None
    for volume in volumes:
        spec = volume["spec"]
        mine = is_for(volume, claim)
        if (spec.get("claimRef") and not mine) or capacity(volume) < size or not same_mode(claim, volume):
            continue
        if _attributes(claim) != _attributes(volume) or "deletionTimestamp" in volume["metadata"]:
            continue
        if mine:
            return volume
        if delayed or (volume.get("status") or {}).get("phase") != "Available" or class_of(volume) != wanted:
            continue
        if selector is not None and not selector.matches(volume["metadata"].get("labels") or {}):
            continue
        if smallest is None or capacity(volume) < capacity(smallest):
            smallest = volume
    return smallest
