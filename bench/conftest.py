"""Stamps the figures of a benchmark run with what judges them: libraries, cores, load, commit."""

from __future__ import annotations

import os
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from bench.figures import Figures, processor

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("kcore", "numpy", "numba", "llvmlite", "pyarrow", "msgspec", "orjson", "pyyaml", "cython")


def version_of(library: str) -> str | None:
    """The installed version, or None."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def git(*arguments: str) -> str | None:
    """What git prints, or None outside a checkout."""
    try:
        run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add libraries, usable cores, memory and the load of the machine; drop its name, nobody's business."""
    machine_info.pop("node", None)
    machine_info["libraries"] = {library: version_of(library) for library in LIBRARIES}
    machine_info["cores_usable"] = len(os.sched_getaffinity(0))
    machine_info["memory_bytes"] = memory_bytes()
    machine_info["load_average_at_start"] = os.getloadavg()
    machine_info["jit"] = os.environ.get("KCORE_JIT", "1") != "0"


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_commit_info(config: pytest.Config, commit_info: dict[str, Any]) -> None:
    """Add the commit, and whether the tree differs from it."""
    commit_info["id"] = git("rev-parse", "HEAD") or commit_info.get("id")
    status = git("status", "--porcelain")
    commit_info["dirty"] = None if status is None else bool(status)


def machine() -> dict[str, Any]:
    """What is needed to tell one machine's figures from another's."""
    return {
        "processor": processor(),
        "cores_usable": len(os.sched_getaffinity(0)),
        "memory_bytes": memory_bytes(),
        "libraries": {library: version_of(library) for library in LIBRARIES},
        "jit": os.environ.get("KCORE_JIT", "1") != "0",
    }


@pytest.fixture(scope="session")
def stamp() -> dict[str, Any]:
    """Commit, machine and the time of the run, the same on every line of it."""
    status = git("status", "--porcelain", "--", "kcore", "kcore_native")
    return {
        "run": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if status is None else bool(status),
        "machine": machine(),
    }


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether figures are made, in full size, rather than a quick test that the benchmark works."""
    return bool(request.config.getoption("benchmark_enable"))


@pytest.fixture
def figures(request: pytest.FixtureRequest, full: bool, stamp: dict[str, Any]) -> Figures:
    """Where the figures of this file go."""
    return Figures(request.path.stem.removeprefix("bench_"), full, stamp)
