"""A job's finished pods are counted, each once, and it finishes when all are.

Source: trackJobStatusAndRemoveFinalizers and what it calls in pkg/controller/job/job_controller.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Final

from kcore.api.status import ApiError
from kcore.controllers import job_indexes as indexes
from kcore.controllers.contract import Action, Failed, Object, Outcome, Patch, Steps, Tell, Update, must
from kcore.controllers.job_round import FINALIZER, RESOURCE, Round, condition_of, ensured, made

UNCOUNTED_MAX: Final = 500  # pods that one update of the status takes in (MaxUncountedPods)


def without_finalizer(pod: Object) -> Patch:
    """The patch by which it loses the finalizer."""
    metadata = pod["metadata"]
    body = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
    return Patch("pods", metadata["namespace"], metadata["name"], body, "strategic")


def tracked(it: Round, remember_backoff: Callable[[], None]) -> Steps:
    """What has finished is counted; the status is written where anything is new."""
    held = {
        pod["metadata"]["uid"] for pod in it.pods if FINALIZER in (pod["metadata"].get("finalizers") or ())
    }
    it.needs_flush |= _count_those_without(it, held)
    going, reached_most = _taken_in(it, held)
    if it.indexed:
        _set_indexes(it)
    _end_announced(it)
    if it.needs_flush:
        yield from _write(it)
        remember_backoff()
    failure = yield from _finalizers_removed(it, going, held)
    it.needs_flush = _count_those_without(it, held)
    if failure is not None:
        if it.needs_flush:
            yield from _write(it)
        raise Failed(str(failure)) from failure
    finished = not reached_most and _is_finished_now(it)
    if finished or it.needs_flush:
        yield from _write(it)
    if finished:
        yield _told_of_end(it)
    elif reached_most:
        it.look_again(0)
    return None


def _write(it: Round) -> Generator[Sequence[Action], list[Outcome], None]:
    it.take_status((yield from must(Update(RESOURCE, it.written(), "status"))))
    it.needs_flush = False


def _count_those_without(it: Round, held: set[str]) -> bool:
    """Uncounted pods that have lost the finalizer count from now on; whether there were any."""
    found = False
    for kind, uids in it.uncounted.items():
        kept = [uid for uid in uids if uid in held]
        if len(kept) != len(uids):
            found = True
            it.status[kind] = it.status.get(kind, 0) + len(uids) - len(kept)
            it.uncounted[kind] = kept
    return found


def _can_let_go(it: Round, pod: Object, failed: bool) -> bool:
    if "deletionTimestamp" in it.job["metadata"] or it.end is not None:
        return True
    if (pod.get("status") or {}).get("phase") == "Succeeded":
        return True
    if not failed:
        return False
    delayed = it.delayed.get(indexes.index_of(pod)) if it.per_index else None
    return delayed is None or delayed["metadata"]["uid"] != pod["metadata"]["uid"]


def _taken_in(it: Round, held: set[str]) -> tuple[list[Object], bool]:
    """Pods whose finalizer can go, now that the status is to tell of them; whether more are left for the next round."""
    going: list[Object] = []
    new_indexes: list[int] = []
    reached_most = False
    pods = sorted(it.pods, key=indexes.index_of) if it.indexed else it.pods
    for pod in pods:
        uid, failed = pod["metadata"]["uid"], it.failed(pod)
        if uid not in held or not _can_let_go(it, pod, failed):
            continue
        going.append(pod)
        if (pod.get("status") or {}).get("phase") == "Succeeded" and uid not in it.known["failed"]:
            index = indexes.index_of(pod)
            if not it.indexed:
                if uid not in it.known["succeeded"]:
                    it.needs_flush = True
                    it.uncounted["succeeded"].append(uid)
            elif it.is_counted(pod) and not indexes.has(it.indexes_succeeded_before, index):
                new_indexes.append(index)
                it.needs_flush = True
        elif failed or (it.end is not None and it.end["type"] != "SuccessCriteriaMet"):
            if uid not in it.known["failed"] and it.is_counted(pod) and it.counts_as_failure(pod):
                it.needs_flush = True
                it.uncounted["failed"].append(uid)
        if len(new_indexes) + sum(map(len, it.uncounted.values())) >= UNCOUNTED_MAX:
            reached_most = True
            break
    it.indexes_succeeded = indexes.with_indexes(it.indexes_succeeded, new_indexes)
    return going, reached_most


def _set_indexes(it: Round) -> None:
    text = indexes.text_of(it.indexes_succeeded)
    if text != it.status.get("completedIndexes", ""):
        it.needs_flush = True
    it.status["completedIndexes"] = text
    it.status["succeeded"] = indexes.total(it.indexes_succeeded)
    failed = indexes.text_of(it.indexes_failed) if it.per_index else None
    if failed != it.status.get("failedIndexes"):
        it.needs_flush = True
        it.status["failedIndexes"] = failed


def _end_announced(it: Round) -> None:
    """The status says that it is going to end before the finalizers go; the end itself is for later."""
    if it.end is None or it.end["type"] not in ("FailureTarget", "SuccessCriteriaMet"):
        return
    end = it.end
    fails = end["type"] == "FailureTarget"
    if fails or condition_of(it.status["conditions"], end["type"]) is None:
        it.status["conditions"] = [*it.status["conditions"], end]
        it.needs_flush = True
    kind = "Failed" if fails else "Complete"
    it.end = made(kind, "True", end.get("reason", ""), end.get("message", ""), it.now)


def _finalizers_removed(
    it: Round, going: Sequence[Object], held: set[str]
) -> Generator[Sequence[Action], list[Outcome], ApiError | None]:
    failure = None
    outcomes = yield [without_finalizer(pod) for pod in going]
    for pod, outcome in zip(going, outcomes, strict=True):
        if isinstance(outcome, ApiError) and outcome.code != 404:
            failure = failure or outcome
        else:
            held.discard(pod["metadata"]["uid"])
    return failure


def _is_finished_now(it: Round) -> bool:
    """Every pod is counted and gone: it is Complete or Failed."""
    if it.end is None or any(it.uncounted.values()) or it.terminating_count > 0:
        return False
    end = it.end
    conditions = ensured(
        it.status["conditions"], end["type"], end["status"], end["reason"], end["message"], it.now
    )
    if conditions is not None:
        it.status["conditions"] = conditions
    if end["type"] == "Complete":
        it.status["completionTime"] = end["lastTransitionTime"]
    return True


def _told_of_end(it: Round) -> list[Action]:
    end, job = it.end, it.job
    assert end is not None
    if end["type"] != "Complete":
        return [Tell(job, "Warning", end["reason"], end["message"])]
    told: list[Action] = []
    completions = it.spec.get("completions")
    if completions is not None and it.status.get("succeeded", 0) > completions:
        text = "Too many succeeded pods running after completion count reached"
        told.append(Tell(job, "Warning", "TooManySucceededPods", text))
    return [*told, Tell(job, "Normal", "Completed", "Job completed")]
