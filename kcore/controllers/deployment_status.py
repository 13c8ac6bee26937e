"""What a deployment says of itself.

Source: pkg/controller/deployment/sync.go (calculateStatus), progress.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kcore.controllers.contract import Object
from kcore.controllers.deployment_sizes import INT32_MAX, counted, max_unavailable, total, wanted
from kcore.controllers.times import ms_of, text_of

PROGRESSING: Final = "Progressing"
AVAILABLE: Final = "Available"
FAILURE: Final = "ReplicaFailure"
COMPLETE: Final = "NewReplicaSetAvailable"
UPDATED: Final = "ReplicaSetUpdated"
TIMED_OUT: Final = "ProgressDeadlineExceeded"
PAUSED: Final = "DeploymentPaused"
RESUMED: Final = "DeploymentResumed"
CREATED: Final = "NewReplicaSetCreated"
FOUND: Final = "FoundNewReplicaSet"
NOT_CREATED: Final = "ReplicaSetCreateError"


def deadline_seconds(deployment: Object) -> int | None:
    """How long it may make no progress; None where for ever."""
    found: int | None = deployment["spec"].get("progressDeadlineSeconds")
    return None if found is None or found == INT32_MAX else found


def condition(status: Object, kind: str) -> Object | None:
    """The condition of that type."""
    for found in status.get("conditions") or ():
        if found["type"] == kind:
            made: Object = found
            return made
    return None


def made(kind: str, status: str, reason: str, message: str, now: str) -> Object:
    """A condition."""
    return {
        "type": kind, "status": status, "lastUpdateTime": now, "lastTransitionTime": now, "reason": reason,
        "message": message,
    }  # fmt: skip


def with_condition(status: Object, new: Object) -> Object:
    """The status with that condition; as it was where it has one of that status and reason."""
    old = condition(status, new["type"])
    if old is not None and old["status"] == new["status"]:
        if old.get("reason") == new["reason"]:
            return status
        new = {**new, "lastTransitionTime": old.get("lastTransitionTime")}
    return {**status, "conditions": [*_others(status, new["type"]), new]}


def without_condition(status: Object, kind: str) -> Object:
    """The status without it."""
    if condition(status, kind) is None:
        return status
    conditions = _others(status, kind)
    kept = {key: value for key, value in status.items() if key != "conditions"}
    return {**kept, "conditions": conditions} if conditions else kept


def _others(status: Object, kind: str) -> list[Object]:
    return [found for found in status.get("conditions") or () if found["type"] != kind]


def calculated(deployment: Object, every: Sequence[Object], new: Object | None, now: str) -> Object:
    """The status that the replica sets add up to."""
    before = deployment.get("status") or {}
    available = counted(every, "availableReplicas")
    counts = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": counted(every, "replicas"),
        "updatedReplicas": counted((new,), "replicas") if new is not None else 0,
        "readyReplicas": counted(every, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total(every) - available),
    }
    status: Object = {name: count for name, count in counts.items() if count}
    terminating = [(each.get("status") or {}).get("terminatingReplicas", 0) for each in every]
    status["terminatingReplicas"] = sum(terminating)
    for name in ("collisionCount", "conditions"):
        if before.get(name) is not None:
            status[name] = before[name]
    if available >= wanted(deployment) - max_unavailable(deployment):
        found = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        found = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return with_condition(status, made(AVAILABLE, *found, now))


def is_complete(deployment: Object, status: Object) -> bool:
    """All pods are new and available, and no other is left."""
    count = wanted(deployment)
    return all(
        status.get(name, 0) == count for name in ("updatedReplicas", "replicas", "availableReplicas")
    ) and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)


def _is_progressing(before: Object, status: Object) -> bool:
    def old_pods(one: Object) -> int:
        return int(one.get("replicas", 0) - one.get("updatedReplicas", 0))

    return (
        status.get("updatedReplicas", 0) > before.get("updatedReplicas", 0)
        or old_pods(status) < old_pods(before)
        or status.get("readyReplicas", 0) > before.get("readyReplicas", 0)
        or status.get("availableReplicas", 0) > before.get("availableReplicas", 0)
    )


def is_timed_out(deployment: Object, status: Object, now_ms: int) -> bool:
    """It has made no progress for too long."""
    seconds, found = deadline_seconds(deployment), condition(status, PROGRESSING)
    if seconds is None or found is None or found.get("reason") == COMPLETE:
        return False
    if found.get("reason") == TIMED_OUT:
        return True
    return (ms_of(found.get("lastUpdateTime")) or 0) + seconds * 1000 < now_ms


def rolled_out(deployment: Object, every: Sequence[Object], new: Object | None, now_ms: int) -> Object:
    """The status amid a rollout: with its progress, and what keeps replica sets from having their pods."""
    now = text_of(now_ms)
    status = calculated(deployment, every, new, now)
    before = deployment.get("status") or {}
    current = condition(before, PROGRESSING)
    if deadline_seconds(deployment) is None:
        status = without_condition(status, PROGRESSING)
    elif not (
        status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and current is not None
        and current.get("reason") == COMPLETE
    ):
        status = _with_progress(deployment, status, new, now_ms)
    failures = [
        found
        for each in ([new] if new is not None else []) + list(every)
        for found in (each.get("status") or {}).get("conditions") or ()
        if found["type"] == FAILURE
    ]
    if not failures:
        return without_condition(status, FAILURE)
    first = failures[0]
    return with_condition(status, {**first, "lastUpdateTime": first.get("lastTransitionTime")})


def _with_progress(deployment: Object, status: Object, new: Object | None, now_ms: int) -> Object:
    now = text_of(now_ms)
    before = deployment.get("status") or {}
    who = (
        f'Deployment "{deployment["metadata"]["name"]}"'
        if new is None
        else f'ReplicaSet "{new["metadata"]["name"]}"'
    )
    if is_complete(deployment, status):
        return with_condition(
            status, made(PROGRESSING, "True", COMPLETE, f"{who} has successfully progressed.", now)
        )
    if _is_progressing(before, status):
        found = made(PROGRESSING, "True", UPDATED, f"{who} is progressing.", now)
        current = condition(before, PROGRESSING)
        if current is not None:
            if current["status"] == "True":
                found["lastTransitionTime"] = current.get("lastTransitionTime")
            status = without_condition(status, PROGRESSING)
        return with_condition(status, found)
    if is_timed_out(deployment, status, now_ms):
        return with_condition(
            status, made(PROGRESSING, "False", TIMED_OUT, f"{who} has timed out progressing.", now)
        )
    return status


def check_again_ms(deployment: Object, status: Object, now_ms: int) -> int | None:
    """When to look whether it is stuck; None where it cannot be."""
    seconds, found = deadline_seconds(deployment), condition(deployment.get("status") or {}, PROGRESSING)
    if (
        seconds is None
        or found is None
        or is_complete(deployment, status)
        or found.get("reason") == TIMED_OUT
    ):
        return None
    after_ms = (ms_of(found.get("lastUpdateTime")) or now_ms) + seconds * 1000 - now_ms
    return max(0, after_ms) + 1000
