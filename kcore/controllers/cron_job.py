"""Cron jobs: a job at each time that is due.

Source: pkg/controller/cronjob/cronjob_controllerv2.go, utils.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, NamedTuple

from kcore.api.kinds.schedules import schedule_problem
from kcore.api.status import ApiError
from kcore.controllers.contract import (
    Controller,
    Create,
    Delete,
    Failed,
    Key,
    Object,
    Read,
    Steps,
    Tell,
    Update,
    View,
    Watched,
    must,
)
from kcore.controllers.cron_schedules import Schedule, schedule_of, zone_of
from kcore.controllers.job_round import RESOURCE as JOBS
from kcore.controllers.job_round import is_finished
from kcore.controllers.owners import controller_of, controller_reference, owner_key
from kcore.controllers.refusals import is_terminating
from kcore.controllers.times import ms_of, text_of

RESOURCE: Final = "cronjobs.batch"
SCHEDULED: Final = "batch.kubernetes.io/cronjob-scheduled-timestamp"
NEXT_MS: Final = 100  # so long after a due time it is looked at (nextScheduleDelta)
MANY_MISSED: Final = 100


class CronJob(Controller):
    """``cronjob-controller``."""

    name: ClassVar = "cronjob-controller"
    aliases: ClassVar = ("cronjob",)
    component: ClassVar = "cronjob-controller"

    def __init__(self) -> None:
        self._rescheduled: set[Key] = set()  # what was due by a new schedule before it was given is not

    @property
    def watches(self) -> Sequence[Watched]:
        """Cron jobs and jobs, these by the name of their controller."""
        return (
            Watched(RESOURCE, self._own_keys),
            Watched(JOBS, self._job_keys, {"cron job": _by_cron_job}),
        )

    def _own_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        obj = new if new is not None else old
        assert obj is not None
        key = Key(obj["metadata"]["namespace"], obj["metadata"]["name"])
        if old is not None and new is not None:
            before, after = old["spec"], new["spec"]
            if any(before.get(name) != after.get(name) for name in ("schedule", "timeZone")):
                self._rescheduled.add(key)
        yield key

    def _job_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        return {
            key
            for job in (old, new)
            if job is not None and (key := owner_key(job, view, RESOURCE, "CronJob", "batch")) is not None
        }

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """Old jobs go, the status says which are active, and a job is made where one is due."""
        rescheduled = key in self._rescheduled
        self._rescheduled.discard(key)
        cron_job = view.get(RESOURCE, *key)
        if cron_job is None:
            return None
        it = Round(cron_job, view.by(JOBS, "cron job", f"{key.namespace}/{key.name}"), now_ms)
        yield from _old_jobs_removed(it)
        failure = None
        try:
            again_ms = yield from _synced(it, rescheduled)
        except Failed as error:
            again_ms, failure = None, error
        if it.is_new:
            yield from must(Update(RESOURCE, it.written(), "status"))
        if failure is not None:
            raise failure
        return again_ms


def _by_cron_job(job: Object) -> Iterable[str]:
    reference = controller_of(job)
    return () if reference is None else (f"{job['metadata']['namespace']}/{reference['name']}",)


class Round:
    """One look at a cron job: its jobs, its status as it is becoming."""

    def __init__(self, cron_job: Object, jobs: Sequence[Object], now_ms: int) -> None:
        self.cron_job = cron_job
        self.spec: Object = cron_job["spec"]
        self.jobs = jobs
        self.now_ms = now_ms
        self.is_new = False
        self.status: dict[str, Any] = {}
        self.active: list[Object] = []
        self.take_status(cron_job)

    def take_status(self, cron_job: Object) -> None:
        """That is what the server has of it."""
        self.cron_job = cron_job
        self.status = dict(cron_job.get("status") or {})
        self.active = list(self.status.get("active") or ())

    def written(self) -> Object:
        """The cron job with the status as it is to be written."""
        status = {name: value for name, value in self.status.items() if name != "active"}
        return {**self.cron_job, "status": status | ({"active": self.active} if self.active else {})}

    def is_active(self, uid: str) -> bool:
        """The status says so."""
        return any(job["uid"] == uid for job in self.active)

    def forget(self, uid: str) -> None:
        """The job is not active any more."""
        self.active = [job for job in self.active if job["uid"] != uid]
        self.is_new = True

    def tell(self, reason: str, message: str, kind: str = "Normal") -> Tell:
        """An event."""
        return Tell(self.cron_job, kind, reason, message)

    def warn(self, reason: str, message: str) -> Tell:
        """A warning."""
        return self.tell(reason, message, "Warning")


def _end_of(job: Object) -> str:
    """Complete, Failed, or nothing."""
    for found in (job.get("status") or {}).get("conditions") or ():
        if found["type"] in ("Complete", "Failed") and found["status"] == "True":
            kind: str = found["type"]
            return kind
    return ""


def _old_jobs_removed(it: Round) -> Steps:
    for end, limit in (
        ("Complete", it.spec.get("successfulJobsHistoryLimit")),
        ("Failed", it.spec.get("failedJobsHistoryLimit")),
    ):
        finished = [job for job in it.jobs if _end_of(job) == end]
        if limit is None or len(finished) <= limit:
            continue
        finished.sort(key=_start)
        for job in finished[: len(finished) - limit]:
            yield from _deleted(it, job)
    return None


def _start(job: Object) -> tuple[bool, str, str]:
    start = (job.get("status") or {}).get("startTime")
    return start is None, start or "", job["metadata"]["name"]


def _deleted(it: Round, job: Object) -> Any:
    """The job is deleted; whether it was."""
    metadata = job["metadata"]
    (outcome,) = yield [
        Delete(JOBS, metadata["namespace"], metadata["name"], metadata["uid"], propagation="Background")
    ]
    if isinstance(outcome, ApiError):
        yield [it.warn("FailedDelete", f"Deleted job: {outcome}")]
        return False
    it.forget(metadata["uid"])
    yield [it.tell("SuccessfulDelete", f"Deleted job {metadata['name']}")]
    return True


def _synced(it: Round, rescheduled: bool) -> Steps:
    yield from _active_brought_up_to_date(it)
    if "deletionTimestamp" in it.cron_job["metadata"]:
        return None
    zone: str = it.spec.get("timeZone") or ""
    if zone_of(zone) is None:
        yield [it.warn("UnknownTimeZone", f'invalid timeZone: "{zone}": unknown time zone {zone}')]
        return None
    if it.spec.get("suspend"):
        return None
    text: str = it.spec["schedule"]
    if "TZ" in text:
        said = (
            f'CRON_TZ or TZ used in schedule "{text}" is not officially supported, see '
            "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        )
        yield [it.warn("UnsupportedSchedule", said)]
    schedule = schedule_of(text, zone)
    if schedule is None:
        said = f'unparseable schedule: "{text}" : {schedule_problem(text)}'
        yield [it.warn("UnparseableSchedule", said)]
        return None
    recent = _recent(it, schedule, by_deadline=True)
    if recent.problem:
        yield [it.warn("InvalidSchedule", f"invalid schedule: {text} : {recent.problem}")]
        return None
    due = recent.due
    if due is not None and recent.missed > MANY_MISSED:
        said = (
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        )
        yield [it.warn("TooManyMissedTimes", said)]
    if due is not None and not rescheduled:
        yield from _started(it, due)
    return _next_ms(it, schedule)


def _active_brought_up_to_date(it: Round) -> Steps:
    """Finished jobs, and those that are not there any more, are not active."""
    there = set()
    for job in it.jobs:
        uid, name = job["metadata"]["uid"], job["metadata"]["name"]
        there.add(uid)
        if not is_finished(job):
            if it.is_active(uid):
                continue
            fresh = yield from must(Read(RESOURCE, *_name(it.cron_job)))
            if any(each["uid"] == uid for each in (fresh.get("status") or {}).get("active") or ()):
                it.take_status(fresh)
                continue
            said = f"Saw a job that the controller did not create or forgot: {name}"
            yield [it.warn("UnexpectedJob", said)]
            continue
        if it.is_active(uid):
            it.forget(uid)
            yield [it.tell("SawCompletedJob", f"Saw completed job: {name}, condition: {_end_of(job)}")]
        completed = (job.get("status") or {}).get("completionTime")
        last = it.status.get("lastSuccessfulTime")
        if _end_of(job) == "Complete" and completed and (last is None or completed > last):
            it.status["lastSuccessfulTime"] = completed
            it.is_new = True
    for job in [each for each in it.active if each["uid"] not in there]:
        (outcome,) = yield [Read(JOBS, job["namespace"], job["name"])]
        if isinstance(outcome, ApiError):
            if outcome.code != 404:
                raise Failed(str(outcome)) from outcome
            yield [it.tell("MissingJob", f"Active job went missing: {job['name']}")]
            it.forget(job["uid"])
    return None


def _name(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


class Recent(NamedTuple):
    """The last time that was due, and how many were since the last job."""

    earliest: int
    due: int | None = None
    missed: int = 0
    problem: str = ""


def _recent(it: Round, schedule: Schedule, *, by_deadline: bool) -> Recent:
    """In seconds since 1970."""
    text = it.status.get("lastScheduleTime") or it.cron_job["metadata"].get("creationTimestamp")
    earliest = (ms_of(text) or 0) // 1000
    deadline = it.spec.get("startingDeadlineSeconds")
    if by_deadline and deadline is not None:
        earliest = max(earliest, it.now_ms // 1000 - deadline)
    first = schedule.after(earliest)
    if first is not None and it.now_ms < first * 1000:
        return Recent(earliest)
    second = None if first is None else schedule.after(first)
    if first is None or second is None:
        return Recent(earliest, problem="time difference between two schedules is less than 1 second")
    if it.now_ms < second * 1000:
        return Recent(earliest, first)
    between = second - first
    missed = (it.now_ms // 1000 - first) // between + 1
    due = None
    at = schedule.after(first + (missed - 2) * between)
    while at is not None and at * 1000 <= it.now_ms:
        due, at = at, schedule.after(at)
    return Recent(earliest, due, missed)


def _next_ms(it: Round, schedule: Schedule) -> int | None:
    recent = _recent(it, schedule, by_deadline=False)
    now = it.now_ms // 1000
    base = recent.due
    if base is None:
        base = recent.earliest if not recent.missed and not recent.problem else now
    following = schedule.after(base)
    return None if following is None else max(0, following * 1000 + NEXT_MS - it.now_ms)


def _started(it: Round, due: int) -> Steps:
    """The job of that time is there, unless it is too late, or jobs before it are in its way."""
    deadline = it.spec.get("startingDeadlineSeconds")
    if deadline is not None and (due + deadline) * 1000 < it.now_ms:
        when = datetime.fromtimestamp(due, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        yield [it.warn("MissSchedule", f"Missed scheduled time to start a job: {when}")]
        return None
    namespace, name = _name(it.cron_job)
    job_name = f"{name}-{due // 60}"
    if (
        any(job["name"] == job_name for job in it.active)
        or ms_of(it.status.get("lastScheduleTime")) == due * 1000
    ):
        return None
    policy = it.spec.get("concurrencyPolicy")
    if policy == "Forbid" and it.active:
        said = "Not starting job because prior execution is running and concurrency policy is Forbid"
        yield [it.tell("JobAlreadyActive", said)]
        return None
    if policy == "Replace":
        yield from _replaced(it)
    (outcome,) = yield [Create(JOBS, _job(it, job_name, due))]
    if isinstance(outcome, ApiError):
        if is_terminating(outcome):
            raise Failed(str(outcome)) from outcome
        if outcome.reason != "AlreadyExists":
            yield [it.warn("FailedCreate", f"Error creating job: {outcome}")]
            raise Failed(str(outcome)) from outcome
        job = yield from must(Read(JOBS, namespace, job_name))
        held = controller_of(job)
        if (
            held is None
            or held["uid"] != it.cron_job["metadata"]["uid"]
            or it.is_active(job["metadata"]["uid"])
        ):
            return None
    else:
        assert isinstance(outcome, dict)
        job = outcome
        yield [it.tell("SuccessfulCreate", f"Created job {job_name}")]
    metadata = job["metadata"]
    reference = {
        "kind": "Job", "namespace": namespace, "name": job_name, "uid": metadata["uid"], "apiVersion": "batch/v1",
        "resourceVersion": metadata.get("resourceVersion", ""),
    }  # fmt: skip
    it.active.append(reference)
    it.status["lastScheduleTime"] = text_of(due * 1000)
    it.is_new = True
    return None


def _replaced(it: Round) -> Steps:
    for active in list(it.active):
        (outcome,) = yield [Read(JOBS, active["namespace"], active["name"])]
        if isinstance(outcome, ApiError):
            yield [it.warn("FailedGet", f"Get job: {outcome}")]
            raise Failed(str(outcome)) from outcome
        assert isinstance(outcome, dict)
        if not (yield from _deleted(it, outcome)):
            raise Failed(f"could not replace job {active['namespace']}/{active['name']}")
    return None


def _job(it: Round, name: str, due: int) -> Object:
    template = it.spec["jobTemplate"]
    told = template.get("metadata") or {}
    when = datetime.fromtimestamp(due, zone_of(it.spec.get("timeZone") or "") or UTC).isoformat()
    metadata: dict[str, Any] = {
        "name": name, "namespace": it.cron_job["metadata"]["namespace"],
        "annotations": {**(told.get("annotations") or {}), SCHEDULED: when.replace("+00:00", "Z")},
        "ownerReferences": [controller_reference("batch/v1", "CronJob", it.cron_job)],
    }  # fmt: skip
    if told.get("labels"):
        metadata["labels"] = dict(told["labels"])
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}
