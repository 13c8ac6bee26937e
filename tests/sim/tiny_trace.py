"""A trace in the format of openb that is small enough for the interpreter."""

from __future__ import annotations

import csv
import random
from pathlib import Path

from kcore.sim.reproduce.fgd import LOAD_MAX, NODES_FILE
from kcore.sim.reproduce.published import POLICY_NAMES

MODELS = ("T4", "P100")


def write_trace(folder: Path, *, pods: int = 40, nodes: int = 10, name: str = "default") -> None:
    """A node list and a pod list whose pods ask for less than the GPUs there are, or, with many, for more."""
    draw = random.Random(pods)
    with (folder / NODES_FILE).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sn", "cpu_milli", "memory_mib", "gpu", "model"])
        for number in range(nodes):
            devices = 8 if number == 0 else draw.choice((1, 2, 4))
            rows.writerow(
                [
                    f"node-{number:04d}",
                    draw.choice((16000, 32000, 64000)),
                    65536,
                    devices,
                    draw.choice(MODELS),
                ]
            )
    with (folder / f"openb_pod_list_{name}.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec"])
        for number in range(pods):
            devices, milli = draw.choice(((0, 0), (1, 250), (1, 300), (1, 600), (1, 1000), (2, 1000)))
            spec = draw.choice(("", "", "P100", "P100|T4")) if devices else ""
            rows.writerow(
                [
                    f"pod-{number:04d}",
                    draw.choice((1000, 2000, 4000)),
                    draw.choice((0, 2048)),
                    devices,
                    milli,
                    spec,
                ]
            )


def write_curves(path: Path, policy: str, allocation: float, workload: str = "default") -> None:
    """A file of published curves with one, that is flat."""
    theirs = next(name for name, ours in POLICY_NAMES.items() if ours == policy)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["workload", "sc_policy", "tune", "seed", "total_gpus", *range(LOAD_MAX + 1)])
        rows.writerow([f"openb_pod_list_{workload}", theirs, 1.3, 42, 6212, *[allocation] * (LOAD_MAX + 1)])
