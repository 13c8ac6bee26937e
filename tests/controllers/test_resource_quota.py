"""Quotas are counted up by admission and down by their controller."""

import asyncio
from typing import Any

from kcore.controllers.resource_quota import ResourceQuota
from tests.controllers.living import living

Object = dict[str, Any]


def pod(name: str, **more: Any) -> Object:
    container = {
        "name": "main",
        "image": "web:1",
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
    }
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], **more},
    }  # fmt: skip


def quota(name: str, hard: Object, **more: Any) -> Object:
    return {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "namespace": "default"},
        "spec": {"hard": hard, **more},
    }  # fmt: skip


def test_what_there_is_is_counted_and_what_goes_is_counted_down() -> None:
    async def run() -> None:
        async with living(ResourceQuota()) as it:
            it.ready = False
            await it.client.create(pod("one"))
            await it.client.create(pod("two", activeDeadlineSeconds=9))
            hard = {
                "pods": "9", "requests.cpu": "10", "requests.memory": "20Gi", "configmaps": "5", "secrets": "3",
                "count/deployments.apps": "2", "services.nodeports": "1", "count/unheard.of": "1",
            }  # fmt: skip
            await it.client.create(quota("all", hard))
            await it.client.create(quota("ending", {"pods": "4"}, scopes=["Terminating"]))
            counted = await it.until_there("resourcequotas", "all", lambda obj: obj["status"].get("used"))
            assert counted["status"] == {
                "hard": hard,
                "used": {
                    "pods": "2", "requests.cpu": "1", "requests.memory": "2Gi", "configmaps": "0", "secrets": "0",
                    "count/deployments.apps": "0", "services.nodeports": "0",
                },
            }  # fmt: skip
            ending = await it.until_there("resourcequotas", "ending", lambda obj: obj["status"].get("used"))
            assert ending["status"]["used"] == {"pods": "1"}

            made = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "m", "namespace": "default"},
            }
            await it.client.create(made)
            used = (await it.client.get("resourcequotas", "all", "default"))["status"]["used"]
            assert used["configmaps"] == "1", "admission counts up"
            await it.client.delete("configmaps", "m", "default")
            await it.until_there(
                "resourcequotas", "all", lambda obj: obj["status"]["used"]["configmaps"] == "0"
            )
            await it.client.patch(
                "pods", "one", {"status": {"phase": "Failed"}}, "default", subresource="status"
            )
            await it.until_there("resourcequotas", "all", lambda obj: obj["status"]["used"]["pods"] == "1")
            await it.client.delete("pods", "two", "default")
            await it.until_there(
                "resourcequotas", "all", lambda obj: obj["status"]["used"]["requests.memory"] == "0"
            )
            await it.client.patch("resourcequotas", "all", {"spec": {"hard": {"pods": None}}}, "default")
            left = await it.until_there(
                "resourcequotas", "all", lambda obj: "pods" not in obj["status"]["hard"]
            )
            assert "pods" not in left["status"]["used"]

    asyncio.run(run())
