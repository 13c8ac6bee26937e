"""kr8s: objects by discovery, waits, scale, labels, watches."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("kr8s", reason="kr8s is not installed: pip install kr8s")

import kr8s
from kr8s.asyncio import api as open_api
from kr8s.asyncio.objects import ConfigMap, Deployment, Pod

from kcore import ControlPlane

pytestmark = pytest.mark.filterwarnings("ignore:Kubernetes version:UserWarning")  # a version behind ours


def pod(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "nginx:1.27"}]}}


def test_objects(plane: ControlPlane, namespace: str) -> None:
    async def work() -> None:
        api = await open_api(kubeconfig=plane.kubeconfig, namespace=namespace)
        assert (await api.version())["minor"] == "36"
        assert await api.whoami() == "kubernetes-admin"
        kinds = {each["name"] for each in await api.api_resources()}
        assert {"pods", "deployments", "leases"} <= kinds
        one = await Pod(pod("one"), namespace=namespace, api=api)
        await one.create()
        assert await one.exists()
        assert one.status.phase == "Pending"
        await one.label(tier="front")
        await one.annotate(note="x")
        assert [each.name async for each in api.get("pods", label_selector={"tier": "front"})] == ["one"]
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        await one.patch(ready, subresource="status")
        await one.wait("condition=Ready", timeout=10)
        with pytest.raises(kr8s.ServerError, match='pods "one" already exists'):
            await (await Pod(pod("one"), namespace=namespace, api=api)).create()
        with pytest.raises(kr8s.NotFoundError):
            await Pod.get("no", namespace=namespace, api=api, timeout=0)
        await one.delete(grace_period=0)
        await one.wait("delete", timeout=10)

    asyncio.run(work())


def test_scale_owners_and_watch(plane: ControlPlane, namespace: str) -> None:
    async def work() -> None:
        api = await open_api(kubeconfig=plane.kubeconfig, namespace=namespace)
        template = {"metadata": {"labels": {"app": "web"}}, "spec": pod("web")["spec"]}
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
        web = await Deployment({"metadata": {"name": "web"}, "spec": spec}, namespace=namespace, api=api)
        await web.create()
        await web.patch({"spec": {"replicas": 3}}, subresource="scale")
        await web.refresh()
        assert web.replicas == 3
        settings = await ConfigMap(
            {"metadata": {"name": "c"}, "data": {"a": "1"}}, namespace=namespace, api=api
        )
        await settings.create()
        await web.adopt(settings)
        assert settings.metadata.ownerReferences[0].name == "web"
        seen = []
        async for kind, obj in api.watch("configmaps", field_selector="metadata.name=c"):
            seen.append(kind)
            if kind == "ADDED":
                await obj.patch([{"op": "replace", "path": "/data/a", "value": "2"}], type="json")
            elif kind == "MODIFIED":
                assert obj.data.a == "2"
                await obj.delete()
            else:
                break
        assert seen == ["ADDED", "MODIFIED", "DELETED"]

    asyncio.run(work())
