"""Pages over HTTP/1.1 on the client port: ``/health``, ``/metrics`` and the like. zttp does the HTTP.

A page is a coroutine from a request to an answer. Bodies of requests are bounded by BODY_BYTES_MAX; connections are
kept alive; what is not HTTP is answered with 400 and closed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import zttp

from kcore.store.etcd.rpc import Peer

BODY_BYTES_MAX: Final = 2 << 20
LINGER_SECONDS: Final = 0.5  # between the last words and the end of a connection

TEXT: Final = b"text/plain; charset=utf-8"
JSON: Final = b"application/json"


class PageRequest(NamedTuple):
    """``query`` is the raw query string; ``token`` the Authorization header, empty where there is none."""

    method: bytes
    path: bytes
    query: bytes
    body: bytes
    token: bytes
    peer: Peer


class PageAnswer(NamedTuple):
    """What goes back."""

    status: int
    kind: bytes
    body: bytes


Pages = Callable[[PageRequest], Awaitable[PageAnswer]]


class Http1Connection:
    """The pages' side of one connection; requests are answered one after the other."""

    def __init__(
        self, pages: Pages, peer: Peer, transport: asyncio.Transport, *, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.engine = zttp.Connection(zttp.SERVER, zttp.HTTP1)
        self.pages = pages
        self.peer = peer
        self.transport = transport
        self.loop = loop
        self.head: zttp.Request | None = None
        self.body = bytearray()
        self.task: asyncio.Task[None] | None = None
        self.deaf = False  # the last words are said
        self.heard = True  # since the last ``ping``

    def receive(self, data: bytes) -> None:
        """Takes bytes of the client; closes the connection where they are not HTTP."""
        self.heard = True
        if self.deaf:
            return
        try:
            self.engine.receive_data(data)
            self._advance()
        except zttp.RemoteProtocolError as error:
            self._last_words(f"400 Bad Request: {error}\n")

    def _advance(self) -> None:
        """Reads on until a request is whole; the next one waits until it is answered."""
        while self.task is None:
            event = self.engine.next_event()
            kind = type(event)
            if kind is zttp.Request:
                self.head = event
                self.body.clear()
                if event.expect_continue:
                    self.engine.send_informational(100)
                    self.transport.write(self.engine.data_to_send())
                if event.end_stream:
                    self._whole()
            elif kind is zttp.Data:
                self.body += event.data
                if len(self.body) > BODY_BYTES_MAX:
                    self._last_words("413 Content Too Large\n")
                    return
            elif kind is zttp.EndOfMessage:
                self._whole()
            else:
                return

    def _whole(self) -> None:
        head = self.head
        assert head is not None
        self.head = None
        token = b""
        for name, value in head.headers:
            if name.lower() == b"authorization":
                token = value
        request = PageRequest(head.method, head.path, head.query, bytes(self.body), token, self.peer)
        self.task = self.loop.create_task(self._serve(request))

    async def _serve(self, request: PageRequest) -> None:
        answer = await self.pages(request)
        if self.transport.is_closing():
            return
        headers = [
            (b"content-type", answer.kind),
            (b"content-length", b"%d" % len(answer.body)),
            (b"x-content-type-options", b"nosniff"),
        ]
        self.engine.send_response(answer.status, headers)
        if request.method != b"HEAD" and answer.body:
            self.engine.send_data(answer.body)
        self.engine.end_message()
        self.transport.write(self.engine.data_to_send())
        if self.engine.should_close():
            if not self.transport.is_closing():
                self.transport.close()
            return
        self.engine.start_next_cycle()
        self.task = None
        self._resume()

    def _resume(self) -> None:
        try:
            self._advance()
        except zttp.RemoteProtocolError as error:
            self._last_words(f"400 Bad Request: {error}\n")

    def _last_words(self, text: str) -> None:
        reason = text.split(":", maxsplit=1)[0].strip()
        body = text.encode()
        self.transport.write(
            b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
            % (reason.encode(), TEXT, len(body), body)
        )
        # closed at once, what the client still sends would reset the connection before it has read the answer
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def ping(self) -> bool:
        """False where nothing was asked since the last time and nothing is being answered."""
        heard, self.heard = self.heard, False
        return heard or self.task is not None

    def disconnected(self) -> None:
        """Cancels the page that is being made."""
        if self.task is not None:
            self.task.cancel()
