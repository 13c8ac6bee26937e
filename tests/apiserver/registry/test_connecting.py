"""Where logs, exec and proxies lead."""

from __future__ import annotations

import pytest

from kcore.api.status import ApiError
from kcore.apiserver.list_options import ListOptions, from_query
from kcore.apiserver.registry.components import Components
from kcore.apiserver.registry.connecting import Target, split_name
from tests.apiserver.registry.rig import Object, Rig, body, pod, refused, run


async def set_up(rig: Rig) -> None:
    """A pod of two containers on a node with a kubelet."""
    sent = pod(nodeName="n")
    sent["spec"]["containers"].append({"name": "side", "image": "x", "ports": [{"containerPort": 8080}]})
    await rig.create("pods", sent)
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {}}
    await rig.create("nodes", node)
    status = {
        "addresses": [{"type": "InternalIP", "address": "10.1.2.3"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 1234}},
    }
    await rig.registry.update(rig.op("nodes", "n", subresource="status"), {**node, "status": status})


def test_logs_and_exec_lead_to_the_kubelet() -> None:
    async def test(rig: Rig) -> None:
        await set_up(rig)
        op = rig.op("pods", "web", subresource="log")
        target = await rig.registry.connect(
            op, {"container": ["side"], "follow": ["true"], "tailLines": ["5"]}
        )
        assert target == Target(
            "https", "10.1.2.3", 1234, "/containerLogs/default/web/side", "follow=true&tailLines=5",
            kubelet=True, follow=True,
        )  # fmt: skip
        error = await refused(rig.registry.connect(op, {}))
        assert error.message == ("a container name must be specified for pod web, choose one of: [main side]")
        error = await refused(rig.registry.connect(op, {"container": ["no"]}))
        assert error.message == "container no is not valid for pod web"
        error = await refused(rig.registry.connect(op, {"container": ["side"], "tailLines": ["-1"]}))
        assert error.message == (
            'PodLogOptions "web" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0'
        )
        op = rig.op("pods", "web", subresource="exec")
        asked = {"container": ["main"], "command": ["ls", "-l"], "stdin": ["true"]}
        target = await rig.registry.connect(op, asked)
        assert target is not None
        assert (target.path, target.query) == (
            "/exec/default/web/main",
            "command=ls&command=-l&error=1&input=1&output=1",
        )
        target = await rig.registry.connect(rig.op("pods", "web", subresource="portforward"), {})
        assert target is not None
        assert target.path == "/portForward/default/web"

    run(test)


def test_without_a_node_there_is_no_way() -> None:
    async def test(rig: Rig) -> None:
        await rig.create("pods", pod())
        assert await rig.registry.connect(rig.op("pods", "web", subresource="log"), {}) is None
        error = await refused(rig.registry.connect(rig.op("pods", "web", subresource="exec"), {}))
        assert error.message == "pod web does not have a host assigned"
        await rig.create("pods", pod("lost", nodeName="gone"))
        error = await refused(rig.registry.connect(rig.op("pods", "lost", subresource="log"), {}))
        assert error.message == 'nodes "gone" not found'
        node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gone"}}
        await rig.create("nodes", node)
        error = await refused(rig.registry.connect(rig.op("pods", "lost", subresource="log"), {}))
        assert error.message == "no preferred addresses found; known addresses: []"

    run(test)


def test_proxies() -> None:
    async def test(rig: Rig) -> None:
        await set_up(rig)
        error = await refused(rig.registry.connect(rig.op("pods", "web", subresource="proxy"), {}))
        assert error.message == "address not allowed"
        found = await rig.get("pods", "web")
        found["status"] = {"podIPs": [{"ip": "10.9.9.9"}]}
        await rig.registry.update(rig.op("pods", "web", subresource="status"), found)
        target = await rig.registry.connect(rig.op("pods", "web", subresource="proxy"), {})
        assert target is not None
        assert (target.scheme, target.authority) == ("http", "10.9.9.9:8080")
        target = await rig.registry.connect(rig.op("nodes", "https:n:99", subresource="proxy"), {})
        assert target is not None
        assert (target.scheme, target.authority, target.kubelet) == ("https", "10.1.2.3:99", False)
        endpoints: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "s"}}
        await rig.create("endpoints", endpoints)
        error = await refused(rig.registry.connect(rig.op("services", "s", subresource="proxy"), {}))
        assert (error.code, error.message) == (503, 'no endpoints available for service "s"')

    run(test)


@pytest.mark.parametrize("text", ["", ":80", "a:b:c:d", "ftp:a:80"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(ApiError, match="invalid pod request"):
        split_name(text, "pod")


def test_components_are_asked_when_they_are_read() -> None:
    async def test(rig: Rig) -> None:
        async def well() -> str:
            return ""

        async def ill() -> str:
            return "Get: connection refused"

        source = rig.core.computed["", "componentstatuses"] = Components({"etcd-0": well, "scheduler": ill})

        async def names(**query: str) -> list[str]:
            op = rig.op("componentstatuses")
            found = await rig.registry.list_computed(op, from_query(op.row, query.items()))
            assert found is not None
            return [item["metadata"]["name"] for item in body(found.body)["items"]]

        listed = await rig.registry.list_computed(rig.op("componentstatuses"), ListOptions())
        assert listed is not None
        found = body(listed.body)
        assert found["items"][0].keys() == {"metadata", "conditions"}  # the kind is the list's
        assert [each["kind"] for each in await source.list("", ListOptions())] == ["ComponentStatus"] * 2
        assert [item["conditions"][0]["status"] for item in found["items"]] == ["True", "False"]
        assert await names(fieldSelector="metadata.name=scheduler,metadata.namespace=") == ["scheduler"]
        assert await names(fieldSelector="metadata.name!=scheduler") == ["etcd-0"]
        assert await names(labelSelector="app=web") == []
        assert await names(labelSelector="app!=web,!app") == ["etcd-0", "scheduler"]
        error = await refused(rig.registry.get(rig.op("componentstatuses", "none")))
        assert error.code == 404

    run(test)
