"""An environment's mask, placements and rewards are the engine's; gymnasium's checker has nothing to say."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest

from kcore import Cluster, InputError
from kcore import gym as kcore_gym
from tests.naive.placement_env import NaiveEpisode
from tests.scheduler.cluster_objects import node_dict, pod_dict

gymnasium = pytest.importorskip("gymnasium", reason="the extra gym is not installed")

pytestmark = pytest.mark.differential

PORT = {"port": 8080}
ALL_TERMS = {
    "placed": 1.0, "unschedulable": 0.5, "utilisation": 2.0, "balance": 0.25, "fragmentation": 0.75, "nodes_used": 0.125
}  # fmt: skip


def crowded(seed: int = 0, nodes: int = 5, pods: int = 30) -> list[dict[str, Any]]:
    """Nodes of two zones, one cordoned, one with pods; pods that ask for ports, spreading and distance, too many."""
    random = np.random.default_rng(seed)
    objects: list[dict[str, Any]] = []
    for number in range(nodes):
        labels = {"topology.kubernetes.io/zone": f"zone-{number % 2}"}
        spec = {"unschedulable": True} if number == nodes - 1 else {}
        cpu = str(int(random.integers(2, 9)))
        objects.append(node_dict(f"node-{number}", cpu, "8Gi", "8", labels=labels, spec=spec))
    objects.append(pod_dict("there", "1", node="node-0", labels={"app": "a"}))
    selector = {"labelSelector": {"matchLabels": {"app": "a"}}}
    away = {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {**selector, "topologyKey": "kubernetes.io/hostname"}
        ]
    }
    spread = {
        **selector,
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
    }
    for number in range(pods):
        requests = {
            "cpu": f"{int(random.integers(1, 12)) * 250}m",
            "memory": f"{int(random.integers(1, 9)) * 256}Mi",
        }
        kind = number % 5
        extra: dict[str, Any] = {"labels": {"app": "a"}} if kind in (1, 2) else {}
        if kind == 1:
            extra["affinity"] = {"podAntiAffinity": away}
        if kind == 2:
            extra["topologySpreadConstraints"] = [spread]
        if kind == 3:
            extra |= PORT
        objects.append(
            pod_dict(f"pod-{number}", requests=requests, priority=int(random.integers(0, 2)), **extra)
        )
    return objects


def random_action(env: Any, observation: dict[str, np.ndarray], random: np.random.Generator) -> Any:
    """A node of the mask, or any weights."""
    if isinstance(env.action_space, gymnasium.spaces.Discrete):
        allowed = np.flatnonzero(observation["action_mask"])
        return int(random.choice(allowed)) if len(allowed) else 0
    return random.random(env.action_space.shape).astype(np.float32)


@pytest.mark.parametrize("action", ["node", "weights"])
@pytest.mark.parametrize("order", ["queue", "random"])
def test_gymnasiums_checker_is_content(action: str, order: str) -> None:
    from gymnasium.utils.env_checker import check_env

    env = kcore_gym.PlacementEnv(Cluster.from_objects(crowded()), action=action, order=order)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", message=".*alternative render modes.*")
        check_env(env)


@pytest.mark.parametrize("seed", range(4))
def test_mask_and_rewards_are_those_of_the_slow_episode(seed: int) -> None:
    cluster = Cluster.from_objects(crowded(seed))
    env = kcore_gym.PlacementEnv(cluster, reward=ALL_TERMS)
    twin_cluster = Cluster.from_objects(crowded(seed))
    twin = NaiveEpisode(twin_cluster, twin_cluster.pending_rows().tolist(), ALL_TERMS)
    observation, info = env.reset(seed=seed)
    random = np.random.default_rng(seed)
    ended = False
    while not ended:
        assert observation["action_mask"].tolist() == twin.mask()
        assert (info["position"], info["unschedulable"]) == (twin.turn, twin.passed)
        node = random_action(env, observation, random)
        observation, reward, ended, _, info = env.step(node)
        assert reward == pytest.approx(twin.step(node), abs=1e-12)
        nodes = twin_cluster.state.nodes
        for index, name in enumerate(env.resources[:-1]):
            used = nodes.requested[nodes.resources.index[name]][twin.slots] / env.scale[index]
            np.testing.assert_array_equal(observation["requested"][index], used.astype(np.float32))
        used = nodes.pod_count[twin.slots] / env.scale[-1]
        np.testing.assert_array_equal(observation["requested"][-1], used.astype(np.float32))
    assert twin.turn == env.pods
    assert info["placed"] + info["unschedulable"] == env.pods
    assert info["unschedulable"] > 0, "the case is meant to be crowded"


@pytest.mark.parametrize("seed", range(3))
def test_default_weights_decide_as_cluster_schedule(seed: int) -> None:
    env = kcore_gym.PlacementEnv(Cluster.from_objects(crowded(seed)), action="weights")
    env.reset(seed=seed)
    ended = False
    while not ended:
        _, _, ended, _, _ = env.step(env.default_action)
    result = Cluster.from_objects(crowded(seed)).schedule(preemption="off")
    placed = {f"{row['namespace']}/{row['name']}": row["node"] for row in result.placements.to_pylist()}
    assert env.placements() == placed


def test_nominated_nodes_are_kept_free_until_their_pod_comes() -> None:
    objects = [
        node_dict("a", "2"),
        pod_dict("promised", "2", priority=5, status={"nominatedNodeName": "a"}),
        pod_dict("other", "2", priority=5),
    ]
    objects[1]["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    env = kcore_gym.PlacementEnv(Cluster.from_objects(objects[:1] + objects[2:] + objects[1:2]), order="file")
    _, info = env.reset(seed=0)
    assert (env.pod, info["unschedulable"]) == ("default/promised", 1)
    _, _, ended, _, _ = env.step(0)
    assert ended
    assert env.placements() == {"default/other": None, "default/promised": "a"}


def test_episodes_repeat_and_leave_the_cluster_alone() -> None:
    cluster = Cluster.from_objects(crowded())
    before = cluster.nodes_table()
    env = kcore_gym.PlacementEnv(cluster, order="random", tie_break="random", action="weights")

    def episode(seed: int | None) -> list[tuple[Any, float]]:
        random = np.random.default_rng(1)
        observation, _ = env.reset(seed=seed)
        ended, seen = False, []
        while not ended:
            observation, reward, ended, _, _ = env.step(random_action(env, observation, random))
            seen.append((observation["requested"].tobytes(), reward))
        return seen

    first, other, again = episode(3), episode(None), episode(3)
    assert first == again
    assert first != other
    assert cluster.nodes_table().equals(before)
    assert cluster.pending == env.pods


def test_another_run_over_the_cluster_is_not_noticed() -> None:
    cluster = Cluster.from_objects(crowded())
    env = kcore_gym.PlacementEnv(cluster)
    first, _ = env.reset(seed=0)
    cluster.schedule(preemption="off")
    second, _ = env.reset(seed=0)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("infeasible", ["end", "refuse"])
def test_a_node_that_the_mask_forbids(infeasible: str) -> None:
    objects = [node_dict("a", "1"), node_dict("b", "4"), pod_dict("p", "2"), pod_dict("q", "2")]
    env = kcore_gym.PlacementEnv(Cluster.from_objects(objects), infeasible=infeasible, penalty=-7.0)
    before, _ = env.reset(seed=0)
    assert before["action_mask"].tolist() == [0, 1]
    after, reward, ended, _, info = env.step(0)
    assert (reward, ended, info["infeasible"], info["node"]) == (-7.0, infeasible == "end", True, -1)
    np.testing.assert_array_equal(before["requested"], after["requested"])
    if infeasible == "end":
        with pytest.raises(InputError, match="no episode is under way"):
            env.step(1)
    else:
        _, reward, ended, _, info = env.step(1)
        assert (reward, ended, info["infeasible"], info["node"]) == (1.0, False, False, 1)


def test_an_episode_is_truncated_after_max_steps() -> None:
    env = kcore_gym.PlacementEnv(Cluster.from_objects(crowded()), max_steps=3, action="weights")
    env.reset(seed=0)
    ends = [env.step(env.default_action)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


def test_when_nothing_fits_the_first_step_ends_it() -> None:
    env = kcore_gym.PlacementEnv([node_dict("a", "1"), pod_dict("p", "2")])
    observation, info = env.reset(seed=0)
    assert (observation["action_mask"].tolist(), info["unschedulable"], env.pod) == ([0], 1, None)
    _, reward, ended, _, info = env.step(0)
    assert (reward, ended, info["infeasible"]) == (0.0, True, False)


def test_a_reward_function_sees_before_and_after() -> None:
    seen = []

    def reward(before: Any, after: Any, info: dict[str, Any]) -> float:
        seen.append((before, after, info))
        return float((after.requested - before.requested)[0].sum())

    objects = [node_dict("a", "4"), node_dict("b", "4"), pod_dict("p", "2"), pod_dict("q", "1")]
    env = kcore_gym.PlacementEnv(objects, reward=reward)
    env.reset(seed=0)
    assert [env.step(1)[1], env.step(0)[1]] == [2000.0, 1000.0]
    assert [info["node"] for _, _, info in seen] == [1, 0]
    assert seen[1][1].pod_count.tolist() == [1, 1]
    assert seen[0][0].allocatable[0].tolist() == [4000, 4000]


def test_a_factory_makes_a_cluster_for_every_episode() -> None:
    def cluster(seed: int) -> list[dict[str, Any]]:
        return crowded(seed, pods=10)

    env = kcore_gym.PlacementEnv(cluster, reward="utilisation")
    first, _ = env.reset(seed=1)
    second, _ = env.reset()
    again, _ = env.reset(seed=1)
    assert not np.array_equal(first["allocatable"], second["allocatable"])
    np.testing.assert_array_equal(first["allocatable"], again["allocatable"])
    uneven = kcore_gym.PlacementEnv(lambda seed: crowded(seed, nodes=5 + (seed > 0), pods=4))
    with pytest.raises(InputError, match=r"source: the factory's cluster of seed \d+ has 6 nodes"):
        uneven.reset(seed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action": "pod"}, "action: 'pod' is not a choice"),
        ({"order": "age"}, "order: 'age' is not a choice"),
        ({"infeasible": "ignore"}, "infeasible: 'ignore' is not a choice"),
        ({"max_steps": 0}, "max_steps: 0 steps are none"),
        ({"reward": "speed"}, "reward: there is no reward 'speed' .expected one of placed"),
        ({"reward": {"placed": "1"}}, r"reward\[placed\]: '1' is not a number"),
        ({"reward": 3}, "reward: 3 is no reward"),
        ({"profile": "other"}, "profile: no profile is named 'other'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kcore_gym.PlacementEnv(crowded(), **arguments)


def test_wrong_actions_are_named() -> None:
    env = kcore_gym.PlacementEnv(crowded())
    with pytest.raises(InputError, match="no episode is under way"):
        env.step(0)
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"action: 5 is no node \(expected 0 to 4\)"):
        env.step(5)
    weights = kcore_gym.PlacementEnv(crowded(), action="weights")
    weights.reset(seed=0)
    with pytest.raises(InputError, match="a weight is outside its range"):
        weights.step(weights.default_action + 1)


def test_a_cluster_without_pods_to_place() -> None:
    with pytest.raises(InputError, match="there is no pod to place: every pod has a node"):
        kcore_gym.PlacementEnv([node_dict("a")])


def test_without_gymnasium_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("kcore.gym.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(vars(kcore_gym), "PlacementEnv", raising=False)
    with pytest.raises(
        InputError, match=r"kcore.gym.PlacementEnv: gymnasium is not installed .*kcore\[gym\]"
    ):
        _ = kcore_gym.PlacementEnv


def test_every_column_of_a_node_is_shared_or_copied() -> None:
    # a new column must be given a place in stepping.nodes_of: shared, or copied for each episode
    from kcore.gym.stepping import Copies
    from kcore.scheduler.columns import NodeColumns

    copied = set(NodeColumns._fields) & set(Copies._fields)
    shared = {
        "slots", "alive", "unschedulable", "rank", "taint_set", "allocatable", "pods_allowed", "label", "domain",
        "domain_count", "image", "image_most", "first_pod", "number", "is_number",
        "paired", "gpu_left", "gpu_count", "gpu_model", "gpu_kind", "gpu_largest",
    }  # fmt: skip
    assert copied | shared == set(NodeColumns._fields)
    assert copied == {"requested", "nonzero", "pair", "pod_count", "ledger"}
