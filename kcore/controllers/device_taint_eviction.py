"""Pods that use a device with a NoExecute taint which their claim does not tolerate go, when the time of it is over.

Taints are those of ResourceSlices; DeviceTaintRules are off by default upstream, and not served here. Source:
pkg/controller/devicetainteviction, dynamic-resource-allocation resourceclaim/devicetoleration.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterable, Sequence
from typing import Any, ClassVar, Final

from kcore.api.status import ApiError
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
from kcore.controllers.pod_resource_claims import claim_of, entries, stranger
from kcore.controllers.pods import changed_condition
from kcore.controllers.times import ms_of

CLAIMS: Final = "resourceclaims.resource.k8s.io"
SLICES: Final = "resourceslices.resource.k8s.io"
NO_EXECUTE: Final = "NoExecute"
REASON: Final = "DeviceTaintManagerEviction"
EVICTED_MAX: Final = 500  # pods that are remembered
CONDITION: Final[Object] = {
    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByDeviceTaintManager",
    "message": "Device Taint manager: deleting due to NoExecute taint",
}  # fmt: skip
Doing = Generator[Sequence[Action], list[Outcome], Any]


class DeviceTaintEviction(Controller):
    """``device-taint-eviction-controller``."""

    name: ClassVar = "device-taint-eviction-controller"
    component: ClassVar = "device-taint-eviction-controller"
    workers: ClassVar[int] = 10

    def __init__(self) -> None:
        self._planned: set[Key] = set()  # pods that are to go
        self._evicted: OrderedDict[str, None] = OrderedDict()

    @property
    def watches(self) -> Sequence[Watched]:
        """Claims, the slices whose devices they have, and the pods that use them."""
        return (
            Watched("pods", self._pod_keys),
            Watched(CLAIMS, _claim_keys, {"pool": _pools_of_claim}),
            Watched(SLICES, _slice_keys, {"pool": lambda found: (_pool_of(found),)}),
        )

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        pod = new if new is not None else old
        assert pod is not None
        if not entries(pod):
            return
        key = _key(pod)
        if new is None:
            self._planned.discard(key)
        elif old is None or _matters(old) != _matters(new):
            yield key

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The pod is going if its time is over; else it is known when that will be."""
        pod = view.get("pods", *key)
        if pod is None:
            return None
        at_ms = eviction_ms(pod, view)
        if at_ms is None:
            if key in self._planned:
                self._planned.discard(key)
                yield [Tell(_about(pod), "Normal", REASON, "Cancelling deletion")]
            return None
        uid = pod["metadata"]["uid"]
        if uid in self._evicted:
            return None
        self._planned.add(key)
        if now_ms < at_ms:
            return at_ms - now_ms
        yield from _evicted(pod, now_ms)
        self._planned.discard(key)
        self._evicted[uid] = None
        if len(self._evicted) > EVICTED_MAX:
            self._evicted.popitem(last=False)
        return None


def eviction_ms(pod: Object, view: View) -> int | None:
    """When the pod is to go for the sake of its devices; None: never (podEvictionTime)."""
    if not pod["spec"].get("nodeName"):
        return None
    namespace, times = pod["metadata"]["namespace"], []
    for entry in entries(pod):
        name = claim_of(pod, entry)
        claim = view.get(CLAIMS, namespace, name) if name else None
        if claim is None or (entry.get("resourceClaimName") is None and stranger(pod, claim)):
            continue
        status = claim.get("status") or {}
        uid = pod["metadata"]["uid"]
        if "allocation" in status and any(each["uid"] == uid for each in status.get("reservedFor") or ()):
            times.append(_claim_ms(status["allocation"], view))
    return min((each for each in times if each is not None), default=None)


def _claim_ms(allocation: Object, view: View) -> int | None:
    """Source: claimEvictionTime."""
    times = []
    for result in (allocation.get("devices") or {}).get("results") or ():
        for taint in _taints(result, view):
            added_ms = ms_of(taint.get("timeAdded"))
            seconds = _tolerated_s(taint, result.get("tolerations") or ())
            if seconds is not None and added_ms is not None:
                times.append(added_ms + seconds * 1000)
    return min(times, default=None)


