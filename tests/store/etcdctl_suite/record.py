"""Writes the recorded files: ``python -m tests.store.etcdctl_suite.record PATH_OF_ETCD PATH_OF_ETCDCTL``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.store.etcdctl_suite.session import session
from tests.store.etcdctl_suite.steps import ONE, THREE

RECORDED = {1: Path(__file__).parent / "recorded_one.txt", 3: Path(__file__).parent / "recorded_three.txt"}
STEPS = {1: ONE, 3: THREE}


def main(etcd: str, etcdctl: str) -> None:
    """Runs all commands against one member and three, writes the files."""
    version = subprocess.run([etcdctl, "version"], capture_output=True, text=True).stdout.split()[2]
    for members, file in RECORDED.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            session([etcd], etcdctl, members, Path(folder)) as opened,
        ):
            head = f"What etcdctl {version} prints, {members} members. Made by tests/store/etcdctl_suite/record.py."
            lines = [line for step in STEPS[members] for line in ["", *opened.run(step)]]
            file.write_text("\n".join([head, *lines]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
