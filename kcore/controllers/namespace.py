"""A namespace that is deleted loses its content, pods first, and then its finalizer.

Source: pkg/controller/namespace of Kubernetes 1.36 (KEP-5080: ordered deletion).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from kcore.api.status import ApiError
from kcore.controllers.contract import (
    Action,
    Controller,
    DeleteAll,
    Discover,
    Failed,
    Key,
    Later,
    Object,
    Outcome,
    Read,
    ReadAll,
    Served,
    Steps,
    Update,
    View,
    Watched,
)
from kcore.controllers.times import ms_of, text_of

FINALIZER: Final = "kubernetes"
GRACE_MS: Final = 5000  # for other API servers to hear that nothing may be created there any more
FINALIZER_ESTIMATE_SECONDS: Final = 15
UNSUPPORTED: Final = (404, 405)
FINE: Final = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted", "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}  # fmt: skip


class Left(NamedTuple):
    """What a round of deletions has left of some resources."""

    counts: Mapping[Served, int]
    finalizers: Mapping[str, int]
    estimate_seconds: int
    faults: Sequence[str]


class Namespace(Controller):
    """``namespace-controller``. ``grace_ms`` may be 0 where there is one API server and no other."""

    name: ClassVar = "namespace-controller"
    aliases: ClassVar = ("namespace",)
    component: ClassVar = "namespace-controller"
    workers: ClassVar[int] = 10

    def __init__(self, grace_ms: int = GRACE_MS) -> None:
        self._grace_ms = grace_ms

    @property
    def watches(self) -> Sequence[Watched]:
        """Namespaces."""
        return (Watched("namespaces", self._keys),)

    def _keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key | Later]:
        if new is not None and "deletionTimestamp" in new["metadata"]:
            yield Later(Key("", new["metadata"]["name"]), self._grace_ms)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """All that is in it is being deleted; once nothing is left, its finalizer is gone."""
        (read,) = yield [Read("namespaces", "", key.name)]
        if isinstance(read, ApiError):
            _fail_unless_gone(read)
            return None
        assert isinstance(read, dict)
        namespace: Object = read
        if "deletionTimestamp" not in namespace["metadata"] or not namespace["spec"].get("finalizers"):
            return None
        if namespace.get("status", {}).get("phase") != "Terminating":
            status = {**namespace.get("status", {}), "phase": "Terminating"}
            (wrote,) = yield [Update("namespaces", {**namespace, "status": status}, "status")]
            if isinstance(wrote, ApiError):
                _fail_unless_gone(wrote)
                return None
            assert isinstance(wrote, dict)
            namespace = wrote
        left, namespace = yield from self._emptied(namespace, now_ms)
        if left.faults:
            raise Failed(", ".join(left.faults))
        if left.estimate_seconds > 0:
            return (left.estimate_seconds // 2 + 1) * 1000
        finalizers = [name for name in namespace["spec"]["finalizers"] if name != FINALIZER]
        final = {**namespace, "spec": {**namespace["spec"], "finalizers": finalizers}}
        (outcome,) = yield [Update("namespaces", final, "finalize")]
        if isinstance(outcome, ApiError):
            _fail_unless_gone(outcome)
        return None

    def _emptied(
        self, namespace: Object, now_ms: int
    ) -> Generator[Sequence[Action], list[Outcome], tuple[Left, Object]]:
        (discovered,) = yield [Discover()]
        assert isinstance(discovered, dict)
        resources = [
            each for each in discovered["resources"] if each.is_namespaced and "delete" in each.verbs
        ]
        pods = [each for each in resources if (each.group, each.plural) == ("", "pods")]
        left = yield from self._deleted(namespace, pods, now_ms)
        totals = left
        if not left.counts:
            others = [each for each in resources if each not in pods]
            rest = yield from self._deleted(namespace, others, now_ms)
            totals = Left(
                rest.counts, rest.finalizers, max(left.estimate_seconds, rest.estimate_seconds),
                [*left.faults, *rest.faults],
            )  # fmt: skip
        conditions = _conditions(namespace, totals, now_ms, tells_content=not left.counts)
        if conditions is not None:
            status = {**namespace.get("status", {}), "conditions": conditions}
            (outcome,) = yield [Update("namespaces", {**namespace, "status": status}, "status")]
            if isinstance(outcome, dict):
                namespace = outcome
        return totals, namespace

    def _deleted(
        self, namespace: Object, resources: Sequence[Served], now_ms: int
    ) -> Generator[Sequence[Action], list[Outcome], Left]:
        """Everything of these resources was asked to go."""
        name = namespace["metadata"]["name"]
        readable = [each for each in resources if "list" in each.verbs]
        before = yield [ReadAll(each.named, name) for each in readable]
        there = {
            each: outcome["items"]
            for each, outcome in zip(readable, before, strict=True)
            if isinstance(outcome, dict) and outcome["items"]
        }
        faults = [
            str(outcome)
            for outcome in before
            if isinstance(outcome, ApiError) and outcome.code not in UNSUPPORTED
        ]
        if not there:
            return Left({}, {}, 0, faults)
        estimate = _grace_seconds(there, namespace, now_ms)
        outcomes = yield [DeleteAll(each.named, name) for each in there]
        faults += [
            str(outcome)
            for outcome in outcomes
            if isinstance(outcome, ApiError) and outcome.code not in UNSUPPORTED
        ]
        after = yield [ReadAll(each.named, name) for each in there]
        counts: dict[Served, int] = {}
        finalizers: Counter[str] = Counter()
        for each, outcome in zip(there, after, strict=True):
            if isinstance(outcome, ApiError):
                faults.append(str(outcome))
            elif isinstance(outcome, dict) and outcome["items"]:
                counts[each] = len(outcome["items"])
                held = [
                    found for item in outcome["items"] for found in item["metadata"].get("finalizers") or ()
                ]
                finalizers.update(held)
                graceful = estimate if each.plural == "pods" and not each.group else 0
                if not held and not graceful:
                    faults.append(
                        f"unexpected items still remain in namespace: {name} for gvr: "
                        f"{each.group}/{each.version}, Resource={each.plural}"
                    )
                elif not graceful:
                    estimate = max(estimate, FINALIZER_ESTIMATE_SECONDS)
        return Left(counts, finalizers, estimate if counts else 0, faults)


def _fail_unless_gone(error: ApiError) -> None:
    if error.code != 404:
        raise Failed(str(error)) from error


def _grace_seconds(there: Mapping[Served, Sequence[Object]], namespace: Object, now_ms: int) -> int:
    """How long the slowest of its pods may take; 0 where that is over."""
    graces = [
        pod["spec"].get("terminationGracePeriodSeconds", 0)
        for each, items in there.items()
        if each.plural == "pods" and not each.group
        for pod in items
        if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]
    estimate: int = max(graces, default=0)
    since = ms_of(namespace["metadata"]["deletionTimestamp"]) or now_ms
    return 0 if now_ms - since >= estimate * 1000 else estimate


def _conditions(namespace: Object, left: Left, now_ms: int, *, tells_content: bool) -> list[Object] | None:
    """The namespace's conditions; None where they say so already."""
    found: dict[str, tuple[str, str]] = {}
    if left.faults:
        found["NamespaceDeletionContentFailure"] = (
            "ContentDeletionFailed",
            f"Failed to delete all resource types, {len(left.faults)} remaining: {', '.join(sorted(left.faults))}",
        )
    if left.counts and tells_content:
        counts = sorted(
            f"{each.plural}.{each.group} has {count} resource instances"
            for each, count in left.counts.items()
        )
        found["NamespaceContentRemaining"] = (
            "SomeResourcesRemain", f"Some resources are remaining: {', '.join(counts)}",
        )  # fmt: skip
    if left.finalizers and tells_content:
        held = sorted(f"{name} in {count} resource instances" for name, count in left.finalizers.items())
        found["NamespaceFinalizersRemaining"] = (
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {', '.join(held)}",
        )
    before = namespace.get("status", {}).get("conditions") or []
    made = {condition["type"]: condition for condition in before}
    for kind, fine in FINE.items():
        reason, message = found.get(kind, fine)
        status = "True" if kind in found else "False"
        old = made.get(kind)
        if old is not None and (old["status"], old.get("reason"), old.get("message")) == (
            status,
            reason,
            message,
        ):
            continue
        since = text_of(now_ms) if old is None or old["status"] != status else old.get("lastTransitionTime")
        made[kind] = {
            "type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message,
        }  # fmt: skip
    conditions = list(made.values())
    return None if conditions == before else conditions
