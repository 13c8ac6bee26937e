"""Users' plugins beside the built-in ones: in the cycle, in preemption, by their parameters and their names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kcore import Cluster, InputError, Result, filter_plugin, kernel, score_plugin
from kcore import cluster as cluster_module
from kcore.scheduler.plugins import contract
from kcore.scheduler.plugins.contract import NodeView, PodView
from tests.scheduler.cluster_objects import ZONE, Object, configuration, node_dict, pod_dict

Out = np.ndarray


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Nobody's plugins but those of the test."""
    plugins: dict[str, Any] = {}
    monkeypatch.setattr(contract, "_load_entry_points", lambda: None)
    monkeypatch.setattr(contract, "_registered", plugins)
    return plugins


def config(*filters: str, scores: dict[str, int] | None = None, args: Object | None = None) -> Object:
    """The default profile with these plugins as well; ``scores`` take the place of the built-in ones."""
    plugins: Object = {"filter": {"enabled": [{"name": name} for name in filters]}}
    if scores is not None:
        enabled = [{"name": name, "weight": weight} for name, weight in scores.items()]
        plugins["score"] = {"disabled": [{"name": "*"}], "enabled": enabled}
    profile: Object = {"schedulerName": "default-scheduler", "plugins": plugins}
    if args is not None:
        profile["pluginConfig"] = [{"name": name, "args": one} for name, one in args.items()]
    return configuration(profile)


def schedule(*objects: Object, **options: Any) -> Result:
    return Cluster.from_objects(objects).schedule(**options)


def nodes(result: Result) -> dict[str, str | None]:
    return {row["name"]: row["node"] for row in result.placements.to_pylist()}


def at_most(most: int = 1, *, resolvable: bool = True) -> None:
    """Register AtMost: nodes hold at most so many pods."""

    @filter_plugin(
        "AtMost", reason="node(s) had enough pods", resolvable=resolvable, parameters={"most": float(most)}
    )
    def enough(pod: PodView, view: NodeView, out: Out) -> None:
        for node in range(out.shape[0]):
            if view.pod_count[node] >= view.parameters[0]:
                out[node] = 1


def generation(normalize: str = "none") -> None:
    """Register Generation: nodes score the number in their label "gen"."""

    @score_plugin("Generation", normalize=normalize, labels=["gen"])
    def newest(pod: PodView, view: NodeView, out: Out) -> None:
        for node in range(out.shape[0]):
            if view.label_number[0, node] == view.label_number[0, node]:
                out[node] = int(view.label_number[0, node])


def test_a_users_filter_rejects_in_its_own_words_after_the_built_in_ones() -> None:
    at_most()
    pods = [pod_dict(f"p{number}", "1") for number in range(3)]
    result = schedule(node_dict("a"), node_dict("b"), node_dict("c", "500m"), *pods, config=config("AtMost"))
    assert nodes(result) == {"p0": "a", "p1": "b", "p2": None}
    reason = result.placements.to_pylist()[2]["reason"]
    assert reason.startswith("0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had enough pods.")
    assert result.why("p2")["filter"]["a"] == {"plugin": "AtMost", "reasons": ["node(s) had enough pods"]}
    assert result.why("p1")["filter"] == {
        "a": {"plugin": "AtMost", "reasons": ["node(s) had enough pods"]},
        "b": None,
        "c": {"plugin": "NodeResourcesFit", "reasons": ["Insufficient cpu"]},
    }


def test_a_profile_without_the_plugin_does_not_ask_it() -> None:
    at_most(0)
    assert nodes(schedule(node_dict("a"), pod_dict("p"))) == {"p": "a"}
    assert nodes(schedule(node_dict("a"), pod_dict("p"), config=config("AtMost"))) == {"p": None}


GENERATIONS = tuple(
    node_dict(name, labels={} if label is None else {"gen": label})
    for name, label in (("a", "3"), ("b", "12"), ("c", None), ("d", "x"), ("e", "7"))
)


@pytest.mark.parametrize(
    ("normalize", "normalized"),
    [
        ("none", {"a": 3, "b": 12, "c": 0, "d": 0, "e": 7}),
        ("default", {"a": 25, "b": 100, "c": 0, "d": 0, "e": 58}),
        ("reverse", {"a": 75, "b": 0, "c": 100, "d": 100, "e": 42}),
        ("minmax", {"a": 25, "b": 100, "c": 0, "d": 0, "e": 58}),
    ],
)
def test_a_users_scores_are_normalized_as_declared_and_weighted(
    normalize: str, normalized: dict[str, int]
) -> None:
    generation(normalize)
    told = schedule(*GENERATIONS, pod_dict("p"), config=config(scores={"Generation": 3})).why("p")["score"]
    assert {name: one["Generation"]["normalized"] for name, one in told.items()} == normalized
    assert {name: one["Generation"]["raw"] for name, one in told.items()} == {
        "a": 3, "b": 12, "c": 0, "d": 0, "e": 7,
    }  # fmt: skip
    assert {name: one["total"] for name, one in told.items()} == {
        name: 3 * one for name, one in normalized.items()
    }


