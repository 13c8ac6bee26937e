"""Jobs: on paper at any time, and one alive."""

import asyncio
from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.controllers import job_indexes as indexes
from kcore.controllers import job_policies as policies
from kcore.controllers.contract import Create
from kcore.controllers.job import LONE_POD, Job
from kcore.controllers.job_round import FINALIZER
from tests.controllers.living import living
from tests.controllers.paper import Paper, pod_template

Object = dict[str, Any]


def job(**spec: Any) -> Object:
    template = pod_template("work", restartPolicy=spec.pop("restartPolicy", "Never"))
    defaults = {
        "parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False,
        "selector": {"matchLabels": {"app": "work"}}, "template": template,
    }  # fmt: skip
    metadata = {"name": "work", "namespace": "default", "generation": 1}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {**defaults, **spec}}


def paper(**spec: Any) -> Paper:
    it = Paper(Job())
    it.put(job(**spec))
    it.round("work")
    return it


def status(it: Paper) -> Object:
    found = it.get("jobs.batch", "default", "work")
    assert found is not None
    result: Object = found["status"]
    return result


def conditions(it: Paper) -> list[tuple[str, str]]:
    return [(found["type"], found["reason"]) for found in status(it).get("conditions", ())]


def test_pods_are_counted_once_and_the_job_completes() -> None:
    it = paper(parallelism=2, completions=3)
    assert len(it.pods()) == 2 and status(it)["active"] == 2 and status(it)["ready"] == 0
    assert all(pod["metadata"]["finalizers"] == [FINALIZER] for pod in it.pods())
    first, second = it.pods()
    it.goes(first, "Succeeded")
    it.goes(second, "Running")
    it.round("work")
    assert status(it)["succeeded"] == 1 and status(it)["active"] == 2 and status(it)["ready"] == 1
    assert status(it)["uncountedTerminatedPods"] == {}
    for pod in it.pods():
        it.goes(pod, "Succeeded")
    it.round("work")
    assert conditions(it) == [
        ("SuccessCriteriaMet", "CompletionsReached"),
        ("Complete", "CompletionsReached"),
    ]
    assert status(it)["succeeded"] == 3 and status(it)["completionTime"]
    assert it.told[-1] == "Normal Completed Job completed"
    assert not any(pod["metadata"]["finalizers"] for pod in it.pods())
    before = dict(status(it))
    it.round("work")
    assert status(it) == before


def test_failures_back_off_and_the_limit_fails_the_job() -> None:
    it = paper(backoffLimit=1)
    it.goes(it.pods()[0], "Failed")
    assert it.round("work") == 10_000
    assert status(it)["failed"] == 1 and len(it.pods()) == 1
    it.now_ms += 10_000
    it.round("work")
    assert len(it.pods()) == 2
    it.goes(it.pods("Pending")[0], "Failed")
    it.round("work")
    assert conditions(it) == [("FailureTarget", "BackoffLimitExceeded"), ("Failed", "BackoffLimitExceeded")]
    assert it.told[-1] == "Warning BackoffLimitExceeded Job has reached the specified backoff limit"
    assert status(it)["failed"] == 2 and "completionTime" not in status(it)


def test_a_crash_between_the_two_writes_counts_no_pod_twice() -> None:
    it = paper(completions=2)
    it.goes(it.pods()[0], "Succeeded")
    it.refuse = lambda action: (
        ApiError(500, "InternalError", "no") if type(action).__name__ == "Patch" else None
    )
    assert it.round("work") == -1
    assert status(it)["uncountedTerminatedPods"]["succeeded"] == [
        it.pods("Succeeded")[0]["metadata"]["uid"]
    ] and not status(it).get("succeeded")
    it.refuse = lambda action: None
    it.controller = Job()
    it.round("work")
    it.round("work")
    assert status(it)["succeeded"] == 1 and status(it)["uncountedTerminatedPods"] == {}


def test_deadline_suspend_and_resume() -> None:
    it = paper(activeDeadlineSeconds=30)
    assert it.round("work") == 30_000
    changed = it.get("jobs.batch", "default", "work")
    assert changed is not None
    it.put({**changed, "spec": {**changed["spec"], "suspend": True}})
    it.round("work")
    assert conditions(it) == [("Suspended", "JobSuspended")] and not it.pods()
    assert "startTime" not in status(it)
    it.now_ms += 100_000
    suspended = it.get("jobs.batch", "default", "work")
    assert suspended is not None
    it.put({**suspended, "spec": {**suspended["spec"], "suspend": False}})
    it.round("work")
    assert conditions(it) == [("Suspended", "JobResumed")] and len(it.pods()) == 1
    it.now_ms += 30_000
    it.round("work")
    assert conditions(it)[1:] == [("FailureTarget", "DeadlineExceeded")]
    assert status(it)["terminating"] == 1, "the pod still has to go"
    it.round("work")
    assert conditions(it)[-1] == ("Failed", "DeadlineExceeded")


