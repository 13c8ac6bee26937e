"""Snapshot files: what ``kcore snapshot save`` and ``etcdctl snapshot save`` write, and what can be made of them.

The file is the state (``kcore.store.machine`` says the format), then zero bytes up to two before a multiple of
BLOCK_BYTES, then how many bytes were added (u16, little-endian, itself counted), then the SHA-256 of all that. By its
size, a multiple of 512 and 32 more, etcdctl recognises a file that is whole: etcd's own files are like that.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from kcore.api.errors import InputError, KcoreError
from kcore.store.auth import Auth
from kcore.store.disk import Disk
from kcore.store.machine import Machine
from kcore.store.membership import cluster_id, first_members, member_id
from kcore_native.raft import (
    ENTRY_CONF_CHANGE,
    ENTRY_NORMAL,
    ConfChange,
    ConfChangeV2,
    ConfState,
    HardState,
    SnapshotMetadata,
)
from kcore_native.wal import crc32c

BLOCK_BYTES: Final = 512
DIGEST_BYTES: Final = 32
READ_BYTES: Final = 1 << 20
ETCD_MAGIC: Final = bytes.fromhex("edda0ced")  # of bbolt, little-endian, at 16 in etcd's own files

ADDED: Final = Struct("<H")
HEAD_LENGTH: Final = Struct("<I")
REVISIONS: Final = Struct("<qq")  # the store's, and that of its last compaction
CHECKSUM: Final = Struct("<I")
MAGIC_BYTES: Final = 8  # before the head's length

FIRST_INDEX: Final = 1  # of a restored log
FIRST_TERM: Final = 1


class SavedStatus(NamedTuple):
    """What ``kcore snapshot status`` says of a file."""

    hash: str
    revision: int
    total_key: int
    total_size: int
    version: str


class DamagedFile(KcoreError):
    """A snapshot file that cannot be used."""


def padding(size: int) -> bytes:
    """What is added to a state of that size."""
    added = -size % BLOCK_BYTES
    if added < ADDED.size:
        added += BLOCK_BYTES
    return bytes(added - ADDED.size) + ADDED.pack(added)


def has_digest(size: int) -> bool:
    """Whether a file of that size ends with a checksum, by etcd's rule."""
    return size % BLOCK_BYTES == DIGEST_BYTES


def body(path: Path, *, check: bool) -> Iterator[bytes]:
    """The state in the file, in pieces; DamagedFile, at the end, where ``check`` and the checksum is another."""
    size = path.stat().st_size
    if check and not has_digest(size):
        raise DamagedFile(f"{path}: snapshot missing hash but --skip-hash-check=false")
    whole = size - DIGEST_BYTES if has_digest(size) else size
    with path.open("rb") as file:
        if whole < BLOCK_BYTES:
            raise DamagedFile(f"{path}: too short for a snapshot")
        if file.read(20)[16:] == ETCD_MAGIC:
            raise DamagedFile(f"{path}: a database of etcd itself, which only etcdutl can restore")
        file.seek(whole - ADDED.size)
        (added,) = ADDED.unpack(file.read(ADDED.size))
        if not ADDED.size <= added <= BLOCK_BYTES + ADDED.size:
            raise DamagedFile(f"{path}: not a snapshot of kcore, or cut short")
        file.seek(0)
        digest = hashlib.sha256()
        left, state = whole, whole - added
        while left:
            piece = file.read(min(READ_BYTES, left))
            if not piece:
                raise DamagedFile(f"{path}: became shorter while it was read")
            left -= len(piece)
            digest.update(piece)
            yield piece[:state]
            state = max(state - len(piece), 0)
        if check and file.read(DIGEST_BYTES) != digest.digest():
            raise DamagedFile(f"{path}: expected sha256 differs from the content's: the file is damaged")


def load(chunks: Iterable[bytes], said: str) -> Machine:
    """A machine with that state; DamagedFile, naming what was read, where it is none."""
    machine = Machine(Auth())
    try:
        machine.restore(chunks)
    except ValueError as error:
        raise DamagedFile(f"{said}: {error}") from None
    return machine


def write(chunks: Iterable[bytes], path: Path) -> int:
    """The file with that state, put in place when it is whole; its size."""
    temporary = path.with_name(path.name + ".part")
    digest = hashlib.sha256()
    size = 0
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
                size += len(chunk)
            added = padding(size)
            digest.update(added)
            file.write(added + digest.digest())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return size + len(added) + DIGEST_BYTES


