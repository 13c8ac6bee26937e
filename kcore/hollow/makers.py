"""Statuses made without a template: what those of ``stages/node.yaml`` and ``pod-fast.yaml`` write, fifty times as fast.

A maker stands for a template's exact text: a stage file that has the same text is played by it, any other text by
``gotemplate``, which is the makers' slow twin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from kcore.hollow.builtin_stages import builtin_documents
from kcore.hollow.durations import time_text
from kcore.hollow.functions import World, node_conditions, quoted

Object = dict[str, Any]
Maker = Callable[[Object, World, int], bytes]

ROOM: Final = {"cpu": "32", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
NODE_INFO: Final = {
    "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "kcore://", "kernelVersion": "kcore-",
    "kubeProxyVersion": "", "kubeletVersion": "v1.36.0-kcore", "machineID": "", "operatingSystem": "linux",
    "osImage": "kcore", "systemUUID": "",
}  # fmt: skip
VERSIONED: Final = ("containerRuntimeVersion", "kernelVersion")  # the version follows
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


def node_ready(node: Object, world: World, now_ms: int) -> bytes:
    """The patch of a node that is there from now on."""
    now, status = time_text(now_ms), node.get("status") or {}
    info = status.get("nodeInfo") or {}
    made: Object = {
        "conditions": [
            {**each, "lastHeartbeatTime": now, "lastTransitionTime": now} for each in node_conditions()
        ],
        "addresses": [dict(sorted(each.items())) for each in status.get("addresses") or ()]
        or [{"type": "InternalIP", "address": next(iter(world.node_ips(node["metadata"]["name"])), "")}],
    }
    if port := world.node_port():
        made["daemonEndpoints"] = {"kubeletEndpoint": {"Port": port}}
    capacity = status.get("capacity")
    made["capacity"] = _room(capacity)
    made["allocatable"] = _room(status.get("allocatable") or capacity)
    said = {name: info.get(name) or default for name, default in NODE_INFO.items()}
    said = {
        name: f"{text}{world.version}" if name in VERSIONED and not info.get(name) else text
        for name, text in said.items()
    }
    made["nodeInfo"] = {
        name: text if isinstance(text, str) else orjson.loads(quoted(text)) for name, text in said.items()
    }
    made["phase"] = "Running"
    return orjson.dumps({"status": made})


def node_alive(node: Object, world: World, now_ms: int) -> bytes:
    """The patch of a node that is there still."""
    now = time_text(now_ms)
    conditions = (node.get("status") or {}).get("conditions") or ()
    beats = [{"type": each["type"], "lastHeartbeatTime": now} for each in conditions]
    return orjson.dumps({"status": {"conditions": beats or None}})


def _room(said: Object | None) -> Object:
    return dict(sorted(said.items())) if said else dict(ROOM)


def _texts(name: str) -> dict[str, str]:
    documents = builtin_documents(name)
    return {
        each["metadata"]["name"]: each["spec"]["next"].get("statusTemplate", "").strip() for each in documents
    }


MAKERS: Final[Mapping[str, Maker]] = {
    _texts("pod-fast")["pod-ready"]: pod_running,
    _texts("pod-fast")["pod-complete"]: pod_succeeded,
    _texts("node")["node-initialize"]: node_ready,
    _texts("node")["node-heartbeat"]: node_alive,
}
