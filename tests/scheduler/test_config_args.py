"""What pluginConfig's arguments mean, and what is said where they are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api.objects import (
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PreferredSchedulingTerm,
    TopologySpreadConstraint,
)
from kcore.scheduler.profile import (
    BalancedAllocationArgs,
    DefaultPreemptionArgs,
    InterPodAffinityArgs,
    NodeAffinityArgs,
    NodeResourcesFitArgs,
    PodTopologySpreadArgs,
    ResourceSpec,
    ScoringStrategy,
)
from tests.scheduler.config_documents import V1, assert_refused, load_one, with_args

CPU, MEMORY, GPU = ResourceSpec("cpu", 1), ResourceSpec("memory", 1), ResourceSpec("nvidia.com/gpu", 5)
ARCH = {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}
REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)

ARGS_CASES: dict[str, tuple[str, Any, str, Any]] = {
    "no args at all: the defaults": ("NodeResourcesFit", None, "fit", NodeResourcesFitArgs()),
    "only apiVersion and kind: the defaults": (
        "NodeResourcesFit",
        {"apiVersion": V1, "kind": "NodeResourcesFitArgs"},
        "fit",
        NodeResourcesFitArgs(),
    ),
    "a strategy without resources scores cpu and memory": (
        "NodeResourcesFit",
        {"scoringStrategy": {"type": "MostAllocated"}},
        "fit",
        NodeResourcesFitArgs(scoring_strategy=ScoringStrategy("MostAllocated", (CPU, MEMORY))),
    ),
    "resources keep their order, weight 0 or absent counts as 1": (
        "NodeResourcesFit",
        {
            "ignoredResources": ["example.com/fpga"],
            "ignoredResourceGroups": ["nvidia.com"],
            "scoringStrategy": {
                "type": "RequestedToCapacityRatio",
                "resources": [
                    {"name": "nvidia.com/gpu", "weight": 5},
                    {"name": "memory", "weight": 0},
                    {"name": "cpu"},
                ],
                "requestedToCapacityRatio": {
                    "shape": [{"utilization": 0, "score": 10}, {"utilization": 100}],
                },
            },
        },
        "fit",
        NodeResourcesFitArgs(
            frozenset({"example.com/fpga"}),
            frozenset({"nvidia.com"}),
            ScoringStrategy("RequestedToCapacityRatio", (GPU, MEMORY, CPU), ((0, 10), (100, 0))),
        ),
    ),
    "balanced allocation defaults its weights to 1": (
        "NodeResourcesBalancedAllocation",
        {"resources": [{"name": "cpu"}, {"name": "nvidia.com/gpu", "weight": 1}]},
        "balanced",
        BalancedAllocationArgs((CPU, ResourceSpec("nvidia.com/gpu", 1))),
    ),
    "balanced allocation of nothing is cpu and memory": (
        "NodeResourcesBalancedAllocation",
        {"resources": []},
        "balanced",
        BalancedAllocationArgs((CPU, MEMORY)),
    ),
    "pod affinity weight 0 is not the default": (
        "InterPodAffinity",
        {"hardPodAffinityWeight": 0, "ignorePreferredTermsOfExistingPods": True},
        "inter_pod_affinity",
        InterPodAffinityArgs(0, True),
    ),
    "pod affinity defaults to weight 1": (
        "InterPodAffinity",
        {},
        "inter_pod_affinity",
        InterPodAffinityArgs(1),
    ),
    "preemption fills in what is not said": (
        "DefaultPreemption",
        {"minCandidateNodesPercentage": 0},
        "preemption",
        DefaultPreemptionArgs(0, 100),
    ),
    "spread constraints as a list": (
        "PodTopologySpread",
        {
            "defaultingType": "List",
            "defaultConstraints": [
                {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 3},
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
            ],
        },
        "topology_spread",
        PodTopologySpreadArgs(
            False,
            (
                TopologySpreadConstraint(
                    max_skew=2, topology_key="zone", when_unsatisfiable="DoNotSchedule", min_domains=3
                ),
                TopologySpreadConstraint(
                    max_skew=1, topology_key="zone", when_unsatisfiable="ScheduleAnyway"
                ),
            ),
        ),
    ),
    "an empty list of spread constraints is not the system's": (
        "PodTopologySpread",
        {"defaultingType": "List"},
        "topology_spread",
        PodTopologySpreadArgs(False, ()),
    ),
    "no defaulting type is System": (
        "PodTopologySpread",
        {},
        "topology_spread",
        PodTopologySpreadArgs(True, ()),
    ),
    "added affinity": (
        "NodeAffinity",
        {
            "addedAffinity": {
                REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [ARCH]}]},
                PREFERRED: [
                    {
                        "weight": 3,
                        "preference": {
                            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]
                        },
                    }
                ],
            }
        },
        "node_affinity",
        NodeAffinityArgs(
            NodeSelector(
                node_selector_terms=[
                    NodeSelectorTerm(
                        match_expressions=[
                            NodeSelectorRequirement(key="kubernetes.io/arch", operator="In", values=["amd64"])
                        ]
                    )
                ]
            ),
            (
                PreferredSchedulingTerm(
                    weight=3,
                    preference=NodeSelectorTerm(
                        match_fields=[
                            NodeSelectorRequirement(key="metadata.name", operator="In", values=["n"])
                        ]
                    ),
                ),
            ),
        ),
    ),
    "no added affinity": ("NodeAffinity", {"addedAffinity": None}, "node_affinity", NodeAffinityArgs()),
    "a preferred term of weight 0 is not looked into": (
        "NodeAffinity",
        {"addedAffinity": {PREFERRED: [{"preference": {"matchExpressions": [{"operator": "?"}]}}]}},
        "node_affinity",
        NodeAffinityArgs(None, (PreferredSchedulingTerm(),)),
    ),
    "volume binding's timeout is checked only": (
        "VolumeBinding",
        {"bindTimeoutSeconds": 0},
        "fit",
        NodeResourcesFitArgs(),
    ),
    "dynamic resources' timeouts are checked only": (
        "DynamicResources",
        {"filterTimeout": "0s", "bindingTimeout": "1s"},
        "fit",
        NodeResourcesFitArgs(),
    ),
}


@pytest.mark.parametrize(("plugin", "args", "field", "expected"), ARGS_CASES.values(), ids=ARGS_CASES.keys())
def test_plugin_arguments_are_defaulted(plugin: str, args: Any, field: str, expected: object) -> None:
    assert getattr(load_one(with_args(plugin, args)), field) == expected


def strategy(**fields: Any) -> dict[str, Any]:
    return with_args("NodeResourcesFit", {"scoringStrategy": fields})


def shape(*points: tuple[int, int]) -> dict[str, Any]:
    listed = [{"utilization": utilization, "score": score} for utilization, score in points]
    return strategy(type="RequestedToCapacityRatio", requestedToCapacityRatio={"shape": listed})


def spread(**fields: Any) -> dict[str, Any]:
    constraint = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", **fields}
    return with_args("PodTopologySpread", {"defaultingType": "List", "defaultConstraints": [constraint]})


def required(**requirement: Any) -> dict[str, Any]:
    terms = [{"matchExpressions": [requirement]}]
    return with_args("NodeAffinity", {"addedAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}})


ARGS = "profiles[0].pluginConfig[0].args"
SPREAD = f"{ARGS}.defaultConstraints[0]"
EXPRESSION = f"{ARGS}.addedAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0]"
SHAPE = f"{ARGS}.scoringStrategy.requestedToCapacityRatio.shape"
CONSTRAINT = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}

# Name of the case -> the document, the field named, and words of what was wrong and what would be right.
ERROR_CASES: dict[str, tuple[Any, str | None, str]] = {
    "args that are no mapping": (with_args("NodeResourcesFit", []), ARGS, "is a list (expected a mapping)"),
    "args of another plugin": (
        with_args("NodeAffinity", {"kind": "NodeResourcesFitArgs"}),
        f"{ARGS}.kind",
        'is "NodeResourcesFitArgs" (expected NodeAffinityArgs)',
    ),
    "args of another version": (
        with_args("NodeAffinity", {"apiVersion": "kubescheduler.config.k8s.io/v1beta2"}),
        f"{ARGS}.apiVersion",
        f"(expected {V1})",
    ),
    "an unknown argument": (
        with_args("InterPodAffinity", {"hardPodAffinityWeigth": 1}),
        f"{ARGS}.hardPodAffinityWeigth",
        "(expected hardPodAffinityWeight)",
    ),
    "an unknown argument further down": (
        strategy(type="LeastAllocated", resources=[{"name": "cpu", "wait": 1}]),
        f"{ARGS}.scoringStrategy.resources[0].wait",
        "(expected one of name, weight)",
    ),
    "too few preemption candidates": (
        with_args("DefaultPreemption", {"minCandidateNodesPercentage": -1}),
        f"{ARGS}.minCandidateNodesPercentage",
        "is -1 (expected an integer from 0 to 100)",
    ),
    "negative preemption candidates": (
        with_args("DefaultPreemption", {"minCandidateNodesAbsolute": -1}),
        f"{ARGS}.minCandidateNodesAbsolute",
        "at least 0",
    ),
    "no preemption candidates": (
        with_args("DefaultPreemption", {"minCandidateNodesPercentage": 0, "minCandidateNodesAbsolute": 0}),
        f"{ARGS}.minCandidateNodesPercentage",
        "and so is minCandidateNodesAbsolute",
    ),
    "a pod affinity weight above 100": (
        with_args("InterPodAffinity", {"hardPodAffinityWeight": 101}),
        f"{ARGS}.hardPodAffinityWeight",
        "is 101 (expected an integer from 0 to 100)",
    ),
    "a strategy without a type": (
        strategy(resources=[{"name": "cpu"}]),
        f"{ARGS}.scoringStrategy.type",
        "is missing or empty (expected one of LeastAllocated, MostAllocated, RequestedToCapacityRatio)",
    ),
    "a strategy of an unknown type": (
        strategy(type="Most"),
        f"{ARGS}.scoringStrategy.type",
        'is "Most"',
    ),
    "a resource weight above 100": (
        strategy(type="LeastAllocated", resources=[{"name": "cpu", "weight": 101}]),
        f"{ARGS}.scoringStrategy.resources[0].weight",
        "from 1 to 100",
    ),
    "a shape for a strategy that has none": (
        strategy(type="LeastAllocated", requestedToCapacityRatio={}),
        f"{ARGS}.scoringStrategy.requestedToCapacityRatio",
        "is set while the type is LeastAllocated",
    ),
    "no shape": (
        strategy(type="RequestedToCapacityRatio"),
        f"{ARGS}.scoringStrategy.requestedToCapacityRatio",
        "is missing",
    ),
    "an empty shape": (shape(), SHAPE, "at least one point"),
    "an unsorted shape": (shape((10, 1), (10, 2)), f"{SHAPE}[1].utilization", "is 10 after 10"),
    "a utilization above 100": (shape((101, 1)), f"{SHAPE}[0].utilization", "from 0 to 100"),
    "a score above 10": (shape((1, 11)), f"{SHAPE}[0].score", "is 11 (expected an integer from 0 to 10)"),
    "an ignored resource that is no name": (
        with_args("NodeResourcesFit", {"ignoredResources": ["cpu", "a/b/c"]}),
        f"{ARGS}.ignoredResources[1]",
        'is "a/b/c" (expected a qualified name',
    ),
    "an ignored group with a slash": (
        with_args("NodeResourcesFit", {"ignoredResourceGroups": ["nvidia.com/gpu"]}),
        f"{ARGS}.ignoredResourceGroups[0]",
        'contains "/"',
    ),
    "an ignored group that is no name": (
        with_args("NodeResourcesFit", {"ignoredResourceGroups": ["-x"]}),
        f"{ARGS}.ignoredResourceGroups[0]",
        'is "-x"',
    ),
    "a balanced resource that weighs more": (
        with_args("NodeResourcesBalancedAllocation", {"resources": [{"name": "cpu", "weight": 2}]}),
        f"{ARGS}.resources[0].weight",
        "is 2 (expected 1)",
    ),
    "a balanced resource twice": (
        with_args("NodeResourcesBalancedAllocation", {"resources": [{"name": "cpu"}, {"name": "cpu"}]}),
        f"{ARGS}.resources[1].name",
        "there twice",
    ),
    "an unknown defaulting type": (
        with_args("PodTopologySpread", {"defaultingType": "list"}),
        f"{ARGS}.defaultingType",
        'is "list" (expected one of System, List)',
    ),
    "constraints for the system's defaulting": (
        with_args("PodTopologySpread", {"defaultConstraints": [CONSTRAINT]}),
        f"{ARGS}.defaultingType",
        'is "System" while defaultConstraints are given (expected List)',
    ),
    "no skew": (spread(maxSkew=0), f"{SPREAD}.maxSkew", "at least 1"),
    "no topology key": (spread(topologyKey=""), f"{SPREAD}.topologyKey", "missing or empty"),
    "a topology key that is no label": (spread(topologyKey="a b"), f"{SPREAD}.topologyKey", 'is "a b"'),
    "no action": (spread(whenUnsatisfiable=None), f"{SPREAD}.whenUnsatisfiable", "missing or empty"),
    "an unknown action": (spread(whenUnsatisfiable="Wait"), f"{SPREAD}.whenUnsatisfiable", "DoNotSchedule"),
    "a selector": (spread(labelSelector={}), f"{SPREAD}.labelSelector", "expected no selector"),
    "a selector's unknown field": (
        spread(labelSelector={"matchLabel": {}}),
        f"{SPREAD}.labelSelector.matchLabel",
        "(expected matchLabels)",
    ),
    "a constraint twice": (
        with_args(
            "PodTopologySpread", {"defaultingType": "List", "defaultConstraints": [CONSTRAINT, CONSTRAINT]}
        ),
        f"{ARGS}.defaultConstraints[1]",
        "repeats zone, ScheduleAnyway",
    ),
    "an unknown operator": (
        required(key="a", operator="in", values=["b"]),
        f"{EXPRESSION}.operator",
        'is "in" (expected one of In, NotIn, Exists, DoesNotExist, Gt, Lt)',
    ),
    "a bad key": (required(key="", operator="Exists"), f"{EXPRESSION}.key", "missing or empty"),
    "In nothing": (required(key="a", operator="In"), f"{EXPRESSION}.values", "at least one value for In"),
    "Exists with values": (
        required(key="a", operator="Exists", values=["b"]),
        f"{EXPRESSION}.values",
        "no values for Exists",
    ),
    "Gt of two": (
        required(key="a", operator="Gt", values=["1", "2"]),
        f"{EXPRESSION}.values",
        "has 2 values (expected one integer for Gt)",
    ),
    "Lt of a word": (
        required(key="a", operator="Lt", values=["b"]),
        f"{EXPRESSION}.values[0]",
        'is "b" (expected an integer for Lt)',
    ),
    "Gt of a number that no label value can be": (
        required(key="a", operator="Gt", values=["-1"]),
        f"{EXPRESSION}.values[0]",
        "a valid label value",
    ),
    "a bad value": (required(key="a", operator="In", values=["b c"]), f"{EXPRESSION}.values[0]", 'is "b c"'),
    "an unknown field of a term": (
        with_args(
            "NodeAffinity", {"addedAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchLabels": {}}]}}}
        ),
        f"{ARGS}.addedAffinity.{REQUIRED}.nodeSelectorTerms[0].matchLabels",
        "unknown field",
    ),
    "a field by anything but equality": (
        with_args(
            "NodeAffinity",
            {
                "addedAffinity": {
                    PREFERRED: [
                        {"weight": 1, "preference": {"matchFields": [{"key": "a", "operator": "Exists"}]}}
                    ]
                }
            },
        ),
        f"{ARGS}.addedAffinity.{PREFERRED}[0].preference.matchFields[0].operator",
        "(expected one of In, NotIn)",
    ),
    "a field in two values": (
        with_args(
            "NodeAffinity",
            {
                "addedAffinity": {
                    REQUIRED: {
                        "nodeSelectorTerms": [
                            {"matchFields": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}
                        ]
                    }
                }
            },
        ),
        f"{ARGS}.addedAffinity.{REQUIRED}.nodeSelectorTerms[0].matchFields[0].values",
        "exactly one value",
    ),
    "a negative bind timeout": (
        with_args("VolumeBinding", {"bindTimeoutSeconds": -1}),
        f"{ARGS}.bindTimeoutSeconds",
        "at least 0",
    ),
    "a shape for volumes": (
        with_args("VolumeBinding", {"shape": []}),
        f"{ARGS}.shape",
        "StorageCapacityScoring",
    ),
    "a negative filter timeout": (
        with_args("DynamicResources", {"filterTimeout": "-1s"}),
        f"{ARGS}.filterTimeout",
        "is negative",
    ),
    "a short binding timeout": (
        with_args("DynamicResources", {"bindingTimeout": "999ms"}),
        f"{ARGS}.bindingTimeout",
        "at least 1s",
    ),
    "a timeout that is no duration": (
        with_args("DynamicResources", {"bindingTimeout": "soon"}),
        f"{ARGS}.bindingTimeout",
        "not a duration: 'soon'",
    ),
}


@pytest.mark.parametrize(("fields", "field", "words"), ERROR_CASES.values(), ids=ERROR_CASES.keys())
def test_what_is_wrong_in_arguments_is_said_with_its_field(fields: Any, field: str, words: str) -> None:
    assert_refused(fields, field, words)
