"""A group that somebody in the server's process answers for: metrics.k8s.io, of two nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kcore.api.resources import metrics
from kcore.api.status import not_found
from kcore.apiserver.list_options import ListOptions
from kcore.apiserver.local_groups import MANAGED_LABEL, LocalGroup, forget_others
from kcore.apiserver.registry.computed import selected
from tests.apiserver.handled import Server

Object = dict[str, Any]
BASE = "/apis/metrics.k8s.io/v1beta1"
API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


class Nodes:
    """The source of NodeMetrics."""

    def __init__(self) -> None:
        self.items = [self._of("a", "250m", "64Mi"), self._of("b", "1500000n", "1536Ki")]

    def _of(self, name: str, cpu: str, memory: str) -> Object:
        return {
            "kind": "NodeMetrics", "apiVersion": metrics.NODES.api_version,
            "metadata": {"name": name, "labels": {"name": name}}, "timestamp": "2026-01-01T00:00:00Z", "window": "15s",
            "usage": {"cpu": cpu, "memory": memory},
        }  # fmt: skip

    async def get(self, namespace: str, name: str) -> Object:
        for each in self.items:
            if each["metadata"]["name"] == name:
                return each
        raise not_found("", "nodes", name)

    async def list(self, namespace: str, options: ListOptions) -> list[Object]:
        return [each for each in self.items if selected(each["metadata"], options)]


GROUP = LocalGroup(metrics.GROUP, metrics.VERSION, {metrics.NODES: Nodes()}, "metrics-reader")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    made.run(made.assembly.serve(GROUP))
    yield made
    made.close()


def got(server: Server, path: str, **headers: str) -> Any:
    code, body = server("GET", path, **headers)
    assert code == 200, body
    return body


def said(server: Server, method: str, path: str, **headers: str) -> tuple[int, str]:
    code, body = server(method, path, **headers)
    return code, body["message"] if isinstance(body, dict) else str(body)


def test_the_group_is_discovered_and_its_api_service_is_local(server: Server) -> None:
    assert "metrics.k8s.io" in {each["name"] for each in got(server, "/apis")["groups"]}
    (resource,) = got(server, BASE)["resources"]
    assert (resource["name"], resource["kind"], resource["verbs"]) == (
        "nodes",
        "NodeMetrics",
        ["get", "list"],
    )
    (available,) = got(server, API_SERVICE)["status"]["conditions"]
    assert (available["type"], available["status"], available["reason"]) == ("Available", "True", "Local")
    schema = got(server, "/openapi/v3/apis/metrics.k8s.io/v1beta1")["components"]["schemas"]
    assert "io.k8s.metrics.pkg.apis.metrics.v1beta1.NodeMetrics" in schema


def test_objects_are_read_selected_and_shown(server: Server) -> None:
    assert got(server, f"{BASE}/nodes/a")["usage"] == {"cpu": "250m", "memory": "64Mi"}
    listed = got(server, f"{BASE}/nodes?labelSelector=name%3Db")
    assert (listed["kind"], listed["metadata"]) == ("NodeMetricsList", {})
    assert [each["metadata"]["name"] for each in listed["items"]] == ["b"]
    assert [
        each["metadata"]["name"]
        for each in got(server, f"{BASE}/nodes?fieldSelector=metadata.name%3Da")["items"]
    ] == ["a"]
    table = got(server, f"{BASE}/nodes", accept=TABLE)
    assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
    assert [row["cells"] for row in table["rows"]] == [
        ["a", "250m", "64Mi", "15s"],
        ["b", "1500u", "1536Ki", "15s"],
    ]


def test_what_is_not_there_is_said(server: Server) -> None:
    assert said(server, "GET", f"{BASE}/nodes/c") == (404, 'nodes "c" not found')
    assert said(server, "DELETE", f"{BASE}/nodes/a")[0] == 405
    assert said(server, "GET", f"{BASE}/nodes?watch=1")[0] == 405
    protobuf = "application/vnd.kubernetes.protobuf"
    assert said(server, "GET", f"{BASE}/nodes", accept=protobuf)[0] == 406
    assert len(got(server, f"{BASE}/nodes", accept=f"{protobuf}, */*")["items"]) == 2


def test_a_group_goes_and_one_that_was_left_behind_too(server: Server) -> None:
    assembly = server.assembly
    server.run(assembly.withdraw(GROUP))
    assert said(server, "GET", f"{BASE}/nodes")[0] == said(server, "GET", API_SERVICE)[0] == 404
    left = {
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io", "labels": {MANAGED_LABEL: "onstart"}},
        "spec": {"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100},
    }  # fmt: skip
    server.run(assembly._writer.create(left))
    server.run(forget_others(assembly.view, assembly.catalog, assembly._writer))
    assert said(server, "GET", API_SERVICE)[0] == 404
