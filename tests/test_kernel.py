"""Kernels are compiled once, however many processes want them at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from kcore import kernel
from kcore.kernel import Kernel
from kcore.references import by_reference
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


@by_reference
class Inner(NamedTuple):
    """A group within a group."""

    first: np.ndarray


@by_reference
class Group(NamedTuple):
    """What a kernel gets as one address."""

    amount: np.ndarray
    share: np.ndarray
    inner: Inner


@kernel.kernel
def add_rows(inner, amount, out):
    for node in range(amount.shape[1]):
        out[node] += amount[inner.first[0], node] + amount[inner.first[1], node]


@kernel.kernel
def weigh(group, factor, out):
    add_rows(group.inner, group.amount[:, 1:], out)
    for node in range(out.shape[0]):
        group.share[node] = out[node] * factor
    return group.amount.shape[0] + group.inner.first.shape[0]


@pytest.mark.skipif(not kernel.JIT, reason="kernels are not compiled with KCORE_JIT=0")
@pytest.mark.parametrize("flipped", [False, True])
def test_a_group_of_arrays_is_read_and_written_where_it_is(
    flipped: bool,
) -> None:
    amount = np.arange(12, dtype=np.int64).reshape(3, 4)
    if flipped:
        amount = np.asfortranarray(amount)
    group = Group(amount, np.zeros(3), Inner(np.array([2, 0], dtype=np.int32)))
    for form in (weigh, Kernel(weigh.__wrapped__, cache=False).compiled):
        out = np.zeros(3, dtype=np.int64)
        group.share[:] = 0
        assert form(group, 0.5, out) == 5
        assert out.tolist() == [10, 12, 14]
        assert group.share.tolist() == [5.0, 6.0, 7.0]


@pytest.mark.skipif(not kernel.JIT, reason="kernels are not compiled with KCORE_JIT=0")
def test_a_group_with_an_array_of_another_type_is_another_type() -> None:
    import numba

    kernel.install()
    group = Group(np.zeros((1, 1)), np.zeros(1), Inner(np.zeros(1, dtype=np.int32)))
    same = group._replace(share=np.ones(7))
    assert numba.typeof(group) == numba.typeof(same)
    assert numba.typeof(group) != numba.typeof(group._replace(share=np.ones(7, dtype=np.int64)))
    assert numba.typeof(group) != numba.typeof(group._replace(amount=np.zeros((2, 2), order="F")))
