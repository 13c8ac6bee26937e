"""A stateful set's claims: made for its pods, and owned as its retention policy says.

Source: pkg/controller/statefulset/stateful_pod_control.go, stateful_set_utils.go of Kubernetes 1.36 (KEP-1847).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kcore.api.status import ApiError
from kcore.controllers.contract import Action, Create, Failed, Object, Steps, Tell, Update, View, must
from kcore.controllers.owners import controller_reference
from kcore.controllers.stateful_set_pods import claim_name, claim_templates, is_in_range, ordinal

RESOURCE: Final = "persistentvolumeclaims"
RETAIN: Final = {"whenDeleted": "Retain", "whenScaled": "Retain"}


def claims(stateful_set: Object, pod: Object) -> list[Object]:
    """Those that the pod needs, as the templates make them."""
    number = ordinal(pod)
    labels = (stateful_set["spec"].get("selector") or {}).get("matchLabels") or {}
    return [
        {
            **template, "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {
                **template["metadata"], "name": claim_name(stateful_set, template, number),
                "namespace": stateful_set["metadata"]["namespace"],
                "labels": {**(template["metadata"].get("labels") or {}), **labels},
            },
        }
        for template in claim_templates(stateful_set)
    ]  # fmt: skip


def _there(view: View, stateful_set: Object, pod: Object) -> Iterator[Object]:
    number = ordinal(pod)
    for template in claim_templates(stateful_set):
        name = claim_name(stateful_set, template, number)
        found = view.get(RESOURCE, stateful_set["metadata"]["namespace"], name)
        if found is not None:
            yield found


def created(view: View, stateful_set: Object, pod: Object) -> Steps:
    """Each claim is there; Failed where one cannot be made, or is going."""
    wrong: list[str] = []
    missing: list[Object] = []
    for claim in claims(stateful_set, pod):
        metadata = claim["metadata"]
        found = view.get(RESOURCE, metadata["namespace"], metadata["name"])
        if found is None:
            missing.append(claim)
        elif "deletionTimestamp" in found["metadata"]:
            wrong.append(f"pvc {metadata['name']} is being deleted")
    outcomes = (yield [Create(RESOURCE, claim) for claim in missing]) if missing else []
    told: list[Action] = []
    where = f"Pod {pod['metadata']['name']} in StatefulSet {stateful_set['metadata']['name']}"
    for claim, outcome in zip(missing, outcomes, strict=True):
        name = claim["metadata"]["name"]
        if not isinstance(outcome, ApiError):
            told.append(
                Tell(stateful_set, "Normal", "SuccessfulCreate", f"Create Claim {name} {where} success")
            )
            continue
        wrong.append(f"failed to create PVC {name}: {outcome}")
        if outcome.reason != "AlreadyExists":
            message = f"Create Claim {name} for {where} failed error: {outcome}"
            told.append(Tell(stateful_set, "Warning", "FailedCreate", message))
    yield told
    if wrong:
        raise Failed(wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")
    return None


def policy(stateful_set: Object) -> tuple[bool, bool]:
    """Whether claims go when the set is deleted, and when it is scaled down."""
    found = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or RETAIN
    return found.get("whenDeleted") == "Delete", found.get("whenScaled") == "Delete"


def _refs(claim: Object) -> list[Object]:
    return claim["metadata"].get("ownerReferences") or []


def _is_ref(reference: Object, obj: Object, api_version: str, kind: str) -> bool:
    return (reference["apiVersion"], reference["kind"], reference["name"]) == (
        api_version, kind, obj["metadata"]["name"],
    )  # fmt: skip


def _to_set(stateful_set: Object) -> Callable[[Object], bool]:
    return lambda reference: _is_ref(reference, stateful_set, "apps/v1", "StatefulSet")


def _to_pod(pod: Object) -> Callable[[Object], bool]:
    return lambda reference: _is_ref(reference, pod, "v1", "Pod")


def _is_owned(claim: Object, owner: Object) -> bool:
    uid = owner["metadata"].get("uid", "")
    return any(reference["uid"] == uid for reference in _refs(claim))


def _is_stale(claim: Object, owner: Object, is_its: Callable[[Object], bool]) -> bool:
    """It is owned by an earlier object of that name."""
    first = next((reference for reference in _refs(claim) if is_its(reference)), None)
    return first is not None and first["uid"] != owner["metadata"].get("uid", "")


def is_stale(view: View, stateful_set: Object, pod: Object) -> bool:
    """A claim of the pod still belongs to the pod before it, and goes with that."""
    if not policy(stateful_set)[1]:
        return False
    return any(_is_stale(claim, pod, _to_pod(pod)) for claim in _there(view, stateful_set, pod))


def _is_controlled_by_another(claim: Object, stateful_set: Object, pod: Object) -> bool:
    if not any(policy(stateful_set)):
        return False
    for reference in _refs(claim):
        for owner, is_its in ((stateful_set, _to_set(stateful_set)), (pod, _to_pod(pod))):
            if is_its(reference):
                if reference["uid"] != owner["metadata"].get("uid", ""):
                    return True
                break
        else:
            if reference.get("controller"):
                return True
    return False


def _wanted(stateful_set: Object, pod: Object) -> tuple[bool, bool]:
    """Whether the set, and whether the pod, is to own the pod's claims."""
    when_deleted, when_scaled = policy(stateful_set)
    is_surplus = not is_in_range(pod, stateful_set)
    return when_deleted and not (when_scaled and is_surplus), when_scaled and is_surplus


def _is_up_to_date(claim: Object, stateful_set: Object, pod: Object) -> bool:
    if _is_stale(claim, stateful_set, _to_set(stateful_set)) or _is_stale(claim, pod, _to_pod(pod)):
        return True
    owned = (_is_owned(claim, stateful_set), _is_owned(claim, pod))
    if _is_controlled_by_another(claim, stateful_set, pod):
        return not any(owned)
    uids = (stateful_set["metadata"].get("uid", ""), pod["metadata"].get("uid", ""))
    if any(reference["uid"] in uids and not reference.get("controller") for reference in _refs(claim)):
        return False
    return owned == _wanted(stateful_set, pod)


def match_policy(view: View, stateful_set: Object, pod: Object) -> bool:
    """The claims of the pod belong to whom the policy says."""
    return all(_is_up_to_date(claim, stateful_set, pod) for claim in _there(view, stateful_set, pod))


def brought_up_to_date(view: View, stateful_set: Object, pod: Object) -> Steps:
    """They do."""
    for claim in list(_there(view, stateful_set, pod)):
        name = claim["metadata"]["name"]
        another = _is_controlled_by_another(claim, stateful_set, pod)
        if another:
            message = (
                f"PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a manging controller, "
                "the retention policy is ignored for this claim"
            )
            yield [Tell(stateful_set, "Warning", "ConflictingController", message)]
        if _is_up_to_date(claim, stateful_set, pod):
            continue
        is_sets, is_pods = _to_set(stateful_set), _to_pod(pod)
        references = [each for each in _refs(claim) if not is_sets(each) and not is_pods(each)]
        by_set, by_pod = (False, False) if another else _wanted(stateful_set, pod)
        if by_pod:
            references.append(controller_reference("v1", "Pod", pod))
        if by_set:
            references.append(controller_reference("apps/v1", "StatefulSet", stateful_set))
        changed = {**claim, "metadata": {**claim["metadata"], "ownerReferences": references}}
        try:
            yield from must(Update(RESOURCE, changed))
        except Failed as error:
            raise Failed(f"could not update claim {name} for delete policy ownerRefs: {error}") from error
    return None
