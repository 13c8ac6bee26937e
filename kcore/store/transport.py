"""Packets between members over TCP or TLS, and snapshots as streams. Sockets live here; what packets mean does not.

One connection carries this member's packets to another, one the other's to this; a snapshot has one of its own. What
cannot be sent at once is dropped, and the loss reported: Raft sends again what matters. A connection begins with a
handshake that names the protocol, the cluster and both members; anything else on the port is closed with one log line.

Bytes::

    hello   magic 8 | version u16 | purpose u8 | cluster id u64 | from u64 | to u64      big endian
    answer  magic 8 | status u8 | length u16 | text
    frame   length u32 | CRC32 of the body u32 | body
"""

import asyncio
import logging
import random
import ssl
import struct
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from kcore.store import calls
from kcore.store.calls import Packet
from kcore.store.face import MemberInfo
from kcore.store.peer_tls import PeerTLS, check_peer_address
from kcore_native.raft import MSG_PROP, MSG_READ_INDEX, MSG_TRANSFER_LEADER, Message

log = logging.getLogger("kcore.store")

MAGIC: Final = b"kcorepr\n"
VERSION: Final = 1
HELLO: Final = struct.Struct(">8sHBQQQ")
ANSWER: Final = struct.Struct(">8sBH")
FRAME: Final = struct.Struct(">II")

PACKETS: Final = 1
SNAPSHOT: Final = 2
DESCRIBE: Final = 3

FRAME_BYTES_MAX: Final = 64 << 20  # a longer frame closes the connection
UNSENT_BYTES_MAX: Final = 64 << 20  # to one member; beyond it packets are dropped
HANDSHAKE_SECONDS_MAX: Final = 5.0
PING_SECONDS: Final = 1.0  # between pings; three without an answer close the connection
RECONNECT_SECONDS: Final = 0.1  # after a failed attempt, doubled up to the maximum
RECONNECT_SECONDS_MAX: Final = 1.0
SNAPSHOT_SECONDS_MAX: Final = 600.0  # for the receiver to say that a snapshot is on its disk
SNAPSHOT_BUFFER_BYTES: Final = 1 << 20  # unsent, before the next chunk is taken

# A follower passes these on to the leader under the name of who began them.
PASSED_ON: Final = frozenset({MSG_PROP, MSG_READ_INDEX, MSG_TRANSFER_LEADER})

PING: Final = b"p"
PONG: Final = b"q"


class SnapshotSink(Protocol):
    """Where a snapshot that arrives is written."""

    def write(self, chunk: bytes) -> None: ...
    async def commit(self) -> None: ...
    def abort(self) -> None: ...


class Owner(Protocol):
    """What a transport needs of its replica."""

    def packet_received(self, packet: Packet) -> None: ...
    def packets_end(self) -> None:
        """All that came at once was received: now it is time to act on it."""

    def peer_unreachable(self, member_id: int) -> None: ...
    def snapshot_begins(self, message: Message) -> SnapshotSink | str:
        """Where to write that snapshot, or why it is not wanted."""

    def is_removed(self, member_id: int) -> bool: ...
    def describe(self) -> "Description": ...


class Description(msgspec.Struct, array_like=True):
    """What a member tells one who wants to join: the cluster and its members."""

    cluster_id: int
    member_id: int
    members: list[tuple[int, str, tuple[str, ...], tuple[str, ...], bool]]

    def infos(self) -> list[MemberInfo]:
        """The members."""
        return [MemberInfo(*row) for row in self.members]


class Refused(ConnectionError):
    """The other side did not take the connection, or is none of ours."""


class RoundTrip(NamedTuple):
    """Seconds from a ping to its answer: the last, and the mean weighted to the recent."""

    last: float
    mean: float


def frame(body: bytes) -> bytes:
    """The body as a frame."""
    return FRAME.pack(len(body), zlib.crc32(body)) + body


PONG_FRAME: Final = frame(PONG)


