"""``kcore etcd``: a member with its client port, from settings to a graceful end."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from kcore.api.errors import InputError
from kcore.flags import seconds
from kcore.store.auth import Auth
from kcore.store.bootstrap import ReplicaConfig
from kcore.store.embedded import VERSION, Embedded
from kcore.store.etcd import addresses
from kcore.store.etcd.access import Access
from kcore.store.etcd.certificates import ServerFiles, self_signed, server_context
from kcore.store.etcd.flags import WITHOUT_EFFECT, Settings
from kcore.store.etcd.lines import configure
from kcore.store.etcd.pages import PageSet
from kcore.store.etcd.server import Server
from kcore.store.etcd.services import Services
from kcore.store.peer_tls import PeerTLS
from kcore.store.replica import Replica
from kcore.store.tokens import SignedTokens, SimpleTokens, of_option

STOP_SECONDS_MAX: Final = 5.0  # that requests under way may take to finish
SWEEP_SECONDS: Final = 1.0  # between looks for tokens that have died
HOUR_SECONDS: Final = 3600

log = logging.getLogger("kcore.store.etcd")

DONE, FAILED = 0, 3


def run(settings: Settings) -> int:
    """Serves until a signal says stop; the process' exit code. InputError for settings that cannot be."""
    configure(settings["log-level"], settings["log-format"], settings["log-outputs"])
    try:
        import uvloop
    except ImportError:
        return asyncio.run(serve(settings))
    code: int = uvloop.run(serve(settings))
    return code


