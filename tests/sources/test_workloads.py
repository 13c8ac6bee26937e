"""Workloads become the pods that their controllers would make, once."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api.errors import InputError
from kcore.api.objects import Volume
from kcore.sources import SourceObjects, decode_objects
from kcore.sources.names import SUFFIX_CHARS, suffix

TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
}
SELECTOR = {"matchLabels": {"app": "web"}}


def workload(kind: str, group: str = "apps/v1", *, uid: str = "", **spec: Any) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "shop", **({"uid": uid} if uid else {})}
    return {"apiVersion": group, "kind": kind, "metadata": metadata, "spec": {"template": TEMPLATE, **spec}}


def owned_pod(
    kind: str, name: str, labels: dict[str, str] | None = None, phase: str = "Running"
) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True}
    metadata = {"name": f"{name}-x", "namespace": "shop", "ownerReferences": [owner], "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": phase}}


def only_owner(objects: SourceObjects) -> tuple[str, str, bool | None]:
    owners = {
        (owner.kind, owner.name, owner.controller)
        for pod in objects.pods
        for owner in pod.metadata.owner_references or ()
    }
    assert len(owners) == 1
    return owners.pop()


def test_a_deployment_has_a_replica_set_and_its_pods() -> None:
    objects = decode_objects([workload("Deployment", replicas=3, selector=SELECTOR)])
    (replica_set,) = objects.replica_sets
    hash_ = replica_set.metadata.name.removeprefix("web-")
    selector = replica_set.spec.selector
    assert selector is not None
    assert selector.match_labels == {"app": "web", "pod-template-hash": hash_}
    assert only_owner(objects) == ("ReplicaSet", f"web-{hash_}", True)
    assert all(pod.metadata.labels == {"app": "web", "pod-template-hash": hash_} for pod in objects.pods)
    assert all(pod.metadata.name.startswith(f"web-{hash_}-") for pod in objects.pods)
    assert len({pod.metadata.name for pod in objects.pods}) == 3
    assert all(pod.spec is objects.pods[0].spec for pod in objects.pods)
    assert objects.pods[0].metadata.namespace == "shop"
    assert objects.pod_origins[0] == ("objects", "object 1 (Deployment web)")


@pytest.mark.parametrize(("kind", "group"), [("ReplicaSet", "apps/v1"), ("ReplicationController", "v1")])
def test_replicas(kind: str, group: str) -> None:
    selector = SELECTOR if kind == "ReplicaSet" else {"app": "web"}
    objects = decode_objects([workload(kind, group, replicas=2, selector=selector)])
    assert only_owner(objects) == (kind, "web", True)
    assert len(objects.pods) == 2
    assert len(objects.replica_sets) + len(objects.replication_controllers) == 1


def test_a_stateful_set_counts_its_pods() -> None:
    claims = [{"metadata": {"name": "data"}, "spec": {}}]
    stated = workload("StatefulSet", replicas=2, ordinals={"start": 5}, volumeClaimTemplates=claims)
    objects = decode_objects([stated])
    assert [pod.metadata.name for pod in objects.pods] == ["web-5", "web-6"]
    labels = objects.pods[1].metadata.labels or {}
    assert labels["apps.kubernetes.io/pod-index"] == "6"
    assert labels["statefulset.kubernetes.io/pod-name"] == "web-6"
    assert objects.pods[1].spec.volumes == [
        Volume(name="data", persistent_volume_claim={"claimName": "data-web-6"})
    ]
    assert len(objects.stateful_sets) == 1


def node(name: str, taint: str = "", **labels: str) -> dict[str, Any]:
    taints = [{"key": taint, "effect": "NoSchedule"}] if taint else []
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": taints},
    }


def test_a_daemon_set_has_a_pod_on_each_node_that_lets_it_in() -> None:
    template = {"spec": {"nodeSelector": {"os": "linux"}}, "metadata": {"labels": {"app": "log"}}}
    nodes = [
        node("a", os="linux"),
        node("b", os="windows"),
        node("c", "dedicated", os="linux"),
        node("d", "node.kubernetes.io/unschedulable", os="linux"),
    ]
    objects = decode_objects([workload("DaemonSet") | {"spec": {"template": template}}, *nodes])
    bound: list[str] = []
    for pod in objects.pods:
        affinity = pod.spec.affinity
        assert affinity is not None
        assert affinity.node_affinity is not None
        assert affinity.node_affinity.required is not None
        (term,) = affinity.node_affinity.required.node_selector_terms or []
        (requirement,) = term.match_fields or []
        assert (requirement.key, requirement.operator) == ("metadata.name", "In")
        bound += requirement.values or []
        assert len(pod.spec.tolerations or ()) == 6  # the controller's, which cover the two defaults
    assert bound == ["a", "d"]


JOBS = [
    ({}, 1),
    ({"parallelism": 3}, 3),
    ({"parallelism": 3, "completions": 2}, 2),
    ({"parallelism": 2, "completions": 5}, 2),
    ({"parallelism": 2, "suspend": True}, 0),
    ({"parallelism": 0}, 0),
]


@pytest.mark.parametrize(("spec", "count"), JOBS)
def test_a_job_runs_its_parallelism(spec: dict[str, Any], count: int) -> None:
    assert len(decode_objects([workload("Job", "batch/v1", **spec)]).pods) == count


def test_an_indexed_job_labels_its_pods() -> None:
    stated = workload("Job", "batch/v1", completions=3, parallelism=3, completionMode="Indexed")
    objects = decode_objects([stated])
    labels = [(pod.metadata.labels or {})["batch.kubernetes.io/job-completion-index"] for pod in objects.pods]
    assert labels == ["0", "1", "2"]
    assert [pod.metadata.name[: -SUFFIX_CHARS - 1] for pod in objects.pods] == ["web-0", "web-1", "web-2"]


def test_a_job_that_is_done_has_no_pods() -> None:
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert decode_objects([workload("Job", "batch/v1") | {"status": done}]).pods == []


def test_a_cron_job_has_one_run() -> None:
    spec = {"jobTemplate": {"spec": {"parallelism": 2, "template": TEMPLATE}}}
    objects = decode_objects([workload("CronJob", "batch/v1") | {"spec": spec}])
    assert len(objects.pods) == 2
    assert only_owner(objects)[0] == "Job"
    assert decode_objects([workload("CronJob", "batch/v1") | {"spec": {**spec, "suspend": True}}]).pods == []


OWNED = [
    ("ReplicaSet", "apps/v1", owned_pod("ReplicaSet", "web")),
    ("StatefulSet", "apps/v1", owned_pod("StatefulSet", "web")),
    ("DaemonSet", "apps/v1", owned_pod("DaemonSet", "web")),
    ("Job", "batch/v1", owned_pod("Job", "web", phase="Succeeded")),
    ("Deployment", "apps/v1", owned_pod("ReplicaSet", "web-6d4cf", {"pod-template-hash": "6d4cf"})),
    ("CronJob", "batch/v1", owned_pod("Job", "web-29384756")),
]


@pytest.mark.parametrize(("kind", "group", "pod"), OWNED)
def test_a_workload_whose_pods_are_there_is_not_expanded(kind: str, group: str, pod: dict[str, Any]) -> None:
    spec = {"replicas": 2, "jobTemplate": {"spec": {"template": TEMPLATE}}, "selector": SELECTOR}
    objects = decode_objects([workload(kind, group, uid="u", **spec), pod, node("n")])
    assert len(objects.pods) + objects.finished_pod_count == 1


def test_a_deployment_whose_replica_set_is_there_is_not_expanded() -> None:
    replica_set = workload("ReplicaSet", replicas=2, selector=SELECTOR)
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": True}
    replica_set["metadata"] = {"name": "web-1", "namespace": "shop", "ownerReferences": [owner]}
    objects = decode_objects([workload("Deployment", replicas=2), replica_set])
    assert (len(objects.pods), len(objects.replica_sets)) == (2, 1)


@pytest.mark.parametrize("replicas", [-1, 2_000_000_000])
def test_replicas_are_bounded(replicas: int) -> None:
    with pytest.raises(InputError, match=r"object 1 .Deployment web.: spec.replicas: .* is out of range"):
        decode_objects([workload("Deployment", replicas=replicas)])


def test_suffixes_do_not_repeat() -> None:
    assert len({suffix(12345, ordinal) for ordinal in range(100_000)}) == 100_000
