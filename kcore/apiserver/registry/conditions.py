"""Conditions of pods.

Source: pkg/api/v1/pod/util.go (UpdatePodCondition) of Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.apiserver.operation import Object


def set_pod_condition(pod: Object, condition: Object, now: str) -> None:
    """The pod has the condition; its transition time is ``now`` where its status changed."""
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    made = {"lastTransitionTime": now, **condition}
    for index, found in enumerate(conditions):
        if found["type"] == condition["type"]:
            if found.get("status") == condition["status"]:
                made["lastTransitionTime"] = found.get("lastTransitionTime") or now
            conditions[index] = made
            return
    conditions.append(made)


def pod_is_ready(pod: Object) -> bool:
    """True where the pod's Ready condition says so."""
    for each in (pod.get("status") or {}).get("conditions") or ():
        if each["type"] == "Ready":
            return bool(each["status"] == "True")
    return False
