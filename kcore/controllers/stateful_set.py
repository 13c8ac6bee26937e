"""Stateful sets: pods with ordinals and claims of their own, made and replaced in order.

Source: pkg/controller/statefulset of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, ClassVar

from kcore.controllers import controller_revisions as revisions
from kcore.controllers import pods as podlib
from kcore.controllers import stateful_set_pods as setpods
from kcore.controllers.contract import (
    Action,
    Controller,
    Delete,
    Failed,
    Key,
    Later,
    Object,
    Outcome,
    Steps,
    Update,
    View,
    Watched,
    done,
    must,
)
from kcore.controllers.owners import (
    by_controller,
    claim,
    controller_of,
    controller_reference,
    owned_or_orphaned,
    owner_key,
)
from kcore.controllers.selection import selector_of
from kcore.controllers.stateful_set_claims import RESOURCE as CLAIMS
from kcore.controllers.stateful_set_pods import RESOURCE
from kcore.controllers.stateful_set_round import Round

COUNTS = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")


class StatefulSet(Controller):
    """``statefulset-controller``."""

    name: ClassVar = "statefulset-controller"
    aliases: ClassVar = ("statefulset",)
    component: ClassVar = "statefulset-controller"

    @property
    def watches(self) -> Sequence[Watched]:
        """Stateful sets, their pods and revisions; claims only to be seen."""
        return (
            Watched(RESOURCE, self._own_keys),
            Watched("pods", self._pod_keys, {"controller": by_controller}),
            Watched(revisions.RESOURCE, _nobody, {"controller": by_controller}),
            Watched(CLAIMS, _nobody),
        )

    def _own_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        obj = new if new is not None else old
        assert obj is not None
        yield Key(obj["metadata"]["namespace"], obj["metadata"]["name"])

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key | Later]:
        found: list[Key | Later] = []
        for each in (old, new):
            key = None if each is None else owner_key(each, view, RESOURCE, "StatefulSet", "apps")
            if key is not None and key not in found:
                found.append(key)
        if new is None or controller_of(new) is not None or "deletionTimestamp" in new["metadata"]:
            return found
        labels = new["metadata"].get("labels")
        for stateful_set in view.list(RESOURCE, new["metadata"]["namespace"]) if labels else ():
            selector = selector_of(stateful_set["spec"].get("selector"))
            if not selector.empty and selector.matches(labels):
                found.append(Key(new["metadata"]["namespace"], stateful_set["metadata"]["name"]))
        return found

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """As much as can be done now towards the pods that are asked for, and the status."""
        stateful_set = view.get(RESOURCE, *key)
        if stateful_set is None:
            return None
        selector = selector_of(stateful_set["spec"].get("selector"))
        reference = controller_reference("apps/v1", "StatefulSet", stateful_set)
        name = stateful_set["metadata"]["name"]
        history = yield from claim(
            stateful_set, revisions.listed(view, stateful_set, selector), selector.matches,
            resource=revisions.RESOURCE, owner_resource=RESOURCE, reference=reference,
        )  # fmt: skip
        pods = yield from claim(
            stateful_set, owned_or_orphaned(view, "pods", stateful_set), selector.matches, resource="pods",
            owner_resource=RESOURCE, reference=reference,
            fits=lambda pod: setpods.parent_and_ordinal(pod)[0] == name,
        )  # fmt: skip
        history = revisions.in_order(history)
        current, update, collisions = yield from _revisions(stateful_set, reference, history)
        it = Round(stateful_set, pods, current, update, view, now_ms)
        failure = None
        try:
            yield from it.steps()
        except Failed as error:
            failure = error
        status = _status(it, collisions)
        if _is_new(stateful_set.get("status") or {}, status):
            try:
                yield from must(Update(RESOURCE, {**stateful_set, "status": status}, "status"))
            except Failed as error:
                failure = failure or error
        yield from _truncated(it, history)
        if failure is not None:
            raise failure
        return _next_look(it, status)


def _nobody(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    return ()


def _revisions(
    stateful_set: Object, reference: Object, history: Sequence[Object]
) -> Generator[Sequence[Action], list[Outcome], tuple[Object, Object, int]]:
    """The current revision, the one that it is to be updated to, and the count of collisions."""
    status = stateful_set.get("status") or {}
    collisions: int = status.get("collisionCount") or 0
    labels = (stateful_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    new = revisions.made(stateful_set, reference, revisions.next_number(history), collisions, labels)
    equal = [each for each in history if each.get("data") == new["data"]]
    if equal and history[-1].get("data") == equal[-1].get("data"):
        update = history[-1]
    elif equal:
        update = yield from revisions.renumbered(equal[-1], new["revision"])
    else:
        update, collisions = yield from revisions.created(stateful_set, new, collisions)
    name = status.get("currentRevision")
    current = next((each for each in history if each["metadata"]["name"] == name), update)
    return current, update, collisions


def _status(it: Round, collisions: int) -> dict[str, Any]:
    status: dict[str, Any] = {
        "observedGeneration": it.set["metadata"].get("generation", 0),
        **it.counts(as_looked_after="deletionTimestamp" not in it.set["metadata"]),
        "currentRevision": it.current["metadata"]["name"],
        "updateRevision": it.update["metadata"]["name"],
        "collisionCount": collisions,
    }
    wanted = setpods.replicas(it.set)
    if it.strategy.get("type") == "RollingUpdate" and all(
        status[name] == wanted for name in ("updatedReplicas", "readyReplicas", "replicas")
    ):
        status["currentReplicas"] = status["updatedReplicas"]
        status["currentRevision"] = status["updateRevision"]
    kept = ("replicas", "availableReplicas", "collisionCount")
    return {name: value for name, value in status.items() if value or name in kept}


def _is_new(before: Object, status: Object) -> bool:
    """Not for a collision count alone (inconsistentStatus)."""
    if status.get("observedGeneration", 0) > before.get("observedGeneration", 0):
        return True
    if any(status.get(name, 0) != before.get(name, 0) for name in COUNTS):
        return True
    return any(status.get(name) != before.get(name) for name in ("currentRevision", "updateRevision"))


def _truncated(it: Round, history: Sequence[Object]) -> Steps:
    """Revisions beyond the limit go, the oldest first, but for those in use."""
    live = {it.current["metadata"]["name"], it.update["metadata"]["name"], *map(setpods.revision, it.pods)}
    unused = [each["metadata"] for each in history if each["metadata"]["name"] not in live]
    limit = it.set["spec"].get("revisionHistoryLimit", 10)
    surplus = unused[: max(0, len(unused) - limit)] if limit >= 0 else []
    if surplus:
        done(
            (
                yield [
                    Delete(revisions.RESOURCE, each["namespace"], each["name"], each["uid"])
                    for each in surplus
                ]
            )
        )
    return None


def _next_look(it: Round, status: Object) -> int | None:
    """When the next ready pod becomes available."""
    seconds = it.set["spec"].get("minReadySeconds", 0)
    if not seconds or status.get("readyReplicas", 0) == status.get("availableReplicas", 0):
        return None
    waits = [left for pod in it.pods if (left := podlib.available_in_ms(pod, seconds, it.now_ms))]
    return min(waits) if waits else seconds * 1000
