"""Real etcd processes for tests: ``KCORE_ETCD`` names the binary, or ``etcd`` is on the path; else tests skip."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

READY_S_MAX = 30.0


def etcd_binary() -> str:
    """The real etcd's path; skips the test, saying so, where there is none."""
    found = os.environ.get("KCORE_ETCD") or shutil.which("etcd")
    if not found or not shutil.which(found):
        pytest.skip("no etcd here: install Debian's etcd-server, or name a binary with KCORE_ETCD")
    return found


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


@contextmanager
def process(command: Sequence[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens on the port (0: on any, not waited for) once the body runs, ended after it."""
    with log.open("wb") as output:
        started = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            if port:
                wait_for_port(port, started, log)
            yield started
        finally:
            started.terminate()
            try:
                started.wait(10)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def wait_for_port(port: int, started: subprocess.Popen[bytes], log: Path) -> None:
    """Returns once something accepts connections there."""
    deadline = time.monotonic() + READY_S_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert started.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.05)


def flags(name: str, folder: Path, client: int, peer: int, cluster: str, scheme: str = "http") -> list[str]:
    """The flags of one member on loopback; no fsync, since no test here pulls the plug."""
    return [
        f"--name={name}", f"--data-dir={folder / name}",
        f"--listen-client-urls={scheme}://127.0.0.1:{client}", f"--advertise-client-urls={scheme}://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster={cluster}", "--unsafe-no-fsync",
    ]  # fmt: skip


@contextmanager
def one_member(program: Sequence[str], folder: Path, extra: Sequence[str] = ()) -> Iterator[str]:
    """The endpoint of a cluster of one."""
    client, peer = free_ports(2)
    command = [*program, *flags("one", folder, client, peer, f"one=http://127.0.0.1:{peer}"), *extra]
    with process(command, client, folder / "one.log"):
        yield f"http://127.0.0.1:{client}"
