"""What a data directory holds is read and judged, and nothing in it changed: the first half of opening it.

The newest snapshot that the log names is used. Where its file is damaged or gone, an older one is, but only if the log
reaches from it past the newest one: then nothing is lost. All else is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from kcore.store.files import Files
from kcore.store.refusals import CorruptData, NewerData
from kcore.store.replay import Replay, replay
from kcore.store.segments import (
    FORMAT,
    Identity,
    Position,
    Segment,
    SegmentContent,
    connected,
    list_segments,
    read_segment,
)
from kcore.store.snapshots import SnapshotReader, list_snapshots, snapshot_path
from kcore_native.raft import Entry, HardState, SnapshotMetadata
from kcore_native.wal import DURABLE, METADATA

META_BYTES_MAX: Final = 4096


class Meta(msgspec.Struct, frozen=True):
    """``member/meta.json``: the directory's format and owner, as every segment says it too; ids are hexadecimal."""

    format: int
    cluster_id: str
    member_id: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in a data directory (no slash at the end)."""

    directory: str

    @property
    def member(self) -> str:
        """Everything of the member."""
        return f"{self.directory}/member"

    @property
    def log(self) -> str:
        """The log's segments."""
        return f"{self.member}/wal"

    @property
    def snapshots(self) -> str:
        """The snapshots' files."""
        return f"{self.member}/snap"

    @property
    def meta(self) -> str:
        """Written last when the directory is made: where it is, a log must be too."""
        return f"{self.member}/meta.json"

    @property
    def lock(self) -> str:
        """Locked while a process has the directory open."""
        return f"{self.member}/lock"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a member had on disk.

    ``entries`` follow the snapshot (or index 0), one after another; ``hard_state.commit`` lies between the snapshot's
    index and the last entry's. All of it is durable.
    """

    cluster_id: int
    member_id: int
    hard_state: HardState
    entries: list[Entry] = field(repr=False)
    snapshot_metadata: SnapshotMetadata | None
    snapshot_path: str
    files: Files = field(repr=False)

    def open_snapshot(self) -> Iterator[bytes]:
        """The snapshot's chunks, checked as they are read; none without a snapshot. CorruptData."""
        if self.snapshot_metadata is not None:
            with SnapshotReader(self.files, self.snapshot_path) as reader:
                yield from reader


@dataclass(slots=True)
class Loaded:
    """What was read; ``damaged`` and ``strays``: snapshots not to be used; ``leftovers``: segments already released."""

    identity: Identity
    contents: list[SegmentContent]
    log: Replay
    recovered: Recovered
    damaged: list[Position] = field(default_factory=list)
    strays: list[Position] = field(default_factory=list)
    leftovers: list[Segment] = field(default_factory=list)


def read_meta(files: Files, layout: Layout) -> Identity | None:
    """Whose directory it is; None where it was never finished. CorruptData, NewerData."""
    if not files.exists(layout.meta):
        return None
    file = files.open_to_read(layout.meta)
    try:
        text = file.read_at(0, META_BYTES_MAX)
    finally:
        file.close()
    try:
        meta = msgspec.json.decode(text, type=Meta)
        identity = Identity(int(meta.cluster_id, 16), int(meta.member_id, 16))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise CorruptData(
            layout.meta, 0, f"it does not read as JSON of the directory's owner: {error}"
        ) from None
    if meta.format > FORMAT:
        raise NewerData(layout.meta, meta.format, FORMAT)
    return identity


def owner(files: Files, layout: Layout) -> Identity | None:
    """Whose directory it is; None where nothing was ever appended to its log. CorruptData, NewerData."""
    segments = list_segments(files, layout.log)
    if not segments:
        return read_meta(files, layout)
    content = read_segment(files, segments[-1], None, last=True)
    blank = segments[-1].sequence == 0 and all(
        kind in (METADATA, DURABLE) for kind, _, _ in content.scan.records
    )
    return None if blank else content.identity


