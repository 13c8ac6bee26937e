"""Snapshot files: what ``kcore snapshot save`` and ``etcdctl snapshot save`` write and ``kcore snapshot restore`` reads.

The file is the state in chunks (``kcore.store.machine`` says the format), filled with zero bytes to a multiple of
BLOCK_BYTES, then the SHA-256 of all that. etcdctl recognises a file that is whole by its size: a multiple of 512
and 32 bytes more, which is what a bbolt file of etcd's with its checksum has, too.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

BLOCK_BYTES: Final = 512
DIGEST_BYTES: Final = 32
READ_BYTES: Final = 1 << 20


def padding(size: int) -> bytes:
    """The zero bytes that make a multiple of BLOCK_BYTES of a size."""
    return bytes(-size % BLOCK_BYTES)


def has_digest(size: int) -> bool:
    """Whether a file of that size ends with a checksum, by etcd's rule."""
    return size % BLOCK_BYTES == DIGEST_BYTES


def body_chunks(path: Path, *, check: bool) -> Iterator[bytes]:
    """The file without its checksum, in pieces; ``ValueError`` at the end where ``check`` and the checksum differs."""
    size = path.stat().st_size
    with path.open("rb") as file:
        left = size - DIGEST_BYTES if has_digest(size) else size
        if check and not has_digest(size):
            raise ValueError(f"{path}: has no checksum at its end (--skip-hash-check reads it as it is)")
        digest = hashlib.sha256()
        while left:
            piece = file.read(min(READ_BYTES, left))
            if not piece:
                raise ValueError(f"{path}: became shorter while it was read")
            left -= len(piece)
            digest.update(piece)
            yield piece
        if check:
            _compare(path, file, digest.digest())


def _compare(path: Path, file: BinaryIO, made: bytes) -> None:
    if file.read(DIGEST_BYTES) != made:
        raise ValueError(f"{path}: expected sha256 does not match the content; the file is damaged")
