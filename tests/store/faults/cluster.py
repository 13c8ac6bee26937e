"""Three processes of ``kcore etcd`` on loopback, with a proxy before each peer port."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

from kcore.store import membership
from tests.store.faults.links import Links

TOKEN = "faults"
READY_SECONDS_MAX = 60.0
HEARTBEAT_MS, ELECTION_MS = 50, 500


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(server.getsockname()[1]) for server in held]
    for server in held:
        server.close()
    return ports


class Node:
    """One member: its ports, its directory, and its process while that runs."""

    def __init__(self, name: str, directory: Path, ports: list[int]) -> None:
        self.name = name
        self.directory = directory
        self.client_port, self.peer_port, self.proxy_port = ports
        self.peer_url = f"http://127.0.0.1:{self.proxy_port}"
        self.id = membership.member_id([self.peer_url], TOKEN)
        self.endpoint = f"http://127.0.0.1:{self.client_port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.stopped = False
        self.starts = 0

    def start(self, initial_cluster: str) -> None:
        """The process runs; its log goes to a file beside its directory."""
        if self.process is not None:
            return
        self.starts += 1
        command = [
            sys.executable, "-m", "kcore", "etcd", f"--name={self.name}", f"--data-dir={self.directory}",
            f"--listen-client-urls={self.endpoint}", f"--advertise-client-urls={self.endpoint}",
            f"--listen-peer-urls=http://127.0.0.1:{self.peer_port}", f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={initial_cluster}", f"--initial-cluster-token={TOKEN}",
            f"--heartbeat-interval={HEARTBEAT_MS}", f"--election-timeout={ELECTION_MS}",
            "--snapshot-count=200", "--snapshot-catchup-entries=100",
        ]  # fmt: skip
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.stopped = False

    @property
    def log_path(self) -> Path:
        """Where the process's output goes."""
        return self.directory.with_suffix(".log")

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.stopped = False

    def pause(self, *, on: bool) -> None:
        """SIGSTOP or SIGCONT."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)
            self.stopped = on

    def limit_files(self, size: int) -> None:
        """No file of the process can grow beyond that size: a full disk (RLIMIT_FSIZE)."""
        if self.process is not None:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def died(self) -> str:
        """The end of its log where it ended without being asked to."""
        if self.process is None or self.process.poll() is None:
            return ""
        return f"{self.name} ended with {self.process.returncode}:\n" + "\n".join(
            self.log_path.read_text(errors="replace").splitlines()[-15:]
        )


class Cluster:
    """The processes and the links between them."""

    def __init__(self, directory: Path, size: int = 3) -> None:
        ports = free_ports(3 * size)
        self.nodes = [
            Node(f"n{number}", directory / f"n{number}", ports[3 * number : 3 * number + 3])
            for number in range(size)
        ]
        self.links = Links()
        self.initial = ",".join(f"{node.name}={node.peer_url}" for node in self.nodes)

    async def start(self) -> None:
        """All run."""
        for node in self.nodes:
            await self.links.listen(node.proxy_port, node.peer_port)
        self.revive()

    def revive(self) -> None:
        """Those that are down start again."""
        for node in self.nodes:
            node.start(self.initial)

    def heal(self) -> None:
        """All run, awake, with space and connected."""
        self.links.set(set(), set())
        for node in self.nodes:
            if node.stopped:
                node.pause(on=False)
            node.limit_files(resource.RLIM_INFINITY)
        self.revive()

    async def stop(self) -> None:
        """Nothing runs."""
        for node in self.nodes:
            node.kill()
        await self.links.close()
        await asyncio.sleep(0)
