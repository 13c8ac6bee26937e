"""Configurations change, and refuse to, as etcd-io/raft's did when its cases were recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kcore_native.raft import Changer, ConfChangeError
from kcore_native.raft.describe import describe_all_progress, describe_configuration
from tests.conformance.raft.datadriven import HISTORIES, Case, histories, read_cases
from tests.conformance.raft.interaction import read_changes

FILES = histories("confchange")


def run(changer: Changer, case: Case) -> tuple[Changer, str]:
    changes = read_changes(case.text)
    try:
        if case.command == "simple":
            configuration, progress = changer.simple(changes)
        elif case.command == "enter-joint":
            auto_leave = case.options.get("autoleave", ("false",))[0] == "true"
            configuration, progress = changer.enter_joint(auto_leave, changes)
        else:
            assert case.command == "leave-joint" and not changes
            configuration, progress = changer.leave_joint()
    except ConfChangeError as error:
        return changer, str(error)
    text = f"{describe_configuration(configuration)}\n{describe_all_progress(progress)}".rstrip("\n")
    return replace(changer, configuration=configuration, progress=progress), text


@pytest.mark.skipif(not FILES, reason=f"no recorded Raft histories in {HISTORIES} (set KCORE_SHARED)")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_configuration_changes_as_recorded(path: Path) -> None:
    changer = Changer(max_inflight=10)
    for case in read_cases(path):
        changer, text = run(changer, case)
        assert text == case.expected, f"{path.name}:{case.line}"
        changer = replace(changer, last_index=changer.last_index + 1)
