"""lightkube: typed models, generic resources, patches, apply, watches; sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("lightkube", reason="lightkube is not installed: pip install lightkube")

from lightkube import ApiError, AsyncClient, Client, KubeConfig, codecs
from lightkube.generic_resource import load_in_cluster_generic_resources
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.operators import exists, in_, not_equal
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node, Pod
from lightkube.types import CascadeType, PatchType

from kcore import ControlPlane


@pytest.fixture(scope="module", params=[False, True], ids=["HTTP/1.1", "HTTP/2"])
def client(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Client]:
    if request.param:
        pytest.importorskip("h2", reason="h2 is not installed: pip install h2")
    settings = KubeConfig.from_file(plane.kubeconfig)
    with Client(config=settings, field_manager="tests", http2=request.param, trust_env=False) as made:
        yield made


def config_map(name: str, namespace: str, labels: dict[str, str] | None = None, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace, labels=labels), data=data)


def deployment(name: str, namespace: str) -> Deployment:
    labels = {"app": name}
    containers = [Container(name="main", image="nginx:1.27")]
    template = PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=PodSpec(containers=containers))
    return Deployment(
        metadata=ObjectMeta(name=name, namespace=namespace),
        spec=DeploymentSpec(selector=LabelSelector(matchLabels=labels), template=template, replicas=1),
    )


def refused(call: Any, *arguments: Any, **options: Any) -> tuple[int, str, str]:
    with pytest.raises(ApiError) as caught:
        call(*arguments, **options)
    said = caught.value.status
    return said.code, said.reason, said.message


def test_an_object_lives_and_dies(client: Client, namespace: str) -> None:
    made = client.create(config_map("a", namespace, x="1"))
    assert client.get(ConfigMap, "a", namespace=namespace) == made
    made.data["x"] = "2"
    replaced = client.replace(made)
    assert int(replaced.metadata.resourceVersion) > int(made.metadata.resourceVersion)
    assert refused(client.replace, made)[:2] == (409, "Conflict")
    labelled = client.set(ConfigMap, "a", namespace=namespace, labels={"a": "1"}, annotations={"b": "2"})
    assert (labelled.metadata.labels, labelled.metadata.annotations) == ({"a": "1"}, {"b": "2"})
    client.create(config_map("b", namespace))
    client.delete(ConfigMap, "a", namespace=namespace)
    assert refused(client.get, ConfigMap, "a", namespace=namespace) == (
        404, "NotFound", 'configmaps "a" not found',
    )  # fmt: skip
    client.deletecollection(ConfigMap, namespace=namespace)
    assert list(client.list(ConfigMap, namespace=namespace, fields={"metadata.name": "b"})) == []


def test_patches_apply_and_scale(client: Client, namespace: str) -> None:
    client.create(deployment("web", namespace))
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "busybox"}]}}}}
    patched = client.patch(Deployment, "web", patch, namespace=namespace)
    assert [each.name for each in patched.spec.template.spec.containers] == ["side", "main"]
    steps = [{"op": "test", "path": "/spec/replicas", "value": 7}]
    assert refused(client.patch, Deployment, "web", steps, namespace=namespace, patch_type=PatchType.JSON)[
        :2
    ] == (422, "Invalid")
    merged = client.patch(
        Deployment, "web", {"spec": {"paused": True}}, namespace=namespace, patch_type=PatchType.MERGE
    )
    assert merged.spec.paused is True
    scale = Deployment.Scale(metadata=ObjectMeta(name="web", namespace=namespace), spec=ScaleSpec(replicas=4))
    assert client.replace(scale, "web", namespace=namespace).spec.replicas == 4
    wanted = deployment("web", namespace)
    assert refused(client.apply, wanted, field_manager="other")[1] == "Conflict"
    applied = client.apply(wanted, field_manager="other", force=True)
    assert applied.spec.replicas == 1
    assert "other" in [each.manager for each in applied.metadata.managedFields]
    client.delete(Deployment, "web", namespace=namespace, cascade=CascadeType.BACKGROUND)


def test_selectors_and_pieces(client: Client, namespace: str) -> None:
    for number in range(5):
        client.create(config_map(f"n-{number}", namespace, {"n": str(number)}))
    listed = client.list(ConfigMap, namespace=namespace, labels={"n": exists()}, chunk_size=2)
    assert [each.metadata.name for each in listed] == [f"n-{number}" for number in range(5)]
    assert int(listed.resourceVersion) > 0
    some = client.list(
        ConfigMap, namespace="*", labels={"n": in_(["1", "2"])},
        fields={"metadata.namespace": namespace, "metadata.name": not_equal("n-1")},
    )  # fmt: skip
    assert [each.metadata.name for each in some] == ["n-2"]


def test_a_watch_with_a_selector(client: Client, namespace: str) -> None:
    client.create(config_map("w", namespace, {"seen": "yes"}))
    seen = []
    for kind, obj in client.watch(ConfigMap, namespace=namespace, labels={"seen": "yes"}, server_timeout=20):
        seen.append((kind, obj.metadata.name))
        if len(seen) == 1:
            client.patch(ConfigMap, "w", {"data": {"a": "1"}}, namespace=namespace)
        elif len(seen) == 2:
            client.patch(ConfigMap, "w", {"metadata": {"labels": {"seen": "no"}}}, namespace=namespace)
        else:
            break
    assert seen == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")]
    with pytest.raises(ApiError) as caught:
        next(iter(client.watch(Pod, namespace=namespace, resource_version="1")))
    assert (caught.value.status.code, caught.value.status.reason) == (410, "Expired")


def test_cluster_scoped_status_and_dry_run(client: Client, namespace: str) -> None:
    name = f"{namespace}-node"
    client.create(Node(metadata=ObjectMeta(name=name)))
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "4"}}}
    patched = client.patch(Node.Status, name, ready)
    assert patched.status.allocatable == {"cpu": "4"}
    assert client.wait(Node, name, for_conditions=["Ready"]).metadata.name == name
    client.delete(Node, name)
    client.create(Namespace(metadata=ObjectMeta(name="tried")), dry_run=True)
    assert refused(client.get, Namespace, "tried")[0] == 404


def test_manifests_and_kinds_that_are_only_discovered(client: Client, namespace: str) -> None:
    text = f"""
apiVersion: v1
kind: Pod
metadata: {{name: p, namespace: {namespace}}}
spec: {{containers: [{{name: c, image: i}}]}}
"""
    for obj in codecs.load_all_yaml(text):
        assert client.create(obj).status.phase == "Pending"
    assert [each.metadata.name for each in client.list(Pod, namespace=namespace)] == ["p"]
    load_in_cluster_generic_resources(client)


def test_the_asynchronous_client(plane: ControlPlane, namespace: str) -> None:
    async def work() -> list[tuple[str, str]]:
        settings = KubeConfig.from_file(plane.kubeconfig)
        async with AsyncClient(config=settings, namespace=namespace, trust_env=False) as client:
            made = await asyncio.gather(
                *(client.create(config_map(f"n-{number}", namespace, {"n": "1"})) for number in range(20))
            )
            assert len({each.metadata.resourceVersion for each in made}) == 20
            names = [
                each.metadata.name async for each in client.list(ConfigMap, labels={"n": "1"}, chunk_size=6)
            ]
            assert len(names) == 20
            seen: list[tuple[str, str]] = []
            async for kind, obj in client.watch(ConfigMap, labels={"n": "1"}):
                seen.append((kind, obj.metadata.name))
                if len(seen) == 20:
                    break
            return sorted(seen)

    assert asyncio.run(work()) == sorted(("ADDED", f"n-{number}") for number in range(20))
