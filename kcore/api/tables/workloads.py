"""The tables of what runs pods. Source: pkg/printers/internalversion/printers.go of Kubernetes 1.36."""

from __future__ import annotations

from typing import Any, Final

import orjson

from kcore.api.tables.cells import (
    NONE,
    UNKNOWN,
    UNSET,
    Object,
    age,
    containers,
    human_duration,
    is_deleted,
    is_true,
    labels,
    name,
    part,
    quantity,
    selector,
    selector_text,
    since,
)
from kcore_native.rfc3339 import seconds_of

METRICS_SHOWN_MAX: Final = 2

# the first of these conditions that is true is a job's status; a deletion stands between the second and the third
JOB_ENDS: Final = (("Complete", "Complete"), ("Failed", "Failed"))
JOB_CONDITIONS: Final = (
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)


def pod_template(obj: Object, now: float) -> list[Any]:
    """The cells of a PodTemplate."""
    template = part(obj, "template")
    return [name(obj), *containers(part(template, "spec")), labels(part(template, "metadata").get("labels"))]


def pod_disruption_budget(obj: Object, now: float) -> list[Any]:
    """The cells of a PodDisruptionBudget."""
    spec = part(obj, "spec")
    return [
        name(obj),
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        part(obj, "status").get("disruptionsAllowed", 0),
        age(obj, now),
    ]


def _replicas(obj: Object) -> list[Any]:
    status = part(obj, "status")
    return [
        name(obj),
        part(obj, "spec").get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
    ]


def replication_controller(obj: Object, now: float) -> list[Any]:
    """The cells of a ReplicationController."""
    spec = part(obj, "spec")
    return [
        *_replicas(obj), age(obj, now), *containers(part(spec, "template", "spec")), labels(spec.get("selector")),
    ]  # fmt: skip


def replica_set(obj: Object, now: float) -> list[Any]:
    """The cells of a ReplicaSet."""
    spec = part(obj, "spec")
    return [
        *_replicas(obj), age(obj, now), *containers(part(spec, "template", "spec")), selector(spec.get("selector")),
    ]  # fmt: skip


