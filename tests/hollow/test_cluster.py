"""Simulated nodes on a real API server in this process: pods run and go; the kubelets answer through the API server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import kcore
from kcore.client.asynchronous import AsyncClient
from kcore.hollow.assembly import HollowNodes, Settings
from kcore.hollow.configuration import load
from kcore.hollow.node_template import read_template

NODES = 100
PODS = 500
SECONDS_MAX = 60.0
CREATES_COUNT = 50
LOOK_SECONDS = 0.1
ANSWERS = """apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterLogs
metadata: {name: all}
spec: {logs: [{containers: [told], text: "one\\ntwo\\nthree"}]}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterExec
metadata: {name: all}
spec: {execs: [{answers: [{command: [uname], stdout: "kcore\\n"}, {command: [fail], stderr: "no\\n", exitCode: 3}]}]}
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[kcore.ControlPlane]:
    with kcore.ControlPlane() as running:
        yield running


def run(plane: kcore.ControlPlane, work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(SECONDS_MAX):
            await work

    plane.run(bounded())  # in the server's own loop: no call goes from thread to thread


@contextlib.asynccontextmanager
async def hollow(
    plane: kcore.ControlPlane, settings: Settings
) -> AsyncIterator[tuple[HollowNodes, AsyncClient]]:
    client = plane.async_client
    async with HollowNodes(client, settings) as nodes:
        yield nodes, client


def pod(name: str, node: str, *containers: str, **metadata: Any) -> dict[str, Any]:
    made = [
        {"name": each, "image": "i", "env": [{"name": "A", "value": "b"}]} for each in containers or ("c",)
    ]
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"nodeName": node, "containers": made},
    }  # fmt: skip


async def until(found: Any) -> None:
    while not await found():
        await asyncio.sleep(LOOK_SECONDS)


async def gathered(calls: list[Coroutine[Any, Any, Any]]) -> None:
    for at in range(0, len(calls), CREATES_COUNT):
        await asyncio.gather(*calls[at : at + CREATES_COUNT])


def test_bound_pods_run_and_go(plane: kcore.ControlPlane) -> None:
    async def main() -> None:
        async with hollow(plane, Settings(node_count=NODES)) as (nodes, client):
            found = (await client.list("nodes"))["items"]
            ready = [
                each["type"]
                for node in found
                for each in node["status"]["conditions"]
                if each["status"] == "True"
            ]
            assert (len(found), ready) == (NODES, ["Ready"] * NODES)
            await gathered([client.create(pod(f"p{i}", f"node-{i % NODES:06}")) for i in range(PODS)])

            async def pods() -> list[dict[str, Any]]:
                made: list[dict[str, Any]] = (await client.list("pods", "default"))["items"]
                return made

            async def all_run() -> bool:
                return all(each["status"]["phase"] == "Running" for each in await pods())

            await until(all_run)
            running = await pods()
            assert len({each["status"]["podIP"] for each in running}) == len(running) == PODS
            assert nodes.statistics.plays == nodes.statistics.writes == PODS, "one write each"
            conditions = {each["type"]: each["status"] for each in running[0]["status"]["conditions"]}
            assert conditions["Ready"] == conditions["ContainersReady"] == "True"

            async def leased() -> bool:
                return len((await client.list("leases", "kube-node-lease"))["items"]) == NODES

            await until(leased)
            await gathered([client.delete("pods", each["metadata"]["name"]) for each in running])

            async def all_gone() -> bool:
                return not await pods()

            await until(all_gone)
            assert nodes.statistics.failures == 0

            async def all_answered() -> bool:
                return nodes.core.playing_count == 0

            await until(all_answered)

    run(plane, main())


def test_a_jobs_pod_ends_and_a_failing_one_fails(plane: kcore.ControlPlane) -> None:
    async def main() -> None:
        stages = load(["node", "pod-fast", "pod-chaos"])
        async with hollow(plane, Settings(configuration=stages, node_count=1, server_port=None)) as (
            _,
            client,
        ):
            owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "0-0-0-0"}
            await client.create(pod("ends", "node-000000", ownerReferences=[owner]))
            name = "pod-container-running-failed.stage.kwok.x-k8s.io"
            said = {f"{name}/delay": "1ms", f"{name}/exit-code": "7"}
            await client.create(pod("fails", "node-000000", labels={name: "true"}, annotations=said))

            async def over() -> bool:
                return [(await client.get("pods", each))["status"]["phase"] for each in ("ends", "fails")] == [
                    "Succeeded", "Failed",
                ]  # fmt: skip

            await until(over)
            failed = (await client.get("pods", "fails"))["status"]["containerStatuses"][0]
            assert failed["state"]["terminated"]["exitCode"] == 7
            for each in ("ends", "fails"):
                await client.delete("pods", each, grace_period_seconds=0)

    run(plane, main())


