"""Whole groups of nodes do, step for step, what etcd-io/raft's did when its histories were recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.raft.datadriven import HISTORIES, histories, read_cases, without_log_lines
from tests.conformance.raft.interaction import Environment

FILES = histories("interaction")


@pytest.mark.skipif(not FILES, reason=f"no recorded Raft histories in {HISTORIES} (set KCORE_SHARED)")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_group_behaves_as_recorded(path: Path) -> None:
    environment = Environment()
    for case in read_cases(path):
        said = without_log_lines(environment.run(case)) or "ok"
        expected = without_log_lines(case.expected) or "ok"
        assert said == expected, f"{path.name}:{case.line}: {case.command} {' '.join(case.words)}"
