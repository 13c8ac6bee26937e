"""What the PostFilter plugins of a profile say of a pod that fits nowhere, together.

Source: framework/runtime/framework.go RunPostFilterPlugins of Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.scheduler import reasons
from kcore.scheduler.eviction import Preemption
from kcore.scheduler.host_cycle import HostCycle
from kcore.scheduler.profile import Profile


def is_ended_by_claims(profile: Profile, plugin: str) -> bool:
    """Whether DynamicResources ends PostFilter with an error, because the PreFilter of ``plugin`` came before its own.

    That one turned the pod down for all nodes.
    """
    if "DynamicResources" not in profile.post_filters:
        return False
    return "DynamicResources" not in profile.pre_filters[: profile.pre_filters.index(plugin) + 1]


def ends_post_filter(profile: Profile, cycle: HostCycle | None) -> bool:
    """Whether that is so of the pod of a cycle."""
    return cycle is not None and cycle.turned is not None and is_ended_by_claims(profile, cycle.turned.plugin)


def post_filter_message(profile: Profile, found: Preemption | None, cycle: HostCycle | None = None) -> str:
    """What the PostFilter plugins say together; nothing where preemption found a node.

    DynamicResources does here what it does there: it gives up a claim that keeps the pod from its nodes.
    """
    if ends_post_filter(profile, cycle):
        return reasons.NOT_FOUND
    claims = "" if cycle is None else cycle.post_filter("DynamicResources")
    if found is not None and found.has_failed:
        return f"preemption: {found.message}"
    if found is not None and found.chosen is not None:
        return ""
    parts = []
    for name in profile.post_filters:
        if name == "DynamicResources":
            parts.append(claims or reasons.NO_CLAIMS)
        elif name == "DefaultPreemption" and found is not None:
            parts.append(f"preemption: {found.message}")
    return ", ".join(parts)