def test_a_users_scores_are_added_to_the_built_in_ones() -> None:
    generation()
    scores = {"Generation": 100, "NodeResourcesFit": 1}
    result = schedule(*GENERATIONS, pod_dict("p"), config=config(scores=scores))
    assert nodes(result) == {"p": "b"}
    assert set(result.why("p")["score"]["a"]) == {"Generation", "NodeResourcesFit", "total"}


def test_a_policy_is_one_score_plugin_alone() -> None:
    generation()
    result = schedule(*GENERATIONS, pod_dict("p"), policy="Generation")
    assert nodes(result) == {"p": "b"}
    assert set(result.why("p")["score"]["b"]) == {"Generation", "total"}
    with pytest.raises(InputError, match="no policy is named 'Best'") as caught:
        schedule(*GENERATIONS, policy="Best")
    assert caught.value.field == "policy"
    assert "Generation" in str(caught.value)


def test_the_views_show_the_rows_and_labels_that_are_declared() -> None:
    seen: list[tuple[Any, ...]] = []

    @filter_plugin("Peek", reason="seen", resources=["x.y/z", "memory"], labels=[ZONE])
    def peek(pod: PodView, view: NodeView, out: Out) -> None:
        seen.append((pod.requests[:2].tolist(), pod.wanted.tolist(), pod.nonzero.tolist(), pod.priority))
        seen.append((view.allocatable[view.rows].tolist(), view.requested[0].tolist()))
        seen.append((view.label.tolist(), view.pod_count.tolist(), out.tolist()))

    objects = [
        node_dict("a", "2", "1Ki", labels={ZONE: "z"}, **{"x.y/z": "5"}),
        node_dict("b", "2", "1Ki", labels={ZONE: "z"}),
        node_dict("c", "2", "1Ki"),
        pod_dict("there", "1", node="b"),
        pod_dict("p", requests={"cpu": "1", "x.y/z": "2"}, priority=7),
    ]
    assert nodes(schedule(*objects, config=config("Peek"))) == {"p": "a"}
    assert seen[0] == ([1000, 0], [2, 0], [1000, 200 << 20], 7)
    assert seen[1] == ([[5, 0, 0], [1024, 1024, 1024]], [0, 1000, 0])
    (labels,), pod_count, out = seen[2]
    assert labels[0] == labels[1] >= 0 > labels[2]
    assert (pod_count, out) == ([0, 1, 0], [0, 0, 0])


# -- preemption


def full(**fields: Any) -> list[Object]:
    return [
        node_dict("a"),
        pod_dict("old", "1", node="a", start="2026-01-01T00:00:00Z"),
        pod_dict("young", "1", node="a", start="2026-02-01T00:00:00Z"),
        pod_dict("high", "1", priority=10, **fields),
    ]


@pytest.mark.parametrize(
    ("most", "victims"), [(2, ["default/young"]), (1, ["default/old", "default/young"]), (0, None)]
)
def test_preemption_evicts_as_many_as_a_users_filter_needs(most: int, victims: list[str] | None) -> None:
    at_most(most)
    for mode in ("nominate", "evict"):
        row = schedule(*full(), config=config("AtMost"), preemption=mode).placements.to_pylist()[0]
        assert row["victims"] == victims
        assert row["nominated_node"] == (None if victims is None else "a")


def test_preemption_does_not_try_nodes_that_a_user_rejects_for_good() -> None:
    at_most(2, resolvable=False)
    row = schedule(*full(), config=config("AtMost")).placements.to_pylist()[0]
    assert row["victims"] is None
    assert row["reason"].endswith("0/1 nodes are available: 1 Preemption is not helpful for scheduling.")


def test_looking_for_victims_leaves_the_accounts_as_they_were() -> None:
    at_most(0)
    cluster = Cluster.from_objects([*full(), pod_dict("port", node="a", port=80), node_dict("b", "1")])
    before = cluster.nodes_table().to_pylist()
    ledger = cluster.state.world().nodes.ledger.copy()
    cluster.schedule(config=config("AtMost"))
    assert cluster.nodes_table().to_pylist() == before
    assert np.array_equal(cluster.state.world().nodes.ledger, ledger)


