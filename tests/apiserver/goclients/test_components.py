"""Upstream's components and kcore's in one cluster, each in another's place; and all of one beside all of the other.

The programs are those in the folder that ``KCORE_UPSTREAM`` names: what ``go build`` makes of etcd, kube-apiserver,
kube-scheduler, kube-controller-manager and kwok, by those names.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from bench.peers.cluster import CONTROLLERS, NODES, SCHEDULER, Separate
from tests.apiserver.goclients import resting
from tests.apiserver.goclients.programs import until
from tests.apiserver.goclients.sessions import SCENARIOS

pytestmark = pytest.mark.slow

ALL: Final = (SCHEDULER, CONTROLLERS, NODES)
OURS: Final = ("apiserver", *ALL)
NODE_COUNT: Final = 3
PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kwok")
COMMAND_SECONDS_MAX: Final = 120.0
# What may differ, each with its reason.
KNOWN: Final = (
    # how many steps a roll takes is up to who is faster, the pods or the controller
    r"rollouts: . ReplicaSet web-HASH .*(g|observedG)eneration = ",
    r"rollouts: . Event Deployment .* Scaled (up|down) replica set web-HASH from ",
    r"EndpointSlice db-XXXXX \.metadata\.generation = ",
    # a lone kcore apiserver publishes the certificate itself
    r"ConfigMap kube-root-ca.crt managed by ",
    # kcore's API server does not own for a writer what Go's types add to an object
    r'managed by .*k:\{"type":"\w+"\}\.f:lastProbeTime',
    r"DaemonSet \w+ managed by kubectl-create Update: .f:metadata.f:annotations",
)


def programs() -> Path:
    """The folder; skips, saying so, where it is not there or lacks one."""
    named = os.environ.get("KCORE_UPSTREAM")
    if not named:
        pytest.skip("upstream's programs are not here: name their folder with KCORE_UPSTREAM")
    for each in PROGRAMS:
        if not (Path(named) / each).exists():
            pytest.skip(f"{each} is not in {named}")
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    return Path(named)


@contextmanager
def cluster(folder: Path, ours: Collection[str]) -> Iterator[resting.Kubectl]:
    """Shell lines with kubectl in a cluster of which those are kcore's and the others upstream's."""
    made = Separate("mixed", programs(), folder, ours)
    with asyncio.Runner() as runner:
        try:
            runner.run(_started(made))
            kubectl = shell(made.kubectl_environment())
            ready = "[ $(kubectl get nodes --no-headers | grep -cw Ready) = 3 ] && kubectl get serviceaccount default"
            until(lambda: kubectl(ready).returncode == 0, "nodes and an account")
            yield kubectl
        finally:
            runner.run(made.close())


async def _started(made: Separate) -> None:
    await made.run(ALL, NODE_COUNT)
    await made.registered()


def shell(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a line of bash, in which ``kubectl`` is that of the cluster and of a namespace."""

    def run(line: str, namespace: str = "default") -> subprocess.CompletedProcess[str]:
        script = f'kubectl() {{ command kubectl -n "$NAMESPACE" "$@"; }}\n{line}'
        return subprocess.run(
            ["bash", "-c", script], env={**environment, "NAMESPACE": namespace},
            capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX,
        )  # fmt: skip

    return run


@pytest.mark.parametrize(
    "ours",
    [("apiserver", "nodes"), ("scheduler", "controller-manager", "nodes"), ("apiserver", "scheduler", "controller-manager")],
    ids=["real_controllers_and_scheduler_on_ours", "ours_on_a_real_server", "real_kwok_on_ours"],
)  # fmt: skip
def test_a_session_goes_as_it_should(ours: tuple[str, ...], tmp_path: Path) -> None:
    with cluster(tmp_path, ours) as kubectl:
        assert resting.play(kubectl) == []
        assert kubectl("kubectl delete pdb web", "budgets").returncode == 0  # which lets no pod go
        drained = kubectl("kubectl drain node-000001 --ignore-daemonsets --force --timeout=60s", "rollouts")
        assert drained.returncode == 0, drained.stderr


def test_ours_leaves_what_upstream_leaves(tmp_path: Path) -> None:
    found: list[Any] = []
    for name, ours in (("ours", OURS), ("theirs", (NODES,))):
        (tmp_path / name).mkdir()
        with cluster(tmp_path / name, ours) as kubectl:
            assert resting.play(kubectl) == []
            found.append(resting.rest(kubectl, SCENARIOS))
    known = re.compile("|".join(KNOWN))
    assert [line for line in resting.differences(*found) if not known.search(line)] == []
