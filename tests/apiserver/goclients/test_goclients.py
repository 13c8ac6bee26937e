"""Go's clients cannot tell: client-go's parts, a controller of controller-runtime and the real kube-scheduler run.

The programs are built here from their sources; without Go, or where its modules cannot be had, the tests are skipped.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.goclients.programs import HERE, built, faults, kubectl_binary, logged, until, up

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("program", ["clientgo", "reconciler"])
def test_a_program_finds_nothing_wrong(program: str, tmp_path: Path) -> None:
    path = built(HERE, f"./{program}", tmp_path)
    with up(tmp_path) as kubeconfig:
        assert faults(path, kubeconfig) == []


def node(name: str) -> dict[str, Any]:
    amounts = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip


def pod(name: str, cpu: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "pause", "resources": {"requests": {"cpu": cpu}}}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], **spec},
    }  # fmt: skip


def test_the_real_scheduler_binds_and_preempts(tmp_path: Path) -> None:
    kubectl = kubectl_binary()
    scheduler = built(HERE / "upstream", "k8s.io/kubernetes/cmd/kube-scheduler", tmp_path)
    with up(tmp_path) as kubeconfig:

        def kube(*words: str, given: Any = None) -> str:
            run = subprocess.run(
                [kubectl, f"--kubeconfig={kubeconfig}", f"--cache-dir={tmp_path / 'discovery'}", *words],
                input=json.dumps(given), capture_output=True, text=True,
            )  # fmt: skip
            assert run.returncode == 0, run.stderr
            return run.stdout

        def create(*objects: dict[str, Any]) -> None:
            kube("create", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": objects})

        def nodes_of(*pods: str) -> list[str]:
            return [kube("get", "pod", name, "-o", "jsonpath={.spec.nodeName}") for name in pods]

        def reasons(name: str) -> list[str]:
            events = json.loads(
                kube("get", "events", f"--field-selector=involvedObject.name={name}", "-o", "json")
            )
            return [event["reason"] for event in events["items"]]

        command = [scheduler, f"--kubeconfig={kubeconfig}", "--leader-elect=true", "--secure-port=0", "--v=2"]
        with logged(command, tmp_path / "scheduler.log"):
            create(node("n1"), node("n2"), pod("waits", "1"), pod("big", "64"))
            until(lambda: "FailedScheduling" in reasons("waits"), "a pod waits for an untainted node")
            kube("taint", "node", "--all", "node.kubernetes.io/not-ready-")
            until(lambda: all(nodes_of("waits")), "it is bound")
            assert "Scheduled" in reasons("waits")
            create(pod("low-1", "3"), pod("low-2", "3"))
            until(lambda: all(nodes_of("low-1", "low-2")), "the nodes are full")
            priority = {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": "high"},
            }
            create({**priority, "value": 1000}, pod("high", "2", priorityClassName="high"))
            nominated = until(
                lambda: kube("get", "pod", "high", "-o", "jsonpath={.status.nominatedNodeName}"), "a victim is found"
            )  # fmt: skip
            victim = f"low-{1 + nodes_of('low-1', 'low-2').index(nominated)}"
            until(lambda: "Preempted" in reasons(victim), "its event")
            kube("delete", "pod", victim, "--force", "--grace-period=0")
            until(lambda: nodes_of("high") == [nominated], "the pod takes its place")
            assert nodes_of("big") == [""]
            assert kube(
                "get", "lease", "-n", "kube-system", "kube-scheduler", "-o", "jsonpath={.spec.holderIdentity}"
            )
            lines = (tmp_path / "scheduler.log").read_text().splitlines()
    assert [line for line in lines if line[:1] in "EF" and "manifest file is empty" not in line] == []
