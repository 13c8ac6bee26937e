"""Two engines on equal clusters: one evaluates every node for every pod, the other decides incrementally."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import numpy as np

from kcore.scheduler.config import load_configuration
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Engine, Options
from tests.conformance.engine_scenario import load
from tests.naive.scenarios import random_scenario

Object = dict[str, Any]
COPIES_MAX = 12


class Race:
    """A random cluster twice, one for each engine, and the same history on both."""

    def __init__(self, seed: int, *, compiled: bool = False, **limits: int) -> None:
        self.random = Random(seed)
        self.compiled = compiled
        self.scenario = random_scenario(seed, **limits)
        self.scenario["pending"] = self._crowd(self.scenario["pending"])
        self.configuration = load_configuration(self.scenario.get("config"))
        self.states, rows = zip(*(load(self.scenario) for _ in range(2)), strict=True)
        self.waiting: list[int] = rows[0]
        forced = self.configuration.profiles[0] if self.random.random() < 0.5 else None
        self.engines = [
            Engine(state, self.configuration, compiled=compiled, forced=forced) for state in self.states
        ]

    def _crowd(self, pods: list[Object]) -> list[Object]:
        """Every pod several times, in turn or in a row, some with another priority."""
        crowd = []
        for pod in pods:
            for copy_index in range(self.random.randint(1, COPIES_MAX)):
                one = copy.deepcopy(pod)
                one["metadata"]["name"] += f"-{copy_index}"
                if self.random.random() < 0.1:
                    one["spec"]["priority"] = self.random.choice((0, 10, 1000))
                if one["spec"].get("priority") is None and self.random.random() < 0.05:
                    one["spec"]["priority"] = -5
                if self.random.random() < 0.9:
                    one.get("status", {}).pop("nominatedNodeName", None)
                crowd.append(one)
        if self.random.random() < 0.6:
            self.random.shuffle(crowd)
        return crowd

    def run(self, rounds: int = 3) -> list[str]:
        """Schedule and change both clusters in turn; what differs, in words."""
        differences: list[str] = []
        for number in range(rounds):
            size = self.random.randint(1, len(self.waiting)) if self.waiting else 0
            queue, self.waiting = self.waiting[:size], self.waiting[size:]
            differences += [f"round {number}: {text}" for text in self.schedule(queue)]
            if differences:
                break
            self.change()
        return differences

    def schedule(self, queue: list[int]) -> list[str]:
        """Both engines decide for the queue; what differs."""
        preemption = self.random.choice(("off", "nominate", "evict"))
        order = self.random.choice(("queue", "file"))
        seed = self.random.choice((None, self.random.randint(0, 1000)))
        # of rare shapes nothing is kept: their pods are decided by scans
        keep_min = self.random.choice((None, 4, 1000))
        found = []
        for engine, kind in zip(self.engines, ("full", "incremental"), strict=True):
            random = None if seed is None else np.random.default_rng(seed)
            options = Options(order, kind, random, preemption, keep_min=keep_min)
            found.append(engine.schedule(np.array(queue, dtype=np.int32), options))
        return self.compare(*found)

    def compare(self, full: Decisions, incremental: Decisions) -> list[str]:
        """Every part of the decisions and of the clusters afterwards that is not the same."""
        told = []
        for name in ("rows", "node", "score"):
            first, second = getattr(full, name), getattr(incremental, name)
            wrong = np.flatnonzero(first != second)[:3].tolist()
            told += [f"{name}[{one}]: full {first[one]}, incremental {second[one]}" for one in wrong]
        pairs = {
            name: (getattr(full, name), getattr(incremental, name))
            for name in ("reason", "untried", "denied", "preemptions")
        }
        pairs["nominated"] = tuple(state.nominated.tolist() for state in self.states)
        told += [f"{name}: full {one}, incremental {two}" for name, (one, two) in pairs.items() if one != two]
        worlds = [state.world() for state in self.states]
        told += [
            f"nodes.{name} differ afterwards"
            for name in ("requested", "nonzero", "pod_count", "ledger", "first_pod")
            if not np.array_equal(*(getattr(world.nodes, name) for world in worlds))
        ]
        return told

    def change(self) -> None:
        """Remove pods and a node, and add a node, on both clusters alike."""
        state = self.states[0]
        bound = np.flatnonzero((state.pods.node >= 0) & (state.pods.gone == 0)).tolist()
        gone = self.random.sample(bound, self.random.randint(0, len(bound) // 3))
        names = sorted(state.nodes.index)
        removed = self.random.choice(names) if len(names) > 1 and self.random.random() < 0.5 else None
        copied = self.random.choice(names) if self.random.random() < 0.5 else None
        for state in self.states:
            node = copy.deepcopy(state.nodes.nodes[state.nodes.index[copied]]) if copied else None
            for row in gone:
                state.remove_pod(row)
            if removed is not None:
                state.remove_node(removed)
            if node is not None:
                node.metadata.name += "-copy"
                if node.metadata.name not in state.nodes.index:
                    state.add_node(node)