async def serve(settings: Settings) -> int:
    """Everything from the sockets to the last words."""
    _warn(settings)
    tokens = _tokens(settings)
    config = replica_config(settings, tokens)
    ports = [*client_ports(settings)]
    try:
        replica = await _started(config)
    except BaseException:
        _close(sock for sock, _, _ in ports)
        raise
    store = Embedded(replica, owns=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = None
    try:
        if await _until_ready(store, stop):
            server = await _open(store, settings, tokens, ports)
            gc.collect()
            gc.freeze()
            log.info("ready to serve client requests", extra={"member": settings["name"]})
            await _first(stop.wait(), replica.stopped.wait())
    finally:
        if server is not None:
            await server.stop(STOP_SECONDS_MAX)
        _close(sock for sock, _, _ in ports)
        await store.close()
    if replica.failure:
        log.error("stopped", extra={"error": replica.failure})
        return FAILED
    log.info("stopped")
    return DONE


async def _started(config: ReplicaConfig) -> Replica:
    try:
        return await Replica.start(config)
    except ValueError as error:
        raise InputError(str(error)) from None


async def _until_ready(store: Embedded, stop: asyncio.Event) -> bool:
    """False where it was stopped before it was ready."""
    ready = asyncio.ensure_future(store.wait_ready())
    with contextlib.suppress(Exception):
        await _first(stop.wait(), asyncio.shield(ready))
    if ready.done():
        return ready.exception() is None
    ready.cancel()
    return False


async def _first(*waited: Any) -> None:
    tasks = [asyncio.ensure_future(each) for each in waited]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _open(
    store: Embedded, settings: Settings, tokens: SimpleTokens | SignedTokens, ports: Iterable["Port"]
) -> Server:
    """The client port answers."""
    access = Access(store, tokens, client_cert_auth=settings["client-cert-auth"])
    services = Services(
        store,
        access,
        request_bytes_max=settings["max-request-bytes"],
        progress_seconds=settings["watch-progress-notify-interval"],
        bcrypt_cost=settings["bcrypt-cost"],
    )
    pages = PageSet(store, services, version=VERSION, gateway=settings["enable-grpc-gateway"])
    server = Server(
        services.methods,
        pages,
        message_bytes_max=services.message_bytes_max,
        ping_seconds=settings["grpc-keepalive-interval"],
        hostnames=settings["client-cert-allowed-hostname"],
    )
    pages.server = server
    if isinstance(tokens, SimpleTokens):
        server.keep(_sweep(tokens))
    context = None
    for sock, url, speaks in ports:
        secure = addresses.is_secure(url)
        if secure and context is None:
            context = server_context(server_files(settings))
        await server.listen(sock, context if secure else None, speaks=speaks)
        log.info("serving client traffic", extra={"address": url, "secure": secure})
    return server


async def _sweep(tokens: SimpleTokens) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        tokens.sweep(time.monotonic_ns() // 1_000_000)


def _tokens(settings: Settings) -> SimpleTokens | SignedTokens:
    try:
        return of_option(settings["auth-token"], _read, settings["auth-token-ttl"] * 1000)
    except ValueError as error:
        raise InputError(str(error), field="--auth-token") from None


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


# -- ports ----------------------------------------------------------------------------------------------------------

Port = tuple[socket.socket, str, str]  # bound; its URL; "both", "grpc" or "pages"


def client_ports(settings: Settings) -> Iterable[Port]:
    """Sockets bound to every URL for clients; InputError where an address is taken."""
    pages_only = (*settings["listen-client-http-urls"], *settings["listen-metrics-urls"])
    speaks = "grpc" if settings["listen-client-http-urls"] else "both"
    bound: list[Port] = []
    try:
        for url in settings["listen-client-urls"]:
            bound += ((sock, url, speaks) for sock in bind(url))
        for url in pages_only:
            bound += ((sock, url, "pages") for sock in bind(url))
    except BaseException:
        _close(sock for sock, _, _ in bound)
        raise
    return bound


def bind(url: str) -> list[socket.socket]:
    """Sockets bound to that URL, one for each address of its host."""
    if addresses.is_unix(url):
        path = addresses.unix_path(url)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        return [_bound(sock, path, url)]
    host, port = addresses.host_and_port(url)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise InputError(f"cannot listen on {url}: {error.strerror}", field="--listen-client-urls") from None
    socks: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError:
            continue  # no IPv6 here
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            socks.append(_bound(sock, address, url))
        except InputError:
            if host != "localhost" or not socks:
                _close(socks)
                raise
    return socks


def _bound(sock: socket.socket, address: Any, url: str) -> socket.socket:
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise InputError(f"cannot listen on {url}: {error.strerror}", field="--listen-client-urls") from None
    sock.setblocking(False)
    return sock


def _close(socks: Iterable[socket.socket]) -> None:
    for sock in socks:
        sock.close()


# -- settings to configurations --------------------------------------------------------------------------------------


def replica_config(settings: Settings, tokens: SimpleTokens | SignedTokens) -> ReplicaConfig:
    """The member's configuration."""
    table: Callable[[], Auth] = lambda: Auth(tokens if isinstance(tokens, SimpleTokens) else None)  # noqa: E731
    retention = settings["auto-compaction-retention"]
    if settings["auto-compaction-mode"] == "periodic":
        kept = (
            int(retention) * HOUR_SECONDS * 1000 if retention.isdigit() else round(seconds(retention) * 1000)
        )
    else:
        kept = int(retention)
    return ReplicaConfig(
        data_dir=settings["data-dir"],
        name=settings["name"],
        listen_peer_urls=settings["listen-peer-urls"],
        initial_advertise_peer_urls=settings["initial-advertise-peer-urls"],
        advertise_client_urls=settings["advertise-client-urls"],
        initial_cluster=settings["initial-cluster"]
        or {settings["name"]: settings["initial-advertise-peer-urls"]},
        initial_cluster_state=settings["initial-cluster-state"],
        initial_cluster_token=settings["initial-cluster-token"],
        peer_tls=peer_tls(settings),
        heartbeat_ms=settings["heartbeat-interval"],
        election_ms=settings["election-timeout"],
        snapshot_count=settings["snapshot-count"],
        catch_up_entries=settings["snapshot-catchup-entries"],
        quota_bytes=settings["quota-backend-bytes"],
        request_bytes_max=settings["max-request-bytes"],
        txn_ops_max=settings["max-txn-ops"],
        fsync=not settings["unsafe-no-fsync"],
        pre_vote=settings["pre-vote"],
        strict_reconfig_check=settings["strict-reconfig-check"],
        auto_compaction_mode=settings["auto-compaction-mode"],
        auto_compaction_retention=kept,
        corrupt_check_ms=round(settings["corrupt-check-time"] * 1000),
        initial_corrupt_check=settings["experimental-initial-corrupt-check"]
        or settings["feature-gates"].get("InitialCorruptCheck", False),
        lease_checkpoints=settings["feature-gates"].get("LeaseCheckpoint", False),
        auth=table,
    )


def server_files(settings: Settings) -> ServerFiles:
    """TLS of the client port; InputError where a URL says https and no certificate is given."""
    certificate, key = settings["cert-file"], settings["key-file"]
    if not certificate and settings["auto-tls"]:
        folder = Path(settings["data-dir"]) / "fixtures" / "client"
        hosts = [_host(url) for url in settings["listen-client-urls"]]
        certificate, key = self_signed(folder, hosts, settings["self-signed-cert-validity"])
    if not certificate:
        raise InputError(
            "https is asked for without a certificate", field="--cert-file", expected="a file, or --auto-tls"
        )
    return ServerFiles(
        certificate,
        key,
        settings["trusted-ca-file"],
        settings["client-cert-auth"],
        settings["client-crl-file"],
        settings["tls-min-version"],
        settings["tls-max-version"],
        settings["cipher-suites"],
    )


def peer_tls(settings: Settings) -> PeerTLS | None:
    """TLS between members; None where no peer URL says https."""
    urls = (*settings["listen-peer-urls"], *settings["initial-advertise-peer-urls"])
    if not any(addresses.is_secure(url) for url in urls):
        return None
    certificate, key = settings["peer-cert-file"], settings["peer-key-file"]
    signs_itself = not certificate and settings["peer-auto-tls"]
    if signs_itself:
        folder = Path(settings["data-dir"]) / "fixtures" / "peer"
        hosts = [_host(url) for url in urls]
        certificate, key = self_signed(folder, hosts, settings["self-signed-cert-validity"])
    if not certificate:
        expected = "a file, or --peer-auto-tls"
        raise InputError(
            "https is asked for without a certificate", field="--peer-cert-file", expected=expected
        )
    return PeerTLS(
        certificate,
        key,
        settings["peer-trusted-ca-file"],
        settings["peer-client-cert-auth"],
        settings["peer-cert-allowed-cn"],
        unverified=signs_itself,
    )


def _host(url: str) -> str:
    return "localhost" if addresses.is_unix(url) else addresses.host_and_port(url)[0]


def _warn(settings: Settings) -> None:
    """One line for each door that stands open, and each flag of etcd's that does nothing here."""
    for name in ("listen-client-urls", "listen-client-http-urls", "listen-peer-urls"):
        for url in settings[name]:
            if not addresses.is_secure(url) and not addresses.is_loopback(url):
                log.warning(
                    "listens without TLS beyond this machine; anyone on the network can read and write",
                    extra={"flag": f"--{name}", "url": url},
                )
    if settings["unsafe-no-fsync"]:
        log.warning("--unsafe-no-fsync: an outage of power loses acknowledged writes")
    if settings["client-cert-auth"] and not any(map(addresses.is_secure, settings["listen-client-urls"])):
        log.warning("--client-cert-auth has no effect where no client URL says https")
    for flag in WITHOUT_EFFECT:
        if settings[flag.name] != flag.default:
            log.warning("--%s has no effect here", flag.name)
