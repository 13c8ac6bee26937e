"""Disruption budgets say how many of their pods may be evicted now.

Source: pkg/controller/disruption/disruption.go, pkg/api/pod/disruptionbudget of Kubernetes 1.36. One difference: a pod
that several budgets select wakes all of them; upstream one, with an event that it chose.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from kcore.api.selectors import go_text
from kcore.api.status import ApiError
from kcore.controllers import pods as podlib
from kcore.controllers.contract import (
    Action,
    Controller,
    Discover,
    Failed,
    Key,
    Object,
    Outcome,
    Read,
    Steps,
    Tell,
    Update,
    View,
    Watched,
    must,
)
from kcore.controllers.deployment_sizes import scaled
from kcore.controllers.owners import controller_of
from kcore.controllers.selection import selector_of
from kcore.controllers.times import ms_of, text_of

RESOURCE: Final = "poddisruptionbudgets.policy"
CONTROLLERS: Final = "replicationcontrollers"
SETS: Final = "replicasets.apps"
DEPLOYMENTS: Final = "deployments.apps"
STATEFUL_SETS: Final = "statefulsets.apps"
POD: Final = "pod/"  # a key of this beginning is a pod that may have a stale condition
DELETION_MS: Final = 120_000  # within which an evicted pod is expected to be deleted
STALE_MS: Final = 120_000  # after which a pod that was to be disrupted and was not is no longer
ALLOWED: Final = "DisruptionAllowed"


class Disruption(Controller):
    """``disruption-controller``."""

    name: ClassVar = "disruption-controller"
    aliases: ClassVar = ("disruption",)
    component: ClassVar = "controllermanager"

    @property
    def watches(self) -> Sequence[Watched]:
        """Budgets and pods; what pods belong to only to be seen."""
        owners = (CONTROLLERS, SETS, DEPLOYMENTS, STATEFUL_SETS)
        return (
            Watched(RESOURCE, self._own_keys), Watched("pods", self._pod_keys),
            *(Watched(resource, _nobody) for resource in owners),
        )  # fmt: skip

    def _own_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        obj = new if new is not None else old
        assert obj is not None
        yield Key(obj["metadata"]["namespace"], obj["metadata"]["name"])

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        pod = new if new is not None else old
        assert pod is not None
        namespace, labels = pod["metadata"]["namespace"], pod["metadata"].get("labels") or {}
        for budget in view.list(RESOURCE, namespace):
            if selector_of(budget["spec"].get("selector")).matches(labels):
                yield Key(namespace, budget["metadata"]["name"])
        if new is not None and _stale_in_ms(new, 0) is not None:
            yield Key(namespace, POD + pod["metadata"]["name"])

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The budget's status is brought up to date; where that cannot be done, nothing may be evicted."""
        if key.name.startswith(POD):
            return (yield from _condition_cleared(key, view, now_ms))
        budget = view.get(RESOURCE, *key)
        if budget is None:
            return None
        try:
            return (yield from _synced(budget, view, now_ms))
        except Failed as error:
            cause = error.__cause__
            if isinstance(cause, ApiError) and cause.reason == "Conflict":
                raise
            yield from _failed_safe(budget, str(error), now_ms)
        return None


