"""One pod explained: for every node the first plugin that rejected it, or what every plugin scored it.

The same kernels as in a run are asked, one score plugin at a time, so an explanation cannot disagree with a
decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kcore.scheduler.cycle import run_score
from kcore.scheduler.engine import Engine
from kcore.scheduler.plugins.policies import BY_NAME
from kcore.scheduler.profile import Profile
from kcore.scheduler.reasons import Rejection, rejection
from kcore.scheduler.settings import PLUGINS

ALWAYS_LISTED = ("DynamicResources",)
"""Score plugins without PreScore, and without anything to say of pods without devices: they score 0."""


@dataclass(slots=True)
class PluginScore:
    """Raw and normalized (0..100) scores of one plugin, by node slot; meaningless where infeasible."""

    weight: int
    raw: np.ndarray
    normalized: np.ndarray


@dataclass(slots=True)
class Explanation:
    """Everything that decided about one pod in the present state."""

    rejections: dict[int, Rejection | None]
    """Node slot to its rejection, None where the node is feasible."""
    scores: dict[str, PluginScore]
    """By plugin, in the profile's order; skipped plugins are missing."""
    skipped: list[str]
    total: np.ndarray

    @property
    def feasible(self) -> list[int]:
        """The slots of the feasible nodes."""
        return [slot for slot, found in self.rejections.items() if found is None]

    def to_dict(self, namespace: str, name: str, node_names: dict[int, str]) -> dict[str, Any]:
        """The explanation as ``-o json`` prints it."""
        order = sorted(self.rejections, key=node_names.__getitem__)
        filtered = {
            node_names[slot]: None if (found := self.rejections[slot]) is None else {
                "plugin": found.plugin, "reasons": list(found.reasons)
            }
            for slot in order
        }  # fmt: skip
        scored: dict[str, dict[str, Any]] = {}
        for slot in order:
            if self.rejections[slot] is not None:
                continue
            entry: dict[str, Any] = {}
            for plugin, score in self.scores.items():
                normalized = int(score.normalized[slot])
                entry[plugin] = {
                    "raw": int(score.raw[slot]), "normalized": normalized, "weighted": normalized * score.weight
                }  # fmt: skip
            entry["total"] = int(self.total[slot])
            scored[node_names[slot]] = entry
        return {"namespace": namespace, "name": name, "filter": filtered, "score": scored}


def explain(engine: Engine, row: int, profile: Profile) -> Explanation:
    """Evaluate a pending pod in the present state without placing it (its demand must be compiled)."""
    state = engine.state
    world = state.world()
    scratch = engine.scratch(world)
    settings = engine.settings(profile)
    slots = int(world.nodes.slots[0])
    engine.filter(profile, row)
    extension, words = engine.extension(profile), engine.rejections(profile)
    names = state.nodes.resources.values
    rejections: dict[int, Rejection | None] = {}
    for slot in state.nodes.index.values():
        verdict = int(scratch.verdict[slot])
        rejections[slot] = None
        if verdict:
            rejections[slot] = rejection(verdict, int(scratch.detail[slot]), names, words)
    scores: dict[str, PluginScore] = {}
    skipped: list[str] = []
    total = np.zeros(slots, dtype=np.int64)
    feasible = np.array([slot for slot, found in rejections.items() if found is None], dtype=np.int64)
    demand, request = int(world.pods.demand[row]), int(world.pods.request[row])
    for name, weight in zip(profile.scores, profile.weights, strict=True):
        hosted = None if engine.cycle is None else engine.cycle.score(name, feasible)
        if hosted is not None:
            raw, normalized = (np.zeros(slots, dtype=np.int64) for _ in range(2))
            raw[feasible], normalized[feasible] = hosted
            scores[name] = PluginScore(weight, raw, normalized)
            total += weight * normalized
            continue
        if name in ALWAYS_LISTED:
            zeros = np.zeros(slots, dtype=np.int64)
            scores[name] = PluginScore(weight, zeros, zeros)
            continue
        scratch.total[:] = 0
        scratch.raw[:] = 0
        own = next((plugin for plugin, _ in extension.scores if plugin.name == name), None)
        if own is not None:
            raw = extension.add_score(own, 1, row, scratch)
            scores[name] = PluginScore(weight, raw, scratch.total[:slots].copy())
            total += weight * scores[name].normalized
            continue
        if name not in PLUGINS:
            skipped.append(name)
            continue
        ran = engine.run(run_score)(
            PLUGINS[name], 1, world.nodes, world.demands, world.requests, settings, demand, request, scratch
        )
        if not ran:
            skipped.append(name)
            continue
        normalized = scratch.total[:slots].copy()
        raw = normalized if name in _UNNORMALIZED else np.maximum(scratch.raw[:slots], _floor(name))
        scores[name] = PluginScore(weight, raw.copy(), normalized)
        total += weight * normalized
    return Explanation(rejections, scores, skipped, total)


_UNNORMALIZED = ("NodeResourcesFit", "NodeResourcesBalancedAllocation", "ImageLocality", *BY_NAME)


def _floor(name: str) -> int:
    # soft spreading marks nodes that it ignores with -1; upstream's raw score of those is 0
    return 0 if name == "PodTopologySpread" else -(2**62)
