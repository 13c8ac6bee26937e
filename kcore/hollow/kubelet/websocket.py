"""WebSocket, the server's side: frames in, messages out. RFC 6455; no extensions.

``Socket`` is sans-I/O. ``Channels`` carries exec and attach in it: a message is one byte for the stream, then data.
Source of the protocol: apimachinery pkg/util/remotecommand/websocket.go (v4 and v5.channel.k8s.io).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from typing import Any, Final

from kcore.hollow.kubelet.sessions import ERROR, STDIN, Program, status_bytes
from kcore.http.message import Outlet

MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUED: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
MESSAGE_BYTES_MAX: Final = 16 << 20
PIECE_BYTES: Final = 32 << 10
PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
CLOSED_STREAM: Final = 255  # v5: the byte behind it names a stream that has ended
NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
TOO_BIG: Final = 1009


def accept_key(key: bytes) -> bytes:
    """What the server answers to the client's Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key + MAGIC, usedforsecurity=False).digest())


def frame(opcode: int, data: bytes) -> bytes:
    """One whole message, not masked, as a server sends it."""
    size = len(data)
    if size < 126:
        head = struct.pack(">BB", 0x80 | opcode, size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
    return head + data


class Broken(Exception):
    """The client does not speak WebSocket; ``code`` says how."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class Socket:
    """Bytes become messages: (opcode, data) of text, binary, close and ping; what comes in pieces is put together."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._message = bytearray()
        self._opcode = 0

    def receive(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that are whole now; Broken where they are none."""
        self._received += data
        found = []
        while (made := self._frame()) is not None:
            final, opcode, payload = made
            if opcode >= CLOSE:
                if not final or len(payload) > 125:
                    raise Broken(PROTOCOL_ERROR)
                found.append((opcode, payload))
                continue
            if (opcode == CONTINUED) != bool(self._opcode):
                raise Broken(PROTOCOL_ERROR)
            self._opcode = opcode or self._opcode
            self._message += payload
            if len(self._message) > MESSAGE_BYTES_MAX:
                raise Broken(TOO_BIG)
            if final:
                found.append((self._opcode, bytes(self._message)))
                self._message.clear()
                self._opcode = 0
        return found

    def _frame(self) -> tuple[bool, int, bytes] | None:
        data = self._received
        if len(data) < 2:
            return None
        first, second = data[0], data[1]
        if (
            first & 0x70
            or not second & 0x80
            or first & 0x0F not in (CONTINUED, TEXT, BINARY, CLOSE, PING, PONG)
        ):
            raise Broken(PROTOCOL_ERROR)
        size, at = second & 0x7F, 2
        if size > 125:
            width = 2 if size == 126 else 8
            if len(data) < at + width:
                return None
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        if size > MESSAGE_BYTES_MAX:
            raise Broken(TOO_BIG)
        if len(data) < at + 4 + size:
            return None
        mask, payload = bytes(data[at : at + 4]), bytes(data[at + 4 : at + 4 + size])
        del data[: at + 4 + size]
        key = (mask * (size // 4 + 1))[:size]
        plain = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
        return bool(first & 0x80), first & 0x0F, plain


class Carried:
    """A tunnel of the HTTP connection in which WebSocket is spoken; ``message`` is told of each that comes."""

    def __init__(self) -> None:
        self._socket = Socket()
        self._outlet: Outlet | None = None

    def start(self, outlet: Outlet) -> None:
        """The connection is ours."""
        self._outlet = outlet
        self.opened()

    def resume(self) -> None:
        """The client takes more: nothing waits, what is said is short."""

    def stop(self) -> None:
        """The client is gone."""
        self._outlet = None
        self.gone()

    def receive(self, data: bytes) -> None:
        """What the client sends; nothing at its end."""
        if not data:
            self.stop()
            return
        try:
            messages = self._socket.receive(data)
        except Broken as error:
            self.close(error.code)
            return
        for opcode, payload in messages:
            if opcode == PING:
                self.send(payload, PONG)
            elif opcode == CLOSE:
                self.close(NORMAL)
            elif opcode in (TEXT, BINARY):
                self.message(payload)

    def send(self, data: bytes, opcode: int = BINARY) -> None:
        """One message."""
        if self._outlet is not None:
            self._outlet.write(frame(opcode, data))

    def close(self, code: int = NORMAL) -> None:
        """The last that is said."""
        outlet, self._outlet = self._outlet, None
        if outlet is not None:
            outlet.write(frame(CLOSE, struct.pack(">H", code)))
            outlet.end()
            self.gone()

    def opened(self) -> None:
        """For those that carry something."""

    def message(self, data: bytes) -> None:
        """The same."""

    def gone(self) -> None:
        """The same."""


class Channels(Carried):
    """A program at one end, kubectl at the other; ``start_seconds`` is how long the program waits for it."""

    def __init__(self, program: Program, start_seconds: float = 0.0) -> None:
        super().__init__()
        self._program = program
        self._start_seconds = start_seconds
        self._timer: asyncio.TimerHandle | None = None

    def opened(self) -> None:
        """All streams are there from the beginning."""
        if self._start_seconds:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._start_seconds, self._program.start, self)
        else:
            self._program.start(self)

    def message(self, data: bytes) -> None:
        """Input, its end, or a change of the terminal's size."""
        if not data:
            return
        if data[0] == STDIN and len(data) > 1:
            self._program.receive(data[1:])
        elif data[0] == CLOSED_STREAM and data[1:2] == bytes((STDIN,)):
            self._program.end_of_input()

    def gone(self) -> None:
        """Nobody listens any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._program.stop()

    def write(self, stream: int, data: bytes) -> None:
        """Output of the program."""
        for at in range(0, len(data), PIECE_BYTES):
            self.send(bytes((stream,)) + data[at : at + PIECE_BYTES])

    def end(self, status: dict[str, Any]) -> None:
        """The program has ended so."""
        self.send(bytes((ERROR,)) + status_bytes(status))
        self.close()
