"""A control plane of separate processes, each upstream's or kcore's: etcd and kube-apiserver, scheduler, controllers, nodes.

Each on loopback with certificates made for the occasion, the clients' limits of requests lifted, the nodes with the stages for
quick pods. The folder of programs holds what ``go build`` made of etcd, kube-apiserver, kube-scheduler,
kube-controller-manager and kwok, by those names. kcore's API server keeps its own store.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import orjson
import yaml

import kcore.hollow
from bench.bench_apiserver import CONNECTIONS, cpu_seconds, resident_mib
from bench.http_load import Load
from kcore.apiserver.pki import Pki, kubeconfig
from kcore.hollow.node_template import NodeTemplate
from tests.store.kv_suite.servers import free_ports

KCORE: Final = (sys.executable, "-m", "kcore")
HOST: Final = "127.0.0.1"
ETCD: Final = "etcd"
APISERVER: Final = "apiserver"
SCHEDULER: Final = "scheduler"
CONTROLLERS: Final = "controller-manager"
NODES: Final = "nodes"
PROGRAMS: Final = {
    APISERVER: "kube-apiserver", SCHEDULER: "kube-scheduler", CONTROLLERS: "kube-controller-manager", NODES: "kwok",
}  # fmt: skip
OURS: Final = {
    APISERVER: "apiserver",
    SCHEDULER: "scheduler",
    CONTROLLERS: "controller-manager",
    NODES: "hollow-nodes",
}
USERS: Final = {
    SCHEDULER: ("system:kube-scheduler",), CONTROLLERS: ("system:kube-controller-manager",),
    NODES: ("kwok", "system:masters"),
}  # fmt: skip
STAGES: Final = [
    str(Path(kcore.hollow.__file__).parent / "stages" / f"{name}.yaml") for name in ("node", "pod-fast")
]
LIMITS: Final = ("--kube-api-qps=10000", "--kube-api-burst=10000")
SERVICES: Final = "10.96.0.0/16"
START_SECONDS_MAX: Final = 90.0
STOP_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.1
AMOUNTS: Final = {"cpu": "32", "memory": "256Gi", "pods": "256"}
NODE_STATUS: Final = {"allocatable": AMOUNTS, "capacity": AMOUNTS}


class Separate:
    """The API server runs from the first ``run`` to ``close``; the others come and go.

    ``ours`` names those that are kcore's: of ``apiserver``, ``scheduler``, ``controller-manager``, ``nodes``.
    """

    def __init__(self, name: str, programs: Path, folder: Path, ours: Collection[str] = ()) -> None:
        self.name = name
        self.ours = frozenset(ours)
        self.kubeconfig = str(folder / "pki" / "admin.conf")
        self._programs = programs
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._registered = 0
        self._registering: asyncio.Task[None] | None = None
        self._ports = dict(zip((ETCD, "peer", *PROGRAMS), free_ports(6), strict=True))

    async def run(self, components: Sequence[str], nodes: int = 0) -> float:
        """Those run beside the API server, with so many nodes on the way; when that began."""
        if APISERVER not in self._running:
            await self._serve()
        for name in USERS:
            if name not in components:
                self._end(name)
        began = time.perf_counter()
        for name in components:
            if name not in self._running:
                self._begin(name, self._command(name))
        if nodes > self._registered:
            self._registering = asyncio.create_task(self._register(self._registered, nodes))
            self._registered = nodes
        return began

    async def registered(self) -> None:
        """The nodes on the way are there."""
        if self._registering is not None:
            await self._registering

    def kubectl_environment(self) -> dict[str, str]:
        """An environment in which kubectl is an admin's."""
        return {
            **os.environ, "KUBECONFIG": self.kubeconfig, "KUBECACHEDIR": str(self._folder / "discovery"),
        }  # fmt: skip

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
        for name in (*USERS, APISERVER, ETCD):
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
        """The API server answers."""
        where = self._folder / "pki"
        port = f"--secure-port={self._ports[APISERVER]}"
        if APISERVER in self.ours:
            self._begin(
                APISERVER,
                [
                    *KCORE, "apiserver", f"--cert-dir={where}", f"--bind-address={HOST}", port,
                    f"--data-dir={self._folder / 'store'}", f"--service-cluster-ip-range={SERVICES}",
                ],
            )  # fmt: skip
        else:
            pki = Pki(where)
            authority = pki.authority("ca", "kubernetes")
            pki.server("apiserver", authority, [HOST, "localhost"])
            pki.signing_key("sa")
            self._write_kubeconfig("admin", "kubernetes-admin", "system:masters")
            url = await self._etcd()
            self._begin(
                APISERVER,
                [
                    str(self._programs / PROGRAMS[APISERVER]), f"--etcd-servers={url}", port, f"--bind-address={HOST}",
                    f"--client-ca-file={where / 'ca.crt'}", f"--tls-cert-file={where / 'apiserver.crt'}",
                    f"--tls-private-key-file={where / 'apiserver.key'}", f"--service-account-key-file={where / 'sa.pub'}",
                    f"--service-account-signing-key-file={where / 'sa.key'}", "--authorization-mode=Node,RBAC",
                    "--service-account-issuer=https://kubernetes.default.svc", f"--service-cluster-ip-range={SERVICES}",
                    "--max-requests-inflight=3000", "--max-mutating-requests-inflight=1000",
                ],
            )  # fmt: skip
        await self._answers()
        for name, user in USERS.items():
            # kcore's controllers all write as the one user that they are given
            groups = ("system:masters",) if name == CONTROLLERS and name in self.ours else ()
            self._write_kubeconfig(name, *user, *groups)

    async def _etcd(self) -> str:
        """The address of an etcd that is healthy."""
        client, peer = (f"http://{HOST}:{self._ports[name]}" for name in (ETCD, "peer"))
        self._begin(
            ETCD,
            [
                str(self._programs / ETCD), f"--data-dir={self._folder / ETCD}", f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
            ],
        )  # fmt: skip
        give_up = time.monotonic() + START_SECONDS_MAX
        while b'"health":"true"' not in _read(f"{client}/health"):
            if time.monotonic() > give_up:
                raise RuntimeError(f"etcd does not start:\n{self.log(ETCD)}")
            await asyncio.sleep(POLL_SECONDS)
        return client

    async def _answers(self) -> None:
        """The API server does, and has the roles that the others need."""
        give_up = time.monotonic() + START_SECONDS_MAX
        while True:
            with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
                load = Load(self.kubeconfig)
                await load.content(load.request("GET", "/readyz"))
                return
            if time.monotonic() > give_up or self._running[APISERVER].poll() is not None:
                raise RuntimeError(f"the API server does not start:\n{self.log(APISERVER)}")
            await asyncio.sleep(POLL_SECONDS)

    def _write_kubeconfig(self, name: str, user: str, *groups: str) -> None:
        """Of a user with a certificate."""
        pki = Pki(self._folder / "pki")
        authority = pki.authority("ca", "kubernetes")
        certificate = pki.client(name, authority, user, *groups)
        address = f"https://{HOST}:{self._ports[APISERVER]}"
        text = yaml.safe_dump(
            kubeconfig(address, (self._folder / "pki" / "ca.crt").read_bytes(), certificate)
        )
        (self._folder / "pki" / f"{name}.conf").write_text(text)

    def _command(self, name: str) -> list[str]:
        where = self._folder / "pki"
        config = where / f"{name}.conf"
        command = [*KCORE, OURS[name]] if name in self.ours else [str(self._programs / PROGRAMS[name])]
        command.append(f"--kubeconfig={config}")
        if name == NODES:
            command += [
                f"--server-address={HOST}:{self._ports[NODES]}",
                "--cidr=10.128.0.0/9",
                "--manage-all-nodes",
            ]
            return command + [f"--config={path}" for path in STAGES] if name not in self.ours else command
        command += [
            f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}", f"--bind-address={HOST}",
            f"--secure-port={self._ports[name]}", "--leader-elect=false", *LIMITS,
        ]  # fmt: skip
        if name == CONTROLLERS:
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

    def log(self, name: str) -> str:
        """The end of what it said."""
        return (self._folder / f"{name}.log").read_text()[-2_000:]


def _read(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            found: bytes = answer.read()
            return found
    except (urllib.error.URLError, OSError):
        return b""
