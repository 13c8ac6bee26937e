"""Pods have the resource claims that their templates ask for; claims that no pod needs any more are free, or gone.

A key is ``pod/NAME`` or ``claim/NAME``. Claims of pod groups (DRAWorkloadResourceClaims, alpha in 1.36) are not made.
Source: pkg/controller/resourceclaim of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers.contract import (
    Action,
    Controller,
    Create,
    Delete,
    Failed,
    Key,
    Object,
    Outcome,
    Patch,
    Read,
    Steps,
    Tell,
    Update,
    View,
    Watched,
    done,
    must,
)
from kcore.controllers.pod_resource_claims import by_claim, claim_of, entries, owning_pod, stranger

CLAIMS: Final = "resourceclaims.resource.k8s.io"
TEMPLATES: Final = "resourceclaimtemplates.resource.k8s.io"
POD: Final = "pod/"
CLAIM: Final = "claim/"
POD_CLAIM: Final = "resource.kubernetes.io/pod-claim-name"
FINALIZER: Final = "resource.kubernetes.io/delete-protection"
RESERVED_MAX: Final = 256  # consumers of a claim (ResourceClaimReservedForMaxSize)
BASE_LENGTH_MAX: Final = 57  # of a generated name: room for a hyphen and five characters within 63
Doing = Generator[Sequence[Action], list[Outcome], Any]


class ResourceClaim(Controller):
    """``resourceclaim-controller``."""

    name: ClassVar = "resourceclaim-controller"
    aliases: ClassVar = ()
    component: ClassVar = "resource_claim"
    workers: ClassVar[int] = 50

    @property
    def watches(self) -> Sequence[Watched]:
        """Pods, claims and their templates."""
        return (
            Watched("pods", _pod_keys, {"resourceClaim": by_claim, "resourceClaimTemplate": _by_template}),
            Watched(CLAIMS, _claim_keys, {"pod": _by_pod}),
            Watched(TEMPLATES, _template_keys),
        )

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The pod has its claims, or the claim only the consumers there are."""
        if key.name.startswith(POD):
            pod = view.get("pods", key.namespace, key.name.removeprefix(POD))
            if pod is not None and "deletionTimestamp" not in pod["metadata"]:
                yield from _pod(pod, view)
        else:
            claim = view.get(CLAIMS, key.namespace, key.name.removeprefix(CLAIM))
            if claim is not None:
                yield from _claim(claim, view)
        return None


# -- what concerns whom ---------------------------------------------------------------------------------------------


def _by_template(pod: Object) -> Iterable[str]:
    namespace = pod["metadata"]["namespace"]
    names = {entry.get("resourceClaimTemplateName") for entry in entries(pod)}
    return {f"{namespace}/{name}" for name in names if name}


def _by_pod(claim: Object) -> Iterable[str]:
    owner = owning_pod(claim)
    return (owner["uid"],) if owner is not None else ()


def _is_done(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded") or (
        "deletionTimestamp" in pod["metadata"] and not pod["spec"].get("nodeName")
    )


def _keys_of(pod: Object, *, gone: bool = False) -> Iterable[Key]:
    """Source: enqueuePod."""
    extended = (pod.get("status") or {}).get("extendedResourceClaimStatus")
    asked = entries(pod)
    if not asked and not extended:
        return
    metadata = pod["metadata"]
    namespace = metadata["namespace"]
    if gone or _is_done(pod):
        for entry in asked:
            name = claim_of(pod, entry)
            if name:
                yield Key(namespace, CLAIM + name)
        if extended:
            yield Key(namespace, CLAIM + extended["resourceClaimName"])
    if not gone and "deletionTimestamp" not in metadata:
        yield Key(namespace, POD + metadata["name"])


def _pod_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    if new is not None:
        yield from _keys_of(new)
    if old is not None and (new is None or old["metadata"]["uid"] != new["metadata"]["uid"]):
        yield from _keys_of(old, gone=True)


