"""Jobs of all kinds, and cron jobs, as a user sees them."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from tests.session.user import User, condition, pod_spec

Object = dict[str, Any]


def job(
    name: str, exits: str = "0", annotations: Object | None = None, pod: Object | None = None, **spec: Any
) -> Object:
    """A job whose pod of each index ends with the code that stands there for it; "" for never."""
    said = {**({"session/exits": exits} if exits else {}), **(annotations or {})}
    if not exits:
        said["pod-complete.stage.kwok.x-k8s.io/delay"] = "10m"
    template = {"metadata": {"annotations": said}, "spec": pod_spec(restartPolicy="Never", **(pod or {}))}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": template, **spec},
    }


def indexed(count: int, **spec: Any) -> Object:
    return {"completionMode": "Indexed", "completions": count, "parallelism": count, **spec}


def test_jobs_end_as_their_kind_says(user: User) -> None:
    user.space("jobs")
    on_exit = {"onExitCodes": {"operator": "In", "values": [42]}}
    user.apply(
        job("plain"),
        job("many", completions=4, parallelism=2),
        job("indexes", "0,0,0", **indexed(3)),
        job("fails", "1", backoffLimit=0),
        job("by-index", "0,1,0", **indexed(3, backoffLimitPerIndex=0, maxFailedIndexes=3)),
        job("policy", "42", backoffLimit=6, podFailurePolicy={"rules": [{"action": "FailJob", **on_exit}]}),
        job(
            "success", "0,1,1", **indexed(3, backoffLimit=6, successPolicy={"rules": [{"succeededIndexes": "0"}]})
        ),
        job("late", "", activeDeadlineSeconds=1),
    )  # fmt: skip
    user.wait("job/plain job/many job/indexes job/success", "condition=Complete")
    user.wait("job/fails job/by-index job/policy job/late", "condition=Failed")
    jobs = {each["metadata"]["name"]: each for each in user.items("jobs")}
    assert (jobs["many"]["status"]["succeeded"], jobs["indexes"]["status"]["completedIndexes"]) == (4, "0-2")
    reasons = {
        name: condition(jobs[name], "Failed").get("reason")
        for name in ("fails", "by-index", "policy", "late")
    }
    assert reasons == {
        "fails": "BackoffLimitExceeded", "by-index": "FailedIndexes", "policy": "PodFailurePolicy",
        "late": "DeadlineExceeded",
    }  # fmt: skip
    assert (jobs["by-index"]["status"]["completedIndexes"], jobs["by-index"]["status"]["failedIndexes"]) == (
        "0,2",
        "1",
    )
    assert "exit code 42" in condition(jobs["policy"], "Failed")["message"]
    assert condition(jobs["success"], "SuccessCriteriaMet")["reason"] == "SuccessPolicy"
    pods = user.items("pods -l job-name=indexes")
    assert {each["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] for each in pods} == {
        *"012"
    }
    assert "BackoffLimitExceeded" in user.run("describe job fails")


def test_a_job_is_suspended_and_goes_when_its_time_is_over(user: User) -> None:
    user.apply(job("waits", suspend=True, ttlSecondsAfterFinished=1))
    user.wait("job/waits", "condition=Suspended")
    assert user.items("pods -l job-name=waits") == []
    user.run('patch job waits --type=merge -p {"spec":{"suspend":false}}'.replace('"', '\\"'))
    user.wait("job/waits", "delete")
    assert user.items("pods -l job-name=waits") == []


def cron(name: str, policy: str, exits: str = "0", schedule: str = "0 0 1 1 *", **spec: Any) -> Object:
    """A cron job, of the new year or of every minute."""
    return {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
        "spec": {
            "schedule": schedule, "concurrencyPolicy": policy, "jobTemplate": {"spec": job(name, exits)["spec"]},
            **spec,
        },
    }  # fmt: skip


def ran(user: User, then: str, *crons: str) -> None:
    """They ran at that time, and so are due now if one was missed since."""
    body = json.dumps({"status": {"lastScheduleTime": then}})
    user.run(f"patch cronjob {' '.join(crons)} --subresource=status --type=merge -p '{body}'")


def test_cron_jobs_fire_and_know_what_still_runs(user: User) -> None:
    user.space("cron")
    user.apply(
        cron("ends", "Allow", schedule="* * * * *", timeZone="Europe/Berlin"),
        cron("forbids", "Forbid", ""),
        cron("replaces", "Replace", ""),
        cron("sleeps", "Allow", schedule="* * * * *", suspend=True),
    )
    user.run("create job by-hand --from=cronjob/sleeps")
    minutes_ago = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:00Z")
    ran(user, minutes_ago, "ends", "sleeps")
    ran(user, "2025-01-01T00:00:00Z", "forbids", "replaces")
    user.wait("cronjob/ends", "jsonpath={.status.lastSuccessfulTime}")
    user.wait("cronjob/forbids cronjob/replaces", "jsonpath={.status.active}")
    (replaced,) = user.get("cronjob/replaces")["status"]["active"]

    user.run('patch cronjob forbids replaces --type=merge -p \'{"spec":{"schedule":"* * * * *"}}\'')
    ran(
        user, minutes_ago, "forbids", "replaces"
    )  # a minute of today is due, while that of the new year still runs
    user.wait(f"job/{replaced['name']}", "delete")
    user.until("events", lambda said: "JobAlreadyActive" in str(said))
    jobs = user.until("jobs", lambda found: len(found) == 4)
    owners = [each["metadata"]["ownerReferences"][0]["name"] for each in jobs]
    assert sorted(owners) == ["ends", "forbids", "replaces", "sleeps"]
    (by_hand,) = (each for each in jobs if each["metadata"]["name"] == "by-hand")
    assert by_hand["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"] == "manual"
    assert condition(by_hand, "Complete")["status"] == "True"
