"""The default plugins of kube-scheduler 1.36, one file each."""

from __future__ import annotations

from kcore.scheduler.profile import Profile
from tests.naive.framework import Plugin
from tests.naive.plugins.dynamic_resources import DynamicResources
from tests.naive.plugins.image_locality import ImageLocality
from tests.naive.plugins.inter_pod_affinity import InterPodAffinity
from tests.naive.plugins.node_affinity import NodeAffinity
from tests.naive.plugins.node_name import NodeName
from tests.naive.plugins.node_ports import NodePorts
from tests.naive.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from tests.naive.plugins.node_resources_fit import NodeResourcesFit
from tests.naive.plugins.node_unschedulable import NodeUnschedulable
from tests.naive.plugins.pod_topology_spread import PodTopologySpread
from tests.naive.plugins.taint_toleration import TaintToleration
from tests.naive.plugins.volumes import (
    NodeDeclaredFeatures,
    NodeVolumeLimits,
    VolumeBinding,
    VolumeRestrictions,
    VolumeZone,
)
from tests.naive.state import ClusterState

PLUGINS: tuple[type[Plugin], ...] = (
    NodeUnschedulable,
    NodeName,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeRestrictions,
    NodeVolumeLimits,
    VolumeBinding,
    VolumeZone,
    PodTopologySpread,
    InterPodAffinity,
    DynamicResources,
    NodeResourcesBalancedAllocation,
    ImageLocality,
    NodeDeclaredFeatures,
)


def make_plugins(cluster: ClusterState, profile: Profile) -> dict[str, Plugin]:
    """One instance of every plugin, by name, configured as the profile says."""
    plugins: dict[str, Plugin] = {plugin.name: plugin(cluster) for plugin in PLUGINS}
    plugins[NodeAffinity.name] = NodeAffinity(cluster, profile.node_affinity)
    plugins[NodeResourcesFit.name] = NodeResourcesFit(cluster, profile.fit)
    plugins[PodTopologySpread.name] = PodTopologySpread(cluster, profile.topology_spread)
    plugins[InterPodAffinity.name] = InterPodAffinity(cluster, profile.inter_pod_affinity)
    plugins[NodeResourcesBalancedAllocation.name] = NodeResourcesBalancedAllocation(cluster, profile.balanced)
    return plugins
