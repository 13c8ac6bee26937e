"""API server, controllers, scheduler and nodes as processes of their own, or ``kcore up`` as one of all."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.store.faults.cluster import free_ports

ELECTION: Final = (
    "--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms",
)  # fmt: skip
LOG_LINES: Final = 15
WELL_CODES: Final = (0, 1)  # 1: leadership was lost while the server was away


class Daemon:
    """One process, and its log beside the data."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self.log_path = folder / f"{name}.log"
        self.starts = 0
        self._command = [sys.executable, "-m", "kcore", *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """It runs; one that runs goes on."""
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is not None and self._process.returncode not in WELL_CODES:
            raise AssertionError(f"{self.name} ended with {self._process.returncode}:\n{self.said()}")
        self.starts += 1
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self, *, on: bool) -> None:
        """SIGSTOP or SIGCONT."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def said(self) -> str:
        """The end of its log."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-LOG_LINES:])


class Cluster:
    """See the module; ``is_whole``: all in one process."""

    def __init__(self, folder: Path, nodes: int, *, is_whole: bool) -> None:
        (port,) = free_ports(1)
        data = folder / "data"
        if is_whole:
            self.kubeconfig = data / "admin.conf"
            up = ["up", f"--nodes={nodes}", f"--data-dir={data}", f"--port={port}"]
            self.daemons = [Daemon("up", up, folder)]
            return
        self.kubeconfig = folder / "pki" / "admin.conf"
        access = f"--kubeconfig={self.kubeconfig}"
        server = [
            "apiserver", f"--cert-dir={folder / 'pki'}", f"--data-dir={data}", "--bind-address=127.0.0.1",
            f"--secure-port={port}",
        ]  # fmt: skip
        self.daemons = [
            Daemon("apiserver", server, folder),
            Daemon("controllers", ["controller-manager", access, "--secure-port=0", *ELECTION], folder),
            Daemon("scheduler", ["scheduler", access, "--secure-port=0", *ELECTION], folder),
            Daemon("nodes", ["hollow-nodes", access, f"--nodes={nodes}", "--server-address="], folder),
        ]

    def revive(self) -> None:
        """All that should run runs."""
        for daemon in self.daemons:
            if daemon.name == "apiserver" or self.kubeconfig.exists():
                daemon.start()
            elif daemon.name == "up":
                daemon.start()

    def first_start(self, seconds_max: float) -> None:
        """All run; the kubeconfig is there."""
        until_s = time.monotonic() + seconds_max
        self.revive()
        while not self.kubeconfig.exists():
            if time.monotonic() > until_s:
                raise AssertionError(f"no kubeconfig:\n{self.daemons[0].said()}")
            time.sleep(0.1)
        self.revive()

    def stop(self) -> None:
        """None runs."""
        for daemon in self.daemons:
            daemon.pause(on=False)
            daemon.kill()
