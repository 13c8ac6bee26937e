"""The client over HTTP against a real kube-apiserver: verbs, errors, custom resources, an informer by WatchList."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from kcore.api.status import ApiError
from kcore.client import kubeconfig
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import Informer
from kcore.client.remote import connect
from tests.apiserver.goclients.programs import HERE, built
from tests.apiserver.goclients.test_upstream import real_server

pytestmark = pytest.mark.slow

READY_SECONDS_MAX = 120.0
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}],
    },
}  # fmt: skip


async def ready(client: AsyncClient) -> None:
    """The server answers, and has its namespace."""
    async with asyncio.timeout(READY_SECONDS_MAX):
        while True:
            try:
                await client.get("namespaces", "default")
            except (ApiError, OSError):
                await asyncio.sleep(0.2)
            else:
                return


def configmap(name: str) -> dict[str, Any]:
    """A ConfigMap of 1 KB."""
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"of": "test"}},
        "data": {"a": "b" * 1000},
    }  # fmt: skip


async def session(client: AsyncClient) -> None:
    """What a program does."""
    await ready(client)
    seen: list[tuple[bool, bool]] = []
    async with Informer(client, "configmaps", label_selector="of=test") as followed:
        await followed.synced()
        followed.add_listener(lambda old, new: seen.append((old is None, new is None)))
        await asyncio.gather(*(client.create(configmap(f"c-{index}")) for index in range(400)))
        await client.patch("configmaps", "c-0", {"data": {"x": "y"}})
        await client.apply({**configmap("c-1"), "data": {"z": "1"}}, force=True)
        with pytest.raises(ApiError, match='configmaps "c-2" already exists'):
            await client.create(configmap("c-2"))
        listed = await client.list("configmaps", "default", label_selector="of=test")
        assert len(listed["items"]) == 400
        await client.delete_collection("configmaps", label_selector="of=test")
        async with asyncio.timeout(60):
            while len(followed) or len(seen) < 802:
                await asyncio.sleep(0.01)
    assert seen.count((True, False)) == 400
    assert seen.count((False, True)) == 400
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "size": 3}
    await client.create(DEFINITION)
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(ApiError):  # not served yet
                await client.create(widget)
                break
            await asyncio.sleep(0.2)
    assert (await client.get("widget", "w"))["size"] == 3
    await client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "me"}})
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = await client.create(asked, "default", resource="serviceaccounts", name="me", subresource="token")
    assert token["status"]["token"]


def test_the_client_and_an_informer_at_a_real_kube_apiserver(tmp_path: Path) -> None:
    program = built(HERE / "upstream", "k8s.io/kubernetes/cmd/kube-apiserver", tmp_path)

    async def run(path: Path) -> None:
        async with connect(kubeconfig.load(str(path))) as client:
            await session(client)

    with real_server(program, tmp_path) as path:
        asyncio.run(run(path))
