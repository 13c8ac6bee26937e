"""What a KubeSchedulerConfiguration means: defaults, expansion, weights, profiles; and the recorded scenarios."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from kcore.scheduler.config import default_configuration, load_configuration
from kcore.scheduler.config_plugins import DEFAULT_MULTI_POINT, EXTENSION_POINTS, IN_TREE, REMOVED
from kcore.scheduler.profile import NodeResourcesFitArgs, Profile
from tests.scheduler.config_documents import (
    document,
    load_one,
    plugin_set,
    with_args,
    with_plugins,
    with_profile,
)
from tests.shared import SHARED

VECTORS = SHARED / "vectors"

DEFAULT_FILTERS = (
    "NodeUnschedulable NodeName TaintToleration NodeAffinity NodePorts NodeResourcesFit VolumeRestrictions "
    "NodeVolumeLimits VolumeBinding VolumeZone PodTopologySpread InterPodAffinity DynamicResources "
    "NodeDeclaredFeatures"
)
DEFAULT_SCORES = (
    "TaintToleration=3 NodeAffinity=2 NodeResourcesFit=1 VolumeBinding=1 PodTopologySpread=2 InterPodAffinity=2 "
    "DynamicResources=2 NodeResourcesBalancedAllocation=1 ImageLocality=1"
)


def scores(profile: Profile) -> str:
    pairs = zip(profile.scores, profile.weights, strict=True)
    return " ".join(f"{name}={weight}" for name, weight in pairs)


def test_without_a_document_there_is_one_default_profile() -> None:
    configuration = default_configuration()
    assert configuration == load_configuration(None) == load_configuration(document())
    assert configuration.percentage_of_nodes_to_score is None
    (profile,) = configuration.profiles
    assert configuration.profile("default-scheduler") is profile
    assert " ".join(profile.filters) == DEFAULT_FILTERS
    assert scores(profile) == DEFAULT_SCORES
    assert profile.post_filters == ("DynamicResources", "DefaultPreemption")
    assert profile.pre_enqueue == ("SchedulingGates", "DynamicResources", "DefaultPreemption")
    assert " ".join(profile.pre_filters) == (
        "NodeAffinity NodePorts NodeResourcesFit VolumeRestrictions NodeVolumeLimits VolumeBinding VolumeZone "
        "PodTopologySpread InterPodAffinity DynamicResources NodeDeclaredFeatures"
    )
    assert " ".join(profile.pre_scores) == (
        "TaintToleration NodeAffinity NodeResourcesFit VolumeBinding PodTopologySpread InterPodAffinity "
        "NodeResourcesBalancedAllocation"
    )
    assert profile.fit == NodeResourcesFitArgs()
    assert profile.plugin_args == {}


def test_the_plugins_that_1_36_does_not_enable_are_known_by_name() -> None:
    gated = set(IN_TREE) - {plugin.name for plugin in DEFAULT_MULTI_POINT.enabled}
    assert gated == {"GangScheduling", "TopologyPlacementGenerator", "PodGroupPodsCount"}
    assert not set(REMOVED) & set(IN_TREE)
    profile = load_one(with_plugins(multiPoint=plugin_set(" ".join(sorted(gated)))))
    assert profile.pre_enqueue == (
        "SchedulingGates",
        "DynamicResources",
        "DefaultPreemption",
        "GangScheduling",
    )


@pytest.mark.parametrize("empty", [None, [], [{}], [{"plugins": None, "pluginConfig": None}]])
def test_profiles_that_say_nothing_are_the_default_profile(empty: Any) -> None:
    assert load_configuration(document(profiles=empty)) == default_configuration()


DEFAULT_SCORES_WITHOUT_TAINTS = DEFAULT_SCORES.removeprefix("TaintToleration=3 ")

SCORE_CASES: dict[str, tuple[dict[str, Any], str]] = {
    "a weight at score overrides multiPoint's and moves the plugin to the front": (
        {"score": plugin_set("NodeAffinity=5")},
        "NodeAffinity=5 " + DEFAULT_SCORES.replace("NodeAffinity=2 ", ""),
    ),
    "overrides at score keep the order of the score list": (
        {"score": plugin_set("ImageLocality=4 NodeAffinity=5")},
        "ImageLocality=4 NodeAffinity=5 "
        + DEFAULT_SCORES.replace("NodeAffinity=2 ", "").replace(" ImageLocality=1", ""),
    ),
    "an override at score without a weight weighs 1": (
        {"score": plugin_set("TaintToleration")},
        "TaintToleration=1 " + DEFAULT_SCORES_WITHOUT_TAINTS,
    ),
    "weight 0 counts as 1": (
        {"score": plugin_set("TaintToleration=0")},
        "TaintToleration=1 " + DEFAULT_SCORES_WITHOUT_TAINTS,
    ),
    "disabled and enabled again at score: at the end with the new weight": (
        {"score": plugin_set("TaintToleration=7", "TaintToleration")},
        DEFAULT_SCORES_WITHOUT_TAINTS + " TaintToleration=7",
    ),
    "disabled at score: gone": (
        {"score": plugin_set(disabled="TaintToleration")},
        DEFAULT_SCORES_WITHOUT_TAINTS,
    ),
    "all disabled at score: only the score list, in its order": (
        {"score": plugin_set("ImageLocality NodeAffinity=9", "*")},
        "ImageLocality=1 NodeAffinity=9",
    ),
    "all disabled at score and none enabled: no scores": ({"score": plugin_set(disabled="*")}, ""),
    "a default plugin enabled at multiPoint keeps its place and takes the weight": (
        {"multiPoint": plugin_set("NodeAffinity=8")},
        DEFAULT_SCORES.replace("NodeAffinity=2", "NodeAffinity=8"),
    ),
    "a default plugin enabled at multiPoint without a weight weighs 1": (
        {"multiPoint": plugin_set("NodeAffinity")},
        DEFAULT_SCORES.replace("NodeAffinity=2", "NodeAffinity=1"),
    ),
    "disabled and enabled again at multiPoint: at the end": (
        {"multiPoint": plugin_set("TaintToleration=4", "TaintToleration")},
        DEFAULT_SCORES_WITHOUT_TAINTS + " TaintToleration=4",
    ),
    "disabled at multiPoint, enabled at score: after multiPoint's": (
        {"multiPoint": plugin_set(disabled="TaintToleration"), "score": plugin_set("TaintToleration=2")},
        DEFAULT_SCORES_WITHOUT_TAINTS + " TaintToleration=2",
    ),
    "all disabled at multiPoint: only what is enabled again": (
        {"multiPoint": plugin_set("PrioritySort DefaultBinder ImageLocality NodeResourcesFit=2", "*")},
        "ImageLocality=1 NodeResourcesFit=2",
    ),
    "the weight at score counts where multiPoint has one too": (
        {"multiPoint": plugin_set("NodeAffinity=8"), "score": plugin_set("NodeAffinity=5")},
        "NodeAffinity=5 " + DEFAULT_SCORES.replace("NodeAffinity=2 ", ""),
    ),
    "what is said of filter does not touch score": (
        {"filter": plugin_set("NodeAffinity", "TaintToleration *")},
        DEFAULT_SCORES,
    ),
    "disabling a plugin that has gone from Kubernetes does nothing": (
        {"score": plugin_set(disabled="SelectorSpread"), "filter": plugin_set(disabled="EBSLimits")},
        DEFAULT_SCORES,
    ),
}


@pytest.mark.parametrize(("plugins", "expected"), SCORE_CASES.values(), ids=SCORE_CASES.keys())
def test_score_plugins_expand_as_upstream(plugins: dict[str, Any], expected: str) -> None:
    assert scores(load_one(with_plugins(**plugins))) == expected


FILTER_CASES: dict[str, tuple[dict[str, Any], str]] = {
    "a filter enabled again moves to the front": (
        {"filter": plugin_set("NodePorts")},
        "NodePorts " + DEFAULT_FILTERS.replace("NodePorts ", ""),
    ),
    "a filter disabled and enabled again moves to the end": (
        {"filter": plugin_set("NodePorts", "NodePorts")},
        DEFAULT_FILTERS.replace("NodePorts ", "") + " NodePorts",
    ),
    "a plugin disabled at multiPoint has no filter": (
        {"multiPoint": plugin_set(disabled="NodePorts")},
        DEFAULT_FILTERS.replace("NodePorts ", ""),
    ),
    "a plugin disabled at score still filters": (
        {"score": plugin_set(disabled="TaintToleration")},
        DEFAULT_FILTERS,
    ),
    "all filters disabled but two": ({"filter": plugin_set("NodePorts NodeName", "*")}, "NodePorts NodeName"),
}


@pytest.mark.parametrize(("plugins", "expected"), FILTER_CASES.values(), ids=FILTER_CASES.keys())
def test_filter_plugins_expand_as_upstream(plugins: dict[str, Any], expected: str) -> None:
    assert " ".join(load_one(with_plugins(**plugins)).filters) == expected


def test_each_extension_point_can_be_disabled_alone() -> None:
    profile = load_one(
        with_plugins(
            preFilter=plugin_set(disabled="InterPodAffinity"),
            preScore=plugin_set(disabled="*"),
            postFilter=plugin_set(disabled="DefaultPreemption"),
            preEnqueue=plugin_set(disabled="DefaultPreemption DynamicResources"),
        )
    )
    assert "InterPodAffinity" not in profile.pre_filters
    assert "InterPodAffinity" in profile.filters
    assert profile.pre_scores == ()
    assert profile.post_filters == ("DynamicResources",)
    assert profile.pre_enqueue == ("SchedulingGates",)


def test_third_party_plugins_run_at_the_points_that_they_implement() -> None:
    third_party = {"Packing": frozenset({"score"}), "Zones": frozenset({"filter", "score"})}
    plugins = {"multiPoint": plugin_set("Zones=4"), "score": plugin_set("Packing", "ImageLocality")}
    profile = load_one(with_plugins(**plugins), third_party=third_party)
    assert " ".join(profile.filters) == f"{DEFAULT_FILTERS} Zones"
    assert scores(profile) == DEFAULT_SCORES.replace(" ImageLocality=1", "") + " Zones=4 Packing=1"
    assert "Zones" not in profile.pre_filters
    assert "Packing" not in load_one(document(), third_party=third_party).scores


def test_arguments_of_third_party_plugins_are_kept_as_they_are() -> None:
    third_party = {"Packing": frozenset({"score"}), "Zones": frozenset({"filter"})}
    entries = [{"name": "Packing", "args": {"any": [1, {"b": None}]}}, {"name": "Zones"}]
    profile = load_one(with_profile(pluginConfig=entries), third_party=third_party)
    assert profile.plugin_args == {"Packing": {"any": [1, {"b": None}]}}


def test_arguments_of_plugins_that_take_none_are_ignored() -> None:
    assert load_one(with_args("NodeName", {"any": "thing"})) == default_configuration().profiles[0]


def test_several_profiles_keep_their_order_and_names() -> None:
    profiles = [
        {"schedulerName": "default-scheduler"},
        {"schedulerName": "packed", "plugins": {"score": plugin_set("NodeResourcesFit=10", "*")}},
    ]
    configuration = load_configuration(document(profiles=profiles))
    assert [profile.scheduler_name for profile in configuration.profiles] == ["default-scheduler", "packed"]
    packed = configuration.profile("packed")
    assert packed is not None
    assert scores(packed) == "NodeResourcesFit=10"
    assert configuration.profile("other") is None


def test_profiles_may_all_say_the_same_queue_sort() -> None:
    same = {"queueSort": plugin_set("PrioritySort", "*")}
    profiles = [{"schedulerName": "a", "plugins": same}, {"schedulerName": "b", "plugins": same}]
    assert len(load_configuration(document(profiles=profiles)).profiles) == 2


def test_the_share_of_nodes_to_score_is_recorded_for_the_file_and_for_a_profile() -> None:
    fields = document(percentageOfNodesToScore=30, profiles=[{"percentageOfNodesToScore": 0}])
    configuration = load_configuration(fields)
    assert configuration.percentage_of_nodes_to_score == 30
    assert configuration.profiles[0].percentage_of_nodes_to_score == 0
    assert default_configuration().profiles[0].percentage_of_nodes_to_score is None


def test_every_field_of_v1_is_accepted() -> None:
    fields = document(
        parallelism=16,
        leaderElection={
            "leaderElect": True,
            "leaseDuration": "1m30.5s",
            "renewDeadline": "10s",
            "retryPeriod": "2000ms",
            "resourceLock": "leases",
            "resourceName": "kube-scheduler",
            "resourceNamespace": "kube-system",
        },
        clientConnection={
            "kubeconfig": "/etc/kubernetes/scheduler.conf",
            "acceptContentTypes": "",
            "contentType": "application/vnd.kubernetes.protobuf",
            "qps": 50,
            "burst": 100,
        },
        enableProfiling=True,
        enableContentionProfiling=False,
        percentageOfNodesToScore=0,
        podInitialBackoffSeconds=1,
        podMaxBackoffSeconds=10,
        extenders=[],
        delayCacheUntilActive=False,
        profiles=[
            {
                "schedulerName": "default-scheduler",
                "percentageOfNodesToScore": None,
                "plugins": {
                    point: {"enabled": [], "disabled": None} for point in (*EXTENSION_POINTS, "multiPoint")
                },
                "pluginConfig": [],
            }
        ],
    )
    (profile,) = load_configuration(fields).profiles
    assert profile == default_configuration().profiles[0]


def test_null_means_absent() -> None:
    fields = dict.fromkeys(("parallelism", "leaderElection", "clientConnection", "extenders", "profiles"))
    assert load_configuration(document(**fields)) == default_configuration()


def test_leader_election_is_not_validated_where_it_is_off() -> None:
    election = {"leaderElect": False, "leaseDuration": "1s", "resourceLock": "endpoints"}
    assert load_configuration(document(leaderElection=election)) == default_configuration()


@pytest.mark.parametrize("duration", ["0", "15s", "+1h2m3.5s", "15.s", "100ms500us", "20000000µs"])
def test_durations_are_read_as_go_reads_them(duration: str) -> None:
    load_configuration(document(leaderElection={"leaderElect": False, "leaseDuration": duration}))


def read_lines(name: str) -> Iterator[Any]:
    with gzip.open(VECTORS / name, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@pytest.mark.vectors
@pytest.mark.skipif(not VECTORS.is_dir(), reason=f"the recordings are not at {VECTORS}; set KCORE_SHARED")
def test_recorded_profiles_run_the_same_plugins_with_the_same_weights() -> None:
    configured = total = 0
    recorded = zip(read_lines("inputs-public.jsonl.gz"), read_lines("outputs-public.jsonl.gz"), strict=True)
    for scenario, answer in recorded:
        profile = load_one(scenario.get("config") or document())
        total += 1
        configured += bool(scenario.get("config"))
        assert list(profile.filters) == answer["filterPlugins"], scenario["name"]
        pairs = zip(profile.scores, profile.weights, strict=True)
        assert [list(pair) for pair in pairs] == answer["scorePlugins"], scenario["name"]
    assert (total, configured) == (300, 53)
