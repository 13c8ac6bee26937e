"""Pods that nobody will ever finish deleting are deleted, and finished ones where there are too many.

Source: pkg/controller/podgc/gc_controller.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers import pods as podlib
from kcore.controllers.contract import (
    Controller,
    Delete,
    Failed,
    Key,
    Object,
    Patch,
    Read,
    Steps,
    View,
    Watched,
    together,
)
from kcore.controllers.times import ms_of, text_of

PERIOD_MS: Final = 20_000
QUARANTINE_MS: Final = 40_000  # that a node has to be missing for
TERMINATED_MAX: Final = 12_500  # finished pods that are kept (--terminated-pod-gc-threshold)
OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
EVERY: Final = Key("", "all")


class PodGC(Controller):
    """``pod-garbage-collector-controller``."""

    name: ClassVar = "pod-garbage-collector-controller"
    aliases: ClassVar = ("podgc",)
    component: ClassVar = "pod-garbage-collector-controller"
    workers: ClassVar[int] = 1

    def __init__(self, terminated_max: int = TERMINATED_MAX) -> None:
        self._terminated_max = terminated_max
        self._missing: dict[
            str, int
        ] = {}  # nodes that pods are on and that are not there: when that was first seen

    @property
    def watches(self) -> Sequence[Watched]:
        """Pods and nodes, only to be seen."""
        return (Watched("pods", _nobody), Watched("nodes", _nobody))

    def at_start(self, view: View, now_ms: int) -> Iterable[Key]:
        """The one key."""
        return (EVERY,)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """Those pods are gone; what cannot be deleted is tried again with the next round."""
        pods = view.list("pods")
        going = [
            *(self._surplus(pods) if self._terminated_max > 0 else ()),
            *_on_nodes_out_of_service(pods, view),
        ]
        lost = yield from self._lost(pods, view, now_ms)
        unscheduled = [pod for pod in pods if _is_going(pod) and not pod["spec"].get("nodeName")]
        steps = {pod["metadata"]["uid"]: _deleted(pod, None) for pod in [*going, *unscheduled]}
        steps |= {pod["metadata"]["uid"]: _deleted(pod, _lost_condition(pod, now_ms)) for pod in lost}
        yield from together(list(steps.values()))
        return PERIOD_MS

    def _surplus(self, pods: Iterable[Object]) -> list[Object]:
        """Of finished pods the evicted ones, then the oldest, as many as are too many."""
        finished = [
            pod for pod in pods if pod["status"].get("phase") not in ("Pending", "Running", "Unknown")
        ]
        surplus = len(finished) - self._terminated_max
        return sorted(finished, key=_first_to_go)[:surplus] if surplus > 0 else []

    def _lost(self, pods: Iterable[Object], view: View, now_ms: int) -> Any:
        """Pods on nodes that have not been there for a while, as a fresh look says too."""
        there = {node["metadata"]["name"] for node in view.list("nodes")}
        by_node: dict[str, list[Object]] = {}
        for pod in pods:
            name = pod["spec"].get("nodeName")
            if name and name not in there:
                by_node.setdefault(name, []).append(pod)
        self._missing = {name: self._missing.get(name, now_ms) for name in by_node}
        due = [name for name, since_ms in self._missing.items() if since_ms + QUARANTINE_MS <= now_ms]
        if not due:
            return []
        outcomes = yield [Read("nodes", "", name) for name in due]
        lost: list[Object] = []
        for name, outcome in zip(due, outcomes, strict=True):
            del self._missing[name]
            if isinstance(outcome, ApiError) and outcome.code == 404:
                lost += by_node[name]
        return lost


def _nobody(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    return ()


def _is_going(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _first_to_go(pod: Object) -> tuple[bool, int, str]:
    metadata, status = pod["metadata"], pod["status"]
    is_evicted = status.get("phase") == "Failed" and status.get("reason") == "Evicted"
    return not is_evicted, ms_of(metadata.get("creationTimestamp")) or 0, metadata["name"]


def _on_nodes_out_of_service(pods: Iterable[Object], view: View) -> list[Object]:
    """Pods that are being deleted on nodes that are not ready and said to be out of service."""
    out = {
        node["metadata"]["name"]
        for node in view.list("nodes")
        if not podlib.is_ready(node)
        and any(taint["key"] == OUT_OF_SERVICE for taint in (node.get("spec") or {}).get("taints") or ())
    }
    found = [pod for pod in pods if _is_going(pod) and pod["spec"].get("nodeName") in out]
    return sorted(found, key=_first_to_go)


def _lost_condition(pod: Object, now_ms: int) -> Object:
    before = podlib.condition(pod, "DisruptionTarget")
    since = text_of(now_ms)
    if before is not None and before["status"] == "True":
        since = before.get("lastTransitionTime", since)
    return {
        "type": "DisruptionTarget", "status": "True", "lastTransitionTime": since, "reason": "DeletionByPodGC",
        "message": "PodGC: node no longer exists", "observedGeneration": pod["metadata"].get("generation", 0),
    }  # fmt: skip


def _deleted(pod: Object, condition: Object | None) -> Steps:
    """The pod, if it has not finished, has failed, and is gone."""
    metadata = pod["metadata"]
    where = (metadata["namespace"], metadata["name"])
    if pod["status"].get("phase") not in ("Succeeded", "Failed"):
        status: dict[str, Any] = {"phase": "Failed", "observedGeneration": metadata.get("generation", 0)}
        if condition is not None:
            status["conditions"] = [condition]
        body = {"metadata": {"uid": metadata["uid"]}, "status": status}
        (outcome,) = yield [Patch("pods", *where, body, "strategic", "status")]
        if isinstance(outcome, ApiError):
            raise Failed(str(outcome)) from outcome
    yield [Delete("pods", *where, metadata["uid"], grace_seconds=0)]
    return None
