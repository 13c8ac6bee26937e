"""Many episodes in one call are as many environments, each on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kcore import Cluster, InputError
from kcore import gym as kcore_gym
from tests.gym.test_placement_env import ALL_TERMS, crowded

gymnasium = pytest.importorskip("gymnasium", reason="the extra gym is not installed")

pytestmark = pytest.mark.differential


def assert_equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def random_actions(env: Any, observation: dict[str, np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Nodes, one in ten of them any node at all; or weights."""
    if isinstance(env.single_action_space, gymnasium.spaces.Box):
        return random.random(env.action_space.shape).astype(np.float32)
    mask = observation["action_mask"]
    nodes = (random.random(mask.shape) * mask).argmax(axis=1)
    anywhere = random.random(len(nodes)) < 0.1
    return np.where(anywhere, random.integers(mask.shape[1], size=len(nodes)), nodes)


@pytest.mark.parametrize("action", ["node", "weights"])
@pytest.mark.parametrize("infeasible", ["end", "refuse"])
def test_steps_are_those_of_a_sync_vector_env(action: str, infeasible: str) -> None:
    options: dict[str, Any] = {
        "action": action, "infeasible": infeasible, "reward": ALL_TERMS, "order": "random", "max_steps": 17,
        "tie_break": "random",
    }  # fmt: skip
    cluster = Cluster.from_objects(crowded(pods=25))
    count = 3
    ours = kcore_gym.PlacementVectorEnv(cluster, count, **options)
    theirs = gymnasium.vector.SyncVectorEnv([lambda: kcore_gym.PlacementEnv(cluster, **options)] * count)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    observation, info = ours.reset(seed=5)
    other, other_info = theirs.reset(seed=5)
    random = np.random.default_rng(0)
    ends = 0
    for _ in range(60):
        assert_equal(observation, other)
        assert_equal(info, other_info)
        assert observation in ours.observation_space
        actions = random_actions(ours, observation, random)
        observation, *found, info = ours.step(actions)
        other, *expected, other_info = theirs.step(actions)
        for mine, yours in zip(found, expected, strict=True):
            np.testing.assert_array_equal(mine, yours)
        ends += int(found[1].sum() + found[2].sum())
    assert ends > count


@pytest.mark.slow  # it compiles for a minute and more
def test_compiled_and_interpreted_episodes_agree() -> None:
    options: dict[str, Any] = {"reward": ALL_TERMS, "order": "random", "action": "weights"}
    cluster = Cluster.from_objects(crowded(pods=20))
    first, second = (
        kcore_gym.PlacementVectorEnv(cluster, 4, compiled=compiled, **options) for compiled in (False, True)
    )
    observation, _ = first.reset(seed=1)
    other, _ = second.reset(seed=1)
    random = np.random.default_rng(2)
    for _ in range(25):
        assert_equal(observation, other)
        actions = random_actions(first, observation, random)
        observation, *found, _ = first.step(actions)
        other, *expected, _ = second.step(actions)
        for mine, yours in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine, yours, rtol=1e-12, atol=1e-12)


def _make() -> Any:
    return kcore_gym.PlacementEnv(crowded(pods=6), compiled=False)


def test_environments_run_in_processes_of_their_own() -> None:
    processes = gymnasium.vector.AsyncVectorEnv([_make, _make], context="spawn")
    try:
        observation, _ = processes.reset(seed=0)
        here = kcore_gym.PlacementVectorEnv(crowded(pods=6), 2)
        expected, _ = here.reset(seed=0)
        for _ in range(3):
            assert_equal(observation, expected)
            actions = observation["action_mask"].argmax(axis=1)
            observation, *_ = processes.step(actions)
            expected, *_ = here.step(actions)
    finally:
        processes.close()


def test_a_reward_function_is_called_for_each_episode() -> None:
    env = kcore_gym.PlacementVectorEnv(
        crowded(pods=6), 3, reward=lambda before, after, info: float(info["node"])
    )
    observation, _ = env.reset(seed=0)
    nodes = observation["action_mask"].argmax(axis=1)
    assert env.step(nodes)[1].tolist() == nodes.tolist()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match="num_envs: 0 episodes are none"):
        kcore_gym.PlacementVectorEnv(crowded(), 0)
    with pytest.raises(InputError, match="source: a factory makes a cluster for each episode"):
        kcore_gym.PlacementVectorEnv(crowded, 2)
    env = kcore_gym.PlacementVectorEnv(crowded(), 2)
    with pytest.raises(InputError, match="no episode is under way"):
        env.step(np.zeros(2, dtype=np.int64))
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"actions: actions have the shape \(3,\)"):
        env.step(np.zeros(3, dtype=np.int64))
    with pytest.raises(InputError, match="seed: 3 seeds for 2 episodes"):
        env.reset(seed=[1, 2, 3])
