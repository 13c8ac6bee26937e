"""Compares an engine with the recorded decisions of the real kube-scheduler, decision by decision.

    python -m tests.conformance.scheduler_vectors --engine naive --only config --show 5

The vectors lie in ``$KCORE_SHARED/vectors``, by default ``../shared/vectors`` beside the repository.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.conformance.naive_scenario import run_scenario as run_scenario_naive
from tests.shared import SHARED

Line = dict[str, Any]
Run = Callable[[Line], Line]

ENGINES = ("naive", "kcore")
PUBLIC_SCENARIO_COUNT = 300

# Category -> what counts as one decision in it.
CATEGORIES: dict[str, str] = {
    "header": "nodes, filter plugins and score plugins of a scenario",
    "preEnqueue": "pod (scheduling gates)",
    "error": "pod (the attempt failed, not the pod)",
    "preFilter": "pod turned down by PreFilter, with the message",
    "feasible": "node, passing or not",
    "rejects": "rejected node: plugin, code and reasons",
    "skipped": "pod: score plugins that PreScore skipped",
    "raw": "node and plugin: raw score",
    "norm": "node and plugin: normalized score",
    "total": "node: weighted sum",
    "max": "pod: set of best nodes",
    "node": "pod: chosen node",
    "fitError": "pod: text before PostFilter",
    "fitErrorFull": "pod: text after PostFilter",
    "unschedulablePlugins": "pod",
    "eligible": "pod: may it preempt, and why not",
    "status": "pod: PostFilter's status and message",
    "candidates": "pod: nodes, victims, broken budgets",
    "best": "pod: best candidate, nomination and victims",
}


class Mismatch(NamedTuple):
    """One decision that differs; ``where`` is the pod, and the node or plugin if it has to be said."""

    scenario: str
    where: str
    category: str
    expected: Any
    actual: Any


@dataclass
class Agreement:
    """How many decisions agree, by category, and those that do not."""

    agreeing: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CATEGORIES, 0))
    total: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CATEGORIES, 0))
    mismatches: list[Mismatch] = field(default_factory=list)

    def count(self, scenario: str, where: str, category: str, expected: Any, actual: Any) -> None:
        """One more decision is compared."""
        self.total[category] += 1
        if expected == actual:
            self.agreeing[category] += 1
        else:
            self.mismatches.append(Mismatch(scenario, where, category, expected, actual))

    def merge(self, other: Agreement) -> None:
        """The decisions of ``other`` count here too."""
        for category in CATEGORIES:
            self.agreeing[category] += other.agreeing[category]
            self.total[category] += other.total[category]
        self.mismatches.extend(other.mismatches)

    @property
    def is_complete(self) -> bool:
        """Whether every decision agrees."""
        return not self.mismatches

    def table(self) -> str:
        """One line per category: agreeing, total, per cent, and what a decision is."""
        rows = [f"{'category':<22}{'agree':>9} / {'total':<9}{'%':>7}   one decision is"]
        for category, meaning in CATEGORIES.items():
            total, agreeing = self.total[category], self.agreeing[category]
            share = f"{100 * agreeing / total:.2f}" if total else "-"
            rows.append(f"{category:<22}{agreeing:>9} / {total:<9}{share:>7}   {meaning}")
        return "\n".join(rows)


def compare(expected: Line, actual: Line) -> Agreement:
    """The agreement of two output lines of one scenario."""
    result = Agreement()
    name = expected["name"]
    header = ("nodes", "filterPlugins", "scorePlugins", "error")
    result.count(name, "", "header", [expected.get(k) for k in header], [actual.get(k) for k in header])
    pods = actual.get("pods", [])
    for index, wanted in enumerate(expected.get("pods", [])):
        got = pods[index] if index < len(pods) else {"pod": "(missing)"}
        _compare_pod(result, name, expected["nodes"], wanted, got)
    if len(pods) > len(expected.get("pods", [])):
        result.count(name, "", "header", len(expected["pods"]), len(pods))
    return result


def _compare_pod(result: Agreement, scenario: str, nodes: list[str], expected: Line, actual: Line) -> None:
    pod = expected["pod"]

    def fields(category: str, *names: str) -> None:
        if any(name in line for name in names for line in (expected, actual)):
            result.count(
                scenario, pod, category, [expected.get(n) for n in names], [actual.get(n) for n in names]
            )

    if actual.get("pod") != pod:
        result.count(scenario, pod, "header", pod, actual.get("pod"))
        return
    fields("preEnqueue", "preEnqueue")
    fields("error", "error")
    fields("preFilter", "preFilter", "preFilterMsg")
    _compare_nodes(result, scenario, nodes, expected, actual)
    fields("skipped", "skipped")
    _compare_scores(result, scenario, nodes, expected, actual)
    for name in ("max", "node", "fitError", "fitErrorFull", "unschedulablePlugins"):
        fields(name, name)
    if "preemption" in expected or "preemption" in actual:
        _compare_preemption(result, scenario, pod, expected.get("preemption"), actual.get("preemption"))


def _verdicts(line: Line, node_count: int) -> list[tuple[bool | None, Any]]:
    """Per node: may the pod choose it (None: it was not asked), and why the node was rejected."""
    if "filter" not in line:
        return [(None, None)] * node_count
    feasible = set(line.get("feasible", ()))
    rejects = line.get("rejects", [])
    return [
        (index in feasible, rejects[verdict - 1] if verdict else None)
        for index, verdict in enumerate(line["filter"])
    ]


def _compare_nodes(result: Agreement, scenario: str, nodes: list[str], expected: Line, actual: Line) -> None:
    pairs = zip(nodes, _verdicts(expected, len(nodes)), _verdicts(actual, len(nodes)), strict=False)
    for node, (wanted, wanted_reject), (got, got_reject) in pairs:
        where = f"{expected['pod']} on {node}"
        if wanted is not None or got is not None:
            result.count(scenario, where, "feasible", wanted, got)
        if wanted_reject is not None or got_reject is not None:
            result.count(scenario, where, "rejects", wanted_reject, got_reject)


def _by_node(line: Line, nodes: list[str], values: list[int] | None) -> dict[str, int]:
    """The values by node name; a value too few is simply missing, so that it shows as a mismatch."""
    pairs = zip(line.get("feasible", ()), values or (), strict=False)
    return {nodes[index]: value for index, value in pairs}


def _compare_scores(result: Agreement, scenario: str, nodes: list[str], expected: Line, actual: Line) -> None:
    def compare_values(category: str, what: str, wanted: dict[str, int], got: dict[str, int]) -> None:
        for node in sorted(wanted.keys() | got.keys()):
            where = f"{expected['pod']} on {node}{what}"
            result.count(scenario, where, category, wanted.get(node), got.get(node))

    wanted_scores, got_scores = expected.get("scores", {}), actual.get("scores", {})
    for plugin in sorted(wanted_scores.keys() | got_scores.keys()):
        wanted, got = wanted_scores.get(plugin, {}), got_scores.get(plugin, {})
        for category, keys in (("raw", ("raw",)), ("norm", ("norm", "raw"))):
            compare_values(
                category,
                f": {plugin}",
                _by_node(expected, nodes, next((wanted[key] for key in keys if key in wanted), None)),
                _by_node(actual, nodes, next((got[key] for key in keys if key in got), None)),
            )
    compare_values(
        "total",
        "",
        _by_node(expected, nodes, expected.get("total")),
        _by_node(actual, nodes, actual.get("total")),
    )


def _compare_preemption(
    result: Agreement, scenario: str, pod: str, expected: Line | None, actual: Line | None
) -> None:
    groups = {
        "eligible": ("eligible", "why"),
        "status": ("status", "msg"),
        "candidates": ("candidates",),
        "best": ("best", "nominated", "victims"),
    }
    expected, actual = expected or {}, actual or {}
    for category, names in groups.items():
        if any(name in line for name in names for line in (expected, actual)):
            result.count(
                scenario, pod, category, [expected.get(n) for n in names], [actual.get(n) for n in names]
            )


def shared_folder() -> Path:
    """Where the vectors should be, whether or not they are there."""
    return SHARED / "vectors"


def vectors_are_there() -> bool:
    """Whether the recorded decisions can be read."""
    return (shared_folder() / "inputs-public.jsonl.gz").is_file()


def read_vectors(only: str = "") -> Iterator[tuple[Line, Line]]:
    """Scenarios whose name matches the regular expression, each with its recorded output line."""
    pattern = re.compile(only)
    folder = shared_folder()
    with (
        gzip.open(folder / "inputs-public.jsonl.gz", "rt") as inputs,
        gzip.open(folder / "outputs-public.jsonl.gz", "rt") as outputs,
    ):
        for scenario_text, expected_text in zip(inputs, outputs, strict=True):
            scenario = json.loads(scenario_text)
            if pattern.search(scenario["name"]):
                expected = json.loads(expected_text)
                assert expected["name"] == scenario["name"]
                yield scenario, expected


def theme_of(name: str) -> str:
    """The theme in a scenario's name, such as ``taints`` in ``public-012-taints``."""
    return name.split("-", 2)[2]


