"""The command line in this process, with a cluster that answers at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import pytest

from kcore.cli.app import main
from tests.cli.fakes import FakeCluster


@dataclass(frozen=True)
class Answer:
    """What a command line came to."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> Answer:
        code = main(words)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> type[FakeCluster]:
    module = ModuleType("kcore.cluster")
    module.Cluster = FakeCluster
    monkeypatch.setitem(sys.modules, "kcore.cluster", module)
    monkeypatch.setattr(FakeCluster, "calls", [])
    monkeypatch.setattr(FakeCluster, "answer", None)
    return FakeCluster
