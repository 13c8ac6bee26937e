"""Runs a study: what is missing, and only that, wherever it was interrupted; then one table of everything.

Beside ``OUT`` stands the work folder ``OUT.runs``: ``inputs/`` (see :mod:`kcore.sim.shelf`) and ``parts/``, a file for
each finished run (see :mod:`kcore.sim.parts`). A run is known by an id that follows from its parameters and from the
content of its inputs, so that a changed study or file means other runs, and unchanged ones are found again.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from kcore.api.errors import InputError
from kcore.cluster import Cluster
from kcore.sim import engines, gather, parts, shelf
from kcore.sim.engines import INPUTS, PARTS
from kcore.sim.parts import Part
from kcore.sim.plan import Plan, plan
from kcore.sim.points import Point
from kcore.sim.runner import load_plugins
from kcore.sim.study import Study

if TYPE_CHECKING:
    import pyarrow as pa

ENGINES = ("local", "ray")
WORK_SUFFIX = ".runs"
LOCK = "lock"

Report = Callable[[int, int, int], None]  # runs finished now, runs to do, of them failed
Stage = Callable[[str], None]


class Swept(Struct, kw_only=True):
    """What a sweep came to. ``failed`` has a title and an error for each run that did not end well."""

    table: pa.Table
    points: int
    found: int  # finished by an earlier sweep
    ran: int  # now, failed ones included
    failed: list[tuple[str, str]]
    files: list[str]


def sweep(
    study: Study,
    out: str | Path,
    *,
    engine: str = "local",
    workers: int = 0,
    ray_address: str | None = None,
    fresh: bool = False,
    report: Report | None = None,
    stage: Stage | None = None,
) -> Swept:
    """Run what is missing of the study and write ``out``, a tidy Parquet file with one row a run.

    Args:
        study: what :func:`kcore.sim.study.read_study` returned.
        out: the file; tables that the study keeps are written beside it as ``STEM.NAME.parquet``, and how long runs
            took as ``STEM.times.parquet``.
        engine: "local" runs in processes of this machine, "ray" on a Ray cluster.
        workers: processes, or runs at once on the cluster; 0 for as many as there are processors.
        ray_address: of the cluster; None for RAY_ADDRESS, "local" starts one here.
        fresh: forget what earlier sweeps finished.
        report: called with (finished, to do, failed) after each run.
        stage: called with what is being done.

    Raises:
        InputError: anything wrong with the study or its inputs, or another sweep is at work on the same file.
    """
    if engine not in ENGINES:
        raise InputError(f"{engine!r} is not an engine", field="engine", expected=" or ".join(ENGINES))
    if engine == "ray":
        engines.check_ray(ray_address)
    say = stage or (lambda _: None)
    say("reading the study")
    planned = plan(study)
    load_plugins(planned.plugins)
    check_policies(study, planned)
    folder = Path(f"{out}{WORK_SUFFIX}").absolute()
    with _held(folder, fresh):
        found = _finished(planned.points, folder)
        missing = [point for point in planned.points if point.id not in found]
        before = len(found)
        used = workers or engines.default_workers()
        _shelve(planned, missing, folder, used, say)
        say("running")
        ran = 0
        failures = 0
        for id_, part in _run(missing, planned, folder, engine, workers, ray_address):
            found[id_] = part
            ran += 1
            failures += bool(part.error)
            if report is not None:
                report(ran, len(missing), failures)
        say("gathering")
        table, files = _gather(planned, found, Path(out), folder)
        _drop_unused_inputs(planned, folder)
    failed = [
        (point.title, found[point.id].error if point.id in found else gather.NOT_RUN)
        for point in planned.points
        if point.id not in found or found[point.id].error
    ]
    return Swept(table=table, points=len(planned.points), found=before, ran=ran, failed=failed, files=files)


def check_policies(study: Study, planned: Plan) -> None:
    """InputError for a policy, profile or configuration that cannot schedule; simulations know policies of their own."""
    if study.mode != "schedule":
        return
    seen = set()
    for point in planned.points:
        if point.policy in seen:
            continue
        seen.add(point.policy)
        index = [policy.name for policy in study.policies].index(point.policy)
        try:
            Cluster().schedule(config=point.config, profile=point.profile, policy=point.score_policy)
        except InputError as error:
            raise error.at(field=f"policies[{index}]").at(file=study.file) from None
        if len(seen) == len(study.policies):
            return


@contextmanager
def _held(folder: Path, fresh: bool) -> Iterator[None]:
    """The work folder is there, is ours alone, and holds nothing half written."""
    try:
        folder.mkdir(exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise InputError(f"cannot be used: {error.strerror}", file=str(folder)) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                "another sweep is at work here", file=str(folder), expected="it to end, or another --out"
            ) from None
        if fresh:
            shutil.rmtree(folder / PARTS, ignore_errors=True)
            shutil.rmtree(folder / INPUTS, ignore_errors=True)
        for name in (PARTS, INPUTS):
            (folder / name).mkdir(exist_ok=True)
            parts.drop_abandoned(folder / name)
        parts.drop_abandoned(folder.parent)
        yield


def _finished(points: list[Point], folder: Path) -> dict[str, Part]:
    """The parts of runs that ended well; what is damaged, failed or of another kcore counts as missing."""
    found = {}
    for point in points:
        part = parts.read(folder / PARTS, point.id)
        if part is not None and not part.error:
            part.tables = {}
            found[point.id] = part
    return found


def _shelve(planned: Plan, missing: list[Point], folder: Path, workers: int, say: Stage) -> None:
    """All inputs that the missing points need are on the shelf."""
    keys = dict.fromkeys(key for point in missing for key in (point.cluster_key, point.workload_key) if key)
    absent = [planned.sources[key] for key in keys if shelf.index_of(folder / INPUTS / key) is None]
    if absent:
        say("reading the inputs")
        engines.shelve_all(absent, folder, workers)


def _run(
    missing: list[Point], planned: Plan, folder: Path, engine: str, workers: int, ray_address: str | None
) -> engines.Finished:
    if not missing:
        return
    plugins = planned.plugins
    if engine == "ray":
        yield from engines.run_ray(missing, plugins, folder, workers, ray_address)
        return
    used = workers or engines.default_workers()
    first = engines.warming_point(missing, folder) if used > 1 else None
    if first is not None:
        yield from engines.run_local([first], plugins, folder, 1)
    left = [point for point in missing if point is not first]
    yield from engines.run_local(left, plugins, folder, used)


def _gather(planned: Plan, found: dict[str, Part], out: Path, folder: Path) -> tuple[pa.Table, list[str]]:
    study, points = planned.study, planned.points
    table = gather.tidy(study, points, found)
    kept = {name: out.with_name(f"{out.stem}.{name}.parquet") for name in study.tables}
    took = out.with_name(f"{out.stem}.times.parquet")
    for name, path in kept.items():
        gather.write_kept(path, name, study, points, folder / PARTS)
    gather.write_tidy(took, gather.times(points, found))
    gather.write_tidy(out, table)  # last: where it is, the others are too
    return table, [str(path) for path in (out, took, *kept.values()) if path.exists()]


def _drop_unused_inputs(planned: Plan, folder: Path) -> None:
    """The shelf holds what this study uses and no more."""
    for input_ in (folder / INPUTS).iterdir():
        if input_.name not in planned.sources:
            shutil.rmtree(input_, ignore_errors=True)
