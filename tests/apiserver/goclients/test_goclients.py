"""Go's clients cannot tell: client-go's parts, a controller of controller-runtime and the real kube-scheduler run.

The programs are built here from their sources; without Go, or where its modules cannot be had, the tests are skipped.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

pytestmark = pytest.mark.slow

HERE: Final = Path(__file__).parent
STOP_SECONDS_MAX: Final = 30.0
PROGRAM_SECONDS_MAX: Final = 180.0
SEEN_SECONDS_MAX: Final = 60.0


def built(folder: Path, package: str, where: Path) -> str:
    """Path of the program; skips where there is no Go, fails where the program is not one."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed")
    fetched = subprocess.run([go, "mod", "download"], cwd=folder, capture_output=True, text=True)
    if fetched.returncode:
        pytest.skip(f"Go's modules cannot be fetched: {fetched.stderr.strip().splitlines()[-1]}")
    program = where / package.rsplit("/", 1)[-1]
    made = subprocess.run(
        [go, "build", "-p", "1", "-o", str(program), package], cwd=folder, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return str(program)


@contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """The process is gone after it, by SIGTERM if that is enough."""
    with process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def up(folder: Path) -> Iterator[Path]:
    """Path of the kubeconfig of a ``kcore up``."""
    command = [sys.executable, "-m", "kcore", "up", "--data-dir", str(folder / "data"), "--port", "0"]
    with (
        open(folder / "up.log", "w") as log,
        ended(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)) as process,
    ):
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "kcore is ready" in said, (folder / "up.log").read_text()
        yield folder / "data" / "admin.conf"


def until(ask: Callable[[], Any], what: str) -> Any:
    """What ``ask`` answers as soon as that is true."""
    give_up = time.monotonic() + SEEN_SECONDS_MAX
    while time.monotonic() < give_up:
        if answer := ask():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {SEEN_SECONDS_MAX:g} s")


@pytest.mark.parametrize("program", ["clientgo", "reconciler"])
def test_a_program_finds_nothing_wrong(program: str, tmp_path: Path) -> None:
    path = built(HERE, f"./{program}", tmp_path)
    with up(tmp_path) as kubeconfig:
        run = subprocess.run(
            [path], env={"KUBECONFIG": str(kubeconfig)}, capture_output=True, text=True, timeout=PROGRAM_SECONDS_MAX
        )  # fmt: skip
    assert run.returncode == 0, "\n".join(
        line for line in run.stdout.splitlines() if not line.startswith("ok ")
    )
    assert "falling back" not in run.stderr, (
        "an informer's stream of initial events had to be replaced by a list"
    )


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
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
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
        with (
            open(tmp_path / "scheduler.log", "w") as log,
            ended(subprocess.Popen(command, stdout=log, stderr=log)),
        ):
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
            logged = (tmp_path / "scheduler.log").read_text().splitlines()
    assert [line for line in logged if line[:1] in "EF" and "manifest file is empty" not in line] == []
