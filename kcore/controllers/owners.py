"""Who owns what: controller references, indexes by them, adoption and release.

Source: pkg/controller/controller_ref_manager.go, apimachinery pkg/apis/meta/v1/controller_ref.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Final

from kcore.api.status import ApiError
from kcore.controllers.contract import Action, Failed, Key, Object, Outcome, Patch, Read, View

ORPHANS: Final = "orphan/"  # and the namespace: the value of the owner index for objects without a controller


def controller_of(obj: Object) -> Object | None:
    """The one reference with ``controller: true``."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            found: Object = reference
            return found
    return None


def controller_reference(api_version: str, kind: str, owner: Object) -> Object:
    """The reference that makes ``owner`` the controller of what carries it."""
    metadata = owner["metadata"]
    return {
        "apiVersion": api_version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"],
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def by_controller(obj: Object) -> Iterable[str]:
    """Index: the uid of the controller, or ``orphan/NAMESPACE``."""
    reference = controller_of(obj)
    return (reference["uid"] if reference is not None else ORPHANS + obj["metadata"].get("namespace", ""),)


def owned_or_orphaned(view: View, resource: str, owner: Object) -> list[Object]:
    """What ``owner`` controls, and what of its namespace nobody does."""
    metadata = owner["metadata"]
    return [
        *view.by(resource, "controller", metadata["uid"]),
        *view.by(resource, "controller", ORPHANS + metadata["namespace"]),
    ]


def owner_key(obj: Object, view: View, resource: str, kind: str, api_group: str) -> Key | None:
    """The key of its controller, if that is of this kind and the object of that uid is there."""
    reference = controller_of(obj)
    if reference is None or reference["kind"] != kind or _group(reference["apiVersion"]) != api_group:
        return None
    namespace = obj["metadata"].get("namespace", "")
    owner = view.get(resource, namespace, reference["name"])
    if owner is None or owner["metadata"]["uid"] != reference["uid"]:
        return None
    return Key(namespace, reference["name"])


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def claim(
    owner: Object,
    objects: Sequence[Object],
    matches: Callable[[Mapping[str, str]], bool],
    *,
    resource: str,
    owner_resource: str,
    reference: Object,
    finalizers: Sequence[str] = (),
    fits: Callable[[Object], bool] = lambda obj: True,
) -> Generator[Sequence[Action], list[Outcome], list[Object]]:
    """What ``owner`` controls now: orphans that its selector matches are adopted, others of its own released.

    What does not fit in another way is treated like what the selector does not match.
    Nothing is adopted before a fresh look says that the owner is still that one and not being deleted.
    """
    uid = owner["metadata"]["uid"]
    dying = "deletionTimestamp" in owner["metadata"]
    mine: list[Object] = []
    adopted: list[Object] = []
    patches: list[Action] = []
    for obj in objects:
        held = controller_of(obj)
        labels = obj["metadata"].get("labels") or {}
        if held is not None:
            if held["uid"] != uid:
                continue
            if matches(labels) and fits(obj):
                mine.append(obj)
            elif not dying:
                patches.append(_release(resource, obj, uid, finalizers))
        elif not dying and "deletionTimestamp" not in obj["metadata"] and matches(labels) and fits(obj):
            adopted.append(obj)
    if adopted:
        yield from _still_there(owner, owner_resource)
        patches += [_adopt(resource, obj, reference, finalizers) for obj in adopted]
    if patches:
        outcomes = yield patches
        first = len(patches) - len(adopted)
        failures = [
            outcome
            for number, outcome in enumerate(outcomes)
            if isinstance(outcome, ApiError)
            and outcome.code not in ((404, 422) if number < first else (404,))
        ]
        mine += [
            obj for obj, outcome in zip(adopted, outcomes[first:], strict=True) if isinstance(outcome, dict)
        ]
        if failures:
            raise Failed(str(failures[0])) from failures[0]
    return mine


def _still_there(owner: Object, owner_resource: str) -> Generator[Sequence[Action], list[Outcome], None]:
    metadata = owner["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    (fresh,) = yield [Read(owner_resource, namespace, name)]
    if isinstance(fresh, ApiError):
        raise Failed(str(fresh)) from fresh
    assert isinstance(fresh, dict)
    found: dict[str, Any] = fresh["metadata"]
    if found["uid"] != metadata["uid"]:
        raise Failed(
            f"original {owner_resource} {namespace}/{name} is gone: got uid {found['uid']}, wanted {metadata['uid']}"
        )
    if "deletionTimestamp" in found:
        raise Failed(f"{namespace}/{name} has just been deleted at {found['deletionTimestamp']}")


def _adopt(resource: str, obj: Object, reference: Object, finalizers: Sequence[str]) -> Patch:
    metadata: dict[str, Any] = {"uid": obj["metadata"]["uid"], "ownerReferences": [reference]}
    if finalizers:
        metadata["finalizers"] = list(finalizers)
    return _metadata_patch(resource, obj, metadata)


def _release(resource: str, obj: Object, uid: str, finalizers: Sequence[str]) -> Patch:
    metadata: dict[str, Any] = {
        "uid": obj["metadata"]["uid"], "ownerReferences": [{"$patch": "delete", "uid": uid}],
    }  # fmt: skip
    if finalizers:
        metadata["$deleteFromPrimitiveList/finalizers"] = list(finalizers)
    return _metadata_patch(resource, obj, metadata)


def _metadata_patch(resource: str, obj: Object, metadata: dict[str, Any]) -> Patch:
    told = obj["metadata"]
    return Patch(resource, told.get("namespace", ""), told["name"], {"metadata": metadata}, "strategic")
