"""Programs in Go built from their sources, and servers that run for the time of a test."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

HERE: Final = Path(__file__).parent
STOP_SECONDS_MAX: Final = 30.0
SEEN_SECONDS_MAX: Final = 60.0
PROGRAM_SECONDS_MAX: Final = 180.0


def built(folder: Path, package: str, where: Path) -> str:
    """Path of the program; skips where there is no Go, fails where the program is not one."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed")
    fetched = subprocess.run([go, "mod", "download"], cwd=folder, capture_output=True, text=True)
    if fetched.returncode:
        pytest.skip(f"Go's modules cannot be fetched: {fetched.stderr.strip().splitlines()[-1]}")
    program = where / package.rsplit("/", 1)[-1]
    made = subprocess.run(
        [go, "build", "-p", "1", "-o", str(program), package], cwd=folder, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return str(program)


@contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """The process is gone after it, by SIGTERM if that is enough."""
    with process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def up(folder: Path) -> Iterator[Path]:
    """Path of the kubeconfig of a ``kcore up``."""
    command = [
        sys.executable,
        "-m",
        "kcore",
        "up",
        "--components=apiserver",
        "--data-dir",
        str(folder / "data"),
        "--port",
        "0",
    ]
    with (
        open(folder / "up.log", "w") as log,
        ended(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)) as process,
    ):
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "kcore is ready" in said, (folder / "up.log").read_text()
        yield folder / "data" / "admin.conf"


def until(ask: Callable[[], Any], what: str) -> Any:
    """What ``ask`` answers as soon as that is true."""
    give_up = time.monotonic() + SEEN_SECONDS_MAX
    while time.monotonic() < give_up:
        if answer := ask():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {SEEN_SECONDS_MAX:g} s")


def faults(program: str, kubeconfig: Path, *words: str) -> list[str]:
    """What one of our programs found wrong, one line or more a check."""
    run = subprocess.run(
        [program, *words], env={"KUBECONFIG": str(kubeconfig)}, capture_output=True, text=True, timeout=PROGRAM_SECONDS_MAX
    )  # fmt: skip
    found = [line for line in run.stdout.splitlines() if not line.startswith("ok ")]
    found += [line for line in run.stderr.splitlines() if "falling back" in line]  # from a stream to a list
    return found or ([] if run.returncode == 0 else [run.stderr])


@contextmanager
def logged(command: Sequence[str], log: Path) -> Iterator[None]:
    """The program runs meanwhile and writes there."""
    with open(log, "w") as file, ended(subprocess.Popen(command, stdout=file, stderr=file)):
        yield


def kubectl_binary() -> str:
    """Path of kubectl, or the test is skipped."""
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not installed")
    return found
