"""Jobs: pods until so many have succeeded, or too much has failed.

Each pod is counted once, by its finalizer: first its uid is written into the status, then the finalizer removed, then
the uid taken out and the count raised (KEP-2307).

Source: pkg/controller/job/job_controller.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers import job_indexes as indexes
from kcore.controllers import job_policies as policies
from kcore.controllers.contract import (
    Controller,
    Failed,
    Key,
    Later,
    Object,
    Steps,
    Tell,
    View,
    Watched,
)
from kcore.controllers.job_pods import deleted_all, kept_going
from kcore.controllers.job_round import (
    FINALIZER,
    RESOURCE,
    Round,
    condition_of,
    ensured,
    is_finished,
    made,
)
from kcore.controllers.job_tracking import tracked, without_finalizer
from kcore.controllers.owners import (
    by_controller,
    claim,
    controller_of,
    controller_reference,
    owned_or_orphaned,
    owner_key,
)
from kcore.controllers.selection import selector_of
from kcore.controllers.times import ms_of, text_of

OURS: Final = "kubernetes.io/job-controller"  # managedBy
LONE_POD: Final = "pod/"  # a key of this beginning is a pod that may have been left with the finalizer
BATCH_MS: Final = 100  # events of pods are waited for so long (SyncJobBatchPeriod; a second upstream)


class Job(Controller):
    """``job-controller``."""

    name: ClassVar = "job-controller"
    aliases: ClassVar = ("job",)
    component: ClassVar = "job-controller"

    def __init__(self) -> None:
        self._backoff: dict[Key, policies.Backoff] = {}

    @property
    def watches(self) -> Sequence[Watched]:
        """Jobs and pods."""
        return (
            Watched(RESOURCE, self._job_keys),
            Watched("pods", self._pod_keys, {"controller": by_controller}),
        )

    def _job_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key | Later]:
        job = new if new is not None else old
        assert job is not None
        metadata = job["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        if new is None or is_finished(new):
            selector = selector_of(job["spec"].get("selector"))
            for pod in owned_or_orphaned(view, "pods", job):
                if _has_finalizer(pod) and selector.matches(pod["metadata"].get("labels") or {}):
                    yield _lone(pod)
        if old is not None and new is not None:
            if old["metadata"].get("generation") == metadata.get("generation"):
                yield Later(key, BATCH_MS)
                return
        yield key

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key | Later]:
        pod = new if new is not None else old
        assert pod is not None
        found = {
            key
            for each in (old, new)
            if each is not None and (key := owner_key(each, view, RESOURCE, "Job", "batch")) is not None
        }
        yield from (Later(key, BATCH_MS) for key in found)
        own = owner_key(pod, view, RESOURCE, "Job", "batch")
        going = new is None or "deletionTimestamp" in new["metadata"]
        if controller_of(pod) is None:
            if new is not None and _has_finalizer(pod):
                yield _lone(pod)
            if not going:
                yield from self._matching(pod, view)
        elif going and new is not None and _has_finalizer(pod):
            job = None if own is None else view.get(RESOURCE, *own)
            if job is None or is_finished(job):
                yield _lone(pod)

    def _matching(self, pod: Object, view: View) -> Iterable[Later]:
        labels = pod["metadata"].get("labels")
        for job in view.list(RESOURCE, pod["metadata"]["namespace"]) if labels else ():
            selector = selector_of(job["spec"].get("selector"))
            if not selector.empty and selector.matches(labels):
                yield Later(Key(job["metadata"]["namespace"], job["metadata"]["name"]), BATCH_MS)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """Pods are made or deleted, finished ones counted, and the job ends when it is to."""
        if key.name.startswith(LONE_POD):
            yield from _let_go(key, view)
            return None
        job = view.get(RESOURCE, *key)
        if job is None or is_finished(job):
            self._backoff.pop(key, None)
            return None
        if job["spec"].get("managedBy") not in (None, OURS):
            return None
        if job["spec"].get("completionMode") not in (None, "NonIndexed", "Indexed"):
            text = "Skipped Job sync because completion mode is unknown"
            yield [Tell(job, "Warning", "UnknownCompletionMode", text)]
            return None
        pods = yield from claim(
            job, owned_or_orphaned(view, "pods", job), selector_of(job["spec"].get("selector")).matches,
            resource="pods", owner_resource=RESOURCE, reference=controller_reference("batch/v1", "Job", job),
            finalizers=(FINALIZER,),
        )  # fmt: skip
        it = Round(job, [_as_adopted(pod, job) for pod in pods], now_ms)
        if it.status.get("startTime") is None and not it.suspended:
            it.status["startTime"] = it.now
        it.backoff = policies.backoff(self._backoff.get(key, policies.Backoff()), *it.new_finished())
        _decide_end(it)
        if it.indexed:
            _decide_by_indexes(it)
        if it.end is not None:
            yield from _ending(it)
        else:
            yield from _going_on(it)
        it.set_counts()
        yield from tracked(it, lambda: self._backoff.__setitem__(key, it.backoff))
        if it.failure is not None:
            raise Failed(str(it.failure)) from it.failure
        return it.again_ms


def _lone(pod: Object) -> Key:
    return Key(pod["metadata"]["namespace"], LONE_POD + pod["metadata"]["name"])


def _has_finalizer(pod: Object) -> bool:
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def _as_adopted(pod: Object, job: Object) -> Object:
    """With the finalizer, if this round has adopted it."""
    metadata = pod["metadata"]
    if _has_finalizer(pod) or controller_of(pod) is not None:
        return pod
    return {**pod, "metadata": {**metadata, "finalizers": [*(metadata.get("finalizers") or ()), FINALIZER]}}


def _let_go(key: Key, view: View) -> Steps:
    """A pod that no unfinished job of ours controls loses the finalizer."""
    pod = view.get("pods", key.namespace, key.name.removeprefix(LONE_POD))
    if pod is None or not _has_finalizer(pod):
        return None
    reference = controller_of(pod)
    if reference is not None:
        if reference["kind"] != "Job" or reference["apiVersion"] != "batch/v1":
            return None
        owner = owner_key(pod, view, RESOURCE, "Job", "batch")
        job = None if owner is None else view.get(RESOURCE, *owner)
        if job is not None and (job["spec"].get("managedBy") not in (None, OURS) or not is_finished(job)):
            return None
    (outcome,) = yield [without_finalizer(pod)]
    if isinstance(outcome, ApiError) and outcome.code != 404:
        raise Failed(str(outcome)) from outcome
    return None


def _decide_end(it: Round) -> None:
    """Whether the job ends, by its conditions, its policy, its limits and its deadline."""
    spec, conditions = it.spec, it.status["conditions"]
    met = condition_of(conditions, "SuccessCriteriaMet")
    if met is not None and met["status"] == "True":
        it.end = met
        return
    failing = condition_of(conditions, "FailureTarget")
    if failing is not None and failing["status"] == "True":
        it.end = made("Failed", "True", failing.get("reason", ""), failing.get("message", ""), it.now)
        return
    if spec.get("podFailurePolicy") is not None:
        for pod in it.pods:
            message = policies.verdict(spec["podFailurePolicy"], pod).message if it.failed(pod) else None
            if message is not None:
                it.end = made("FailureTarget", "True", "PodFailurePolicy", message, it.now)
                return
    if it.failed_count > it.backoff_limit or _restarted_too_often(it):
        it.fail("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        return
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is None or it.suspended:
        return
    left_ms = (ms_of(it.status.get("startTime")) or it.now_ms) + deadline * 1000 - it.now_ms
    if left_ms <= 0:
        it.fail("DeadlineExceeded", "Job was active longer than specified deadline")
    else:
        it.look_again(left_ms)


def _restarted_too_often(it: Round) -> bool:
    """Containers of pods that restart them have failed as often as pods may."""
    if it.spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    count: int = sum(
        container.get("restartCount", 0)
        for pod in it.pods
        if (status := pod.get("status") or {}).get("phase") in ("Running", "Pending")
        for kind in ("initContainerStatuses", "containerStatuses")
        for container in status.get(kind) or ()
    )
    return count > 0 if it.backoff_limit == 0 else count >= it.backoff_limit


def _decide_by_indexes(it: Round) -> None:
    completions: int = it.spec["completions"]
    it.indexes_succeeded_before = indexes.parsed(it.status.get("completedIndexes", ""), completions)
    it.indexes_succeeded = indexes.with_indexes(
        it.indexes_succeeded_before,
        [indexes.index_of(pod) for pod in it.counted_pods() if pod["status"].get("phase") == "Succeeded"],
    )
    it.succeeded_count = indexes.total(it.indexes_succeeded)
    if it.per_index:
        before = indexes.parsed(it.status.get("failedIndexes") or "", completions)
        failed = [indexes.index_of(pod) for pod in it.counted_pods() if it.index_failed(pod)]
        it.indexes_failed = indexes.with_indexes(before, failed)
        count = indexes.total(it.indexes_failed)
        most = it.spec.get("maxFailedIndexes")
        if it.end is None and most is not None and count > most:
            text = "Job has exceeded the specified maximal number of failed indexes"
            it.fail("MaxFailedIndexesExceeded", text)
        elif it.end is None and count and count + it.succeeded_count >= completions:
            it.fail("FailedIndexes", "Job has failed indexes")
        it.find_delayed()
    if it.end is None:
        message = policies.success(it.spec.get("successPolicy"), completions, it.indexes_succeeded)
        if message is not None:
            it.end = made("SuccessCriteriaMet", "True", "SuccessPolicy", message, it.now)


def _ending(it: Round) -> Steps:
    """No pod goes on."""
    count = len(it.active)
    removed = yield from deleted_all(it, it.active, removes_finalizer=False)
    if removed != count:
        it.end = None
    return None


def _going_on(it: Round) -> Steps:
    """Pods are made or deleted; the job may be complete, suspended or resumed."""
    managed = "deletionTimestamp" not in it.job["metadata"]
    if managed:
        yield from kept_going(it)
    completions = it.spec.get("completions")
    enough = it.succeeded_count > 0 if completions is None else it.succeeded_count >= completions
    if enough and not it.active_count:
        text = "Reached expected number of succeeded pods"
        it.end = made("SuccessCriteriaMet", "True", "CompletionsReached", text, it.now)
        return None
    if not managed:
        return None
    told = (
        ("True", "JobSuspended", "Job suspended") if it.suspended else ("False", "JobResumed", "Job resumed")
    )
    conditions = ensured(it.status["conditions"], "Suspended", *told, it.now)
    if conditions is not None:
        it.status["conditions"] = conditions
        it.needs_flush = True
        if it.suspended:
            it.status.pop("startTime", None)
        else:
            it.status["startTime"] = text_of(it.now_ms)
        yield [Tell(it.job, "Normal", told[1].removeprefix("Job"), told[2])]
    return None
