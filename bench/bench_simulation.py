"""Simulations with the default scheduler: decisions a second, and what a million jobs take.

Each figure is of a fresh process (bench/simulation_probe.py), on one core: seconds of the run alone, kernels loaded, and the
peak of the whole process, interpreter, libraries and trace included. A decision is an attempt to place a pod.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from bench.figures import ROOT, Figures

GIBIBYTE = 1 << 30
ROUNDS = 3
SIZES = ((100, 20_000), (1_000, 100_000), (5_000, 100_000))
"""Nodes and jobs."""
LARGE = (10_000, 1_000_000)
SECONDS_MAX, GIBIBYTES_MAX = 60, 2
TINY = (3, 60)


def probe(nodes: int, jobs: int) -> dict[str, Any]:
    """What a fresh process on one core prints."""
    command = [sys.executable, "-m", "bench.simulation_probe", str(nodes), str(jobs)]
    one = {min(os.sched_getaffinity(0))}
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=lambda: os.sched_setaffinity(0, one)
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    assert found["completed"] == found["pods"] == jobs
    return found


@pytest.mark.parametrize(("nodes", "jobs"), SIZES)
def test_decisions(figures: Figures, nodes: int, jobs: int) -> None:
    """Attempts a second, at sizes that take seconds."""
    if not figures.enabled:
        assert probe(*TINY)["attempts"] >= TINY[1]
        return
    rounds = [probe(nodes, jobs) for _ in range(ROUNDS)]
    rates = [one["attempts"] / one["stages"]["run"]["seconds"] for one in rounds]
    work = {"nodes": nodes, "jobs": jobs, "rounds": rounds}
    figures.add(
        f"simulation, {nodes:,} nodes, {jobs:,} jobs", rates, "decisions/s", more_is_better=True, work=work
    )


def test_a_million_jobs(figures: Figures) -> None:
    """1,000,000 jobs over 10,000 nodes: at most a minute and 2 GiB."""
    if not figures.enabled:
        return
    found = probe(*LARGE)
    stages = found["stages"]
    figures.add(
        "simulation of a million jobs", [stages["run"]["seconds"]], "s", target=SECONDS_MAX, work=found
    )
    peak = stages["summary"]["peak"] / GIBIBYTE
    figures.add("peak of a million jobs", [peak], "GiB", target=GIBIBYTES_MAX, work=found)
