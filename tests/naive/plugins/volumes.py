"""Plugins that the default profile runs and that let every pod without claims pass."""

from __future__ import annotations

from collections.abc import Sequence

from kcore.api.objects import Pod
from tests.naive.cluster import NodeInfo
from tests.naive.framework import CycleState, Plugin, Skip


class _Passing(Plugin):
    def pre_filter(self, state: CycleState, pod: Pod) -> Skip:
        return Skip()


class VolumeRestrictions(_Passing):
    """Present by name."""

    name = "VolumeRestrictions"


class NodeVolumeLimits(_Passing):
    """Present by name."""

    name = "NodeVolumeLimits"


class VolumeBinding(_Passing):
    """Present by name; its score is skipped."""

    name = "VolumeBinding"

    def pre_score(self, state: CycleState, pod: Pod, nodes: Sequence[NodeInfo]) -> Skip:
        return Skip()


class VolumeZone(_Passing):
    """Present by name."""

    name = "VolumeZone"


class NodeDeclaredFeatures(_Passing):
    """Present by name."""

    name = "NodeDeclaredFeatures"
