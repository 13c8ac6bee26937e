"""Replay a trace on a simulated clock: who waited how long, how full the cluster was, what it took.

Any trace that ``kcore datasets list`` names will do, or a table of your own. Without one this script makes one up: a day of
short jobs, with a burst at noon.

    python docs/examples/replay_a_trace.py --trace cluster-trace-gpu-v2023/
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from pathlib import Path

import kcore
from kcore import traces
from kcore.traces.trace import Trace

HOUR_S = 3600


def made_up(jobs: int) -> Trace:
    """Four nodes and a day of jobs, a third of which arrive within one hour."""
    draw = random.Random(1)
    arrivals = [draw.uniform(0, 24) for _ in range(jobs - jobs // 3)]
    arrivals += [draw.uniform(12, 13) for _ in range(jobs // 3)]
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "nodes.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["name", "cpu_milli", "memory_bytes", "pods"])
            rows.writerows([f"node-{number}", 16_000, 64 << 30, 110] for number in range(4))
        with (Path(folder) / "trace.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["name", "submit", "duration", "cpu_milli", "memory_bytes", "priority", "owner"])
            for number, hour in enumerate(arrivals):
                rows.writerow(
                    [
                        f"job-{number}",
                        round(hour * HOUR_S),
                        round(draw.lognormvariate(7, 1)),
                        draw.choice((1000, 2000, 4000)),
                        draw.choice((2, 4, 8)) << 30,
                        draw.choice((0, 0, 0, 100)),
                        draw.choice(("ada", "grace")),
                    ]
                )
        return traces.load_trace(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trace", help="a file or folder; made up otherwise")
    parser.add_argument("--jobs", type=int, default=300, help="of the made-up trace")
    given = parser.parse_args()
    trace = traces.load_trace(given.trace) if given.trace else made_up(given.jobs)

    result = kcore.Simulation(None, trace, interval_ms=HOUR_S * 1000).run()

    summary = result.summary
    print(f"{summary['completed']} of {summary['pods']} jobs completed, {summary['preemptions']} preemptions")
    print(
        f"waited: mean {summary['wait_ms_mean'] / 1000:.0f} s, 99 of 100 at most {summary['wait_ms_p99'] / 1000:.0f} s"
    )
    print(f"CPU in use: {summary['utilisation_cpu']:.1%} on average, {summary['energy_kwh']:.1f} kWh\n")

    print("hour  running  waiting  CPU in use")
    for row in result.intervals.to_pylist()[:: max(len(result.intervals) // 12, 1)]:
        hour = row["time_ms"] // (HOUR_S * 1000)
        print(f"{hour:4}  {row['running']:7}  {row['waiting']:7}  {row['utilisation:cpu']:9.0%}")

    print("\nowner  jobs  mean wait, s  dominant share")
    for row in result.owners.to_pylist():
        wait = row["wait_ms_mean"] / 1000
        print(f"{row['owner']:5}  {row['pods']:4}  {wait:12.0f}  {row['dominant_share']:14.1%}")


if __name__ == "__main__":
    main()
