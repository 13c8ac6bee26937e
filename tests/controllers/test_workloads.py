"""Replica sets, deployments, namespaces in a cluster in this process."""

import asyncio
from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.controllers.deployment import Deployment
from kcore.controllers.namespace import Namespace
from kcore.controllers.replica_set import ReplicaSet, ReplicationController
from kcore.controllers.service_account import RootCertificate
from tests.controllers.living import Living, living, workload

Object = dict[str, Any]


def is_rolled_out(deployment: Object) -> bool:
    wanted, status = deployment["spec"]["replicas"], deployment.get("status") or {}
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return counts == [wanted] * 3 and status["observedGeneration"] == deployment["metadata"]["generation"]


def reason_of(obj: Object, kind: str) -> str | None:
    found = [one["reason"] for one in obj["status"].get("conditions", ()) if one["type"] == kind]
    return found[0] if found else None


def test_a_replica_set_has_its_pods_adopts_orphans_and_releases_strangers() -> None:
    async def run() -> None:
        async with living(ReplicaSet()) as it:
            orphan = {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "orphan", "namespace": "default", "labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "web:1"}]},
            }  # fmt: skip
            await it.client.create(orphan)
            await it.client.create(workload("ReplicaSet", "web", 3))
            await it.until_there("replicasets", "web", lambda rs: rs["status"].get("readyReplicas") == 3)
            pods = (await it.client.list("pods", "default"))["items"]
            owners = {pod["metadata"]["name"]: pod["metadata"]["ownerReferences"][0] for pod in pods}
            assert (
                len(pods) == 3 and owners["orphan"]["kind"] == "ReplicaSet" and owners["orphan"]["controller"]
            )
            assert len(it.told.said("ReplicaSet")) == 2

            await it.client.patch("pods", "orphan", {"metadata": {"labels": {"app": "other"}}}, "default")
            await it.until(lambda: len(it.told.said("ReplicaSet")) == 3)
            orphan = await it.client.get("pods", "orphan", "default")
            assert not orphan["metadata"].get("ownerReferences")

            await it.client.patch("replicasets", "web", {"spec": {"replicas": 1}}, "default")
            await it.until_there("replicasets", "web", lambda rs: rs["status"]["replicas"] == 1)

    asyncio.run(run())


def test_a_quota_that_forbids_pods_is_said_once() -> None:
    async def run() -> None:
        async with living(ReplicationController()) as it:
            quota = {
                "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": "default"},
                "spec": {"hard": {"pods": "0"}},
            }  # fmt: skip
            await it.client.create(quota)
            await it.client.patch(
                "resourcequotas", "none", {"status": {"hard": {"pods": "0"}, "used": {"pods": "0"}}}, "default",
                subresource="status",
            )  # fmt: skip
            web = workload("ReplicationController", "web", 20)
            web["apiVersion"], web["spec"]["selector"] = "v1", {"app": "web"}
            await it.client.create(web)
            failed = await it.until_there(
                "replicationcontrollers", "web", lambda rc: reason_of(rc, "ReplicaFailure") == "FailedCreate"
            )
            assert "exceeded quota" in failed["status"]["conditions"][0]["message"]
            assert len(it.told.said("ReplicationController")) < 20, "slow start: one refusal a round"

    asyncio.run(run())


