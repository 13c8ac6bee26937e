"""From verdicts to words: the plugin, code and reasons of a rejected node, and the FitError sentence.

Texts are upstream's ``ErrReason*`` constants and framework/types.go FitError.Error of Kubernetes 1.36.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kcore.scheduler import codes
from kcore.scheduler.columns import I64, U8

UNSCHEDULABLE = "Unschedulable"
UNRESOLVABLE = "UnschedulableAndUnresolvable"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS_FOUND = "No preemption victims found for incoming pod"
NO_CLAIMS = "no new claims to deallocate"
"""What the DynamicResources PostFilter says of a pod without claims."""
NOT_FOUND = "not found"
DELETING = "skip schedule deleting pod"
NO_NODES = "no nodes available to schedule pods"


class Rejection(NamedTuple):
    """Why a node was rejected: the first plugin that did, its status code and all of its reasons."""

    plugin: str
    code: str
    reasons: tuple[str, ...]


_REJECTIONS = {
    codes.REJECT_UNSCHEDULABLE: Rejection("NodeUnschedulable", UNRESOLVABLE, ("node(s) were unschedulable",)),
    codes.REJECT_NODE_NAME: Rejection(
        "NodeName", UNRESOLVABLE, ("node(s) didn't match the requested node name",)
    ),
    codes.REJECT_TAINT: Rejection("TaintToleration", UNRESOLVABLE, ("node(s) had untolerated taint(s)",)),
    codes.REJECT_AFFINITY: Rejection(
        "NodeAffinity", UNRESOLVABLE, ("node(s) didn't match Pod's node affinity/selector",)
    ),
    codes.REJECT_AFFINITY_ENFORCED: Rejection(
        "NodeAffinity", UNRESOLVABLE, ("node(s) didn't match scheduler-enforced node affinity",)
    ),
    codes.REJECT_PORTS: Rejection(
        "NodePorts", UNSCHEDULABLE, ("node(s) didn't have free ports for the requested pod ports",)
    ),
    codes.REJECT_SPREAD: Rejection(
        "PodTopologySpread", UNSCHEDULABLE, ("node(s) didn't match pod topology spread constraints",)
    ),
    codes.REJECT_SPREAD_LABEL: Rejection(
        "PodTopologySpread",
        UNRESOLVABLE,
        ("node(s) didn't match pod topology spread constraints (missing required label)",),
    ),
    codes.REJECT_POD_AFFINITY: Rejection(
        "InterPodAffinity", UNRESOLVABLE, ("node(s) didn't match pod affinity rules",)
    ),
    codes.REJECT_POD_ANTI_AFFINITY: Rejection(
        "InterPodAffinity", UNSCHEDULABLE, ("node(s) didn't match pod anti-affinity rules",)
    ),
    codes.REJECT_EXISTING_ANTI_AFFINITY: Rejection(
        "InterPodAffinity", UNSCHEDULABLE, ("node(s) didn't satisfy existing pods anti-affinity rules",)
    ),
    codes.REJECT_GPU_MODEL: Rejection("GpuShare", UNRESOLVABLE, ("node(s) had no GPU of a requested model",)),
    codes.REJECT_GPU_COUNT: Rejection("GpuShare", UNRESOLVABLE, ("node(s) had fewer GPUs than requested",)),
    codes.REJECT_GPU: Rejection("GpuShare", UNSCHEDULABLE, ("node(s) didn't have enough left of a GPU",)),
    codes.NOT_TRIED: Rejection(
        "NominatedNode", UNSCHEDULABLE, ("not evaluated: the pod's nominated node fits",)
    ),
    codes.OUTSIDE: Rejection(
        "PreFilterResult", UNRESOLVABLE, ("node(s) didn't satisfy plugin(s) [NodeAffinity]",)
    ),
}

ThirdParty = Mapping[int, Rejection]


def rejection(verdict: int, detail: int, resources: Sequence[str], third_party: ThirdParty) -> Rejection:
    """The words of one node's verdict; ``resources`` names the resource rows."""
    if verdict == codes.REJECT_FIT:
        reasons = ["Too many pods"] if detail & codes.DETAIL_PODS else []
        reasons += [f"Insufficient {name}" for row, name in enumerate(resources) if detail >> (row + 1) & 1]
        code = UNRESOLVABLE if detail & codes.DETAIL_UNRESOLVABLE else UNSCHEDULABLE
        return Rejection("NodeResourcesFit", code, tuple(reasons))
    return _REJECTIONS.get(verdict) or third_party[verdict]


