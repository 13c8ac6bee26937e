"""Which plugins Kubernetes 1.36 has, which run by default, and how a profile's lists become one list a point.

:mod:`kcore.scheduler.config` brings a profile's plugin sets; the expanded lists go into a Profile.
Source: pkg/scheduler/framework/plugins (registry.go and the interfaces that each plugin implements),
apis/config/v1/default_plugins.go, framework/runtime/framework.go (expandMultiPointPlugins, getValidScoreWeights).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

EXTENSION_POINTS = (
    "preEnqueue",
    "queueSort",
    "preFilter",
    "filter",
    "postFilter",
    "preScore",
    "score",
    "reserve",
    "permit",
    "preBind",
    "bind",
    "postBind",
    "placementGenerate",
    "placementScore",
)
MULTI_POINT = "multiPoint"
ALL = "*"

Registry = Mapping[str, frozenset[str]]


def _points(names: str) -> frozenset[str]:
    points = frozenset(names.split())
    assert points <= frozenset(EXTENSION_POINTS), points
    return points


# The last three are in upstream's registry but, with the feature gates of 1.36, not among the defaults.
IN_TREE: Registry = {
    "SchedulingGates": _points("preEnqueue"),
    "PrioritySort": _points("queueSort"),
    "NodeUnschedulable": _points("filter"),
    "NodeName": _points("filter"),
    "TaintToleration": _points("filter preScore score"),
    "NodeAffinity": _points("preFilter filter preScore score"),
    "NodePorts": _points("preFilter filter"),
    "NodeResourcesFit": _points("preFilter filter preScore score placementScore"),
    "VolumeRestrictions": _points("preFilter filter"),
    "NodeVolumeLimits": _points("preFilter filter"),
    "VolumeBinding": _points("preFilter filter preScore score reserve preBind"),
    "VolumeZone": _points("preFilter filter"),
    "PodTopologySpread": _points("preFilter filter preScore score"),
    "InterPodAffinity": _points("preFilter filter preScore score"),
    "DynamicResources": _points("preEnqueue preFilter filter postFilter score reserve preBind"),
    "DefaultPreemption": _points("preEnqueue postFilter"),
    "NodeResourcesBalancedAllocation": _points("preScore score"),
    "ImageLocality": _points("score"),
    "DefaultBinder": _points("bind"),
    "NodeDeclaredFeatures": _points("preFilter filter"),
    "GangScheduling": _points("preEnqueue permit"),
    "TopologyPlacementGenerator": _points("placementGenerate"),
    "PodGroupPodsCount": _points("placementScore"),
}

# In-tree plugins that went away while v1 existed, and what does their work now.
REMOVED: Mapping[str, str] = {
    "AzureDiskLimits": "NodeVolumeLimits",
    "CinderLimits": "NodeVolumeLimits",
    "EBSLimits": "NodeVolumeLimits",
    "GCEPDLimits": "NodeVolumeLimits",
    "SelectorSpread": "PodTopologySpread",
}


class Enabled(NamedTuple):
    """A plugin in an ``enabled`` list; ``weight`` 0 stands for "not said" and counts as 1."""

    name: str
    weight: int = 0


@dataclass(frozen=True, slots=True)
class PluginLists:
    """What is enabled, in order, and disabled at one extension point, or at multiPoint."""

    enabled: tuple[Enabled, ...] = ()
    disabled: tuple[str, ...] = ()


# DynamicResources stands before DefaultPreemption: freeing an idle claim is cheaper than evicting a pod.
DEFAULT_MULTI_POINT = PluginLists(
    enabled=(
        Enabled("SchedulingGates"),
        Enabled("PrioritySort"),
        Enabled("NodeUnschedulable"),
        Enabled("NodeName"),
        Enabled("TaintToleration", 3),
        Enabled("NodeAffinity", 2),
        Enabled("NodePorts"),
        Enabled("NodeResourcesFit", 1),
        Enabled("VolumeRestrictions"),
        Enabled("NodeVolumeLimits"),
        Enabled("VolumeBinding"),
        Enabled("VolumeZone"),
        Enabled("PodTopologySpread", 2),
        Enabled("InterPodAffinity", 2),
        Enabled("DynamicResources", 2),
        Enabled("DefaultPreemption"),
        Enabled("NodeResourcesBalancedAllocation", 1),
        Enabled("ImageLocality", 1),
        Enabled("DefaultBinder"),
        Enabled("NodeDeclaredFeatures"),
    )
)


def merge(default: PluginLists, custom: PluginLists) -> PluginLists:
    """The default list with the custom one applied: a default plugin enabled again keeps its place.

    A default plugin that is disabled goes; enabled as well, it comes back at the end, among the new ones.
    """
    disabled = (*custom.disabled, *default.disabled)
    again = {plugin.name: plugin for plugin in custom.enabled}
    kept: list[Enabled] = []
    if ALL not in disabled:
        kept = [again.get(plugin.name, plugin) for plugin in default.enabled if plugin.name not in disabled]
    replaced = {plugin.name for plugin in kept}
    added = [plugin for plugin in custom.enabled if plugin.name not in replaced]
    return PluginLists((*kept, *added), disabled)


def expand(point: str, own: PluginLists, multi_point: PluginLists, registry: Registry) -> tuple[str, ...]:
    """The names that run at ``point``, in order.

    First the plugins of the point's own list that multiPoint also has (in the own list's order), then multiPoint's
    others, then the rest of the own list.
    """
    own_names = [plugin.name for plugin in own.enabled]
    if ALL in own.disabled:
        return tuple(own_names)
    shared = [
        plugin.name
        for plugin in multi_point.enabled
        if point in registry[plugin.name] and plugin.name not in own.disabled
    ]
    overrides = [name for name in own_names if name in shared]
    others = [name for name in shared if name not in own_names]
    rest = [name for name in own_names if name not in shared]
    return (*overrides, *others, *rest)


def score_weights(names: Iterable[str], own: PluginLists, multi_point: PluginLists) -> tuple[int, ...]:
    """The weights parallel to ``names``: the score list's word counts before multiPoint's, 0 becomes 1."""
    weights = {plugin.name: plugin.weight or 1 for plugin in (*multi_point.enabled, *own.enabled)}
    return tuple(weights[name] for name in names)
