"""What the PostFilter plugins of a profile say of a pod that fits nowhere, together.

Source: framework/runtime/framework.go RunPostFilterPlugins of Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.scheduler import reasons
from kcore.scheduler.eviction import Preemption
from kcore.scheduler.host_cycle import HostCycle
from kcore.scheduler.profile import Profile


def ends_post_filter(profile: Profile, cycle: HostCycle | None) -> bool:
    """Whether DynamicResources ends PostFilter with an error: a PreFilter before its own turned the pod down."""
    if cycle is None or cycle.turned is None or "DynamicResources" not in profile.post_filters:
        return False
    before = profile.pre_filters[: profile.pre_filters.index(cycle.turned.plugin) + 1]
    return "DynamicResources" not in before


def post_filter_message(profile: Profile, found: Preemption | None, cycle: HostCycle | None = None) -> str:
    """What the PostFilter plugins say together; nothing where preemption found a node."""
    if ends_post_filter(profile, cycle):
        return reasons.NOT_FOUND
    if found is not None and found.has_failed:
        return f"preemption: {found.message}"
    if found is not None and found.chosen is not None:
        return ""
    parts = []
    for name in profile.post_filters:
        if name == "DynamicResources":
            parts.append(reasons.NO_CLAIMS)
        elif name == "DefaultPreemption" and found is not None:
            parts.append(f"preemption: {found.message}")
    return ", ".join(parts)
