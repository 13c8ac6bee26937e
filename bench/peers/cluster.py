"""Upstream's control plane as five processes: etcd, kube-apiserver, kube-scheduler, kube-controller-manager and Kwok.

Each on loopback with certificates made for the occasion, the clients' limits of requests lifted, Kwok with its stages for
quick pods. The folder of programs holds what ``go build`` made of them, by those names.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from bench.bench_apiserver import CONNECTIONS, cpu_seconds, resident_mib
from bench.http_load import Load
from kcore.apiserver.pki import Pki, kubeconfig
from kcore.hollow.node_template import NodeTemplate
from tests.store.kv_suite.servers import free_ports

HOST: Final = "127.0.0.1"
ETCD: Final = "etcd"
APISERVER: Final = "kube-apiserver"
PROGRAMS: Final = {
    "scheduler": "kube-scheduler",
    "controller-manager": "kube-controller-manager",
    "nodes": "kwok",
}
LIMITS: Final = ("--kube-api-qps=10000", "--kube-api-burst=10000")
SERVICES: Final = "10.96.0.0/16"
START_SECONDS_MAX: Final = 90.0
STOP_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.1
NODE_STATUS: Final = {
    "allocatable": {"cpu": "32", "memory": "256Gi", "pods": "256"},
    "capacity": {"cpu": "32", "memory": "256Gi", "pods": "256"},
}


class Upstream:
    """The API server and its etcd run from the first ``run`` to ``close``; the others come and go."""

    name = "upstream"

    def __init__(self, programs: Path, folder: Path, flags: Sequence[str] = ()) -> None:
        self.kubeconfig = str(folder / "admin.conf")
        self._programs = programs
        self._folder = folder
        self._flags = flags  # more of kube-apiserver's
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._registered = 0
        self._registering: asyncio.Task[None] | None = None
        self._ports = dict(zip((ETCD, "peer", APISERVER, "kwok", *PROGRAMS), free_ports(7), strict=True))

    async def run(self, components: Sequence[str], nodes: int = 0) -> float:
        """Those run beside the API server, with so many nodes on the way; when that began."""
        if APISERVER not in self._running:
            await self._serve()
        for name in PROGRAMS:
            if name in self._running and name not in components:
                self._end(name)
        began = time.perf_counter()
        for name in components:
            if name not in self._running:
                self._begin(name, self._command(name))
        if nodes > self._registered:
            self._registering = asyncio.create_task(self._register(self._registered, nodes))
            self._registered = nodes
        return began

    def cpu_seconds(self) -> float:
        """Processor time of all processes that run."""
        return sum(cpu_seconds(each.pid) for each in self._running.values())

    def resident_mib(self) -> float:
        """Their memory."""
        return sum(resident_mib(each.pid) for each in self._running.values())

    async def close(self) -> None:
        """Nothing is left of it."""
        if self._registering is not None:
            self._registering.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError, OSError):
                await self._registering
        for name in [*PROGRAMS, APISERVER, ETCD]:
            self._end(name)

    def _begin(self, name: str, command: Sequence[str]) -> None:
        with open(self._folder / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def _end(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    async def _serve(self) -> None:
        """etcd and kube-apiserver answer."""
        pki = Pki(self._folder / "pki")
        authority = pki.authority("ca", "kubernetes")
        admin = pki.client("admin", authority, "kubernetes-admin", "system:masters")
        pki.server("apiserver", authority, [HOST, "localhost"])
        pki.signing_key("sa")
        where = self._folder / "pki"
        address = f"https://{HOST}:{self._ports[APISERVER]}"
        text = yaml.safe_dump(kubeconfig(address, (where / "ca.crt").read_bytes(), admin))
        Path(self.kubeconfig).write_text(text)
        client, peer = (f"http://{HOST}:{self._ports[name]}" for name in (ETCD, "peer"))
        self._begin(
            ETCD,
            [
                str(self._programs / ETCD), f"--data-dir={self._folder / ETCD}", f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
            ],
        )  # fmt: skip
        await self._until(lambda: b'"health":"true"' in _read(f"{client}/health"), "etcd")
        self._begin(
            APISERVER,
            [
                str(self._programs / APISERVER), f"--etcd-servers={client}", f"--secure-port={self._ports[APISERVER]}",
                f"--bind-address={HOST}", f"--client-ca-file={where / 'ca.crt'}", f"--tls-cert-file={where / 'apiserver.crt'}",
                f"--tls-private-key-file={where / 'apiserver.key'}", f"--service-account-key-file={where / 'sa.pub'}",
                f"--service-account-signing-key-file={where / 'sa.key'}", "--authorization-mode=Node,RBAC",
                "--service-account-issuer=https://kubernetes.default.svc", f"--service-cluster-ip-range={SERVICES}",
                "--max-requests-inflight=3000", "--max-mutating-requests-inflight=1000", *self._flags,
            ],
        )  # fmt: skip
        load = Load(self.kubeconfig)
        give_up = time.monotonic() + START_SECONDS_MAX
        while True:
            with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
                await load.answer(load.request("GET", "/api/v1/namespaces/default"))
                return
            if time.monotonic() > give_up or self._running[APISERVER].poll() is not None:
                raise RuntimeError(f"kube-apiserver does not start:\n{self._log(APISERVER)}")
            await asyncio.sleep(POLL_SECONDS)

    def _command(self, name: str) -> list[str]:
        program, config = str(self._programs / PROGRAMS[name]), f"--kubeconfig={self.kubeconfig}"
        if name == "nodes":
            return [
                program, config, "--manage-all-nodes=true", f"--server-address={HOST}:{self._ports['kwok']}",
                "--node-lease-duration-seconds=40", "--enable-crds=", "--cidr=10.128.0.0/9",
            ]  # fmt: skip
        command = [
            program, config, f"--authentication-kubeconfig={self.kubeconfig}", f"--authorization-kubeconfig={self.kubeconfig}",
            f"--bind-address={HOST}", f"--secure-port={self._ports[name]}", "--leader-elect=false", *LIMITS,
        ]  # fmt: skip
        if name == "controller-manager":
            where = self._folder / "pki"
            command += [
                f"--service-account-private-key-file={where / 'sa.key'}", f"--root-ca-file={where / 'ca.crt'}",
                f"--cluster-signing-cert-file={where / 'ca.crt'}", f"--cluster-signing-key-file={where / 'ca.key'}",
                "--use-service-account-credentials=true", "--controllers=*,bootstrapsigner,tokencleaner",
            ]  # fmt: skip
        return command

    async def _register(self, first: int, count: int) -> None:
        """The nodes up to that number are there; Kwok makes them ready."""
        load = Load(self.kubeconfig)
        await load.open(CONNECTIONS)
        nodes = ({**node, "status": NODE_STATUS} for node in [*NodeTemplate().nodes(count)][first:])
        said = await load.send(load.request("POST", "/api/v1/nodes", orjson.dumps(node)) for node in nodes)
        if said["failed"]:
            raise RuntimeError(f"{said['failed']} nodes were refused: {said['first_failure']}")

    async def _until(self, holds: Any, what: str) -> None:
        give_up = time.monotonic() + START_SECONDS_MAX
        while not holds():
            if time.monotonic() > give_up:
                raise RuntimeError(f"{what} does not start:\n{self._log(what)}")
            await asyncio.sleep(POLL_SECONDS)

    def _log(self, name: str) -> str:
        """The end of what it said."""
        return (self._folder / f"{name}.log").read_text()[-2_000:]


def _read(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            found: bytes = answer.read()
            return found
    except (urllib.error.URLError, OSError):
        return b""
