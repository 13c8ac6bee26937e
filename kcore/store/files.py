"""What the store asks of a file system, and the real one: the simulator puts a faulty disk behind the same few calls.

Everything is synchronous; the replica calls it in its disk thread. ``OsFiles`` leaves the interpreter's lock while the
kernel reads, writes and syncs.
"""

import contextlib
import errno
import fcntl
import os
from typing import Final, Protocol

from kcore.api.errors import KcoreError

# Errors of a full disk: no space, over quota, and the limit of a file's size (RLIMIT_FSIZE).
FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

LOCK_TEXT_BYTES_MAX: Final = 64


class AlreadyLocked(KcoreError):
    """Another living process holds the lock; ``owner`` says which where it is known."""

    def __init__(self, path: str, owner: str) -> None:
        super().__init__(f"{path} is locked by {owner or 'another process'}")
        self.path: Final = path
        self.owner: Final = owner


class File(Protocol):
    """An open file, read and written at offsets; OSError where the system says so."""

    def size(self) -> int:
        """Bytes of the file."""

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes there; fewer only where the file ends."""

    def write_at(self, offset: int, data: bytes) -> None:
        """All of it is written; on OSError any part of it may be."""

    def truncate(self, size: int) -> None:
        """The file has that size."""

    def allocate(self, size: int) -> None:
        """The file has at least that size and space for it; new bytes are zero. On OSError the size is as it was."""

    def sync(self) -> None:
        """Content and size survive a loss of power."""

    def sync_data(self) -> None:
        """As ``sync``, but for times and modes."""

    def close(self) -> None:
        """The file is closed, synced or not."""


class Lock(Protocol):
    """A lock that this process holds."""

    def release(self) -> None:
        """Others may take it."""


class Files(Protocol):
    """A file system. Paths are text with slashes. A name survives a loss of power only after ``sync_directory``."""

    def make_directory(self, path: str) -> None:
        """The directory exists, its parents too, and survives a loss of power."""

    def list_directory(self, path: str) -> list[str]:
        """Names in the directory, sorted; none where it does not exist."""

    def exists(self, path: str) -> bool:
        """True for a file or directory."""

    def open(self, path: str, *, create: bool = False) -> File:
        """The file for reading and writing; ``create``: new and empty, in place of one that was there."""

    def open_to_read(self, path: str) -> File:
        """The file for reading only."""

    def rename(self, old: str, new: str) -> None:
        """The file is known by the new name alone; one that had that name is gone. All at once, even in a crash."""

    def remove(self, path: str) -> None:
        """The name is gone."""

    def sync_directory(self, path: str) -> None:
        """Names made, changed and removed in the directory survive a loss of power."""

    def lock(self, path: str) -> Lock:
        """The lock of that file is ours until released or this process ends; AlreadyLocked where another has it."""

    def entropy(self, length: int) -> bytes:
        """Bytes that nobody can guess; from the seed in a simulation."""


def is_full(error: OSError) -> bool:
    """True for the errors of a full disk: what was there is whole, and room may come."""
    return error.errno in FULL_ERRNOS


class OsFile:
    """A file of the operating system."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path

    @property
    def descriptor(self) -> int:
        """The system's number of the open file."""
        return self._descriptor

    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes there; fewer only where the file ends."""
        first = os.pread(self._descriptor, length, offset)
        if len(first) == length or not first:
            return first
        pieces = [first]
        got = len(first)
        while got < length:
            piece = os.pread(self._descriptor, length - got, offset + got)
            if not piece:
                break
            pieces.append(piece)
            got += len(piece)
        return b"".join(pieces)

    def write_at(self, offset: int, data: bytes) -> None:
        """All of it is written; on OSError any part of it may be."""
        written = os.pwrite(self._descriptor, data, offset)
        while written < len(data):
            written += os.pwrite(self._descriptor, memoryview(data)[written:], offset + written)

    def truncate(self, size: int) -> None:
        """The file has that size."""
        os.ftruncate(self._descriptor, size)

    def allocate(self, size: int) -> None:
        """The file has at least that size and space for it; new bytes are zero. On OSError the size is as it was."""
        before = self.size()
        if size <= before:
            return
        try:
            os.posix_fallocate(self._descriptor, before, size - before)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                os.ftruncate(self._descriptor, size)  # a file system that cannot reserve
                return
            os.ftruncate(self._descriptor, before)  # what it got before it failed is given back
            error.filename = self._path
            raise

    def sync(self) -> None:
        """Content and size survive a loss of power."""
        os.fsync(self._descriptor)

    def sync_data(self) -> None:
        """As ``sync``, but for times and modes."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """The file is closed, synced or not."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class OsLock:
    """A lock of the operating system (flock): it ends with the process, however that ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Others may take it."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class OsFiles:
    """The operating system's files."""

    def make_directory(self, path: str) -> None:
        """The directory exists, readable by its owner alone, its parents too, and survives a loss of power."""
        path = os.path.abspath(path)
        missing = []
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for made in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(made, 0o700)
            self.sync_directory(os.path.dirname(made))

    def list_directory(self, path: str) -> list[str]:
        """Names in the directory, sorted; none where it does not exist."""
        try:
            return sorted(os.listdir(path))
        except FileNotFoundError:
            return []

    def exists(self, path: str) -> bool:
        """True for a file or directory."""
        return os.path.exists(path)

    def open(self, path: str, *, create: bool = False) -> OsFile:
        """The file for reading and writing; ``create``: new and empty, in place of one that was there."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_TRUNC if create else 0)
        return OsFile(os.open(path, flags, 0o600), path)

    def open_to_read(self, path: str) -> OsFile:
        """The file for reading only."""
        return OsFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC), path)

    def rename(self, old: str, new: str) -> None:
        """The file is known by the new name alone; one that had that name is gone."""
        os.rename(old, new)

    def remove(self, path: str) -> None:
        """The name is gone."""
        os.remove(path)

    def sync_directory(self, path: str) -> None:
        """Names made, changed and removed in the directory survive a loss of power."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: str) -> OsLock:
        """The lock of that file is ours until released or this process ends; AlreadyLocked where another has it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, LOCK_TEXT_BYTES_MAX, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise AlreadyLocked(path, owner) from None
        except OSError:
            os.close(descriptor)
            raise
        with contextlib.suppress(OSError):  # who holds it is only told to people; a full disk may not stop us
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)
        return OsLock(descriptor)

    def entropy(self, length: int) -> bytes:
        """Bytes that nobody can guess."""
        return os.urandom(length)
