"""A user at kubectl, and ``kcore up --nodes 5``: what everybody does with a cluster happens by itself."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.apiserver.kubectl_suite.session import Session, kubectl_binary, session

SECONDS_MAX = 30.0
PAUSE_S = 0.1


class User:
    """kubectl in a cluster of its own."""

    def __init__(self, opened: Session) -> None:
        self._opened = opened

    def run(self, line: str, *, stdin: str | None = None) -> str:
        """What the command printed; it must succeed."""
        done = self.ask(line, stdin=stdin)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, line: str, *, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """The command's end, whatever it is."""
        return subprocess.run(
            ["/bin/sh", "-c", f"kubectl {line}"], input=stdin, capture_output=True, text=True,
            env=self._opened.environment, timeout=SECONDS_MAX,
        )  # fmt: skip

    def items(self, what: str) -> list[dict[str, Any]]:
        """``kubectl get`` of several."""
        found: list[dict[str, Any]] = json.loads(self.run(f"get {what} -o json"))["items"]
        return found

    def until(self, what: str, holds: Callable[[list[dict[str, Any]]], Any]) -> list[dict[str, Any]]:
        """What ``kubectl get`` gives once that holds of it."""
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            items = self.items(what)
            if holds(items):
                return items
            assert time.monotonic() < deadline, items
            time.sleep(PAUSE_S)


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    with session(kubectl_binary(), tmp_path_factory.mktemp("up"), ("--nodes=5",)) as opened:
        made = User(opened)
        made.until("nodes", lambda nodes: sum(map(is_ready, nodes)) == 5)
        yield made


def is_ready(obj: dict[str, Any]) -> bool:
    conditions = obj.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def names(objects: list[dict[str, Any]]) -> set[str]:
    return {each["metadata"]["name"] for each in objects}


def nodes_of(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["spec"].get("nodeName", "") for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def all_run(count: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda pods: len(pods) == count and all(map(is_ready, pods))


def test_a_deployment_rolls_out_is_scaled_and_undone(user: User) -> None:
    user.run("create deployment web --image=web:1 --replicas=3 --port=80")
    assert "successfully rolled out" in user.run("rollout status deployment/web --timeout=20s")
    user.run("scale deployment/web --replicas=6")
    pods = user.until("pods -l app=web", all_run(6))
    assert len(nodes_of(pods)) == 5  # the scheduler has spread them
    assert all(pod["status"]["podIP"] for pod in pods)
    user.run("set image deployment/web web=web:2")
    assert "successfully rolled out" in user.run("rollout status deployment/web --timeout=20s")
    user.run("rollout undo deployment/web")
    user.run("rollout status deployment/web --timeout=20s")
    pods = user.until("pods -l app=web", all_run(6))
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {"web:1"}
    assert "REVISION" in user.run("rollout history deployment/web")
    user.run("expose deployment/web --port=80")
    user.run("get service/web -o name")
    assert "Started" in user.run("get events") or "Scheduled" in user.run("get events")


def test_what_a_pod_says_and_does(user: User) -> None:
    user.run("run one --image=web:1")
    user.run("wait pod/one --for=condition=Ready --timeout=20s")
    assert "started" in user.run("logs one")
    assert user.run("exec one -- hostname").strip() == "one"
    described = user.run("describe pod one")
    assert "Successfully assigned default/one to node-" in described
    user.run("delete pod one --wait --timeout=20s")
    assert 'pods "one" not found' in user.ask("get pod one").stderr


def test_a_deleted_pod_is_replaced(user: User) -> None:
    user.run("create deployment kept --image=web:1 --replicas=2")
    user.run("rollout status deployment/kept --timeout=20s")
    before = names(user.items("pods -l app=kept"))
    gone = min(before)
    user.run(f"delete pod {gone} --timeout=20s")
    after = names(user.until("pods -l app=kept", all_run(2)))
    assert gone not in after
    assert len(after & before) == 1


def test_a_node_is_cordoned_drained_and_tainted(user: User) -> None:
    user.run("create deployment moved --image=web:1 --replicas=10")
    user.run("rollout status deployment/moved --timeout=20s")
    user.run("cordon node-000001")
    assert "SchedulingDisabled" in user.run("get node node-000001")
    drained = user.run("drain node-000001 --ignore-daemonsets --timeout=25s")
    assert "evicting pod" in drained or "evicted" in drained
    pods = user.until("pods -l app=moved", all_run(10))
    assert "node-000001" not in nodes_of(pods)
    user.run("uncordon node-000001")
    user.run("taint node node-000002 reserved=yes:NoSchedule")
    user.run("create deployment late --image=web:1 --replicas=8")
    user.run("rollout status deployment/late --timeout=20s")
    assert nodes_of(user.items("pods -l app=late")) <= {f"node-00000{number}" for number in (0, 1, 3, 4)}
    user.run("taint node node-000002 reserved-")


def test_what_nobody_can_place_waits_and_says_why(user: User) -> None:
    requests = {"resources": {"requests": {"cpu": "1000"}}}
    container = {"name": "main", "image": "web:1", **requests}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "huge"},
        "spec": {"containers": [container]},
    }
    user.run("create -f -", stdin=json.dumps(pod))
    said = user.until("events --field-selector reason=FailedScheduling", len)
    assert "0/5 nodes are available: 5 Insufficient cpu" in (said[0].get("message") or said[0].get("note"))
    user.run("delete pod huge --timeout=20s")


