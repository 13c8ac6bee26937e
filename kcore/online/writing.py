"""What the scheduler writes into the status of pods, and its notes.

Source: pkg/scheduler/schedule_one.go (updatePod, handleSchedulingFailure), framework/preemption of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Any, Final

from kcore.api.status import ApiError
from kcore.client.stamps import second_time

NOTE_CHARS_MAX: Final = 1024
PAUSES_S: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)  # before each question what has become of a write
UNSURE: Final = frozenset({429, 500, 503, 504})  # codes of a server that may have done it, or may do it soon

Object = dict[str, Any]


def bound_note(namespace: str, name: str, node: str) -> str:
    """The note of the Scheduled event."""
    return f"Successfully assigned {namespace}/{name} to {node}"


def truncated(note: str) -> str:
    """A note as long as an event may hold."""
    return note if len(note) <= NOTE_CHARS_MAX else note[: NOTE_CHARS_MAX - len(" ...")] + " ..."


def condition_patch(pod: Object, reason: str, message: str, node: str | None, time_s: float) -> Object | None:
    """The status patch that says why a pod has no node; None where it says so already.

    ``node`` is the node nominated now, "" takes a nomination back, None leaves it.
    """
    status = pod.get("status") or {}
    patch: Object = {}
    wanted = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    old = next((one for one in status.get("conditions") or () if one["type"] == "PodScheduled"), None)
    generation = pod["metadata"].get("generation")
    if generation:
        wanted["observedGeneration"] = generation
    if old is None or any(old.get(name) != value for name, value in wanted.items()):
        since = (old or {}).get("lastTransitionTime")
        if old is None or old["status"] != "False" or not since:
            since = second_time(time_s)
        patch["conditions"] = [{**wanted, "lastProbeTime": None, "lastTransitionTime": since}]
    if node is not None and status.get("nominatedNodeName", "") != node:
        patch["nominatedNodeName"] = node or None
    return {"status": patch} if patch else None


def preempted_patch(pod: Object, scheduler: str, time_s: float) -> Object:
    """The status patch that says that a pod goes to make room for another."""
    condition = {
        "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
        "message": f"{scheduler}: preempting to accommodate a higher priority pod",
        "lastProbeTime": None, "lastTransitionTime": second_time(time_s),
    }  # fmt: skip
    generation = pod["metadata"].get("generation")
    if generation:
        condition["observedGeneration"] = generation
    return {"status": {"conditions": [condition]}}


def nominated_of(pod: Object | None) -> str:
    """The node that a pod is nominated to; empty where there is none, or no pod."""
    name: str = ((pod or {}).get("status") or {}).get("nominatedNodeName") or ""
    return name


def is_unsure(error: Exception) -> bool:
    """Whether what was asked may have been done all the same."""
    return isinstance(error, OSError) or (isinstance(error, ApiError) and error.code in UNSURE)
