"""Compile, or load from the cache, what a profile's cycles run, before the first of them."""

from __future__ import annotations

import numpy as np

from kcore.kernel import compile_for
from kcore.scheduler.accounts import account_many, bind
from kcore.scheduler.columns import Scratch, Settings
from kcore.scheduler.cycle import count_feasible, run_score, score_nodes, select_node
from kcore.scheduler.incremental.batch import Batch
from kcore.scheduler.plugins.gpu_share import promise_devices
from kcore.scheduler.plugins.gpu_share import reserve as reserve_devices
from kcore.scheduler.plugins.normalize import add_default_normalized, add_min_max_normalized
from kcore.scheduler.preemption import (
    dry_run,
    filter_cluster,
    fits_node,
    schedule_range,
    shift,
    sort_by_importance,
    violates_budget,
)
from kcore.scheduler.state import World
from kcore.scheduler.third_party import Extension, Host


def warm_profile(engine: Host, settings: Settings, extension: Extension, *, explain: bool) -> None:
    """Make every kernel ready that pods of the profile (and explanations of them) may need."""
    state = engine.state
    world = state.world()
    nodes, pods, demands, requests = world
    scratch = engine.scratch(world)
    none, counts = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64)
    common = (nodes, pods, demands, requests, settings)
    compile_for(schedule_range, *common, none, np.zeros(0), 0, 0, none, scratch, none, counts)
    compile_for(account_many, nodes, pods, requests, none, none, 1)
    Batch(state, world, scratch, engine.run, none, none).warm(settings)
    by_one = bool(extension or state.hosted)
    if settings.gpu[0]:
        compile_for(reserve_devices, nodes, pods, requests, settings, 0, 0, np.float64(0))
    if by_one or explain:
        compile_for(filter_cluster, *common, 0, none, scratch)
        compile_for(run_score, 0, 1, nodes, demands, requests, settings, 0, 0, scratch)
    if by_one:
        _warm_cycle(world, settings, scratch)
    if extension:
        extension.warm(0)
    if extension.filters or state.hosted:
        compile_for(fits_node, *common, 0, 0, none, True, scratch)
        compile_for(shift, nodes, pods, demands, requests, 0, 0, 0, 1, scratch)
        compile_for(promise_devices, nodes, requests, 0, 0)
        compile_for(sort_by_importance, pods, none, 0, 0)
        compile_for(violates_budget, pods, 0, counts)
    if not extension.filters:
        tail = (none, np.zeros(0, dtype=np.uint8), np.zeros((0, 2), dtype=np.int64), counts, counts)
        compile_for(dry_run, *common, 0, none, 0, none, counts, counts, scratch, *tail)


def _warm_cycle(world: World, settings: Settings, scratch: Scratch) -> None:
    """The kernels of a cycle that is put together in Python."""
    nodes, pods, demands, requests = world
    verdict, total = scratch.verdict, scratch.total
    compile_for(score_nodes, nodes, demands, requests, settings, 0, 0, scratch)
    compile_for(count_feasible, verdict, 0)
    compile_for(select_node, verdict, total, nodes.rank, np.float64(0), 0)
    compile_for(bind, nodes, pods, requests, 0, 0)
    compile_for(add_min_max_normalized, verdict, total, 1, 0, total)
    compile_for(add_default_normalized, verdict, total, True, 1, 0, total)
