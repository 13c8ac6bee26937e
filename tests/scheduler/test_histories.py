"""A state that has been changed many times is the state that one would build from what is left."""

from __future__ import annotations

import os

import msgspec
import numpy as np
import pytest

from kcore.api.objects import ClusterObjects, Namespace, PodDisruptionBudget
from kcore.scheduler import state as state_module
from kcore.scheduler.accounts import unbind_many
from kcore.scheduler.columns import NodeColumns, PodColumns, Requests
from kcore.scheduler.config import default_configuration
from kcore.scheduler.engine import Engine
from kcore.scheduler.state import State
from tests.scheduler.cluster_objects import HARD, HOSTNAME, node_of, pod_of, state_of
from tests.scheduler.histories import History, accounts, ask_all_rows, verdicts

pytestmark = pytest.mark.differential

STEPS = 40
CHUNK = 5


def check(history: History) -> None:
    """The state, a rebuilt one and the twin agree on the accounts and on every pending pod."""
    state, rows = history.rebuilt()
    ask_all_rows(state, history.state.ledger.rows.values)
    assert accounts(history.state) == accounts(state)
    engine = Engine(state, history.configuration, compiled=False, forced=history.profile)
    for row in history.pending:
        ours, _ = verdicts(history.engine, row)
        assert ours == verdicts(engine, rows[row])[0], (
            f"{history.pending[row].metadata.name} on a rebuilt state"
        )
        assert ours == twin_verdicts(history, row, ours), f"{history.pending[row].metadata.name} by the twin"
        check_preemption(history, row)


def twin_verdicts(history: History, row: int, ours: dict[str, object]) -> dict[str, object]:
    """The twin's answer in the same form; where it only asked the nominated node, ours counts for the others."""
    attempt = history.naive.attempt(history.seen(row))
    if attempt.error or attempt.pre_filter is not None:
        assert "untried" in ours
        return ours
    told: dict[str, object] = dict.fromkeys(attempt.feasible)
    for name, status in attempt.statuses.items():
        told[name] = (status.plugin, status.code, tuple(sorted(status.reasons)))
    if history.nominated.get(row) in attempt.feasible:
        told |= {name: ours[name] for name in history.nodes if name not in attempt.feasible}
    for index, name in enumerate(attempt.feasible):
        for plugin, scores in attempt.scores.items():
            told[f"{name}: {plugin}"] = (scores.raw[index], scores.normalized[index])
        told[f"{name}: total"] = attempt.total[index]
    return told


def check_preemption(history: History, row: int) -> None:
    """Both find the same candidates, and looking for them changes nothing."""
    ours, found = verdicts(history.engine, row)
    if found is None or found.feasible:
        return
    before = accounts(history.state)
    answer = history.engine.post_filter(history.profile, row, 0.0)
    assert accounts(history.state) == before
    outcome = history.naive.attempt(history.seen(row)).post_filter
    theirs = [] if outcome is None else [(one.node, [pod.metadata.name for pod in one.victims])
                                         for one in outcome.candidates]  # fmt: skip
    name = history.state.nodes.name
    mine = [] if answer is None else [(name(one.node), [history.state.pods.name(pod) for pod in one.victims])
                                      for one in answer.candidates]  # fmt: skip
    assert sorted(mine) == sorted(theirs), ours


def play(seed: int, steps: int = STEPS) -> None:
    history = History(seed)
    for _ in range(steps):
        history.step()
        try:
            check(history)
        except AssertionError as error:
            told = "\n".join(history.log)
            raise AssertionError(
                f"History({seed}) after {len(history.log)} steps:\n{told}\n{error}"
            ) from error


@pytest.mark.parametrize("chunk", range(6))
def test_a_changed_state_equals_one_built_anew_and_the_twin(chunk: int) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        play(seed)


def test_a_pod_that_leaves_without_a_trace_in_the_accounts_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forgetful(nodes: NodeColumns, pods: PodColumns, requests: Requests, rows: np.ndarray) -> None:
        unbind_many(nodes, pods, requests, rows)
        nodes.nonzero[0, :] += 1

    monkeypatch.setattr(state_module, "unbind_many", forgetful)
    with pytest.raises(AssertionError, match="after"):
        play(6)


@pytest.mark.slow
def test_long_histories_leave_no_trace() -> None:
    first = int(os.environ.get("KCORE_SOAK_SEED", "500000"))
    for seed in range(first, first + 300):
        play(seed, steps=150)


# -- single histories


def test_a_removed_nodes_nomination_does_not_pass_to_the_next_node_in_its_slot() -> None:
    state = state_of([node_of("a"), node_of("b")])
    row = state.add_pod(pod_of("p", priority=10, status={"nominatedNodeName": "a"}))
    assert state.nodes.name(int(state.pods.nominated[row])) == "a"
    state.remove_node("a")
    state.add_node(node_of("c"))
    slot = int(state.pods.nominated[row])
    assert slot < 0 or state.nodes.name(slot) == "a"


