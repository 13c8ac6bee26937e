"""Runs a recorded scenario on the kcore engine and answers in the vectors' own format."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from kcore.api import objects
from kcore.scheduler import fields, reasons
from kcore.scheduler.config import load_configuration
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.demand import NAME_CONFLICT
from kcore.scheduler.engine import Engine, Options
from kcore.scheduler.explain import Explanation, explain
from kcore.scheduler.pods import parse_start
from kcore.scheduler.post_filter import post_filter_message
from kcore.scheduler.profile import Profile
from kcore.scheduler.state import State

_START = parse_start("2026-06-01T00:00:00Z")
_KINDS: dict[str, tuple[str, type]] = {
    "nodes": ("nodes", objects.Node),
    "namespaces": ("namespaces", objects.Namespace),
    "services": ("services", objects.Service),
    "replicaSets": ("replica_sets", objects.ReplicaSet),
    "statefulSets": ("stateful_sets", objects.StatefulSet),
    "replicationControllers": ("replication_controllers", objects.ReplicationController),
    "pdbs": ("pdbs", objects.PodDisruptionBudget),
    "pods": ("pods", objects.Pod),
}


def load(scenario: dict[str, Any]) -> tuple[State, list[int]]:
    """The scenario's cluster as engine state, and the rows of its pending pods."""
    given = {
        ours: [msgspec.convert(one, kind) for one in scenario.get(theirs) or ()]
        for theirs, (ours, kind) in _KINDS.items()
    }
    nodes = {node.metadata.name for node in given["nodes"]}
    given["pods"] = [
        pod
        for pod in given["pods"]
        if pod.spec.node_name in nodes and pod.status.phase not in ("Succeeded", "Failed")
    ]
    state = State()
    state.load(objects.ClusterObjects(**given))
    pending = [msgspec.convert(one, objects.Pod) for one in scenario["pending"]]
    return state, [state.add_pod(pod, pending=True) for pod in pending]


