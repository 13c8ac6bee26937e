"""Orders that need more than a key: gangs, backfill, preemption by what is left or has been had.

They drive a simulation from Python between its kernel calls (``driver.py``) and put pods on nodes by the exact engine
(``ground.py``). One file an order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kcore.api.errors import InputError
from kcore.sim.lines import Jobs
from kcore.sim.orders.conservative import Conservative
from kcore.sim.orders.driver import Discipline, Driver, another, driver_for
from kcore.sim.orders.easy import Easy
from kcore.sim.orders.in_order import InOrder
from kcore.sim.orders.las import MILLI, THRESHOLDS, Las, read_thresholds
from kcore.sim.orders.srtf import Srtf
from kcore.traces.trace import Trace

__all__ = [
    "BACKFILL",
    "PREEMPTIVE",
    "THRESHOLDS",
    "Discipline",
    "Driver",
    "another",
    "discipline_for",
    "driver_for",
]

BACKFILL = ("easy", "conservative")
PREEMPTIVE = ("srtf", "las")


def discipline_for(
    order: str,
    strict: bool,
    preemption: str,
    preempted: str,
    thresholds: str | Sequence[str | int],
    trace: Trace,
    jobs: Jobs,
) -> Discipline | None:
    """What decides in this order; None where the compiled loop does: orders that only sort, of single pods.

    Raises:
        InputError: a choice that contradicts the order.
    """
    if strict and order in (*BACKFILL, *PREEMPTIVE):
        raise InputError(
            f"nobody overtakes, and {order} lets them", field="strict", expected="fifo, sjf, drf or queue"
        )
    if preemption == "off" and order in PREEMPTIVE:
        raise InputError(f"{order} preempts", field="preemption", expected="evict, or another order")
    if preempted == "drop" and order in PREEMPTIVE:
        raise InputError(f"{order} preempts to go on later", field="preempted", expected="resume or restart")
    if order == "easy":
        return Easy()
    if order == "conservative":
        return Conservative(len(jobs.rows))
    if order == "srtf":
        return Srtf()
    if order == "las":
        return Las(read_thresholds(thresholds), _gpu_milli(trace, jobs))
    gangs = trace.gang and bool((np.diff(trace.job) == 0).any())
    return InOrder(order, strict) if gangs else None


def _gpu_milli(trace: Trace, jobs: Jobs) -> np.ndarray:
    """``int64[place]``: thousandths of GPUs that a pod holds; 1000 for the pods of a job that asks for none."""
    milli = np.zeros(len(jobs.rows), dtype=np.int64)
    if trace.gpu_count is not None and trace.pods:
        each = trace.gpu_milli if trace.gpu_milli is not None else np.full(trace.pods, MILLI)
        milli[len(milli) - trace.pods :] = trace.gpu_count.astype(np.int64) * each
    unit = jobs.job if trace.gang else np.arange(len(milli))
    asks = np.zeros(int(unit.max(initial=-1)) + 1, dtype=bool)
    asks[unit[milli > 0]] = True
    return np.where(asks[unit], milli, MILLI)
