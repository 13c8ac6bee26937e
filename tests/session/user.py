"""A user at kubectl, in a cluster of its own: ``kcore up`` with nodes, and ``kcore controller-manager`` beside it."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.apiserver.kubectl_suite.session import Session, session
from tests.session.reader import Reader

Object = dict[str, Any]
SECONDS_MAX = 60.0
NODES = 5
STAGES = Path(__file__).parent / "stages.yaml"
# what upstream waits for minutes for, a test has in seconds; the last three are what kubeadm says
MANAGER = (
    "--leader-elect=false", "--secure-port=0", "--node-monitor-period=1s", "--node-eviction-rate=100",
    "--horizontal-pod-autoscaler-sync-period=1s", "--horizontal-pod-autoscaler-cpu-initialization-period=0s", "--controllers=*,bootstrapsigner,tokencleaner",
    "--allocate-node-cidrs=true", "--cluster-cidr=10.200.0.0/16",
)  # fmt: skip


class User:
    """kubectl, whose lines are as in a terminal."""

    def __init__(self, opened: Session) -> None:
        self._environment = opened.environment
        self._reader = Reader(Path(opened.environment["KUBECONFIG"]))
        self.get, self.items = self._reader.get, self._reader.items
        self.wait, self.until = self._reader.wait, self._reader.until
        self._kubectl = f"{opened.environment['PATH'].partition(':')[0]}/kubectl"

    def run(self, line: str, *, stdin: str | None = None) -> str:
        """What the command printed; it must succeed."""
        done = self.ask(line, stdin=stdin)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, line: str, *, stdin: str | None = None) -> str:
        """Why the command failed, as it must."""
        done = self.ask(line, stdin=stdin)
        assert done.returncode, f"{line}\n{done.stdout}{done.stderr}"
        return done.stderr

    def ask(self, line: str, *, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """The command's end, whatever it is."""
        return subprocess.run(
            [self._kubectl, *shlex.split(line)], input=stdin, capture_output=True, text=True,
            env=self._environment, timeout=SECONDS_MAX,
        )  # fmt: skip

    def apply(self, *objects: Object) -> None:
        """The objects are as given."""
        self.run("apply -f -", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def close(self) -> None:
        """Nothing of this process is connected."""
        self._reader.close()

    def space(self, name: str) -> str:
        """A namespace, in which commands are from now on."""
        self.run(f"create namespace {name}")
        kubeconfig = Path(self._environment["KUBECONFIG"])
        said = yaml.safe_load(kubeconfig.read_text())
        said["contexts"][0]["context"]["namespace"] = name
        kubeconfig.write_text(yaml.safe_dump(said))
        self._reader.space = name
        self.wait("serviceaccount/default", "create")
        return name


@contextlib.contextmanager
def cluster(kubectl: str, folder: Path) -> Iterator[User]:
    """Such a user; its cluster ends with the block."""
    flags = (
        "--components=scheduler,nodes", f"--nodes={NODES}",
        *(f"--stages={each}" for each in ("node", "node-chaos", "pod-fast", STAGES)),
    )  # fmt: skip
    with session(kubectl, folder, flags) as opened:
        keys = folder / "data" / "pki"
        command = [
            sys.executable, "-m", "kcore", "controller-manager", *MANAGER, f"--kubeconfig={folder / 'admin.conf'}",
            f"--root-ca-file={keys / 'ca.crt'}", f"--service-account-private-key-file={keys / 'sa.key'}",
            f"--cluster-signing-cert-file={keys / 'ca.crt'}", f"--cluster-signing-key-file={keys / 'ca.key'}",
        ]  # fmt: skip
        with (folder / "manager.log").open("w") as log:
            manager = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            user = User(opened)
            yield user
            user.close()
            assert manager.poll() is None, (folder / "manager.log").read_text()
            manager.send_signal(signal.SIGTERM)
            assert manager.wait(10) == 0
        finally:
            manager.kill()
            manager.wait()


# -- objects ----------------------------------------------------------------------------------------------------------


def pod_spec(**more: Any) -> Object:
    """One container, and what else the pod is to have."""
    return {"containers": [{"name": "main", "image": "web:1"}], **more}


def template(app: str, annotations: Object | None = None, **spec: Any) -> Object:
    """A pod template, labelled ``app``."""
    metadata: Object = {"labels": {"app": app}}
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": pod_spec(**spec)}


def workload(
    kind: str, name: str, annotations: Object | None = None, pod: Object | None = None, **spec: Any
) -> Object:
    """An object of apps/v1 with pods labelled by its name."""
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}}, "template": template(name, annotations, **(pod or {})), **spec,
        },
    }  # fmt: skip


def is_ready(obj: Object) -> bool:
    """Its condition Ready is True."""
    return condition(obj, "Ready").get("status") == "True"


def condition(obj: Object, kind: str) -> Object:
    """The condition of that kind, or an empty one."""
    found = obj.get("status", {}).get("conditions") or ()
    return next((each for each in found if each["type"] == kind), {})


def names(objects: list[Object]) -> set[str]:
    """Of each."""
    return {each["metadata"]["name"] for each in objects}


def nodes_of(pods: list[Object]) -> set[str]:
    """Where those are that are to stay."""
    return {pod["spec"].get("nodeName", "") for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def all_run(count: int) -> Callable[[list[Object]], bool]:
    """So many, all of them ready."""
    return lambda pods: len(pods) == count and all(map(is_ready, pods))
