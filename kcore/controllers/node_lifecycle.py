"""Nodes that are not heard of are NotReady, and those that are not ready are tainted.

At once against new pods; against the pods that they have at a rate that goes by the state of their zone.

Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from kcore.api.status import ApiError
from kcore.controllers.contract import (
    Action,
    Controller,
    Failed,
    Key,
    Later,
    Object,
    Outcome,
    Patch,
    Read,
    Steps,
    Tell,
    Update,
    View,
    Watched,
    done,
)
from kcore.controllers.pods import condition
from kcore.controllers.times import ms_of, text_of

MONITOR: Final = Key("nodes", "monitor")  # the one key of what is done to all nodes together
LEASES: Final = "kube-node-lease"
NOT_READY: Final = "node.kubernetes.io/not-ready"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"
UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"
EXCLUDED: Final = "node.kubernetes.io/exclude-disruption"
TAINTS: Final = {
    ("Ready", "False"): NOT_READY, ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
}  # fmt: skip
OURS: Final = frozenset((*TAINTS.values(), UNSCHEDULABLE))
SILENT: Final = (
    "Ready",
    "MemoryPressure",
    "DiskPressure",
    "PIDPressure",
)  # conditions that a silent kubelet leaves unknown
COPIED_LABELS: Final = {
    "kubernetes.io/os": "beta.kubernetes.io/os", "kubernetes.io/arch": "beta.kubernetes.io/arch",
}  # fmt: skip
PASS_MS: Final = 100  # between two looks at nodes that wait to be tainted (NodeEvictionPeriod)
NORMAL: Final = "Normal"
PARTIAL: Final = "PartialDisruption"
FULL: Final = "FullDisruption"
INITIAL: Final = "Initial"


@dataclass(frozen=True, slots=True)
class Limits:
    """kube-controller-manager's flags: --node-monitor-period and so on."""

    monitor_ms: int = 5_000
    grace_ms: int = 50_000
    startup_grace_ms: int = 60_000
    evictions_per_second: float = 0.1
    secondary_evictions_per_second: float = 0.01
    large_cluster_nodes: int = 50
    unhealthy_zone_threshold: float = 0.55


@dataclass(slots=True)
class _Health:
    """What was heard of a node last, and when."""

    heartbeat: str | None
    had_ready: bool
    renewed: str | None
    heard_ms: int


