"""Where runs happen: in processes of this machine (joblib), or on an existing Ray cluster.

Both take points and give (id, part) pairs as they are finished, in any order. What a run answers does not depend on
where it ran, so the gathered tables are the same.
"""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kcore import kernel
from kcore.api.errors import InputError, KcoreError
from kcore.scheduler.engine import INTERPRETED_MAX
from kcore.sim import parts, shelf
from kcore.sim.parts import Part
from kcore.sim.points import Plugin, Point, Source
from kcore.sim.runner import Inputs, load_plugins, runner_of

INPUTS, PARTS = "inputs", "parts"  # folders of the work folder
OPEN_INPUTS_MAX = 8  # that a worker keeps open
IN_FLIGHT_PER_CPU = 4  # runs handed to a Ray cluster at once; more only fill its queues
DISPATCHED_PER_WORKER = 2  # points that a pool has in its hands for each process
PARENT_CHECK_SECONDS = 0.5
PROCESS_ENDED = "the process that ran it ended (killed, or out of memory)"
ERROR_CHARS_MAX = 2000

Finished = Iterator[tuple[str, Part]]


def performed(point: Point, plugins: Sequence[Plugin], inputs: Inputs) -> Part:
    """The run of the point; what goes wrong in it becomes the part's error."""
    try:
        load_plugins(plugins)
        return parts.part_of(point.id, parts.code_digest(), runner_of(point.mode, inputs).run(point))
    except KcoreError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - one run of many: it is recorded, the others go on
        problem = f"{type(error).__name__}: {error}"
    text = " ".join(problem.split())[:ERROR_CHARS_MAX]
    return Part(id=point.id, code=parts.code_digest(), error=text or "an error without a message")


# -- this machine


def default_workers() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.lru_cache(maxsize=OPEN_INPUTS_MAX)
def _mapped(folder: str) -> Any:
    return shelf.opened(shelf.mapped(Path(folder)))


def _stand_in(place: str) -> None:
    """The working folder is the one of the sweep: a pool's process may have begun in that of an earlier one."""
    if os.getcwd() != place:
        os.chdir(place)


def perform_here(place: str, folder: str, point: Point, plugins: tuple[Plugin, ...]) -> tuple[str, Part]:
    """The point's part is on disk; the tables stay there, the figures are returned."""
    _stand_in(place)
    part = performed(point, plugins, lambda key: _mapped(os.path.join(folder, INPUTS, key)))
    parts.write(Path(folder) / PARTS, point.id, parts.encoded(part))
    part.tables = {}
    return point.id, part


def shelve_here(place: str, folder: str, source: Source) -> str:
    """The source is on the shelf; returns what is wrong with it, or nothing."""
    _stand_in(place)
    try:
        shelf.shelve(shelf.load(source), Path(folder) / INPUTS / source.key)
    except KcoreError as error:
        return str(error)
    return ""


def run_local(points: Sequence[Point], plugins: tuple[Plugin, ...], folder: Path, workers: int) -> Finished:
    """Run the points in processes of this machine, which map the inputs into their memory.

    Where a process dies (killed, or out of memory), the points that may have been its own are run again one by one, so
    that the one that is to blame is told from the others, which go on.
    """
    import joblib

    task = joblib.delayed(perform_here)
    left = list(points)
    while left:
        finished = set()
        pool = _pool(min(workers, len(left)), return_as="generator_unordered")
        try:
            for id_, part in pool(task(os.getcwd(), str(folder), point, plugins) for point in left):
                finished.add(id_)
                yield id_, part
            return
        except BrokenExecutor:
            left = [point for point in left if point.id not in finished]
        for point in left[: workers * DISPATCHED_PER_WORKER]:
            yield _alone(point, plugins, folder)
        del left[: workers * DISPATCHED_PER_WORKER]


def _pool(workers: int, **options: Any) -> Any:
    import joblib

    return joblib.Parallel(
        n_jobs=workers,
        batch_size=1,
        pre_dispatch=f"{DISPATCHED_PER_WORKER} * n_jobs",
        initializer=end_with_parent,
        **options,
    )


def _alone(point: Point, plugins: tuple[Plugin, ...], folder: Path) -> tuple[str, Part]:
    """The point is run in a process that has nothing else to do; if that dies too, it is the point's own failure."""
    import joblib

    try:
        found: list[tuple[str, Part]] = _pool(2)(
            [joblib.delayed(perform_here)(os.getcwd(), str(folder), point, plugins)]
        )
        return found[0]
    except BrokenExecutor:
        part = Part(id=point.id, code=parts.code_digest(), error=PROCESS_ENDED)
        parts.write(folder / PARTS, point.id, parts.encoded(part))
        return point.id, part


def end_with_parent() -> None:
    """This process ends soon after its parent, however that ended: joblib's would wait five minutes for work."""
    import threading

    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="kcore-parent").start()


