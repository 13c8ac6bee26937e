"""The best placement by trying them all: every pod on every node that lets it in, or nowhere.

The twin of ``kcore.sim.optimum`` for a handful of pods.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kcore import Cluster
from kcore.scheduler.accounts import unbind


class Best(NamedTuple):
    """The best of each objective."""

    placed: int
    nodes_used: int
    cpu: int


def best_placements(cluster: Cluster) -> Best:
    """The best of all placements that the engine's filters let through, one pod after another."""
    engine, state = cluster.engine(), cluster.state
    profile = engine.configuration.profiles[0]
    rows = cluster.pending_rows().tolist()
    engine.compile_demands(np.array(rows, dtype=np.int32))
    world = state.world()
    asked = [int(world.requests.amount[world.pods.request[row], 0]) for row in rows]

    def endings(turn: int) -> Iterator[tuple[int, int, int]]:
        if turn == len(rows):
            on_nodes = [one for one in range(len(rows)) if state.pods.node[rows[one]] >= 0]
            yield len(on_nodes), int((state.nodes.pod_count > 0).sum()), sum(asked[one] for one in on_nodes)
            return
        yield from endings(turn + 1)
        engine.filter(profile, rows[turn])
        verdict = engine.scratch(state.world()).verdict
        for slot in [slot for slot in sorted(state.nodes.index.values()) if verdict[slot] == 0]:
            state.place(rows[turn], slot)
            yield from endings(turn + 1)
            unbind(world.nodes, world.pods, world.requests, rows[turn])

    found = list(endings(0))
    placed = max(one[0] for one in found)
    return Best(placed, min(one[1] for one in found if one[0] == placed), max(one[2] for one in found))


def fits_on_devices(parts: list[int], wholes: int, count: int) -> bool:
    """Whether parts of devices and so many whole ones fit on ``count`` devices of 1,000, by trying all."""
    if wholes > count:
        return False

    def place(turn: int, left: tuple[int, ...]) -> bool:
        if turn == len(parts):
            return True
        return any(
            place(turn + 1, (*left[:one], left[one] - parts[turn], *left[one + 1 :]))
            for one in range(len(left))
            if left[one] >= parts[turn]
        )

    return place(0, (1000,) * (count - wholes))


def most_on_devices(asked: list[int], devices: list[int]) -> int:
    """The most pods that nodes with so many devices can take, by trying all."""
    best = 0

    def place(turn: int, on: list[list[int]], placed: int) -> None:
        nonlocal best
        best = max(best, placed)
        if turn == len(asked):
            return
        place(turn + 1, on, placed)
        for node, count in enumerate(devices):
            on[node].append(asked[turn])
            parts = [one for one in on[node] if one < 1000]
            if fits_on_devices(parts, sum(one // 1000 for one in on[node] if one >= 1000), count):
                place(turn + 1, on, placed + 1)
            on[node].pop()

    place(0, [[] for _ in devices], 0)
    return best
