"""Stateful sets on paper, and one alive."""

import asyncio
from typing import Any

import pytest

from kcore.controllers import controller_revisions as revisions
from kcore.controllers import stateful_set_claims as claims
from kcore.controllers.contract import Failed, together
from kcore.controllers.stateful_set import StatefulSet
from tests.controllers.living import living, workload
from tests.controllers.paper import Paper, pod_template

Object = dict[str, Any]


def stateful(**spec: Any) -> Object:
    defaults = {
        "replicas": 3, "serviceName": "db", "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 1,
        "selector": {"matchLabels": {"app": "db"}}, "template": pod_template("db"),
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
    }  # fmt: skip
    metadata = {"name": "db", "namespace": "default", "generation": 1}
    return {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": {**defaults, **spec},
    }  # fmt: skip


def paper(**spec: Any) -> Paper:
    it = Paper(StatefulSet())
    it.put(stateful(**spec))
    return it


def the_set(it: Paper) -> Object:
    found = it.get("statefulsets.apps", "default", "db")
    assert found is not None
    return found


def change(it: Paper, **spec: Any) -> None:
    found = the_set(it)
    generation = found["metadata"]["generation"] + 1
    it.put(
        {
            **found,
            "metadata": {**found["metadata"], "generation": generation},
            "spec": {**found["spec"], **spec},
        }
    )


def names(it: Paper) -> list[str]:
    return [pod["metadata"]["name"] for pod in it.pods()]


def settle(it: Paper, rounds: int = 20) -> list[list[str]]:
    """Rounds in which pending pods become ready; the names of the pods after each."""
    seen: list[list[str]] = []
    for _ in range(rounds):
        it.round("db")
        for pod in it.pods("Pending"):
            it.goes(pod, "Running")
        if not seen or seen[-1] != names(it):
            seen.append(names(it))
    return seen


def test_pods_come_one_after_the_other_and_go_the_other_way() -> None:
    it = paper()
    assert settle(it) == [["db-0"], ["db-0", "db-1"], ["db-0", "db-1", "db-2"]]
    assert it.told[0] == "Normal SuccessfulCreate Create Pod db-0 in StatefulSet db successful"
    pod = it.pods()[1]
    assert pod["spec"]["hostname"] == "db-1" and pod["spec"]["subdomain"] == "db"
    labels = pod["metadata"]["labels"]
    assert (
        labels["statefulset.kubernetes.io/pod-name"] == "db-1"
        and labels["apps.kubernetes.io/pod-index"] == "1"
    )
    status = the_set(it)["status"]
    assert [
        status[name] for name in ("replicas", "readyReplicas", "currentReplicas", "availableReplicas")
    ] == [3] * 4
    assert status["currentRevision"] == status["updateRevision"] == labels["controller-revision-hash"]
    change(it, replicas=1)
    assert settle(it) == [["db-0", "db-1"], ["db-0"]]


def test_a_pod_that_is_not_ready_is_waited_for() -> None:
    it = paper()
    for _ in range(3):
        it.round("db")
    assert names(it) == ["db-0"]
    it.goes(it.pods()[0], "Failed")
    it.round("db")
    assert names(it) == [] and "SuccessfulDelete" in it.told[-1]
    it.round("db")
    assert names(it) == ["db-0"]


def test_parallel_sets_wait_for_none() -> None:
    it = paper(podManagementPolicy="Parallel", ordinals={"start": 5}, replicas=4)
    it.round("db")
    assert names(it) == ["db-5", "db-6", "db-7", "db-8"]
    change(it, replicas=1)
    it.round("db")
    assert names(it) == ["db-5"]


def images(it: Paper) -> list[str]:
    return [pod["spec"]["containers"][0]["image"] for pod in it.pods()]


def new_template(image: str) -> Object:
    template = pod_template("db")
    template["spec"]["containers"][0]["image"] = image
    return template


