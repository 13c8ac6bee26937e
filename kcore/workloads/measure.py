"""Measures one workload in a process of its own, so that its peak of memory is its own."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from kcore.api.errors import InputError, KcoreError
from kcore.workloads.catalogue import Chosen
from kcore.workloads.report import summary
from kcore.workloads.runner import Overrides, run


def measure(chosen: Chosen, overrides: Overrides, engine: str = "auto", rounds: int = 3) -> dict[str, Any]:
    """Run a workload so many times, and once more for the percentiles; return its figures.

    Raises:
        InputError: a parameter or template that is missing or wrong.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as one:
        found = one.submit(_measure, chosen, overrides, engine, rounds).result()
    if isinstance(found, str):
        raise InputError(found)
    return found


def _measure(chosen: Chosen, overrides: Overrides, engine: str, rounds: int) -> dict[str, Any] | str:
    try:
        figures = [run(chosen, overrides, engine) for _ in range(rounds)]
        return summary(chosen, figures, run(chosen, overrides, engine, pieces=True))
    except KcoreError as error:
        return str(error)
