"""The same operations, asked of one fresh control plane without HTTP and of another with it: answers and errors agree."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kcore import ControlPlane
from kcore.api.status import ApiError
from kcore.client.blocking import Client
from tests.apiserver.clients.operations import STEPS, Object, Step

CHANCE = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|(?<=kube-api-access-)\w{5}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
)
WARNING = re.compile(r'299 - "((?:[^"\\]|\\.)*)"')
OF_THE_MOMENT = {"uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "time", "continue", "clusterIP",
                 "clusterIPs", "lastTransitionTime", "ca.crt"}  # fmt: skip


@pytest.fixture(scope="module")
def planes() -> Iterator[tuple[ControlPlane, ControlPlane]]:
    with ControlPlane() as one, ControlPlane() as two:
        yield one, two


@pytest.fixture(scope="module")
def wire(planes: tuple[ControlPlane, ControlPlane], tmp_path_factory: pytest.TempPathFactory) -> Any:
    plane = planes[1]
    cluster = plane.kubeconfig_dict["clusters"][0]["cluster"]
    user = plane.kubeconfig_dict["users"][0]["user"]
    pem: Path = tmp_path_factory.mktemp("wire") / "admin.pem"
    pem.write_bytes(
        base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"])
    )
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    context.load_cert_chain(pem)
    host, _, port = plane.url.removeprefix("https://").partition(":")
    return lambda: http.client.HTTPSConnection(host, int(port), context=context, timeout=30)


def over_http(step: Step, open_connection: Any) -> tuple[Object, list[str]]:
    connection = open_connection()
    body = None if step.body is None else json.dumps(step.body)
    try:
        connection.request(
            step.method, step.path, body, {"Content-Type": step.content, "User-Agent": "kcore"}
        )
        answer = connection.getresponse()
        text = answer.read()
        made = json.loads(text) if text.startswith(b"{") else {"code": answer.status, "text": text.decode()}
        return made, [
            json.loads(f'"{found}"')
            for value in answer.headers.get_all("warning") or ()
            for found in WARNING.findall(value)
        ]
    finally:
        connection.close()


def in_process(step: Step, client: Client) -> tuple[Object, list[str]]:
    warnings: list[str] = []
    client.on_warning = warnings.append
    try:
        return getattr(client, step.call)(*step.arguments, **step.options), warnings
    except ApiError as error:
        return error.status(), warnings


def steady(value: Any) -> Any:
    """The value without what differs from moment to moment and server to server."""
    if isinstance(value, dict):
        return {name: "*" if name in OF_THE_MOMENT else steady(found) for name, found in value.items()}
    if isinstance(value, list | tuple):
        return [steady(found) for found in value]
    if isinstance(value, str):
        return CHANCE.sub("<chance>", value)
    return value


@pytest.mark.differential
def test_answers_and_errors_agree(planes: tuple[ControlPlane, ControlPlane], wire: Any) -> None:
    client = planes[0].client
    wrong = []
    for step in STEPS:
        http, local = over_http(step, wire), in_process(step, client)
        if steady(http) != steady(local):
            wrong.append((step.method, step.path, str(step.body)[:200], steady(http), steady(local)))
    for each in wrong:
        print(*each, sep="\n  ")
    assert not wrong


def test_watches_agree(planes: tuple[ControlPlane, ControlPlane], wire: Any) -> None:
    made = []
    for plane in planes:
        plane.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "seen"}})
        first = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "seen"}}
        first["metadata"]["labels"] = {"w": "1"}  # type: ignore[index]
        plane.client.create(first)
        version = plane.client.list("configmaps", "seen", label_selector="w=1")["metadata"]["resourceVersion"]
        plane.client.patch("configmaps", "a", {"data": {"x": "1"}}, "seen")
        plane.client.patch("configmaps", "a", {"metadata": {"labels": {"w": "2"}}}, "seen")
        made.append(version)
    for version, bookmarks in ((None, False), (None, True), ("old", False), ("x", False)):
        asked = [each if version == "old" else version or "" for each in made]
        local = in_process_watch(planes[0].client, asked[0], bookmarks)
        query = f"watch=1&labelSelector=w&timeoutSeconds=1&resourceVersion={asked[1]}"
        if bookmarks:
            query += "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        connection = wire()
        connection.request("GET", f"/api/v1/namespaces/seen/configmaps?{query}")
        lines = [json.loads(line) for line in connection.getresponse().read().splitlines()]
        connection.close()
        remote = [line if "code" in line else (line["type"], line["object"]) for line in lines]
        assert steady(list(map(list, remote))) == steady(list(map(list, local))), version


def in_process_watch(client: Client, version: str, bookmarks: bool) -> list[Any]:
    options: dict[str, Any] = {"label_selector": "w", "timeout_seconds": 1, "resource_version": version}
    if bookmarks:
        options |= {"bookmarks": True, "send_initial_events": True}
    try:
        return list(client.watch("configmaps", "seen", **options))
    except ApiError as error:
        return [error.status()]
