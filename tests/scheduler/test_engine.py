"""The queue, the reasons of pods that are not placed, preemption, ties and profiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kcore import Cluster, InputError, Result
from tests.scheduler.cluster_objects import HARD, HOSTNAME, Object, configuration, node_dict, pod_dict

CPU_ONLY = {"scoringStrategy": {"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 1}]}}
PACKING = {"schedulerName": "packing", "pluginConfig": [{"name": "NodeResourcesFit", "args": CPU_ONLY}]}
DEFAULT = {"schedulerName": "default-scheduler"}


def schedule(*objects: Object, **options: Any) -> Result:
    return Cluster.from_objects(objects).schedule(**options)


def rows(result: Result) -> dict[str, Object]:
    return {row["name"]: row for row in result.placements.to_pylist()}


def nodes(result: Result) -> dict[str, str | None]:
    return {name: row["node"] for name, row in rows(result).items()}


# -- the queue


QUEUE = (
    node_dict("a"),
    pod_dict("low", priority=-1),
    pod_dict("first"),
    pod_dict("high", priority=100),
    pod_dict("second", priority=0),
    pod_dict("also-high", priority=100),
)


def test_the_queue_is_by_priority_and_then_by_arrival() -> None:
    names = schedule(*QUEUE).placements.column("name").to_pylist()
    assert names == ["high", "also-high", "first", "second", "low"]


def test_file_order_is_the_order_of_the_input() -> None:
    names = schedule(*QUEUE, order="file").placements.column("name").to_pylist()
    assert names == ["low", "first", "high", "second", "also-high"]


def test_the_highest_priorities_do_not_overflow() -> None:
    extremes = [pod_dict(f"p{value}", priority=value) for value in (-(2**31), 2**31 - 1, 0)]
    names = schedule(node_dict("a"), *extremes).placements.column("name").to_pylist()
    assert names == [f"p{2**31 - 1}", "p0", f"p{-(2**31)}"]


def test_who_comes_first_gets_the_room() -> None:
    pods = (pod_dict("low", "1", priority=1), pod_dict("high", "1", priority=2))
    assert nodes(schedule(node_dict("a", "1"), *pods, preemption="off")) == {"high": "a", "low": None}
    assert nodes(schedule(node_dict("a", "1"), *pods, preemption="off", order="file")) == {
        "high": None,
        "low": "a",
    }


# -- reasons


def test_a_pod_that_fits_nowhere_says_how_many_nodes_lack_what() -> None:
    found = schedule(
        node_dict("a", "1"),
        node_dict("b", "1", spec={"taints": [{"key": "k", "effect": "NoSchedule"}]}),
        node_dict("c", "1", pods="0"),
        node_dict("d", spec={"unschedulable": True}),
        pod_dict("p", "2"),
        preemption="off",
    )
    assert rows(found)["p"]["reason"] == (
        "0/4 nodes are available: 1 Too many pods, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, "
        "2 Insufficient cpu."
    )


GATES = [{"name": "example.com/a"}, {"name": "example.com/b"}]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"schedulingGates": GATES}, "waiting for scheduling gates: [example.com/a example.com/b]"),
        (
            {"schedulerName": "other"},
            'no profile of the configuration is named "other" (the pod\'s schedulerName)',
        ),
        (
            {"metadata": {"deletionTimestamp": "2026-06-01T00:00:00Z", "uid": "u"}},
            "skip schedule deleting pod",
        ),
    ],
)
def test_a_pod_that_never_enters_the_queue_says_why(fields: Object, reason: str) -> None:
    found = schedule(node_dict("a"), pod_dict("p", **fields), pod_dict("q"))
    assert nodes(found) == {"p": None, "q": "a"}
    assert rows(found)["p"]["reason"] == reason
    assert rows(found)["p"]["score"] is None
    assert rows(found)["q"]["reason"] is None
    told = found.why("default/p")
    assert (told["filter"], told["score"], told["reason"]) == ({}, {}, reason)


@pytest.mark.parametrize(
    "source", ["emptyDir", "configMap", "secret", "hostPath", "downwardAPI", "projected"]
)
def test_volumes_that_no_plugin_looks_at_do_not_matter(source: str) -> None:
    assert nodes(schedule(node_dict("a"), pod_dict("p", volumes=[{"name": "v", source: {}}]))) == {"p": "a"}


def test_without_nodes_nothing_is_placed() -> None:
    found = schedule(pod_dict("p"))
    assert rows(found)["p"]["reason"] == "no nodes available to schedule pods"
    assert found.summary["nodes"] == 0


def test_gates_do_not_hold_where_the_profile_does_not_look_at_them() -> None:
    plugins = {"multiPoint": {"disabled": [{"name": "SchedulingGates"}]}}
    found = schedule(
        node_dict("a"),
        pod_dict("p", schedulingGates=GATES),
        config=configuration({**DEFAULT, "plugins": plugins}),
    )
    assert nodes(found) == {"p": "a"}


def test_terms_that_name_two_nodes_at_once_conflict() -> None:
    fields = [{"key": "metadata.name", "operator": "In", "values": [name]} for name in "ab"]
    affinity = {"nodeAffinity": {HARD: {"nodeSelectorTerms": [{"matchFields": fields}]}}}
    found = schedule(node_dict("a"), node_dict("b"), pod_dict("p", affinity=affinity), preemption="off")
    assert rows(found)["p"]["reason"] == "0/2 nodes are available: pod affinity terms conflict."


CLAIMS_FIRST = {"preFilter": {"enabled": [{"name": "DynamicResources"}]}}
NO_CLAIMS = {"multiPoint": {"disabled": [{"name": "DynamicResources"}]}}
NO_PREEMPTION = {"multiPoint": {"disabled": [{"name": "DefaultPreemption"}]}}
UNHELPFUL = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."


def conflicting(name: str, **more: Any) -> Object:
    """A pod whose terms name two nodes at once."""
    fields = [{"key": "metadata.name", "operator": "In", "values": [one]} for one in "ab"]
    return pod_dict(
        name, affinity={"nodeAffinity": {HARD: {"nodeSelectorTerms": [{"matchFields": fields}]}}}, **more
    )


@pytest.mark.parametrize(
    ("plugins", "policy", "conflict", "unfit"),
    [
        ({}, None, "not found", f"no new claims to deallocate, {UNHELPFUL}"),
        (NO_PREEMPTION, None, "not found", "no new claims to deallocate"),
        (NO_CLAIMS, None, UNHELPFUL, UNHELPFUL),
        (NO_CLAIMS, "Never", *["preemption: not eligible due to preemptionPolicy=Never."] * 2),
        (CLAIMS_FIRST, None, *[f"no new claims to deallocate, {UNHELPFUL}"] * 2),
    ],
)
def test_post_filter_has_the_last_word(
    plugins: Object, policy: str | None, conflict: str, unfit: str
) -> None:
    """RunPostFilterPlugins: DynamicResources fails where its PreFilter never ran, and that ends it."""
    more = {"preemptionPolicy": policy} if policy else {}
    found = schedule(
        node_dict("a"),
        conflicting("p", **more),
        pod_dict("q", "9", **more),
        config=configuration({**DEFAULT, "plugins": plugins}),
    )
    told = {name: row["reason"] for name, row in rows(found).items()}
    assert told == {
        "p": f"0/1 nodes are available: pod affinity terms conflict. {conflict}",
        "q": f"0/1 nodes are available: 1 Insufficient cpu. {unfit}",
    }


@pytest.mark.parametrize(("plugins", "placed"), [({}, None), (NO_CLAIMS, "a")])
@pytest.mark.parametrize("engine", ["full", "incremental"])
def test_a_nomination_that_preemption_cannot_help_is_taken_back_in_its_turn(
    plugins: Object, placed: str | None, engine: str
) -> None:
    """An error of PostFilter leaves it as it is; the pods before that one still leave room for it."""
    found = schedule(
        node_dict("a", "1"),
        pod_dict("before"),
        conflicting("p", status={"nominatedNodeName": "a"}),
        pod_dict("after"),
        config=configuration({**DEFAULT, "plugins": plugins}),
        engine=engine,
    )
    assert nodes(found) == {"before": None, "p": None, "after": placed}


# -- preemption

FULL = (
    node_dict("a", "2"),
    pod_dict("old", "1", node="a", start="2026-01-01T00:00:00Z"),
    pod_dict("young", "1", node="a", start="2026-02-01T00:00:00Z"),
    pod_dict("high", "1", priority=10),
    pod_dict("after", "1", priority=5),
)


def test_preemption_that_is_off_leaves_the_pod_pending() -> None:
    found = rows(schedule(*FULL, preemption="off"))
    assert found["high"]["reason"] == "0/1 nodes are available: 1 Insufficient cpu."
    assert (found["high"]["nominated_node"], found["high"]["victims"]) == (None, None)


def test_preemption_nominates_a_node_and_names_the_youngest_victim() -> None:
    cluster = Cluster.from_objects(FULL)
    found = rows(cluster.schedule())
    assert (found["high"]["node"], found["high"]["nominated_node"]) == (None, "a")
    assert found["high"]["victims"] == ["default/young"]
    # beside the nominated pod there is room for a second one only without either victim
    assert found["after"]["victims"] == ["default/old", "default/young"]
    assert cluster.pending == 2


def test_preemption_that_evicts_places_the_pod_and_removes_the_victims() -> None:
    cluster = Cluster.from_objects(FULL)
    result = cluster.schedule(preemption="evict")
    assert nodes(result) == {"high": "a", "after": "a"}
    assert rows(result)["high"]["victims"] == ["default/young"]
    assert rows(result)["after"]["victims"] == ["default/old"]
    assert (result.summary["placed"], result.summary["victims"]) == (2, 2)
    assert cluster.pending == 0
    assert cluster.nodes_table()["pod_count"].to_pylist() == [2]
    with pytest.raises(InputError, match="no pod is named default/young"):
        result.why("default/young")


def test_a_pod_that_must_not_preempt_says_so() -> None:
    found = rows(schedule(*FULL[:3], pod_dict("p", "1", priority=1, preemptionPolicy="Never")))["p"]
    assert found["reason"].endswith("preemption: not eligible due to preemptionPolicy=Never.")
    assert found["nominated_node"] is None


def test_pods_of_equal_priority_are_no_victims() -> None:
    found = rows(schedule(*FULL[:3], pod_dict("p", "1")))["p"]
    assert "No preemption victims found for incoming pod" in found["reason"]


# -- ties

NODES = tuple(node_dict(name) for name in "dbca")


def test_ties_go_to_the_first_node_by_name() -> None:
    assert nodes(schedule(*NODES, pod_dict("p"))) == {"p": "a"}


def test_random_ties_repeat_by_seed_and_stay_within_the_best() -> None:
    pods = [pod_dict(f"p{number}", "100m") for number in range(12)]
    weak = node_dict("weak", "1", "1Gi")

    def run(seed: int) -> dict[str, str | None]:
        return nodes(schedule(weak, *NODES, *pods, tie_break="random", seed=seed))

    assert run(1) == run(1)
    assert len({tuple(run(seed).items()) for seed in range(5)}) > 1
    for seed in range(5):
        result = schedule(weak, *NODES, *pods, tie_break="random", seed=seed, explain=True)
        for told in result.explanations:
            totals = {name: scores["total"] for name, scores in told["score"].items()}
            assert totals[told["node"]] == max(totals.values())
            assert told["node"] != "weak"


def test_every_tied_node_is_drawn_by_some_seed() -> None:
    drawn = {nodes(schedule(*NODES, pod_dict("p"), tie_break="random", seed=seed))["p"] for seed in range(40)}
    assert drawn == set("abcd")


# -- profiles

TWO = configuration(DEFAULT, PACKING)
BUSY = (node_dict("a"), node_dict("b"), pod_dict("seed", "2", node="b"))


def test_several_profiles_share_one_queue() -> None:
    pods = [
        pod_dict(f"p{number}", schedulerName=name)
        for number, name in enumerate(("packing", "default-scheduler", "other", "packing"))
    ]
    result = schedule(*BUSY, *pods, config=TWO)
    assert result.placements.column("name").to_pylist() == ["p0", "p1", "p2", "p3"]
    assert nodes(result) == {"p0": "b", "p1": "a", "p2": None, "p3": "b"}
    # what one profile places, the other sees
    assert result.why("p3")["score"]["b"]["NodeResourcesFit"]["raw"] == 100


def test_a_forced_profile_schedules_every_pod_whatever_its_scheduler() -> None:
    pods = (pod_dict("p"), pod_dict("q", schedulerName="other"))
    assert nodes(schedule(*BUSY, *pods, config=TWO, profile="packing")) == {"p": "b", "q": "b"}
    with pytest.raises(InputError, match="no profile is named 'nobody'") as caught:
        schedule(*BUSY, config=TWO, profile="nobody")
    assert caught.value.field == "profile"
    assert "default-scheduler, packing" in str(caught.value)


def test_a_share_of_nodes_to_score_is_noted_and_all_are_scored() -> None:
    config = configuration(DEFAULT, percentageOfNodesToScore=1)
    result = schedule(*NODES, pod_dict("p"), config=config, explain=True)
    assert result.summary["notes"] == [
        "percentageOfNodesToScore: 1 is accepted; every node was scored all the same"
    ]
    assert set(result.explanations[0]["score"]) == set("abcd")
    assert "notes" not in schedule(*NODES, pod_dict("p")).summary


@pytest.mark.parametrize(
    ("option", "value"),
    [("tie_break", "last"), ("order", "lifo"), ("preemption", "maybe"), ("engine", "quantum")],
)
def test_a_choice_that_does_not_exist_is_refused_by_its_name(option: str, value: str) -> None:
    with pytest.raises(InputError, match=f"'{value}' is not a choice") as caught:
        schedule(**{option: value})
    assert caught.value.field == option


# -- nominated pods


def test_a_nominated_pod_keeps_its_room_from_lower_pods_and_takes_it() -> None:
    promised = pod_dict("high", "3", priority=10, status={"nominatedNodeName": "a"})
    cluster = (node_dict("a"), node_dict("b"))
    found = nodes(schedule(*cluster, promised, pod_dict("low", "3", priority=1), order="file"))
    assert found == {"high": "a", "low": "b"}
    first_low = schedule(*cluster, pod_dict("low", "3", priority=1), promised, order="file")
    assert nodes(first_low) == {"low": "b", "high": "a"}


def test_a_nomination_that_cannot_help_any_more_is_taken_back() -> None:
    promised = pod_dict("high", "8", priority=10, status={"nominatedNodeName": "a"})
    assert nodes(schedule(node_dict("a", "2"), promised, pod_dict("low", "1"))) == {"high": None, "low": "a"}


def test_progress_ends_with_all_pods() -> None:
    seen: list[tuple[int, int]] = []
    pods = [pod_dict(f"p{number}", "1") for number in range(6)]
    schedule(node_dict("a", "3"), *pods, progress=lambda done, count: seen.append((done, count)))
    assert seen[-1] == (6, 6)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_spreading_counts_the_pods_of_the_same_run() -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": HOSTNAME,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
    }
    pods = [
        pod_dict(f"p{number}", "100m", labels={"app": "x"}, topologySpreadConstraints=[constraint])
        for number in range(8)
    ]
    counts = np.unique(list(nodes(schedule(*NODES, *pods)).values()), return_counts=True)[1]
    assert counts.tolist() == [2, 2, 2, 2]
