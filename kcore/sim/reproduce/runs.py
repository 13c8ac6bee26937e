"""Many experiments on all cores, and their means beside the published ones."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kcore.sim.reproduce.fgd import LOADS, Workload, experiment, load_workload
from kcore.sim.reproduce.published import Curves

TOLERANCE_POINTS = 0.5
"""By so many percentage points a mean may differ from the published one."""

Progress = Callable[[int, int], None]


class Task(NamedTuple):
    """One experiment."""

    workload: str
    policy: str
    seed: int


class Point(NamedTuple):
    """Mean and standard deviation over the seeds of the GPUs given out at a load, in per cent, and the published mean."""

    workload: str
    policy: str
    load: int
    mean: float | None
    sd: float | None
    published_mean: float | None

    @property
    def difference(self) -> float | None:
        """Ours less theirs."""
        if self.mean is None or self.published_mean is None:
            return None
        return self.mean - self.published_mean

    @property
    def is_off(self) -> bool:
        """Whether it differs by more than TOLERANCE_POINTS."""
        return self.difference is not None and abs(self.difference) > TOLERANCE_POINTS


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(
    folder: Path,
    workloads: Sequence[str],
    policies: Sequence[str],
    seeds: Sequence[int],
    jobs: int,
    progress: Progress | None = None,
) -> Curves:
    """Run every workload with every policy and seed; curves as ``published.Curves``.

    Processes are forked after the first experiment, with the workloads read and the kernels loaded.

    Raises:
        InputError: a file of the trace is missing or wrong.
    """
    loaded = {name: load_workload(folder, name) for name in workloads}
    tasks = [Task(*one) for one in ((w, p, s) for w in workloads for p in policies for s in seeds)]
    found: Curves = {}

    def keep(task: Task, curve: np.ndarray, done: int) -> None:
        found.setdefault((task.workload, task.policy), {})[task.seed] = curve
        if progress is not None:
            progress(done, len(tasks))

    if not tasks:
        return found
    keep(tasks[0], _run(loaded, tasks[0]), 1)
    if jobs == 1 or len(tasks) <= 2 or "fork" not in multiprocessing.get_all_start_methods():
        for done, task in enumerate(tasks[1:], start=2):
            keep(task, _run(loaded, task), done)
        return found
    _fork(loaded, tasks[1:], jobs, keep)
    return found


def _run(loaded: dict[str, Workload], task: Task) -> np.ndarray:
    return experiment(loaded[task.workload], task.policy, task.seed)


_inherited: dict[str, Workload] = {}
"""What a forked process finds: the workloads. Only :func:`_inherit`, which runs in that process, fills it."""


def _inherit(loaded: dict[str, Workload]) -> None:
    _inherited.update(loaded)


def _run_inherited(task: Task) -> np.ndarray:
    return _run(_inherited, task)


def _fork(
    loaded: dict[str, Workload],
    tasks: Sequence[Task],
    jobs: int,
    keep: Callable[[Task, np.ndarray, int], None],
) -> None:
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(min(jobs, len(tasks)), context, _inherit, (loaded,))
    try:
        running: dict[Future[np.ndarray], Task] = {pool.submit(_run_inherited, task): task for task in tasks}
        done = 1
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                done += 1
                keep(running.pop(future), future.result(), done)
    finally:
        pool.shutdown(cancel_futures=True)


def points(ours: Curves, published: Curves, loads: Iterable[int] = LOADS) -> list[Point]:
    """A point for each workload, policy and load; published means are over all seeds of the file."""
    found = []
    for (workload, policy), curves in ours.items():
        theirs = published.get((workload, policy))
        for load in loads:
            mean, sd = _mean(curves, load)
            found.append(Point(workload, policy, load, mean, sd, _mean(theirs, load)[0] if theirs else None))
    return found


def _mean(curves: dict[int, np.ndarray], load: int) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation over the seeds (0 for one seed); None where no seed reaches the load."""
    values = np.array([curve[load] for curve in curves.values()])
    values = values[~np.isnan(values)]
    if not len(values):
        return None, None
    sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return round(float(values.mean()), 4), round(sd, 4)
