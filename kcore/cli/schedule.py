"""``kcore schedule``: place pods on nodes, as kube-scheduler would, and say why not where it would not."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kcore.api.errors import InputError

if TYPE_CHECKING:
    from kcore.cluster import Cluster
    from kcore.scheduler.result import Result

Format = Literal["table", "wide", "json", "jsonl", "yaml", "csv", "parquet", "arrow"]

Files = Annotated[
    list[str],
    typer.Option(
        "-f",
        "--file",
        metavar="FILE",
        help="Nodes and pods: a manifest, dump or table, a folder of them, - for standard input, or "
        "synthetic:NAME?nodes=..&pods=..&seed=.. (see: kcore datasets list). Repeatable.",
    ),
]
ConfigPath = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="A KubeSchedulerConfiguration.")
]
Profile = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="The profile of --config to schedule with.")
]
Policy = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="NAME",
        help="Instead of the default profile: random, first_fit, best_fit, worst_fit, dot_prod, tetris, gpu_packing, "
        "gpu_clustering, fgd, default, or a registered score plugin. Pods with GPUs share them (docs/policies.md).",
    ),
]
TieBreak = Annotated[
    Literal["first", "random"],
    typer.Option(
        "--tie-break", help="Among equally good nodes: the first by name, or one drawn with --seed."
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the draws of --tie-break random.")]
Order = Annotated[
    Literal["queue", "file"],
    typer.Option("--order", help="By priority as the scheduler's queue, or as the pods stand in the files."),
]
Preemption = Annotated[
    Literal["off", "nominate", "evict"],
    typer.Option(
        "--preemption",
        help="What a pod that fits nowhere does: nothing, name a node and its victims, or evict them and take it.",
    ),
]
Engine = Annotated[
    Literal["auto", "full", "incremental"],
    typer.Option(
        "--engine",
        help="full evaluates every node for every pod; incremental only what changed; auto takes the quicker.",
    ),
]
Explain = Annotated[
    list[str],
    typer.Option(
        "--explain",
        metavar="POD|all",
        help="Say for each node what rejected [NAMESPACE/]POD or how it scored. Repeatable.",
    ),
]
Plot = Annotated[
    str | None,
    typer.Option("--plot", metavar="FILE", help="Draw every node's use: .png, .svg, .pdf or .html."),
]
RequireAll = Annotated[bool, typer.Option("--require-all", help="Exit with 1 if any pod was not placed.")]
FromKubeconfig = Annotated[
    str | None,
    typer.Option("--from-kubeconfig", metavar="FILE", help="Read a live cluster; -f may add pods to it."),
]
Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="The context of --from-kubeconfig.")
]
Output = Annotated[
    Format | None,
    typer.Option("-o", "--output", help="Form of the result; by default that of --out's ending, or table."),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out", metavar="FILE", help="Write the result there; the summary stays on standard output."
    ),
]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Say what takes how long; show tracebacks of internal errors.")
]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="No progress bar on the terminal.")]


@dataclass(frozen=True)
class Job:
    """The command line, checked as far as that is possible without reading a file."""

    files: list[str]
    config: str | None
    profile: str | None
    policy: str | None
    tie_break: str
    seed: int
    order: str
    preemption: str
    engine: str
    explain: bool | list[str]
    plot: str | None
    require_all: bool
    kubeconfig: str | None
    context: str | None
    form: str
    out: str | None
    verbose: bool
    progress: bool


def schedule(
    file: Files = [],  # noqa: B006 - typer copies it
    config: ConfigPath = None,
    profile: Profile = None,
    policy: Policy = None,
    tie_break: TieBreak = "first",
    seed: Seed = 0,
    order: Order = "queue",
    preemption: Preemption = "nominate",
    engine: Engine = "auto",
    explain: Explain = [],  # noqa: B006
    plot: Plot = None,
    require_all: RequireAll = False,
    from_kubeconfig: FromKubeconfig = None,
    context: Context = None,
    output: Output = None,
    out: Out = None,
    verbose: Verbose = False,
    no_progress: NoProgress = False,
) -> None:
    """Place pending pods on nodes exactly as kube-scheduler would."""
    from kcore.cli import output as output_forms

    if not file and not from_kubeconfig:
        raise InputError("nothing to read", expected="-f FILE with nodes and pods, or --from-kubeconfig FILE")
    if context and not from_kubeconfig:
        raise InputError(
            "has no cluster to choose from", field="--context", expected="--from-kubeconfig FILE too"
        )
    if profile and policy:
        raise InputError("cannot go with --profile", field="--policy", expected="one of the two")
    job = Job(
        files=file,
        config=config,
        profile=profile,
        policy=policy,
        tie_break=tie_break,
        seed=seed,
        order=order,
        preemption=preemption,
        engine=engine,
        explain=_explained(explain),
        plot=plot,
        require_all=require_all,
        kubeconfig=from_kubeconfig,
        context=context,
        form=output_forms.form_of(output, out),
        out=out,
        verbose=verbose,
        progress=not no_progress,
    )
    raise typer.Exit(run(job))


def run(job: Job) -> int:
    """Does the job and returns the exit code: 1 where --require-all is given and a pod was not placed."""
    from kcore.cli import output
    from kcore.cli.progress import Progress

    output.check_destination(job.form, job.out)
    if job.plot is not None:
        from kcore.cli import plot

        plot.check_destination(job.plot)
    with Progress(bar=job.progress, verbose=job.verbose) as progress:
        progress.stage("reading")
        cluster, added = _cluster(job)
        result = cluster.schedule(
            added,
            config=job.config,
            profile=job.profile,
            policy=job.policy,
            tie_break=job.tie_break,
            seed=job.seed,
            order=job.order,
            preemption=job.preemption,
            engine=job.engine,
            explain=job.explain,
            progress=progress.advance,
            stage=progress.stage,
        )
        if job.out is not None:
            progress.stage(f"writing {job.out}")
            output.write_file(result, job.form, job.out)
        if job.plot is not None:
            progress.stage(f"drawing {job.plot}")
            plot.draw(result, job.plot)
    _print(result, job)
    return 1 if job.require_all and result.unschedulable else 0


def _cluster(job: Job) -> tuple[Cluster, list[str] | None]:
    """The cluster, and the files of pods that are to be added to it."""
    from kcore.cluster import Cluster

    if job.kubeconfig is not None:
        return Cluster.from_kubeconfig(job.kubeconfig, context=job.context), job.files or None
    return Cluster.load(*job.files), None


def _print(result: Result, job: Job) -> None:
    from kcore.cli import output

    if job.out is None:
        output.write_stream(result, job.form, sys.stdout)
        return
    print("\n".join(output.summary_lines(result.summary)))
    print(f"\nwrote {job.out}" + (f" and {job.plot}" if job.plot else ""))


def _explained(pods: list[str]) -> bool | list[str]:
    """True for all pods, else the pods as NAMESPACE/NAME."""
    if "all" in pods:
        return True
    for pod in pods:
        if pod.count("/") > 1 or not Path(pod).name or pod.startswith("/"):
            raise InputError(f"{pod!r} names no pod", field="--explain", expected="[NAMESPACE/]POD or all")
    return [pod if "/" in pod else f"default/{pod}" for pod in pods] or False
