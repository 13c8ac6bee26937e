"""ReplicaSets and ReplicationControllers have as many pods as they ask for.

Source: pkg/controller/replicaset, pkg/controller/replication of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import ClassVar, Final

from kcore.api.selectors import Selector
from kcore.api.status import ApiError
from kcore.controllers import pod_writes
from kcore.controllers import pods as podlib
from kcore.controllers.conditions import without, written
from kcore.controllers.contract import (
    Action,
    Controller,
    Failed,
    Key,
    Later,
    Object,
    Outcome,
    Steps,
    Update,
    View,
    Watched,
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
from kcore.controllers.times import text_of

BURST: Final = 500  # pods created or deleted in one round (BurstReplicas)


class ReplicaSet(Controller):
    """``replicaset-controller``."""

    name: ClassVar = "replicaset-controller"
    aliases: ClassVar = ("replicaset",)
    component: ClassVar = "replicaset-controller"
    resource: ClassVar[str] = "replicasets.apps"
    kind: ClassVar[str] = "ReplicaSet"
    api_version: ClassVar[str] = "apps/v1"
    tells_terminating: ClassVar[bool] = True

    @property
    def watches(self) -> Sequence[Watched]:
        """Its own kind, and pods."""
        return (
            Watched(self.resource, self._own_keys, {"controller": by_controller}),
            Watched("pods", self._pod_keys, {"controller": by_controller}),
        )

    def _selector(self, owner: Object) -> Selector:
        return selector_of(owner["spec"].get("selector"))

    def _own_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        obj = new if new is not None else old
        assert obj is not None
        yield Key(obj["metadata"]["namespace"], obj["metadata"]["name"])

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key | Later]:
        group = self.api_version.rpartition("/")[0]
        found: list[Key | Later] = []
        for each in (old, new):
            owner_found = None if each is None else owner_key(each, view, self.resource, self.kind, group)
            if owner_found is not None and owner_found not in found:
                found.append(owner_found)
        pod = new
        if pod is None:
            return found
        if controller_of(pod) is None:
            if "deletionTimestamp" not in pod["metadata"] and _looks_different(old, pod):
                found += self._matching(pod, view)
        elif found and podlib.is_ready(pod) and (old is None or not podlib.is_ready(old)):
            key = found[-1]
            assert isinstance(key, Key)
            owner = view.get(self.resource, key.namespace, key.name)
            seconds = 0 if owner is None else owner["spec"].get("minReadySeconds", 0)
            if seconds:
                found.append(Later(key, seconds * 1000))
        return found

    def _matching(self, pod: Object, view: View) -> Iterable[Key]:
        """Those whose selector matches an orphan."""
        labels = pod["metadata"].get("labels")
        if not labels:
            return
        for owner in view.list(self.resource, pod["metadata"]["namespace"]):
            selector = self._selector(owner)
            if not selector.empty and selector.matches(labels):
                yield Key(owner["metadata"]["namespace"], owner["metadata"]["name"])

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """Pods are made or deleted, and the status says how many there are."""
        owner = view.get(self.resource, key.namespace, key.name)
        if owner is None:
            return None
        selector = self._selector(owner)
        reference = controller_reference(self.api_version, self.kind, owner)
        every = owned_or_orphaned(view, "pods", owner)
        active = yield from claim(
            owner, [pod for pod in every if podlib.is_active(pod)], selector.matches,
            resource="pods", owner_resource=self.resource, reference=reference,
        )  # fmt: skip
        terminating = [
            pod
            for pod in every
            if podlib.is_terminating(pod)
            and (controller_of(pod) or {}).get("uid") == owner["metadata"]["uid"]
            and selector.matches(pod["metadata"].get("labels") or {})
        ]
        failure = None
        wanted: int = owner["spec"].get("replicas", 1)
        if "deletionTimestamp" not in owner["metadata"]:
            if len(active) < wanted:
                failure = yield from self._create(owner, reference, min(BURST, wanted - len(active)))
            elif len(active) > wanted:
                failure = yield from self._delete(
                    owner, active, min(BURST, len(active) - wanted), view, now_ms
                )
        status = self._status(owner, active, len(terminating), failure, now_ms)
        if status is not None:
            (outcome,) = yield [Update(self.resource, {**owner, "status": status}, "status")]
            if isinstance(outcome, ApiError):
                raise Failed(str(outcome)) from outcome
        if failure is not None:
            raise Failed(str(failure)) from failure
        if abs(len(active) - wanted) > BURST:
            return 0
        return _next_look(owner, active, now_ms)

    def _create(
        self, owner: Object, reference: Object, count: int
    ) -> Generator[Sequence[Action], list[Outcome], ApiError | None]:
        pod = podlib.from_template(owner["spec"]["template"], owner, reference)
        return (yield from pod_writes.created(owner, [pod] * count)).failure

    def _delete(
        self, owner: Object, active: Sequence[Object], count: int, view: View, now_ms: int
    ) -> Generator[Sequence[Action], list[Outcome], ApiError | None]:
        going = active
        if count < len(active):
            going = podlib.deletion_order(active, self._related(owner, view), now_ms)[:count]
        return (yield from pod_writes.deleted(owner, going)).failure

    def _related(self, owner: Object, view: View) -> Iterable[Object]:
        """Pods of all that this one's own controller controls, or of itself."""
        above = controller_of(owner)
        owners = [owner] if above is None else view.by(self.resource, "controller", above["uid"])
        seen: dict[str, Object] = {}
        for each in owners:
            for pod in view.by("pods", "controller", each["metadata"]["uid"]):
                seen[pod["metadata"]["uid"]] = pod
        return seen.values()

    def _status(
        self, owner: Object, active: Sequence[Object], terminating: int, failure: ApiError | None, now_ms: int
    ) -> Object | None:
        """The new status; None where nothing is new."""
        spec, before = owner["spec"], owner.get("status") or {}
        template_labels: Mapping[str, str] = (spec["template"].get("metadata") or {}).get("labels") or {}
        ready = [pod for pod in active if podlib.is_ready(pod)]
        seconds = spec.get("minReadySeconds", 0)
        counts = {
            "replicas": len(active),
            "fullyLabeledReplicas": sum(
                template_labels.items() <= (pod["metadata"].get("labels") or {}).items() for pod in active
            ),
            "readyReplicas": len(ready),
            "availableReplicas": sum(podlib.available_in_ms(pod, seconds, now_ms) == 0 for pod in ready),
        }
        conditions = before.get("conditions") or []
        if failure is not None and not any(found["type"] == "ReplicaFailure" for found in conditions):
            reason = "FailedCreate" if len(active) < spec.get("replicas", 1) else "FailedDelete"
            conditions = written(conditions, "ReplicaFailure", "True", reason, str(failure), text_of(now_ms))
        elif failure is None:
            conditions = without(conditions, "ReplicaFailure")
        status = {
            "replicas": counts.pop("replicas"), **{name: count for name, count in counts.items() if count},
            **({"terminatingReplicas": terminating} if self.tells_terminating else {}),
            "observedGeneration": owner["metadata"].get("generation", 0),
            **({"conditions": conditions} if conditions else {}),
        }  # fmt: skip
        return None if status == {"replicas": 0, **before} else status


class ReplicationController(ReplicaSet):
    """``replicationcontroller-controller``."""

    name: ClassVar = "replicationcontroller-controller"
    aliases: ClassVar = ("replicationcontroller",)
    component: ClassVar = "replication-controller"
    resource: ClassVar[str] = "replicationcontrollers"
    kind: ClassVar[str] = "ReplicationController"
    api_version: ClassVar[str] = "v1"
    tells_terminating: ClassVar[bool] = False

    def _selector(self, owner: Object) -> Selector:
        return selector_of({"matchLabels": owner["spec"].get("selector") or {}})


def _looks_different(old: Object | None, new: Object) -> bool:
    """The labels or the controller of a pod are other than they were."""
    if old is None:
        return True
    return old["metadata"].get("labels") != new["metadata"].get("labels") or controller_of(
        old
    ) != controller_of(new)


def _next_look(owner: Object, active: Sequence[Object], now_ms: int) -> int | None:
    """When the next ready pod becomes available."""
    seconds = owner["spec"].get("minReadySeconds", 0)
    if not seconds:
        return None
    waiting = [left for pod in active if (left := podlib.available_in_ms(pod, seconds, now_ms))]
    return min(waiting) if waiting else None
