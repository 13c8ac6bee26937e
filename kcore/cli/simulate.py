"""``kcore simulate``: replay a trace on a simulated clock, and say how it went."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kcore.api.errors import InputError
from kcore.cli.schedule import ConfigPath, NoProgress, Policy, Profile, Seed, TieBreak, Verbose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kcore.sim.outcome import SimulationResult
    from kcore.sim.simulation import Simulation

TraceFile = Annotated[
    str,
    typer.Argument(
        metavar="TRACE",
        help="A public trace or a table of your own, a file or a folder (see: kcore datasets list).",
    ),
]
ClusterFiles = Annotated[
    list[str],
    typer.Option(
        "-f",
        "--cluster",
        metavar="FILE",
        help="Nodes, and pods that run already, in place of the trace's own: as kcore schedule -f. Repeatable.",
    ),
]
Form = Annotated[
    str,
    typer.Option(
        "--form", metavar="NAME", help="The loader of the trace; told from names and columns otherwise."
    ),
]
Order = Annotated[
    Literal["queue", "fifo", "sjf", "drf", "easy", "conservative", "srtf", "las"] | None,
    typer.Option(
        "--order",
        help="Who comes first: by priority (queue), by arrival, the shortest estimate, the least dominant share; "
        "backfill, shortest remaining time, least attained service (see docs/orders.md).",
    ),
]
Overrun = Annotated[
    Literal["run", "kill"],
    typer.Option("--overrun", help="What becomes of a pod that has run as long as its estimate says."),
]
Thresholds = Annotated[
    str | None,
    typer.Option("--thresholds", metavar="TIMES", help="Of attained service, between the queues of las."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Nobody overtakes the first in the queue.")]
Preemption = Annotated[
    Literal["off", "evict"],
    typer.Option("--preemption", help="Whether pods of lower priority make room for those of higher."),
]
Preempted = Annotated[
    Literal["restart", "resume", "drop"] | None,
    typer.Option(
        "--preempted",
        help="What becomes of those, and of pods whose node goes: restart, but resume for srtf and las.",
    ),
]
Interval = Annotated[
    str | None,
    typer.Option("--interval", metavar="TIME", help="How often the cluster is written down, as 60s."),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Stop at that simulated time, as 2h.")
]
ScenarioPath = Annotated[
    str | None,
    typer.Option("--scenario", metavar="FILE", help="Events and node groups (see docs/simulation.md)."),
]
MaxPods = Annotated[
    int | None, typer.Option("--max-pods", min=1, metavar="N", help="Only the first N pods of the trace.")
]
Speed = Annotated[
    float,
    typer.Option("--speed", "--load", metavar="FACTOR", help="Pods arrive so many times as fast."),
]
OutFolder = Annotated[
    str | None,
    typer.Option("--out", metavar="DIR", help="Write placements, intervals, owners and events there."),
]
TableForm = Annotated[
    Literal["parquet", "arrow", "csv"], typer.Option("--format", help="The form of the tables of --out.")
]
Output = Annotated[
    Literal["table", "json", "jsonl", "yaml", "csv"],
    typer.Option("-o", "--output", help="Form of the summary."),
]
Plot = Annotated[
    str | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Draw utilisation and waiting pods over time: .png, .svg, .pdf or .html.",
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        "--checkpoint", metavar="FILE", help="Save the simulation there at its end, or where it stops."
    ),
]
CheckpointEvery = Annotated[
    str | None,
    typer.Option("--checkpoint-every", metavar="TIME", help="And about every so much simulated time."),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume", metavar="FILE", help="Go on from a checkpoint; trace, cluster and options as they were."
    ),
]
RequireAll = Annotated[bool, typer.Option("--require-all", help="Exit with 1 if any pod never ran.")]

TABLES = ("placements", "intervals", "owners", "events")


@dataclass(frozen=True)
class Job:
    """The command line, checked as far as that is possible without reading a file."""

    trace: str
    cluster: list[str]
    form: str
    arguments: dict[str, Any]
    scenario: str | None
    until_ms: int | None
    max_pods: int | None
    speed: float
    out: str | None
    table_form: str
    output: str
    plot: str | None
    checkpoint: str | None
    every_ms: int | None
    resume: str | None
    require_all: bool
    verbose: bool
    progress: bool


def simulate(
    trace: TraceFile,
    cluster: ClusterFiles = [],  # noqa: B006 - typer copies it
    form: Form = "",
    policy: Policy = None,
    config: ConfigPath = None,
    profile: Profile = None,
    seed: Seed = 0,
    tie_break: TieBreak = "first",
    order: Order = None,
    strict: Strict = False,
    preemption: Preemption = "evict",
    preempted: Preempted = None,
    overrun: Overrun = "run",
    thresholds: Thresholds = None,
    interval: Interval = None,
    until: Until = None,
    scenario: ScenarioPath = None,
    max_pods: MaxPods = None,
    speed: Speed = 1.0,
    out: OutFolder = None,
    table_form: TableForm = "parquet",
    output: Output = "table",
    plot: Plot = None,
    checkpoint: Checkpoint = None,
    checkpoint_every: CheckpointEvery = None,
    resume: Resume = None,
    require_all: RequireAll = False,
    verbose: Verbose = False,
    no_progress: NoProgress = False,
) -> None:
    """Replay a trace: pods arrive, wait, run and end on a simulated clock, placed as kube-scheduler would."""
    if profile and policy:
        raise InputError("cannot go with --profile", field="--policy", expected="one of the two")
    if checkpoint_every and not checkpoint:
        raise InputError("has no file", field="--checkpoint-every", expected="--checkpoint FILE too")
    if not 0 < speed < float("inf"):
        raise InputError(f"{speed} is no speed", field="--speed", expected="a number above 0")
    arguments = {
        "policy": policy, "config": config, "profile": profile, "seed": seed, "tie_break": tie_break, "order": order,
        "strict": strict, "preemption": preemption, "preempted": preempted, "overrun": overrun,
        "interval_ms": _time(interval, "--interval"),
    }  # fmt: skip
    if thresholds is not None:
        arguments["thresholds"] = thresholds
    job = Job(
        trace, cluster, form, arguments, scenario, _time(until, "--until", least=0), max_pods, speed, out, table_form,
        output, plot, checkpoint, _time(checkpoint_every, "--checkpoint-every"), resume, require_all, verbose,
        not no_progress,
    )  # fmt: skip
    raise typer.Exit(run(job))


def _time(text: str | None, flag: str, least: int = 1) -> int | None:
    if text is None:
        return None
    from kcore.sim.events import time_ms

    found = time_ms(text if not text.isdigit() else int(text), "", flag)
    if found < least:
        raise InputError(f"{text!r} is no length of time", field=flag, expected="1 ms or more")
    return found


def run(job: Job) -> int:
    """Does the job and returns the exit code: 1 where --require-all is given and a pod never ran."""
    from kcore.cli.progress import Progress

    _check_destinations(job)
    with Progress(bar=job.progress, verbose=job.verbose) as progress:
        simulation = _simulation(job, progress.stage)
        progress.stage("loading kernels")
        simulation.warm()
        progress.stage("simulating", unit="events")
        started = time.perf_counter()
        result = simulation.run(job.until_ms, _Watch(simulation, job, progress))
        seconds = time.perf_counter() - started
        if job.checkpoint is not None:
            progress.stage(f"writing {job.checkpoint}")
            simulation.save(job.checkpoint)
        written = _write(job, result, progress.stage)
    _print(job, result, seconds, written)
    never = result.summary["pods"] != result.summary["placed"]
    return 1 if job.require_all and never else 0


def _check_destinations(job: Job) -> None:
    """InputError where something could not be written, before any work is done."""
    from kcore.cli.output import check_writable

    for path, flag in ((job.plot, "--plot"), (job.checkpoint, "--checkpoint")):
        if path is not None:
            check_writable(path, flag)
    if job.plot is not None:
        from kcore.sim import figures

        figures.check_path(job.plot, "--plot")
    if job.out is not None:
        folder = Path(job.out)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{job.out} is a file", field="--out", expected="a folder")
        folder.mkdir(parents=True, exist_ok=True)
        check_writable(str(folder / f"placements.{job.table_form}"), "--out")


def _simulation(job: Job, stage: Callable[[str], None]) -> Simulation:
    """The simulation at its beginning, or where --resume says."""
    from kcore import traces
    from kcore.cluster import Cluster
    from kcore.sim.scenario_file import ScenarioFile, read_scenario
    from kcore.sim.simulation import Simulation

    stage("reading")
    given = read_scenario(job.scenario) if job.scenario is not None else ScenarioFile([], [])
    trace = traces.load_trace(job.trace, job.form)
    if job.max_pods is not None:
        trace = trace.first(job.max_pods)
    if job.speed != 1:
        trace = trace.faster(job.speed)
    cluster = Cluster.load(*job.cluster) if job.cluster else None
    stage("compiling what the pods demand")
    arguments = job.arguments | {"scenario": given.events, "groups": given.groups}
    if job.resume is not None:
        return Simulation.load(job.resume, cluster, trace, **arguments)
    return Simulation(cluster, trace, **arguments)


class _Watch:
    """Is told how far the simulation is: moves the bar, and saves checkpoints on the way."""

    def __init__(self, simulation: Simulation, job: Job, progress: Any) -> None:
        self._simulation, self._job, self._progress = simulation, job, progress
        self._due = self._after(simulation.now_ms)

    def _after(self, now_ms: int) -> int:
        every = self._job.every_ms
        return 1 << 62 if every is None else (now_ms // every + 1) * every

    def __call__(self, events: int, least: int, now_ms: int) -> None:
        self._progress.advance(events, least, f"{_duration(now_ms)} simulated")
        if now_ms >= self._due:
            assert self._job.checkpoint is not None
            self._simulation.save(self._job.checkpoint)
            self._due = self._after(now_ms)


def _write(job: Job, result: SimulationResult, stage: Callable[[str], None]) -> list[str]:
    """Tables and picture are written; their paths."""
    written = [] if job.checkpoint is None else [job.checkpoint]
    if job.out is not None:
        from kcore.cli.output import flat
        from kcore.traces.write import write_table

        stage(f"writing {job.out}")
        for name in TABLES:
            path = str(Path(job.out) / f"{name}.{job.table_form}")
            table = result.metrics[name]
            write_table(flat(table) if job.table_form == "csv" else table, path, job.table_form)
            written.append(path)
    if job.plot is not None:
        from kcore.sim import figures

        stage(f"drawing {job.plot}")
        policy = f", {job.arguments['policy']}" if job.arguments["policy"] else ""
        figures.write(figures.replay(result.intervals, f"{Path(job.trace).resolve().name}{policy}"), job.plot)
        written.append(job.plot)
    return written


# -- what is printed


def _print(job: Job, result: SimulationResult, seconds: float, written: list[str]) -> None:
    from kcore.cli.output import print_plain

    told = result.to_dict() | {"seconds": round(seconds, 3), "files": written}
    if job.output == "table":
        print("\n".join(_lines(told)))
    elif job.output == "jsonl":
        import orjson

        print(orjson.dumps(told).decode())
    elif job.output == "csv":
        row = {"policy": told["policy"], "order": told["order"], **told["summary"]}
        print(",".join(row))
        print(",".join("" if value is None else str(value) for value in row.values()))
    else:
        print_plain(told, job.output, sys.stdout)


def _lines(told: dict[str, Any]) -> Iterator[str]:
    """The summary for people: aligned names and values, times with their units."""
    summary = told["summary"]
    shown = [("policy", f"{told['policy']}, order {told['order']}")]
    spreads = ("wait_ms", "jct_ms")
    for name, value in summary.items():
        spread = next((one for one in spreads if name.startswith(f"{one}_")), None)
        if spread is None:
            shown.append((_worded(name), _value(name, value)))
        elif name == f"{spread}_mean":
            parts = [
                f"{part} {_value(name, summary[f'{spread}_{part}'])}"
                for part in ("mean", "p50", "p90", "p99", "max")
            ]
            shown.append(({"wait_ms": "waiting", "jct_ms": "completion"}[spread] + " time", "  ".join(parts)))
    width = max(len(name) for name, _ in shown)
    for name, text in shown:
        yield f"{name:<{width}}  {text}"
    if told["files"]:
        yield ""
        yield from (f"wrote {path}" for path in told["files"])


def _worded(name: str) -> str:
    return name.replace("_ms", " time" if name == "simulated_ms" else "").replace("_", " ")


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if "_ms" in name:
        return _duration(value)
    if name.startswith("utilisation_"):
        return f"{value * 100:.1f} %"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def _duration(ms: float) -> str:
    """A time for people: ``350 ms``, ``2.5 s``, ``1:02:03``, ``3 d 04:05:06``."""
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.3g} s"
    seconds = round(ms / 1000)
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock.removeprefix("0")
