"""Nodes that are drained, tainted, ill or gone, and what becomes of their pods."""

from __future__ import annotations

import json

from tests.session.user import NODES, User, all_run, condition, nodes_of, workload

ILL = "node-not-ready.stage.kwok.x-k8s.io"


def test_a_drain_waits_for_what_a_budget_allows(user: User) -> None:
    user.space("drained")
    user.apply(workload("Deployment", "web", replicas=5))
    user.run("create pdb web --selector=app=web --min-available=5")
    user.run("rollout status deployment/web --timeout=45s")
    user.wait("pdb/web", "jsonpath={.status.currentHealthy}=5")
    pods = user.items("pods -l app=web")
    node = min(nodes_of(pods))
    name = next(pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == node)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": "drained"},
    }
    path = f"/api/v1/namespaces/drained/pods/{name}/eviction"
    said = user.refused(f"create --raw {path} -f -", stdin=json.dumps(eviction))
    assert "Cannot evict pod as it would violate the pod's disruption budget." in said
    user.run(f"cordon {node}")
    assert "SchedulingDisabled" in user.run(f"get node {node}")
    user.run('patch pdb web --type=merge -p \'{"spec":{"minAvailable":4}}\'')
    user.wait("pdb/web", "jsonpath={.status.disruptionsAllowed}=1")
    assert "evicted" in user.run(f"drain {node} --ignore-daemonsets --pod-selector=app=web --timeout=45s")
    pods = user.until("pods -l app=web", all_run(5))
    assert node not in nodes_of(pods)
    user.run(f"uncordon {node}")
    user.run("delete deployment/web pdb/web")


def test_a_taint_keeps_pods_away_or_evicts_them(user: User) -> None:
    user.space("tainted")
    stays = [{"key": "reserved", "operator": "Exists"}]
    user.run("taint node node-000002 reserved=yes:NoSchedule")
    user.apply(
        workload("Deployment", "goes", replicas=8),
        workload("DaemonSet", "stays", pod={"tolerations": stays, "nodeSelector": {"kubernetes.io/hostname": "node-000002"}}),
    )  # fmt: skip
    user.run("rollout status deployment/goes --timeout=45s")
    user.wait("ds/stays", "jsonpath={.status.numberReady}=1")
    assert "node-000002" not in nodes_of(user.items("pods -l app=goes"))
    user.run("taint node node-000003 reserved=yes:NoExecute")
    user.until("pods -l app=goes", lambda pods: all_run(8)(pods) and "node-000003" not in nodes_of(pods))
    assert nodes_of(user.items("pods -l app=stays")) == {"node-000002"}
    user.run("taint node node-000002 node-000003 reserved-")
    assert "TaintManagerEviction" in user.run("get events")
    user.run("delete deployment/goes ds/stays")


def test_the_pods_of_an_ill_node_are_evicted(user: User) -> None:
    user.space("ill")
    now = [
        {
            "key": f"node.kubernetes.io/{why}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 0,
        }
        for why in ("not-ready", "unreachable")
    ]
    user.apply(workload("Deployment", "web", pod={"tolerations": now}, replicas=NODES))
    user.run("rollout status deployment/web --timeout=45s")
    user.run(f"label node node-000004 {ILL}=true")
    user.wait("node/node-000004", "condition=Ready=false")
    pods = user.until(
        "pods -l app=web", lambda pods: all_run(NODES)(pods) and "node-000004" not in nodes_of(pods)
    )
    assert len(pods) == NODES
    node = user.get("node node-000004")
    taints = {(each["key"], each["effect"]) for each in node["spec"]["taints"]}
    assert taints == {("node.kubernetes.io/not-ready", effect) for effect in ("NoSchedule", "NoExecute")}
    assert condition(node, "Ready")["reason"] == "KubeletNotReady"
    user.run(f"label node node-000004 {ILL}-")
    user.wait("node/node-000004", "condition=Ready")
    user.until("nodes", lambda nodes: not any(each["spec"].get("taints") for each in nodes))
    user.run("delete deployment/web")


def test_nodes_get_what_controllers_give_them(user: User) -> None:
    ttl = "node.alpha.kubernetes.io/ttl"
    nodes = user.until("nodes", lambda found: all(ttl in each["metadata"]["annotations"] for each in found))
    assert {each["metadata"]["annotations"][ttl] for each in nodes} == {"0"}
    ranges = {each["spec"]["podCIDR"] for each in nodes}
    assert len(ranges) == NODES and all(text.startswith("10.200.") for text in ranges)
