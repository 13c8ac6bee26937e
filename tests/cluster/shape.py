"""A namespace at rest without what differs from run to run: names by chance, uids, versions, times."""

from __future__ import annotations

import collections
from typing import Any, Final

from tests.cluster.judge import INDEX, Judge

Object = dict[str, Any]

PARTS: Final = (
    "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "poddisruptionbudgets", "resourcequotas",
    "configmaps", "services/specs",
)  # fmt: skip
LEFT_OUT: Final = frozenset({
    "observedGeneration", "startTime", "completionTime", "lastScheduleTime", "lastSuccessfulTime", "disruptedPods",
    "currentRevision", "updateRevision", "collisionCount", "conditions", "terminatingReplicas", "terminating",
})  # fmt: skip


def shape_of(judge: Judge, namespace: str) -> dict[str, Any]:
    """What two runs have in common once they rest."""
    shape: dict[str, Any] = {}
    pods = collections.Counter(_pod(judge, namespace, pod) for pod in judge.pods[namespace].values())
    shape["pods"] = dict(sorted(pods.items()))
    for (folder, space, name), obj in sorted(judge.objects.items()):
        if space == namespace and folder in PARTS and name != "kube-root-ca.crt":
            if (
                folder == "replicasets"
            ):  # the hash in its name may be another: of an owner's that was gone a moment before
                image = obj["spec"]["template"]["spec"]["containers"][0]["image"]
                name = f"{name.rpartition('-')[0] or name} {image}"
            shape[f"{folder}/{name}"] = _object(obj)
        elif folder == "namespaces" and name == namespace:
            shape["phase"] = obj["status"]["phase"]
    shape["endpoints"] = sum(
        len(obj["endpoints"] or ())
        for (folder, space, _), obj in judge.objects.items()
        if space == namespace and folder == "endpointslices"
    )
    return shape


def _pod(judge: Judge, namespace: str, pod: Object) -> str:
    metadata, spec, status = pod["metadata"], pod["spec"], pod["status"]
    owners = [each for each in metadata.get("ownerReferences") or () if each.get("controller")]
    owner = f"{owners[0]['kind']}/{owners[0]['name']}" if owners else ""
    if owner.startswith("ReplicaSet/"):
        owner = "ReplicaSet"
    place = ""
    if owner.startswith("StatefulSet/") or not owner:
        place = metadata["name"]
    elif owner.startswith("DaemonSet/"):
        place = spec.get("nodeName", "")
    elif owner.startswith("Job/"):
        place = metadata.get("annotations", {}).get(INDEX, "")
    ready = any(
        each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or ()
    )
    bound = "bound" if spec.get("nodeName") else "waits"
    going = " going" if "deletionTimestamp" in metadata else ""
    image = spec["containers"][0]["image"]
    return f"{owner} {place} {image} {status.get('phase')} {'ready' if ready else 'not ready'} {bound}{going}"


def _object(obj: Object) -> Object:
    status = obj.get("status") or {}
    made: Object = {
        name: value for name, value in status.items() if name not in LEFT_OUT and value not in (0, None, {})
    }
    conditions = sorted(
        f"{each['type']}={each['status']}"
        for each in status.get("conditions") or ()
        if each["type"] != "Progressing"
    )
    if conditions:
        made["conditions"] = conditions
    if "observedGeneration" in status:
        made["observed"] = status["observedGeneration"] == obj["metadata"].get("generation")
    if "replicas" in (obj.get("spec") or {}):
        made["wanted"] = obj["spec"]["replicas"]
    made["owned"] = sorted(each["kind"] for each in obj["metadata"].get("ownerReferences") or ())
    if finalizers := obj["metadata"].get("finalizers"):
        made["finalizers"] = finalizers
    if obj.get("data"):
        made["data"] = obj["data"]
    return made