def test_a_namespace_is_deleted_with_what_is_in_it(user: User) -> None:
    user.run("create namespace shop")
    user.until("serviceaccounts -n shop", lambda accounts: names(accounts) == {"default"})
    user.until("configmaps -n shop", lambda maps: names(maps) == {"kube-root-ca.crt"})
    user.run("create deployment web --image=web:1 --replicas=3 -n shop")
    user.run("rollout status deployment/web -n shop --timeout=20s")
    user.run("delete namespace shop --timeout=25s")
    assert 'namespaces "shop" not found' in user.ask("get namespace shop").stderr
    assert user.items("pods -n shop") == []


@pytest.mark.parametrize(
    ("policy", "stays"), [("background", False), ("foreground", False), ("orphan", True)], ids=str
)
def test_owned_objects_go_with_their_owner_as_the_policy_says(user: User, policy: str, stays: bool) -> None:
    from kcore.controllers.catalog import ENTRIES

    if not any(entry.type.name == "garbage-collector-controller" for entry in ENTRIES):
        pytest.skip("there is no garbage collector here")
    user.run(f"create deployment {policy} --image=web:1 --replicas=2")
    user.run(f"rollout status deployment/{policy} --timeout=20s")
    user.run(f"delete deployment {policy} --cascade={policy} --timeout=20s")
    if stays:
        assert len(user.items(f"pods -l app={policy}")) == 2
        (left,) = user.items(f"replicasets -l app={policy}")
        assert "ownerReferences" not in left["metadata"]
        user.run(f"delete replicaset {left['metadata']['name']} --timeout=20s")
    user.until(f"pods,replicasets -l app={policy}", lambda left: not left)


def test_a_job_runs_to_its_end(user: User) -> None:
    user.run("create job once --image=web:1")
    user.run("wait job/once --for=condition=Complete --timeout=20s")
    (pod,) = user.items("pods -l job-name=once")
    assert pod["status"]["phase"] == "Succeeded"


def test_endpoints_follow_the_pods_of_a_service(user: User) -> None:
    user.run("create deployment served --image=web:1 --replicas=2 --port=80")
    user.run("expose deployment/served --port=80")
    pods = user.until("pods -l app=served", all_run(2))

    def shows(slices: list[dict[str, Any]]) -> bool:
        found = {a for each in slices for one in each.get("endpoints") or () for a in one["addresses"]}
        return found == {pod["status"]["podIP"] for pod in pods}

    user.until("endpointslices -l kubernetes.io/service-name=served", shows)
