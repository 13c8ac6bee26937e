"""Good objects to spoil, and one way to write each: as the registry would."""

from __future__ import annotations

import copy
from typing import Any

from kcore.api.kinds import STRATEGIES
from kcore.api.strategy import Context

Object = dict[str, Any]

CONTEXT = Context(now="2026-01-01T00:00:00Z", namespace="default")


def pod(**spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [container()], **spec},
    }


def container(**fields: Any) -> Object:
    return {"name": "c", "image": "nginx:1.27", **fields}


def template(**spec: Any) -> Object:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container()], **spec}}


def workload(kind: str, group: str = "apps", **spec: Any) -> Object:
    return {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": "web", "namespace": "default", "uid": "u-1"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template(), **spec},
    }


def job(**spec: Any) -> Object:
    made = workload("Job", "batch", template=template(restartPolicy="Never"), **spec)
    del made["spec"]["selector"]
    return made


def cron_job(**spec: Any) -> Object:
    made = job()
    inner = {"spec": made["spec"]}
    made |= {"kind": "CronJob", "spec": {"schedule": "*/5 * * * *", "jobTemplate": inner, **spec}}
    return made


def autoscaler(**spec: Any) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 3, **spec},
    }


def budget(**spec: Any) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}, **spec},
    }


def controller(**spec: Any) -> Object:
    made = workload("ReplicationController", **spec)
    made |= {"apiVersion": "v1"}
    made["spec"].setdefault("selector", {})
    if "matchLabels" in made["spec"]["selector"]:
        made["spec"]["selector"] = {"app": "web"}
    return made


def pod_template() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "web", "namespace": "default"},
        "template": template(),
    }


def revision() -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "web-1", "namespace": "default"},
        "data": {"spec": {}},
        "revision": 1,
    }


GOOD: dict[tuple[str, str], Object] = {
    ("", "Pod"): pod(),
    ("", "PodTemplate"): pod_template(),
    ("", "ReplicationController"): controller(),
    ("apps", "ControllerRevision"): revision(),
    ("apps", "DaemonSet"): workload("DaemonSet"),
    ("apps", "Deployment"): workload("Deployment"),
    ("apps", "ReplicaSet"): workload("ReplicaSet"),
    ("apps", "StatefulSet"): workload("StatefulSet", serviceName="web"),
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaler(),
    ("batch", "CronJob"): cron_job(),
    ("batch", "Job"): job(),
    ("policy", "PodDisruptionBudget"): budget(),
}


def key_of(obj: Object) -> tuple[str, str]:
    return obj["apiVersion"].rpartition("/")[0], obj["kind"]


def created(obj: Object) -> Object:
    """The object as it is stored, whatever is wrong with it."""
    made = copy.deepcopy(obj)
    strategy = STRATEGIES[key_of(made)]
    strategy.default(made)
    strategy.prepare_for_create(made, CONTEXT)
    return made


def faults_of(obj: Object) -> list[str]:
    """The messages of a create."""
    return [error.text for error in STRATEGIES[key_of(obj)].validate(created(obj), CONTEXT)]


def warnings_of(obj: Object) -> list[str]:
    """The warnings of a create."""
    return STRATEGIES[key_of(obj)].warnings(created(obj), CONTEXT)


def updated(obj: Object, change: Any, subresource: str = "") -> tuple[Object, list[str]]:
    """The object after an update, with its messages; ``change`` is applied to a copy of what is stored."""
    old = created(obj)
    old["metadata"]["resourceVersion"] = "1"
    return updated_from(old, change, subresource)


def updated_from(old: Object, change: Any, subresource: str = "") -> tuple[Object, list[str]]:
    """The same from a stored object."""
    strategy = STRATEGIES[key_of(old)]
    before = copy.deepcopy(old)
    new = copy.deepcopy(old)
    change(new)
    strategy.default(new)
    way = strategy.subresources[subresource] if subresource else strategy
    way.prepare_for_update(new, old, CONTEXT)
    faults = [error.text for error in way.validate_update(new, old, CONTEXT)]
    assert old == before, "the old object was changed"
    return new, faults
