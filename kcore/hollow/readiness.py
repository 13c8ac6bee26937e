"""Whether a pod is ready, said again where the API says otherwise: as a kubelet that compares its status with the API's.

The node lifecycle controller says of the pods of a node that was silent that they are not ready; once the node is heard
of again its kubelet says that they are. Source: pkg/kubelet/status status_manager.go (needsReconcile, mergePodStatus)
and generate.go (GeneratePodReadyCondition); pkg/controller/util/node/controller_utils.go (MarkPodsNotReady).
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from kcore.hollow.stage import POD, Amount, Stage
from kcore.hollow.times import time_text

Object = dict[str, Any]

GATES_NOT_READY: Final = "ReadinessGatesNotReady"
READY_AGAIN: Final = Stage("ready-again", POD, None, Amount(0), None, None, (), immediate=True)


def is_ready(obj: Object) -> bool:
    """Whether the pod's or node's condition Ready is True."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def ready_again(pod: Object, now_ms: int) -> bytes:
    """The patch of a running pod whose condition Ready is not what containers and readiness gates say; empty: it is."""
    status = pod.get("status") or {}
    if status.get("phase") != "Running" or "deletionTimestamp" in pod["metadata"]:
        return b""
    conditions, gates = status.get("conditions") or (), pod["spec"].get("readinessGates") or ()
    for ready in conditions:
        if ready.get("type") == "Ready":
            break
    else:
        return b""
    if not gates and ready.get("status") == "True":
        return b""  # nearly always
    said = {each.get("type"): each for each in conditions}
    containers = said.get("ContainersReady")
    if containers is None or containers.get("status") != "True":
        return b""
    message = ", ".join(filter(None, (_unmet(each["conditionType"], said) for each in gates)))
    wanted = ("False", GATES_NOT_READY, message) if message else ("True", "", "")
    was = (ready.get("status"), ready.get("reason") or "", ready.get("message") or "")
    if was == wanted:
        return b""
    since = ready.get("lastTransitionTime")
    if was[0] != wanted[0]:  # a kubelet has not forgotten since when the containers are ready
        since = time_text(now_ms) if gates else containers.get("lastTransitionTime") or time_text(now_ms)
    patch = {
        "type": "Ready", "status": wanted[0], "reason": wanted[1] or None, "message": wanted[2] or None,
        "lastTransitionTime": since,
    }  # fmt: skip
    if generation := pod["metadata"].get("generation"):
        patch["observedGeneration"] = generation
    return orjson.dumps({"status": {"conditions": [patch]}})


def _unmet(gate: str, said: dict[Any, Object]) -> str:
    condition = said.get(gate)
    if condition is None:
        return f'corresponding condition of pod readiness gate "{gate}" does not exist.'
    if condition.get("status") != "True":
        return f'the status of pod readiness gate "{gate}" is not "True", but {condition.get("status")}'
    return ""
