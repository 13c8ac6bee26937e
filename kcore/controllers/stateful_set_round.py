"""One look at a stateful set: pods are made, mended, deleted in order, and rolled to the new revision.

Source: pkg/controller/statefulset/stateful_set_control.go, stateful_pod_control.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from kcore.api.status import ApiError
from kcore.controllers import stateful_set_claims as claims
from kcore.controllers import stateful_set_pods as setpods
from kcore.controllers.contract import Create, Delete, Failed, Object, Steps, Tell, Update, View, together
from kcore.controllers.controller_revisions import template_of

BURST: Final = 500  # pods that are looked after at once (MaxBatchSize)


class Round:
    """See the module. A pod of ``replicas`` without a status is still to be created."""

    def __init__(
        self, stateful_set: Object, pods: Sequence[Object], current: Object, update: Object, view: View, now_ms: int
    ) -> None:  # fmt: skip
        self.set = stateful_set
        self.pods = pods
        self.current = current
        self.update = update
        self.view = view
        self.now_ms = now_ms
        self.update_set = _with_template(stateful_set, template_of(update))
        self.in_order = stateful_set["spec"].get("podManagementPolicy") != "Parallel"
        self.strategy: Object = stateful_set["spec"].get("updateStrategy") or {}
        first = setpods.start(stateful_set)
        by_ordinal = {setpods.ordinal(pod): pod for pod in pods}
        wanted = range(first, first + setpods.replicas(stateful_set))
        self.replicas = [by_ordinal.get(number) or self._new_pod(number) for number in wanted]
        self.condemned = sorted(
            (pod for pod in pods if setpods.ordinal(pod) >= 0 and setpods.ordinal(pod) not in wanted),
            key=setpods.ordinal, reverse=True,
        )  # fmt: skip
        unavailable = filter(self.is_unavailable, [*self.replicas, *reversed(self.condemned)])
        self.first_unavailable = next(unavailable, None)
        self.rolled = 0

    def is_unavailable(self, pod: Object) -> bool:
        """Not available, or going."""
        return setpods.is_unavailable(pod, self.set, self.now_ms)

    def _new_pod(self, number: int) -> Object:
        """By the current revision below the partition, by the new one otherwise."""
        rolling = self.strategy.get("rollingUpdate")
        first = setpods.start(self.set)
        if rolling is not None:
            is_old = number < first + rolling.get("partition", 0)
        else:
            count = (self.set.get("status") or {}).get("currentReplicas", 0)
            is_old = self.strategy.get("type") == "RollingUpdate" and number < first + count
        of = self.current if is_old else self.update
        return setpods.made(self.set, template_of(of), of["metadata"]["name"], number)

    # -- the status -------------------------------------------------------------------------------------------------
    def counts(self, *, as_looked_after: bool) -> dict[str, int]:
        """How many pods there are of each sort."""
        pods = [*self.replicas, *self.condemned] if as_looked_after else self.pods
        created = [pod for pod in pods if setpods.phase(pod)]
        ready = [pod for pod in pods if setpods.is_running_and_ready(pod)]
        staying = [setpods.revision(pod) for pod in created if not setpods.is_going(pod)]
        return {
            "replicas": len(created),
            "readyReplicas": len(ready),
            "availableReplicas": sum(setpods.is_available(pod, self.set, self.now_ms) for pod in ready),
            "currentReplicas": staying.count(self.current["metadata"]["name"]) - self.rolled,
            "updatedReplicas": staying.count(self.update["metadata"]["name"]),
        }

    # -- the steps --------------------------------------------------------------------------------------------------
    def steps(self) -> Steps:
        """All that can be done now; in an ordered set up to the first pod that is to be waited for."""
        if "deletionTimestamp" in self.set["metadata"]:
            return None
        if (yield from self._each(self.replicas, self._looked_after)):
            return None
        if (yield from self._each(self.condemned, self._claims_mended)):
            return None
        if (yield from self._each(self.condemned, self._condemned)):
            return None
        if self.strategy.get("type") != "OnDelete":
            yield from self._rolled()
        return None

    def _each(self, pods: Sequence[Object], step: Callable[[Object], Any]) -> Any:
        """Whether to stop there: in an ordered set where a pod says so; in another where one has failed."""
        if self.in_order:
            for pod in pods:
                if (yield from step(pod)):
                    return True
            return False
        done, size = 0, 1
        while done < len(pods):
            batch = pods[done : done + size]
            ends = yield from together([step(pod) for pod in batch])
            failures = [str(end) for end in ends if isinstance(end, Failed)]
            if failures:
                raise Failed(failures[0] if len(failures) == 1 else f"[{', '.join(failures)}]")
            done, size = done + len(batch), min(2 * size, BURST)
        return False

    def _looked_after(self, pod: Object) -> Any:
        """One pod that there is to be; whether those after it have to wait for it (processReplica)."""
        phase = setpods.phase(pod)
        if phase in ("Failed", "Succeeded"):
            if not setpods.is_going(pod):
                yield from self._deleted(pod)
            return True
        if not phase:
            if claims.is_stale(self.view, self.set, pod):
                return True
            yield from self._created(pod)
            if self.in_order:
                return True
        if phase == "Pending":
            yield from claims.created(self.view, self.set, pod)
            yield from self._updating(pod, claims.brought_up_to_date(self.view, self.set, pod))
        if self.in_order and (
            setpods.is_going(pod)
            or not setpods.is_running_and_ready(pod)
            or not setpods.is_available(pod, self.set, self.now_ms)
        ):
            return True
        yield from self._mended(pod)
        return False

    def _created(self, pod: Object) -> Steps:
        try:
            yield from claims.created(self.view, self.set, pod)
        except Failed as error:
            yield [self._told("Create", pod, str(error))]
            raise
        (outcome,) = yield [Create("pods", pod)]
        failure = str(outcome) if isinstance(outcome, ApiError) else ""
        if isinstance(outcome, ApiError) and outcome.reason == "AlreadyExists":
            raise Failed(failure) from outcome
        yield from self._updating(pod, claims.brought_up_to_date(self.view, self.set, pod))
        yield [self._told("Create", pod, failure)]
        if failure:
            raise Failed(failure)
        return None

    def _mended(self, pod: Object) -> Steps:
        """Its identity, its volumes and the owners of its claims are as they should be (UpdateStatefulPod)."""
        update_set, changed = self.update_set, pod
        if not setpods.identity_matches(update_set, pod):
            changed = setpods.with_identity(update_set, changed)
        if not setpods.storage_matches(update_set, pod):
            changed = setpods.with_storage(update_set, changed)
            yield from self._updating(pod, claims.created(self.view, update_set, pod))
        matches = claims.match_policy(self.view, update_set, pod)
        if not matches:
            yield from self._updating(pod, claims.brought_up_to_date(self.view, update_set, pod))
        if (matches and changed is pod) or not setpods.phase(pod):
            return None
        (outcome,) = yield [Update("pods", changed)]
        failure = str(outcome) if isinstance(outcome, ApiError) else ""
        yield [self._told("Update", pod, failure)]
        if failure:
            raise Failed(failure)
        return None

    def _updating(self, pod: Object, steps: Steps) -> Steps:
        """The steps; an event tells of their failure."""
        try:
            yield from steps
        except Failed as error:
            yield [self._told("Update", pod, str(error))]
            raise
        return None

    def _deleted(self, pod: Object) -> Steps:
        metadata = pod["metadata"]
        (outcome,) = yield [Delete("pods", metadata["namespace"], metadata["name"], metadata["uid"])]
        failure = str(outcome) if isinstance(outcome, ApiError) and outcome.code != 404 else ""
        yield [self._told("Delete", pod, failure)]
        if failure:
            raise Failed(failure)
        return None

    def _told(self, verb: str, pod: Object, failure: str) -> Tell:
        what = f"{verb} Pod {pod['metadata']['name']} in StatefulSet {self.set['metadata']['name']}"
        if failure:
            return Tell(self.set, "Warning", f"Failed{verb}", f"{what} failed error: {failure}")
        return Tell(self.set, "Normal", f"Successful{verb}", f"{what} successful")

    def _claims_mended(self, pod: Object) -> Any:
        if not claims.match_policy(self.view, self.update_set, pod):
            yield from claims.brought_up_to_date(self.view, self.update_set, pod)
        return False

    def _condemned(self, pod: Object) -> Any:
        """One pod that there is to be no more (processCondemned)."""
        if setpods.is_going(pod):
            return self.in_order
        if (
            self.in_order
            and pod is not self.first_unavailable
            and not (setpods.is_running_and_ready(pod) and setpods.is_available(pod, self.set, self.now_ms))
        ):
            return True
        yield from self._deleted(pod)
        return True

    def _rolled(self) -> Steps:
        """Pods of other revisions are deleted from the highest ordinal to the partition: one that is missed at a time."""
        rolling = self.strategy.get("rollingUpdate") or {}
        partition: int = rolling.get("partition", 0)
        targets = list(reversed(self.replicas[partition:]))
        if rolling.get("maxUnavailable") is not None:
            yield from self._rolled_several(targets, rolling["maxUnavailable"])
            return None
        for pod in targets:
            if self._is_old(pod):
                yield from self._deleted(pod)
                self.rolled += 1
                return None
            if self.is_unavailable(pod):
                return None
        return None

    def _rolled_several(self, targets: Sequence[Object], most: int | str) -> Steps:
        allowed = max_unavailable(most, len(self.replicas)) - sum(map(self.is_unavailable, self.replicas))
        for pod in [each for each in targets if self._is_old(each)][: max(0, allowed)]:
            yield from self._deleted(pod)
            self.rolled += 1
        return None

    def _is_old(self, pod: Object) -> bool:
        return setpods.revision(pod) != self.update["metadata"]["name"] and not setpods.is_going(pod)


def max_unavailable(most: int | str, count: int) -> int:
    """A number, or a share of the count rounded down; at least 1."""
    number = most if isinstance(most, int) else count * int(most.removesuffix("%")) // 100
    return max(1, number)


def _with_template(stateful_set: Object, template: Object) -> Object:
    return {**stateful_set, "spec": {**stateful_set["spec"], "template": template}}