def test_a_new_revision_is_rolled_from_the_top_to_the_partition() -> None:
    it = paper(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 1}})
    settle(it)
    first = the_set(it)["status"]["currentRevision"]
    change(it, template=new_template("web:2"))
    it.round("db")
    assert names(it) == ["db-0", "db-1"], "one at a time"
    assert the_set(it)["status"]["currentReplicas"] == 2
    settle(it)
    assert images(it) == ["web:1", "web:2", "web:2"]
    status = the_set(it)["status"]
    assert status["currentRevision"] == first != status["updateRevision"] and status["updatedReplicas"] == 2
    change(it, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    settle(it)
    status = the_set(it)["status"]
    assert images(it) == ["web:2"] * 3 and status["currentRevision"] == status["updateRevision"]


def test_going_back_takes_the_old_revision_and_history_is_limited() -> None:
    it = paper(replicas=1)
    for image in ("web:1", "web:2", "web:3", "web:2"):
        change(it, template=new_template(image))
        settle(it)
    history = revisions.in_order(it.list(revisions.RESOURCE))
    found = [
        (each["revision"], revisions.template_of(each)["spec"]["containers"][0]["image"]) for each in history
    ]
    assert found == [(3, "web:3"), (4, "web:2")]


def test_on_delete_leaves_pods_and_max_unavailable_takes_several() -> None:
    it = paper(updateStrategy={"type": "OnDelete"})
    settle(it)
    change(it, template=new_template("web:2"))
    settle(it)
    assert images(it) == ["web:1"] * 3
    rolling = {"partition": 0, "maxUnavailable": "70%"}
    change(it, updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    it.round("db")
    assert names(it) == ["db-0"]


def with_claims(**policy: str) -> dict[str, Any]:
    template = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    return {
        "volumeClaimTemplates": [template],
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain", **policy},
    }


def owners(it: Paper) -> dict[str, list[str]]:
    return {
        found["metadata"]["name"]: [each["kind"] for each in found["metadata"].get("ownerReferences", ())]
        for found in it.list(claims.RESOURCE)
    }


@pytest.mark.parametrize(
    ("policy", "before", "after"),
    [
        ({}, [], []), ({"whenDeleted": "Delete"}, ["StatefulSet"], ["StatefulSet"]),
        ({"whenScaled": "Delete"}, [], ["Pod"]),
        ({"whenScaled": "Delete", "whenDeleted": "Delete"}, ["StatefulSet"], ["Pod"]),
    ],
)  # fmt: skip
def test_claims_are_made_and_owned_as_the_policy_says(policy: Any, before: Any, after: Any) -> None:
    it = paper(replicas=2, **with_claims(**policy))
    settle(it)
    assert owners(it) == {"data-db-0": before, "data-db-1": before}
    volume = it.pods()[0]["spec"]["volumes"][0]
    assert volume == {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}
    assert "Create Claim data-db-0 Pod db-0 in StatefulSet db success" in it.told[0]
    change(it, replicas=1)
    it.round("db")
    assert names(it) == ["db-0"] and owners(it)["data-db-1"] == after and owners(it)["data-db-0"] == before
    if after == ["Pod"]:
        change(it, replicas=2)
        it.round("db")
        assert names(it) == ["db-0"], "the old claim has to go first"


def test_min_ready_seconds_are_waited_for() -> None:
    it = paper(minReadySeconds=10)
    it.round("db")
    it.goes(it.pods()[0], "Running")
    assert it.round("db") == 10_000 and names(it) == ["db-0"]
    it.now_ms += 10_000
    it.round("db")
    assert names(it) == ["db-0", "db-1"]


def test_the_hash_of_a_revision_is_upstreams() -> None:
    # FNV-1 of b"{}" and of b"0" after it, by hand
    value = 0x811C9DC5
    for byte in b"{}0":
        value = (value * 0x01000193 % 2**32) ^ byte
    letters = "bcdfghjklmnpqrstvwxz2456789"
    assert revisions.data_hash({}, 0) == "".join(letters[ord(digit) % 27] for digit in str(value))


def test_series_of_steps_go_together() -> None:
    def part(count: int) -> Any:
        got = []
        for number in range(count):
            got += yield [number] * number
        if count == 3:
            raise Failed("three")
        return got

    steps: Any = together([part(2), part(0), part(3)])
    sent = next(steps)
    try:
        while True:
            sent = steps.send([f"did {each}" for each in sent])
    except StopIteration as ended:
        first, second, third = ended.value
    assert first == ["did 1"] and second == [] and isinstance(third, Failed)


def test_a_stateful_set_alive() -> None:
    async def run() -> None:
        async with living(StatefulSet()) as it:
            spec = {"serviceName": "db", **with_claims(whenDeleted="Delete")}
            spec["volumeClaimTemplates"][0]["spec"]["resources"] = {"requests": {"storage": "1Gi"}}
            await it.client.create(workload("StatefulSet", "db", 3, **spec))
            await it.until_there("statefulsets", "db", lambda db: db["status"].get("availableReplicas") == 3)
            patch = {"spec": {"template": new_template("web:2")}}
            await it.client.patch("statefulsets", "db", patch, "default")

            def rolled(db: Object) -> bool:
                status = db["status"]
                return bool(
                    status.get("updatedReplicas") == status.get("availableReplicas") == 3
                    and status["currentRevision"] == status["updateRevision"]
                    and status["observedGeneration"] == db["metadata"]["generation"]
                )

            await it.until_there("statefulsets", "db", rolled)
            pods = (await it.client.list("pods", "default"))["items"]
            assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {"web:2"}
            held = (await it.client.list("persistentvolumeclaims", "default"))["items"]
            assert [each["metadata"]["ownerReferences"][0]["kind"] for each in held] == ["StatefulSet"] * 3

    asyncio.run(run())
