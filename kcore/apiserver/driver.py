"""``kcore apiserver`` and ``kcore up``: from settings to a server that answers, and to its graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from kcore.api.errors import InputError
from kcore.apiserver import lines
from kcore.apiserver.assembly import Assembly, Options
from kcore.apiserver.authn import Authenticator
from kcore.apiserver.bootstrap import ClusterSettings
from kcore.apiserver.flags import WITHOUT_EFFECT
from kcore.apiserver.pki import SERVER_NAMES, Pair, Pki, kubeconfig, kubeconfig_text, write_private
from kcore.apiserver.release import GIT_VERSION
from kcore.apiserver.server import ApiServer, Settings
from kcore.apiserver.tokens import TokenKeys
from kcore.flags import Settings as Flags
from kcore.http.any_certificate import take_any_certificate
from kcore.http.http1 import Http1Connection, Limits
from kcore.http.http2 import Http2Connection
from kcore.http.listener import Listener
from kcore.http.message import Peer
from kcore.store.errors import StoreError
from kcore.store.etcd.certificates import openssl_name
from kcore.store.kv import KV

# Containers made before the youngest, the middle and all of them are looked through for cycles, of which there are few:
# Python's own 700, 10 and 10 cost a sixth of a write, whose objects are still alive then; 50,000 take some 10 ms.
GC_THRESHOLDS: Final = (50_000, 20, 50)
STOP_SECONDS_MAX: Final = 10.0  # that requests under way may take to finish
WATCHES_END_SECONDS_MAX: Final = 1.0  # that clients may take to read the end of their watches
PROTOCOLS: Final = ["h2", "http/1.1"]
OWN: Final = (
    "0.0.0.0",
    "::",
    "127.0.0.1",
    "::1",
)  # bound to one of these, pods reach the machine's own address
DONE, FAILED = 0, 3

log = logging.getLogger("kcore.apiserver")


class Identity:
    """Keys and certificates of one server: those given, the rest made in the folder."""

    def __init__(self, flags: Flags, hosts: Sequence[str]) -> None:
        folder = Path(flags["cert-dir"])
        pki = Pki(folder)
        self.authority = pki.authority("ca", "kubernetes")
        self.front_proxy_authority = pki.authority("front-proxy-ca", "front-proxy-ca")
        self.admin = pki.client("admin", self.authority, "kubernetes-admin", "system:masters")
        if flags["tls-cert-file"]:
            self.serving = Pair(_read(flags, "tls-cert-file"), _read(flags, "tls-private-key-file"))
        else:
            self.serving = pki.server("apiserver", self.authority, [*SERVER_NAMES, *hosts])
        self.client_ca = (
            _read(flags, "client-ca-file") if flags["client-ca-file"] else self.authority.certificate
        )
        self.front_proxy_ca = (
            _read(flags, "requestheader-client-ca-file")
            if flags["requestheader-client-ca-file"]
            else self.front_proxy_authority.certificate
        )
        if flags["service-account-signing-key-file"]:
            self.token_key = _read(flags, "service-account-signing-key-file")
        else:
            self.token_key = pki.signing_key("sa")
        self.token_keys = tuple(
            _content(name, "service-account-key-file") for name in flags["service-account-key-file"]
        )
        self.folder = folder
        self._pki = pki

    def complete(self) -> None:
        """The folder holds the certificates, too, that the start itself does not need."""
        self._pki.client("front-proxy-client", self.front_proxy_authority, "front-proxy-client")
        self._pki.client(
            "apiserver-kubelet-client", self.authority, "kube-apiserver-kubelet-client", "system:masters"
        )

    def tls(self, flags: Flags) -> ssl.SSLContext:
        """The listener's context: a client may show a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        newest = flags["tls-min-version"] == "VersionTLS13"
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if newest else ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(PROTOCOLS)
        if suites := flags["tls-cipher-suites"]:
            try:
                context.set_ciphers(":".join(map(openssl_name, suites)))
            except ssl.SSLError:
                raise InputError(f"unknown among {','.join(suites)}", field="--tls-cipher-suites") from None
        certificate, key = self.folder / "apiserver.crt", self.folder / "apiserver.key"
        if flags["tls-cert-file"]:
            certificate, key = Path(flags["tls-cert-file"]), Path(flags["tls-private-key-file"])
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:
            raise InputError(
                f"cannot use {certificate} with {key}: {error}", field="--tls-cert-file"
            ) from None
        pem = (self.client_ca + self.front_proxy_ca).decode()
        if not take_any_certificate(context, authorities_of(pem)):  # then they are verified in the handshake
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata=pem)
        return context

    def kubelet_tls(self) -> ssl.SSLContext:
        """How kubelets are spoken to: the server shows its own certificate.

        Theirs is not verified, as upstream's is not without --kubelet-certificate-authority.
        """
        self.complete()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        name = "apiserver-kubelet-client"
        context.load_cert_chain(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        return context


def authorities_of(pem: str) -> list[bytes]:
    """Each certificate of the text, in DER."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return [ssl.PEM_cert_to_DER_cert(begin + each.partition(end)[0] + end) for each in pem.split(begin)[1:]]


def _read(flags: Flags, name: str) -> bytes:
    return _content(flags[name], name)


def _content(path: str, flag: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", field=f"--{flag}", expected="a file") from None


def _optional(flags: Flags, name: str) -> bytes | None:
    return _read(flags, name) if flags[name] else None


def authenticator_of(
    flags: Flags, identity: Identity, keys: TokenKeys, audiences: Sequence[str], view: Any, writer: Any
) -> Authenticator:
    """Who asks, found out by front proxy, certificate and token, as the flags say."""
    from kcore.apiserver.authn.certificates import ClientCertificates, FrontProxy
    from kcore.apiserver.authn.service_accounts import ServiceAccountTokens
    from kcore.apiserver.authn.token_file import StaticTokens, read_tokens

    tokens: list[Any] = []
    if name := flags["token-auth-file"]:
        tokens.append(StaticTokens(read_tokens(_read(flags, "token-auth-file").decode(), name), audiences))
    tokens.append(
        ServiceAccountTokens(
            keys,
            view,
            audiences=audiences,
            now_s=time.time,
            lookup=flags["service-account-lookup"],
            writer=writer,
        )
    )
    proxy = None
    if flags["requestheader-client-ca-file"]:
        proxy = FrontProxy(
            ClientCertificates(identity.front_proxy_ca, time.time),
            allowed_names=flags["requestheader-allowed-names"],
            username_headers=flags["requestheader-username-headers"],
            uid_headers=flags["requestheader-uid-headers"],
            group_headers=flags["requestheader-group-headers"],
            extra_prefixes=flags["requestheader-extra-headers-prefix"],
        )
    return Authenticator(
        proxy=proxy,
        certificates=ClientCertificates(identity.client_ca, time.time),
        tokens=tokens,
        audiences=audiences,
        anonymous=anonymous_may_ask(flags),
    )


def anonymous_may_ask(flags: Flags) -> bool:
    """Whether requests that say nothing of who asks are let in: not where everybody may do everything."""
    if flags["anonymous-auth"] and "AlwaysAllow" in flags["authorization-mode"]:
        log.warning("--anonymous-auth is off, as --authorization-mode has AlwaysAllow")
        return False
    return bool(flags["anonymous-auth"])


def options_of(flags: Flags, identity: Identity, address: str, port: Callable[[], int]) -> Options:
    """What the server is to be, by its flags."""
    from kcore.apiserver.registry.issuing import TokenIssuer

    issuers = flags["service-account-issuer"]
    keys = TokenKeys(identity.token_key, identity.token_keys, issuers=issuers)
    if flags["service-account-signing-key-file"] or identity.token_keys:
        _ = keys.keys  # one that cannot be read is said now
    audiences = flags["api-audiences"] or issuers

    cluster = ClusterSettings(
        advertise_address=address,
        secure_port=port(),
        service_ranges=flags["service-cluster-ip-range"],
        client_ca_pem=identity.client_ca.decode(),
        front_proxy_ca_pem=identity.front_proxy_ca.decode(),
        front_proxy_names=flags["requestheader-allowed-names"] or ("front-proxy-client",),
    )
    return Options(
        cluster=cluster,
        authorization_modes=flags["authorization-mode"],
        authenticator=lambda view, writer: authenticator_of(flags, identity, keys, audiences, view, writer),
        kubelet_tls=identity.kubelet_tls,
        plugins_on=flags["enable-admission-plugins"],
        plugins_off=flags["disable-admission-plugins"],
        root_ca=identity.authority.certificate.decode(),
        settings=Settings(
            flags["max-requests-inflight"],
            flags["max-mutating-requests-inflight"],
            flags["min-request-timeout"],
        ),
        event_ttl_seconds=round(flags["event-ttl"]),
        prefix=flags["etcd-prefix"],
        address=lambda: f"{address}:{port()}",
        openid=_openid(keys, lambda: f"{address}:{port()}"),
        tokens=TokenIssuer(keys, audiences, round(flags["service-account-max-token-expiration"])),
        audiences=audiences,
        node_ports=_port_range(flags["service-node-port-range"]),
        compaction_seconds=flags["etcd-compaction-interval"],
        switches=flags["runtime-config"],
        git_version=flags["version"] or GIT_VERSION,
    )


def _port_range(text: str) -> tuple[int, int]:
    """First and last of ``30000-32767``, or of ``30000+2767``."""
    first, separator, last = text.partition("-")
    if not separator:
        first, separator, last = text.partition("+")
        if separator and first.isdigit() and last.isdigit():
            last = str(int(first) + int(last))
    if not (first.isdigit() and last.isdigit() and 0 < int(first) <= int(last) < 1 << 16):
        raise InputError(
            f"cannot read {text!r}", field="--service-node-port-range", expected="two ports: 30000-32767"
        )
    return int(first), int(last)


def _openid(keys: Any, address: Callable[[], str]) -> Any:
    from kcore.http.message import Response

    def page(path: str) -> Response | None:
        if path == "/openid/v1/jwks":
            return Response(200, [(b"content-type", b"application/jwk-set+json")], keys.jwks())
        if path == "/.well-known/openid-configuration":
            body = keys.openid_configuration(address())
            return Response(200, [(b"content-type", b"application/json")], body)
        return None

    return page


async def open_store(flags: Flags) -> KV:
    """The store: an etcd cluster, or a member of our own in this process."""
    if flags["etcd-servers"]:
        from kcore.store.remote.channel import Credentials
        from kcore.store.remote.client import connect

        credentials = Credentials(
            ca=_optional(flags, "etcd-cafile"),
            certificate=_optional(flags, "etcd-certfile"),
            key=_optional(flags, "etcd-keyfile"),
        )
        try:
            return await connect(flags["etcd-servers"], credentials)
        except StoreError as error:
            raise InputError(f"no etcd answers: {error}", field="--etcd-servers") from None
    from kcore.store.embedded import Embedded

    return await Embedded.open(flags["data-dir"] or None)


class Running:
    """A server that listens."""

    def __init__(self, kv: KV, assembly: Assembly, listener: Listener, port: int, identity: Identity) -> None:
        self.kv = kv
        self.assembly = assembly
        self.listener = listener
        self.port = port
        self.identity = identity

    def kubeconfig(self, host: str) -> dict[str, Any]:
        """The admin's, for that host."""
        said = f"[{host}]" if ":" in host else host
        return kubeconfig(
            f"https://{said}:{self.port}", self.identity.authority.certificate, self.identity.admin
        )

    async def stop(self, delay_seconds: float = 0.0) -> None:
        """/readyz fails at once; after the delay nothing new is taken, watches end, what runs finishes."""
        self.assembly.health.stopping = True
        if delay_seconds:
            await asyncio.sleep(delay_seconds)
        self.listener.stop_accepting()
        await self.assembly.server.verbs.watches_ended(WATCHES_END_SECONDS_MAX)
        await self.listener.stop(STOP_SECONDS_MAX)
        await self.assembly.stop()
        await self.kv.close()


Beside = Callable[[Running, asyncio.Event], Awaitable[None]]  # the event is set when it is time to stop


async def start(flags: Flags, bound: socket.socket, kv: KV | None = None) -> Running:
    """A server on the bound socket, ready."""
    host, port = bound.getsockname()[:2]
    address = flags["advertise-address"] or (_own_address() if host in OWN else host)
    cluster_address = ClusterSettings(service_ranges=flags["service-cluster-ip-range"]).service_address
    hosts = ["127.0.0.1", "::1", address, cluster_address, *filter(None, [flags["external-hostname"]])]
    opening = asyncio.ensure_future(open_store(flags)) if kv is None else None
    try:
        identity = Identity(flags, hosts)
    except BaseException:
        if opening is not None:
            opening.cancel()
        raise
    if opening is not None:
        kv = await opening
    assert kv is not None
    assembly = Assembly(kv, replace(options_of(flags, identity, address, lambda: port)))
    server = await assembly.start()
    listener = await listen(server, bound, identity.tls(flags), request_seconds=flags["request-timeout"])
    return Running(kv, assembly, listener, port, identity)


async def listen(
    server: ApiServer, bound: socket.socket, tls: ssl.SSLContext | None, *, request_seconds: float = 60.0
) -> Listener:
    """The server answers on the socket, over HTTP/2 and HTTP/1.1."""
    listener = Listener(log=log)
    limits = Limits(answer_seconds_max=request_seconds)

    def http1(peer: Peer, transport: Any, port: Any) -> Http1Connection:
        return Http1Connection(server, peer, transport, port, limits=limits)

    def http2(peer: Peer, transport: Any, port: Any) -> Http2Connection:
        return Http2Connection(server, peer, transport, port, limits=limits)

    await listener.listen(bound, tls, http1=http1, http2=http2)
    return listener


def bind(host: str, port: int, *, share: bool = False) -> socket.socket:
    """A socket bound to the address; InputError where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror}", field="--secure-port") from None
    sock.setblocking(False)
    return sock


def _own_address() -> str:
    """The address that this machine's packets to elsewhere come from; loopback where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


def run(
    flags: Flags,
    *,
    kubeconfig_path: str = "",
    said: Callable[[Running, str], None] | None = None,
    beside: Beside | None = None,
) -> int:
    """Serves until a signal says stop; the process' exit code.

    Once it is ready, ``said`` is called and ``beside`` runs, which ends when it is told to stop, and before the server.
    """
    lines.configure(logging.DEBUG if flags["v"] >= 4 else logging.INFO if flags["v"] else logging.WARNING)
    for flag in WITHOUT_EFFECT:
        if flags[flag.name] != flag.default:
            log.warning("--%s has no effect here", flag.name)
    if flags["feature-gates"]:
        log.warning("--feature-gates has no effect here")
    import uvloop

    code: int = uvloop.run(_serve(flags, kubeconfig_path, said, beside))
    return code


async def _serve(
    flags: Flags, kubeconfig_path: str, said: Callable[[Running, str], None] | None, beside: Beside | None
) -> int:
    bound = bind(flags["bind-address"], flags["secure-port"], share=flags["permit-port-sharing"])
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        running = await start(flags, bound)
    except BaseException:
        bound.close()
        raise
    path = Path(kubeconfig_path) if kubeconfig_path else running.identity.folder / "admin.conf"
    host = "127.0.0.1" if flags["bind-address"] in ("0.0.0.0", "::") else flags["bind-address"]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, kubeconfig_text(running.kubeconfig(host)))
    gc.freeze()  # what the start made stays; collecting before that would take 40 ms and find little
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    if said is not None:
        said(running, str(path))
    loop.call_soon(running.identity.complete)
    log.info("serving securely on %s:%s", host, running.port)
    try:
        if beside is not None:
            await beside(running, stop)
        await stop.wait()
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await running.stop(flags["shutdown-delay-duration"])
    return DONE
