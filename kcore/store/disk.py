"""A member's data directory: the write-ahead log, snapshots, and the lock; all that must survive a crash.

    DIRECTORY/member/lock                     held while open
                     meta.json                whose it is
                     wal/SEQUENCE-INDEX.wal   segments of the log (kcore/store/segments.py, kcore_native/wal/record.pyx)
                     snap/TERM-INDEX.snap     snapshots (kcore/store/snapshots.py)
                     *.broken                 what a repair took off, for people; never read

The caller groups commits: ``append`` as often as it likes, then one ``sync`` in a thread, then it acknowledges.

A snapshot, taken here or sent by the leader, is written by ``begin_snapshot``, chunks, ``commit``. It counts from the
first ``append`` on whose hard state is committed up to its index: a record in the log then names it. So one that a
leader sent means nothing until Raft has accepted it, and a file that no record names is removed at the next opening.

A full disk (``files.is_full``) fails an ``append`` whole and leaves the log as it was: go on reading, retry later.
Any other OSError of ``append``, and every OSError of ``sync``, should end the member: what was not synced may be lost.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final

import msgspec

from kcore.store.files import AlreadyLocked, File, Files, Lock, OsFiles
from kcore.store.recovery import Layout, Loaded, Meta, Recovered, load, owner, read_meta
from kcore.store.refusals import CorruptData, ForeignData, LockedData
from kcore.store.segments import FORMAT, SEGMENT_BYTES, TEMPORARY, Identity, Log, Position
from kcore.store.snapshots import SnapshotReader, SnapshotWriter, list_snapshots, snapshot_path
from kcore_native.raft import Entry, HardState, SnapshotMetadata

log = logging.getLogger(__name__)

SNAPSHOTS_KEPT: Final = 2  # of those that the log reaches back to; the newest is always kept


class Disk:
    """The open data directory. ``append`` may run in one thread while ``sync``, ``release`` or a snapshot's writing does in another."""

    def __init__(
        self, files: Files, layout: Layout, identity: Identity, lock: Lock, wal: Log, *, fsync: bool
    ) -> None:
        self.cluster_id: Final = identity.cluster_id
        self.member_id: Final = identity.member_id
        self._files: Final = files
        self._layout: Final = layout
        self._identity: Final = identity
        self._lock: Final = lock
        self._log: Final = wal
        self._fsync: Final = fsync
        self._serial = 0

    @classmethod
    def open(
        cls,
        directory: str,
        files: Files | None = None,
        *,
        cluster_id: int | None = None,
        member_id: int | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        fsync: bool = True,
    ) -> tuple["Disk", Recovered]:
        """The directory is ours, repaired where a crash tore the log's end, and what it holds is known and durable.

        A directory without a log is made into one of ``cluster_id`` and ``member_id``, which must then be given; an
        existing one must agree with those that are. ``segment_bytes``: size at which a new segment is begun.
        ``fsync=False`` (etcd's --unsafe-no-fsync): a loss of power may lose anything.

        LockedData, ForeignData, NewerData, CorruptData: refused, nothing changed. OSError: the system's.
        """
        files = files or OsFiles()
        layout = Layout(directory.rstrip("/") or "/")
        files.make_directory(layout.member)
        lock = _locked(files, layout)
        try:
            meta = read_meta(files, layout)
            loaded = load(files, layout, meta)
            wanted = _wanted(layout, loaded.identity if loaded else None, cluster_id, member_id)
            for made in (layout.log, layout.snapshots):
                files.make_directory(made)
            wal = Log(files, layout.log, wanted, segment_bytes=segment_bytes, fsync=fsync)
            _remove_temporary(files, layout)
            if loaded is None:
                wal.create()
                recovered = Recovered(*wanted, HardState(), [], None, "", files)
            else:
                _tidy(files, layout, loaded)
                usable = [each for each in loaded.log.snapshots if each not in loaded.damaged]
                wal.resume(
                    loaded.contents, loaded.log.last_index, loaded.log.hard_state, dict.fromkeys(usable)
                )
                if fsync:
                    files.sync_directory(layout.log)
                    files.sync_directory(layout.snapshots)
                recovered = loaded.recovered
            if meta is None:
                _write_meta(files, layout, wanted)
        except BaseException:
            lock.release()
            raise
        return cls(files, layout, wanted, lock, wal, fsync=fsync), recovered

    @staticmethod
    def identity(directory: str, files: Files | None = None) -> Identity | None:
        """Cluster and member of the directory; None where nothing was ever appended to its log. CorruptData, NewerData."""
        return owner(files or OsFiles(), Layout(directory.rstrip("/") or "/"))

    @staticmethod
    def read(directory: str, files: Files | None = None) -> Recovered:
        """What the directory of a member that is down holds; nothing is repaired or changed. Raises as ``open`` does."""
        files = files or OsFiles()
        layout = Layout(directory.rstrip("/") or "/")
        if not files.exists(layout.member):
            raise CorruptData(
                layout.member, 0, "there is no such directory", "give a member's data directory"
            )
        lock = _locked(files, layout)
        try:
            loaded = load(files, layout, read_meta(files, layout))
        finally:
            lock.release()
        if loaded is None:
            raise CorruptData(layout.log, 0, "there is no log", "give a member's data directory")
        return loaded.recovered

    def append(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Both are written, entries first; durable after the next ``sync``. On an error nothing of it is in the log."""
        self._log.append(hard_state, entries)

    def sync(self) -> None:
        """All that was appended before the call survives a loss of power."""
        self._log.sync()

    def begin_sync(self) -> int:
        """The descriptor whose fdatasync is all that ``sync`` would do now; ``end_sync`` must follow. Else -1."""
        return self._log.begin_sync()

    def end_sync(self, failure: int) -> None:
        """What was appended before ``begin_sync`` is durable; raises OSError where fdatasync said ``failure``."""
        self._log.end_sync(failure)

    def begin_snapshot(self, metadata: SnapshotMetadata) -> SnapshotWriter:
        """A writer of the snapshot's file; the ones there stay as they are."""
        self._serial += 1
        return SnapshotWriter(
            self._files, self._layout.snapshots, self._identity, metadata, self._log.offer_snapshot,
            serial=self._serial, fsync=self._fsync,
        )  # fmt: skip

    def snapshot_chunks(self, metadata: SnapshotMetadata) -> Iterator[bytes]:
        """The chunks of a committed snapshot, checked as they are read. CorruptData, FileNotFoundError."""
        path = snapshot_path(self._layout.snapshots, Position(metadata.index, metadata.term))
        with SnapshotReader(self._files, path) as reader:
            yield from reader

    def release(self, index: int) -> int:
        """Segments with no entry beyond the index are gone, and snapshots that are no use; answers how many segments.

        Never more than a durable snapshot makes up for, whatever the index. It may sync: call it in a thread.
        """
        if self._log.awaits_sync:
            self._log.sync()
        durable = self._log.snapshots
        if not durable:
            return 0
        newest = max(durable)
        removed = self._log.release(min(index, newest.index))
        reached = sorted(
            each for each in durable if each.index + 1 >= self._log.first_index and each != newest
        )
        kept = {newest, *reached[len(reached) - (SNAPSHOTS_KEPT - 1) :]}
        gone = False
        for position in list_snapshots(self._files, self._layout.snapshots):
            if position in durable and position not in kept:
                self._files.remove(snapshot_path(self._layout.snapshots, position))
                self._log.forget_snapshot(position)
                gone = True
        if gone:
            self._files.sync_directory(self._layout.snapshots)
        return removed

    def close(self) -> None:
        """All is durable, the files are closed and the lock is free."""
        try:
            self._log.close()
        finally:
            self._lock.release()

    def __enter__(self) -> "Disk":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _locked(files: Files, layout: Layout) -> Lock:
    try:
        return files.lock(layout.lock)
    except AlreadyLocked as error:
        raise LockedData(
            f"{layout.directory} is in use by {error.owner or 'another process'}: stop it, or choose another directory"
        ) from None


def _wanted(
    layout: Layout, found: Identity | None, cluster_id: int | None, member_id: int | None
) -> Identity:
    """Whose the directory is or is to be; ForeignData where what is asked for and what is there disagree."""
    if found is None:
        if cluster_id is None or member_id is None:
            raise ValueError(f"{layout.directory} holds no data: say of which cluster and member it is to be")
        return Identity(cluster_id, member_id)
    for word, there, asked in (
        ("cluster", found.cluster_id, cluster_id),
        ("member", found.member_id, member_id),
    ):
        if asked is not None and asked != there:
            raise ForeignData(
                f"{layout.directory} belongs to {word} {there:x}, not to {word} {asked:x}: choose another directory"
            )
    return found


def _remove_temporary(files: Files, layout: Layout) -> None:
    """Files that a crash left unfinished are gone."""
    for directory in (layout.member, layout.log, layout.snapshots):
        for name in files.list_directory(directory):
            if name.endswith(TEMPORARY):
                files.remove(f"{directory}/{name}")


def _tidy(files: Files, layout: Layout, loaded: Loaded) -> None:
    """Segments released before a crash and snapshots that never counted are gone; damaged snapshots are set aside."""
    for segment in loaded.leftovers:
        files.remove(segment.path)
    for position in loaded.strays:
        files.remove(snapshot_path(layout.snapshots, position))
    for position in loaded.damaged:
        path = snapshot_path(layout.snapshots, position)
        log.warning("%s is damaged; an older snapshot and the log make up for it", path)
        with contextlib.suppress(FileNotFoundError):
            files.rename(path, path + ".broken")


def _write_meta(files: Files, layout: Layout, identity: Identity) -> None:
    meta = Meta(FORMAT, f"{identity.cluster_id:x}", f"{identity.member_id:x}")
    file: File = files.open(layout.meta + TEMPORARY, create=True)
    try:
        file.write_at(0, msgspec.json.encode(meta) + b"\n")
        file.sync()
    finally:
        file.close()
    files.rename(layout.meta + TEMPORARY, layout.meta)
    files.sync_directory(layout.member)
