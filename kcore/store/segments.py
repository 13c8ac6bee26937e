"""The log's segments: names, first records, reading, and the open end that is written to.

A log is files ``SEQUENCE-INDEX.wal`` (two numbers of sixteen hexadecimal digits): INDEX is the first entry's that the
segment may hold. Each begins with a METADATA record, then the hard state and the snapshots known when it was begun, so
that older segments can go. A segment becomes visible whole: written under another name, synced, renamed. A new one is
begun only after all of the old one is synced; a torn end is therefore possible in the last segment alone.
"""

import contextlib
import logging
import os
import re
import struct
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from errno import EIO
from typing import Any, Final, NamedTuple

from kcore.store.files import File, Files, is_full
from kcore.store.refusals import CorruptData, NewerData
from kcore_native.raft import Entry, HardState
from kcore_native.wal import (
    CORRUPT,
    KNOWN_SNAPSHOT,
    METADATA,
    SNAPSHOT,
    STATE,
    TORN,
    Encoder,
    Scan,
    scan,
)

log = logging.getLogger("kcore.store.disk")

FORMAT: Final = 1
SEGMENT_BYTES: Final = (
    64 * 1024 * 1024
)  # preallocated; a batch that begins before this offset may end after it
EXTENSION_BYTES: Final = 1024 * 1024  # asked for at a time where a segment outgrows what is allocated
CUT_RETRY_BYTES: Final = (
    1024 * 1024
)  # written to an overlong segment before space for a new one is asked for again

MAGIC: Final = b"kcorewal"
HEAD: Final = struct.Struct("<8sIIQQQQ")  # magic, format, salt, sequence, first index, cluster id, member id
HARD_STATE: Final = struct.Struct("<QQQ")  # term, vote, commit
POSITION: Final = struct.Struct("<QQ")  # index, term of a snapshot
NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")
TEMPORARY: Final = ".tmp"


class Identity(NamedTuple):
    """Whose data it is."""

    cluster_id: int
    member_id: int


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """The entry up to which a snapshot reaches."""

    index: int
    term: int


@dataclass(slots=True)
class Segment:
    """One file of the log, by name."""

    path: str
    sequence: int
    first_index: int


@dataclass(slots=True)
class SegmentContent:
    """What was read of a segment; ``data`` is kept of the last one only, to save what is torn off."""

    segment: Segment
    identity: Identity
    salt: int
    scan: Scan
    data: bytes


def segment_name(sequence: int, first_index: int) -> str:
    """The file's name; names sort as their sequence numbers."""
    return f"{sequence:016x}-{first_index:016x}.wal"


def list_segments(files: Files, directory: str) -> list[Segment]:
    """The segments of the directory in order of sequence."""
    matches = filter(None, map(NAME.fullmatch, files.list_directory(directory)))
    segments = [Segment(f"{directory}/{match[0]}", int(match[1], 16), int(match[2], 16)) for match in matches]
    return sorted(segments, key=lambda segment: segment.sequence)


def connected(segments: Sequence[Segment]) -> list[Segment]:
    """The segments at the end whose sequence numbers follow one another; what is before a gap was once released."""
    start = len(segments) - 1
    while start > 0 and segments[start - 1].sequence == segments[start].sequence - 1:
        start -= 1
    return list(segments[start:])


def _read_head(segment: Segment, data: bytes, previous: int | None) -> tuple[Scan, Identity, int]:
    """The scan of the first record, whose it is, and the salt of the others; CorruptData, NewerData."""
    head = scan(data, 0, previous=previous, records_max=1)
    if not head.records or head.records[0][0] != METADATA:
        raise CorruptData(segment.path, 0, head.why or "the first record does not say what the file is")
    payload = head.records[0][2]
    if payload[:8] != MAGIC or len(payload) < 12:
        raise CorruptData(segment.path, 0, "this is no segment of a log")
    version = int.from_bytes(payload[8:12], "little")
    if version > FORMAT:
        raise NewerData(segment.path, version, FORMAT)
    if len(payload) != HEAD.size:
        raise CorruptData(segment.path, 0, "the first record has a wrong length")
    _, _, salt, sequence, first_index, cluster_id, member_id = HEAD.unpack(payload)
    if (sequence, first_index) != (segment.sequence, segment.first_index):
        raise CorruptData(segment.path, 0, f"it was written as {segment_name(sequence, first_index)}")
    return head, Identity(cluster_id, member_id), salt


