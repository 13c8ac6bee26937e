"""Workloads have as many replicas as the use of their pods asks for.

Metrics of resources, of pods and of containers, are read from metrics.k8s.io. The APIs custom.metrics.k8s.io and
external.metrics.k8s.io are not asked: a metric of type Pods, Object or External is answered as where nobody has
registered them.
Source: pkg/controller/podautoscaler of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple

from kcore.api import labels as label_text
from kcore.api.quantity import binary_text, decimal_text, milli_value, parse_quantity
from kcore.api.selectors import Selector
from kcore.api.status import ApiError
from kcore.controllers import horizontal_autoscaler_pace as pace
from kcore.controllers import horizontal_autoscaler_usage as usage_of
from kcore.controllers.contract import (
    Action,
    Controller,
    Discover,
    Key,
    Later,
    Object,
    Outcome,
    Read,
    ReadAll,
    Served,
    Steps,
    Tell,
    Update,
    View,
    Watched,
)
from kcore.controllers.horizontal_autoscaler_usage import NoCount
from kcore.controllers.times import text_of

RESOURCE: Final = "horizontalpodautoscalers.autoscaling"
METRICS: Final = "pods.metrics.k8s.io"
SYNC_MS: Final = 15_000  # --horizontal-pod-autoscaler-sync-period
CONFLICTS_MAX: Final = 5  # retry.DefaultRetry
NANO_PER_MILLI: Final = 1_000_000
NOT_FOUND: Final = "the server could not find the requested resource"
UNABLE: Final = "the HPA was unable to compute the replica count: "

Doing = Generator[Sequence[Action], list[Outcome], Any]


class Limits(NamedTuple):
    """What the flags --horizontal-pod-autoscaler-... say."""

    tolerance: float = 0.1
    stabilization_ms: int = pace.DOWNSCALE_STABILIZATION_MS
    youth: usage_of.Youth = usage_of.YOUTH


LIMITS: Final = Limits()


class HorizontalAutoscaler(Controller):
    """``horizontal-pod-autoscaler-controller``."""

    name: ClassVar = "horizontal-pod-autoscaler-controller"
    aliases: ClassVar = ("horizontalpodautoscaling",)
    component: ClassVar = "horizontal-pod-autoscaler"
    workers: ClassVar[int] = 5

    def __init__(self, *, sync_ms: int = SYNC_MS, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._sync_ms = sync_ms
        self._memories: dict[Key, pace.Memory] = {}
        self._selectors: dict[Key, Selector] = {}

    @property
    def watches(self) -> Sequence[Watched]:
        """Autoscalers; pods are only looked up."""
        return (Watched(RESOURCE, self._keys), Watched("pods", lambda old, new, view: ()))

    def _keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key | Later]:
        obj = new if new is not None else old
        assert obj is not None
        key = Key(obj["metadata"]["namespace"], obj["metadata"]["name"])
        return (key if new is None else Later(key, self._sync_ms),)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The scale of the target is what the metrics ask for, or nearer to it."""
        hpa = view.get(RESOURCE, key.namespace, key.name)
        if hpa is None:
            self._memories.pop(key, None)
            self._selectors.pop(key, None)
            return None
        it = Round(
            key,
            view,
            now_ms,
            hpa,
            self._memories.setdefault(key, pace.Memory(stabilization_ms=self._limits.stabilization_ms)),
            self._limits,
            self._selectors,
        )
        yield from _reconcile(it)
        return self._sync_ms


@dataclass(slots=True)
class Round:
    """One look at one autoscaler: what is known, and the status as it becomes."""

    key: Key
    view: View
    now_ms: int
    hpa: Object
    memory: pace.Memory
    limits: Limits
    selectors: dict[Key, Selector]
    conditions: list[Object] = field(default_factory=list)
    metrics: list[Object] | None = None
    current: int = 0
    desired: int = 0
    last_scale: str | None = None

    def __post_init__(self) -> None:
        status = self.hpa.get("status") or {}
        self.conditions = list(status.get("conditions") or ())
        self.metrics = status.get("currentMetrics")
        self.current = status.get("currentReplicas", 0)
        self.desired = status.get("desiredReplicas", 0)
        self.last_scale = status.get("lastScaleTime")

    def set(self, kind: str, status: str, reason: str, message: str) -> None:
        """The condition says so, since now where it said otherwise before."""
        kinds = [found["type"] for found in self.conditions]
        index = kinds.index(kind) if kind in kinds else len(kinds)
        before = self.conditions[index] if index < len(kinds) else {}
        now = text_of(self.now_ms)
        since = before.get("lastTransitionTime") if before.get("status") == status else now
        made = {"type": kind, "status": status, "reason": reason, "message": message}
        if since is not None:
            made["lastTransitionTime"] = since
        self.conditions[index : index + 1] = [made]

    def warn(self, reason: str, message: str) -> Tell:
        """A Warning about the autoscaler."""
        return Tell(self.hpa, "Warning", reason, message)

    def written(self) -> Doing:
        """The status is written, if it is another."""
        status: Object = {
            **({"currentReplicas": self.current} if self.current else {}), "desiredReplicas": self.desired,
            **({"lastScaleTime": self.last_scale} if self.last_scale else {}),
            **({"currentMetrics": self.metrics} if self.metrics else {}),
            **({"conditions": self.conditions} if self.conditions else {}),
        }  # fmt: skip
        before = {"desiredReplicas": 0, **(self.hpa.get("status") or {})}
        if status == {name: value for name, value in before.items() if value or name == "desiredReplicas"}:
            return
        (outcome,) = yield [Update(RESOURCE, {**self.hpa, "status": status}, "status")]
        if isinstance(outcome, ApiError):
            yield [self.warn("FailedUpdateStatus", str(outcome))]


