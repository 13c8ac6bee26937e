"""WebSocket and SPDY byte by byte: programs and forwarded ports at the other end of what kubectl sends."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import orjson
import pytest

from kcore.hollow.kubelet.programs import Answer, Echo, run
from kcore.hollow.kubelet.sessions import Asked
from kcore.hollow.kubelet.spdy import DICTIONARY, Opened, Received, Spdy, SpdyError
from kcore.hollow.kubelet.spdy_streams import Page, SpdyCommand, TunnelledForward
from kcore.hollow.kubelet.websocket import Broken, Channels, Socket, accept_key

POD = {"metadata": {"name": "p", "namespace": "d"}, "spec": {"containers": [{"name": "c"}]}}


class Out:
    """An outlet that keeps what it is given."""

    waiting_bytes = 0
    is_choked = False

    def __init__(self) -> None:
        self.data = b""
        self.is_over = False

    def write(self, data: bytes) -> None:
        self.data += data

    def end(self) -> None:
        self.is_over = True

    def abort(self) -> None:
        self.is_over = True


def masked(opcode: int, data: bytes, *, final: bool = True) -> bytes:
    """A client's frame."""
    mask, size = b"\x11\x22\x33\x44", len(data)
    head = bytes([(0x80 if final else 0) | opcode])
    head += bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + struct.pack(">H", size)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


def unframed(data: bytes) -> list[tuple[int, bytes]]:
    """What a server sent."""
    found = []
    while data:
        size, at = data[1], 2
        if size == 126:
            size, at = struct.unpack(">H", data[2:4])[0], 4
        found.append((data[0] & 15, data[at : at + size]))
        data = data[at + size :]
    return found


def test_the_key_is_rfc_6455s() -> None:
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_messages_come_in_any_pieces() -> None:
    sent = masked(2, b"\0first") + masked(2, b"a", final=False) + masked(9, b"p") + masked(0, b"b" * 300)
    socket, found = Socket(), []
    for index in range(len(sent)):
        found += socket.receive(sent[index : index + 1])
    assert found == [(2, b"\0first"), (9, b"p"), (2, b"a" + b"b" * 300)]


@pytest.mark.parametrize(
    "sent", [b"\x82\x01a", b"\xf2\x80", masked(0, b"x"), masked(9, b"x" * 126), masked(3, b"")]
)
def test_what_is_no_websocket_is_refused(sent: bytes) -> None:
    with pytest.raises(Broken):
        Socket().receive(sent)


def test_cat_over_a_websocket() -> None:
    out, channels = Out(), Channels(Echo())
    channels.start(out)
    channels.receive(masked(2, b"\0hello"))
    channels.receive(masked(2, b"\xff\0"))
    *said, status, close = unframed(out.data)
    assert said == [(2, b"\x01hello")]
    assert orjson.loads(status[1][1:]) == {"metadata": {}, "status": "Success"}
    assert (status[1][:1], close, out.is_over) == (b"\x03", (8, struct.pack(">H", 1000)), True)


def test_a_command_that_fails_over_spdy() -> None:
    program = run(["fails"], POD, "c", [Answer(("fails",), stderr="no\n", exit_code=3)])
    out, command = Out(), SpdyCommand(program, Asked(False, True, True, False))
    command.start(out)
    client = Client()
    for number, kind in ((1, "error"), (3, "stdout"), (5, "stderr")):
        command.receive(client.opened(number, {"streamtype": kind}))
    data = client.heard(out.data)
    assert data[5] == b"no\n"
    status = orjson.loads(data[1])
    assert (status["reason"], status["details"]["causes"]) == (
        "NonZeroExitCode", [{"reason": "ExitCode", "message": "3"}],
    )  # fmt: skip
    assert client.over == {1, 3, 5}


def test_a_forwarded_port_inside_a_websocket() -> None:
    def connect(port: int, data: Any, end: Any, fail: Any) -> Page:
        return Page(f"port {port}", data, end)

    out, forward, client = Out(), TunnelledForward(connect), Client()
    forward.start(out)
    for number, kind in ((1, "error"), (3, "data")):
        headers = {"streamtype": kind, "port": "80", "requestid": "0"}
        forward.receive(masked(2, client.opened(number, headers)))
    request = b"GET / HTTP/1.1\r\n\r\n"
    forward.receive(masked(2, struct.pack(">II", 3, len(request)) + request))
    data = client.heard(b"".join(payload for _, payload in unframed(out.data)))
    assert data[3].endswith(b"\r\n\r\nport 80")
    assert client.over == {1, 3}


class Client:
    """The other end of SPDY, as much as a test needs."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self.over: set[int] = set()

    def opened(self, stream: int, headers: dict[str, str]) -> bytes:
        plain = struct.pack(">I", len(headers))
        for text in (text for pair in headers.items() for text in pair):
            plain += struct.pack(">I", len(text)) + text.encode()
        block = self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        payload = struct.pack(">IIH", stream, 0, 0) + block
        return struct.pack(">HHI", 0x8003, 1, len(payload)) + payload

    def heard(self, data: bytes) -> dict[int, bytes]:
        """What each stream said."""
        found: dict[int, bytes] = {}
        while data:
            first, second = struct.unpack_from(">II", data)
            size = second & 0xFFFFFF
            if not first >> 31:
                found[first] = found.get(first, b"") + data[8 : 8 + size]
                if second >> 24 & 1:
                    self.over.add(first)
            data = data[8 + size :]
        return found


def test_spdy_in_any_pieces() -> None:
    client, spdy, found = Client(), Spdy(), []
    sent = client.opened(1, {"streamtype": "stdin"}) + struct.pack(">II", 1, 1 << 24 | 2) + b"ab"
    for index in range(len(sent)):
        found += spdy.receive(sent[index : index + 1])
    assert found == [Opened(1, {"streamtype": "stdin"}, False), Received(1, b"ab", True)]


@pytest.mark.parametrize("sent", [
    struct.pack(">HHI", 0x8002, 1, 0), struct.pack(">HHI", 0x8003, 1, 2) + b"ab", struct.pack(">II", 1, 0xFFFFFF),
    struct.pack(">HHI", 0x8003, 1, 14) + b"\0" * 10 + b"junk",
])  # fmt: skip
def test_what_is_no_spdy_is_refused(sent: bytes) -> None:
    with pytest.raises(SpdyError):
        Spdy().receive(sent)
