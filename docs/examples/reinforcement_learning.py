"""Train a policy by REINFORCE, in NumPy alone, and see that it beats placing at random.

A node gets a preference that is linear in a few features of it (what would be left, how well it suits the pod); the policy
draws among the nodes that the mask allows in proportion to their exponentials. Many episodes are stepped together.

    python docs/examples/reinforcement_learning.py --updates 60
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import kcore

FEATURES = ("free after", "aligned", "uneven after", "in use")


def workload(nodes: int, pods: int, seed: int) -> list[dict[str, Any]]:
    """Nodes of three shapes, and more pods than fit: for CPU, for memory, and large ones that come last."""
    random = np.random.default_rng(seed)
    shapes = [("8", "16Gi"), ("8", "64Gi"), ("16", "32Gi")]
    objects: list[dict[str, Any]] = []
    for number in range(nodes):
        cpu, memory = shapes[number % 3]
        allocatable = {"cpu": cpu, "memory": memory, "pods": "110"}
        objects.append(
            {
                "kind": "Node",
                "metadata": {"name": f"node-{number:02d}"},
                "status": {"allocatable": allocatable},
            }
        )
    kinds = [("2", "1Gi"), ("500m", "8Gi"), ("1", "3Gi")]
    for number in range(pods):
        cpu, memory = ("6", "12Gi") if number >= pods * 4 // 5 else kinds[random.integers(3)]
        container = {
            "name": "main",
            "image": "main",
            "resources": {"requests": {"cpu": cpu, "memory": memory}},
        }
        objects.append(
            {"kind": "Pod", "metadata": {"name": f"pod-{number:03d}"}, "spec": {"containers": [container]}}
        )
    return [{"apiVersion": "v1", **one} for one in objects]


def features(observation: dict[str, np.ndarray]) -> np.ndarray:
    """``float64[episode, node, feature]``."""
    size = np.maximum(observation["allocatable"], 1e-9).astype(np.float64)
    pod = observation["pod"][:, :, np.newaxis] / size
    left = 1 - observation["requested"] / size
    after = left - pod
    aligned = (pod * left).sum(axis=1) / np.sqrt((pod**2).sum(axis=1) * (left**2).sum(axis=1) + 1e-9)
    in_use = (observation["requested"][:, -1] > 0).astype(np.float64)
    return np.stack([after[:, :-1].mean(axis=1), aligned, after[:, :-1].std(axis=1), in_use], axis=-1)


def probabilities(weights: np.ndarray, shown: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``float64[episode, node]``: softmax of the preferences over the nodes of the mask."""
    preference = np.where(mask > 0, shown @ weights, -np.inf)
    # an episode that has ended has no node in its mask; whatever it does does not count
    preference[~mask.any(axis=1)] = 0.0
    preference = np.exp(preference - preference.max(axis=1, keepdims=True))
    return preference / preference.sum(axis=1, keepdims=True)


def play(
    env: Any, weights: np.ndarray, random: np.random.Generator, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """One episode in each environment; return its reward and the sum of its gradients of log probability."""
    observation, _ = env.reset(seed=seed)
    count = env.num_envs
    total, gradient = np.zeros(count), np.zeros((count, len(weights)))
    alive = np.ones(count, dtype=bool)
    while alive.any():
        shown, mask = features(observation), observation["action_mask"]
        chance = probabilities(weights, shown, mask)
        action = (chance.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
        expected = (chance[:, :, np.newaxis] * shown).sum(axis=1)
        gradient += alive[:, np.newaxis] * (shown[np.arange(count), action] - expected)
        observation, reward, ended, cut, _ = env.step(action)
        total += alive * reward
        alive &= ~(ended | cut)
    return total, gradient


def main() -> None:
    """Train, and print the mean reward of the policy before and after; fail if training did not help."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=9)
    parser.add_argument("--pods", type=int, default=60)
    parser.add_argument("--episodes", type=int, default=32, help="stepped together")
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--rate", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    objects = workload(given.nodes, given.pods, given.seed)
    env = kcore.gym.PlacementVectorEnv(objects, given.episodes, reward="utilisation")
    random = np.random.default_rng(given.seed)
    weights = np.zeros(len(FEATURES))
    untrained = play(env, weights, random, given.seed)[0].mean()
    for update in range(given.updates):
        total, gradient = play(env, weights, random, given.seed)
        advantage = (total - total.mean()) / (total.std() + 1e-9)
        weights += given.rate * (advantage[:, np.newaxis] * gradient).mean(axis=0)
        if (update + 1) % 20 == 0:
            print(f"update {update + 1:3}: mean reward {total.mean():.4f}")
    trained = play(env, weights, random, given.seed)[0].mean()
    print(
        "weights:", ", ".join(f"{name} {value:+.2f}" for name, value in zip(FEATURES, weights, strict=True))
    )
    print(f"part of the cluster in use: at random {untrained:.4f}, trained {trained:.4f}")
    if trained <= untrained:
        raise SystemExit("training did not help")


if __name__ == "__main__":
    main()