def plugin_of(verdict: int) -> str:
    """The in-tree plugin whose kernel gives the verdict; empty where none does."""
    if verdict == codes.REJECT_FIT:
        return "NodeResourcesFit"
    words = _REJECTIONS.get(verdict)
    return "" if words is None else words.plugin


def count_reasons(
    verdict: U8, detail: I64, resources: Sequence[str], third_party: ThirdParty
) -> Counter[str]:
    """How many of the nodes were rejected for each reason; a node may have several."""
    counts: Counter[str] = Counter()
    totals = np.bincount(verdict, minlength=256)
    for code in np.flatnonzero(totals).tolist():
        if code in (codes.PASS, codes.DEAD):
            continue
        if code != codes.REJECT_FIT:
            for reason in rejection(code, 0, resources, third_party).reasons:
                counts[reason] += int(totals[code])
            continue
        bits, nodes = np.unique(
            detail[verdict == codes.REJECT_FIT] & ~codes.DETAIL_UNRESOLVABLE, return_counts=True
        )
        for value, number in zip(bits.tolist(), nodes.tolist(), strict=True):
            for reason in rejection(codes.REJECT_FIT, value, resources, third_party).reasons:
                counts[reason] += number
    return counts


def is_resolvable(verdict: U8, detail: I64, third_party: ThirdParty) -> np.ndarray:
    """``bool[node]``: rejected, but evicting pods might help (status code Unschedulable)."""
    fit = (verdict == codes.REJECT_FIT) & ((detail & codes.DETAIL_UNRESOLVABLE) == 0)
    helps = np.zeros(256, dtype=bool)
    helps[helpful(third_party)] = True
    result: np.ndarray = helps[verdict] | fit
    return result


def helpful(third_party: ThirdParty) -> list[int]:
    """The verdicts, beside that of NodeResourcesFit, whose status code is Unschedulable."""
    return [code for code, words in {**_REJECTIONS, **third_party}.items() if words.code == UNSCHEDULABLE]


def rejectors(verdict: U8, third_party: ThirdParty) -> frozenset[str]:
    """The plugins that rejected nodes, as a queue is to know them: who restricted the node set is NodeAffinity."""
    found = set()
    for code in np.flatnonzero(np.bincount(verdict, minlength=256)).tolist():
        if code not in (codes.PASS, codes.DEAD):
            found.add("NodeAffinity" if code == codes.OUTSIDE else rejection(code, 0, (), third_party).plugin)
    return frozenset(found)


def plugins_of(
    verdict: U8, resources: Sequence[str], third_party: ThirdParty, *, restricted: bool
) -> list[str]:
    """The plugins that rejected some node, sorted; NodeAffinity among them where it ``restricted`` the node set."""
    found = {"NodeAffinity"} if restricted else set()
    for code in np.unique(verdict).tolist():
        if code not in (codes.PASS, codes.DEAD):
            found.add(rejection(code, 0, resources, third_party).plugin)
    return sorted(found - {"PreFilterResult"})


def sentence(node_count: int, counts: Mapping[str, int]) -> str:
    """The FitError sentence: ``0/5 nodes are available: 3 Insufficient cpu, 2 ....``."""
    text = f"0/{node_count} nodes are available:"
    parts = sorted(f"{number} {reason}" for reason, number in counts.items() if number)
    return f"{text} {', '.join(parts)}." if parts else text


def prefilter_sentence(node_count: int, message: str) -> str:
    """The FitError sentence where a PreFilter plugin rejected the pod for all nodes."""
    return f"0/{node_count} nodes are available: {message}."
