"""Replicas on loopback for tests: free ports, certificates, a cluster of several."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import trustme

from kcore.store.bootstrap import ReplicaConfig
from kcore.store.embedded import Embedded
from kcore.store.peer_tls import PeerTLS
from kcore.store.replica import Replica

WAIT_SECONDS_MAX = 120.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened at just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def certificates(directory: Path, authority: trustme.CA, *names: str) -> PeerTLS:
    """A certificate of that authority for those names, and the flags that use it on both sides."""
    directory.mkdir(parents=True, exist_ok=True)
    issued = authority.issue_cert(*names)
    issued.private_key_pem.write_to_path(directory / "key.pem")
    issued.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    return PeerTLS(
        str(directory / "cert.pem"),
        str(directory / "key.pem"),
        str(directory / "ca.pem"),
        client_cert_auth=True,
    )


async def until(condition: Callable[[], Any]) -> None:
    """The condition holds; fails where it does not within a generous time."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not condition():
            await asyncio.sleep(0.01)


class Loopback:
    """Several replicas that know one another."""

    def __init__(self, directory: Path, count: int = 3, tls: PeerTLS | None = None, **options: Any) -> None:
        scheme = "https" if tls else "http"
        self.directory = directory
        self.tls = tls
        self.urls = {f"m{i}": f"{scheme}://127.0.0.1:{port}" for i, port in enumerate(free_ports(count))}
        self.options = {"heartbeat_ms": 20, "election_ms": 200, **options}
        self.replicas: dict[str, Replica] = {}

    def config(self, name: str, **more: Any) -> ReplicaConfig:
        url = self.urls[name]
        options: dict[str, Any] = {
            "data_dir": str(self.directory / name),
            "name": name,
            "listen_peer_urls": (url,),
            "initial_advertise_peer_urls": (url,),
            "advertise_client_urls": (f"http://{name}:2379",),
            "initial_cluster": {each: (at,) for each, at in self.urls.items()},
            "peer_tls": self.tls,
            **self.options,
            **more,
        }
        return ReplicaConfig(**options)

    async def start(self, *names: str, **more: Any) -> None:
        started = await asyncio.gather(*(Replica.start(self.config(n, **more)) for n in names or self.urls))
        self.replicas |= {replica.config.name: replica for replica in started}

    async def ready(self, names: Sequence[str] = ()) -> None:
        for name in names or self.replicas:
            await asyncio.wait_for(Embedded(self.replicas[name]).wait_ready(), WAIT_SECONDS_MAX)

    def store(self, name: str) -> Embedded:
        return Embedded(self.replicas[name])

    def leader(self) -> str:
        """The name of the one that leads, "" for none."""
        return next((n for n, r in self.replicas.items() if r.member.leads_term), "")

    async def stop(self, *names: str) -> None:
        for name in names or list(self.replicas):
            await self.replicas.pop(name).stop()
