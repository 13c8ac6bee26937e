"""The client port: every listener speaks gRPC over HTTP/2, and pages over HTTP/1.1, as etcd's do."""

import logging
import socket
import ssl
import time
from collections.abc import Collection
from typing import Any, Final

from kcore.http.http1 import Http1Connection, Limits
from kcore.http.listener import PING_SECONDS, Listener
from kcore.http.message import Handler, Peer
from kcore.store.errors import Code
from kcore.store.etcd.http2 import Http2Connection
from kcore.store.etcd.rpc import Method

PAGE_LIMITS: Final = Limits(body_bytes_max=2 << 20)

BOTH, GRPC, PAGES = "both", "grpc", "pages"  # what a listener speaks


class Server:
    """All listeners of the client port and what was called there."""

    def __init__(
        self,
        methods: dict[bytes, Method],
        pages: Handler,
        *,
        message_bytes_max: int,
        ping_seconds: float = PING_SECONDS,
        hostnames: Collection[str] = (),
    ) -> None:
        self.methods = methods
        self.pages = pages
        self.message_bytes_max = message_bytes_max
        self.started_s = time.time()
        self.handled: dict[tuple[bytes, Code], int] = {}  # (path, code) -> calls that ended so
        self.listener = Listener(
            ping_seconds=ping_seconds, hostnames=hostnames, log=logging.getLogger("kcore.store.etcd")
        )
        self.keep = self.listener.keep
        self.stop = self.listener.stop

    async def listen(self, bound: socket.socket, tls: ssl.SSLContext | None, *, speaks: str = BOTH) -> None:
        """Accepts on the bound socket from now on: BOTH protocols, GRPC alone, or PAGES alone."""

        def pages(peer: Peer, transport: Any, port: Listener) -> Http1Connection:
            return Http1Connection(self.pages, peer, transport, port, limits=PAGE_LIMITS)

        def calls(peer: Peer, transport: Any, port: Listener) -> Http2Connection:
            return Http2Connection(self, peer, transport, port)

        await self.listener.listen(
            bound, tls, http1=pages if speaks != GRPC else None, http2=calls if speaks != PAGES else None
        )
