"""A finished run is one file, there as a whole or not at all; what is damaged counts as missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from kcore.sim import parts
from kcore.sim.parts import Part
from kcore.sim.points import RunOutput


@pytest.fixture
def content() -> bytes:
    """A part's file."""
    output = RunOutput(
        summary={"placed": np.int64(3), "share": np.float64(0.5), "word": "x", "none": None},  # type: ignore[dict-item]
        tables={"nodes": pa.table({"name": ["a", "b"]})},
        seconds=0.25,
    )
    return parts.encoded(parts.part_of("id", parts.code_digest(), output))


def test_a_part_comes_back(tmp_path: Path, content: bytes) -> None:
    parts.write(tmp_path, "id", content)
    part = parts.read(tmp_path, "id")
    assert part is not None
    assert part.summary == {"placed": 3, "share": 0.5, "word": "x", "none": None}
    assert [type(value) for value in part.summary.values()] == [int, float, str, type(None)]
    assert part.table("nodes").to_pylist() == [{"name": "a"}, {"name": "b"}]
    assert part.seconds == 0.25
    assert os.listdir(tmp_path) == ["id.part"]


def test_every_single_damaged_byte_is_noticed(tmp_path: Path, content: bytes) -> None:
    path = parts.path_of(tmp_path, "id")
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert parts.read(tmp_path, "id") is None, at


def test_every_length_but_the_whole_is_noticed(tmp_path: Path, content: bytes) -> None:
    for length in range(len(content)):
        parts.path_of(tmp_path, "id").write_bytes(content[:length])
        assert parts.read(tmp_path, "id") is None, length


def test_parts_of_other_runs_and_of_other_code_do_not_count(tmp_path: Path, content: bytes) -> None:
    parts.path_of(tmp_path, "other").write_bytes(content)
    assert parts.read(tmp_path, "other") is None
    assert parts.read(tmp_path, "missing") is None
    parts.write(tmp_path, "id", parts.encoded(Part(id="id", code="another kcore")))
    assert parts.read(tmp_path, "id") is None


def test_only_what_dead_processes_left_is_dropped(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = tmp_path / f".id.part.{ended.pid}.tmp"
    folder = tmp_path / f".key.{ended.pid}.tmp"
    alive = tmp_path / f".id.part.{os.getpid()}.tmp"
    dead.touch()
    alive.touch()
    folder.mkdir()
    (folder / "file").touch()
    parts.drop_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == [alive]


def test_a_process_that_was_killed_writes_no_more_though_nobody_has_asked_for_its_end(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as killed:
        left = tmp_path / f".id.part.{killed.pid}.tmp"
        left.touch()
        parts.drop_abandoned(tmp_path)
        assert left.exists()
        killed.kill()
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
        parts.drop_abandoned(tmp_path)
        assert not left.exists()


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts.write_whole(tmp_path / "file", b"before")

    def fails(_: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="no space"):
        parts.write_whole(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]
