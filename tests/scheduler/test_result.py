"""What a run answers: summary, placements, explanations of old decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kcore import Cluster, InputError, KcoreError, Result
from tests.scheduler.cluster_objects import Object, configuration, node_dict, pod_dict

OBJECTS = (
    node_dict("b", "4", "8Gi"),
    node_dict("a", "2", "4Gi", spec={"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}),
    pod_dict("there", "1", node="b", port=80),
    *(pod_dict(f"p{number}", "1", port=80 if number == 2 else 0) for number in range(6)),
)


def run(**options: Any) -> Result:
    return Cluster.from_objects(OBJECTS).schedule(**options)


def test_the_summary_has_what_is_promised_and_more() -> None:
    summary = run().summary
    promised = {"nodes", "pods", "placed", "unschedulable", "seconds", "pods_per_second", "utilisation"}
    assert promised <= set(summary)
    assert set(summary) - promised == {"nominated", "victims", "engine"}
    assert [summary[key] for key in ("nodes", "pods", "placed", "unschedulable")] == [2, 6, 5, 1]
    assert summary["seconds"] > 0
    assert summary["pods_per_second"] == pytest.approx(6 / summary["seconds"], rel=0.05)
    assert summary["utilisation"] == {"cpu": 1.0, "memory": 0.0, "pods": round(6 / 220, 6)}


def test_placements_have_one_row_a_pod() -> None:
    result = run()
    table = result.placements
    assert table.column_names[:6] == ["namespace", "name", "node", "node_index", "score", "reason"]
    assert set(table.column_names) == {
        "namespace", "name", "node", "node_index", "score", "reason", "nominated_node", "victims", "devices",
    }  # fmt: skip
    for row in table.to_pylist():
        assert row["namespace"] == "default"
        assert (row["node"] is None) == (row["node_index"] == -1) == (row["score"] is None)
        assert (row["node"] is None) == (row["reason"] is not None)
        if row["node"] is not None:
            assert result.node_names[row["node_index"]] == row["node"]
    assert table.num_rows == result.pods == 6


def test_the_dictionary_is_the_summary_the_placements_and_the_explanations() -> None:
    result = run(explain=["default/p3"])
    told = result.to_dict()
    assert set(told) == {"summary", "placements", "explanations"}
    assert [one["name"] for one in told["placements"]] == result.placements.column("name").to_pylist()
    placed = next(one for one in told["placements"] if one["node"] is not None)
    assert set(placed) == {"namespace", "name", "node", "score"}
    left = next(one for one in told["placements"] if one["node"] is None)
    assert set(left) == {"namespace", "name", "node", "score", "reason"}
    (explained,) = told["explanations"]
    assert {"namespace", "name", "filter", "score"} <= set(explained)
    for plugins in explained["score"].values():
        total = plugins.pop("total")
        assert all(set(one) == {"raw", "normalized", "weighted"} for one in plugins.values())
        assert total == sum(one["weighted"] for one in plugins.values())


def test_an_explanation_afterwards_is_the_one_during_the_run() -> None:
    during = {one["name"]: one for one in run(explain=True).explanations}
    result = run()
    assert {name: result.why(f"default/{name}") for name in reversed(during)} == during
    assert result.why("p0") == during["p0"]


def test_an_explanation_is_what_a_run_up_to_that_pod_gives() -> None:
    whole = run()
    for number in range(6):
        cluster = Cluster.from_objects(OBJECTS[: 3 + number])
        cluster.schedule()
        alone = cluster.schedule([OBJECTS[3 + number]], explain=True)
        assert whole.why(f"default/p{number}") == alone.explanations[0]


def test_an_explanation_agrees_with_the_placement() -> None:
    result = run()
    scores = {row["name"]: (row["node"], row["score"]) for row in result.placements.to_pylist()}
    for name, (node, score) in scores.items():
        told = result.why(name)
        assert told["node"] == node
        if node is None:
            assert told["score"] == {}
            assert all(told["filter"].values())
        else:
            assert told["score"][node]["total"] == score
            assert told["filter"][node] is None
            assert score == max(one["total"] for one in told["score"].values())


def test_explanations_come_in_the_order_asked_for() -> None:
    names = ["default/p4", "default/p0", "default/p2"]
    assert [f"default/{one['name']}" for one in run(explain=names).explanations] == names
    assert len(run(explain=True).explanations) == 6
    assert run().explanations == []


@pytest.mark.parametrize(("pod", "words"), [("default/nobody", "no pod is named"), ("other/p0", "no pod is named"),
                                            ("default/there", "has a node already")])  # fmt: skip
def test_a_pod_that_was_not_to_be_placed_cannot_be_explained(pod: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run().why(pod)


def test_asking_for_the_explanation_of_nobody_is_refused_by_the_option() -> None:
    with pytest.raises(InputError, match="no pod is named default/nobody") as caught:
        run(explain=["nobody"])
    assert caught.value.field == "explain"


CHANGES = {
    "add node": lambda cluster: cluster.add_node(node_dict("z")),
    "update node": lambda cluster: cluster.update_node(node_dict("a", "9")),
    "remove node": lambda cluster: cluster.remove_node("b"),
    "remove pod": lambda cluster: cluster.remove_pod("there"),
    "add pod": lambda cluster: cluster.add_pod(pod_dict("z", node="a")),
    "schedule": lambda cluster: cluster.schedule([pod_dict("z")]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_explaining_after_the_cluster_has_changed_is_refused(change: str) -> None:
    cluster = Cluster.from_objects(OBJECTS)
    result = cluster.schedule()
    left = next(row["name"] for row in result.placements.to_pylist() if row["node"] is None)
    CHANGES[change](cluster)
    with pytest.raises(KcoreError, match="the cluster has changed since"):
        result.why(left)


def test_explaining_changes_nothing() -> None:
    cluster = Cluster.from_objects(OBJECTS)
    result = cluster.schedule()
    before = cluster.nodes_table().to_pylist()
    ledger = cluster.state.world().nodes.ledger.copy()
    for number in (5, 0, 3):
        result.why(f"p{number}")
    assert cluster.nodes_table().to_pylist() == before
    assert np.array_equal(cluster.state.world().nodes.ledger, ledger)


def test_a_lost_nomination_is_lost_in_the_explanations_too() -> None:
    promised = pod_dict("high", "8", priority=10, status={"nominatedNodeName": "a"})
    result = Cluster.from_objects([node_dict("a", "2"), promised, pod_dict("low", "1")]).schedule()
    assert result.placements.to_pylist()[1]["node"] == "a"
    assert result.why("default/low")["filter"] == {"a": None}


def evicting(*more: Object, **options: Any) -> Result:
    objects = [
        node_dict("a", "8"),
        pod_dict("victim", node="a", port=80, start="2026-01-01T00:00:00Z"),
        pod_dict("high", priority=10, port=80),
        *more,
    ]
    return Cluster.from_objects(objects).schedule(preemption="evict", **options)


def test_a_port_that_passed_from_a_victim_to_the_preemptor_is_taken_in_explanations() -> None:
    result = evicting(pod_dict("low", port=80))
    assert result.placements.to_pylist()[1]["node"] is None
    assert result.why("default/low")["filter"]["a"]["plugin"] == "NodePorts"


@pytest.mark.parametrize("mode", ["nominate", "evict", "off"])
def test_explanations_go_back_over_preemptions(mode: str) -> None:
    objects = [
        node_dict("a", "2"),
        node_dict("b", "1"),
        pod_dict("v1", "1", node="a", start="2026-01-01T00:00:00Z"),
        pod_dict("v2", "1", node="a", start="2026-01-02T00:00:00Z"),
        pod_dict("h1", "1", priority=30),
        pod_dict("h2", "1", priority=20),
        pod_dict("h3", "1", priority=10),
        pod_dict("l1", "1"),
    ]
    result = Cluster.from_objects(objects).schedule(preemption=mode)
    for row in result.placements.to_pylist():
        told = result.why(row["name"])
        possible = [name for name, rejection in told["filter"].items() if rejection is None]
        if row["node"] is None or row["victims"]:
            assert possible == []
            named = {reason for one in told["filter"].values() for reason in one["reasons"]}
            assert all(reason in row["reason"] for reason in named)
        else:
            assert row["node"] in possible


def test_nominated_nodes_keep_their_names_though_the_node_has_gone() -> None:
    objects = [node_dict("a", "1"), pod_dict("v", "1", node="a"), pod_dict("high", "1", priority=9)]
    cluster = Cluster.from_objects(objects)
    result = cluster.schedule()
    cluster.remove_node("a")
    cluster.add_node(node_dict("other"))
    assert result.placements.column("nominated_node").to_pylist() == ["a"]


@pytest.mark.parametrize("cpu", ["0", None])
def test_a_node_without_the_resource_has_no_utilisation(cpu: str | None) -> None:
    bare = node_dict("bare")
    if cpu is None:
        del bare["status"]["allocatable"]["cpu"]
    else:
        bare["status"]["allocatable"]["cpu"] = cpu
    bare["status"]["allocatable"]["pods"] = "0"
    result = Cluster.from_objects(
        [bare, node_dict("a"), pod_dict("p", "1", node="bare"), pod_dict("q", "1")]
    ).schedule()
    before, after = result.utilisation("cpu")
    assert np.array_equal(before, [np.nan, 0.0], equal_nan=True)
    assert np.array_equal(after, [np.nan, 0.25], equal_nan=True)
    assert np.isfinite(np.concatenate(result.utilisation("pods"))).all()
    assert result.summary["utilisation"]["cpu"] == 0.5
    with pytest.raises(KeyError):
        result.utilisation("nvidia.com/gpu")


def test_only_resources_that_some_node_has_are_listed() -> None:
    found = Cluster.from_objects(
        [node_dict("a", **{"x.y/z": "2"}), pod_dict("p", requests={"q.r/s": "1"})]
    ).schedule()
    assert found.resources == ["cpu", "memory", "x.y/z", "pods"]
    nothing = Cluster.from_objects([]).schedule()
    assert nothing.resources == ["pods"]
    assert nothing.to_dict()["placements"] == []


def test_a_pod_on_its_nominated_node_is_explained_by_that_node() -> None:
    promised = pod_dict("p", status={"nominatedNodeName": "b"})
    told = Cluster.from_objects([node_dict("a"), node_dict("b", "2"), promised]).schedule().why("p")
    assert told["node"] == "b"
    assert told["filter"]["b"] is None
    assert told["filter"]["a"]["plugin"] == "NominatedNode"
    assert list(told["score"]) == ["b"]


def test_weights_appear_in_the_explanation() -> None:
    score = {"disabled": [{"name": "ImageLocality"}], "enabled": [{"name": "ImageLocality", "weight": 7}]}
    config = configuration({"schedulerName": "default-scheduler", "plugins": {"score": score}})
    image = [{"names": ["img:latest"], "sizeBytes": 1 << 30}]
    told = (
        Cluster.from_objects([node_dict("a", images=image), pod_dict("p")]).schedule(config=config).why("p")
    )
    entry = told["score"]["a"]["ImageLocality"]
    assert entry["raw"] == entry["normalized"] > 0
    assert entry["weighted"] == 7 * entry["normalized"]