class _Zone:
    """Nodes of a zone that wait to be tainted, and how fast that goes."""

    def __init__(self, rate: float) -> None:
        self.state = INITIAL
        self.rate = rate
        self.waiting: OrderedDict[str, None] = OrderedDict()
        self._tokens = 1.0
        self._at_ms: int | None = None

    def take(self, now_ms: int) -> bool:
        """Whether one may be tainted now."""
        if self._at_ms is not None:
            self._tokens = min(1.0, self._tokens + (now_ms - self._at_ms) / 1000 * self.rate)
        self._at_ms = now_ms
        if self.rate <= 0 or self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class NodeLifecycle(Controller):
    """``node-lifecycle-controller``."""

    name: ClassVar = "node-lifecycle-controller"
    aliases: ClassVar = ("nodelifecycle",)
    component: ClassVar = "node-controller"

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits if limits is not None else Limits()
        self._health: dict[str, _Health] = {}
        self._zones: dict[str, _Zone] = {}
        self._known: dict[str, Object] = {}
        self._retry: set[str] = set()
        self._due_ms = 0

    @property
    def watches(self) -> Sequence[Watched]:
        """Nodes; their leases and pods to look at."""
        return (
            Watched("nodes", self._node_keys),
            Watched("leases.coordination.k8s.io", lambda old, new, view: ()),
            Watched("pods", self._pod_keys, {"node": by_node}),
        )

    def _node_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        if new is not None:
            yield Key("", new["metadata"]["name"])

    def _pod_keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        node = "" if new is None else new["spec"].get("nodeName", "")
        if node and (old is None or old["spec"].get("nodeName", "") != node) and node in self._retry:
            yield MONITOR

    def at_start(self, view: View, now_ms: int) -> Iterable[Key | Later]:
        """The monitor begins."""
        return (MONITOR,)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """One node's taints against new pods are right; or all nodes' health is."""
        if key == MONITOR:
            if now_ms >= self._due_ms:
                self._due_ms = now_ms + self._limits.monitor_ms
                yield from self._monitored(view, now_ms)
            waiting = yield from self._tainted(view, now_ms)
            left_ms = max(0, self._due_ms - now_ms)
            return min(PASS_MS, left_ms) if waiting else left_ms
        node = view.get("nodes", "", key.name)
        if node is not None:
            yield from _no_schedule(node)
            yield from _labels_copied(node)
        return None

    # -- health -----------------------------------------------------------------------------------------------------
    def _monitored(self, view: View, now_ms: int) -> Generator[Sequence[Action], list[Outcome], None]:
        nodes = list(view.list("nodes"))
        there = {node["metadata"]["name"]: node for node in nodes}
        told: list[Action] = []
        for name, node in there.items():
            self._zone(node)
            if name not in self._known:
                told.append(Tell(node, "Normal", "RegisteredNode", f"Registered Node {name} in Controller"))
        for name in [name for name in self._known if name not in there]:
            gone = self._known[name]
            told.append(Tell(gone, "Normal", "RemovingNode", f"Removing Node {name} from Controller"))
            self._health.pop(name, None)
            self._retry.discard(name)
        self._known = there
        yield told
        by_zone: dict[str, list[str]] = {}
        for node in nodes:
            ready = yield from self._looked_at(node, view, now_ms)
            if EXCLUDED not in (node["metadata"].get("labels") or {}):
                by_zone.setdefault(zone_of(node), []).append(ready)
        yield from self._disruption(by_zone, nodes, now_ms)

    def _looked_at(
        self, node: Object, view: View, now_ms: int
    ) -> Generator[Sequence[Action], list[Outcome], str]:
        """The node's health is known, and what follows from it under way; the status of its Ready condition, "" for none."""
        name = node["metadata"]["name"]
        before: str = (condition(node, "Ready") or {}).get("status", "Unknown")
        if not self._heard(node, view, now_ms):
            silent = silenced(node, text_of(now_ms))
            if silent != node:
                (outcome,) = yield [Update("nodes", silent, "status")]
                if isinstance(outcome, ApiError):
                    return before
                assert isinstance(outcome, dict)
                node = outcome
        ready = condition(node, "Ready")
        if ready is None:
            return ""
        status: str = ready["status"]
        yield from self._evictions(node, status)
        turned = status != "True" and before == "True"
        if turned:
            yield [Tell(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")]
        if turned or (name in self._retry and before != "True"):
            outcomes = yield from _pods_not_ready(view.by("pods", "node", name), now_ms)
            failed = any(isinstance(outcome, ApiError) and outcome.code != 404 for outcome in outcomes)
            (self._retry.add if failed else self._retry.discard)(name)
        return status

    def _heard(self, node: Object, view: View, now_ms: int) -> bool:
        """Whether the kubelet has been heard of within the grace period."""
        name = node["metadata"]["name"]
        ready = condition(node, "Ready")
        heartbeat = None if ready is None else ready.get("lastHeartbeatTime")
        lease = view.get("leases.coordination.k8s.io", LEASES, name)
        renewed = None if lease is None else (lease.get("spec") or {}).get("renewTime")
        known = self._health.get(name)
        if known is None:
            created = ms_of(node["metadata"].get("creationTimestamp"))
            heard_ms = created if ready is None and created is not None else now_ms
            known = self._health[name] = _Health(heartbeat, ready is not None, None, heard_ms)
        elif known.had_ready != (ready is not None) or (ready is not None and known.heartbeat != heartbeat):
            known.heartbeat, known.had_ready, known.heard_ms = heartbeat, ready is not None, now_ms
        if renewed is not None and (
            known.renewed is None or (ms_of(known.renewed) or 0) < (ms_of(renewed) or 0)
        ):
            known.renewed, known.heard_ms = renewed, now_ms
        grace_ms = self._limits.startup_grace_ms if ready is None else self._limits.grace_ms
        return now_ms <= known.heard_ms + grace_ms

    # -- taints that evict ------------------------------------------------------------------------------------------
    def _zone(self, node: Object) -> _Zone:
        return self._zones.setdefault(zone_of(node), _Zone(self._limits.evictions_per_second))

    def _evictions(self, node: Object, status: str) -> Generator[Sequence[Action], list[Outcome], None]:
        name, waiting = node["metadata"]["name"], self._zone(node).waiting
        if status == "True":
            waiting.pop(name, None)
            yield from _swapped(node, (), ((NOT_READY, "NoExecute"), (UNREACHABLE, "NoExecute")))
            return
        wanted, other = (NOT_READY, UNREACHABLE) if status == "False" else (UNREACHABLE, NOT_READY)
        if _has(node, other, "NoExecute"):
            yield from _swapped(node, ((wanted, "NoExecute"),), ((other, "NoExecute"),))
        elif not _has(node, wanted, "NoExecute"):
            waiting.setdefault(name)

    def _tainted(self, view: View, now_ms: int) -> Generator[Sequence[Action], list[Outcome], bool]:
        """Nodes that wait were tainted, as fast as their zones allow; True where some still wait for their turn."""
        for zone in self._zones.values():
            while zone.waiting and zone.take(now_ms):
                name = next(iter(zone.waiting))
                node = view.get("nodes", "", name)
                status = "" if node is None else (condition(node, "Ready") or {}).get("status", "")
                if node is not None and status in ("False", "Unknown"):
                    wanted, other = (
                        (NOT_READY, UNREACHABLE) if status == "False" else (UNREACHABLE, NOT_READY)
                    )
                    yield from _swapped(node, ((wanted, "NoExecute"),), ((other, "NoExecute"),))
                zone.waiting.pop(name, None)
        return any(zone.waiting and zone.rate > 0 for zone in self._zones.values())

    def _disruption(
        self, by_zone: dict[str, list[str]], nodes: Sequence[Object], now_ms: int
    ) -> Generator[Sequence[Action], list[Outcome], None]:
        """Each zone's rate is that of its state; where no node of any zone is ready, none is tainted at all."""
        states = {name: self._state(statuses) for name, statuses in by_zone.items()}
        all_are = all(state == FULL for state in states.values())
        for name in [name for name in self._zones if name not in by_zone]:
            del self._zones[name]
        all_were = all(zone.state == FULL for zone in self._zones.values())
        if all_are and all_were:
            return
        if all_are:
            for node in nodes:
                yield from _swapped(node, (), ((NOT_READY, "NoExecute"), (UNREACHABLE, "NoExecute")))
            for zone in self._zones.values():
                zone.rate, zone.state = 0.0, FULL
                zone.waiting.clear()
            return
        if all_were:
            for health in self._health.values():
                health.heard_ms = now_ms
        for name, zone in self._zones.items():
            if zone.state != states[name]:
                zone.state = states[name]
                zone.rate = self._rate(states[name], len(by_zone[name]))

    def _state(self, statuses: Sequence[str]) -> str:
        bad = sum(status != "True" for status in statuses)
        if bad and bad == len(statuses):
            return FULL
        return PARTIAL if bad > 2 and bad / len(statuses) >= self._limits.unhealthy_zone_threshold else NORMAL

    def _rate(self, state: str, size: int) -> float:
        if state != PARTIAL:
            return self._limits.evictions_per_second
        large = size > self._limits.large_cluster_nodes
        return self._limits.secondary_evictions_per_second if large else 0.0


def by_node(pod: Object) -> Iterable[str]:
    """Index: the node that the pod is on."""
    name = pod["spec"].get("nodeName")
    return (name,) if name else ()


def zone_of(node: Object) -> str:
    """Region and zone of a node, as upstream joins them."""
    labels = node["metadata"].get("labels") or {}

    def found(name: str, old: str) -> str:
        return str(labels.get(name) or labels.get(old) or "")

    region = found("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
    zone = found("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
    return f"{region}:\x00:{zone}" if region or zone else ""


def silenced(node: Object, now: str) -> Object:
    """The node with the conditions of one whose kubelet says nothing; the node itself where it has them."""
    conditions: list[Object] = [dict(found) for found in (node.get("status") or {}).get("conditions") or ()]
    by_type = {found["type"]: found for found in conditions}
    was = dict(by_type["Ready"]) if "Ready" in by_type else None
    for kind in SILENT:
        found = by_type.get(kind)
        if found is None:
            conditions.append({
                "type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.",
                "lastHeartbeatTime": node["metadata"].get("creationTimestamp"), "lastTransitionTime": now,
            })  # fmt: skip
        elif found["status"] != "Unknown":
            found.update(
                status="Unknown", reason="NodeStatusUnknown", message="Kubelet stopped posting node status.",
                lastTransitionTime=now,
            )  # fmt: skip
    if was is not None and by_type["Ready"] == was:
        return node
    return {**node, "status": {**(node.get("status") or {}), "conditions": conditions}}


def _has(node: Object, key: str, effect: str) -> bool:
    taints = node["spec"].get("taints") or ()
    return any((taint["key"], taint["effect"]) == (key, effect) for taint in taints)


Doing = Generator[Sequence[Action], list[Outcome], Any]


def _swapped(node: Object, wanted: Iterable[tuple[str, str]], other: Iterable[tuple[str, str]]) -> Doing:
    """The node has these taints and not those; NoExecute ones with the time."""
    name = node["metadata"]["name"]
    wanted, other = tuple(wanted), tuple(other)
    missing = [one for one in wanted if not _has(node, *one)]
    if not missing and not any(_has(node, *one) for one in other):
        return
    (fresh,) = yield [Read("nodes", "", name)]
    if isinstance(fresh, ApiError):
        if fresh.code == 404:
            return
        raise Failed(str(fresh)) from fresh
    assert isinstance(fresh, dict)
    kept = [
        taint
        for taint in fresh["spec"].get("taints") or ()
        if (taint["key"], taint["effect"]) not in other and (taint["key"], taint["effect"]) not in missing
    ]
    added: list[Object] = [{"key": key, "effect": effect} for key, effect in missing]
    taints = [*added, *kept]
    metadata = {"resourceVersion": fresh["metadata"]["resourceVersion"]}
    done((yield [Patch("nodes", "", name, {"metadata": metadata, "spec": {"taints": taints or None}})]))


def _no_schedule(node: Object) -> Doing:
    wanted = {
        TAINTS[found["type"], found["status"]]
        for found in (node.get("status") or {}).get("conditions") or ()
        if (found["type"], found["status"]) in TAINTS
    }
    if node["spec"].get("unschedulable"):
        wanted.add(UNSCHEDULABLE)
    there = {
        taint["key"]
        for taint in node["spec"].get("taints") or ()
        if taint["effect"] == "NoSchedule" and taint["key"] in OURS
    }
    if wanted != there:
        add = [(key, "NoSchedule") for key in sorted(wanted - there)]
        yield from _swapped(node, add, [(key, "NoSchedule") for key in there - wanted])


def _labels_copied(node: Object) -> Doing:
    labels = node["metadata"].get("labels") or {}
    wanted = {
        old: labels[name]
        for name, old in COPIED_LABELS.items()
        if name in labels and labels.get(old) != labels[name]
    }
    if wanted:
        done(
            (
                yield [
                    Patch(
                        "nodes", "", node["metadata"]["name"], {"metadata": {"labels": wanted}}, "strategic"
                    )
                ]
            )
        )


def _pods_not_ready(pods: Iterable[Object], now_ms: int) -> Doing:
    """The pods of a node that is not ready are not ready either, so that services leave them out."""
    patches: list[Action] = []
    for pod in pods:
        ready = condition(pod, "Ready")
        if ready is None or ready["status"] == "False":
            continue
        new = {"type": "Ready", "status": "False", "lastTransitionTime": text_of(now_ms)}
        if "generation" in pod["metadata"]:
            new["observedGeneration"] = pod["metadata"]["generation"]
        told = pod["metadata"]
        body = {"status": {"conditions": [new]}}
        patches.append(Patch("pods", told["namespace"], told["name"], body, "strategic", "status"))
        patches.append(Tell(pod, "Warning", "NodeNotReady", "Node is not ready"))
    if not patches:
        return []
    return (yield patches)