def test_a_restart_goes_on_where_it_was(plane: kcore.ControlPlane) -> None:
    async def main() -> None:
        async with hollow(plane, Settings(node_count=1, server_port=None)) as (_, client):
            await client.create(pod("a", "node-000000"))

            async def runs(name: str) -> bool:
                found: bool = (await client.get("pods", name))["status"]["phase"] == "Running"
                return found

            await until(lambda: runs("a"))
        await client.create(pod("b", "node-000000"))
        async with hollow(plane, Settings(node_count=1, server_port=None)) as (nodes, client):
            await until(lambda: runs("b"))
            ips = [(await client.get("pods", each))["status"]["podIP"] for each in "ab"]
            assert len({*ips}) == 2
            assert nodes.statistics.plays == 1
            for each in "ab":
                await client.delete("pods", each, grace_period_seconds=0)

    run(plane, main())


def test_any_kind_may_have_stages(plane: kcore.ControlPlane, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "hollow-nodes.md").read_text()
    stage = tmp_path / "stage.yaml"
    stage.write_text(page.partition("```yaml file=stage.yaml\n")[2].partition("```")[0])

    async def main() -> None:
        settings = Settings(configuration=load([str(stage)]), server_port=None)
        async with hollow(plane, settings) as (_, client):
            metadata = {"name": "seen", "labels": {"watched": "true"}, "annotations": {"delay": "1ms"}}
            await client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})

            async def seen() -> bool:
                return "seen" in ((await client.get("configmaps", "seen")).get("data") or {})

            await until(seen)
        stage.write_text(stage.read_text().replace("ConfigMap", "configmap"))
        with pytest.raises(
            kcore.InputError, match=r"the server has no configmap of v1 \(expected ConfigMap\)"
        ):
            async with hollow(plane, Settings(configuration=load([str(stage)]))):
                pass
        stage.write_text(stage.read_text().replace("configmap", "Nothing"))
        with pytest.raises(
            kcore.InputError,
            match=r"stage config-map-seen: spec\.resourceRef: the server has no Nothing of v1",
        ):
            async with hollow(plane, Settings(configuration=load([str(stage)]))):
                pass

    run(plane, main())


def test_a_node_that_the_server_refuses_is_told_with_the_file_of_its_template(
    plane: kcore.ControlPlane, tmp_path: Path
) -> None:
    template = tmp_path / "nodes.yaml"
    template.write_text("{apiVersion: v1, kind: Node, spec: {taints: [{key: a, effect: Never}]}}")

    async def main() -> None:
        settings = Settings(template=read_template(str(template)), node_count=2, server_port=None)
        made = HollowNodes(plane.async_client, settings)
        try:
            with pytest.raises(
                kcore.InputError, match=r"nodes.yaml: the server refuses a node: Node .* Unsupported"
            ):
                await made.start()
        finally:
            await made.stop()

    run(plane, main())


def test_general_pods_leave_events(plane: kcore.ControlPlane) -> None:
    async def main() -> None:
        settings = Settings(configuration=load(["node", "pod-general"]), node_count=1, server_port=None)
        async with hollow(plane, settings) as (_, client):
            says = {
                f"{name}.stage.kwok.x-k8s.io/{which}": "1ms"
                for name in ("pod-create", "pod-ready")
                for which in ("delay", "jitter-delay")
            }
            await client.create(pod("g", "node-000000", annotations=says))

            async def reasons() -> bool:
                events = (await client.list("events", "default", field_selector="involvedObject.name=g"))[
                    "items"
                ]
                return {each["reason"] for each in events} >= {"Pulling", "Started"}

            await until(reasons)
            await client.delete("pods", "g", grace_period_seconds=0)

    run(plane, main())


def test_kubelets_answer_kubectl(plane: kcore.ControlPlane, tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    (tmp_path / "answers.yaml").write_text(ANSWERS)

    async def asked(*arguments: str, text: str = "") -> tuple[str, str]:
        process = await asyncio.create_subprocess_exec(
            kubectl, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "KUBECONFIG": plane.kubeconfig},
        )  # fmt: skip
        out, error = await process.communicate(text.encode())
        return out.decode(), error.decode()

    async def main() -> None:
        configuration = load(["node", "pod-fast", str(tmp_path / "answers.yaml")])
        async with hollow(plane, Settings(configuration=configuration, node_count=1)) as (nodes, client):
            # the nodes that the tests before made have another kubelet's port
            port = {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": nodes.port}}}}
            await client.patch("nodes", "node-000000", port, type="merge", subresource="status")
            await client.create(pod("k", "node-000000", "told", "plain"))

            async def runs() -> bool:
                return bool((await client.get("pods", "k"))["status"]["phase"] == "Running")

            await until(runs)
            answers = await asyncio.gather(
                asked("logs", "k", "-c", "told", "--tail=2"),
                asked("logs", "k", "-c", "plain"),
                asked("exec", "k", "-c", "told", "--", "uname"),
                asked("exec", "k", "-c", "plain", "--", "fail"),
                asked("exec", "-i", "k", "-c", "plain", "--", "cat", text="given\n"),
                asked("get", "--raw", "/api/v1/nodes/node-000000/proxy/apis/metrics.k8s.io/v1beta1/pods"),
            )
            assert answers[0] == ("two\nthree\n", "")
            assert answers[1] == ("plain of default/k started: image i\n", "")
            assert answers[2] == ("kcore\n", "")
            assert answers[3] == ("", "no\ncommand terminated with exit code 3\n")
            assert answers[4] == ("given\n", "")
            assert '"usage":{"cpu":"1000000n","memory":"1024Ki"}' in answers[5][0]

    run(plane, main())
