"""What the naive twin thinks of the pods of a scenario with volumes, in the form of the real plugins' answers."""

from __future__ import annotations

from typing import Any

from kcore import sources
from kcore.scheduler.config import default_configuration
from tests.naive import preemption
from tests.naive.framework import CycleState, Status
from tests.naive.plugins.volumes import VolumeBinding
from tests.naive.scheduler import Attempt, NaiveScheduler
from tests.naive.storage import Storage

Object = dict[str, Any]


def verdicts(given: Object) -> list[Object]:
    """As :func:`tests.scheduler.volume_engine.verdicts`."""
    objects = sources.decode_objects([*given["objects"], *given["pods"]])
    scheduler = NaiveScheduler(
        default_configuration().profiles[0],
        nodes=objects.nodes,
        pods=[pod for pod in objects.pods if pod.spec.node_name],
    )
    scheduler.state.storage = Storage(objects)
    asked = {(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in given["pods"]}
    pending = [pod for pod in objects.pods if (pod.metadata.namespace, pod.metadata.name) in asked]
    for pod in objects.pods:
        if pod.status.nominated_node_name and not pod.spec.node_name:
            scheduler.nominate(pod, pod.status.nominated_node_name)
    told = []
    for pod in pending:
        told.append(_verdict(scheduler, pod))
        if "preempt" in told[-1]:
            break
    return told


def _verdict(scheduler: NaiveScheduler, pod: Any) -> Object:
    attempt = scheduler.attempt(pod)
    told: Object = {"pod": pod.metadata.name}
    if attempt.error:
        return {**told, "error": attempt.error}
    if attempt.pre_filter is not None:
        return {**told, "preFilter": _words(attempt.pre_filter), **_preempted(attempt)}
    told["nodes"] = dict.fromkeys(attempt.node_names) | {
        name: _words(status) for name, status in attempt.statuses.items()
    }
    if attempt.node is None:
        return {**told, **_preempted(attempt)}
    chosen = told["chosen"] = min(attempt.feasible)
    state = CycleState()
    framework = scheduler.framework
    framework.run_pre_filters(state, pod)
    binding = framework.plugins[VolumeBinding.name]
    assert isinstance(binding, VolumeBinding)
    binding.reserve(state, pod, scheduler.state.nodes[chosen])
    scheduler.bind(pod, chosen)
    return told


def _words(status: Status) -> Object:
    return {"plugin": status.plugin, "code": status.code, "reasons": list(status.reasons)}


def _preempted(attempt: Attempt) -> Object:
    outcome = attempt.post_filter
    assert isinstance(outcome, preemption.PostFilterOutcome)
    if outcome.best:
        return {"preempt": [one.node for one in outcome.best]}
    return {"message": outcome.message}