def read_log(files: Files, segments: list[Segment]) -> list[SegmentContent]:
    """The content of the segments, which follow one another; CorruptData."""
    contents: list[SegmentContent] = []
    for segment in segments:
        previous = contents[-1].scan.previous if contents else None
        content = read_segment(files, segment, previous, last=segment is segments[-1])
        if contents and content.identity != contents[0].identity:
            raise CorruptData(segment.path, 0, "it belongs to another member than the segment before it")
        contents.append(content)
    return contents


def load(files: Files, layout: Layout, meta: Identity | None) -> Loaded | None:
    """What the directory holds; None where no log was ever begun in it. CorruptData, NewerData."""
    segments = list_segments(files, layout.log)
    if not segments:
        if meta is not None:
            raise CorruptData(layout.log, 0, "the log is gone")
        return None
    chain = connected(segments)
    contents = read_log(files, chain)
    identity = contents[0].identity
    if meta is not None and meta != identity:
        raise CorruptData(layout.meta, 0, "it names another owner than the log does")
    state = replay(contents)
    chosen, metadata, damaged = _choose(files, layout, state, contents)
    entries = state.entries
    if chosen.index and entries and state.base is not None:
        entries = entries[max(0, chosen.index - state.base) :]
    recovered = Recovered(
        identity.cluster_id,
        identity.member_id,
        _consistent(state, entries, chosen, contents[-1]),
        entries,
        metadata,
        snapshot_path(layout.snapshots, chosen) if metadata is not None else "",
        files,
    )
    strays = [
        position for position in list_snapshots(files, layout.snapshots) if position not in state.snapshots
    ]
    leftovers = [segment for segment in segments if segment.sequence < chain[0].sequence]
    return Loaded(identity, contents, state, recovered, damaged, strays, leftovers)


def _choose(
    files: Files, layout: Layout, state: Replay, contents: list[SegmentContent]
) -> tuple[Position, SnapshotMetadata | None, list[Position]]:
    """The furthest usable snapshot (Position(0, 0) for none), what it is of, and the damaged ones further than it."""
    named = sorted(set(state.snapshots), reverse=True)
    newest = named[0] if named else Position(0, 0)
    last = state.entries[-1].index if state.entries else state.base or 0
    damaged: list[Position] = []
    first_refusal: CorruptData | None = None
    for position in [*named, Position(0, 0)]:
        if position != newest and (state.base is None or last < newest.index):
            break
        if state.base is not None and position.index < state.base:
            break
        if position.index == 0:
            return position, None, damaged
        path = snapshot_path(layout.snapshots, position)
        try:
            if not files.exists(path):
                raise CorruptData(path, 0, "the snapshot that the log names is gone")
            with SnapshotReader(files, path) as reader:
                reader.check()
                metadata = reader.header.metadata()
                if Position(metadata.index, metadata.term) != position:
                    raise CorruptData(path, 0, f"it is of entry {metadata.index}, term {metadata.term}")
                if reader.header.cluster_id != contents[0].identity.cluster_id:
                    raise CorruptData(path, 0, "it belongs to another cluster")
        except CorruptData as refusal:
            first_refusal = first_refusal or refusal
            damaged.append(position)
            continue
        return position, metadata, damaged
    if first_refusal is not None:
        raise first_refusal
    raise CorruptData(
        contents[0].segment.path,
        0,
        f"the log begins after entry {state.base}, and no snapshot reaches so far",
    )


def _consistent(state: Replay, entries: list[Entry], chosen: Position, tail: SegmentContent) -> HardState:
    """The hard state, in agreement with snapshot and entries.

    A crash can keep entries, or a snapshot, and lose the hard state written after them. Then nothing that depends on
    it was ever sent: no vote was given in the later term, so term and commit index may be taken from what is there.
    """
    hard = state.hard_state
    last, last_term = (entries[-1].index, entries[-1].term) if entries else (chosen.index, chosen.term)
    if hard.commit > last:
        raise CorruptData(
            tail.segment.path,
            tail.scan.end,
            f"the log ends at entry {last}, but entry {hard.commit} was committed",
        )
    commit = max(hard.commit, chosen.index)
    if hard.term < last_term:
        return HardState(last_term, 0, commit)
    return HardState(hard.term, hard.vote, commit)
