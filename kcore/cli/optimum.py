"""``kcore optimum``: the best placement of pending pods, and how far from it the scheduler and policies are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kcore.api.errors import InputError
from kcore.cli.schedule import ConfigPath, Files, NoProgress, Verbose

if TYPE_CHECKING:
    from kcore.cluster import Cluster
    from kcore.sim.instance import Instance
    from kcore.sim.optimum import Optimum

DEFAULT = "default"
"""The name of the scheduler's own profile among policies."""

Objective = Annotated[
    str,
    typer.Option(
        "--objective",
        metavar="placed|nodes_used|RESOURCE",
        help="As many pods as possible; as many on as few nodes as possible; or as much of a resource as possible.",
    ),
]
Seconds = Annotated[float, typer.Option("--seconds", help="Give the best found after so long.")]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Threads of the search; all cores by default.")
]
Seed = Annotated[int, typer.Option("--seed", help="Of the search; with --workers 1 answers repeat.")]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="RESOURCE",
        help="A resource in devices of 1,000, such as alibabacloud.com/gpu-milli: less than that comes from one.",
    ),
]
BoundOnly = Annotated[
    bool, typer.Option("--bound-only", help="No search: a bound by linear relaxation, for large clusters.")
]
Policies = Annotated[
    list[str],
    typer.Option("--policy", metavar="NAME", help="Compare a registered policy, too. Repeatable."),
]
Output = Annotated[
    Literal["table", "json", "yaml"], typer.Option("-o", "--output", help="Form of the answer.")
]
Out = Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write the answer there.")]


def optimum(
    file: Files = [],  # noqa: B006 - typer copies it
    objective: Objective = "placed",
    seconds: Seconds = 60.0,
    workers: Workers = None,
    seed: Seed = 0,
    device: Device = None,
    bound_only: BoundOnly = False,
    policy: Policies = [],  # noqa: B006
    config: ConfigPath = None,
    output: Output = "table",
    out: Out = None,
    verbose: Verbose = False,
    no_progress: NoProgress = False,
) -> None:
    """Place pending pods as well as can be, and say how far the scheduler and policies are from that."""
    from kcore.cli.output import check_destination
    from kcore.cli.progress import Progress
    from kcore.cluster import Cluster
    from kcore.sim.instance import instance_of
    from kcore.sim.optimum import bound, check_objective
    from kcore.sim.optimum import optimum as search

    if not file:
        raise InputError("nothing to read", expected="-f FILE with nodes and pods")
    if out is not None:
        check_destination(output, out)
    with Progress(bar=not no_progress, verbose=verbose) as progress:
        progress.stage("reading")
        cluster = Cluster.load(*file)
        instance = instance_of(cluster, config=config, device=device)
        check_objective(objective, instance)
        runs = {}
        for name in dict.fromkeys([DEFAULT, *policy]):
            progress.stage(f"placing by {name}")
            runs[name] = _placements(cluster, name, config)
        if bound_only:
            progress.stage("bounding")
            placed = max((sum(node is not None for node in run.values()) for run in runs.values()), default=0)
            best = bound(instance, objective=objective, placed=placed)
        else:
            progress.stage("searching")
            best = search(
                instance,
                objective=objective,
                seconds=seconds,
                workers=workers,
                seed=seed,
                starts=runs.values(),
            )
    answer = _answer(instance, best, runs)
    if out is None:
        _write(answer, output, sys.stdout)
        return
    with open(out, "w", encoding="utf-8") as stream:
        _write(answer, output, stream)
    print(f"wrote {out}")


def _placements(cluster: Cluster, policy: str, config: str | None) -> dict[str, str | None]:
    """Where a policy puts the pods of a copy of the cluster, by ``namespace/name``."""
    from copy import deepcopy

    if policy == DEFAULT:
        result = deepcopy(cluster).schedule(config=config, preemption="off")
    else:
        result = deepcopy(cluster).schedule(policy=policy, preemption="off")
    columns = (result.placements[name].to_pylist() for name in ("namespace", "name", "node"))
    return {f"{namespace}/{name}": node for namespace, name, node in zip(*columns, strict=True)}


def _answer(instance: Instance, best: Optimum, runs: dict[str, dict[str, str | None]]) -> dict[str, Any]:
    from kcore.sim.optimum import value_by_name

    policies = []
    for name, placements in runs.items():
        value = value_by_name(instance, placements, best.objective)
        placed = sum(placements[pod] is not None for pod in instance.pods)
        policies.append({"policy": name, "placed": placed, **best.distance(value)})
    gaps = {"gap": None, "gap_percent": None}
    if best.value is not None:
        gaps = {key: value for key, value in best.distance(best.value).items() if key in gaps}
    return {
        "objective": best.objective,
        "status": best.status,
        "value": best.value,
        "bound": best.bound,
        **gaps,
        "seconds": best.seconds,
        "nodes": best.nodes,
        "pods": best.pods,
        "left_out": list(best.left_out),
        "policies": policies,
        "placements": [
            dict(zip(("namespace", "name", "node"), (*pod.split("/", 1), node), strict=True))
            for pod, node in best.placements.items()
        ],
    }


def _write(answer: dict[str, Any], output: str, stream: Any) -> None:
    from kcore.cli.output import print_plain, summary_lines, table_lines

    if output != "table":
        print_plain(answer, output, stream)
        return
    shown = {
        name: value for name, value in answer.items() if name not in ("policies", "placements", "gap_percent")
    }
    shown["search time"] = f"{shown.pop('seconds'):,.3f} s"
    shown["not modelled"] = shown.pop("left_out") or None
    stream.writelines(f"{line}\n" for line in summary_lines(shown))
    rows = [
        [
            one["policy"], f"{one['placed']:,}", f"{one['value']:,}", f"{one['bound']:,}", f"{one['gap']:,}",
            f"{one['gap_percent']:.2f} %",
        ]
        for one in answer["policies"]
    ]  # fmt: skip
    stream.write("\n")
    header = ["POLICY", "PLACED", "VALUE", "BOUND", "GAP", "GAP/BOUND"]
    stream.writelines(f"{line}\n" for line in table_lines(header, rows))
