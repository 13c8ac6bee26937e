"""A profile as the numbers that kernels read, and the working memory of a cycle."""

from __future__ import annotations

import numpy as np

from kcore.api.errors import InputError
from kcore.scheduler import codes
from kcore.scheduler.columns import Scratch, Settings
from kcore.scheduler.nodes import NodeTable
from kcore.scheduler.plugins.contract import IN_TREE, OURS
from kcore.scheduler.plugins.node_resources import (
    LEAST_ALLOCATED,
    MOST_ALLOCATED,
    REQUESTED_TO_CAPACITY_RATIO,
)
from kcore.scheduler.plugins.policies import BY_NAME
from kcore.scheduler.plugins.policies.fgd import DEVICES, LEVEL_ROWS
from kcore.scheduler.plugins.policies.policy import TIGHTEST
from kcore.scheduler.profile import Profile, ResourceSpec
from kcore.scheduler.requests import is_extended, is_scalar
from kcore.scheduler.state import World
from kcore.scheduler.typical import NO_TYPICAL, Typical

PLUGINS = {plugin.name: plugin.number for plugin in (*IN_TREE, *OURS)}
"""Plugins with a kernel; the names of all others in a profile skip every pod."""

_STRATEGIES = {
    "LeastAllocated": LEAST_ALLOCATED,
    "MostAllocated": MOST_ALLOCATED,
    "RequestedToCapacityRatio": REQUESTED_TO_CAPACITY_RATIO,
}
_NEED_PRE_FILTER = (
    "NodePorts", "NodeResourcesFit", "VolumeRestrictions", "VolumeBinding", "PodTopologySpread", "InterPodAffinity",
)  # fmt: skip
_NEED_PRE_SCORE = ("TaintToleration", "PodTopologySpread", "InterPodAffinity")


def profile_settings(profile: Profile, nodes: NodeTable, typical: Typical = NO_TYPICAL) -> Settings:
    """The numbers of a profile; resources that only its strategies name get their rows here.

    ``typical`` are the pods by which ``fgd`` judges fragments.

    Raises:
        InputError: a plugin filters or scores but the extension point that prepares it is disabled.
    """
    _check_points(profile)
    filters = [PLUGINS[name] for name in profile.filters if name in PLUGINS]
    scores = [
        (PLUGINS[name], weight)
        for name, weight in zip(profile.scores, profile.weights, strict=True)
        if name in PLUGINS
    ]
    strategy = profile.fit.scoring_strategy
    fit_resources = _resources(strategy.resources, nodes)
    balanced = _resources(profile.balanced.resources, nodes)
    shape = [(utilization, score * 10) for utilization, score in strategy.shape]
    ignored = np.zeros(len(nodes.resources), dtype=np.uint8)
    for row, name in enumerate(nodes.resources.values):
        group = name.split("/")[0]
        if is_extended(name) and (
            name in profile.fit.ignored_resources or group in profile.fit.ignored_resource_groups
        ):
            ignored[row] = 1
    return Settings(
        np.array(filters, dtype=np.int64),
        np.array([plugin for plugin, _ in scores], dtype=np.int64),
        np.array([weight for _, weight in scores], dtype=np.int64),
        np.array([_STRATEGIES[strategy.type]], dtype=np.int64),
        fit_resources,
        np.array(shape, dtype=np.int64).reshape(len(shape), 2),
        ignored,
        balanced,
        _gpu(profile),
        *typical.columns(nodes.gpu_models.values),
        *_fragments(typical, nodes),
    )


def fits(settings: Settings, nodes: NodeTable) -> bool:
    """Whether the settings are still right for the node table, which may have grown."""
    if len(settings.fit_ignored) != len(nodes.resources):
        return False
    if not len(settings.typical):
        return True
    return settings.fragments_of.shape == (
        nodes.capacity,
        DEVICES + nodes.gpu_left.shape[0],
    ) and settings.typical_allows.shape[1] == 1 + len(nodes.gpu_models)


