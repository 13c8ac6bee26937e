"""Verdicts become upstream's words, are counted per node, and tell which nodes preemption may try."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from kcore.scheduler import codes, reasons
from kcore.scheduler.reasons import UNRESOLVABLE, UNSCHEDULABLE, Rejection

RESOURCES = ("cpu", "memory", "ephemeral-storage", "nvidia.com/gpu")
USERS = {codes.REJECT_THIRD_PARTY: Rejection("Mine", UNRESOLVABLE, ("node(s) were not mine",)),
         codes.REJECT_THIRD_PARTY + 1: Rejection("Ours", UNSCHEDULABLE, ("node(s) were not ours",))}  # fmt: skip
PODS, NEVER = codes.DETAIL_PODS, codes.DETAIL_UNRESOLVABLE


def columns(*pairs: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    verdict, detail = zip(*pairs, strict=True)
    return np.array(verdict, dtype=np.uint8), np.array(detail, dtype=np.int64)


@pytest.mark.parametrize(
    ("detail", "code", "words"),
    [
        (PODS, UNSCHEDULABLE, ("Too many pods",)),
        (1 << 1, UNSCHEDULABLE, ("Insufficient cpu",)),
        (1 << 2 | 1 << 4, UNSCHEDULABLE, ("Insufficient memory", "Insufficient nvidia.com/gpu")),
        (1 << 3 | PODS | NEVER, UNRESOLVABLE, ("Too many pods", "Insufficient ephemeral-storage")),
    ],
)
def test_a_node_without_room_says_what_lacks(detail: int, code: str, words: tuple[str, ...]) -> None:
    found = reasons.rejection(codes.REJECT_FIT, detail, RESOURCES, {})
    assert found == Rejection("NodeResourcesFit", code, words)


@pytest.mark.parametrize(
    ("verdict", "plugin", "code", "words"),
    [
        (codes.REJECT_UNSCHEDULABLE, "NodeUnschedulable", UNRESOLVABLE, "node(s) were unschedulable"),
        (codes.REJECT_NODE_NAME, "NodeName", UNRESOLVABLE, "node(s) didn't match the requested node name"),
        (codes.REJECT_TAINT, "TaintToleration", UNRESOLVABLE, "node(s) had untolerated taint(s)"),
        (codes.REJECT_PORTS, "NodePorts", UNSCHEDULABLE,
         "node(s) didn't have free ports for the requested pod ports"),
        (codes.REJECT_SPREAD, "PodTopologySpread", UNSCHEDULABLE,
         "node(s) didn't match pod topology spread constraints"),
        (codes.REJECT_SPREAD_LABEL, "PodTopologySpread", UNRESOLVABLE,
         "node(s) didn't match pod topology spread constraints (missing required label)"),
        (codes.REJECT_POD_AFFINITY, "InterPodAffinity", UNRESOLVABLE,
         "node(s) didn't match pod affinity rules"),
        (codes.REJECT_EXISTING_ANTI_AFFINITY, "InterPodAffinity", UNSCHEDULABLE,
         "node(s) didn't satisfy existing pods anti-affinity rules"),
        (codes.REJECT_THIRD_PARTY, "Mine", UNRESOLVABLE, "node(s) were not mine"),
    ],
)  # fmt: skip
def test_a_verdict_has_upstreams_words(verdict: int, plugin: str, code: str, words: str) -> None:
    assert reasons.rejection(verdict, 0, RESOURCES, USERS) == Rejection(plugin, code, (words,))


def test_every_verdict_of_the_codes_has_words() -> None:
    rejecting = [value for name, value in vars(codes).items() if name.startswith("REJECT_")]
    for verdict in [*rejecting, codes.OUTSIDE, codes.NOT_TRIED]:
        assert reasons.rejection(verdict, 2, RESOURCES, USERS).plugin


def test_reasons_are_counted_per_node_and_dead_slots_are_none() -> None:
    verdict, detail = columns(
        (codes.PASS, 0),
        (codes.DEAD, 6),
        (codes.REJECT_TAINT, 6),
        (codes.REJECT_TAINT, 0),
        (codes.REJECT_FIT, 1 << 1 | PODS),
        (codes.REJECT_FIT, 1 << 1 | NEVER),
        (codes.REJECT_THIRD_PARTY, 0),
    )
    assert reasons.count_reasons(verdict, detail, RESOURCES, USERS) == Counter(
        {
            "node(s) had untolerated taint(s)": 2,
            "Insufficient cpu": 2,
            "Too many pods": 1,
            "node(s) were not mine": 1,
        }
    )


def test_preemption_tries_nodes_that_were_rejected_for_their_pods() -> None:
    verdict, detail = columns(
        (codes.PASS, 0),
        (codes.REJECT_FIT, 2),
        (codes.REJECT_FIT, 2 | NEVER),
        (codes.REJECT_PORTS, 0),
        (codes.REJECT_PORTS, NEVER),
        (codes.REJECT_TAINT, 0),
        (codes.REJECT_POD_ANTI_AFFINITY, 0),
        (codes.OUTSIDE, 0),
        (codes.DEAD, 0),
        (codes.REJECT_THIRD_PARTY, 0),
        (codes.REJECT_THIRD_PARTY + 1, 0),
    )
    found = reasons.is_resolvable(verdict, detail, USERS)
    assert np.flatnonzero(found).tolist() == [1, 3, 4, 6, 10]


@pytest.mark.parametrize(
    ("restricted", "wanted"), [(False, ["NodePorts"]), (True, ["NodeAffinity", "NodePorts"])]
)
def test_the_rejecting_plugins_are_sorted(restricted: bool, wanted: list[str]) -> None:
    verdict, _ = columns((codes.PASS, 0), (codes.DEAD, 0), (codes.REJECT_PORTS, 0), (codes.OUTSIDE, 0))
    assert reasons.plugins_of(verdict, RESOURCES, {}, restricted=restricted) == wanted


def test_the_sentence_sorts_its_parts_as_texts() -> None:
    counts = {"Insufficient cpu": 2, "node(s) had untolerated taint(s)": 10, "nothing": 0}
    told = "0/12 nodes are available: 10 node(s) had untolerated taint(s), 2 Insufficient cpu."
    assert reasons.sentence(12, counts) == told
    assert reasons.sentence(0, {}) == "0/0 nodes are available:"
    assert reasons.prefilter_sentence(3, "no") == "0/3 nodes are available: no."