def read_segment(files: Files, segment: Segment, previous: int | None, *, last: bool) -> SegmentContent:
    """The segment's records; CorruptData where they are damaged, a torn end being allowed in the last segment."""
    file = files.open_to_read(segment.path)
    try:
        data = file.read_at(0, file.size())
    finally:
        file.close()
    head, identity, salt = _read_head(segment, data, previous)
    found = scan(data, salt, head.end, head.previous, Entry, last)
    if found.verdict == CORRUPT:
        raise CorruptData(segment.path, found.end, found.why)
    return SegmentContent(segment, identity, salt, found, data if last else b"")


def save_torn(files: Files, content: SegmentContent) -> str:
    """The torn end of the segment is kept beside it; answers the path, or that it could not be kept."""
    path = f"{content.segment.path}.{content.scan.end:x}.broken"
    try:
        file = files.open(path, create=True)
        try:
            file.write_at(0, content.data[content.scan.end : content.scan.last])
            file.sync()
        finally:
            file.close()
    except OSError as error:
        with contextlib.suppress(OSError):
            files.remove(path)
        return f"not kept: {error.strerror}"
    return f"kept in {path}"


class Log:
    """The open log: appended to at the end of its last segment, synced, cut into segments, released from the front.

    ``append`` may run while ``sync`` does in another thread: the sync covers what was appended before it began.

    Invariant: ``_durable <= _encoder.offset``, and every byte of the earlier segments is durable.
    Invariant: a failed ``append`` leaves the segment as it was. After a failed sync nothing is written any more: the
    system may have dropped what it could not write, and would not say so again.
    """

    def __init__(
        self,
        files: Files,
        directory: str,
        identity: Identity,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        fsync: bool = True,
    ) -> None:
        self._files: Final = files
        self._directory: Final = directory
        self._identity: Final = identity
        self._segment_bytes: Final = segment_bytes
        self._fsync: Final = fsync
        self._segments: list[Segment] = []
        self._tail: File
        self._encoder: Encoder
        self._allocated = 0
        self._cut_at = segment_bytes
        self._durable = 0
        self._syncing = 0  # what the sync that is under way covers
        self._vouched = 0  # what the last DURABLE record says
        self._last_index = 0
        self._hard_state = HardState()
        # those that count, each with the offset after its record in this segment, or 0
        self._snapshots: list[tuple[Position, int]] = []
        self._offered: list[Position] = []  # beyond the commit index: Raft has not accepted them yet
        self._failure = ""
        self._append_mutex: Final = threading.Lock()
        self._sync_mutex: Final = threading.Lock()  # taken before the other one

    def create(self, first_index: int = 1) -> None:
        """The log exists, empty and durable."""
        made = self._new_segment(0, first_index, 0)
        if self._fsync:
            self._files.sync_directory(self._directory)
        self._begin(*made)

    def resume(
        self,
        contents: Sequence[SegmentContent],
        last_index: int,
        hard_state: HardState,
        snapshots: Iterable[Position],
    ) -> None:
        """The log goes on where the segments that were read end; a torn end is taken off; all is durable."""
        content = contents[-1]
        found = content.scan
        self._segments = [each.segment for each in contents]
        self._last_index = last_index
        self._hard_state = hard_state
        self._snapshots = [(position, 0) for position in snapshots]
        tail = self._files.open(content.segment.path)
        try:
            if found.verdict == TORN:
                kept = save_torn(self._files, content)
                log.warning(
                    "%s: torn off at byte %d of %d, as a crash leaves it: %s (%s)",
                    content.segment.path, found.end, found.last, found.why, kept,
                )  # fmt: skip
                tail.truncate(found.end)
            if self._fsync:
                tail.sync()  # what was read may be in memory only, and counts as durable from now on
            self._allocated = tail.size()
            if self._allocated < self._segment_bytes:
                try:
                    tail.allocate(self._segment_bytes)
                    self._allocated = self._segment_bytes
                except OSError as error:
                    if not is_full(error):
                        raise
                    log.warning("%s: not preallocated: %s", content.segment.path, error.strerror)
        except OSError:
            tail.close()
            raise
        self._tail = tail
        self._encoder = Encoder(content.salt, found.end, found.previous)
        self._durable = found.end if self._fsync else 0

    @property
    def first_index(self) -> int:
        """The first index that the log may still hold."""
        return self._segments[0].first_index

    @property
    def awaits_sync(self) -> bool:
        """True where a snapshot counts but that is not durable yet."""
        with self._append_mutex:
            return self._fsync and any(end > self._durable for _, end in self._snapshots)

    @property
    def snapshots(self) -> list[Position]:
        """The snapshots that the log says were put in place, and does so durably."""
        with self._append_mutex:
            return [position for position, end in self._snapshots if end <= self._durable or not self._fsync]

    def append(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """The records are written, those of snapshots that now count first, then entries, then hard state."""
        with self._append_mutex:
            commit = hard_state.commit if hard_state is not None else self._hard_state.commit
            counting = [position for position in self._offered if position.index <= commit]
            self._append(hard_state, entries, counting)

    def offer_snapshot(self, position: Position) -> None:
        """The snapshot's file is in place; a record says so as soon as the hard state's commit index reaches it.

        Until then it may be one that a leader sent and Raft has not looked at, or will refuse.
        """
        with self._append_mutex:
            if position in self._offered or any(position == known for known, _ in self._snapshots):
                return
            self._offered.append(position)
            if position.index <= self._hard_state.commit:
                try:
                    self._append(None, (), [position])
                except OSError as error:
                    if not is_full(error):
                        raise
                    log.warning("%s: a snapshot is noted later: %s", self._segments[-1].path, error.strerror)

    def _append(
        self, hard_state: HardState | None, entries: Sequence[Entry], counting: Sequence[Position]
    ) -> None:
        self._refuse_after_failure()
        encoder = self._encoder
        offset, previous = encoder.offset, encoder.previous
        try:
            if self._durable > self._vouched:
                encoder.add_durable(self._durable)
            for position in counting:
                encoder.add(SNAPSHOT, POSITION.pack(position.index, position.term))
            if entries:
                encoder.add_entries(entries)
            if hard_state is not None:
                encoder.add(STATE, _packed(hard_state))
            if data := encoder.take():
                self._write(offset, data)
        except BaseException:
            encoder.rewind(offset, previous)
            raise
        self._vouched = self._durable
        for position in counting:
            self._offered.remove(position)
            self._snapshots.append((position, encoder.offset))
            self._last_index = max(self._last_index, position.index)
        if entries:
            self._last_index = entries[-1].index
        if hard_state is not None:
            self._hard_state = hard_state

    def sync(self) -> None:
        """All that was appended before this call is durable; where the segment is full, a new one is begun."""
        with self._sync_mutex:
            with self._append_mutex:
                self._refuse_after_failure()
                end = self._encoder.offset
            try:
                if self._fsync and end > self._durable:
                    self._tail.sync_data()
            except OSError as error:
                self._failure = f"a sync failed: {error.strerror or error}"
                raise
            with self._append_mutex:
                if self._fsync:
                    self._durable = max(self._durable, end)
                if self._encoder.offset >= self._cut_at:
                    self._cut()

    def begin_sync(self) -> int:
        """The descriptor whose fdatasync is all that ``sync`` would do now; ``end_sync`` must follow. Else -1."""
        if not self._sync_mutex.acquire(blocking=False):
            return -1
        with self._append_mutex:
            if self._fsync and not self._failure and self._encoder.offset < self._cut_at:
                descriptor: int = getattr(self._tail, "descriptor", -1)
                if descriptor >= 0:
                    self._syncing = self._encoder.offset
                    return descriptor
        self._sync_mutex.release()
        return -1

    def end_sync(self, failure: int) -> None:
        """What was appended before ``begin_sync`` is durable; raises OSError where fdatasync said ``failure``."""
        try:
            with self._append_mutex:
                if failure:
                    self._failure = f"a sync failed: {os.strerror(failure)}"
                    raise OSError(failure, os.strerror(failure), self._segments[-1].path)
                self._durable = max(self._durable, self._syncing)
        finally:
            self._sync_mutex.release()

    def release(self, index: int) -> int:
        """Segments that hold nothing beyond the index are removed, oldest first; answers how many."""
        with self._sync_mutex:
            removed = 0
            while len(self._segments) > 1 and self._segments[1].first_index <= index + 1:
                self._files.remove(self._segments[0].path)
                del self._segments[0]
                removed += 1
            if removed:
                self._files.sync_directory(self._directory)
            return removed

    def forget_snapshot(self, position: Position) -> None:
        """The snapshot's file is gone; the next segment does not name it."""
        with self._append_mutex:
            self._snapshots = [known for known in self._snapshots if known[0] != position]

    def close(self) -> None:
        """All is durable and the log says so; the file is closed. A log that failed is only closed."""
        try:
            if not self._failure and self._fsync:
                self.sync()
                self.append(None, ())  # a DURABLE record
                self.sync()
        except OSError as error:
            log.warning(
                "%s: closed without a last sync: %s", self._segments[-1].path, error.strerror or error
            )
        with self._sync_mutex, self._append_mutex:
            self._failure = self._failure or "it is closed"
            self._tail.close()

    def _refuse_after_failure(self) -> None:
        if self._failure:
            raise OSError(EIO, f"the log takes no more: {self._failure}", self._segments[-1].path)

    def _write(self, offset: int, data: bytes) -> None:
        """The bytes are written, or the file is as it was."""
        end = offset + len(data)
        if end > self._allocated:
            self._extend(end)
        try:
            self._tail.write_at(offset, data)
        except OSError:
            try:
                self._tail.truncate(offset)
                self._allocated = offset
                if self._fsync:
                    self._tail.sync()  # else a crash could bring back a part of what was refused
            except OSError as error:
                self._failure = f"a failed write could not be undone: {error.strerror or error}"
            raise

    def _extend(self, end: int) -> None:
        rounded = -(-end // EXTENSION_BYTES) * EXTENSION_BYTES
        try:
            self._tail.allocate(rounded)
            self._allocated = rounded
        except OSError as error:
            if not is_full(error):
                raise
            self._tail.allocate(end)
            self._allocated = end

    def _begin(self, segment: Segment, tail: File, encoder: Encoder) -> None:
        self._segments.append(segment)
        self._tail = tail
        self._encoder = encoder
        self._allocated = max(self._segment_bytes, encoder.offset)
        self._cut_at = self._segment_bytes
        self._durable = encoder.offset if self._fsync else 0
        self._vouched = self._durable
        self._snapshots = [(position, 0) for position, _ in self._snapshots]

    def _new_segment(self, sequence: int, first_index: int, previous: int) -> tuple[Segment, File, Encoder]:
        """A segment with its first records, durable but for its name; on OSError nothing of it is left."""
        path = f"{self._directory}/{segment_name(sequence, first_index)}"
        salt = int.from_bytes(self._files.entropy(4), "little")
        plain = Encoder(0, 0, previous)
        plain.add(METADATA, HEAD.pack(MAGIC, FORMAT, salt, sequence, first_index, *self._identity))
        salted = Encoder(salt, plain.offset, plain.previous)
        if self._hard_state:
            salted.add(STATE, _packed(self._hard_state))
        for position, _ in self._snapshots:
            salted.add(KNOWN_SNAPSHOT, POSITION.pack(position.index, position.term))
        file = self._files.open(path + TEMPORARY, create=True)
        try:
            file.allocate(self._segment_bytes)
            file.write_at(0, plain.take() + salted.take())
            if self._fsync:
                file.sync()
            self._files.rename(path + TEMPORARY, path)
        except OSError:
            file.close()
            with contextlib.suppress(OSError):
                self._files.remove(path + TEMPORARY)
            raise
        return Segment(path, sequence, first_index), file, salted

    def _cut(self) -> None:
        """A new segment is the last one; where the disk has no room for it, the old one goes on growing."""
        encoder = self._encoder
        try:
            if self._fsync and encoder.offset > self._durable:
                self._tail.sync_data()
                self._durable = encoder.offset
        except OSError as error:
            self._failure = f"a sync failed: {error.strerror or error}"
            raise
        sequence = self._segments[-1].sequence + 1
        try:
            made = self._new_segment(sequence, self._last_index + 1, encoder.previous)
        except OSError as error:
            if not is_full(error):
                self._failure = f"no new segment could be made: {error.strerror or error}"
                raise
            self._cut_at = encoder.offset + CUT_RETRY_BYTES
            log.warning("%s grows beyond its size: %s", self._segments[-1].path, error.strerror)
            return
        try:
            if self._fsync:
                self._files.sync_directory(self._directory)
        except (
            OSError
        ) as error:  # both segments may be the last one after a crash: nothing may be written to either
            self._failure = f"the new segment's name was not synced: {error.strerror or error}"
            made[1].close()
            raise
        self._tail.close()
        self._begin(*made)


def _packed(hard_state: Any) -> bytes:
    return HARD_STATE.pack(hard_state.term, hard_state.vote, hard_state.commit)
