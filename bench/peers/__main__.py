"""Compares kcore with the real kube-scheduler: ``make bench-peers``, or ``python -m bench.peers --scheduler FILE``.

Both get the same cluster and the same pods and alternate in one run. kube-scheduler places the first so many pods of
the queue (it would need hours for all of some), kcore the whole queue. Every placement of kube-scheduler is replayed:
with every node scored it must be one of those that kcore finds best, with upstream's sample at least feasible.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import inputs
from bench.clusters import Run
from bench.conftest import machine
from bench.figures import RESULTS, stopwatch
from bench.peers.replay import Agreement, replay
from kcore.api.objects import ClusterObjects
from kcore.scheduler.engine import Options
from kcore.workloads.report import commit

WORKLOADS = (
    "SchedulingBasic/5000Nodes_50000Pods",
    "SchedulingNodeAffinity/5000Nodes_10000Pods",
    "TopologySpreading/5000Nodes_5000Pods",
    "PreferredTopologySpreading/5000Nodes_5000Pods",
    "SchedulingPodAffinity/5000Nodes_5000Pods",
    "SchedulingPodAntiAffinity/5000Nodes_2000Pods",
    "SchedulingPreferredPodAffinity/5000Nodes_5000Pods",
    "MixedSchedulingBasePod/5000Nodes_5000Pods",
)
DISTINCT = "all pods differ"
OPENB = "openb"
MODES = ("sampled", "all")


@dataclass
class Entry:
    """One input, and what both made of it in all rounds: pods a second."""

    name: str
    objects: ClusterObjects
    ours: list[float] = field(default_factory=list)
    theirs: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    agreement: dict[str, Agreement] = field(default_factory=dict)
    pods: int = 0

    def line(self) -> dict[str, Any]:
        """The figures as one object of JSON lines."""
        ours = statistics.median(self.ours)
        found: dict[str, Any] = {
            "workload": self.name, "nodes": len(self.objects.nodes), "pods": self.pods,
            "kcore": ours, "kcore_rounds": self.ours,
        }  # fmt: skip
        for mode in MODES:
            theirs = statistics.median(self.theirs[mode])
            agreed = self.agreement[mode]
            found |= {
                mode: theirs, f"{mode}_rounds": self.theirs[mode], f"times_{mode}": ours / theirs,
                f"pods_{mode}": agreed.pods, f"feasible_{mode}": agreed.feasible, f"best_{mode}": agreed.best,
                f"first_difference_{mode}": agreed.first,
            }  # fmt: skip
        return found


def ours(entry: Entry) -> None:
    """One round of kcore: the whole queue, incremental engine, no preemption as the other has none here."""
    run = Run(entry.objects, compiled=True)
    options = Options(order="file", engine="auto", preemption="off")
    seconds, decisions = stopwatch(run.engine.schedule, run.rows, options)
    entry.pods = len(decisions.node)
    entry.ours.append(entry.pods / seconds)


def theirs(entry: Entry, scheduler: Path, folder: Path, mode: str, pods: int, judge: bool) -> None:
    """One round of kube-scheduler, its placements judged in the first."""
    placements = folder / "placements"
    command = [
        str(scheduler), "-input", str(folder / f"{file_name(entry.name)}.jsonl"), "-workload", entry.name,
        "-limit", str(pods), "-placements", str(placements), f"-score-all={'true' if mode == 'all' else 'false'}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{scheduler.name}: {done.stderr.strip()}")
    entry.theirs[mode].append(json.loads(done.stdout)["pods_per_second"])
    if judge:
        entry.agreement[mode] = replay(entry.objects, placements.read_text().split("\n")[:-1])


def file_name(name: str) -> str:
    """A name that can be a file's."""
    return "".join(one if one.isalnum() else "_" for one in name)


def gather(names: Sequence[str]) -> list[Entry]:
    """The inputs by name; openb only where it is."""
    found = []
    for name in names:
        if name == DISTINCT:
            found.append(Entry(name, inputs.distinct()))
        elif name == OPENB:
            objects = inputs.openb()
            if objects is None:
                print(f"openb is left out: the trace is not at {inputs.OPENB}", file=sys.stderr)
            else:
                found.append(Entry(name, objects))
        else:
            found.append(Entry(name, inputs.workload(name)))
    return found


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The lines as a Markdown table."""
    rows = [
        "| workload | nodes | kcore pods/s | kube-scheduler, sampled | times | every node scored | times | agree |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    rows += [
        f"| {one['workload']} | {one['nodes']:,} | {one['kcore']:,.0f} | {one['sampled']:,.0f} "
        f"| {one['times_sampled']:,.0f} | {one['all']:,.0f} | {one['times_all']:,.0f} "
        f"| {one['best_all']:,} of {one['pods_all']:,} |"
        for one in lines
    ]
    return "\n".join(rows)


def main() -> int:
    """Run all rounds; 1 if a decision disagrees."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scheduler", type=Path, required=True, help="the built kube_scheduler")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--sampled-pods", type=int, default=5_000, help="pods for kube-scheduler's default sample"
    )
    parser.add_argument("--all-pods", type=int, default=1_000, help="pods where it scores every node")
    parser.add_argument("--out", type=Path, default=RESULTS / "peers.jsonl")
    parser.add_argument("workload", nargs="*", default=[*WORKLOADS, DISTINCT, OPENB])
    given = parser.parse_args()
    entries = gather(given.workload)
    pods = {"sampled": given.sampled_pods, "all": given.all_pods}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for entry in entries:
            file = folder / f"{file_name(entry.name)}.jsonl"
            file.write_text("".join(f"{line}\n" for line in inputs.lines(entry.objects)))
            ours(entry)  # warm; not counted
            entry.ours.clear()
        for number in range(given.rounds):
            for entry in entries:
                for mode in MODES:
                    print(f"round {number + 1} of {given.rounds}: {entry.name}, {mode}", file=sys.stderr)
                    ours(entry)
                    theirs(entry, given.scheduler, folder, mode, pods[mode], judge=number == 0)
    stamp = {"commit": commit(), "machine": machine()}
    found = [{**entry.line(), **stamp} for entry in entries]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with given.out.open("w") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in found)
    print(table(found))
    for one in found:
        print(
            f"{one['workload']}: sampled, {one['feasible_sampled']:,} of {one['pods_sampled']:,} feasible; "
            f"all scored, {one['best_all']:,} of {one['pods_all']:,} among the best"
            + (f"; {one['first_difference_all']}" if one["first_difference_all"] else "")
        )
    wrong = [
        one
        for one in found
        if one["best_all"] < one["pods_all"] or one["feasible_sampled"] < one["pods_sampled"]
    ]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
