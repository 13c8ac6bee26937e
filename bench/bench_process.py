"""Whole processes, interpreter start included: what a person at a terminal waits for.

Rounds of the commands alternate with those of an empty interpreter, which is the part that nobody can save.
Kernels are compiled and cached before; each process still has to load what it uses.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.clusters import plain_pods
from bench.figures import ROOT, Figures, stopwatch
from kcore import traces

ROUNDS = 12
LARGE = "synthetic:scheduler_perf?nodes=500&pods=1000"
MEDIUM = "synthetic:scheduler_perf?nodes=50&pods=100"  # for a run without kernels

KCORE = ("-m", "kcore")
EMPTY = ("-c", "pass")
LOAD_KERNELS = """
from bench.clusters import Run, plain_pods
run = Run(plain_pods(500, 1000), compiled=False)
run.engine.compiled = True
import time
started = time.perf_counter()
run.engine.warm()
print(time.perf_counter() - started)
"""


def process(*arguments: str, jit: bool = True) -> str:
    """The output of a Python process that must succeed; without ``jit`` it has no kernels to compile."""
    environment = dict(os.environ) if jit else {**os.environ, "KCORE_JIT": "0"}
    command = [sys.executable, *arguments]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten nodes and thirty pods as YAML."""
    file = tmp_path_factory.mktemp("process") / "cluster.yaml"
    traces.write_objects(plain_pods(10, 30), file, "yaml")
    return file


def race(
    benchmark: BenchmarkFixture, figures: Figures, what: str, target: float | None, *command: str
) -> str:
    """Time the command against an empty interpreter and return its output."""
    empty: list[float] = []
    jit = figures.enabled
    process(*command, jit=jit)  # bytecode, page cache and kernel cache are there

    def setup() -> None:
        empty.append(stopwatch(process, *EMPTY)[0])

    benchmark.group = "processes"

    def run() -> str:
        return process(*command, jit=jit)

    out = benchmark.pedantic(run, setup=setup, rounds=ROUNDS if figures.enabled else 1)
    if figures.enabled:
        seconds = list(benchmark.stats.stats.data)
        figures.add(what, seconds, "s", target=target, work={"empty interpreter": min(empty)})
        figures.ratio(f"{what} / empty interpreter", seconds, empty)
    assert isinstance(out, str)
    return out


def test_help(benchmark: BenchmarkFixture, figures: Figures) -> None:
    """``kcore --help``."""
    assert "schedule" in race(benchmark, figures, "kcore --help", 0.2, *KCORE, "--help")


def test_import(benchmark: BenchmarkFixture, figures: Figures) -> None:
    """``import kcore``, and with it the one name that most programs use."""
    race(benchmark, figures, "import kcore", 0.5, "-c", "import kcore")


def test_import_cluster(benchmark: BenchmarkFixture, figures: Figures) -> None:
    """``from kcore import Cluster``."""
    race(benchmark, figures, "from kcore import Cluster", None, "-c", "from kcore import Cluster")


def test_small_file(benchmark: BenchmarkFixture, figures: Figures, small_file: Path) -> None:
    """``kcore schedule -f`` of ten nodes and thirty pods."""
    out = race(
        benchmark,
        figures,
        "kcore schedule, 10 nodes",
        2,
        *KCORE,
        "schedule",
        "-f",
        str(small_file),
        "-o",
        "json",
    )
    assert out.count('"node":') >= 30 and '"unschedulable":0' in out.replace(" ", "")


def test_large_job(benchmark: BenchmarkFixture, figures: Figures) -> None:
    """``kcore schedule`` with kernels: Numba's import, the cache, 1,000 pods on 500 nodes."""
    command = (*KCORE, "schedule", "-f", LARGE if figures.enabled else MEDIUM, "-o", "json")
    out = race(benchmark, figures, "kcore schedule, kernels from the cache", None, *command)
    assert '"unschedulable":0' in out.replace(" ", "")


def test_kernel_load(benchmark: BenchmarkFixture, figures: Figures) -> None:
    """The first kernels of a process, Numba's import included, from a warm cache."""
    process("-c", LOAD_KERNELS, jit=figures.enabled)
    loads: list[float] = []

    def load() -> None:
        loads.append(float(process("-c", LOAD_KERNELS, jit=figures.enabled)))

    benchmark.group = "processes"
    benchmark.pedantic(load, rounds=5 if figures.enabled else 1)
    figures.add("first kernels from the cache", loads, "s")
