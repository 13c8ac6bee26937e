"""The same operations, asked of one fresh control plane in process and of another by the client over HTTP: all agree."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from kcore import ControlPlane
from kcore.api.status import ApiError
from kcore.client import kubeconfig
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import Informer
from kcore.client.remote import connect
from tests.apiserver.clients.operations import STEPS, Object, Step
from tests.apiserver.clients.test_in_process_equals_http import steady


@pytest.fixture(scope="module")
def planes() -> Iterator[tuple[ControlPlane, ControlPlane]]:
    with ControlPlane() as one, ControlPlane() as two:
        yield one, two


async def asked(step: Step, client: AsyncClient) -> tuple[Object, list[str]]:
    warnings: list[str] = []
    client.on_warning = warnings.append
    try:
        return await getattr(client, step.call)(*step.arguments, **step.options), warnings
    except ApiError as error:
        return error.status(), warnings


@pytest.mark.differential
def test_answers_errors_and_warnings_agree(planes: tuple[ControlPlane, ControlPlane]) -> None:
    async def test() -> list[Any]:
        wrong = []
        async with connect(kubeconfig.of(planes[1].kubeconfig_dict)) as client:
            for step in STEPS:
                remote, local = await asked(step, client), await asked(step, planes[0].async_client)
                if steady(remote) != steady(local):
                    wrong.append(
                        (step.method, step.path, str(step.body)[:200], steady(remote), steady(local))
                    )
        return wrong

    wrong = asyncio.run(test())
    for each in wrong:
        print(*each, sep="\n  ")
    assert not wrong


def test_what_nobody_reads_is_done_and_says_who_it_was_about(
    planes: tuple[ControlPlane, ControlPlane],
) -> None:
    async def writes(client: AsyncClient) -> list[Object]:
        """The answers, and what is there after each."""
        made: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "unread"},
            "data": {"a": "b"},
        }
        found = [await client.create(made, answered=False), await client.get("configmaps", "unread")]
        found.append(await client.patch("configmaps", "unread", {"data": {"a": "c"}}, answered=False))
        found.append(await client.get("configmaps", "unread"))
        with pytest.raises(ApiError, match="already exists"):
            await client.create(made, answered=False)
        with pytest.raises(ApiError, match="cannot unmarshal"):
            await client.patch("configmaps", "unread", {"data": 7}, answered=False)
        found.append(await client.delete("configmaps", "unread", answered=False))
        with pytest.raises(ApiError, match="not found"):
            await client.delete("configmaps", "unread", answered=False)
        return found

    async def test() -> None:
        async with connect(kubeconfig.of(planes[1].kubeconfig_dict)) as remote:
            for client in (remote, planes[0].async_client):
                answers = await writes(client)
                there, then = answers[1]["metadata"], answers[3]["metadata"]["resourceVersion"]
                known = {name: there[name] for name in ("name", "namespace", "uid", "resourceVersion")}
                assert answers[0] == {"metadata": known}
                assert answers[2] == {"metadata": {**known, "resourceVersion": then}}
                assert answers[4] == {}
                assert [each["data"]["a"] for each in answers[1::2]] == ["b", "c"]
                review = {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": "unread"},
                    "target": {"name": "n"},
                }
                with pytest.raises(ApiError, match="unread"):
                    await client.create(
                        {**review, "kind": "Binding"}, resource="pods", name="unread", subresource="binding", answered=False
                    )  # fmt: skip

    asyncio.run(test())


def test_an_informer_follows_over_http(planes: tuple[ControlPlane, ControlPlane]) -> None:
    async def test() -> None:
        seen: list[tuple[bool, bool]] = []
        async with (
            connect(kubeconfig.of(planes[1].kubeconfig_dict)) as client,
            Informer(client, "configmaps", namespace="default", label_selector="of=informer") as followed,
        ):
            await followed.synced()
            followed.add_listener(lambda old, new: seen.append((old is None, new is None)))
            made = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "x", "labels": {"of": "informer"}},
            }
            await client.create(made)
            await client.patch("configmaps", "x", {"data": {"a": "b"}})
            await client.delete("configmaps", "x")
            async with asyncio.timeout(20):
                while len(seen) < 3:
                    await asyncio.sleep(0.005)
        assert seen == [(True, False), (False, False), (False, True)]

    asyncio.run(test())
