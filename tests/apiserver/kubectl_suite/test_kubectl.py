"""kubectl is at home on ``kcore up``: every recorded command prints what it printed, and ends as it ended."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.apiserver.kubectl_suite.record import RECORDED
from tests.apiserver.kubectl_suite.session import kubectl_binary, read_recorded, session, version_of
from tests.apiserver.kubectl_suite.steps import LANES

COMMANDS_MIN = 150


def test_the_recording_is_of_these_commands() -> None:
    recorded = read_recorded(RECORDED)
    for namespace, steps in LANES.items():
        commands = [re.sub(r" -> [\w ]+$", "", lines[0]) for lines in recorded[namespace]]
        assert commands == [f"$ {step.command}" for step in steps]
    assert sum(map(len, recorded.values())) >= COMMANDS_MIN


def test_every_command_prints_what_it_prints_against_kubernetes(tmp_path: Path) -> None:
    kubectl = kubectl_binary()
    recorded_version = RECORDED.read_text().split(maxsplit=3)[2]
    if version_of(kubectl) != recorded_version:
        pytest.skip(f"the recorded output is that of kubectl {recorded_version}; name one with KCORE_KUBECTL")
    with session(kubectl, tmp_path) as opened:
        found = opened.run_all()
    different = [
        "\n".join(["wanted:", *theirs, "found:", *ours])
        for namespace, wanted in read_recorded(RECORDED).items()
        for theirs, ours in zip(wanted, found[namespace], strict=True)
        if shown(theirs) != shown(ours)
    ]
    assert different == [], f"{len(different)}\n" + "\n\n".join(different)


def shown(lines: list[str]) -> list[str]:
    """Without empty lines, which the recording has between commands too."""
    return [line for line in lines if line.strip()]
