"""A connection to a server, through a proxy where one is named: TCP, the proxy's handshake, TLS, and what it speaks.

Proxies are ``http``, ``https`` (CONNECT, RFC 9110 9.3.6) and ``socks5`` (RFC 1928, with a name and password RFC 1929).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from kcore.http.listener import KEEPALIVE

C = TypeVar("C", bound=asyncio.Protocol)

DIAL_SECONDS_MAX: Final = 30.0
PROXY_HEAD_BYTES_MAX: Final = 64 << 10
PROXY_SCHEMES: Final = ("http", "https", "socks5", "socks5h")
PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
SOCKS_ERRORS: Final = {
    1: "general SOCKS server failure", 2: "connection not allowed by ruleset", 3: "network unreachable",
    4: "host unreachable", 5: "connection refused", 6: "TTL expired", 7: "command not supported",
    8: "address type not supported",
}  # fmt: skip


class DialError(ConnectionError):
    """The server, or the proxy before it, cannot be reached: nothing was asked."""


class Endpoint(NamedTuple):
    """Where a server is. ``tls``: None for plain text; ``server_name``: whose certificate it must show."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    proxy: str = ""


async def dial(endpoint: Endpoint, factory: Callable[[str | None], C]) -> C:
    """A protocol that is connected, made by ``factory`` from what ALPN chose; DialError."""
    loop = asyncio.get_running_loop()
    name = (endpoint.server_name or endpoint.host) if endpoint.tls is not None else None
    where = f"{_bracketed(endpoint.host)}:{endpoint.port}"
    try:
        async with asyncio.timeout(DIAL_SECONDS_MAX):
            if endpoint.proxy:
                return await _through_proxy(loop, endpoint, name, factory)
            chosen = _Chosen(factory)
            await loop.create_connection(
                lambda: chosen, endpoint.host, endpoint.port, ssl=endpoint.tls, server_hostname=name
            )
            return chosen.made
    except TimeoutError:
        raise DialError(f"dial tcp {where}: i/o timeout") from None
    except DialError:
        raise
    except ssl.SSLError as error:
        raise DialError(_tls_words(error)) from None
    except OSError as error:
        raise DialError(f"dial tcp {where}: {_words(error)}") from None


def _words(error: OSError) -> str:
    text = "no such host" if isinstance(error, socket.gaierror) else error.strerror or str(error)
    return "connect: connection refused" if isinstance(error, ConnectionRefusedError) else text


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: {error.verify_message}"
    return f"tls: {error.reason or error}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _Chosen(asyncio.Protocol, Generic[C]):
    """Gives the transport to the protocol that ALPN chose, before any byte comes."""

    made: C

    def __init__(self, factory: Callable[[str | None], C]) -> None:
        self._factory = factory

    def connection_made(self, transport: Any) -> None:
        plain = transport.get_extra_info("socket")
        if plain is not None and plain.family in (socket.AF_INET, socket.AF_INET6):
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEPALIVE:
                with contextlib.suppress(AttributeError, OSError):  # not on every system
                    plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        tls = transport.get_extra_info("ssl_object")
        self.made = self._factory(tls.selected_alpn_protocol() if tls is not None else None)
        transport.set_protocol(self.made)
        self.made.connection_made(transport)


# -- proxies ------------------------------------------------------------------------------------------------------------


class _Handshake(asyncio.Protocol):
    """Bytes of a proxy, before what it leads to begins."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.received = bytearray()
        self._is_over = False
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _more(self) -> None:
        if self._is_over:
            raise DialError("the proxy closed the connection")
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    async def exactly(self, size: int) -> bytes:
        """That many bytes."""
        while len(self.received) < size:
            await self._more()
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken

    async def head(self) -> bytes:
        """Everything up to an empty line."""
        while (end := self.received.find(b"\r\n\r\n")) < 0:
            if len(self.received) > PROXY_HEAD_BYTES_MAX:
                raise DialError("the proxy's answer is too long")
            await self._more()
        return await self.exactly(end + 4)


async def _through_proxy(
    loop: asyncio.AbstractEventLoop,
    endpoint: Endpoint,
    name: str | None,
    factory: Callable[[str | None], C],
) -> C:
    proxy = urlsplit(endpoint.proxy)
    host, port = proxy.hostname or "", proxy.port or PORTS[proxy.scheme]
    tls = ssl.create_default_context() if proxy.scheme == "https" else None
    shake = _Handshake()
    try:
        await loop.create_connection(lambda: shake, host, port, ssl=tls)
    except OSError as error:
        raise DialError(f"proxyconnect tcp: dial tcp {_bracketed(host)}:{port}: {_words(error)}") from None
    try:
        user = unquote(proxy.username or ""), unquote(proxy.password or "")
        if proxy.scheme.startswith("socks5"):
            await _socks(shake, endpoint, user)
        else:
            await _connect(shake, endpoint, user)
        chosen = _Chosen(factory)
        if endpoint.tls is None:
            shake.transport.set_protocol(chosen)
            chosen.connection_made(shake.transport)
        else:
            transport = await loop.start_tls(shake.transport, chosen, endpoint.tls, server_hostname=name)
            chosen.connection_made(transport)
        return chosen.made
    except BaseException:
        shake.transport.abort()
        raise


async def _connect(shake: _Handshake, endpoint: Endpoint, user: tuple[str, str]) -> None:
    where = f"{_bracketed(endpoint.host)}:{endpoint.port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if user != ("", ""):
        lines.append("Proxy-Authorization: Basic " + base64.b64encode(":".join(user).encode()).decode())
    shake.transport.write("\r\n".join([*lines, "", ""]).encode())
    line = (await shake.head()).split(b"\r\n", 1)[0].decode("latin-1")
    words = line.split(" ", 2)
    if len(words) < 2 or words[1] != "200":
        raise DialError(f"proxyconnect tcp: {' '.join(words[1:]) or line}")


async def _socks(shake: _Handshake, endpoint: Endpoint, user: tuple[str, str]) -> None:
    has_user = user != ("", "")
    shake.transport.write(b"\x05\x02\x00\x02" if has_user else b"\x05\x01\x00")
    version, method = await shake.exactly(2)
    if version != 5 or method not in ((0, 2) if has_user else (0,)):
        raise DialError("socks connect: no acceptable authentication methods")
    if method == 2:
        name, password = (part.encode()[:255] for part in user)
        shake.transport.write(b"\x01%c%b%c%b" % (len(name), name, len(password), password))
        if (await shake.exactly(2))[1] != 0:
            raise DialError("socks connect: username/password authentication failed")
    try:
        address = ipaddress.ip_address(endpoint.host)
        place = (b"\x01" if address.version == 4 else b"\x04") + address.packed
    except ValueError:
        name = endpoint.host.encode("idna")
        place = b"\x03%c%b" % (len(name), name)
    shake.transport.write(b"\x05\x01\x00" + place + endpoint.port.to_bytes(2, "big"))
    _, code, _, kind = await shake.exactly(4)
    if code != 0:
        raise DialError(f"socks connect: {SOCKS_ERRORS.get(code, f'unknown error {code}')}")
    sizes = {1: 4, 4: 16}
    size = sizes[kind] if kind in sizes else (await shake.exactly(1))[0]
    await shake.exactly(size + 2)