def engine(name: str) -> Run:
    """The function that plays a scenario; ImportError if the engine is not there."""
    if name == "naive":
        return run_scenario_naive
    scenario_module = importlib.import_module("tests.conformance.engine_scenario")
    run: Run = scenario_module.run_scenario
    return run


def measure(run: Run, only: str = "") -> tuple[Agreement, int]:
    """The agreement over the matching scenarios, and how many there are."""
    result, count = Agreement(), 0
    for scenario, expected in read_vectors(only):
        try:
            actual = run(scenario)
        except Exception as error:  # noqa: BLE001 (whatever an engine raises is a mismatch, not our end)
            actual = {"name": scenario["name"], "error": f"{type(error).__name__}: {error}"}
        result.merge(compare(expected, actual))
        count += 1
    return result, count


def main(arguments: list[str] | None = None) -> int:
    """Prints the table and the first mismatches; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compare an engine with recorded kube-scheduler decisions.")
    parser.add_argument("--engine", choices=ENGINES, default="naive")
    parser.add_argument("--only", default="", metavar="REGEX", help="scenarios whose name matches")
    parser.add_argument("--show", type=int, default=3, metavar="N", help="mismatches to print")
    options = parser.parse_args(arguments)
    if not vectors_are_there():
        print(f"skipped: no scheduler vectors in {shared_folder()} (set KCORE_SHARED)")
        return 0
    try:
        run = engine(options.engine)
    except ImportError as error:
        print(f"no engine {options.engine}: {error}")
        return 1
    started = time.perf_counter()
    result, count = measure(run, options.only)
    print(f"{options.engine}: {count} scenarios in {time.perf_counter() - started:.1f} s")
    print(result.table())
    for mismatch in result.mismatches[: options.show]:
        print(f"\n{mismatch.scenario}: {mismatch.category}: {mismatch.where}")
        print(f"  expected {json.dumps(mismatch.expected)}")
        print(f"  actual   {json.dumps(mismatch.actual)}")
    if count == 0:
        print("no scenario matches")
        return 1
    return 0 if result.is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