def _reconcile(it: Round) -> Doing:
    """Source: reconcileAutoscaler."""
    spec = it.hpa["spec"]
    found = yield from _scale(it)
    if isinstance(found, str):
        yield [it.warn("FailedGetScale", found)]
        text = f"the HPA controller was unable to get the target's current scale: {found}"
        it.set("AbleToScale", "False", "FailedGetScale", text)
        yield from it.written()
        return
    resource, scale = found
    text = "the HPA controller was able to get the target's current scale"
    it.set("AbleToScale", "True", "SucceededGetScale", text)
    current = (scale.get("spec") or {}).get("replicas", 0)
    if not it.memory.recommendations:
        it.memory.recommendations.append(pace.Noted(current, it.now_ms))
    least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    metrics: list[Object] | None = None
    reason = ""
    if current == 0:
        desired, rescales = 0, False
        text = "scaling is disabled since the replica count of the target is zero"
        it.set("ScalingActive", "False", "ScalingDisabled", text)
        it.conditions = [each for each in it.conditions if each["type"] != "ScaledToZero"]
    elif current > most:
        desired, rescales, reason = most, True, "Current number of replicas above Spec.MaxReplicas"
    elif current < least:
        desired, rescales, reason = least, True, "Current number of replicas below Spec.MinReplicas"
    else:
        answer, metrics = yield from _asked_for(it, scale)
        if isinstance(answer, str):
            it.current, it.metrics = current, metrics
            yield from it.written()
            yield [it.warn("FailedComputeMetricsReplicas", answer)]
            return
        wanted, metric = answer
        desired = max(0, wanted)
        if desired > current:
            reason = f"{metric if wanted > 0 else ''} above target"
        elif desired < current:
            reason = "All metrics below target"
        step = pace.paced(it.memory, spec.get("behavior"), current, desired, least, most, it.now_ms)
        desired = step.replicas
        it.set("AbleToScale", "True", *step.able)
        it.set("ScalingLimited", "True" if step.limited else "False", *step.limit)
        rescales = desired != current
    if rescales:
        if not (yield from _rescaled(it, resource, scale, current, desired, reason, metrics)):
            return
        it.last_scale = text_of(it.now_ms)
    it.current, it.desired, it.metrics = current, desired if rescales else current, metrics
    yield from it.written()


def _scale(it: Round) -> Doing:
    """The target's resource and scale; the text of an error where there is none."""
    target = it.hpa["spec"]["scaleTargetRef"]
    version = target.get("apiVersion", "")
    if version.count("/") > 1:
        return f"unexpected GroupVersion string: {version}"
    group = version.rpartition("/")[0]
    (answer,) = yield [Discover()]
    assert isinstance(answer, dict)
    every: Iterable[Served] = answer["resources"]
    named = [each.named for each in every if each.group == group and each.kind == target["kind"]]
    if not named:
        return f'no matches for kind "{target["kind"]}" in group "{group}"'
    (outcome,) = yield [Read(named[0], it.key.namespace, target["name"], "scale")]
    if isinstance(outcome, ApiError):
        return str(outcome)
    return named[0], outcome