def _taints(result: Object, view: View) -> Iterable[Object]:
    """Taints that evict, of the device in its pool's newest generation."""
    slices = view.by(SLICES, "pool", f"{result['driver']}/{result['pool']}")
    newest = max((_generation(found) for found in slices), default=0)
    for found in slices:
        if _generation(found) != newest:
            continue
        for device in found["spec"].get("devices") or ():
            if device["name"] == result["device"]:
                return [taint for taint in device.get("taints") or () if taint["effect"] == NO_EXECUTE]
    return ()


def _generation(found: Object) -> int:
    return int(found["spec"]["pool"].get("generation") or 0)


def _tolerated_s(taint: Object, tolerations: Iterable[Object]) -> int | None:
    """How long the taint is tolerated; 0 where it is not, None for ever."""
    least = None
    for each in tolerations:
        if each.get("effect") != NO_EXECUTE or not tolerates(each, taint):
            continue
        if each.get("tolerationSeconds") is None:
            return None
        seconds = max(0, int(each["tolerationSeconds"]))
        least = seconds if least is None else min(least, seconds)
    return 0 if least is None else least


def tolerates(toleration: Object, taint: Object) -> bool:
    """Source: ToleratesTaint."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Equal":
        return (toleration.get("value") or "") == (taint.get("value") or "")
    return bool(operator == "Exists")


def _evicted(pod: Object, now_ms: int) -> Doing:
    """The pod says why it goes, and is asked to; one that is gone or going is left alone."""
    key, uid = _key(pod), pod["metadata"]["uid"]
    (found,) = yield [Read("pods", *key)]
    if isinstance(found, ApiError) and found.code != 404:
        raise Failed(str(found)) from found
    if (
        not isinstance(found, dict)
        or found["metadata"]["uid"] != uid
        or "deletionTimestamp" in found["metadata"]
    ):
        return
    yield [Tell(_about(pod), "Normal", REASON, "Marking for deletion")]
    actions: list[Action] = [Delete("pods", *key, uid)]
    wanted = changed_condition(found, CONDITION, now_ms)
    if wanted is not None:
        body = {"metadata": {"uid": uid}, "status": {"conditions": [wanted]}}
        actions.insert(0, Patch("pods", *key, body, "strategic", "status"))
    for action in actions:
        (outcome,) = yield [action]
        if isinstance(outcome, ApiError):
            if outcome.code == 404:
                return
            raise Failed(str(outcome)) from outcome


def _about(pod: Object) -> Object:
    metadata = {name: pod["metadata"][name] for name in ("namespace", "name", "uid")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def _key(pod: Object) -> Key:
    return Key(pod["metadata"]["namespace"], pod["metadata"]["name"])


def _matters(pod: Object) -> tuple[Any, ...]:
    status = pod.get("status") or {}
    return pod["metadata"]["uid"], pod["spec"].get("nodeName"), status.get("resourceClaimStatuses")


def _pool_of(found: Object) -> str:
    return f"{found['spec']['driver']}/{found['spec']['pool']['name']}"


def _pools_of_claim(claim: Object) -> Iterable[str]:
    """Index: DRIVER/POOL of each device that the claim has."""
    devices = ((claim.get("status") or {}).get("allocation") or {}).get("devices") or {}
    return {f"{each['driver']}/{each['pool']}" for each in devices.get("results") or ()}


def _claim_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    """The pods that it is reserved for, or was."""
    for claim in (old, new):
        if claim is not None:
            for consumer in (claim.get("status") or {}).get("reservedFor") or ():
                if not consumer.get("apiGroup") and consumer["resource"] == "pods":
                    yield Key(claim["metadata"]["namespace"], consumer["name"])


def _slice_keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    """Pods whose claims have devices of its pool."""
    for pool in {_pool_of(found) for found in (old, new) if found is not None}:
        for claim in view.by(CLAIMS, "pool", pool):
            yield from _claim_keys(None, claim, view)
