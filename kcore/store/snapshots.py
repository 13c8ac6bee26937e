"""Snapshot files: streamed out, put in place all at once, checked to the last byte when read.

``member/snap/TERM-INDEX.snap``, two numbers of sixteen hexadecimal digits. Little endian:

    8    magic
    u32  format
    u32  length of the header
         header: JSON of SnapshotHeader
    u32  CRC32C of all the above
         any number of pieces: u32 length (not 0), u32 CRC, data
    u32  0, u32 CRC, u64 bytes of data in all, u64 number of pieces; then the file ends

Each CRC continues the one before it over the length (and, at the end, the sums) and the data: a piece that is missing,
doubled or out of order shows. A file is written under a temporary name, synced, renamed, and its directory synced.
"""

import contextlib
import re
import struct
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final

import msgspec

from kcore.store.files import Files
from kcore.store.refusals import CorruptData, NewerData
from kcore.store.segments import TEMPORARY, Identity, Position
from kcore_native.raft import ConfState, SnapshotMetadata
from kcore_native.wal import crc32c

FORMAT: Final = 1
PIECE_BYTES_MAX: Final = 16 * 1024 * 1024  # a longer chunk is written as several
HEADER_BYTES_MAX: Final = 1024 * 1024
SYNC_BYTES: Final = 32 * 1024 * 1024  # written between two syncs, so that none has to wait for all

MAGIC: Final = b"kcoresnp"
START: Final = struct.Struct("<8sII")
PIECE: Final = struct.Struct("<II")
SUMS: Final = struct.Struct("<QQ")
NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.snap")

ADVICE: Final = "the log does not reach back to an older snapshot; add the member anew or restore a snapshot"


class SnapshotHeader(msgspec.Struct, frozen=True):
    """What a snapshot is of."""

    cluster_id: int
    member_id: int
    index: int
    term: int
    voters: tuple[int, ...]
    learners: tuple[int, ...]
    voters_outgoing: tuple[int, ...]
    learners_next: tuple[int, ...]
    auto_leave: bool

    def metadata(self) -> SnapshotMetadata:
        """The same as Raft has it."""
        conf_state = ConfState(
            self.voters, self.learners, self.voters_outgoing, self.learners_next, self.auto_leave
        )
        return SnapshotMetadata(conf_state, self.index, self.term)


def snapshot_path(directory: str, position: Position) -> str:
    """Where the snapshot of that position lies; names sort by term, then index, as the snapshots followed one another."""
    return f"{directory}/{position.term:016x}-{position.index:016x}.snap"


def list_snapshots(files: Files, directory: str) -> list[Position]:
    """The snapshots in the directory, whole or damaged, the furthest last."""
    matches = (NAME.fullmatch(name) for name in files.list_directory(directory))
    return sorted(Position(int(match[2], 16), int(match[1], 16)) for match in matches if match)