def _claim_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    claim = new if new is not None else old
    assert claim is not None
    metadata = claim["metadata"]
    if new is not None:
        yield Key(metadata["namespace"], CLAIM + metadata["name"])
    for pod in view.by("pods", "resourceClaim", f"{metadata['namespace']}/{metadata['name']}"):
        yield from _keys_of(pod)


def _template_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    template = new if new is not None else old
    assert template is not None
    metadata = template["metadata"]
    for pod in view.by("pods", "resourceClaimTemplate", f"{metadata['namespace']}/{metadata['name']}"):
        yield from _keys_of(pod)


# -- pods -----------------------------------------------------------------------------------------------------------


def _pod(pod: Object, view: View) -> Doing:
    """Source: syncPod."""
    metadata = pod["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    made: list[Object] = []
    for entry in entries(pod):
        try:
            claim = yield from _made(pod, entry, view)
        except Failed as error:
            text = f"PodResourceClaim {entry['name']}: {error}"
            yield [Tell(pod, "Warning", "FailedResourceClaimCreation", text)]
            raise Failed(f"pod {namespace}/{name}, {text}") from error
        if claim is not None:
            made.append({"name": entry["name"], "resourceClaimName": claim["metadata"]["name"]})
    if made:
        status = {"status": {"resourceClaimStatuses": made}}
        (outcome,) = yield [Patch("pods", namespace, name, status, "strategic", "status")]
        if isinstance(outcome, ApiError):
            raise Failed(f"update pod {namespace}/{name} ResourceClaimStatuses: {outcome}") from outcome
        assert isinstance(outcome, dict)
        pod = outcome
    if pod["spec"].get("nodeName"):
        yield from _reserved(pod, view)


def _made(pod: Object, entry: Object, view: View) -> Doing:
    """The claim that the pod's status has to name; None where it does already. Source: handleClaim."""
    namespace = pod["metadata"]["namespace"]
    name = claim_of(pod, entry)
    if name == "":
        return None
    if name is not None:
        claim = view.get(CLAIMS, namespace, name)
        is_own = entry.get("resourceClaimName") is None
        if claim is not None and not (is_own and stranger(pod, claim)):
            return None
    wanted = entry.get("resourceClaimTemplateName")
    if wanted is None:
        return None
    for claim in view.by(CLAIMS, "pod", pod["metadata"]["uid"]):
        if (claim["metadata"].get("annotations") or {}).get(POD_CLAIM) == entry["name"]:
            return claim
    template = view.get(TEMPLATES, namespace, wanted)
    if template is None:
        raise Failed(
            f'resource claim template "{wanted}": resourceclaimtemplate.resource.k8s.io "{wanted}" not found'
        )
    (outcome,) = yield [Create(CLAIMS, _from_template(pod, entry, template))]
    if isinstance(outcome, ApiError):
        raise Failed(f"create ResourceClaim : {outcome}") from outcome
    return outcome


def _from_template(pod: Object, entry: Object, template: Object) -> Object:
    told = template["spec"].get("metadata") or {}
    metadata: Object = {
        "generateName": generated_name(pod["metadata"]["name"], entry["name"]),
        "namespace": pod["metadata"]["namespace"],
        "annotations": {**(told.get("annotations") or {}), POD_CLAIM: entry["name"]},
        "ownerReferences": [
            {
                "apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"],
                "controller": True,
            }
        ],
        **({"labels": dict(told["labels"])} if told.get("labels") else {}),
    }  # fmt: skip
    return {
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": metadata,
        "spec": template["spec"]["spec"],
    }  # fmt: skip


