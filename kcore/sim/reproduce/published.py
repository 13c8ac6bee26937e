"""The allocation curves that the authors of "Beware of Fragmentation" published, one a workload, policy and seed.

The file is theirs (experiments/analysis/expected_results/analysis_allo_discrete.csv of the artifact, or a part of it) and
is not shipped.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from kcore.api.errors import InputError
from kcore.sim.reproduce.fgd import LOAD_MAX

WORKLOAD_PREFIX = "openb_pod_list_"
POLICY_NAMES = {
    "01-Random": "random",
    "02-DotProd": "dot_prod",
    "03-GpuClustering": "gpu_clustering",
    "04-GpuPacking": "gpu_packing",
    "05-BestFit": "best_fit",
    "06-FGD": "fgd",
}

Curves = dict[tuple[str, str], dict[int, np.ndarray]]
"""By workload and policy: seed to ``float64[load + 1]``, the per cent of GPUs given out at 0, 1, .. 130 per cent load."""


def read_published(path: Path) -> Curves:
    """All curves of the file.

    Raises:
        InputError: the file cannot be read, lacks a column, or holds something else than a number.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", file=str(path)) from None
    needed = ("workload", "sc_policy", "seed", *(str(load) for load in range(LOAD_MAX + 1)))
    missing = [name for name in needed if not rows or name not in rows[0]]
    if missing:
        raise InputError(
            f"has no column {missing[0]!r}",
            file=str(path),
            expected="the authors' analysis_allo_discrete.csv",
        )
    curves: Curves = {}
    for number, row in enumerate(rows, start=2):
        policy = POLICY_NAMES.get(row["sc_policy"])
        if policy is None:
            continue
        workload = row["workload"].removeprefix(WORKLOAD_PREFIX)
        values = [_value(row[str(load)], path, number, str(load)) for load in range(LOAD_MAX + 1)]
        seed = int(_value(row["seed"], path, number, "seed"))
        curves.setdefault((workload, policy), {})[seed] = np.array(values)
    return curves


def _value(text: str | None, path: Path, row: int, column: str) -> float:
    try:
        return float(text) if text else float("nan")
    except ValueError:
        raise InputError(
            f"{text!r} is not a number",
            file=str(path),
            document=f"row {row}",
            field=column,
            expected="a number",
        ) from None
