"""What is said where a KubeSchedulerConfiguration is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from kcore.api.errors import InputError, NotSupportedError
from kcore.scheduler.config import load_configuration
from tests.scheduler.config_documents import (
    V1,
    assert_refused,
    document,
    plugin_set,
    with_args,
    with_plugins,
    with_profile,
)


def two_profiles(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return document(profiles=[{"schedulerName": "a", **first}, {"schedulerName": "b", **second}])


SORTED_TWICE = {"pluginConfig": [{"name": "PrioritySort", "args": {"a": 1}}]}

# Name of the case -> the document, the field named, and words of what was wrong and what would be right.
ERROR_CASES: dict[str, tuple[Any, str | None, str]] = {
    "not a mapping": ([], None, "not a mapping"),
    "no apiVersion": ({}, "apiVersion", f"is missing (expected {V1})"),
    "an older version": (
        {"apiVersion": "kubescheduler.config.k8s.io/v1beta3", "kind": "KubeSchedulerConfiguration"},
        "apiVersion",
        f'is "kubescheduler.config.k8s.io/v1beta3", which Kubernetes no longer serves (expected {V1})',
    ),
    "another group": ({"apiVersion": "v1", "kind": "Pod"}, "apiVersion", f'is "v1" (expected {V1})'),
    "no kind": ({"apiVersion": V1}, "kind", "is missing (expected KubeSchedulerConfiguration)"),
    "another kind": ({"apiVersion": V1, "kind": "Policy"}, "kind", 'is "Policy"'),
    "an unknown field": (document(profile=[]), "profile", 'unknown field "profile" (expected profiles)'),
    "an unknown field that is null": (
        document(nonsense=None),
        "nonsense",
        "(expected one of apiVersion, kind,",
    ),
    "a field in the wrong case": (document(Profiles=[]), "Profiles", "(expected profiles)"),
    "an unknown field of leaderElection": (
        document(leaderElection={"leaderElected": True}),
        "leaderElection.leaderElected",
        "(expected leaderElect)",
    ),
    "an unknown field of a profile": (with_profile(plugin={}), "profiles[0].plugin", "(expected plugins)"),
    "an unknown extension point": (
        with_plugins(filters={}),
        "profiles[0].plugins.filters",
        "(expected filter)",
    ),
    "an unknown field of a plugin set": (
        with_plugins(score={"enable": []}),
        "profiles[0].plugins.score.enable",
        "(expected enabled)",
    ),
    "an unknown field of a plugin": (
        with_plugins(score={"enabled": [{"name": "NodeAffinity"}, {"nme": "x"}]}),
        "profiles[0].plugins.score.enabled[1].nme",
        "(expected name)",
    ),
    "a key that is no string": (with_profile(plugins={1: {}}), "profiles[0].plugins", "field name"),
    "a string for a number": (document(parallelism="16"), "parallelism", "is a string (expected an integer)"),
    "a boolean for a number": (
        document(parallelism=True),
        "parallelism",
        "is a boolean (expected an integer)",
    ),
    "a number too large": (document(parallelism=2**31), "parallelism", "out of range"),
    "a mapping for a list": (document(profiles={}), "profiles", "is a mapping (expected a list)"),
    "a list for a mapping": (
        with_profile(plugins=[]),
        "profiles[0].plugins",
        "is a list (expected a mapping)",
    ),
    "a number for a name": (
        with_plugins(filter={"enabled": [{"name": 1}]}),
        "profiles[0].plugins.filter.enabled[0].name",
        "is an integer (expected a string)",
    ),
    "a string for a boolean": (document(enableProfiling="yes"), "enableProfiling", "(expected a boolean)"),
    "a number for a duration": (
        document(leaderElection={"leaseDuration": 15}),
        "leaderElection.leaseDuration",
        "not a duration: 15 (expected a duration such as",
    ),
    "a duration without a unit": (
        document(leaderElection={"leaseDuration": "15"}),
        "leaderElection.leaseDuration",
        "not a duration: '15'",
    ),
    "an empty duration": (
        document(leaderElection={"retryPeriod": ""}),
        "leaderElection.retryPeriod",
        "not a duration",
    ),
    "a lease not longer than its renewal": (
        document(leaderElection={"leaseDuration": "10s"}),
        "leaderElection.leaseDuration",
        "is 10s (expected more than renewDeadline, 10s)",
    ),
    "a negative retry period": (
        document(leaderElection={"retryPeriod": "-1s"}),
        "leaderElection.retryPeriod",
        "above 0s",
    ),
    "a resource lock other than leases": (
        document(leaderElection={"resourceLock": "endpoints"}),
        "leaderElection.resourceLock",
        'is "endpoints" (expected leases)',
    ),
    "a negative burst": (document(clientConnection={"burst": -1}), "clientConnection.burst", "0 or more"),
    "no parallelism": (document(parallelism=0), "parallelism", "is 0 (expected an integer above 0)"),
    "no initial backoff": (document(podInitialBackoffSeconds=0), "podInitialBackoffSeconds", "above 0"),
    "a longest backoff below the first": (
        document(podInitialBackoffSeconds=11),
        "podMaxBackoffSeconds",
        "is 10 (expected at least podInitialBackoffSeconds, 11)",
    ),
    "a percentage above 100": (
        document(percentageOfNodesToScore=101),
        "percentageOfNodesToScore",
        "0 to 100",
    ),
    "a profile's percentage below 0": (
        with_profile(percentageOfNodesToScore=-1),
        "profiles[0].percentageOfNodesToScore",
        "is -1 (expected an integer from 0 to 100)",
    ),
    "an unknown field of an extender": (
        document(extenders=[{"url": "x"}]),
        "extenders[0].url",
        "unknown field",
    ),
    "an empty scheduler name": (
        with_profile(schedulerName=""),
        "profiles[0].schedulerName",
        "missing or empty",
    ),
    "a profile without a name beside another": (
        document(profiles=[{"schedulerName": "a"}, {}]),
        "profiles[1].schedulerName",
        "missing or empty",
    ),
    "two profiles of one name": (
        document(profiles=[{"schedulerName": "a"}, {"schedulerName": "a"}]),
        "profiles[1].schedulerName",
        '"a" is the name of profiles[0] too',
    ),
    "an unknown plugin": (
        with_plugins(score=plugin_set("TaintToleration NodeAfinity")),
        "profiles[0].plugins.score.enabled[1].name",
        'there is no plugin "NodeAfinity" (expected NodeAffinity)',
    ),
    "an unknown plugin that resembles none": (
        with_plugins(postFilter=plugin_set("Coscheduling")),
        "profiles[0].plugins.postFilter.enabled[0].name",
        "(expected one of DynamicResources, DefaultPreemption)",
    ),
    "an unknown plugin where no plugin of ours runs": (
        with_plugins(postBind=plugin_set("Coscheduling")),
        "profiles[0].plugins.postBind.enabled[0].name",
        "(expected no plugin here)",
    ),
    "an unknown plugin at multiPoint": (
        with_plugins(multiPoint=plugin_set("NodeVolumeLimit")),
        "profiles[0].plugins.multiPoint.enabled[0].name",
        "(expected NodeVolumeLimits)",
    ),
    "an unknown plugin disabled": (
        with_plugins(filter=plugin_set(disabled="NodePort")),
        "profiles[0].plugins.filter.disabled[0].name",
        "(expected NodePorts)",
    ),
    "a star enabled": (
        with_plugins(filter=plugin_set("*")),
        "profiles[0].plugins.filter.enabled[0].name",
        'there is no plugin "*"',
    ),
    "a plugin without a name": (
        with_plugins(filter={"enabled": [{"weight": 1}]}),
        "profiles[0].plugins.filter.enabled[0].name",
        "missing or empty",
    ),
    "a plugin that was removed": (
        with_plugins(filter=plugin_set("EBSLimits")),
        "profiles[0].plugins.filter.enabled[0].name",
        "was removed from Kubernetes (expected NodeVolumeLimits)",
    ),
    "a plugin at a point that it does not implement": (
        with_plugins(score=plugin_set("NodeName")),
        "profiles[0].plugins.score.enabled[0].name",
        'plugin "NodeName" does not implement score (expected NodeName at filter)',
    ),
    "a plugin enabled twice at a point": (
        with_plugins(score=plugin_set("NodeAffinity ImageLocality NodeAffinity=2")),
        "profiles[0].plugins.score.enabled[2].name",
        'plugin "NodeAffinity" is enabled twice (expected each plugin once)',
    ),
    "a plugin enabled twice at multiPoint": (
        with_plugins(multiPoint=plugin_set("NodeAffinity NodeAffinity")),
        "profiles[0].plugins.multiPoint.enabled[1].name",
        "enabled twice",
    ),
    "no queue sort plugin": (
        with_plugins(queueSort=plugin_set(disabled="*")),
        "profiles[0].plugins.queueSort",
        "no plugin is enabled (expected one, such as PrioritySort)",
    ),
    "no bind plugin": (
        with_plugins(multiPoint=plugin_set(disabled="DefaultBinder")),
        "profiles[0].plugins.bind",
        "(expected one, such as DefaultBinder)",
    ),
    "queue sort said differently in two profiles": (
        two_profiles({}, {"plugins": {"queueSort": plugin_set("PrioritySort")}}),
        "profiles[1].plugins.queueSort",
        "(expected the same for all profiles)",
    ),
    "queue sort configured differently in two profiles": (
        two_profiles(SORTED_TWICE, {}),
        "profiles[1].pluginConfig",
        "PrioritySort's args differ",
    ),
    "a plugin configured twice": (
        with_profile(pluginConfig=[{"name": "NodeName"}, {"name": "NodeName"}]),
        "profiles[0].pluginConfig[1].name",
        '"NodeName" is configured twice',
    ),
    "an unknown plugin configured": (
        with_args("NodeResourceFit", {}),
        "profiles[0].pluginConfig[0].name",
        "(expected NodeResourcesFit)",
    ),
    "a removed plugin configured": (
        with_args("CinderLimits", {}),
        "profiles[0].pluginConfig[0].name",
        "was removed",
    ),
}


@pytest.mark.parametrize(("fields", "field", "words"), ERROR_CASES.values(), ids=ERROR_CASES.keys())
def test_what_is_wrong_is_said_with_its_field(fields: Any, field: str | None, words: str) -> None:
    assert_refused(fields, field, words)


def test_extenders_are_refused_by_name() -> None:
    with pytest.raises(NotSupportedError, match=r"extenders: extenders are not supported yet"):
        load_configuration(
            document(extenders=[{"urlPrefix": "http://x", "enableHTTPS": False, "httpTimeout": "5s"}])
        )


@pytest.mark.parametrize(
    ("third_party", "words"),
    [
        ({"NodeName": frozenset({"filter"})}, 'cannot be called "NodeName"'),
        ({"*": frozenset({"filter"})}, "cannot be called"),
        (
            {"Mine": frozenset({"bind"})},
            'plugin "Mine" implements bind (expected some of filter, score, preEnqueue, ',
        ),
        ({"Mine": frozenset()}, "implements nothing"),
    ],
    ids=["the name of an in-tree plugin", "a star", "a point that is not open", "no point"],
)
def test_a_third_party_plugin_must_have_a_name_and_a_point(third_party: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_configuration(None, third_party=third_party)
    assert words in str(caught.value)


def test_a_third_party_plugin_is_refused_where_it_does_not_run() -> None:
    with pytest.raises(InputError) as caught:
        load_configuration(
            with_plugins(filter=plugin_set("Packing")), third_party={"Packing": frozenset({"score"})}
        )
    assert caught.value.field == "profiles[0].plugins.filter.enabled[0].name"
