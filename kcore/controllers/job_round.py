"""One look at a job: its pods, its status as it is becoming, what has been found out.

Source: syncJobCtx and syncJob of pkg/controller/job/job_controller.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from kcore.api.status import ApiError
from kcore.controllers import job_indexes as indexes
from kcore.controllers import job_policies as policies
from kcore.controllers import pods as podlib
from kcore.controllers.contract import Object
from kcore.controllers.times import text_of

RESOURCE: Final = "jobs.batch"
FINALIZER: Final = "batch.kubernetes.io/job-tracking"


def condition_of(conditions: Iterable[Object], kind: str) -> Object | None:
    """The condition of that type."""
    return next((found for found in conditions if found["type"] == kind), None)


def is_finished(job: Object) -> bool:
    """Complete or Failed."""
    return any(
        found["type"] in ("Complete", "Failed") and found["status"] == "True"
        for found in (job.get("status") or {}).get("conditions") or ()
    )


def made(kind: str, status: str, reason: str, message: str, now: str) -> Object:
    """A condition."""
    return {
        "type": kind, "status": status, "lastProbeTime": now, "lastTransitionTime": now, "reason": reason,
        "message": message,
    }  # fmt: skip


def ensured(
    conditions: Sequence[Object], kind: str, status: str, reason: str, message: str, now: str
) -> list[Object] | None:
    """With that condition; None where nothing is new, as also where one that is not there is to be False."""
    new = made(kind, status, reason, message, now)
    old = condition_of(conditions, kind)
    if old is None:
        return None if status == "False" else [*conditions, new]
    if (old["status"], old.get("reason", ""), old.get("message", "")) == (status, reason, message):
        return None
    return [new if found is old else found for found in conditions]


class Round:
    """See the module. ``status`` and ``uncounted`` are this round's own copies."""

    def __init__(self, job: Object, pods: Sequence[Object], now_ms: int) -> None:
        self.job = job
        self.spec: Object = job["spec"]
        self.pods = list(pods)
        self.now_ms = now_ms
        self.now = text_of(now_ms)
        self.status: dict[str, Any] = {}
        self.uncounted: dict[str, list[str]] = {}
        self.take_status(job)
        self.indexed = self.spec.get("completionMode") == "Indexed"
        self.per_index = self.spec.get("backoffLimitPerIndex") is not None
        self.suspended = bool(self.spec.get("suspend"))
        self.backoff_limit: int = self.spec.get("backoffLimit", 6)
        self.only_failed_replaced = (
            self.spec.get("podReplacementPolicy") == "Failed" or self.spec.get("podFailurePolicy") is not None
        )
        self.active = [pod for pod in self.pods if podlib.is_active(pod)]
        self.active_count = len(self.active)
        self.ready_count = sum(map(podlib.is_ready, self.active))
        self.terminating_count = sum(map(podlib.is_terminating, self.pods))
        self.indexes_succeeded: indexes.Intervals = ()
        self.indexes_succeeded_before: indexes.Intervals = ()
        self.indexes_failed: indexes.Intervals = ()
        self.delayed: dict[
            int, Object
        ] = {}  # by index, the failed pod that is kept until another takes its place
        self.known = {kind: frozenset(uids) for kind, uids in self.uncounted.items()}
        succeeded, failed = self.new_finished()
        self.succeeded_count = (
            self.status.get("succeeded", 0) + len(succeeded) + len(self.uncounted["succeeded"])
        )
        self.failed_count = (
            self.status.get("failed", 0)
            + sum(self.counts_as_failure(pod) for pod in failed)
            + len(self.uncounted["failed"])
        )
        self.backoff = policies.Backoff()
        self.end: Object | None = None  # the condition by which it ends
        self.needs_flush = False
        self.failure: ApiError | None = None
        self.again_ms: int | None = None

    def take_status(self, job: Object) -> None:
        """The job is that, as the server has it."""
        self.job = job
        self.status = dict(job.get("status") or {})
        self.status["conditions"] = list(self.status.get("conditions") or ())
        uncounted = self.status.get("uncountedTerminatedPods") or {}
        self.uncounted = {kind: list(uncounted.get(kind) or ()) for kind in ("succeeded", "failed")}

    def written(self) -> Object:
        """The job with the status as it is to be written."""
        status = {
            name: value
            for name, value in self.status.items()
            if name in ("ready", "terminating", "failedIndexes") or value
        }
        status["uncountedTerminatedPods"] = {kind: uids for kind, uids in self.uncounted.items() if uids}
        return {**self.job, "status": status}

    def look_again(self, after_ms: int) -> None:
        """Not later than after so long."""
        self.again_ms = after_ms if self.again_ms is None else min(self.again_ms, after_ms)

    def fail(self, reason: str, message: str) -> None:
        """It ends by failing."""
        self.end = made("FailureTarget", "True", reason, message, self.now)

    def failed(self, pod: Object) -> bool:
        """A pod that is being deleted has failed, but for jobs that wait until it has."""
        phase = (pod.get("status") or {}).get("phase")
        if phase == "Failed":
            return True
        return (
            not self.only_failed_replaced and "deletionTimestamp" in pod["metadata"] and phase != "Succeeded"
        )

    def counts_as_failure(self, pod: Object) -> bool:
        """The policy does not ignore it."""
        return policies.verdict(self.spec.get("podFailurePolicy"), pod).counts

    def index_failed(self, pod: Object) -> bool:
        """It was the last that its index had."""
        if not self.failed(pod):
            return False
        found = policies.verdict(self.spec.get("podFailurePolicy"), pod)
        if found.action == "FailIndex":
            return True
        return found.counts and indexes.failures(pod) >= self.spec["backoffLimitPerIndex"]

    def is_counted(self, pod: Object) -> bool:
        """Its index, in an indexed job, is one of the job's."""
        if not self.indexed:
            return True
        index, completions = indexes.index_of(pod), int(self.spec["completions"])
        return index != indexes.UNKNOWN and index < completions

    def counted_pods(self) -> list[Object]:
        """Those with the finalizer and a valid index."""
        return [
            pod
            for pod in self.pods
            if FINALIZER in (pod["metadata"].get("finalizers") or ()) and self.is_counted(pod)
        ]

    def new_finished(self) -> tuple[list[Object], list[Object]]:
        """Pods that have succeeded, and failed, that the status does not know of yet."""
        pods = self.counted_pods()
        return (
            [
                pod
                for pod in pods
                if pod["metadata"]["uid"] not in self.known["succeeded"]
                and (pod.get("status") or {}).get("phase") == "Succeeded"
            ],
            [pod for pod in pods if pod["metadata"]["uid"] not in self.known["failed"] and self.failed(pod)],
        )

    def find_delayed(self) -> None:
        """Of each index that is to be tried again, the pod that failed last."""
        active = indexes.indexes_of(self.active)
        for pod in self.counted_pods():
            index = indexes.index_of(pod)
            if not self.failed(pod) or not policies.is_delayed(
                index, self.indexes_succeeded, self.indexes_failed, active
            ):
                continue
            before = self.delayed.get(index)
            if before is None or (
                indexes.absolute_failures(before) <= indexes.absolute_failures(pod)
                and policies.finished_ms(pod) >= policies.finished_ms(before)
            ):
                self.delayed[index] = pod

    def set_counts(self) -> None:
        """Active, ready and terminating pods are in the status."""
        counts = {
            "active": self.active_count,
            "ready": self.ready_count,
            "terminating": self.terminating_count,
        }
        before = (self.status.get("active", 0), self.status.get("ready"), self.status.get("terminating"))
        if tuple(counts.values()) != before:
            self.needs_flush = True
        self.status |= counts