async def read_frame(reader: asyncio.StreamReader, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
    """The next frame's body; raises ValueError for garbage, IncompleteReadError at the end."""
    length, checksum = FRAME.unpack(await reader.readexactly(FRAME.size))
    if length > bytes_max:
        raise ValueError(f"a frame of {length} bytes; at most {bytes_max} are taken")
    body = await reader.readexactly(length)
    if zlib.crc32(body) != checksum:
        raise ValueError("a frame whose checksum does not fit")
    return body


async def connect(
    url: str, tls: PeerTLS | None, purpose: int, cluster_id: int, from_: int, to: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that the other side has accepted; raises OSError (Refused where it says why not)."""
    parts = urlsplit(url)
    context: ssl.SSLContext | None = None
    if parts.scheme == "https":
        context = tls.client_context() if tls else ssl.create_default_context()
    async with asyncio.timeout(HANDSHAKE_SECONDS_MAX):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
        try:
            writer.write(HELLO.pack(MAGIC, VERSION, purpose, cluster_id, from_, to))
            magic, status, length = ANSWER.unpack(await reader.readexactly(ANSWER.size))
            if magic != MAGIC:
                raise Refused(f"{url} is no member of ours")
            if status:
                text = (await reader.readexactly(length)).decode(errors="replace")
                raise Refused(f"{url}: {text}")
        except asyncio.IncompleteReadError:
            writer.close()
            raise Refused(f"{url} closed the connection") from None
        except BaseException:
            writer.close()
            raise
    return reader, writer


async def describe(url: str, tls: PeerTLS | None) -> Description:
    """What the member at that peer URL says of its cluster; raises OSError, ValueError."""
    reader, writer = await connect(url, tls, DESCRIBE, 0, 0, 0)
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS_MAX):
            return msgspec.msgpack.decode(await read_frame(reader), type=Description)
    except asyncio.IncompleteReadError:
        raise Refused(f"{url} closed the connection") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"{url}: {error}") from None
    finally:
        writer.close()


class PacketReceiver(asyncio.Protocol):
    """The packets of one connection, as they come: a message between members must not wait for a task to wake."""

    def __init__(self, owner: Owner, from_: int, transport: asyncio.WriteTransport) -> None:
        self.owner = owner
        self.from_ = from_
        self.transport = transport
        self.received_bytes = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rest = bytearray()  # the beginning of a frame
        self._wanted = 0  # so many bytes of it must be there before it is looked at again

    def data_received(self, data: bytes) -> None:
        """Every whole frame in it is received; garbage ends the connection."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
            self._rest.clear()
        try:
            self._rest += self._receive(data)
        except ValueError as error:
            if not self.ended.done():
                self.ended.set_exception(error)
            self.transport.close()
        self.owner.packets_end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone."""
        if not self.ended.done():
            self.ended.set_result(None)

    def _receive(self, data: bytes) -> bytes:
        at, size, self._wanted = 0, len(data), FRAME.size
        while size - at >= FRAME.size and not self.ended.done():
            length, checksum = FRAME.unpack_from(data, at)
            if length > FRAME_BYTES_MAX:
                raise ValueError(f"a frame of {length} bytes; at most {FRAME_BYTES_MAX} are taken")
            end = at + FRAME.size + length
            if end > size:
                self._wanted = end - at
                break
            body = data[at + FRAME.size : end]
            if zlib.crc32(body) != checksum:
                raise ValueError("a frame whose checksum does not fit")
            self.received_bytes += length
            self._packet(body)
            at = end
        return data[at:]

    def _packet(self, body: bytes) -> None:
        if body == PING:
            if not self.transport.is_closing():
                self.transport.write(PONG_FRAME)
            return
        packet = calls.decode(body)
        if packet.from_ != self.from_ and not (isinstance(packet, Message) and packet.type in PASSED_ON):
            raise ValueError(f"a packet of member {packet.from_:x} on the connection of {self.from_:x}")
        self.owner.packet_received(packet)


class Peer:
    """The way to one other member: connects, reconnects, and counts."""

    def __init__(self, transport: "Transport", member_id: int, urls: tuple[str, ...]) -> None:
        self.transport = transport
        self.member_id = member_id
        self.urls = urls
        self.writer: asyncio.StreamWriter | None = None
        self.round_trip: RoundTrip | None = None
        self.sent_bytes = 0
        self._complained = ""
        self._task = asyncio.ensure_future(self._keep_connected())

    def send(self, packets: Iterable[Packet]) -> None:
        """The packets are on their way, or dropped and reported."""
        writer = self.writer
        if (
            writer is None
            or writer.transport.is_closing()
            or writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX
        ):
            self.transport.owner.peer_unreachable(self.member_id)
            return
        raw = b"".join([frame(calls.encode(packet)) for packet in packets])
        self.sent_bytes += len(raw)
        writer.write(raw)

    async def close(self) -> None:
        """The connection is closed and not opened again."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_connected(self) -> None:
        wait, attempt = RECONNECT_SECONDS, 0
        while True:
            url = self.urls[attempt % len(self.urls)]
            attempt += 1
            try:
                reader, writer = await self.transport.connect(url, PACKETS, self.member_id)
            except (OSError, TimeoutError, ValueError) as error:
                self._complain(url, error)
                await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # members must not knock in step
                wait = min(wait * 2, RECONNECT_SECONDS_MAX)
                continue
            wait = RECONNECT_SECONDS
            if self._complained:
                log.info("connected to member %x at %s", self.member_id, url)
                self._complained = ""
            self.writer = writer
            try:
                await self._ping(reader, writer)
            except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
                self._complain(url, error)
            finally:
                self.writer = None
                writer.close()
                self.transport.owner.peer_unreachable(self.member_id)
            await asyncio.sleep(0)

    async def _ping(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            began = time.monotonic()
            if writer.is_closing():
                raise ConnectionResetError("the connection was lost")  # uvloop raises RuntimeError from write
            writer.write(frame(PING))
            async with asyncio.timeout(3 * PING_SECONDS):
                if await read_frame(reader) != PONG:
                    raise ValueError("an answer that is no answer to a ping")
            took = time.monotonic() - began
            mean = took if self.round_trip is None else self.round_trip.mean * 0.9 + took * 0.1
            self.round_trip = RoundTrip(took, mean)
            await asyncio.sleep(PING_SECONDS)

    def _complain(self, url: str, error: BaseException) -> None:
        text = f"{type(error).__name__}: {error}"
        if text != self._complained:
            self._complained = text
            log.warning("no connection to member %x at %s: %s", self.member_id, url, error or text)


class Transport:
    """All connections of one member."""

    def __init__(self, owner: Owner, cluster_id: int, member_id: int, tls: PeerTLS | None = None) -> None:
        self.owner = owner
        self.cluster_id = cluster_id
        self.member_id = member_id
        self.tls = tls
        self.peers: dict[int, Peer] = {}
        self.refused = 0
        self._received_bytes = 0  # of connections that have ended
        self._receivers: set[PacketReceiver] = set()
        self._servers: list[asyncio.Server] = []
        self._incoming: set[asyncio.Task[None]] = set()
        self._snapshots: set[asyncio.Task[None]] = set()

    async def listen(self, urls: Iterable[str]) -> None:
        """Connections are taken at these URLs; raises OSError where an address cannot be had."""
        for url in urls:
            parts = urlsplit(url)
            context = None
            if parts.scheme == "https":
                if self.tls is None or not self.tls.cert_file:
                    raise ValueError(f"{url} needs a certificate: --peer-cert-file and --peer-key-file")
                context = self.tls.server_context()
            server = await asyncio.start_server(
                self._accept, parts.hostname, parts.port, ssl=context, backlog=128
            )
            self._servers.append(server)

    @property
    def ports(self) -> list[int]:
        """The ports listened at, in the order of the URLs (of use where port 0 was asked for)."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    def set_peers(self, urls: Mapping[int, tuple[str, ...]]) -> None:
        """Packets go to exactly these members, at these URLs."""
        for member_id in [i for i, peer in self.peers.items() if urls.get(i) != peer.urls]:
            peer = self.peers.pop(member_id)
            task = asyncio.ensure_future(peer.close())
            self._snapshots.add(task)
            task.add_done_callback(self._snapshots.discard)
        for member_id, listed in urls.items():
            if member_id not in self.peers and member_id != self.member_id and listed:
                self.peers[member_id] = Peer(self, member_id, listed)

    def send(self, packets: list[Packet]) -> None:
        """Each packet is on its way to its member, in order, or dropped and reported."""
        by_member: dict[int, list[Packet]] = {}
        for packet in packets:
            by_member.setdefault(packet.to, []).append(packet)
        for member_id, listed in by_member.items():
            if (peer := self.peers.get(member_id)) is not None:
                peer.send(listed)

    def send_snapshot(
        self,
        message: Message,
        chunks: Callable[[], AsyncIterator[bytes]],
        finished: Callable[[bool], None],
    ) -> None:
        """The snapshot streams to ``message.to``; ``finished(failed)`` is called once."""
        peer = self.peers.get(message.to)
        if peer is None:
            finished(True)
            return

        async def stream() -> None:
            failed = True
            try:
                await self._stream_snapshot(peer.urls, message, chunks)
                failed = False
            except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
                log.warning("snapshot to member %x: %s", message.to, error or type(error).__name__)
            finally:
                finished(failed)

        task = asyncio.ensure_future(stream())
        self._snapshots.add(task)
        task.add_done_callback(self._snapshots.discard)

    async def connect(
        self, url: str, purpose: int, to: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As the module's ``connect``, from this member."""
        return await connect(url, self.tls, purpose, self.cluster_id, self.member_id, to)

    async def close(self) -> None:
        """No connection is open, none is taken."""
        for server in self._servers:
            server.close()
        for peer in list(self.peers.values()):
            await peer.close()
        self.peers.clear()
        for task in (*self._incoming, *self._snapshots):
            task.cancel()
        await asyncio.gather(*self._incoming, *self._snapshots, return_exceptions=True)
        self._servers.clear()

    async def _stream_snapshot(
        self, urls: tuple[str, ...], message: Message, chunks: Callable[[], AsyncIterator[bytes]]
    ) -> None:
        reader, writer = await self.connect(urls[0], SNAPSHOT, message.to)
        try:
            writer.write(frame(message.encode()))
            if (refusal := (await read_frame(reader)).decode(errors="replace")) != "go":
                raise Refused(refusal)
            writer.transport.set_write_buffer_limits(SNAPSHOT_BUFFER_BYTES)
            async for chunk in chunks():
                writer.write(frame(chunk))
                await writer.drain()
            writer.write(frame(b""))
            async with asyncio.timeout(SNAPSHOT_SECONDS_MAX):
                if (answer := await read_frame(reader)) != b"kept":
                    raise Refused(answer.decode(errors="replace"))
        finally:
            writer.close()

    # -- connections of others -----------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._incoming.add(task)
        address = writer.get_extra_info("peername") or ("?", 0)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS_MAX):
                hello = await self._welcome(reader, writer)
            if hello is not None:
                purpose, from_ = hello
                serve: Awaitable[None]
                if purpose == PACKETS:
                    serve = self._receive_packets(reader, writer, from_)
                elif purpose == SNAPSHOT:
                    serve = self._receive_snapshot(reader, writer, from_)
                else:
                    serve = self._describe(writer)
                await serve
        except (ValueError, TimeoutError) as error:
            self.refused += 1
            log.warning("closed a peer connection from %s:%s: %s", *address[:2], error or "it said nothing")
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side went away; its own log says why
        except asyncio.CancelledError:
            pass  # the task ends here anyway, and asyncio.start_server would log the cancellation
        finally:
            self._incoming.discard(task)
            writer.close()

    async def _welcome(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[int, int] | None:
        """Purpose and sender of a connection of ours; raises ValueError for any other."""
        if writer.get_extra_info("ssl_object") is not None:
            await check_peer_address(writer, self.tls.allowed_cn if self.tls else "")
        magic = await reader.readexactly(len(MAGIC))
        if magic != MAGIC:
            raise ValueError("it does not speak the members' protocol")
        rest = await reader.readexactly(HELLO.size - len(MAGIC))
        _, version, purpose, cluster_id, from_, to = HELLO.unpack(magic + rest)
        why = ""
        if version != VERSION:
            why = f"protocol version {version}; this member speaks {VERSION}"
        elif purpose not in (PACKETS, SNAPSHOT, DESCRIBE):
            why = f"unknown purpose {purpose}"
        elif purpose != DESCRIBE:
            if cluster_id != self.cluster_id:
                why = f"cluster ID mismatch: it is of {cluster_id:x}, this member of {self.cluster_id:x}"
            elif to != self.member_id:
                why = f"it looks for member {to:x}, this is {self.member_id:x}"
            elif self.owner.is_removed(from_):
                why = f"member {from_:x} was removed from the cluster"
        text = why.encode()
        writer.write(ANSWER.pack(MAGIC, 1 if why else 0, len(text)) + text)
        if why:
            await writer.drain()
            raise ValueError(why)
        return purpose, from_

    async def _receive_packets(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, from_: int
    ) -> None:
        receiver = PacketReceiver(self.owner, from_, writer.transport)
        writer.transport.set_protocol(receiver)
        reader.feed_eof()
        if early := await reader.read():  # what came right behind the hello
            receiver.data_received(early)
        self._receivers.add(receiver)
        try:
            await receiver.ended
        finally:
            self._receivers.discard(receiver)
            self._received_bytes += receiver.received_bytes

    @property
    def received_bytes(self) -> int:
        """Of all packets so far."""
        return self._received_bytes + sum(receiver.received_bytes for receiver in self._receivers)

    async def _receive_snapshot(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, from_: int
    ) -> None:
        message = Message.decode(await read_frame(reader))
        if message.snapshot is None or message.from_ != from_:
            raise ValueError("a snapshot without its message")
        sink = self.owner.snapshot_begins(message)
        if isinstance(sink, str):
            writer.write(frame(sink.encode()))
            await writer.drain()
            return
        kept = False
        try:
            writer.write(frame(b"go"))
            while chunk := await read_frame(reader):
                sink.write(chunk)
            await sink.commit()
            kept = True
            writer.write(frame(b"kept"))
            await writer.drain()
        finally:
            if not kept:
                sink.abort()

    async def _describe(self, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(msgspec.msgpack.encode(self.owner.describe())))
        await writer.drain()
