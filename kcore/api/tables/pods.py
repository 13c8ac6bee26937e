"""The table of pods. Source: pkg/printers/internalversion/printers.go (printPod) of Kubernetes 1.36."""

from __future__ import annotations

from typing import Any, Final

from kcore.api.tables.cells import NONE, Object, human_duration, is_true, part, since
from kcore_native.rfc3339 import seconds_of

CONDITIONS: Final[dict[str, list[dict[str, str]]]] = {
    "Succeeded": [
        {
            "type": "Completed",
            "status": "True",
            "reason": "Succeeded",
            "message": "The pod has completed successfully.",
        }
    ],
    "Failed": [{"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."}],
}
UNREACHABLE: Final = "NodeLost"  # node.NodeUnreachablePodReason


def conditions(pod: Object) -> list[dict[str, str]] | None:
    """The row's conditions: a pod that has ended is ``Completed``."""
    return CONDITIONS.get(part(pod, "status").get("phase", ""))


class _Restarts:
    """How often containers restarted, and when the last of them ended before that."""

    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last: float | None = None

    def add(self, status: Object) -> None:
        self.count += status.get("restartCount", 0)
        ended = (status.get("lastState") or {}).get("terminated")
        if ended is not None:
            finished = seconds_of(ended.get("finishedAt"))
            if finished is not None and (self.last is None or self.last < finished):
                self.last = finished

    def text(self, now: float) -> str:
        if self.count and self.last is not None:
            return f"{self.count} ({human_duration(now - self.last)} ago)"
        return str(self.count)


def _ended(terminated: Object, prefix: str) -> str:
    """Why a container ended."""
    if terminated.get("reason"):
        return f"{prefix}{terminated['reason']}"
    if terminated.get("signal"):
        return f"{prefix}Signal:{terminated['signal']}"
    return f"{prefix}ExitCode:{terminated.get('exitCode', 0)}"


def _init_reason(status: Object, index: int, count: int, restartable: bool) -> str | None:
    """What the pod waits for in this init container; None where it is done or, being a sidecar, runs."""
    state = status.get("state") or {}
    terminated, waiting = state.get("terminated"), state.get("waiting")
    if terminated is not None and not terminated.get("exitCode"):
        return None
    if restartable and status.get("started"):
        return None
    if terminated is not None:
        return _ended(terminated, "Init:")
    if waiting is not None and waiting.get("reason") and waiting["reason"] != "PodInitializing":
        return f"Init:{waiting['reason']}"
    return f"Init:{index}/{count}"


def _container_reason(statuses: list[Object], reason: str, all_conditions: Any) -> tuple[str, int]:
    """The reason that the containers give, and how many are ready."""
    ready = 0
    running = False
    error = ""
    for status in reversed(statuses):
        state = status.get("state") or {}
        waiting, terminated = state.get("waiting"), state.get("terminated")
        if waiting is not None and waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None:
            reason = _ended(terminated, "")
            if terminated.get("exitCode"):
                error = reason
        elif status.get("ready") and state.get("running") is not None:
            running = True
            ready += 1
    if reason == "Completed":
        if running and any(
            each.get("type") == "Ready" and each.get("status") == "True" for each in all_conditions
        ):
            reason = "Running"
        elif error:
            reason = error
        elif running:
            reason = "NotReady"
    return reason, ready


def _reason(pod: Object, spec: Object, status: Object) -> tuple[str, int, int, _Restarts]:
    """STATUS, containers ready and in all, restarts."""
    reason = status.get("reason") or status.get("phase", "")
    all_conditions = status.get("conditions") or ()
    for each in all_conditions:
        if each.get("type") == "PodScheduled" and each.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    init = spec.get("initContainers") or ()
    total = len(spec.get("containers") or ())
    restartable = {each.get("name") for each in init if each.get("restartPolicy") == "Always"}
    total += sum(each.get("restartPolicy") == "Always" for each in init)
    ready = 0
    initializing = False
    restarts, sidecars = _Restarts(), _Restarts()
    for index, each in enumerate(status.get("initContainerStatuses") or ()):
        sidecar = each.get("name") in restartable
        restarts.add(each)
        if sidecar:
            sidecars.add(each)
        found = _init_reason(each, index, len(init), sidecar)
        if found is None:
            terminated = (each.get("state") or {}).get("terminated")
            if each.get("ready") and sidecar and (terminated is None or terminated.get("exitCode")):
                ready += 1
            continue
        reason, initializing = found, True
        break
    if not initializing or is_true(all_conditions, "Initialized"):
        restarts = sidecars
        statuses = status.get("containerStatuses") or []
        for each in statuses:
            restarts.add(each)
        reason, more = _container_reason(statuses, reason, all_conditions)
        ready += more
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == UNREACHABLE:
            reason = "Unknown"
        elif status.get("phase") not in ("Failed", "Succeeded"):
            reason = "Terminating"
    return reason, ready, total, restarts


def _gates(spec: Object, status: Object) -> str:
    """How many readiness gates are open."""
    gates = spec.get("readinessGates")
    if not gates:
        return NONE
    opened = sum(is_true(status.get("conditions"), gate.get("conditionType")) for gate in gates)
    return f"{opened}/{len(gates)}"


def pod(obj: Object, now: float) -> list[Any]:
    """The cells of a pod."""
    spec, status, metadata = obj.get("spec") or {}, obj.get("status") or {}, obj["metadata"]
    reason, ready, total, restarts = _reason(obj, spec, status)
    addresses = status.get("podIPs")
    return [
        metadata.get("name", ""),
        f"{ready}/{total}",
        reason,
        restarts.text(now),
        since(metadata.get("creationTimestamp"), now),
        status.get("podIP") or (addresses[0].get("ip") if addresses else "") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(spec, status),
    ]