class Runner:
    """One scenario on one engine."""

    def __init__(self, scenario: dict[str, Any], *, compiled: bool) -> None:
        self.scenario = scenario
        self.state, self.rows = load(scenario)
        configuration = load_configuration(scenario.get("config"))
        self.profile: Profile = configuration.profiles[0]
        self.engine = Engine(self.state, configuration, compiled=compiled, forced=self.profile)
        self.options = Options(order="file", preemption="evict")
        self.names = sorted(self.state.nodes.index)
        self.position = {self.state.nodes.index[name]: k for k, name in enumerate(self.names)}

    def run(self) -> dict[str, Any]:
        """The output line."""
        return {
            "name": self.scenario["name"],
            "nodes": self.names,
            "filterPlugins": list(self.profile.filters),
            "scorePlugins": [list(p) for p in zip(self.profile.scores, self.profile.weights, strict=True)],
            "pods": [self.attempt(index, row) for index, row in enumerate(self.rows)],
        }

    def attempt(self, index: int, row: int) -> dict[str, Any]:
        """One pod's entry; the state moves on."""
        pod = self.scenario["pending"][index]
        entry: dict[str, Any] = {"pod": f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"}
        result = Decisions(np.array([row]), np.array([-1]), np.array([0]))
        runnable, _ = self.engine.prepare(np.array([row], dtype=np.int32), result, self.options)
        if not len(runnable):
            self._prefilter(entry, row, result.reason[0])
            if self.scenario.get("onPreempt") == "evict":
                self.engine.take_back(self.engine.lost_nominations(result, self.options), 1, result)
            return entry
        found = explain(self.engine, row, self.profile)
        self._filter(entry, self._without_nomination(row) or found)
        if found.feasible:
            self._scores(entry, found)
            slot = self.state.nodes.index[entry["node"]]
            self.state.place(row, slot)
            self.state.pods.start[row] = _START + index * 1_000_000
        else:
            self._unschedulable(entry, row, index)
        return entry

    def _without_nomination(self, row: int) -> Explanation | None:
        """The verdicts of all nodes where the pod's nominated node fits, so that no other was asked."""
        slot = int(self.state.pods.nominated[row])
        if slot < 0 or self.engine.scratch(self.state.world()).verdict[slot] != 0:
            return None
        self.state.pods.nominated[row] = -1
        found = explain(self.engine, row, self.profile)
        self.state.pods.nominated[row] = slot
        return found

    def _prefilter(self, entry: dict[str, Any], row: int, reason: str) -> None:
        demand = int(self.state.pods.demand[row])
        if demand < 0 or not self.state.demands.demands[demand].conflict:
            if reason == reasons.DELETING:
                entry["error"] = f"{reason}: {entry['pod']}"
            elif reason.startswith("waiting for scheduling gates"):
                words = {"plugin": "SchedulingGates", "code": reasons.UNRESOLVABLE, "reasons": [reason]}
                entry["preEnqueue"] = words
            else:
                entry["error"] = reason
            return
        entry["preFilter"] = {
            "plugin": "NodeAffinity",
            "code": reasons.UNRESOLVABLE,
            "reasons": [NAME_CONFLICT],
        }
        entry["preFilterMsg"] = NAME_CONFLICT
        entry["fitError"] = reasons.prefilter_sentence(len(self.names), NAME_CONFLICT)
        entry["unschedulablePlugins"] = ["NodeAffinity"]
        # like the recordings: nothing is said of PostFilter where DefaultPreemption is not part of it
        if "DefaultPreemption" in self.profile.post_filters:
            entry["fitErrorFull"] = reason
            never = self.scenario["pending"][self.rows.index(row)]["spec"].get("preemptionPolicy") == "Never"
            message = self.engine.conflict_message(self.profile, int(self.state.pods.spec_class[row]))
            status = "Error" if message == reasons.NOT_FOUND else "Unschedulable"
            entry["preemption"] = {"eligible": not never, "status": status, "msg": message}
            if never:
                entry["preemption"]["why"] = "not eligible due to preemptionPolicy=Never."

    def _filter(self, entry: dict[str, Any], found: Explanation) -> None:
        rejects: list[dict[str, Any]] = []
        codes = []
        by_name = {self.names[self.position[slot]]: one for slot, one in found.rejections.items()}
        for name in self.names:
            one = by_name[name]
            if one is None:
                codes.append(0)
                continue
            words = {"plugin": one.plugin, "code": one.code, "reasons": sorted(one.reasons)}
            if words not in rejects:
                rejects.append(words)
            codes.append(rejects.index(words) + 1)
        entry["filter"] = codes
        if rejects:
            entry["rejects"] = rejects

    def _scores(self, entry: dict[str, Any], found: Explanation) -> None:
        slots = sorted(found.feasible, key=self.position.__getitem__)
        entry["feasible"] = [self.position[slot] for slot in slots]
        entry["scores"] = {}
        for name, score in found.scores.items():
            raw = [int(score.raw[slot]) for slot in slots]
            norm = [int(score.normalized[slot]) for slot in slots]
            entry["scores"][name] = {"raw": raw} if raw == norm else {"raw": raw, "norm": norm}
        entry["skipped"] = sorted(found.skipped)
        entry["total"] = [int(found.total[slot]) for slot in slots]
        best = max(entry["total"])
        entry["max"] = [
            self.names[self.position[s]] for s, t in zip(slots, entry["total"], strict=True) if t == best
        ]
        entry["node"] = entry["max"][0]

    def _unschedulable(self, entry: dict[str, Any], row: int, index: int) -> None:
        world = self.state.world()
        scratch = self.engine.scratch(world)
        verdict = scratch.verdict[: int(world.nodes.slots[0])]
        names = self.state.nodes.resources.values
        entry["fitError"] = self.engine.fit_error(self.profile)
        restricted = bool(world.demands.fixed[world.pods.demand[row], fields.HAS_NAMES])
        entry["unschedulablePlugins"] = reasons.plugins_of(verdict, names, {}, restricted=restricted)
        found = self.engine.post_filter(self.profile, row, 0.0)
        message = post_filter_message(self.profile, found)
        if found is None:
            return
        if found.chosen is None and found.ineligible is None and self.scenario.get("onPreempt") == "evict":
            self.state.forget_nomination(row)
        entry["fitErrorFull"] = f"{entry['fitError']} {message}" if message else entry["fitError"]
        told: dict[str, Any] = {"eligible": found.ineligible is None}
        entry["preemption"] = told
        if found.ineligible is not None:
            told["why"] = found.ineligible
        told["status"] = "Success" if found.chosen is not None else "Unschedulable"
        if found.chosen is None:
            told["msg"] = message
            return
        told["candidates"] = [
            {
                "node": self.state.nodes.name(one.node),
                "victims": [self._name(victim) for victim in one.victims],
                "pdbViolations": one.violations,
            }
            for one in sorted(found.candidates, key=lambda one: self.state.nodes.name(one.node))
        ]
        told["nominated"] = self.state.nodes.name(found.chosen.node)
        told["best"] = [told["nominated"]]
        told["victims"] = [self._name(victim) for victim in found.chosen.victims]
        if self.scenario.get("onPreempt") == "evict":
            self.state.outrank(row, found.chosen.node)
            for victim in found.chosen.victims:
                self.state.remove_pod(victim)
            self.state.place(row, found.chosen.node)
            self.state.pods.start[row] = _START + index * 1_000_000
            entry["node"] = told["nominated"]

    def _name(self, row: int) -> str:
        return f"{self.state.namespace(row)}/{self.state.pods.name(row)}"


def run_scenario(scenario: dict[str, Any], *, compiled: bool = False) -> dict[str, Any]:
    """The engine's output line for one scenario; ``compiled`` chooses machine code or the interpreter."""
    return Runner(scenario, compiled=compiled).run()
