"""A listener in this process with any handler, and raw bytes to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import zttp

from kcore.http.http1 import DEFAULTS, Http1Connection, Limits
from kcore.http.http2 import Http2Connection
from kcore.http.listener import Listener
from kcore.http.message import Handler, Peer


class Port:
    """A listening port."""

    def __init__(self, listener: Listener, port: int) -> None:
        self.listener = listener
        self.port = port

    async def send(self, *parts: bytes, seconds: float = 5.0) -> bytes:
        """What comes back until the server ends the connection, or within that time."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        received = bytearray()
        try:
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.01)
            async with asyncio.timeout(seconds):
                while data := await reader.read(1 << 16):
                    received += data
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
        return bytes(received)


@contextlib.asynccontextmanager
async def open_port(
    handler: Handler, *, limits: Limits = DEFAULTS, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[Port]:
    """A port that the handler answers on, over both protocols."""
    listener = Listener(**options)
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)

    def http1(peer: Peer, transport: Any, port: Any) -> Http1Connection:
        return Http1Connection(handler, peer, transport, port, limits=limits)

    def http2(peer: Peer, transport: Any, port: Any) -> Http2Connection:
        return Http2Connection(handler, peer, transport, port, limits=limits)

    await listener.listen(bound, tls, http1=http1, http2=http2)
    try:
        yield Port(listener, bound.getsockname()[1])
    finally:
        await listener.stop(1.0)
        bound.close()


class Http2Client:
    """A client over one HTTP/2 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.engine = zttp.Connection(zttp.CLIENT, zttp.HTTP2)
        self.engine.initiate_connection()
        self.reader = reader
        self.writer = writer
        self.flush()

    @classmethod
    async def open(cls, port: int) -> Http2Client:
        """Connected without TLS."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def flush(self) -> None:
        """Everything queued is sent."""
        self.writer.write(self.engine.data_to_send())

    def request(self, method: bytes, target: bytes, body: bytes = b"") -> Any:
        """The stream of a new request."""
        headers = [(b"host", b"x")]
        stream = self.engine.send_request(method, target, b"2", headers)
        if body:
            stream.send_data(body)
        stream.end_message()
        self.flush()
        return stream

    async def events(self, seconds: float = 5.0) -> AsyncIterator[Any]:
        """What the server sends."""
        async with asyncio.timeout(seconds):
            while True:
                event = self.engine.next_event()
                if type(event) is zttp.NeedData:
                    self.flush()
                    data = await self.reader.read(1 << 16)
                    if not data:
                        return
                    self.engine.receive_data(data)
                    continue
                yield event

    async def answer(self, stream: Any) -> tuple[int, bytes]:
        """Status and body of that stream."""
        status, body = 0, b""
        async for event in self.events():
            if getattr(event, "stream_id", None) != stream.stream_id:
                continue
            if type(event) is zttp.Response:
                status = event.status_code
            elif type(event) is zttp.Data:
                body += event.data
            elif type(event) is zttp.EndOfMessage:
                return status, body
            elif type(event) is zttp.RstStream:
                return -event.error_code, body
        raise AssertionError("the connection ended before the answer")