class SnapshotWriter:
    """A snapshot being written: ``write`` its chunks, then ``commit``, or ``abort`` and nothing is left.

    As a context it aborts unless committed. An OSError of ``write`` or ``commit`` (a full disk) leaves the older
    snapshots as they were; abort then.
    """

    def __init__(
        self,
        files: Files,
        directory: str,
        identity: Identity,
        metadata: SnapshotMetadata,
        committed: Callable[[Position], None],
        *,
        serial: int,
        fsync: bool,
    ) -> None:
        self.position: Final = Position(metadata.index, metadata.term)
        self._files: Final = files
        self._directory: Final = directory
        self._committed: Final = committed
        self._fsync: Final = fsync
        self._path: Final = snapshot_path(directory, self.position)
        self._temporary: Final = f"{self._path}.{serial:x}{TEMPORARY}"
        conf = metadata.conf_state
        header = msgspec.json.encode(
            SnapshotHeader(
                *identity, metadata.index, metadata.term,
                conf.voters, conf.learners, conf.voters_outgoing, conf.learners_next, conf.auto_leave,
            )
        )  # fmt: skip
        start = START.pack(MAGIC, FORMAT, len(header)) + header
        self._crc = crc32c(start)
        self._offset = 0
        self._synced = 0
        self._bytes = 0
        self._pieces = 0
        self._open = True
        self._file: Final = files.open(self._temporary, create=True)
        try:
            self._put(start + self._crc.to_bytes(4, "little"))
        except OSError:
            self.abort()
            raise

    def write(self, chunk: bytes) -> None:
        """The chunk is part of the snapshot."""
        for start in range(0, len(chunk), PIECE_BYTES_MAX):
            piece = chunk[start : start + PIECE_BYTES_MAX]
            length = len(piece).to_bytes(4, "little")
            self._crc = crc32c(piece, crc32c(length, self._crc))
            self._put(length + self._crc.to_bytes(4, "little") + piece)
            self._bytes += len(piece)
            self._pieces += 1
        if self._fsync and self._offset - self._synced >= SYNC_BYTES:
            self._file.sync_data()
            self._synced = self._offset

    def commit(self) -> int:
        """The snapshot's file is in place and durable; it counts once the log names it. Answers its bytes."""
        sums = SUMS.pack(self._bytes, self._pieces)
        self._crc = crc32c(sums, crc32c(bytes(4), self._crc))
        self._put(PIECE.pack(0, self._crc) + sums)
        if self._fsync:
            self._file.sync()
        self._files.rename(self._temporary, self._path)
        self._open = False
        self._file.close()
        if self._fsync:
            self._files.sync_directory(self._directory)
        self._committed(self.position)
        return self._offset

    def abort(self) -> None:
        """Nothing of the snapshot is left; without effect after ``commit``."""
        if self._open:
            self._open = False
            self._file.close()
            with contextlib.suppress(OSError):
                self._files.remove(self._temporary)

    def __enter__(self) -> "SnapshotWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _put(self, data: bytes) -> None:
        self._file.write_at(self._offset, data)
        self._offset += len(data)


class SnapshotReader:
    """A snapshot's file, opened and its header read; iterating gives the chunks, each checked. CorruptData, NewerData.

    Invariant: a chunk that is given out is as it was written; the end is reached only if nothing is missing.
    """

    def __init__(self, files: Files, path: str) -> None:
        self.path: Final = path
        self._file: Final = files.open_to_read(path)
        try:
            self._size: Final = self._file.size()
            self._crc, self._offset, self.header = self._read_header()
        except BaseException:
            self._file.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        offset, crc, count, total = self._offset, self._crc, 0, 0
        while True:
            head = self._read(offset, PIECE.size)
            length, wanted = PIECE.unpack(head)
            if length > PIECE_BYTES_MAX:
                raise CorruptData(self.path, offset, f"a piece of {length} bytes", ADVICE)
            piece = self._read(offset + PIECE.size, length or SUMS.size)
            crc = crc32c(piece, crc32c(head[:4], crc))
            if crc != wanted:
                raise CorruptData(self.path, offset, "a piece's checksum is wrong", ADVICE)
            offset += PIECE.size + len(piece)
            if not length:
                break
            count += 1
            total += length
            yield piece
        if SUMS.unpack(piece) != (total, count) or offset != self._size:
            raise CorruptData(self.path, offset, "the end is not where it was", ADVICE)

    def check(self) -> None:
        """The file is whole; else CorruptData."""
        for _ in self:
            pass

    def close(self) -> None:
        """The file is closed."""
        self._file.close()

    def __enter__(self) -> "SnapshotReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, offset: int, length: int) -> bytes:
        data = self._file.read_at(offset, length)
        if len(data) != length:
            raise CorruptData(self.path, offset + len(data), "the file ends too early", ADVICE)
        return data

    def _read_header(self) -> tuple[int, int, SnapshotHeader]:
        start = self._read(0, START.size)
        magic, version, length = START.unpack(start)
        if magic != MAGIC:
            raise CorruptData(self.path, 0, "this is no snapshot", ADVICE)
        if length > HEADER_BYTES_MAX:
            raise CorruptData(self.path, 12, f"a header of {length} bytes", ADVICE)
        start += self._read(START.size, length)
        crc = crc32c(start)
        if self._read(len(start), 4) != crc.to_bytes(4, "little"):
            raise CorruptData(self.path, 0, "the header's checksum is wrong", ADVICE)
        if version > FORMAT:
            raise NewerData(self.path, version, FORMAT)
        try:
            header = msgspec.json.decode(start[START.size :], type=SnapshotHeader)
        except msgspec.MsgspecError as error:
            raise CorruptData(self.path, START.size, f"the header is no header: {error}", ADVICE) from None
        return crc, len(start) + 4, header
