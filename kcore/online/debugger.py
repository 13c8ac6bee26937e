"""The cache comparer and dumper: whether the scheduler's picture is the cluster's, and what the picture is.

Source: pkg/scheduler/backend/cache/debugger of Kubernetes 1.36 (on SIGUSR2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kcore.online.mirror import Mirror
from kcore.online.queue import ACTIVE, BACKOFF, IN_FLIGHT, SchedulingQueue

Object = dict[str, Any]


def mismatches(
    nodes: Iterable[Object], pods: Iterable[Object], mirror: Mirror, queue: SchedulingQueue
) -> Iterator[str]:
    """A line for nodes, and one for pods, where cache and cluster differ. Pods are told by uid."""
    actual = {node["metadata"]["name"] for node in nodes}
    if actual != mirror.node_names:
        missed, redundant = sorted(actual - mirror.node_names), sorted(mirror.node_names - actual)
        yield f"Cache mismatch missedNodes={missed} redundantNodes={redundant}"
    there = {pod["metadata"]["uid"] for pod in pods}
    cached = {pod["metadata"]["uid"] for _, pod in mirror.placed()}
    cached |= {each.obj["metadata"]["uid"] for each in queue.waiting()}
    if there != cached:
        yield f"Cache mismatch missedPods={sorted(there - cached)} redundantPods={sorted(cached - there)}"


def dump(mirror: Mirror, queue: SchedulingQueue) -> Iterator[str]:
    """The nodes with the pods on them, and the pods that wait."""
    on: dict[str, list[Object]] = {name: [] for name in sorted(mirror.node_names)}
    for name, pod in mirror.placed():
        on.setdefault(name, []).append(pod)
    promised: dict[str, list[Object]] = {}
    for key, name in mirror.nominations.items():
        nominee = mirror.object_of(key)
        if nominee is not None:
            promised.setdefault(name, []).append(nominee)
    entries = []
    for name, pods in on.items():
        text = f"Node name: {name}\nDeleted: {str(name not in mirror.node_names).lower()}\n"
        text += f"Requested Resources: {mirror.requested(name)}\nAllocatable Resources:{mirror.allocatable(name)}\n"
        text += f"Scheduled Pods(number: {len(pods)}):\n" + "".join(map(printed, pods))
        if nominated := promised.get(name):
            text += f"Nominated Pods(number: {len(nominated)}):\n" + "".join(map(printed, nominated))
        entries.append(text)
    yield "Dump of cached NodeInfo nodes=" + "\n\n".join(entries)
    counts = queue.counts
    stuck = len(queue) - counts[ACTIVE] - counts[BACKOFF] - counts[IN_FLIGHT]
    summary = f"activeQ:{counts[ACTIVE]}; backoffQ:{counts[BACKOFF]}; unschedulablePods:{stuck}"
    waiting = "".join(printed(each.obj) for each in queue.waiting())
    yield f'Dump of scheduling queue summary="{summary}" pods={waiting}'


def printed(pod: Object) -> str:
    """One pod's line."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    return (
        f"name: {metadata['name']}, namespace: {metadata.get('namespace', '')}, uid: {metadata['uid']}, "
        f"phase: {status.get('phase', '')}, nominated node: {status.get('nominatedNodeName', '')}\n"
    )