def generated_name(pod: str, entry: str) -> str:
    """What the claim's name begins with: both names, each cut in proportion where they are too long."""
    name = f"{pod}-{entry}-"
    length = len(name)
    if length <= BASE_LENGTH_MAX:
        return name
    cut = pod[: len(pod) * BASE_LENGTH_MAX // length]
    return f"{cut}-{entry[: len(entry) * BASE_LENGTH_MAX // length]}"


def _reserved(pod: Object, view: View) -> Doing:
    """A pod that was placed without the scheduler has its allocated claims reserved."""
    metadata = pod["metadata"]
    for entry in entries(pod):
        name = claim_of(pod, entry)
        if name is None:
            raise Failed(f"pod {metadata['namespace']}/{metadata['name']}: ResourceClaim not created yet")
        if not name:
            continue
        claim = view.get(CLAIMS, metadata["namespace"], name)
        if claim is None:
            return
        if entry.get("resourceClaimName") is None and stranger(pod, claim):
            raise Failed(stranger(pod, claim))
        status = claim.get("status") or {}
        consumers = status.get("reservedFor") or []
        if "allocation" not in status or len(consumers) >= RESERVED_MAX:
            continue
        if any(each["uid"] == metadata["uid"] for each in consumers):
            continue
        consumer = {"resource": "pods", "name": metadata["name"], "uid": metadata["uid"]}
        changed = {**claim, "status": {**status, "reservedFor": [*consumers, consumer]}}
        yield from must(Update(CLAIMS, changed, "status"))


# -- claims ---------------------------------------------------------------------------------------------------------


def _claim(claim: Object, view: View) -> Doing:
    """Source: syncClaim."""
    metadata, status = claim["metadata"], claim.get("status") or {}
    before = status.get("reservedFor") or []
    remaining = []
    for consumer in before:
        if (yield from _consumes(consumer, metadata["namespace"], view)):
            remaining.append(consumer)  # noqa: PERF401 - no comprehension may yield
    is_ours = FINALIZER in (metadata.get("finalizers") or ())
    if len(remaining) < len(before):
        kept = {name: value for name, value in status.items() if name != "reservedFor"}
        if remaining:
            kept["reservedFor"] = remaining
        elif is_ours:
            kept.pop("allocation", None)
        written = yield from must(Update(CLAIMS, {**claim, "status": kept}, "status"))
        if "allocation" not in (written.get("status") or {}):
            yield from _released(written)
    elif is_ours and "deletionTimestamp" in metadata and not remaining:
        if "allocation" in status:
            kept = {name: value for name, value in status.items() if name != "allocation"}
            claim = yield from must(Update(CLAIMS, {**claim, "status": kept}, "status"))
        yield from _released(claim)
    owner = owning_pod(claim)
    if remaining or owner is None:
        return
    pod = view.get("pods", metadata["namespace"], owner["name"])
    if pod is not None and (pod["metadata"]["uid"] != owner["uid"] or _is_done(pod)):
        done((yield [Delete(CLAIMS, metadata["namespace"], metadata["name"], metadata["uid"])]))


def _consumes(consumer: Object, namespace: str, view: View) -> Doing:
    """The consumer is there, or none that is known here; a look past the view before it counts as gone."""
    if consumer.get("apiGroup") or consumer["resource"] != "pods":
        return True
    pod = view.get("pods", namespace, consumer["name"])
    if pod is not None:
        return pod["metadata"]["uid"] == consumer["uid"] and not _is_done(pod)
    (outcome,) = yield [Read("pods", namespace, consumer["name"])]
    if isinstance(outcome, ApiError):
        if outcome.code != 404:
            raise Failed(str(outcome)) from outcome
        return False
    assert isinstance(outcome, dict)
    return outcome["metadata"]["uid"] == consumer["uid"]


def _released(claim: Object) -> Doing:
    metadata = claim["metadata"]
    if FINALIZER not in (metadata.get("finalizers") or ()):
        return
    kept = [each for each in metadata["finalizers"] if each != FINALIZER]
    done((yield [Update(CLAIMS, {**claim, "metadata": {**metadata, "finalizers": kept}})]))