def test_an_indexed_job_gives_each_pod_its_index() -> None:
    it = paper(completionMode="Indexed", completions=4, parallelism=3)
    pods = it.pods()
    assert [indexes.index_of(pod) for pod in pods] == [0, 1, 2]
    assert pods[1]["spec"]["hostname"] == "work-1" and pods[1]["metadata"]["labels"][indexes.INDEX] == "1"
    assert pods[1]["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
    it.goes(pods[0], "Succeeded")
    it.goes(pods[2], "Succeeded")
    it.round("work")
    assert status(it)["completedIndexes"] == "0,2" and status(it)["succeeded"] == 2
    assert sorted(indexes.index_of(pod) for pod in it.pods("Pending")) == [1, 3]


def test_each_index_has_its_own_back_off() -> None:
    it = paper(
        completionMode="Indexed", completions=2, parallelism=2, backoffLimitPerIndex=1, backoffLimit=99
    )
    it.goes(it.pods()[0], "Failed")
    again = it.round("work")
    assert again == 10_000 and len(it.pods("Failed")) == 1
    assert it.pods("Failed")[0]["metadata"]["finalizers"], "kept until another takes its place"
    it.now_ms += 10_000
    it.round("work")
    replaced = next(pod for pod in it.pods("Pending") if indexes.index_of(pod) == 0)
    assert replaced["metadata"]["annotations"][indexes.FAILURES] == "1"
    it.goes(replaced, "Failed")
    it.round("work")
    assert status(it)["failedIndexes"] == "0"
    it.goes(it.pods("Pending")[0], "Succeeded")
    it.round("work")
    assert conditions(it)[-1] == ("Failed", "FailedIndexes") and status(it)["succeeded"] == 1


def test_policies_decide_what_a_failure_means() -> None:
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
    ]
    it = paper(podFailurePolicy={"rules": rules}, backoffLimit=0)
    pod = it.pods()[0]
    it.goes(pod, "Failed", conditions=[{"type": "DisruptionTarget", "status": "True"}])
    it.round("work")
    assert "failed" not in status(it) and not conditions(it)
    it.now_ms += 60_000
    it.round("work")
    state = {"terminated": {"exitCode": 42}}
    fresh = it.pods("Pending")[0]
    it.goes(fresh, "Failed", containerStatuses=[{"name": "main", "state": state}])
    it.round("work")
    name = fresh["metadata"]["name"]
    assert status(it)["conditions"][-1]["message"] == (
        f"Container main for pod default/{name} failed with exit code 42 matching FailJob rule at index 1"
    )
    assert conditions(it)[-1] == ("Failed", "PodFailurePolicy")


def test_a_success_policy_ends_the_job_early() -> None:
    rules = [{"succeededIndexes": "0-2", "succeededCount": 1}]
    it = paper(completionMode="Indexed", completions=5, parallelism=5, successPolicy={"rules": rules})
    it.goes(it.pods()[1], "Succeeded")
    it.round("work")
    it.round("work")
    assert conditions(it) == [("SuccessCriteriaMet", "SuccessPolicy"), ("Complete", "SuccessPolicy")]
    assert status(it)["conditions"][0]["message"] == "Matched rules at index 0"
    assert [pod["status"]["phase"] for pod in it.pods()] == ["Succeeded"] and "failed" not in status(it)


def test_another_controllers_job_is_left_alone_and_lone_pods_are_let_go() -> None:
    it = Paper(Job())
    it.put(job(managedBy="example.com/other"))
    it.round("work")
    assert not it.acted
    pod = {
        "apiVersion": "v1", "kind": "Pod", "spec": {},
        "metadata": {"name": "lone", "namespace": "default", "finalizers": [FINALIZER]},
    }  # fmt: skip
    it.put(pod)
    it.round(LONE_POD + "lone")
    assert it.pods()[0]["metadata"]["finalizers"] == []


def test_a_refused_pod_is_told_once_a_round() -> None:
    it = Paper(Job())
    it.put(job(parallelism=10, completions=10))
    it.refuse = lambda action: (
        ApiError(403, "Forbidden", "exceeded quota") if isinstance(action, Create) else None
    )
    assert it.round("work") == -1
    assert it.told == ["Warning FailedCreate Error creating: exceeded quota"]


@pytest.mark.parametrize(
    ("text", "again"), [("", ""), ("1,3-5,7", "1,3-5,7"), ("1-2", "1,2"), ("0-20", "0-9"), ("x,2", "2")]
)
def test_intervals_are_read_and_written(text: str, again: str) -> None:
    found = indexes.parsed(text, 10)
    assert indexes.text_of(found) == again
    every = {index for first, last in found for index in range(first, last + 1)}
    assert indexes.total(found) == len(every)
    assert [index for index in range(25) if indexes.has(found, index)] == sorted(every)
    for count in range(11):
        assert indexes.first_pending(found, count, 10) == [i for i in range(10) if i not in every][:count]


def test_the_pause_doubles_to_ten_minutes() -> None:
    waits = [policies.waiting_ms(failures, 0, 0) for failures in range(9)]
    assert waits == [0, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000]


def test_a_job_alive() -> None:
    async def run() -> None:
        async with living(Job()) as it:
            spec = {"parallelism": 3, "completions": 5, "template": pod_template("x", restartPolicy="Never")}
            await it.client.create({**job(), "spec": spec})
            finished: set[str] = set()
            while len(finished) < 5:
                running = [
                    pod["metadata"]["name"] for pod in it.pods.list() if pod["status"]["phase"] == "Running"
                ]
                for name in set(running) - finished:
                    patch = {"status": {"phase": "Succeeded"}}
                    await it.client.patch("pods", name, patch, "default", subresource="status")
                    finished.add(name)
                await asyncio.sleep(0.01)
            done = await it.until_there("jobs", "work", lambda found: found["status"].get("completionTime"))
            assert done["status"]["succeeded"] == 5 and "Job completed" in it.told.said("Job")

    asyncio.run(run())
