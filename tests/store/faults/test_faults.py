"""A round of each real fault: histories stay linearizable and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.store.faults.rounds import FAULTS, run


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost(fault: str, tmp_path: Path) -> None:
    asyncio.run(run(tmp_path, 1, seed=7, only=(fault,)))


@pytest.mark.slow
def test_nothing_is_lost_in_many_rounds(tmp_path: Path) -> None:
    asyncio.run(run(tmp_path, 30, seed=11))
