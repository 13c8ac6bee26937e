"""Cron jobs and the end of finished jobs, on paper; schedules against a slow twin."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kcore.controllers.cron_job import SCHEDULED, CronJob
from kcore.controllers.cron_schedules import schedule_of
from kcore.controllers.job import Job
from kcore.controllers.times import ms_of, text_of
from kcore.controllers.ttl_after_finished import TTLAfterFinished
from tests.controllers.living import living
from tests.controllers.paper import Paper, pod_template

Object = dict[str, Any]
START_MS = ms_of("2026-11-26T10:00:30Z") or 0


def paper(**spec: Any) -> Paper:
    it = Paper(CronJob(), START_MS)
    template = {"metadata": {"labels": {"of": "cron"}}, "spec": {"template": pod_template("x")}}
    defaults = {"schedule": "*/5 * * * *", "concurrencyPolicy": "Allow", "jobTemplate": template}
    limits = {"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}
    it.put({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick", "namespace": "default"},
        "spec": {**defaults, **limits, **spec},
    })  # fmt: skip
    return it


def jobs(it: Paper) -> list[Object]:
    return sorted(it.list("jobs.batch"), key=lambda job: str(job["metadata"]["name"]))


def status(it: Paper) -> Object:
    found = it.get("cronjobs.batch", "default", "tick")
    assert found is not None
    result: Object = found.get("status") or {}
    return result


def ends(it: Paper, job: Object, kind: str) -> None:
    now = text_of(it.now_ms)
    done = {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": now}], "startTime": now}
    it.put({**job, "status": done | ({"completionTime": now} if kind == "Complete" else {})})


def later(it: Paper, seconds: int) -> None:
    it.now_ms += seconds * 1000
    it.round("tick")


def test_a_job_is_made_when_one_is_due_and_once() -> None:
    it = paper(timeZone="Europe/Berlin")
    assert it.round("tick") == (4 * 60 + 30) * 1000 + 100
    assert not jobs(it)
    later(it, 271)
    later(it, 1)
    (job,) = jobs(it)
    assert job["metadata"]["name"] == f"tick-{(ms_of('2026-11-26T10:05:00Z') or 0) // 60_000}"
    assert job["metadata"]["annotations"] == {SCHEDULED: "2026-11-26T11:05:00+01:00"}
    assert job["metadata"]["labels"] == {"of": "cron"}
    assert status(it)["lastScheduleTime"] == "2026-11-26T10:05:00Z"
    assert [each["name"] for each in status(it)["active"]] == [job["metadata"]["name"]]
    ends(it, job, "Complete")
    later(it, 1)
    assert "active" not in status(it) and status(it)["lastSuccessfulTime"] == "2026-11-26T10:05:02Z"
    assert (
        it.told[-1]
        == f"Normal SawCompletedJob Saw completed job: {job['metadata']['name']}, condition: Complete"
    )


@pytest.mark.parametrize(("policy", "count"), [("Allow", 2), ("Forbid", 1), ("Replace", 1)])
def test_what_happens_while_a_job_still_runs(policy: str, count: int) -> None:
    it = paper(concurrencyPolicy=policy)
    later(it, 271)
    (first,) = jobs(it)
    later(it, 300)
    assert len(jobs(it)) == count and len(status(it)["active"]) == count
    assert (first in jobs(it)) == (policy != "Replace")
    if policy == "Forbid":
        assert it.told[-1].startswith("Normal JobAlreadyActive Not starting job because prior execution")


def test_late_and_missed_times() -> None:
    it = paper(startingDeadlineSeconds=10)
    later(it, 290)
    assert not jobs(it), "the deadline has passed: the time does not even count as missed"
    it = paper()
    later(it, 600 * 60)
    assert len(jobs(it)) == 1 and status(it)["lastScheduleTime"] == "2026-11-26T20:00:00Z"
    assert it.told[0].startswith("Warning TooManyMissedTimes too many missed start times.")


def test_history_limits_suspension_and_missing_jobs() -> None:
    it = paper(successfulJobsHistoryLimit=1)
    for _ in range(3):
        later(it, 300)
        ends(it, jobs(it)[-1], "Complete")
    it.round("tick")
    assert len(jobs(it)) == 1 and "SuccessfulDelete" in it.told[-1] + it.told[-2]
    later(it, 300)
    it.objects["jobs.batch"].clear()
    later(it, 1)
    assert it.told[-1].startswith("Normal MissingJob Active job went missing: tick-")
    found = it.get("cronjobs.batch", "default", "tick")
    assert found is not None
    it.put({**found, "spec": {**found["spec"], "suspend": True}})
    later(it, 600)
    assert not jobs(it)


def test_a_new_schedule_does_not_reach_back() -> None:
    it = paper(schedule="0 0 1 1 *")
    old = it.get("cronjobs.batch", "default", "tick")
    assert old is not None
    it.now_ms += 3_600_000
    new = it.put({**old, "spec": {**old["spec"], "schedule": "* * * * *"}})
    list(it.controller.watches[0].keys(old, new, it))
    assert it.round("tick") == 30_100 and not jobs(it)
    later(it, 31)
    assert len(jobs(it)) == 1


def is_due(fields: list[set[int]], any_day: bool, when: datetime) -> bool:
    """The slow twin: whether a minute is one of the schedule's."""
    minutes, hours, days, months, weekdays = fields
    by_month, by_week = when.day in days, when.isoweekday() % 7 in weekdays
    is_day = (by_month and by_week) if any_day else (by_month or by_week)
    return when.minute in minutes and when.hour in hours and when.month in months and is_day