def deployment(obj: Object, now: float) -> list[Any]:
    """The cells of a Deployment."""
    spec, status = part(obj, "spec"), part(obj, "status")
    text = selector_text(spec.get("selector"))
    return [
        name(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(obj, now),
        *containers(part(spec, "template", "spec")),
        "<invalid>" if text is None else text,
    ]


def stateful_set(obj: Object, now: float) -> list[Any]:
    """The cells of a StatefulSet."""
    spec = part(obj, "spec")
    ready = part(obj, "status").get("readyReplicas", 0)
    return [
        name(obj), f"{ready}/{spec.get('replicas', 0)}", age(obj, now), *containers(part(spec, "template", "spec")),
    ]  # fmt: skip


def daemon_set(obj: Object, now: float) -> list[Any]:
    """The cells of a DaemonSet."""
    spec, status = part(obj, "spec"), part(obj, "status")
    pod = part(spec, "template", "spec")
    return [
        name(obj),
        status.get("desiredNumberScheduled", 0),
        status.get("currentNumberScheduled", 0),
        status.get("numberReady", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        labels(pod.get("nodeSelector")),
        age(obj, now),
        *containers(pod),
        selector(spec.get("selector")),
    ]


def controller_revision(obj: Object, now: float) -> list[Any]:
    """The cells of a ControllerRevision."""
    owners = part(obj, "metadata").get("ownerReferences") or ()
    owner = next((each for each in owners if each.get("controller")), None)
    controller = NONE
    if owner is not None:
        group = owner.get("apiVersion", "").rpartition("/")[0]
        kind = owner.get("kind", "")
        kind = f"{kind}.{group}".lower() if group else kind.lower()
        controller = f"{kind}/{owner.get('name', '')}" if kind else owner.get("name", "")
    return [name(obj), controller, obj.get("revision", 0), age(obj, now)]


def _job_status(obj: Object) -> str:
    conditions = part(obj, "status").get("conditions")
    for kind, text in JOB_ENDS:
        if is_true(conditions, kind):
            return text
    if is_deleted(obj):
        return "Terminating"
    return next((text for kind, text in JOB_CONDITIONS if is_true(conditions, kind)), "Running")


def job(obj: Object, now: float) -> list[Any]:
    """The cells of a Job."""
    spec, status = part(obj, "spec"), part(obj, "status")
    succeeded = status.get("succeeded", 0)
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    elif (parallelism := spec.get("parallelism") or 0) > 1:
        completions = f"{succeeded}/1 of {parallelism}"
    else:
        completions = f"{succeeded}/1"
    started, completed = seconds_of(status.get("startTime")), seconds_of(status.get("completionTime"))
    return [
        name(obj),
        _job_status(obj),
        completions,
        "" if started is None else human_duration((now if completed is None else completed) - started),
        age(obj, now),
        *containers(part(spec, "template", "spec")),
        selector(spec.get("selector")),
    ]


def cron_job(obj: Object, now: float) -> list[Any]:
    """The cells of a CronJob."""
    spec, status = part(obj, "spec"), part(obj, "status")
    template = part(spec, "jobTemplate", "spec")
    scheduled = status.get("lastScheduleTime")
    suspend = spec.get("suspend")
    return [
        name(obj),
        spec.get("schedule", ""),
        spec.get("timeZone", NONE),
        UNSET if suspend is None else str(suspend),
        len(status.get("active") or ()),
        NONE if scheduled is None else since(scheduled, now),
        age(obj, now),
        *containers(part(template, "template", "spec")),
        selector(template.get("selector")),
    ]


def scale(obj: Object, now: float) -> list[Any]:
    """The cells of a Scale."""
    replicas = part(obj, "status").get("replicas", 0)
    return [name(obj), part(obj, "spec").get("replicas", 0), replicas, age(obj, now)]


def _resource_metric(source: Object, current: Object | None) -> str:
    """A metric of a resource, of pods or of one of their containers."""
    target = part(source, "target")
    resource = source.get("name", "")
    if target.get("averageValue") is not None:
        shown = UNKNOWN if current is None else quantity(part(current, "current").get("averageValue"))
        return f"{resource}: {shown}/{quantity(target['averageValue'])}"
    used = None if current is None else part(current, "current").get("averageUtilization")
    wanted = target.get("averageUtilization")
    shown = UNKNOWN if used is None else f"{used}%"
    return f"{resource}: {shown}/{'<auto>' if wanted is None else f'{wanted}%'}"


def _value_metric(source: Object, current: Object | None) -> str:
    """A metric of an object or from outside."""
    target = part(source, "target")
    found = None if current is None else part(current, "current")
    if target.get("averageValue") is not None:
        average = None if found is None else found.get("averageValue")
        shown = UNKNOWN if average is None else quantity(average)
        return f"{shown}/{quantity(target['averageValue'])} (avg)"
    shown = UNKNOWN if found is None else _shown(found.get("value"))
    return f"{shown}/{_shown(target.get('value'))}"


def _shown(value: Any) -> str:
    """A quantity behind a pointer, as Go prints it."""
    return "<nil>" if value is None else quantity(value)


def _pods_metric(source: Object, current: Object | None) -> str:
    shown = UNKNOWN if current is None else _shown(part(current, "current").get("averageValue"))
    return f"{shown}/{_shown(part(source, 'target').get('averageValue'))}"


METRICS: Final = {
    "External": ("external", _value_metric),
    "Object": ("object", _value_metric),
    "Pods": ("pods", _pods_metric),
    "Resource": ("resource", _resource_metric),
    "ContainerResource": ("containerResource", _resource_metric),
}


def _metrics(specs: list[Object], statuses: list[Object]) -> str:
    if not specs:
        return NONE
    texts = []
    for index, spec in enumerate(specs):
        if (found := METRICS.get(spec.get("type", ""))) is None:
            texts.append("<unknown type>")
            continue
        member, text = found
        current = statuses[index].get(member) if index < len(statuses) else None
        texts.append(text(part(spec, member), current))
    shown = ", ".join(texts[:METRICS_SHOWN_MAX])
    more = len(texts) - METRICS_SHOWN_MAX
    return f"{shown} + {more} more..." if more > 0 else shown


def _as_v2(obj: Object) -> Object:
    """The object in the version that its cells are made of; what v1 has no field for comes out of its annotations."""
    if obj.get("apiVersion") != "autoscaling/v1":
        return obj
    from kcore.api.kinds.autoscaling_conversion import convert

    copy: Object = orjson.loads(orjson.dumps(obj))
    convert(copy, "autoscaling/v2")
    return copy


def horizontal_pod_autoscaler(obj: Object, now: float) -> list[Any]:
    """The cells of a HorizontalPodAutoscaler."""
    obj = _as_v2(obj)
    spec = part(obj, "spec")
    target = part(spec, "scaleTargetRef")
    return [
        name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _metrics(spec.get("metrics") or [], part(obj, "status").get("currentMetrics") or []),
        str(spec.get("minReplicas", UNSET)),
        spec.get("maxReplicas", 0),
        part(obj, "status").get("currentReplicas", 0),
        age(obj, now),
    ]
