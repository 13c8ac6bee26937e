"""``ControlPlane`` with nodes and components: a cluster in this process, and what is left out is not there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kcore import ControlPlane
from kcore.api.status import ApiError
from tests.controllers.living import workload

SECONDS_MAX = 30.0


def until(look: Callable[[], Any]) -> Any:
    """What it says once that is true."""
    deadline = time.monotonic() + SECONDS_MAX
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane(nodes=3) as made:
        yield made


def test_pods_of_a_deployment_run_on_its_nodes(plane: ControlPlane) -> None:
    client = plane.client
    assert [node["metadata"]["name"] for node in client.list("nodes")["items"]] == [
        "node-000000", "node-000001", "node-000002",
    ]  # fmt: skip
    client.create(workload("Deployment", "web", 6))
    until(lambda: client.get("deployments", "web")["status"].get("availableReplicas") == 6)
    assert {pod["spec"]["nodeName"] for pod in client.list("pods")["items"]} == {
        "node-000000", "node-000001", "node-000002",
    }  # fmt: skip


def test_who_wrote_what_is_told_by_upstreams_names(plane: ControlPlane) -> None:
    client = plane.client
    client.create(workload("Deployment", "named", 1))
    (pod,) = until(
        lambda: [
            each
            for each in client.list("pods", label_selector="app=named")["items"]
            if each["status"].get("phase") == "Running"
        ]
    )
    managers = {entry["manager"] for entry in pod["metadata"]["managedFields"]}
    assert managers == {"kube-controller-manager", "kubelet"}  # a binding is nobody's
    events = until(
        lambda: [
            each
            for each in client.list("events", "default")["items"]
            if each.get("reason") == "Scheduled" and each["involvedObject"]["name"] == pod["metadata"]["name"]
        ]
    )
    assert events[0]["message"].startswith(
        f"Successfully assigned default/{pod['metadata']['name']} to node-"
    )


def test_controllers_are_told_what_simulated_pods_use(plane: ControlPlane) -> None:
    made = workload("Deployment", "busy", 2)
    made["spec"]["template"]["metadata"]["annotations"] = {"kwok.x-k8s.io/usage-cpu": "150m"}
    plane.client.create(made)
    until(lambda: plane.client.get("deployments", "busy")["status"].get("availableReplicas") == 2)

    def asked() -> list[dict[str, Any]]:
        found = plane.client.list("pods.metrics.k8s.io", "default", label_selector="app=busy")["items"]
        return [each for each in [found] if len(each) == 2]

    items = until(asked)[0]
    assert [each["containers"][0]["usage"]["cpu"] for each in items] == ["150000000n"] * 2


def test_what_is_not_named_does_not_run() -> None:
    with ControlPlane(components=["controller-manager"]) as plane:
        client = plane.client
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        until(lambda: client.list("serviceaccounts", "shop")["items"])
        assert until(lambda: client.list("configmaps", "shop")["items"])[0]["data"]["ca.crt"]
        client.create(workload("Deployment", "web", 2))
        pods = until(lambda: client.list("pods", "default")["items"])
        assert all("nodeName" not in pod["spec"] for pod in pods)
        client.delete("namespaces", "shop")
        until(lambda: "shop" not in {each["metadata"]["name"] for each in client.list("namespaces")["items"]})


def test_nodes_are_there_again_after_a_restart(tmp_path: Path) -> None:
    with ControlPlane(data_dir=tmp_path, components=["nodes"], nodes=2) as plane:
        before = {node["metadata"]["uid"] for node in plane.client.list("nodes")["items"]}
    with ControlPlane(data_dir=tmp_path, components=["nodes"], nodes=2) as plane:
        nodes = plane.client.list("nodes")["items"]
        assert {node["metadata"]["uid"] for node in nodes} == before
        ports = {node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] for node in nodes}
        assert len(ports) == 1  # the new kubelet's, of both


def test_a_node_template_that_cannot_be_read_ends_the_start(tmp_path: Path) -> None:
    plane = ControlPlane(nodes=1, node_template=tmp_path / "none.yaml")
    with pytest.raises(Exception, match=r"none\.yaml"):
        plane.start()
    assert not plane.is_running
    with pytest.raises((RuntimeError, AttributeError, ApiError)):
        plane.client.list("nodes")
