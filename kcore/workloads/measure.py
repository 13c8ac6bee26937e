"""Measures one workload in a process of its own, so that its peak of memory is its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec

from kcore.api.errors import InputError, KcoreError
from kcore.workloads.catalogue import Chosen, choose, shipped
from kcore.workloads.report import summary
from kcore.workloads.runner import Overrides, run


class Job(msgspec.Struct):
    """What the other process is told on its standard input."""

    path: str
    name: str
    params: dict[str, int]
    nodes: int | None
    pods: int | None
    engine: str
    rounds: int


class Answer(msgspec.Struct, omit_defaults=True):
    """What it says on its standard output: figures, or what is wrong with the input."""

    figures: dict[str, Any] = msgspec.field(default_factory=dict)
    problem: str = ""


def measure(chosen: Chosen, overrides: Overrides, engine: str = "auto", rounds: int = 3) -> dict[str, Any]:
    """Run a workload so many times, and once more for the percentiles; return its figures.

    Raises:
        InputError: a parameter or template that is missing or wrong.
        RuntimeError: the other process failed.
    """
    job = Job(chosen.path, chosen.name, *overrides, engine, rounds)
    command = [sys.executable, "-m", "kcore.workloads.measure"]
    done = subprocess.run(command, input=msgspec.json.encode(job), capture_output=True, check=False)
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"{chosen.name} ended with code {done.returncode}: {told[-1] if told else ''}")
    answer = msgspec.json.decode(done.stdout, type=Answer)
    if answer.problem:
        raise InputError(answer.problem)
    return answer.figures


def perform(job: Job) -> Answer:
    """Do the job in this process."""
    try:
        chosen = next(one for one in choose(shipped([job.path]), ["*"], []) if one.name == job.name)
        overrides = Overrides(job.params, job.nodes, job.pods)
        figures = [run(chosen, overrides, job.engine) for _ in range(job.rounds)]
        return Answer(summary(chosen, figures, run(chosen, overrides, job.engine, pieces=True)))
    except KcoreError as error:
        return Answer(problem=str(error))


if __name__ == "__main__":
    answer = perform(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))
    sys.stdout.buffer.write(msgspec.json.encode(answer))
