"""Every script of docs/examples runs, in a process of its own as a reader would run it, with small sizes."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(path.name for path in (ROOT / "docs" / "examples").glob("*.py"))

SMALL = {
    "reinforcement_learning.py": ["--episodes", "12", "--updates", "12", "--pods", "40"],
    "tune_weights.py": ["--nodes", "8", "--pods", "40", "--trials", "6"],
    "write_a_policy.py": ["--nodes", "8", "--pods", "50"],
}
"""Arguments that make a script quick; the others are quick as they are."""
SAID = {
    "bring_your_own_dump.py": "batch-2    -          0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu.",
    "reinforcement_learning.py": "part of the cluster in use: at random",
    "tune_weights.py": "default weights place",
    "write_a_policy.py": "Alignment  placed",
}
"""What the output must hold."""
NEEDED = {"reinforcement_learning.py": "gymnasium", "tune_weights.py": "gymnasium"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_runs(script: str, tmp_path: Path) -> None:
    if script in NEEDED and find_spec(NEEDED[script]) is None:
        pytest.skip(f"{NEEDED[script]} is not installed")
    paths = [str(ROOT), str(ROOT / "datasets"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "KCORE_JIT": "0"}
    command = [sys.executable, str(ROOT / "docs" / "examples" / script), *SMALL.get(script, [])]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert SAID.get(script, "") in run.stdout
    assert list(tmp_path.iterdir()) == [], "an example leaves nothing behind"


def test_every_example_is_told_of() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [script for script in SCRIPTS if f"examples/{script}" not in index] == []
    assert [script for script in [*SMALL, *SAID, *NEEDED] if script not in SCRIPTS] == []
