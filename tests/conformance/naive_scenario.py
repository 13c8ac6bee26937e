"""Plays a scenario of the scheduler vectors through the naive twin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from kcore.api.objects import (
    Namespace,
    Node,
    Pod,
    PodDisruptionBudget,
    ReplicaSet,
    ReplicationController,
    Service,
    StatefulSet,
)
from kcore.scheduler.profile import Profile
from tests.naive.cluster import pod_key, priority
from tests.naive.scheduler import Attempt, NaiveScheduler

FIRST_START = datetime(2026, 6, 1, tzinfo=UTC)

T = TypeVar("T")


def _decode(scenario: dict[str, Any], field: str, kind: type[T]) -> list[T]:
    return msgspec.convert(scenario.get(field) or [], list[kind])  # type: ignore[valid-type]


def profile_of(scenario: dict[str, Any]) -> Profile:
    """The only profile of the scenario's configuration, defaulted."""
    from kcore.scheduler.config import load_configuration

    return load_configuration(scenario.get("config")).profiles[0]


def start_time_of(index: int) -> str:
    """The start time of the pending pod with that index once it is placed."""
    return (FIRST_START + timedelta(seconds=index)).strftime("%Y-%m-%dT%H:%M:%SZ")


def run_scenario(scenario: dict[str, Any]) -> dict[str, Any]:
    """The scenario's output line, in the vectors' format.

    Pending pods that carry a nominated node are nominated from the start until they are placed (unless they are
    gated or name their node). In an ``onPreempt: evict`` scenario the outcome of PostFilter counts: victims are removed, the preemptor
    is placed, nominations of less important pods to that node are taken back, and so is the nomination of a pod
    that no preemption can help. Otherwise a failed attempt changes nothing.
    """
    profile = profile_of(scenario)
    pending = _decode(scenario, "pending", Pod)
    scheduler = NaiveScheduler(
        profile,
        nodes=_decode(scenario, "nodes", Node),
        pods=_decode(scenario, "pods", Pod),
        namespaces=_decode(scenario, "namespaces", Namespace),
        services=_decode(scenario, "services", Service),
        replication_controllers=_decode(scenario, "replicationControllers", ReplicationController),
        replica_sets=_decode(scenario, "replicaSets", ReplicaSet),
        stateful_sets=_decode(scenario, "statefulSets", StatefulSet),
        pdbs=_decode(scenario, "pdbs", PodDisruptionBudget),
    )
    for pod in pending:
        if not pod.spec.node_name and scheduler.gated(pod) is None:
            scheduler.nominate(pod, pod.status.nominated_node_name)

    lines = []
    denied: set[str] = set()  # keys of pods whose own nomination was taken back
    for index, pod in enumerate(pending):
        if pod_key(pod) in denied:
            pod = _without_nomination(pod)
        attempt = scheduler.attempt(pod)
        line = attempt.line()
        node = attempt.node
        if node is None and scenario.get("onPreempt") == "evict":
            node = _act_on_post_filter(scheduler, attempt, denied)
            if node is not None:
                line["node"] = node
        if node is not None:
            scheduler.bind(pod, node, start_time_of(index))
        lines.append(line)
    return {
        "name": scenario["name"],
        "nodes": sorted(scheduler.state.nodes),
        "filterPlugins": list(profile.filters),
        "scorePlugins": [list(pair) for pair in zip(profile.scores, profile.weights, strict=True)],
        "pods": lines,
    }


def _without_nomination(pod: Pod) -> Pod:
    return msgspec.structs.replace(pod, status=msgspec.structs.replace(pod.status, nominated_node_name=""))


def _act_on_post_filter(scheduler: NaiveScheduler, attempt: Attempt, denied: set[str]) -> str | None:
    """The node that preemption freed for the pod, if any; evictions and lost nominations are done."""
    outcome = attempt.post_filter
    if outcome is None or outcome.nominating is None:
        return None
    if not outcome.best:
        scheduler.nominate(attempt.pod, "")
        denied.add(pod_key(attempt.pod))
        return None
    best = outcome.best[0]
    for victim in best.victims:
        scheduler.remove(victim)
    for other in scheduler.state.nominated_to(best.node):
        if priority(other.pod) < priority(attempt.pod):
            scheduler.nominate(other.pod, "")
            denied.add(other.key)
    return best.node
