"""Pods that do not tolerate a NoExecute taint of their node go, at once or when the time that they tolerate it is over.

Source: pkg/controller/tainteviction of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import ClassVar, Final, NamedTuple

from kcore.api.objects import Toleration
from kcore.api.status import ApiError
from kcore.api.tolerations import tolerates
from kcore.controllers.contract import (
    Action,
    Controller,
    Delete,
    Failed,
    Key,
    Object,
    Outcome,
    Patch,
    Read,
    Steps,
    Tell,
    View,
    Watched,
)
from kcore.controllers.node_lifecycle import by_node
from kcore.controllers.pods import changed_condition

TRIES_MAX: Final = 5
CONDITION: Final[Object] = {
    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
    "message": "Taint manager: deleting due to NoExecute taint",
}  # fmt: skip


class Planned(NamedTuple):
    """An eviction: since when it is planned, and for when."""

    since_ms: int
    at_ms: int


class TaintEviction(Controller):
    """``taint-eviction-controller``. A plan is forgotten with the process, and made anew by the next: time starts again."""

    name: ClassVar = "taint-eviction-controller"
    component: ClassVar = "taint-eviction-controller"

    def __init__(self) -> None:
        self._planned: dict[Key, Planned] = {}

    @property
    def watches(self) -> Sequence[Watched]:
        """Taints of nodes; nodes and tolerations of pods."""
        return (Watched("nodes", self._node_keys), Watched("pods", self._pod_keys, {"node": by_node}))

    def _node_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is None or (old is not None and no_execute(old) == no_execute(new)):
            return
        if old is None and not no_execute(new):
            return
        for pod in view.by("pods", "node", new["metadata"]["name"]):
            yield Key(pod["metadata"]["namespace"], pod["metadata"]["name"])

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is not None:
            spec = new["spec"]
            if not spec.get("nodeName"):
                return
            if (
                old is not None
                and old["spec"].get("nodeName") == spec["nodeName"]
                and old["spec"].get("tolerations") == spec.get("tolerations")
            ):
                return
        obj = new if new is not None else old
        assert obj is not None
        yield Key(obj["metadata"]["namespace"], obj["metadata"]["name"])

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The pod is going if its time is over; else it is known when that will be."""
        pod = view.get("pods", *key)
        if pod is None:
            yield self._cancelled(key)
            return None
        planned = self._planned.get(key)
        if planned is not None and now_ms >= planned.at_ms:
            del self._planned[key]
            yield from _evicted(key, now_ms)
            return None
        node = view.get("nodes", "", pod["spec"].get("nodeName") or "")
        if node is None:
            return None if planned is None else planned.at_ms - now_ms
        taints = no_execute(node)
        tolerated = tolerated_ms(taints, pod["spec"].get("tolerations") or ())
        if tolerated is None or not taints:
            yield self._cancelled(key)
            return None
        if not tolerated:
            yield self._cancelled(key)
            yield from _evicted(key, now_ms)
            return None
        if planned is None or planned.since_ms >= now_ms:
            planned = self._planned[key] = Planned(now_ms, now_ms + tolerated)
        return planned.at_ms - now_ms

    def _cancelled(self, key: Key) -> list[Action]:
        """What was planned is not any more."""
        if self._planned.pop(key, None) is None:
            return []
        return [Tell(_about(key), "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {key}")]


def no_execute(node: Object) -> list[Object]:
    """The node's taints that evict."""
    return [taint for taint in node["spec"].get("taints") or () if taint["effect"] == "NoExecute"]


def tolerated_ms(taints: Sequence[Object], tolerations: Sequence[Object]) -> int | None:
    """How long all the taints are tolerated; 0 where one is not, None for ever."""
    used: list[Object] = []
    for taint in taints:
        for toleration in tolerations:
            made = Toleration(
                key=toleration.get("key", ""), operator=toleration.get("operator", ""),
                value=toleration.get("value", ""), effect=toleration.get("effect", ""),
            )  # fmt: skip
            if tolerates(made, taint["key"], taint.get("value", ""), taint["effect"]):
                used.append(toleration)
                break
        else:
            return 0
    if not used:
        return 0
    seconds = [int(each["tolerationSeconds"]) for each in used if each.get("tolerationSeconds") is not None]
    return max(0, min(seconds)) * 1000 if seconds else None


def _about(key: Key) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": key.namespace, "name": key.name}}


def _evicted(key: Key, now_ms: int) -> Generator[Sequence[Action], list[Outcome], None]:
    """The pod says why it goes, and is asked to."""
    yield [Tell(_about(key), "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key}")]
    failure: ApiError | None = None
    for _ in range(TRIES_MAX):
        failure = yield from _disrupted_and_deleted(key, now_ms)
        if failure is None or failure.code == 404:
            return
    assert failure is not None
    raise Failed(str(failure)) from failure


def _disrupted_and_deleted(
    key: Key, now_ms: int
) -> Generator[Sequence[Action], list[Outcome], ApiError | None]:
    (pod,) = yield [Read("pods", *key)]
    if isinstance(pod, ApiError):
        return pod
    assert isinstance(pod, dict)
    uid = pod["metadata"]["uid"]
    made = dict(CONDITION)
    if "generation" in pod["metadata"]:
        made["observedGeneration"] = pod["metadata"]["generation"]
    wanted = changed_condition(pod, made, now_ms)
    if wanted is not None:
        body = {"metadata": {"uid": uid}, "status": {"conditions": [wanted]}}
        (outcome,) = yield [Patch("pods", *key, body, "strategic", "status")]
        if isinstance(outcome, ApiError):
            return outcome
    (outcome,) = yield [Delete("pods", *key, uid)]
    return outcome if isinstance(outcome, ApiError) else None
