"""What one run is: a point of a study, as plain data that goes to another process and back."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from kcore.sim.study import Scalar

ID_CHARS = 16  # of a SHA-256 in hexadecimal: 64 bits, enough for a million points a study


class Source(Struct, frozen=True, kw_only=True):
    """An input as it is read: files and ``synthetic:`` texts together, or one trace.

    ``key`` follows from the content: of the files' bytes and of the texts, so that an edited file is another input.
    """

    key: str
    paths: tuple[str, ...]
    trace: bool = False
    form: str = ""
    parameters: tuple[tuple[str, Scalar], ...] = ()


class Plugin(Struct, frozen=True):
    """A user's Python file, as text, so that it can be run where the file is not."""

    path: str
    source: str


class Point(Struct, frozen=True, kw_only=True):
    """One run. ``id`` follows from everything else that the result depends on, ``number`` is its place in the study."""

    id: str
    number: int
    mode: str
    workload: str
    policy: str
    seed: int
    parameters: dict[str, Scalar]  # all of the study's, as columns of the result
    options: dict[str, Scalar]  # those that the run is given
    cluster_key: str  # of a Source, empty where the workload brings its nodes
    workload_key: str
    score_policy: str | None = None
    profile: str | None = None
    config: dict[str, Any] | None = None
    tables: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The run in words: ``trace, default, load=0.8, seed 42``."""
        parameters = [f"{name}={value}" for name, value in self.parameters.items()]
        return ", ".join([self.workload, self.policy, *parameters, f"seed {self.seed}"])


Figure = int | float | str | bool | None


class RunOutput(Struct, kw_only=True):
    """What a run came to: figures by name, tables by name (pyarrow.Table), and how long it took.

    ``seconds`` depends on the machine and never goes into the tidy table.
    """

    summary: dict[str, Figure]
    tables: dict[str, Any]
    seconds: float = 0.0


class Runner(Protocol):
    """Anything that runs a point. It must be deterministic: equal points give equal figures and tables."""

    def run(self, point: Point) -> RunOutput:
        """The figures and tables of the point."""
        ...


def digest_of(value: Any) -> str:
    """A short SHA-256 of plain data, the same for equal data whatever the order of keys."""
    text = msgspec.json.encode(value, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:ID_CHARS]
