"""etcdctl sees no difference between ``kcore etcd`` and etcd: exit codes and output of every command, TLS on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.etcdctl_suite.record import RECORDED, STEPS
from tests.store.etcdctl_suite.session import etcdctl_binary, read_recorded, session
from tests.store.kv_suite.servers import etcd_binary

pytestmark = pytest.mark.slow


def version_of(etcdctl: str) -> tuple[int, ...]:
    """(major, minor) of the binary."""
    printed = subprocess.run([etcdctl, "version"], capture_output=True, text=True).stdout
    found = re.search(r"(\d+)\.(\d+)", printed)
    assert found, printed
    return tuple(map(int, found.groups()))


def compared(lines: list[str], members: int) -> list[str]:
    """The lines as they are of one member; of several, which one is named or comes first is a matter of hashes of ports."""
    if "lease list" in lines[0]:
        return [re.sub(r"ID\d+", "ID", line) for line in lines]
    if members == 1:
        return lines
    made = [re.sub(r"(MEMBER|CLIENT|PEER|\bm)\d", r"\1", line) for line in lines[1:]]
    made = [
        ",".join(sorted(re.split('[,"]', line))) if "ETCD_INITIAL_CLUSTER=" in line else line for line in made
    ]
    return [lines[0], *sorted(made)]


@pytest.mark.parametrize("members", [1, 3])
def test_every_command_prints_what_it_prints_against_etcd(members: int, tmp_path: Path) -> None:
    etcdctl = etcdctl_binary()
    if version_of(etcdctl) != (3, 6):
        pytest.skip("the recorded output is that of etcdctl 3.6; name one with KCORE_ETCDCTL")
    wanted = read_recorded(RECORDED[members])
    with session([sys.executable, "-m", "kcore", "etcd"], etcdctl, members, tmp_path) as opened:
        found = [opened.run(step) for step in STEPS[members]]
    assert len(wanted) == len(found)
    different = [
        "\n".join(["wanted:", *theirs, "found:", *ours])
        for theirs, ours in zip(wanted, found, strict=True)
        if compared(theirs, members) != compared(ours, members)
    ]
    assert different == [], f"{len(different)} of {len(found)}\n" + "\n\n".join(different)


def older(lines: list[str], members: int) -> list[str]:
    """As ``compared``, without the stack of a panic of etcdctl's own, and leases that a slower run has outlived."""
    if "lease list" in lines[0]:
        return lines[:1]
    panic = next((at for at, line in enumerate(lines) if line.strip().startswith("panic:")), len(lines))
    return compared(lines[: panic + 1], members)


@pytest.mark.parametrize("members", [1, 3])
def test_an_older_etcdctl_prints_what_it_prints_against_etcd(members: int, tmp_path: Path) -> None:
    """Every command, commands that it does not know among them: against the real one, then against ours."""
    etcdctl = etcdctl_binary()
    if version_of(etcdctl) == (3, 6):
        pytest.skip(
            "this etcdctl is not older than the recorded one; name one of Debian's with KCORE_ETCDCTL"
        )
    found = {}
    for name, program in (("etcd", [etcd_binary()]), ("kcore", [sys.executable, "-m", "kcore", "etcd"])):
        (tmp_path / name).mkdir()
        with session(program, etcdctl, members, tmp_path / name) as opened:
            found[name] = [opened.run(step) for step in STEPS[members]]
    different = [
        "\n".join(["wanted:", *theirs, "found:", *ours])
        for theirs, ours in zip(found["etcd"], found["kcore"], strict=True)
        if older(theirs, members) != older(ours, members)
    ]
    assert different == [], f"{len(different)} of {len(found['kcore'])}\n" + "\n\n".join(different)
