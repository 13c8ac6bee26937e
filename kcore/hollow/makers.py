"""Statuses made without a template: what the templates of ``stages/pod-fast.yaml`` write, fifty times as fast.

A maker stands for a template's exact text: a stage file that has the same text is played by it, any other text by
``gotemplate``, which is the makers' slow twin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from kcore.hollow.builtin_stages import builtin_documents
from kcore.hollow.functions import World
from kcore.hollow.times import time_text

Object = dict[str, Any]
Maker = Callable[[Object, World, int], bytes]

RUNNING: Final = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


def pod_running(pod: Object, world: World, now_ms: int) -> bytes:
    """The patch of a pod that runs from now on."""
    now, spec, metadata = time_text(now_ms), pod["spec"], pod["metadata"]
    node, generation = spec.get("nodeName"), metadata.get("generation")
    seen = {"observedGeneration": generation} if generation else {}
    conditions: list[Object] = [
        {"type": each, "status": "True", "lastTransitionTime": now, **seen} for each in RUNNING
    ]
    gates = spec.get("readinessGates") or ()
    conditions += [
        {"type": each["conditionType"], "status": "True", "lastTransitionTime": now} for each in gates
    ]
    status: Object = {"conditions": conditions}
    if begun := spec.get("initContainers"):
        status["initContainerStatuses"] = [_initialized(each, now) for each in begun]
    running = {"running": {"startedAt": now}}
    status["containerStatuses"] = [_container(each, True, 0, True, running) for each in spec["containers"]]
    if hosts := world.node_ips(node):
        status["hostIP"] = hosts[0]
        status["hostIPs"] = [{"ip": each} for each in hosts]
    host_network = bool(spec.get("hostNetwork"))
    name, namespace = metadata.get("name", ""), metadata.get("namespace", "")
    if ips := world.pod_ips(node, host_network, metadata.get("uid", ""), name, namespace):
        status["podIP"] = ips[0]
        status["podIPs"] = [{"ip": each} for each in ips]
    status.update(seen)
    status["phase"] = "Running"
    status["startTime"] = (pod.get("status") or {}).get("startTime") or now
    return orjson.dumps({"status": status})


def pod_succeeded(pod: Object, world: World, now_ms: int) -> bytes:
    """The patch of a pod whose containers have all ended well."""
    now = time_text(now_ms)
    old = (pod.get("status") or {}).get("containerStatuses") or ()
    conditions = [
        {"type": each, "status": "False", "reason": "PodCompleted", "lastTransitionTime": now}
        for each in ("Ready", "ContainersReady")
    ]
    conditions.append({"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": now})
    statuses = []
    for index, each in enumerate(pod["spec"]["containers"]):
        was = old[index] if index < len(old) else {}
        running = (was.get("state") or {}).get("running") or {}
        ended = {
            "exitCode": 0, "reason": "Completed", "startedAt": running.get("startedAt") or now, "finishedAt": now,
        }  # fmt: skip
        statuses.append(_container(each, False, was.get("restartCount") or 0, False, {"terminated": ended}))
    status = {"conditions": conditions, "containerStatuses": statuses, "phase": "Succeeded"}
    return orjson.dumps({"status": status})


def _container(container: Object, ready: bool, restarts: int, started: bool, state: Object) -> Object:
    return {
        "name": container["name"], "image": container["image"], "imageID": "", "lastState": {}, "ready": ready,
        "restartCount": restarts, "started": started, "state": state,
    }  # fmt: skip


def _initialized(container: Object, now: str) -> Object:
    if container.get("restartPolicy") == "Always":
        return _container(container, True, 0, True, {"running": {"startedAt": now}})
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
    return _container(container, True, 0, False, {"terminated": ended})


def _texts() -> dict[str, str]:
    documents = builtin_documents("pod-fast")
    return {
        each["metadata"]["name"]: each["spec"]["next"].get("statusTemplate", "").strip() for each in documents
    }


MAKERS: Final[Mapping[str, Maker]] = {
    _texts()["pod-ready"]: pod_running,
    _texts()["pod-complete"]: pod_succeeded,
}