def stored(directory: str) -> Machine:
    """The state that the data directory of a member that is down has committed; nothing is changed."""
    recovered = Disk.read(directory)
    machine = Machine(Auth())
    after = 0
    if recovered.snapshot_metadata is not None:
        machine.restore(recovered.open_snapshot())
        after = recovered.snapshot_metadata.index
    for entry in recovered.entries:
        if after < entry.index <= recovered.hard_state.commit:
            if entry.type == ENTRY_NORMAL:
                machine.apply(entry.index, entry.term, entry.data)
            else:
                kind = ConfChange if entry.type == ENTRY_CONF_CHANGE else ConfChangeV2
                machine.apply_conf_change(entry.index, entry.term, kind.decode(entry.data).context)
    return machine


def status(machine: Machine, size: int) -> SavedStatus:
    """What is in a snapshot."""
    total = machine.store.record_count
    return SavedStatus(
        f"{machine.hash_kv(0).hash:x}", machine.revision, total, size, machine.cluster_version or "3.6.0"
    )


class Target(NamedTuple):
    """The member that a snapshot is restored into."""

    directory: str
    name: str
    cluster: dict[str, tuple[str, ...]]
    token: str
    peer_urls: tuple[str, ...]


def restore(machine: Machine, target: Target, *, bump_revision: int = 0) -> tuple[int, int]:
    """The data directory of a member of a new cluster with that state; (cluster id, member id).

    Keys, leases, users keep what they are; members, alarms and the log begin anew. With ``bump_revision`` the store's
    revision is higher by that much and all before it counts as compacted, so that no watch goes on unaware.
    """
    own = target.cluster.get(target.name)
    if own is None:
        raise InputError(
            f"has no member {target.name!r}", field="--initial-cluster", expected="name=URL for --name, too"
        )
    if sorted(own) != sorted(target.peer_urls):
        expected = ",".join(own)
        raise InputError(
            f"{','.join(target.peer_urls)} is not what --initial-cluster has for {target.name}",
            field="--initial-advertise-peer-urls",
            expected=expected,
        )
    if Path(target.directory).exists() and any(Path(target.directory).iterdir()):
        raise InputError(f"{target.directory} is not empty", field="--data-dir", expected="a new folder")
    members = first_members(target.cluster, target.token)
    cluster, member = cluster_id(each.id for each in members), member_id(own, target.token)
    machine.members = {each.id: each for each in members}
    machine.removed, machine.alarms, machine.downgrade = set(), [], ""
    machine.applied_index, machine.applied_term = FIRST_INDEX, FIRST_TERM
    if bump_revision:
        machine.store.compact(machine.revision)
    voters = tuple(sorted(each.id for each in members))
    metadata = SnapshotMetadata(ConfState(voters, (), (), (), False), FIRST_INDEX, FIRST_TERM)
    disk, _ = Disk.open(target.directory, cluster_id=cluster, member_id=member)
    with disk:
        reader = machine.snapshot()
        writer = disk.begin_snapshot(metadata)
        try:
            for chunk in bumped(reader, bump_revision) if bump_revision else reader:
                writer.write(chunk)
            writer.commit()
        except BaseException:
            writer.abort()
            raise
        finally:
            reader.close()
        disk.append(HardState(FIRST_TERM, 0, FIRST_INDEX), [])
        disk.sync()
    return cluster, member


def bumped(chunks: Iterable[bytes], by: int) -> Iterator[bytes]:
    """The same state at a revision higher by ``by``, all before it compacted (the format is ``mvcc.snapshot``'s)."""
    source = iter(chunks)
    front = b""
    at = MAGIC_BYTES + HEAD_LENGTH.size
    while (
        len(front) < at or len(front) < at + HEAD_LENGTH.unpack_from(front, MAGIC_BYTES)[0] + REVISIONS.size
    ):
        front += next(source)
    at += HEAD_LENGTH.unpack_from(front, MAGIC_BYTES)[0]
    revision, _ = REVISIONS.unpack_from(front, at)
    front = front[:at] + REVISIONS.pack(revision + by, revision + by) + front[at + REVISIONS.size :]
    checksum = 0
    kept = front
    for chunk in source:
        checksum = crc32c(kept[: -CHECKSUM.size], checksum)
        yield kept[: -CHECKSUM.size]
        kept = kept[-CHECKSUM.size :] + chunk
    checksum = crc32c(kept[: -CHECKSUM.size], checksum)
    yield kept[: -CHECKSUM.size] + CHECKSUM.pack(checksum)