def test_a_new_node_takes_the_slot_of_a_removed_one_without_its_past() -> None:
    state = state_of(
        [node_of("a", spec={"unschedulable": True}, labels={"disk": "ssd"}), node_of("b")],
        [pod_of("p", node="a", port=80), pod_of("q", node="b")],
    )
    state.nodes.label_row("disk")
    state.nodes.topology_row("disk")
    slot = state.nodes.index["a"]
    assert state.remove_node("a") == [0]
    assert state.add_node(node_of("c", "2")) == slot
    assert state.pods_on(slot) == []
    fresh = state_of([node_of("b"), node_of("c", "2")], [pod_of("q", node="b")])
    assert accounts(state) == accounts(fresh)
    assert state.nodes.unschedulable[slot] == 0
    assert state.nodes.label[state.nodes.label_row("disk"), slot] == -1
    assert state.nodes.domain[state.nodes.topology_row("disk"), slot] == -1


def test_images_have_the_size_that_their_first_node_reported_though_slots_were_reused() -> None:
    def images(mebibytes: int) -> list[dict[str, object]]:
        return [{"names": ["img:latest"], "sizeBytes": mebibytes << 20}]

    state = state_of([node_of("a"), node_of("b", images=images(100))])
    state.remove_node("a")
    state.add_node(node_of("c", images=images(900)))  # into the slot before b's
    row = state.nodes.image_row("img:latest")
    assert state.nodes.scaled_images()[row, state.nodes.index["b"]] == 100 << 20


def test_a_load_that_fails_leaves_placing_intact() -> None:
    state = state_of([node_of("a", "1000")], [pod_of("p")])
    state.world()
    many = [pod_of("bad", node="nowhere"), *(pod_of(f"x{number}") for number in range(100))]
    with pytest.raises(Exception, match="nowhere"):
        state.load(ClusterObjects(pods=many))
    state.place(0, 0)
    assert state.pods.node[0] == 0
    assert state.pods_on(0) == [0]


def _budget() -> PodDisruptionBudget:
    return msgspec.convert(
        {
            "metadata": {"name": "b", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "x"}}},
            "status": {"disruptionsAllowed": 0, "disruptedPods": {"q": "2026-01-01T00:00:00Z"}},
        },
        PodDisruptionBudget,
    )


def _budgets_of(state: State) -> list[list[int]]:
    """The budgets that each pod is charged to."""
    ptr, item = state.world().pods.budget
    classes = state.pods.spec_class[: state.pods.count]
    return [item[ptr[one] : ptr[one + 1], 0].tolist() for one in classes]


def test_a_budget_that_comes_after_its_disrupted_pods_leaves_only_these_out() -> None:
    apps = {"p": "x", "q": "x", "r": "y"}
    pods = [pod_of(name, node="a", labels={"app": app}) for name, app in apps.items()]
    late = state_of([node_of("a")], pods)
    late._widen({"app"})  # the budget's selector reads nothing new
    late.world()
    late.load(ClusterObjects(pdbs=[_budget()]))
    assert _budgets_of(state_of([node_of("a")], pods, pdbs=[_budget()])) == [[0], [], []]
    assert _budgets_of(late) == [[0], [], []]


def test_a_namespace_that_comes_later_counts_in_namespace_selectors() -> None:
    term = {
        "labelSelector": {"matchLabels": {"app": "x"}},
        "namespaceSelector": {"matchLabels": {"env": "prod"}},
        "topologyKey": HOSTNAME,
    }
    state = state_of([node_of("a")], [pod_of("other", node="a", namespace="prod", labels={"app": "x"})])
    row = state.add_pod(pod_of("p", affinity={"podAntiAffinity": {HARD: [term]}}))
    engine = Engine(state, default_configuration(), compiled=False)
    assert verdicts(engine, row)[0]["a"] is None
    prod = msgspec.convert({"metadata": {"name": "prod", "labels": {"env": "prod"}}}, Namespace)
    state.load(ClusterObjects(namespaces=[prod]))
    told = verdicts(engine, row)[0]["a"]
    assert isinstance(told, tuple)
    assert told[0] == "InterPodAffinity"


def test_selectors_on_labels_that_nobody_read_before_see_the_pods_that_are_there() -> None:
    pods = [pod_of("x", node="a", labels={"tier": "x"}), pod_of("y", node="b", labels={"tier": "y"})]
    state = state_of([node_of("a"), node_of("b")], pods)
    state.world()
    assert state.pods.spec_class[0] == state.pods.spec_class[1]
    term = {"labelSelector": {"matchLabels": {"tier": "x"}}, "topologyKey": HOSTNAME}
    row = state.add_pod(pod_of("p", affinity={"podAntiAffinity": {HARD: [term]}}))
    assert state.pods.spec_class[0] != state.pods.spec_class[1]
    found = verdicts(Engine(state, default_configuration(), compiled=False), row)[0]
    assert isinstance(found["a"], tuple)
    assert found["b"] is None


def test_growth_beyond_every_capacity_keeps_what_was_counted() -> None:
    state = state_of([node_of("n0")], [pod_of("p0", node="n0")])
    state.world()
    for number in range(1, 40):
        state.add_node(node_of(f"n{number}"))
        state.add_pod(pod_of(f"p{number}", "250m", node=f"n{number}"))
        if number % 7 == 0:
            state.world()
    anew = state_of(
        [node_of(f"n{number}") for number in range(40)],
        [pod_of(f"p{number}", "250m" if number else "1", node=f"n{number}") for number in range(40)],
    )
    assert accounts(state) == accounts(anew)
    assert np.array_equal(state.world().nodes.pod_count[:40], np.ones(40))