def shelve_all(wanted: Sequence[Source], folder: Path, workers: int) -> None:
    """All sources are on the shelf.

    Raises:
        InputError: one of them is wrong.
    """
    import joblib

    pool = _pool(min(workers, max(len(wanted), 1)))
    for problem in pool(joblib.delayed(shelve_here)(os.getcwd(), str(folder), source) for source in wanted):
        if problem:
            raise InputError(problem)


def warming_point(points: Sequence[Point], folder: Path) -> Point | None:
    """The point to be run alone, so that it compiles the kernels for all others; None where that is not needed."""
    if not kernel.JIT or kernel.is_cached():
        return None
    sizes: dict[str, tuple[int, int]] = {}
    for point in points:
        for key in filter(None, (point.cluster_key, point.workload_key)):
            if key not in sizes:
                index = shelf.index_of(folder / INPUTS / key)
                sizes[key] = (index.nodes, index.pods) if index else (0, 0)
        nodes = sizes[point.cluster_key or point.workload_key][0]
        if sizes[point.workload_key][1] * (nodes + 1) > INTERPRETED_MAX:
            return point
    return None


# -- a Ray cluster


def check_ray(address: str | None) -> None:
    """InputError where Ray is not installed, or nobody says where the cluster is."""
    if find_spec("ray") is None:
        raise InputError("ray is not installed", field="--engine", expected="pip install 'kcore[ray]'")
    import ray

    if not address and not os.environ.get("RAY_ADDRESS") and not ray.is_initialized():
        raise InputError(
            "says nowhere which Ray cluster",
            field="--engine",
            expected="--ray-address HOST:PORT, auto or local, or RAY_ADDRESS",
        )


def perform_there(point: Point, plugins: tuple[Plugin, ...], cluster: Any, workload: Any) -> bytes:
    """The point's part; inputs come as arrays in the memory of the cluster's object store."""
    given = {point.workload_key: workload, point.cluster_key: cluster}
    part = performed(point, plugins, lambda key: shelf.opened(shelf.buffers(given[key])))
    return parts.encoded(part)


def run_ray(
    points: Sequence[Point], plugins: tuple[Plugin, ...], folder: Path, workers: int, address: str | None
) -> Finished:
    """Run the points on a Ray cluster, ``workers`` at once (0: four a processor); inputs go through its object store.

    Raises:
        InputError: the cluster cannot be reached.
        KcoreError: the cluster has another version of kcore.
    """
    import ray

    started = not ray.is_initialized()
    if started:
        _connect(address, workers)
    try:
        yield from _ray_tasks(points, plugins, folder, workers)
    finally:
        if started:
            ray.shutdown()


def _connect(address: str | None, workers: int) -> None:
    import ray

    here: dict[str, Any] = {"num_cpus": workers or None} if address == "local" else {}
    try:
        ray.init(
            address=address, log_to_driver=False, configure_logging=False, include_dashboard=False, **here
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"no Ray cluster answers: {problem}",
            field="--ray-address",
            expected="the address of a running cluster",
        ) from None


def _ray_tasks(points: Sequence[Point], plugins: tuple[Plugin, ...], folder: Path, workers: int) -> Finished:
    import ray

    remote = ray.remote(perform_there)
    uses = Counter(key for point in points for key in {point.cluster_key, point.workload_key} - {""})
    stored: dict[str, Any] = {"": None}
    flying: dict[Any, Point] = {}
    left = iter(points)
    at_once = workers or IN_FLIGHT_PER_CPU * max(int(ray.cluster_resources().get("CPU", 1)), 1)
    while True:
        while len(flying) < at_once and (point := next(left, None)) is not None:
            for key in {point.cluster_key, point.workload_key} - stored.keys():
                stored[key] = ray.put(shelf.contents(folder / INPUTS / key))
            task = remote.remote(point, plugins, stored[point.cluster_key], stored[point.workload_key])
            flying[task] = point
            for key in {point.cluster_key, point.workload_key} - {""}:
                uses[key] -= 1
                if not uses[key]:
                    del stored[key]  # the store frees it once the tasks that hold it have ended
        if not flying:
            return
        done, _ = ray.wait(list(flying), num_returns=1)
        for task in done:
            yield _received(flying.pop(task), task, folder)


def _received(point: Point, task: Any, folder: Path) -> tuple[str, Part]:
    """The part that the cluster sends is on disk here."""
    import ray

    try:
        content = ray.get(task)
    except ray.exceptions.RayError as error:
        problem = (
            f"the Ray task failed: {type(error).__name__}: {' '.join(str(error).split())[:ERROR_CHARS_MAX]}"
        )
        content = parts.encoded(Part(id=point.id, code=parts.code_digest(), error=problem))
    parts.write(folder / PARTS, point.id, content)
    part = parts.read(folder / PARTS, point.id)
    if part is None:
        raise KcoreError("the Ray cluster has another version of kcore than this machine")
    part.tables = {}
    return point.id, part
