"""Steps a second of environments: one at a time, many in one call, and many in gymnasium's own vector environment.

A step is a whole one: filters of all nodes for the next pod, reward, fresh observation, info. Actions are made before the
clock starts where the environment allows it (weights), or are the first node of the mask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.figures import Figures, stopwatch
from kcore import Cluster

gymnasium = pytest.importorskip("gymnasium", reason="the extra gym is not installed")

from kcore.gym import PlacementEnv, PlacementVectorEnv  # noqa: E402

ROUNDS = 7
EPISODES = 64
SIZES = {100: 300, 1_000: 3_000}
"""Nodes and pods."""
STEPS = 200


def cluster_of(full: bool, nodes: int) -> Cluster:
    """The mixed cluster, tiny where only a test is asked for."""
    size = (nodes, SIZES[nodes]) if full else (5, 12)
    return Cluster.synthetic("heterogeneous", nodes=size[0], pods=size[1], seed=1)


def player(env: Any, batch: int) -> Callable[[int], int]:
    """A function that takes so many steps in ``env`` and returns how many pods have been placed by them."""
    weights = getattr(env, "default_action", None)
    by_weights = isinstance(env.action_space, gymnasium.spaces.Box)
    ready = np.repeat(weights[np.newaxis], batch, axis=0) if by_weights and batch else weights
    shown: dict[str, Any] = {"now": env.reset(seed=0)[0]}

    def play(steps: int) -> int:
        placed = 0
        for _ in range(steps):
            action = ready if by_weights else shown["now"]["action_mask"].argmax(axis=-1)
            shown["now"], reward, ended, _, _ = env.step(action)
            placed += int(np.sum(reward))
            if not batch and ended:
                shown["now"], _ = env.reset()
        return placed

    return play


@pytest.mark.parametrize("nodes", list(SIZES))
@pytest.mark.parametrize("action", ["node", "weights"])
def test_steps(benchmark: BenchmarkFixture, figures: Figures, full: bool, action: str, nodes: int) -> None:
    """One environment, and many in one call; every step places a pod, but those that begin an episode anew."""
    benchmark.group = f"gym: {action}"
    cluster = cluster_of(full, nodes)
    steps, episodes = (STEPS, EPISODES) if full else (3, 2)
    options: dict[str, Any] = {"action": action, "order": "random", "compiled": full}
    one = player(PlacementEnv(cluster, **options), 0)
    many = player(PlacementVectorEnv(cluster, episodes, **options), episodes)
    one(steps), many(steps)
    if not full:
        assert benchmark.pedantic(one, args=(2,)) == 2
        assert many(1) == episodes
        return
    seconds: dict[str, list[float]] = {"one": [], "many": []}

    def both() -> None:
        for name, play in (("one", one), ("many", many)):
            took, placed = stopwatch(play, steps)
            assert placed >= steps // 2
            seconds[name].append(took)

    benchmark.pedantic(both, rounds=ROUNDS)
    work = {"nodes": nodes, "pods": SIZES[nodes], "episodes": EPISODES}
    what = f"gym: {action}, {nodes:,} nodes"
    figures.rates(f"{what}, one episode", seconds["one"], steps, "steps/s", work={**work, "episodes": 1})
    figures.rates(f"{what}, {EPISODES} episodes", seconds["many"], steps * EPISODES, "steps/s", work=work)


def test_beside_sync_vector_env(benchmark: BenchmarkFixture, figures: Figures, full: bool) -> None:
    """The same episodes in one kernel call and in gymnasium's SyncVectorEnv, in turn."""
    benchmark.group = "gym: vector environments"
    cluster = cluster_of(full, 100)
    episodes, steps = (16, 50) if full else (2, 2)
    options: dict[str, Any] = {"order": "random", "compiled": full}
    ours = player(PlacementVectorEnv(cluster, episodes, **options), episodes)
    theirs = player(
        gymnasium.vector.SyncVectorEnv([lambda: PlacementEnv(cluster, **options)] * episodes), episodes
    )
    assert ours(steps) == theirs(steps)
    times: dict[str, list[float]] = {"ours": [], "theirs": []}

    def both() -> None:
        for name, play in (("ours", ours), ("theirs", theirs)):
            times[name].append(stopwatch(play, steps)[0])

    benchmark.pedantic(both, rounds=ROUNDS if full else 1)
    figures.ratio(
        "gym: SyncVectorEnv over one call", times["theirs"], times["ours"],
        work={"nodes": 100, "pods": 300, "episodes": episodes},
    )  # fmt: skip
    figures.rates("gym: SyncVectorEnv, 100 nodes", times["theirs"], steps * episodes, "steps/s")
