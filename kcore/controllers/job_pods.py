"""A job's pods are made and deleted.

Source: manageJob, deleteActivePods, deleteJobPods of pkg/controller/job/job_controller.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Final

from kcore.api.status import ApiError
from kcore.controllers import job_indexes as indexes
from kcore.controllers import job_policies as policies
from kcore.controllers import pods as podlib
from kcore.controllers.contract import (
    Action,
    Object,
    Outcome,
    Steps,
)
from kcore.controllers.job_round import FINALIZER, Round
from kcore.controllers.job_tracking import without_finalizer
from kcore.controllers.owners import controller_reference
from kcore.controllers.pod_writes import created, deleted

BURST: Final = 500  # pods created or deleted in one round (MaxPodCreateDeletePerSync)


def deleted_all(
    it: Round, pods: Sequence[Object], *, removes_finalizer: bool
) -> Generator[Sequence[Action], list[Outcome], int]:
    """The pods are deleted; how many were, or are not there any more."""
    refused: dict[str, ApiError] = {}
    if removes_finalizer:
        held = [pod for pod in pods if FINALIZER in (pod["metadata"].get("finalizers") or ())]
        outcomes = yield [without_finalizer(pod) for pod in held]
        refused = {
            pod["metadata"]["uid"]: outcome
            for pod, outcome in zip(held, outcomes, strict=True)
            if isinstance(outcome, ApiError)
        }
    going = [pod for pod in pods if pod["metadata"]["uid"] not in refused]
    gone = yield from deleted(it.job, going)
    failures = [error for error in refused.values() if error.code != 404]
    removed = gone.pod_count + len(refused) - len(failures)
    it.active_count -= removed
    it.terminating_count += removed
    it.ready_count -= sum(map(podlib.is_ready, going))
    it.failure = failures[0] if failures else gone.failure
    return removed


def kept_going(it: Round) -> Steps:
    """There are as many active pods as there should be, or one step of at most BURST is done towards that."""
    if it.suspended:
        yield from deleted_all(it, _for_removal(it, it.active_count), removes_finalizer=True)
        return None
    wanted = _wanted(it)
    going = _for_removal(it, max(0, it.active_count - wanted))[:BURST]
    if going:
        yield from deleted_all(it, going, removes_finalizer=True)
        return None
    missing = wanted - it.active_count - (it.terminating_count if it.only_failed_replaced else 0)
    if missing <= 0:
        return None
    left_ms = 0 if it.per_index else it.backoff.left_ms(it.now_ms)
    numbers: list[int] = []
    if not left_ms and it.indexed:
        numbers = indexes.first_pending(_taken(it), min(missing, BURST), it.spec["completions"])
        if it.per_index:
            numbers, left_ms = _ready_indexes(it, numbers)
    if left_ms > 0:
        it.active_count = 0  # as upstream says then
        it.look_again(left_ms)
        return None
    made = yield from created(it.job, _new_pods(it, min(missing, BURST), numbers))
    it.active_count += made.pod_count
    it.failure = made.failure
    return None


def _wanted(it: Round) -> int:
    parallelism: int = it.spec.get("parallelism", 1)
    completions = it.spec.get("completions")
    if completions is None:
        return it.active_count if it.succeeded_count > 0 else parallelism
    missing: int = int(completions) - it.succeeded_count
    return max(0, min(missing, parallelism))


def _for_removal(it: Round, at_least: int) -> list[Object]:
    """Pods whose index is none of the job's or has another pod, and then the least useful."""
    going: list[Object] = []
    left: list[Object] = list(it.active)
    if it.indexed:
        by_index: dict[int, list[Object]] = {}
        for pod in it.active:
            by_index.setdefault(indexes.index_of(pod), []).append(pod)
        left = []
        for index, pods in sorted(by_index.items()):
            if index == indexes.UNKNOWN or index >= it.spec["completions"]:
                going += pods
            else:
                ordered = podlib.active_order(pods) if len(pods) > 1 else pods
                going += ordered[:-1]
                left.append(ordered[-1])
    if len(going) < at_least:
        going += podlib.active_order(left)[: at_least - len(going)]
    return going


def _taken(it: Round) -> indexes.Intervals:
    taken = indexes.with_indexes(it.indexes_succeeded, indexes.indexes_of(it.active))
    if it.only_failed_replaced:
        taken = indexes.with_indexes(taken, indexes.indexes_of(filter(podlib.is_terminating, it.pods)))
    return indexes.merged(taken, it.indexes_failed)


def _ready_indexes(it: Round, numbers: Iterable[int]) -> tuple[list[int], int]:
    """Those that wait no longer; where there is none, how long it takes until there is."""
    waits = {}
    for number in numbers:
        before = it.delayed.get(number)
        earlier = 0 if before is None else indexes.absolute_failures(before)
        waits[number] = policies.index_waiting_ms(before, earlier, it.now_ms)
    now = [number for number, left_ms in waits.items() if not left_ms]
    return now, 0 if now else min(waits.values(), default=0)


def _new_pods(it: Round, count: int, numbers: Sequence[int]) -> list[Object]:
    pod = podlib.from_template(it.spec["template"], it.job, controller_reference("batch/v1", "Job", it.job))
    finalizers = pod["metadata"].get("finalizers") or []
    if FINALIZER not in finalizers:
        pod["metadata"]["finalizers"] = [*finalizers, FINALIZER]
    if not it.indexed:
        return [pod] * count
    name = it.job["metadata"]["name"]
    return [indexes.numbered(pod, name, number, _failure_counts(it, number)) for number in numbers]


def _failure_counts(it: Round, number: int) -> dict[str, str]:
    """Annotations that tell a pod how often its index has failed."""
    if not it.per_index:
        return {}
    before = it.delayed.get(number)
    if before is None:
        return {indexes.FAILURES: "0"}
    counts = it.counts_as_failure(before)
    ignored = indexes.ignored_failures(before) + (not counts)
    found = {indexes.FAILURES: str(indexes.failures(before) + counts)}
    return found | ({indexes.IGNORED_FAILURES: str(ignored)} if ignored else {})