def test_due_times_are_those_of_a_walk_by_minutes() -> None:
    chance = random.Random(7)
    bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
    for zone in ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"):
        for _ in range(6):
            texts, fields = [], []
            for low, high in bounds:
                step = chance.choice((1, 1, 2, 3)) if low == 0 and high > 6 else 1
                star = high in (12, 31) or chance.random() < 0.5
                first = low if star else chance.randint(low, high)
                last = high if star else chance.randint(first, high)
                texts.append(("*" if star else f"{first}-{last}") + (f"/{step}" if step > 1 else ""))
                fields.append(set(range(first, last + 1, step)))
            schedule = schedule_of(" ".join(texts), zone)
            assert schedule is not None
            at = start = int(datetime(2026, chance.choice((3, 10)), 24, tzinfo=UTC).timestamp())
            any_day = texts[2] == "*" or texts[4] == "*"
            for minute in range(1, 4000):
                moment = start + minute * 60
                local = datetime.fromtimestamp(moment, ZoneInfo(zone))
                if is_due(fields, any_day, local):
                    assert schedule.after(at) == moment, (texts, zone)
                    at = moment


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("@yearly", "2027-01-01T00:00:00Z"), ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("@every 90s", "2026-11-26T10:02:00Z"), ("0 0 30 2 *", None), ("TZ=Asia/Tokyo 0 9 * * *", "2026-11-27T00:00:00Z"),
        ("0 12 13 * 5", "2026-11-27T12:00:00Z"), ("0 0 * * 0/2", "2026-11-28T00:00:00Z"),
    ],
)  # fmt: skip
def test_schedules(text: str, due: str | None) -> None:
    schedule = schedule_of(text)
    assert schedule is not None
    found = schedule.after(START_MS // 1000)
    assert (None if found is None else text_of(found * 1000)) == due


def test_a_finished_job_goes_when_its_time_has_come() -> None:
    it = Paper(TTLAfterFinished())
    job = it.put({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "done", "namespace": "default"},
        "spec": {"ttlSecondsAfterFinished": 60},
    })  # fmt: skip
    assert it.round("done") is None
    ends(it, job, "Failed")
    assert it.round("done") == 60_000 and jobs(it)
    it.now_ms += int(timedelta(minutes=1).total_seconds()) * 1000
    it.round("done")
    assert not jobs(it)


def test_a_cron_job_alive() -> None:
    async def run() -> None:
        async with living(CronJob(), Job(), TTLAfterFinished()) as it:
            template = {
                "spec": {"template": pod_template("x", restartPolicy="Never"), "ttlSecondsAfterFinished": 0}
            }
            spec = {"schedule": "* * * * *", "jobTemplate": template, "concurrencyPolicy": "Forbid"}
            metadata = {"name": "tick", "namespace": "default"}
            made = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}
            await it.client.create(made)
            past = {"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}}
            await it.client.patch("cronjobs", "tick", past, "default", subresource="status")
            found = await it.until_there("cronjobs", "tick", lambda each: each["status"].get("active"))
            name = found["status"]["active"][0]["name"]
            (pod,) = await it.until(
                lambda: [each for each in it.pods.list() if each["status"]["phase"] == "Running"]
            )
            done = {"status": {"phase": "Succeeded"}}
            await it.client.patch("pods", pod["metadata"]["name"], done, "default", subresource="status")
            await it.until(
                lambda: f"Saw completed job: {name}, condition: Complete" in it.told.said("CronJob")
            )
            await it.until_there("jobs", name, lambda job: "deletionTimestamp" in job["metadata"])

    asyncio.run(run())
