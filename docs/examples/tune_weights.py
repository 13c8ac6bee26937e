"""Tune the weights of kube-scheduler's score plugins by random search: every episode tries weights of its own.

python docs/examples/tune_weights.py --nodes 40 --pods 300 --trials 64
"""

from __future__ import annotations

import argparse

import numpy as np

import kcore


def main() -> None:
    """Search, and print the best weights beside the default ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=40)
    parser.add_argument("--pods", type=int, default=300)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--seed", type=int, default=2)
    given = parser.parse_args()
    cluster = kcore.Cluster.synthetic(
        "heterogeneous", nodes=given.nodes, pods=given.pods, seed=given.seed, fill=1.3
    )
    env = kcore.gym.PlacementVectorEnv(cluster, given.trials, action="weights", reward="placed")
    random = np.random.default_rng(given.seed)
    weights = random.random((given.trials, len(env.score_plugins)), dtype=np.float32)
    weights[0] = env.default_action  # the first trial is kube-scheduler itself
    env.reset(seed=given.seed)
    placed = np.zeros(given.trials)
    alive = np.ones(given.trials, dtype=bool)
    while alive.any():
        _, reward, ended, _, _ = env.step(weights)
        placed += alive * reward
        alive &= ~ended
    best = int(placed.argmax())
    print(
        f"default weights place {placed[0]:.0f} of {given.pods} pods, the best of {given.trials} {placed[best]:.0f}"
    )
    for plugin, default, found in zip(env.score_plugins, weights[0], weights[best], strict=True):
        print(f"  {plugin:32} {100 * default:5.0f} {100 * found:5.0f}")


if __name__ == "__main__":
    main()
