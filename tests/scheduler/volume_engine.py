"""What the engine thinks of the pods of a scenario with volumes, node by node, in the form of the real plugins' answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from kcore.cluster import Cluster
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Engine
from kcore.scheduler.eviction import best_of
from kcore.scheduler.explain import explain
from kcore.scheduler.host import CycleError
from kcore.scheduler.post_filter import post_filter_message
from kcore.scheduler.profile import Profile

Object = dict[str, Any]


def verdicts(given: Object) -> list[Object]:
    """One answer for each of ``pods``; a pod that fits goes to the first node by name before the next is looked at."""
    cluster = Cluster.from_objects([*given["objects"], *given["pods"]])
    engine = cluster.engine()
    rows = np.array(
        [
            cluster.state.find_pod(pod["metadata"]["namespace"], pod["metadata"]["name"])
            for pod in given["pods"]
        ],
        dtype=np.int32,
    )
    engine.compile_demands(np.arange(cluster.state.pods.count, dtype=np.int32))
    told = []
    for row in rows.tolist():
        told.append(_verdict(engine, row))
        if "preempt" in told[-1]:
            break
    return told


def _verdict(engine: Engine, row: int) -> Object:
    state = engine.state
    profile = engine.profile_of(row)
    assert profile is not None
    told: Object = {"pod": state.pods.name(row)}
    try:
        found = explain(engine, row, profile)
    except CycleError as error:
        return {**told, "error": str(error)}
    if engine.cycle is not None and engine.cycle.turned is not None:
        plugin, code, reasons = engine.cycle.turned
        told["preFilter"] = {"plugin": plugin, "code": code, "reasons": list(reasons)}
        _preempt(engine, profile, row, told)
        return told
    names = state.nodes.name
    told["nodes"] = {
        names(slot): None if one is None else {"plugin": one.plugin, "code": one.code, "reasons": list(one.reasons)}
        for slot, one in found.rejections.items()
    }  # fmt: skip
    if found.feasible:
        slot = min(found.feasible, key=names)
        told["chosen"] = names(slot)
        engine.reserve_hosts(slot, 0, Decisions(np.zeros(1), np.zeros(1), np.zeros(1)))
        state.place(row, slot)
    else:
        engine.filter(profile, row)
        _preempt(engine, profile, row, told)
    return told


def _preempt(engine: Engine, profile: Profile, row: int, told: Object) -> None:
    """What PostFilter says; of several nodes that are equally good all."""
    found = engine.post_filter(profile, row, 0.0)
    if found is None or found.chosen is None:
        told["message"] = post_filter_message(profile, found, engine.cycle)
        return
    best = [one for one in found.candidates if best_of(engine.state, (found.chosen, one)) == found.chosen]
    equal = [one for one in best if best_of(engine.state, (one, found.chosen)) == one]
    told["preempt"] = sorted(engine.state.nodes.name(one.node) for one in equal)