def _rescaled(
    it: Round,
    resource: str,
    scale: Object,
    current: int,
    desired: int,
    reason: str,
    metrics: list[Object] | None,
) -> Doing:
    """The scale is written; False, and the status says so, where that failed."""
    for _ in range(CONFLICTS_MAX):
        changed = {**scale, "spec": {**(scale.get("spec") or {}), "replicas": desired}}
        (outcome,) = yield [Update(resource, changed, "scale")]
        if not isinstance(outcome, ApiError) or outcome.code != 409:
            break
        (latest,) = yield [Read(resource, it.key.namespace, scale["metadata"]["name"], "scale")]
        if isinstance(latest, dict):
            scale = latest
    if isinstance(outcome, ApiError):
        text = f"New size: {desired}; reason: {reason}; error: {outcome}"
        yield [it.warn("FailedRescale", text)]
        text = f"the HPA controller was unable to update the target scale: {outcome}"
        it.set("AbleToScale", "False", "FailedUpdateScale", text)
        it.current, it.metrics = current, metrics
        yield from it.written()
        return False
    text = f"the HPA controller was able to update the target scale to {desired}"
    it.set("AbleToScale", "True", "SucceededRescale", text)
    yield [Tell(it.hpa, "Normal", "SuccessfulRescale", f"New size: {desired}; reason: {reason}")]
    pace.remember_change(it.memory, it.hpa["spec"].get("behavior"), current, desired, it.now_ms)
    it.conditions = [each for each in it.conditions if each["type"] != "ScaledToZero"]
    return True


# -- metrics --------------------------------------------------------------------------------------------------------


def _asked_for(it: Round, scale: Object) -> Doing:
    """(count, metric) or an error's text; and the metrics for the status. Source: computeReplicasForMetrics."""
    text = (scale.get("status") or {}).get("selector", "")
    selector = yield from _selector(it, text)
    if isinstance(selector, str):
        return selector, None
    current = (scale.get("spec") or {}).get("replicas", 0)
    given = it.hpa["spec"].get("metrics") or []
    statuses: list[Object] = []
    best, metric, first, failures = 0, "", "", 0
    condition: tuple[str, str] = ("", "")
    for each in given:
        try:
            count, name, status = yield from _one(it, each, text, selector, current)
        except NoMetric as error:
            yield [it.warn(error.reason, error.why)]
            statuses.append({"type": ""})
            failures += 1
            if failures == 1:
                condition, first = (error.reason, UNABLE + error.why), error.text
            continue
        statuses.append(status)
        if best == 0 or count > best:
            best, metric = count, name
    if failures and (failures >= len(given) or best < current):
        it.set("ScalingActive", "False", *condition)
        return f"invalid metrics ({failures} invalid out of {len(given)}), first error is: {first}", statuses
    text = f"the HPA was able to successfully calculate a replica count from {metric}"
    it.set("ScalingActive", "True", "ValidMetricFound", text)
    return (best, metric), statuses


def _selector(it: Round, text: str) -> Doing:
    """What the target's pods are selected by; an error's text where that is no use. Source: validateAndParseSelector."""
    if not text:
        yield [it.warn("SelectorRequired", "selector is required")]
        message = "the HPA target's scale is missing a selector"
        it.set("ScalingActive", "False", "InvalidSelector", message)
        return "selector is required"
    try:
        selector = label_text.parse(text)
    except (ValueError, ApiError) as error:
        message = f"couldn't convert selector into a corresponding internal selector object: {error}"
        yield [it.warn("InvalidSelector", message)]
        it.set("ScalingActive", "False", "InvalidSelector", message)
        return message
    it.selectors[it.key] = selector
    pods = _pods(it, selector)
    others = [
        key
        for key, other in it.selectors.items()
        if key.namespace == it.key.namespace
        and any(other.matches(pod["metadata"].get("labels") or {}) for pod in pods)
    ]
    if len(others) > 1:
        keys = " ".join(f"{{{key.name} {key.namespace}}}" for key in sorted(others))
        message = f"pods by selector {text} are controlled by multiple HPAs: [{keys}]"
        yield [it.warn("AmbiguousSelector", message)]
        it.set("ScalingActive", "False", "AmbiguousSelector", message)
        return message
    return selector


def _pods(it: Round, selector: Selector) -> list[Object]:
    return [
        pod
        for pod in it.view.list("pods", it.key.namespace)
        if selector.matches(pod["metadata"].get("labels") or {})
    ]


class NoMetric(Exception):
    """A metric says nothing: the reason of the event and the condition, why, and the whole error's text."""

    def __init__(self, reason: str, why: str, text: str) -> None:
        super().__init__(text)
        self.reason, self.why, self.text = reason, why, text


