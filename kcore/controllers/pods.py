"""What controllers ask of a pod, the pods that templates make, and which of several goes first.

Source: pkg/controller/controller_utils.go, pkg/api/v1/pod/util.go of Kubernetes 1.36.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kcore.api.selectors import int64
from kcore.controllers.contract import Object
from kcore.controllers.times import ms_of, text_of

DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
PHASES: Final = {"": 0, "Pending": 0, "Unknown": 1, "Running": 2}


def is_active(pod: Object) -> bool:
    """Not finished, and not being deleted."""
    return (
        pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and "deletionTimestamp" not in pod["metadata"]
    )


def is_terminating(pod: Object) -> bool:
    """Being deleted, and not finished."""
    return (
        pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and "deletionTimestamp" in pod["metadata"]
    )


def condition(obj: Object, kind: str) -> Object | None:
    """The condition of that type in the object's status."""
    for found in obj.get("status", {}).get("conditions") or ():
        if found["type"] == kind:
            made: Object = found
            return made
    return None


def is_ready(pod: Object) -> bool:
    """Its Ready condition is True."""
    found = condition(pod, "Ready")
    return found is not None and found["status"] == "True"


def ready_since_ms(pod: Object) -> int | None:
    """When it became ready; None where it is not, or does not say."""
    found = condition(pod, "Ready")
    if found is None or found["status"] != "True":
        return None
    return ms_of(found.get("lastTransitionTime"))


def available_in_ms(pod: Object, min_ready_seconds: int, now_ms: int) -> int | None:
    """0 where it has been ready for so long, the time that is left where not yet, None where it is not ready."""
    if not is_ready(pod):
        return None
    if not min_ready_seconds:
        return 0
    since = ready_since_ms(pod)
    if since is None:
        return None
    return max(0, since + min_ready_seconds * 1000 - now_ms)


def from_template(template: Object, owner: Object, reference: Object) -> Object:
    """The pod that the template makes, with a name generated from its owner's and that owner reference."""
    told = template.get("metadata") or {}
    name: str = owner["metadata"]["name"]
    metadata: dict[str, Any] = {
        "generateName": name + "-", "namespace": owner["metadata"]["namespace"],
        "labels": dict(told.get("labels") or {}), "annotations": dict(told.get("annotations") or {}),
        "finalizers": list(told.get("finalizers") or ()), "ownerReferences": [reference],
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {key: value for key, value in metadata.items() if value},
        "spec": template["spec"],
    }  # fmt: skip


def deletion_order(pods: Sequence[Object], related: Iterable[Object], now_ms: int) -> list[Object]:
    """Those first that are better deleted: unassigned, pending, not ready, cheap, doubled up on a node, young.

    ``related`` are pods whose ready ones on a node count for its rank. Source: ActivePodsWithRanks.
    """
    on_node = Counter(pod["spec"].get("nodeName", "") for pod in related if is_active(pod))
    facts = [_Facts(pod, on_node[pod["spec"].get("nodeName", "")], now_ms) for pod in pods]
    facts.sort(key=functools.cmp_to_key(_compare))
    return [fact.pod for fact in facts]


def active_order(pods: Iterable[Object]) -> list[Object]:
    """Those first that are better deleted: unassigned, pending, not ready, ready for a short time, restarted, young.

    Source: ActivePods.
    """

    def young(since_ms: int | None) -> tuple[bool, int]:
        return since_ms is not None, -(since_ms or 0)

    def rank(pod: Object) -> tuple[Any, ...]:
        ready = is_ready(pod)
        most, sidecars = restarts(pod)
        return (
            bool(pod["spec"].get("nodeName")), PHASES.get(pod.get("status", {}).get("phase", ""), 0), ready,
            young(ready_since_ms(pod)) if ready else (), -most, -sidecars,
            young(ms_of(pod["metadata"].get("creationTimestamp"))),
        )  # fmt: skip

    return sorted(pods, key=rank)


class _Facts:
    __slots__ = (
        "cost",
        "created",
        "node",
        "now_ms",
        "phase",
        "pod",
        "rank",
        "ready",
        "ready_since",
        "restarts",
        "uid",
    )

    def __init__(self, pod: Object, rank: int, now_ms: int) -> None:
        metadata, status = pod["metadata"], pod.get("status", {})
        self.pod = pod
        self.rank = rank
        self.now_ms = now_ms
        self.uid: str = metadata["uid"]
        self.node = bool(pod["spec"].get("nodeName"))
        self.phase = PHASES.get(status.get("phase", ""), 0)
        self.ready = is_ready(pod)
        self.ready_since = ready_since_ms(pod) if self.ready else None
        self.created = ms_of(metadata.get("creationTimestamp"))
        self.cost = deletion_cost(metadata.get("annotations") or {})
        self.restarts = restarts(pod)


def deletion_cost(annotations: Mapping[str, str]) -> int:
    """What the annotation says; 0 where it is none of Go's 32-bit integers without a leading + or 0."""
    text = annotations.get(DELETION_COST)
    value = int64(text) if text else None
    if text is None or value is None or not -(2**31) <= value < 2**31:
        return 0
    if text[0] == "+" or (text[0] == "0" and text != "0"):
        return 0
    return value


def restarts(pod: Object) -> tuple[int, int]:
    """The most of a container, and of a sidecar."""
    status = pod.get("status", {})
    sidecars = {
        container["name"]
        for container in pod["spec"].get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    of = [found.get("restartCount", 0) for found in status.get("containerStatuses") or ()]
    beside = [
        found.get("restartCount", 0)
        for found in status.get("initContainerStatuses") or ()
        if found["name"] in sidecars
    ]
    return max(of, default=0), max(beside, default=0)


def _compare(a: _Facts, b: _Facts) -> int:
    """Negative where ``a`` is better deleted."""
    if a.node != b.node:
        return 1 if a.node else -1
    if a.phase != b.phase:
        return a.phase - b.phase
    if a.ready != b.ready:
        return 1 if a.ready else -1
    if a.cost != b.cost:
        return -1 if a.cost < b.cost else 1
    if a.rank != b.rank:
        return b.rank - a.rank
    if a.ready and b.ready and a.ready_since != b.ready_since:
        return _by_age(a, b, a.ready_since, b.ready_since)
    if a.restarts != b.restarts:
        return -1 if a.restarts > b.restarts else 1
    if a.created != b.created:
        return _by_age(a, b, a.created, b.created)
    return 0


def _by_age(a: _Facts, b: _Facts, since_a: int | None, since_b: int | None) -> int:
    """The younger first, by powers of two of the age in nanoseconds; of one power by uid. No time is the youngest."""
    if since_a is None or since_b is None:
        return -1 if since_a is None else 1
    difference = _power(a.now_ms - since_a) - _power(b.now_ms - since_b)
    if difference:
        return difference
    return -1 if a.uid < b.uid else 1


def _power(age_ms: int) -> int:
    return int(math.log2(age_ms * 1e6)) if age_ms > 0 else -1


def changed_condition(pod: Object, wanted: Object, now_ms: int) -> Object | None:
    """The condition to write, with its time; None where the pod has it (UpdatePodCondition)."""
    found = condition(pod, wanted["type"])
    made: Object = {**wanted, "lastTransitionTime": text_of(now_ms)}
    if found is not None:
        if found["status"] == made["status"]:
            made["lastTransitionTime"] = found.get("lastTransitionTime")
        if {name: found.get(name) for name in made} == made:
            return None
    return made
