"""A kernel can be called from Python and from another kernel, whichever the cache saw first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kcore import kernel

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
import numpy as np
from kcore.scheduler.plugins.arithmetic import divide
from kcore.scheduler.plugins.node_resources import least_allocated
for form in sys.argv[1:]:
    print(divide.compiled(7, 2) if form == "python" else least_allocated.compiled(10, 5))
"""


def run(cache: Path, *forms: str) -> list[str]:
    environment = dict(os.environ, KCORE_CACHE_DIR=str(cache))
    command = [sys.executable, "-c", PROGRAM, *forms]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-500:]}"
    return done.stdout.split()


@pytest.mark.skipif(not kernel.JIT, reason="nothing is compiled with the JIT off")
@pytest.mark.parametrize(
    "processes",
    [
        [["python"], ["kernel"]],
        [["kernel"], ["python"]],
        [["kernel", "python"]],
        [["python", "kernel"], ["kernel", "python"]],
    ],
    ids=str,
)
def test_a_cached_kernel_is_called_from_python_and_from_kernels(
    processes: list[list[str]], tmp_path: Path
) -> None:
    for forms in processes:
        assert run(tmp_path, *forms) == ["3" if form == "python" else "50" for form in forms]
