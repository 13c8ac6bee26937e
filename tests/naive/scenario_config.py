"""Random KubeSchedulerConfigurations that pass kube-scheduler's validation."""

from __future__ import annotations

from random import Random
from typing import Any

Object = dict[str, Any]

API_VERSION = "kubescheduler.config.k8s.io/v1"
ZONE = "topology.kubernetes.io/zone"
RESOURCES = ("cpu", "memory", "ephemeral-storage", "nvidia.com/gpu", "example.com/fpga")
WEIGHTED = (
    "TaintToleration", "NodeAffinity", "NodeResourcesFit", "PodTopologySpread", "InterPodAffinity",
    "NodeResourcesBalancedAllocation", "ImageLocality",
)  # fmt: skip
DISABLED_EVERYWHERE = (
    "TaintToleration", "NodePorts", "InterPodAffinity", "PodTopologySpread", "NodeResourcesFit",
    "DefaultPreemption", "DynamicResources", "SchedulingGates", "ImageLocality",
)  # fmt: skip


def random_config(random: Random) -> Object:
    """A configuration with one profile."""
    profile: Object = {"schedulerName": "default-scheduler"}
    arguments = {
        "NodeResourcesFit": _fit,
        "NodeResourcesBalancedAllocation": _balanced,
        "PodTopologySpread": _spread,
        "InterPodAffinity": _inter_pod_affinity,
        "NodeAffinity": _node_affinity,
    }
    plugin_config = [
        {"name": name, "args": {"apiVersion": API_VERSION, "kind": f"{name}Args"} | make(random)}
        for name, make in arguments.items()
        if random.random() < 0.5
    ]
    if plugin_config:
        profile["pluginConfig"] = plugin_config
    kind = random.random()
    if kind < 0.25:
        profile["plugins"] = {"multiPoint": {"disabled": [{"name": random.choice(DISABLED_EVERYWHERE)}]}}
    elif kind < 0.6:
        profile["plugins"] = {"score": _scores(random)}
    return {"apiVersion": API_VERSION, "kind": "KubeSchedulerConfiguration", "profiles": [profile]}


def _scores(random: Random) -> Object:
    """Some score plugins off, and some of these on again with another weight, in another order."""
    disabled = random.sample(WEIGHTED, random.randint(1, 3))
    enabled = [name for name in disabled if random.random() < 0.6]
    random.shuffle(enabled)
    return {
        "disabled": [{"name": name} for name in disabled],
        "enabled": [{"name": name, "weight": random.choice((1, 4, 20))} for name in enabled],
    }


def _resources(random: Random, weights: tuple[int, ...]) -> list[Object]:
    names = random.sample(RESOURCES, random.randint(1, 4))
    return [{"name": name, "weight": random.choice(weights)} for name in names]


def _fit(random: Random) -> Object:
    kind = random.choice(("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"))
    strategy: Object = {"type": kind, "resources": _resources(random, (1, 2, 5))}
    if kind == "RequestedToCapacityRatio":
        utilizations = sorted(random.sample(range(101), random.randint(1, 4)))
        strategy["requestedToCapacityRatio"] = {
            "shape": [{"utilization": u, "score": random.randint(0, 10)} for u in utilizations]
        }
    result: Object = {"scoringStrategy": strategy}
    if random.random() < 0.3:
        result["ignoredResources"] = ["example.com/fpga"]
    if random.random() < 0.3:
        result["ignoredResourceGroups"] = ["nvidia.com"]
    return result


def _balanced(random: Random) -> Object:
    return {"resources": _resources(random, (1,))}


def _spread(random: Random) -> Object:
    if random.random() < 0.25:
        return {"defaultingType": "System"}
    keys = random.sample((ZONE, "kubernetes.io/hostname", "example.com/rack"), random.randint(0, 3))
    return {
        "defaultingType": "List",
        "defaultConstraints": [
            {
                "maxSkew": random.randint(1, 4),
                "topologyKey": key,
                "whenUnsatisfiable": random.choice(("ScheduleAnyway", "ScheduleAnyway", "DoNotSchedule")),
            }
            for key in keys
        ],
    }


def _inter_pod_affinity(random: Random) -> Object:
    return {
        "hardPodAffinityWeight": random.choice((0, 1, 5, 100)),
        "ignorePreferredTermsOfExistingPods": random.random() < 0.5,
    }


def _node_affinity(random: Random) -> Object:
    added: Object = {}
    if random.random() < 0.5:
        expression: Object = {"key": "disktype", "operator": random.choice(("Exists", "NotIn"))}
        if expression["operator"] == "NotIn":
            expression |= {"values": ["hdd"]}
        added["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": [{"matchExpressions": [expression]}]
        }
    if not added or random.random() < 0.5:
        preference = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["zone-a"]}]}
        added["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": random.randint(1, 100), "preference": preference}
        ]
    return {"addedAffinity": added}