def _one(it: Round, metric: Object, selector_text: str, selector: Selector, current: int) -> Doing:
    """(count, the metric's name, its status); NoMetric where it says nothing. Source: computeReplicasForMetric."""
    kind = metric["type"]
    if kind == "Resource":
        source = metric["resource"]
        outer = f"failed to get {source['name']} resource metric value: "
    elif kind == "ContainerResource":
        source = metric["containerResource"]
        outer = f"failed to get {source['container']} container metric value: "
    else:
        raise _unregistered(it, kind, metric)
    resource, container = source["name"], source.get("container", "")
    inner = "usage" if "averageValue" in source["target"] else "utilization"
    try:
        used = yield from _used(it, resource, container, selector_text)
        name, proposal = _proposed(it, source, used, selector, current)
    except NoCount as error:
        why = f"failed to get {resource} {inner}: {error}"
        raise NoMetric(f"FailedGet{kind}Metric", why, outer + why) from error
    amount = proposal.average * NANO_PER_MILLI
    value: Object = {"averageValue": binary_text(amount) if resource == "memory" else decimal_text(amount)}
    if proposal.utilization is not None:
        value["averageUtilization"] = proposal.utilization
    told = {"name": resource, "current": value, **({"container": container} if container else {})}
    return proposal.replicas, name, {"type": kind, kind[0].lower() + kind[1:]: told}


def _proposed(
    it: Round, source: Object, used: dict[str, usage_of.Used], selector: Selector, current: int
) -> tuple[str, usage_of.Proposal]:
    resource, container, target = source["name"], source.get("container", ""), source["target"]
    behavior = it.hpa["spec"].get("behavior") or {}
    tolerances = usage_of.Tolerances(*(_tolerance(it, behavior, way) for way in ("scaleDown", "scaleUp")))
    pods = _pods(it, selector)
    if "averageValue" in target:
        wanted = milli_value(parse_quantity(target["averageValue"]))
        proposal = usage_of.by_value(
            pods, used, resource, wanted, current, tolerances, it.now_ms, it.limits.youth
        )
        return f"{resource} resource", proposal
    proposal = usage_of.by_utilization(
        pods,
        used,
        resource,
        container,
        target["averageUtilization"],
        current,
        tolerances,
        it.now_ms,
        it.limits.youth,
    )
    what = "container resource" if container else "resource"
    return f"{resource} {what} utilization (percentage of request)", proposal


def _tolerance(it: Round, behavior: Object, way: str) -> float:
    told = (behavior.get(way) or {}).get("tolerance")
    return it.limits.tolerance if told is None else parse_quantity(told) / 1e9


def _used(it: Round, resource: str, container: str, selector: str) -> Doing:
    """What each pod uses. Source: GetResourceMetric."""
    at = f"unable to get metrics for resource {resource}: "
    (outcome,) = yield [ReadAll(METRICS, it.key.namespace, selector)]
    if isinstance(outcome, ApiError):
        text = str(outcome)
        text += f" (get {METRICS})" if text == NOT_FOUND else ""
        raise NoCount(f"{at}unable to fetch metrics from resource metrics API: {text}")
    assert isinstance(outcome, dict)
    if not outcome.get("items"):
        raise NoCount(f"{at}no metrics returned from resource metrics API")
    try:
        return usage_of.used_by_pod(outcome["items"], resource, container)
    except usage_of.Unreadable as error:
        raise NoCount(f"{at}unable to fetch metrics from resource metrics API: {error}") from None


def _unregistered(it: Round, kind: str, metric: Object) -> NoMetric:
    """What is said of metrics whose API nobody serves."""
    nobody = "no custom metrics API (custom.metrics.k8s.io) registered"
    if kind == "External":
        name = metric["external"]["metric"]["name"]
        missing = f"unable to fetch metrics from external metrics API: {NOT_FOUND} (get {name}.external.metrics.k8s.io)"
        lacks = f"unable to get external metric {it.key.namespace}/{name}/nil: {missing}"
        average = "averageValue" in metric["external"]["target"]
        why = (
            f"failed to get {name} external metric: {lacks}"
            if average
            else f"failed to get external metric {name}: {lacks}"
        )
        return NoMetric("FailedGetExternalMetric", why, f"failed to get {name} external metric value: {why}")
    if kind == "Object":
        source = metric["object"]
        name, described = source["metric"]["name"], source["describedObject"]
        why = (
            f"unable to get metric {name}: {described['kind']} on {it.key.namespace} {described['name']}/unable to fetch "
            f"metrics from custom metrics API: {nobody}"
        )
        return NoMetric("FailedGetObjectMetric", why, f"failed to get object metric value: {why}")
    if kind == "Pods":
        name = metric["pods"]["metric"]["name"]
        why = f"unable to get metric {name}: unable to fetch metrics from custom metrics API: {nobody}"
        return NoMetric("FailedGetPodsMetric", why, f"failed to get pods metric value: {why}")
    why = f'unknown metric source type "{kind}"'
    return NoMetric("InvalidMetricSourceType", why, why)