def _nobody(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    return ()


def _synced(budget: Object, view: View, now_ms: int) -> Steps:
    selector = selector_of(budget["spec"].get("selector"))
    namespace = budget["metadata"]["namespace"]
    pods = [
        pod for pod in view.list("pods", namespace) if selector.matches(pod["metadata"].get("labels") or {})
    ]
    if not pods:
        yield [Tell(budget, "Normal", "NoPods", "No matching pods found")]
    try:
        expected, desired, unmanaged = yield from _expected(budget, pods, view)
    except Failed as error:
        message = f"Failed to calculate the number of expected pods: {error}"
        yield [Tell(budget, "Warning", "CalculateExpectedPodCountFailed", message)]
        raise
    if unmanaged:
        message = (
            f"Pods selected by this PodDisruptionBudget (selector: {go_text(budget['spec'].get('selector'))}) were "
            "found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may "
            'result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the '
            "PDB to an integer value."
        )
        yield [Tell(budget, "Warning", "UnmanagedPods", message)]
    disrupted, again_ms, told = _disrupted(budget, pods, now_ms)
    if told:
        yield told
    healthy = sum(
        podlib.is_ready(pod)
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"] and pod["metadata"]["name"] not in disrupted
    )
    allowed = max(0, healthy - desired) if expected > 0 else 0
    status: dict[str, Any] = {
        "disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired,
        "expectedPods": expected, "observedGeneration": budget["metadata"].get("generation", 0),
        **({"disruptedPods": disrupted} if disrupted else {}),
    }  # fmt: skip
    before = budget.get("status") or {}
    said = ("True", "SufficientPods") if allowed > 0 else ("False", "InsufficientPods")
    conditions = _with_condition(before, *said, "", status["observedGeneration"], now_ms)
    new = {**status, "conditions": conditions}
    if new != before:
        yield from must(Update(RESOURCE, {**budget, "status": new}, "status"))
    return again_ms


def _with_condition(
    before: Object, status: str, reason: str, message: str, generation: int, now_ms: int
) -> list[Object]:
    """The conditions with that of disruptions; they may be as they were."""
    new = {
        "type": ALLOWED, "observedGeneration": generation, "status": status, "lastTransitionTime": text_of(now_ms),
        "reason": reason, "message": message,
    }  # fmt: skip
    conditions = before.get("conditions") or []
    for number, old in enumerate(conditions):
        if old["type"] != ALLOWED:
            continue
        if old["status"] == status:
            new["lastTransitionTime"] = old.get("lastTransitionTime", new["lastTransitionTime"])
        is_same = (old["status"], old["reason"], old.get("observedGeneration", 0)) == (
            status,
            reason,
            generation,
        )
        return [*conditions[:number], old if is_same and not message else new, *conditions[number + 1 :]]
    return [*conditions, new]


def _failed_safe(budget: Object, message: str, now_ms: int) -> Steps:
    before = budget.get("status") or {}
    generation = before.get("observedGeneration", 0)
    conditions = _with_condition(before, "False", "SyncFailed", message, generation, now_ms)
    counts = dict.fromkeys(("currentHealthy", "desiredHealthy", "expectedPods"), 0)
    status = {**counts, **before, "disruptionsAllowed": 0, "conditions": conditions}
    yield from must(Update(RESOURCE, {**budget, "status": status}, "status"))
    return None


# -- how many pods there should be ----------------------------------------------------------------------------------
def _expected(
    budget: Object, pods: Sequence[Object], view: View
) -> Generator[Sequence[Action], list[Outcome], tuple[int, int, list[str]]]:
    """How many there should be, how many of them healthy, and names of pods without a controller."""
    spec = budget["spec"]
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if most is None and least is None:
        return 0, 0, []
    if most is None and isinstance(least, int):
        return len(pods), least, []
    expected, unmanaged = yield from _scale(pods, view)
    if most is not None:
        return expected, max(0, expected - scaled(most, expected, up=True)), unmanaged
    return expected, scaled(least, expected, up=True), unmanaged


def _scale(
    pods: Sequence[Object], view: View
) -> Generator[Sequence[Action], list[Outcome], tuple[int, list[str]]]:
    """What the controllers of the pods ask for in all."""
    scales: dict[str, int] = {}
    unmanaged: list[str] = []
    asked: set[str] = set()
    for pod in pods:
        reference = controller_of(pod)
        if reference is None:
            unmanaged.append(pod["metadata"]["name"])
            continue
        if reference["uid"] in scales or reference["uid"] in asked:
            continue
        asked.add(reference["uid"])
        found = _seen_scale(reference, pod["metadata"]["namespace"], view)
        if found is None:
            found = yield from _asked_scale(reference, pod["metadata"]["namespace"])
        if found is None:
            raise Failed(f'found no controllers for pod "{pod["metadata"]["name"]}"')
        scales[found[0]] = found[1]
    return sum(scales.values()), unmanaged


def _group(reference: Object) -> str:
    group: str = reference["apiVersion"].rpartition("/")[0]
    return group


def _seen_scale(reference: Object, namespace: str, view: View) -> tuple[str, int] | None:
    """The uid and size of a controller of one of the usual kinds; of a replica set those of its deployment."""
    kind, group = reference["kind"], _group(reference)
    if kind == "ReplicationController" and not group:
        return _size(reference, namespace, view, CONTROLLERS)
    if kind == "StatefulSet" and group == "apps":
        return _size(reference, namespace, view, STATEFUL_SETS)
    if kind != "ReplicaSet" or group not in ("apps", "extensions"):
        return None
    replica_set = view.get(SETS, namespace, reference["name"])
    if replica_set is None or replica_set["metadata"]["uid"] != reference["uid"]:
        return None
    above = controller_of(replica_set)
    if above is not None and above["kind"] == "Deployment":
        if _group(above) not in ("apps", "extensions"):
            return None
        return _size(above, namespace, view, DEPLOYMENTS)
    return _size(reference, namespace, view, SETS)


def _size(reference: Object, namespace: str, view: View, resource: str) -> tuple[str, int] | None:
    found = view.get(resource, namespace, reference["name"])
    if found is None or found["metadata"]["uid"] != reference["uid"]:
        return None
    return reference["uid"], found["spec"].get("replicas", 1)


def _asked_scale(
    reference: Object, namespace: str
) -> Generator[Sequence[Action], list[Outcome], tuple[str, int] | None]:
    """By the scale subresource, of any kind that has one."""
    (answer,) = yield [Discover()]
    assert isinstance(answer, dict)
    kind, group, version = reference["kind"], _group(reference), reference["apiVersion"]
    served = next((each for each in answer["resources"] if (each.kind, each.group) == (kind, group)), None)
    if served is None:
        raise Failed(f'no matches for kind "{kind}" in version "{version}"')
    (scale,) = yield [Read(served.named, namespace, reference["name"], "scale")]
    if isinstance(scale, ApiError):
        if scale.code != 404:
            raise Failed(str(scale)) from scale
        if not served.has_scale:
            raise Failed(f"{served.named} does not implement the scale subresource")
        return None
    assert isinstance(scale, dict)
    if scale["metadata"]["uid"] != reference["uid"]:
        return None
    return reference["uid"], (scale.get("spec") or {}).get("replicas", 0)


# -- pods on their way out ------------------------------------------------------------------------------------------
def _disrupted(
    budget: Object, pods: Iterable[Object], now_ms: int
) -> tuple[Mapping[str, str], int | None, list[Action]]:
    """Evicted pods that are not being deleted yet, when to look again, and events about those that should be gone."""
    before: Mapping[str, str] = (budget.get("status") or {}).get("disruptedPods") or {}
    found: dict[str, str] = {}
    again_ms: int | None = None
    told: list[Action] = []
    for pod in pods if before else ():
        name = pod["metadata"]["name"]
        if "deletionTimestamp" in pod["metadata"] or name not in before:
            continue
        left_ms = (ms_of(before[name]) or 0) + DELETION_MS - now_ms
        if left_ms < 0:
            namespace = budget["metadata"]["namespace"]  # upstream prints it for the name too
            message = f"Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't"
            told.append(Tell(pod, "Warning", "NotDeleted", message))
            continue
        again_ms = left_ms if again_ms is None else min(again_ms, left_ms)
        found[name] = before[name]
    return found, again_ms, told


def _stale_in_ms(pod: Object, now_ms: int) -> int | None:
    """When the condition that the pod is to be disrupted is stale; None where it has none."""
    found = podlib.condition(pod, "DisruptionTarget")
    if (
        found is None
        or found["status"] != "True"
        or found.get("reason") == "TerminationByKubelet"
        or "deletionTimestamp" in pod["metadata"]
        or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    ):
        return None
    return max(0, (ms_of(found.get("lastTransitionTime")) or 0) + STALE_MS - now_ms)


def _condition_cleared(key: Key, view: View, now_ms: int) -> Steps:
    pod = view.get("pods", key.namespace, key.name.removeprefix(POD))
    left_ms = None if pod is None else _stale_in_ms(pod, now_ms)
    if pod is None or left_ms is None or left_ms > 0:
        return left_ms
    new = {
        "type": "DisruptionTarget", "status": "False", "lastTransitionTime": text_of(now_ms),
        "observedGeneration": pod["metadata"].get("generation", 0),
    }  # fmt: skip
    conditions = [
        {**new, **({"lastProbeTime": each["lastProbeTime"]} if each.get("lastProbeTime") else {})}
        if each["type"] == "DisruptionTarget"
        else each
        for each in pod["status"]["conditions"]
    ]
    yield from must(Update("pods", {**pod, "status": {**pod["status"], "conditions": conditions}}, "status"))
    return None
