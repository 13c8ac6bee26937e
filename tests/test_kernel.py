"""Kernels are compiled once, however many processes want them at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kcore import kernel
from tests.test_tidy import ROOT

PROGRAM = """
import numpy as np
from kcore.kernel import kernel

@kernel
def total(values, out):
    for i in range(values.shape[0]):
        out[0] += values[i]

out = np.zeros(1, np.int64)
total.compiled(np.arange(5), out)
print(out[0], sum(total.compiled.stats.cache_misses.values()))
"""


@pytest.mark.skipif(not kernel.JIT, reason="kernels are not compiled with KCORE_JIT=0")
def test_of_two_processes_one_compiles_and_the_other_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KCORE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    both = [
        subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    printed = sorted(one.communicate()[0] for one in both)
    assert printed == ["10 0\n", "10 1\n"]
