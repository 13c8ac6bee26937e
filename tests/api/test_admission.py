"""A manifest without a uid is defaulted as the API server would; an object with one is left alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kcore.api.admission import Rules, RuntimeClass, admit, admit_pod
from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, Namespace, Node, Pod, PodSpec, PriorityClass, Toleration

CLASSES = [
    msgspec.convert({"metadata": {"name": "gold"}, "value": 100, "preemptionPolicy": "Never"}, PriorityClass),
    msgspec.convert({"metadata": {"name": "plain"}, "value": 5, "globalDefault": True}, PriorityClass),
    msgspec.convert({"metadata": {"name": "other"}, "value": 6, "globalDefault": True}, PriorityClass),
]
RUNTIME = {
    "metadata": {"name": "vm"},
    "overhead": {"podFixed": {"cpu": "250m"}},
    "scheduling": {"nodeSelector": {"kvm": "yes"}, "tolerations": [{"key": "kvm", "operator": "Exists"}]},
}
RULES = Rules(CLASSES, [msgspec.convert(RUNTIME, RuntimeClass)])


def admitted(
    spec: dict[str, Any], rules: Rules | None = None, labels: dict[str, str] | None = None
) -> PodSpec:
    pod = msgspec.convert({"metadata": {"name": "a", "labels": labels or {}}, "spec": spec}, Pod)
    admit_pod(pod, rules or Rules())
    again = msgspec.json.decode(msgspec.json.encode(pod), type=Pod)
    admit_pod(again, rules or Rules())
    assert again == pod  # admitting twice changes nothing
    assert pod.metadata.namespace == "default"
    return pod.spec


def container(**resources: Any) -> dict[str, Any]:
    return {"name": "c", "resources": resources}


def test_requests_follow_limits() -> None:
    spec = admitted(
        {
            "containers": [container(limits={"cpu": "2", "memory": "1Gi"}, requests={"cpu": "1"})],
            "initContainers": [container(limits={"cpu": "3"})],
        }
    )
    assert spec.containers is not None
    assert spec.init_containers is not None
    assert spec.containers[0].resources is not None
    assert spec.containers[0].resources.requests == {"cpu": "1", "memory": "1Gi"}
    assert spec.init_containers[0].resources is not None
    assert spec.init_containers[0].resources.requests == {"cpu": "3"}


POD_LEVEL = [
    ({"limits": {"cpu": "4"}}, {"cpu": "1"}, {"cpu": "1500000000n"}),
    ({"limits": {"cpu": "4"}}, {}, {"cpu": "500000000n"}),
    ({"limits": {"memory": "4Gi"}}, {"cpu": "1"}, {"cpu": "1500000000n", "memory": "4Gi"}),
    ({"limits": {"cpu": "4"}, "requests": {"cpu": "3"}}, {"cpu": "1"}, {"cpu": "3"}),
    ({"requests": {"cpu": "3"}}, {"cpu": "1"}, {"cpu": "3"}),
]


@pytest.mark.parametrize(("resources", "requests", "expected"), POD_LEVEL)
def test_pod_level_requests(resources: Any, requests: dict[str, str], expected: dict[str, str]) -> None:
    sidecar = {**container(requests={"cpu": "500m"}), "restartPolicy": "Always"}
    spec = admitted(
        {"resources": resources, "containers": [container(requests=requests)], "initContainers": [sidecar]}
    )
    assert spec.resources is not None
    assert spec.resources.requests == expected


PRIORITIES = [
    ({}, Rules(), 0, "PreemptLowerPriority"),
    ({}, RULES, 5, "PreemptLowerPriority"),
    ({"priorityClassName": "gold"}, RULES, 100, "Never"),
    ({"priorityClassName": "system-cluster-critical"}, Rules(), 2_000_000_000, "PreemptLowerPriority"),
    ({"priorityClassName": "system-node-critical"}, Rules(), 2_000_001_000, "PreemptLowerPriority"),
    ({"priority": 7}, RULES, 7, "PreemptLowerPriority"),
    ({"priorityClassName": "absent", "priority": 7}, Rules(), 7, "PreemptLowerPriority"),
    ({"preemptionPolicy": "Never"}, Rules(), 0, "Never"),
]


@pytest.mark.parametrize(("spec", "rules", "priority", "policy"), PRIORITIES)
def test_priorities(spec: dict[str, Any], rules: Rules, priority: int, policy: str) -> None:
    result = admitted(spec, rules)
    assert (result.priority, result.preemption_policy) == (priority, policy)


FORBIDDEN = [
    ({"priorityClassName": "absent"}, "spec.priorityClassName: no PriorityClass with name absent was found"),
    ({"priorityClassName": "gold", "priority": 7}, "spec.priority: 7 is not the priority of class 'gold'"),
    ({"runtimeClassName": "absent"}, 'spec.runtimeClassName: RuntimeClass "absent" not found'),
    ({"runtimeClassName": "vm", "nodeSelector": {"kvm": "no"}}, "spec.nodeSelector.kvm: conflict"),
    ({"priority": 1 << 31}, "spec.priority: 2147483648 is no priority"),
]


@pytest.mark.parametrize(("spec", "message"), FORBIDDEN)
def test_what_upstream_forbids(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        admitted(spec, RULES)
    assert message in str(caught.value)


def test_a_runtime_class_adds_overhead_and_scheduling() -> None:
    spec = admitted({"runtimeClassName": "vm", "nodeSelector": {"a": "b"}}, RULES)
    assert spec.overhead == {"cpu": "250m"}
    assert spec.node_selector == {"a": "b", "kvm": "yes"}
    assert Toleration(key="kvm", operator="Exists") in (spec.tolerations or ())


NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
TOLERATIONS: list[tuple[list[dict[str, str]], list[str]]] = [
    ([], [NOT_READY, UNREACHABLE]),
    ([{"operator": "Exists"}], [""]),
    ([{"key": NOT_READY, "operator": "Exists"}], [NOT_READY, UNREACHABLE]),
    ([{"key": NOT_READY, "effect": "NoSchedule"}], [NOT_READY, NOT_READY, UNREACHABLE]),
]


@pytest.mark.parametrize(("given", "keys"), TOLERATIONS)
def test_evictions_are_tolerated_for_a_while(given: list[dict[str, str]], keys: list[str]) -> None:
    assert [each.key for each in admitted({"tolerations": given}).tolerations or ()] == keys


def test_label_keys_stand_in_the_selector() -> None:
    term = {
        "topologyKey": "zone",
        "labelSelector": {"matchLabels": {"app": "web"}},
        "matchLabelKeys": ["hash", "absent"],
        "mismatchLabelKeys": ["tenant"],
    }
    affinity = {
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "matchLabelKeys": ["hash"]}}
            ]
        },
    }
    spec = admitted({"affinity": affinity}, labels={"hash": "1", "tenant": "t"})
    assert msgspec.to_builtins(spec.affinity)["podAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ][0]["labelSelector"] == {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "hash", "operator": "In", "values": ["1"]},
            {"key": "tenant", "operator": "NotIn", "values": ["t"]},
        ],
    }
    assert spec.affinity is not None
    assert spec.affinity.pod_anti_affinity is not None
    assert (spec.affinity.pod_anti_affinity.preferred or [])[0].pod_affinity_term.label_selector is None


@pytest.mark.parametrize(("host_network", "host_ports"), [(True, [80, 81]), (False, [0, 81])])
def test_ports(host_network: bool, host_ports: list[int]) -> None:
    ports = [{"containerPort": 80}, {"containerPort": 80, "hostPort": 81, "protocol": "UDP"}]
    spec = admitted({"hostNetwork": host_network, "containers": [{"name": "c", "ports": ports}]})
    assert spec.containers is not None
    found = spec.containers[0].ports or []
    assert [port.host_port for port in found] == host_ports
    assert [port.protocol for port in found] == ["TCP", "UDP"]


def test_objects_of_a_cluster_are_left_alone() -> None:
    value = {"metadata": {"name": "a", "uid": "u"}, "spec": {"containers": [container(limits={"cpu": "1"})]}}
    pod, namespace = (
        msgspec.convert(value, Pod),
        msgspec.convert({"metadata": {"name": "n", "uid": "u"}}, Namespace),
    )
    admit(ClusterObjects(pods=[pod], namespaces=[namespace]), RULES)
    assert pod == msgspec.convert(value, Pod)
    assert namespace.metadata.labels is None


def test_namespaces_and_nodes() -> None:
    node = msgspec.convert({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "4"}}}, Node)
    namespace = msgspec.convert({"metadata": {"name": "shop"}}, Namespace)
    admit(ClusterObjects(nodes=[node], namespaces=[namespace]), Rules())
    assert node.status.allocatable == {"cpu": "4"}
    assert namespace.metadata.labels == {"kubernetes.io/metadata.name": "shop"}
