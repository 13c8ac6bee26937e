"""The in-tree plugins on objects, made for one state."""

from __future__ import annotations

from kcore.scheduler.host import HostPlugin
from kcore.scheduler.volumes.binding import VolumeBinding
from kcore.scheduler.volumes.limits import NodeVolumeLimits
from kcore.scheduler.volumes.restrictions import VolumeRestrictions
from kcore.scheduler.volumes.tables import StorageTables
from kcore.scheduler.volumes.topology import NodeLabels
from kcore.scheduler.volumes.zone import VolumeZone


def host_plugins(tables: StorageTables) -> dict[str, HostPlugin]:
    """By name."""
    labels = NodeLabels(tables.nodes)
    plugins: tuple[HostPlugin, ...] = (
        VolumeRestrictions(tables),
        NodeVolumeLimits(tables),
        VolumeBinding(tables, labels),
        VolumeZone(tables, labels),
    )
    return {plugin.name: plugin for plugin in plugins}
