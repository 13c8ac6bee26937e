"""A proxy in front of each member's peer port, which knows who is connecting and can cut or stall single links."""

from __future__ import annotations

import asyncio
import contextlib

from kcore.store.transport import HELLO

CHUNK_BYTES = 65_536


class Links:
    """The links between members by (from id, to id). ``cut`` ones break, ``stalled`` ones deliver later."""

    def __init__(self) -> None:
        self.cut: set[tuple[int, int]] = set()
        self._open: asyncio.Event = asyncio.Event()
        self._open.set()
        self.stalled: set[tuple[int, int]] = set()
        self._writers: dict[tuple[int, int], set[asyncio.StreamWriter]] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, proxy_port: int, peer_port: int) -> None:
        """What connects to the one port reaches the other."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await self._connect(reader, writer, peer_port)
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # start_server would log the cancellation
            finally:
                self._tasks.discard(task)
                writer.transport.abort()

        self._servers.append(await asyncio.start_server(connected, "127.0.0.1", proxy_port))

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer_port: int
    ) -> None:
        hello = await reader.readexactly(HELLO.size)
        from_, to = HELLO.unpack(hello)[-2:]
        link = (from_, to)
        if link in self.cut:
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", peer_port)
        there_writer.write(hello)
        writers = self._writers.setdefault(link, set())
        writers |= {writer, there_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forward(reader, there_writer, link))
                group.create_task(self._forward(there_reader, writer, link))
        except* OSError:
            pass
        finally:
            writers -= {writer, there_writer}
            there_writer.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: tuple[int, int]
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            while link in self.stalled:
                self._open.clear()
                await self._open.wait()
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError

    def set(self, cut: set[tuple[int, int]], stalled: set[tuple[int, int]]) -> None:
        """These links are cut and stalled, all others well."""
        self.cut, self.stalled = cut, stalled
        for link in cut:
            for writer in list(self._writers.get(link, ())):
                writer.transport.abort()
        self._open.set()

    async def close(self) -> None:
        """Nothing is connected any more."""
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)