def shares_gpus(profile: Profile) -> bool:
    """Whether pods of the profile share GPU devices."""
    return "GpuShare" in profile.filters


def _gpu(profile: Profile) -> np.ndarray:
    """``Settings.gpu``: devices are chosen as the policy with the largest weight says, the first of equal ones."""
    method, most = TIGHTEST, 0
    for name, weight in zip(profile.scores, profile.weights, strict=True):
        if name in BY_NAME and weight > most:
            method, most = BY_NAME[name].devices, weight
    return np.array([int(shares_gpus(profile)), method], dtype=np.int64)


def _fragments(typical: Typical, nodes: NodeTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The memory of ``fgd``: nothing is known yet."""
    slots = nodes.capacity if len(typical.share) else 0
    devices = nodes.gpu_left.shape[0]
    return (
        np.zeros(slots, dtype=np.float64),
        np.full((slots, DEVICES + devices), -1, dtype=np.int64),
        np.zeros((slots, LEVEL_ROWS, len(typical.milli)), dtype=np.int64),
    )


def _check_points(profile: Profile) -> None:
    for needed, used, before, after in (
        (_NEED_PRE_FILTER, profile.filters, profile.pre_filters, "preFilter"),
        (_NEED_PRE_SCORE, profile.scores, profile.pre_scores, "preScore"),
    ):
        for name in needed:
            if name in used and name not in before:
                raise InputError(
                    f"{name} is enabled without its {after}, so that every pod would fail",
                    field=f"profiles[schedulerName={profile.scheduler_name}].plugins.{after}.disabled",
                    expected=f"{name} enabled at {after} as well, or disabled at both",
                )


def _resources(specs: tuple[ResourceSpec, ...], nodes: NodeTable) -> np.ndarray:
    rows = [
        (nodes.resource_row(spec.name), spec.weight, int(is_scalar(spec.name)))
        for spec in specs
        if spec.name in nodes.resources.index or is_scalar(spec.name)
    ]
    return np.array(rows, dtype=np.int64).reshape(len(rows), 3)


def make_scratch(world: World) -> Scratch:
    """Working memory that is large enough for every demand of the world."""
    slots = world.nodes.alive.shape[0]
    domains = int(world.nodes.domain_count.max(initial=0)) + 1
    demands = world.demands

    def counts(ragged_ptr: np.ndarray) -> np.ndarray:
        rows = int(np.diff(ragged_ptr).max(initial=0))
        return np.zeros((rows, domains), dtype=np.int64)

    hard = int(np.diff(demands.spread_hard.ptr).max(initial=0))
    return Scratch(
        verdict=np.zeros(slots, dtype=np.uint8),
        detail=np.zeros(slots, dtype=np.int64),
        selected=np.zeros(slots, dtype=np.uint8),
        raw=np.zeros(slots, dtype=np.int64),
        total=np.zeros(slots, dtype=np.int64),
        number=np.zeros((2, max(slots, codes.RESOURCES_MAX)), dtype=np.float64),
        spread=np.zeros((hard, domains), dtype=np.int64),
        spread_least=np.zeros((hard, 4), dtype=np.int64),
        spread_eligible=np.zeros((hard, slots), dtype=np.uint8),
        complete=np.zeros(slots, dtype=np.uint8),
        admitted=np.zeros(slots, dtype=np.uint8),
        soft=counts(demands.spread_soft.ptr),
        soft_present=counts(demands.spread_soft.ptr).astype(np.uint8),
        affinity=counts(demands.affinity.ptr),
        anti_affinity=counts(demands.anti_affinity.ptr),
        existing_anti_affinity=counts(demands.existing_anti_affinity.ptr),
        preference=counts(demands.pod_preference.ptr),
        column=np.zeros((2, max(world.nodes.ledger.shape[0], 1)), dtype=np.int32),
        flag=np.zeros(8, dtype=np.int64),
        gpu_left=np.zeros(world.nodes.gpu_left.shape[0], dtype=np.int64),
    )
