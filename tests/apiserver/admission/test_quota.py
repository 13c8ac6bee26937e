"""Quotas: what counts, what is refused in which words, and that nothing is counted twice or forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kcore.api.quota_usage import evaluator_of
from kcore.api.status import ApiError
from tests.apiserver.admission.operations import NOW, admit, chain, operation, pod, ready_cluster
from tests.apiserver.view import Cluster, named

KEY = ("", "resourcequotas", "one", "q")


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    used = dict.fromkeys(hard, "0") if used is None else used
    return named(
        "v1", "ResourceQuota", "q", "one", spec={"hard": hard, **spec}, status={"hard": hard, "used": used}
    )


def used(cluster: Cluster) -> dict[str, str]:
    return cluster.objects[KEY]["status"]["used"]


def requesting(name: str = "p", **requests: str) -> dict[str, Any]:
    return pod(name, containers=[{"name": "c", "resources": {"requests": requests}}])


def test_usage_is_written_and_too_much_is_refused() -> None:
    cluster = ready_cluster(quota({"pods": "2", "requests.memory": "1Gi"}))
    made = chain(cluster)
    admit(made, requesting(memory="256Mi"))
    assert used(cluster) == {"pods": "1", "requests.memory": "256Mi"}
    with pytest.raises(ApiError) as caught:
        admit(made, requesting(memory="800Mi"))
    assert caught.value.message == (
        'pods "p" is forbidden: exceeded quota: q, requested: requests.memory=800Mi, used: requests.memory=256Mi, '
        "limited: requests.memory=1Gi"
    )
    admit(made, requesting(memory="768Mi"))
    with pytest.raises(
        ApiError,
        match=r"requested: pods=1,requests\.memory=1, used: pods=2,requests\.memory=1Gi, limited",
    ):
        admit(made, requesting(memory="1"))
    assert used(cluster) == {"pods": "2", "requests.memory": "1Gi"}


def test_what_a_quota_counts_must_be_said() -> None:
    made = chain(ready_cluster(quota({"requests.cpu": "1", "limits.memory": "1Gi"})))
    with pytest.raises(ApiError) as caught:
        admit(made, pod(containers=[{"name": "b"}, {"name": "a"}]))
    assert caught.value.message.endswith(
        "failed quota: q: must specify limits.memory for: a,b; requests.cpu for: a,b"
    )
    made = chain(ready_cluster(quota({"pods": "1"}, {})))
    with pytest.raises(ApiError, match="status unknown for quota: q, resources: pods"):
        admit(made, pod())


def test_a_dry_run_writes_nothing() -> None:
    cluster = ready_cluster(quota({"pods": "1"}))
    made = chain(cluster)
    admit(made, pod(), dry_run=True)
    assert used(cluster) == {"pods": "0"}
    admit(made, pod())
    with pytest.raises(ApiError, match="exceeded quota"):
        admit(made, pod(), dry_run=True)


def test_many_at_once_never_exceed() -> None:
    cluster = ready_cluster(quota({"pods": "7"}))
    made = chain(cluster)

    async def one(number: int) -> bool:
        obj = pod(f"p{number}")
        try:
            await made.validate(
                operation(obj),
                {**obj, "spec": {**obj["spec"], "serviceAccountName": "default"}},
                None,
                now=NOW,
            )
        except ApiError:
            return False
        return True

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(one(number) for number in range(20)))

    assert sum(asyncio.run(all_of_them())) == 7
    assert used(cluster) == {"pods": "7"}
    assert cluster.writes == [("update", KEY)]  # once for all that waited


def test_another_writer_is_seen() -> None:
    cluster = ready_cluster(quota({"pods": "2"}))
    made = chain(cluster)
    admit(made, pod())
    cluster.put(quota({"pods": "2"}, {"pods": "0"}))  # the controller corrects: a pod has gone
    admit(made, pod())
    assert used(cluster) == {"pods": "1"}
    cluster.put(quota({"pods": "2"}, {"pods": "2"}))
    with pytest.raises(ApiError, match="used: pods=2"):
        admit(made, pod())


def test_scopes() -> None:
    made = chain(ready_cluster(quota({"pods": "0"}, scopes=["BestEffort"])))
    with pytest.raises(ApiError, match="exceeded"):
        admit(made, pod())
    admit(made, requesting(cpu="1"))
    selector = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}
    cluster = ready_cluster(
        quota({"pods": "0"}, scopeSelector=selector),
        named("scheduling.k8s.io/v1", "PriorityClass", "high", value=1),
    )
    admit(chain(cluster), pod())
    with pytest.raises(ApiError, match="exceeded"):
        admit(chain(cluster), pod(priorityClassName="high"))


def test_updates_count_the_increase() -> None:
    cluster = ready_cluster(quota({"services.nodeports": "2", "services": "5"}))
    made = chain(cluster)

    def service(kind: str, ports: int) -> dict[str, Any]:
        spec = {"type": kind, "ports": [{"port": number} for number in range(ports)]}
        return named("v1", "Service", "s", "one", spec=spec)

    admit(made, service("ClusterIP", 2))
    assert used(cluster) == {"services.nodeports": "0", "services": "1"}
    admit(made, service("NodePort", 2), service("ClusterIP", 2))
    assert used(cluster) == {"services.nodeports": "2", "services": "1"}
    with pytest.raises(ApiError, match=r"exceeded quota: q, requested: services\.nodeports=1"):
        admit(made, service("NodePort", 3), service("NodePort", 2))


@pytest.mark.parametrize(
    ("group", "plural", "obj", "wanted"),
    [
        ("", "configmaps", named("v1", "ConfigMap", "c"), {"configmaps": "1", "count/configmaps": "1"}),
        ("apps", "deployments", named("apps/v1", "Deployment", "d"), {"count/deployments.apps": "1"}),
        (
            "",
            "persistentvolumeclaims",
            named("v1", "PersistentVolumeClaim", "c", spec={"storageClassName": "f", "resources": {"requests": {"storage": "1500m"}}}),
            {
                "persistentvolumeclaims": "1", "count/persistentvolumeclaims": "1", "requests.storage": "2",
                "f.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
                "f.storageclass.storage.k8s.io/requests.storage": "2",
            },
        ),
        (
            "",
            "pods",
            pod(overhead={"cpu": "1"}, containers=[{"name": "c", "resources": {"requests": {"cpu": "1", "x.io/g": "2"}, "limits": {"cpu": "2"}}}]),
            {"count/pods": "1", "pods": "1", "cpu": "2", "requests.cpu": "2", "limits.cpu": "3", "requests.x.io/g": "2"},
        ),
        ("", "pods", {**pod(), "status": {"phase": "Failed"}}, {"count/pods": "1"}),
    ],
)  # fmt: skip
def test_what_an_object_uses(group: str, plural: str, obj: dict[str, Any], wanted: dict[str, str]) -> None:
    usage = evaluator_of(group, plural).usage(obj, NOW)
    assert {name: amount.text for name, amount in usage.items()} == wanted
