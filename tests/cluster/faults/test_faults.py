"""A few rounds of real faults on real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.cluster.faults.rounds import run


@pytest.mark.slow
@pytest.mark.parametrize("is_whole", [False, True])
def test_rollouts_and_jobs_come_out_as_without_faults(is_whole: bool, tmp_path: Path) -> None:
    asyncio.run(run(tmp_path, 3, seed=7, pods=30, is_whole=is_whole))