def test_a_nominated_pod_counts_for_users_filters_too() -> None:
    at_most(1)
    promised = pod_dict("high", "1", priority=10, status={"nominatedNodeName": "a"})
    result = schedule(
        node_dict("a"),
        promised,
        pod_dict("low", "1"),
        config=config("AtMost"),
        order="file",
        preemption="off",
    )
    assert nodes(result) == {"high": "a", "low": None}
    result = schedule(node_dict("a"), pod_dict("low", "1"), promised, config=config("AtMost"), order="file")
    assert nodes(result)["low"] is None


def test_a_pod_whose_nominated_node_a_user_rejects_looks_at_the_other_nodes() -> None:
    at_most(1)
    promised = pod_dict("p", "1", status={"nominatedNodeName": "a"})
    result = schedule(
        node_dict("a"), node_dict("b"), pod_dict("there", "1", node="a"), promised, config=config("AtMost")
    )
    assert nodes(result) == {"p": "b"}


# -- parameters and names


def test_parameters_have_defaults_and_are_set_by_the_profile() -> None:
    at_most(0)
    objects = (node_dict("a"), pod_dict("p"))
    assert nodes(schedule(*objects, config=config("AtMost"))) == {"p": None}
    assert nodes(schedule(*objects, config=config("AtMost", args={"AtMost": {"most": 1}}))) == {"p": "a"}
    assert nodes(schedule(*objects, config=config("AtMost", args={"AtMost": {"most": 0.5}}))) == {"p": "a"}


@pytest.mark.parametrize(
    ("args", "key", "words"),
    [
        ({"least": 1}, "least", "AtMost has no parameter 'least'"),
        ({"most": "2"}, "most", "'2' is not a number"),
        ({"most": True}, "most", "True is not a number"),
        ({"most": None}, "most", "None is not a number"),
    ],
)
def test_wrong_parameters_are_refused_by_their_field(args: Object, key: str, words: str) -> None:
    at_most()
    with pytest.raises(InputError, match=words) as caught:
        schedule(node_dict("a"), config=config("AtMost", args={"AtMost": args}))
    assert caught.value.field is not None
    assert caught.value.field.endswith(f"pluginConfig[name=AtMost].args.{key}")


@pytest.mark.parametrize(
    "name",
    ["NodeResourcesFit", "ImageLocality", "VolumeBinding", "PrioritySort", "DefaultPreemption", "*", ""],
)
def test_a_plugin_cannot_take_the_name_of_one_of_kubernetes(name: str, registry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="name"):
        filter_plugin(name, reason="node(s) were wrong")(lambda pod, view, out: None)
    assert registry == {}


def test_one_name_may_filter_and_score() -> None:
    at_most(1)

    @score_plugin("AtMost", labels=["gen"], parameters={"plus": 2.0})
    def newest(pod: PodView, view: NodeView, out: Out) -> None:
        for node in range(out.shape[0]):
            out[node] = int(view.label_number[0, node]) + int(view.parameters[0])

    nodes_ = [node_dict(name, labels={"gen": gen}) for name, gen in (("a", "3"), ("b", "9"))]
    result = schedule(
        *nodes_, pod_dict("p"), pod_dict("q"), pod_dict("r"), config=config("AtMost", scores={"AtMost": 2})
    )
    assert nodes(result) == {"p": "b", "q": "a", "r": None}
    assert [result.why("p")["score"][name]["total"] for name in "ab"] == [10, 22]


@pytest.mark.skipif(not kernel.JIT, reason="nothing is compiled with the JIT off")
def test_compiled_plugins_decide_as_interpreted_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    at_most(2)
    generation("minmax")
    objects = [*GENERATIONS[:2], *(pod_dict(f"p{number}", "1") for number in range(3)), *full()[1:]]
    options = {"config": config("AtMost", scores={"Generation": 1}), "order": "file", "preemption": "evict"}
    plain = schedule(*objects, **options)
    monkeypatch.setattr(cluster_module, "INTERPRETED_MAX", -1)
    monkeypatch.setattr(kernel, "is_cached", lambda: True)  # else the interpreter begins
    compiled = schedule(*objects, **options)
    assert compiled.summary["engine"] != plain.summary["engine"]
    assert compiled.placements.equals(plain.placements)
    assert any(row["victims"] for row in plain.placements.to_pylist())


def test_a_plugin_that_nobody_registered_is_refused_by_its_place() -> None:
    with pytest.raises(InputError, match="Missing") as caught:
        schedule(node_dict("a"), config=config("Missing"))
    assert caught.value.field is not None
    assert "plugins.filter" in caught.value.field


@pytest.mark.parametrize("field", ["normalize", "depends"])
def test_a_declaration_that_does_not_exist_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="'sideways'"):
        score_plugin("S", **{field: "sideways"})(lambda pod, view, out: None)