def test_a_deployment_is_rolled_out_scaled_and_rolled_back() -> None:
    async def image(it: Living, tag: str) -> Object:
        template = {"spec": {"containers": [{"name": "main", "image": f"web:{tag}"}]}}
        await it.client.patch(
            "deployments", "web", {"spec": {"template": template}}, "default", type="strategic"
        )
        return await it.until_there("deployments", "web", is_rolled_out)

    async def run() -> None:
        async with living(ReplicaSet(), Deployment()) as it:
            await it.client.create(workload("Deployment", "web", 4))
            first = await it.until_there(
                "deployments", "web", lambda d: reason_of(d, "Progressing") == "NewReplicaSetAvailable"
            )
            assert first["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}
            second = await image(it, "2")
            assert second["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "2"}
            back = await image(it, "1")
            assert back["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "3"}
            sets = (await it.client.list("replicasets", "default"))["items"]
            assert sorted(each["spec"]["replicas"] for each in sets) == [0, 4]
            said = it.told.said("Deployment")
            assert all(message.startswith("Scaled ") for message in said) and len(said) == 17

            await it.client.patch("deployments", "web", {"spec": {"replicas": 2, "paused": True}}, "default")
            paused = await it.until_there(
                "deployments", "web",
                lambda d: reason_of(d, "Progressing") == "DeploymentPaused" and d["status"]["replicas"] == 2,
            )  # fmt: skip
            assert paused["status"]["observedGeneration"] == paused["metadata"]["generation"]

    asyncio.run(run())


def test_a_deployment_that_makes_no_progress_says_so() -> None:
    async def run() -> None:
        async with living(ReplicaSet(), Deployment()) as it:
            it.ready = False
            await it.client.create(workload("Deployment", "web", 1, progressDeadlineSeconds=1))
            late = await it.until_there(
                "deployments", "web", lambda d: reason_of(d, "Progressing") == "ProgressDeadlineExceeded"
            )
            assert reason_of(late, "Available") == "MinimumReplicasUnavailable"

    asyncio.run(run())


def test_a_recreated_deployment_has_no_old_pod_beside_a_new_one() -> None:
    async def run() -> None:
        async with living(ReplicaSet(), Deployment()) as it:
            await it.client.create(workload("Deployment", "web", 2, strategy={"type": "Recreate"}))
            await it.until_there("deployments", "web", is_rolled_out)
            together: list[set[str]] = []
            it.pods.add_batch_listener(
                lambda changes: together.append(
                    {pod["spec"]["containers"][0]["image"] for pod in it.pods.list()}
                )
            )
            template = {"spec": {"containers": [{"name": "main", "image": "web:2"}]}}
            patch = {"spec": {"template": template}}
            await it.client.patch("deployments", "web", patch, "default", type="strategic")
            await it.until_there("deployments", "web", is_rolled_out)
            assert together and all(len(images) < 2 for images in together)

    asyncio.run(run())


def test_a_namespace_has_its_account_and_certificate_and_goes_with_all_it_has() -> None:
    async def run() -> None:
        async with living(Namespace(grace_ms=0), RootCertificate("PEM"), ReplicaSet()) as it:
            await it.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
            await it.until_there("serviceaccounts", "default", lambda account: True, "shop")
            published = await it.until_there("configmaps", "kube-root-ca.crt", lambda found: True, "shop")
            assert published["data"] == {"ca.crt": "PEM"}
            await it.client.patch("configmaps", "kube-root-ca.crt", {"data": {"ca.crt": "other"}}, "shop")
            await it.until_there(
                "configmaps", "kube-root-ca.crt", lambda found: found["data"]["ca.crt"] == "PEM", "shop"
            )
            held = {
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "held", "namespace": "shop", "finalizers": ["example.com/wait"]},
            }  # fmt: skip
            await it.client.create(held)
            await it.client.delete("namespaces", "shop", "")
            waiting = await it.until_there(
                "namespaces",
                "shop",
                lambda found: reason_of(found, "NamespaceFinalizersRemaining") == "SomeFinalizersRemain",
                "",
            )
            messages = {one["type"]: one["message"] for one in waiting["status"]["conditions"]}
            assert messages["NamespaceContentRemaining"] == (
                "Some resources are remaining: configmaps. has 1 resource instances"
            )
            assert messages["NamespaceFinalizersRemaining"] == (
                "Some content in the namespace has finalizers remaining: example.com/wait in 1 resource instances"
            )
            await it.client.patch("configmaps", "held", {"metadata": {"finalizers": None}}, "shop")
            with pytest.raises(ApiError, match="not found"):
                await it.client.get("configmaps", "held", "shop")
            await it.client.patch("namespaces", "shop", {"metadata": {"labels": {"look": "again"}}}, "")
            namespaces = it.informers.informer("namespaces")
            await it.until(lambda: namespaces.get("shop") is None)

    asyncio.run(run())
