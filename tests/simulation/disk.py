"""A disk in memory that forgets what was not synced, tears, lies, fills up and rots; behind ``kcore.store.files.Files``.

What the operating system shows (``now``) and what a loss of power leaves (``kept``) are two things here. Writes and
changes of size are pending in their file until it is synced, names are pending until their directory is. A crash decides
for each pending change by the ``Survival`` given, or drawn from the seed.
"""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass, field
from enum import Enum

from kcore.store.files import AlreadyLocked

SECTOR_BYTES = 512


class PowerLoss(BaseException):
    """The machine stopped here. Not an Exception, as no code may go on after it."""


class Survival(Enum):
    """What becomes of changes that were not synced."""

    NOTHING = "nothing of them is kept"
    EVERYTHING = "all of them are kept"
    PREFIX = "those before some byte of some write are kept, in order"
    SECTORS = "each sector of each write, and each other change, is kept or not by itself"


@dataclass
class DiskFaults:
    """What is wrong with the disk, to be changed at any time."""

    lying: bool = False  # a sync does nothing and says it was done
    capacity_bytes: int | None = None  # more than that, over all files, does not fit
    sync_fails: bool = False  # a sync raises EIO
    delay_ms_max: int = 0  # what ``MemoryFiles.delay_ms`` draws up to


@dataclass(eq=False)
class Inode:
    """A file's content. ``pending``: (offset, bytes written), or (size, None) for a change of size, oldest first."""

    now: bytearray = field(default_factory=bytearray)
    kept: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def change(self, at: int, data: bytes | None) -> None:
        """The change is seen at once, and pending."""
        apply(self.now, at, data)
        self.pending.append((at, data))

    def settle(self) -> None:
        """Nothing is pending: all changes are kept."""
        for at, data in self.pending:
            apply(self.kept, at, data)
        self.pending.clear()


def apply(content: bytearray, at: int, data: bytes | None) -> None:
    """The content is changed; a write beyond the end leaves zeros between."""
    if data is None:
        if at < len(content):
            del content[at:]
        else:
            content.extend(bytes(at - len(content)))
    else:
        if at > len(content):
            content.extend(bytes(at - len(content)))
        content[at : at + len(data)] = data


class MemoryFile:
    """An open file; after a crash of its disk every call raises PowerLoss."""

    def __init__(self, disk: MemoryFiles, path: str, inode: Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._life = disk.life

    def _step(self, operation: str) -> None:
        if self._life != self._disk.life:
            raise PowerLoss
        self._disk.step(operation, self._path)

    def size(self) -> int:
        """Bytes of the file."""
        return len(self._inode.now)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes there."""
        return bytes(self._inode.now[offset : offset + length])

    def write_at(self, offset: int, data: bytes) -> None:
        """All is written; as much as fits where the disk is full, and ENOSPC."""
        room = self._disk.room(self._inode)
        fitting = data if room is None else data[: max(0, room - offset)]
        if fitting:
            self._inode.change(offset, fitting)
        self._step("write")
        if len(fitting) < len(data):
            raise OSError(errno.ENOSPC, "No space left on device", self._path)

    def truncate(self, size: int) -> None:
        """The file has that size."""
        self._inode.change(size, None)
        self._step("truncate")

    def allocate(self, size: int) -> None:
        """The file has at least that size, the rest zeros; or ENOSPC."""
        room = self._disk.room(self._inode)
        if room is not None and size > room:
            raise OSError(errno.ENOSPC, "No space left on device", self._path)
        if size > len(self._inode.now):
            self._inode.change(size, None)
        self._step("allocate")

    def sync(self) -> None:
        """What is pending is kept, if the disk is honest."""
        self._step("sync")
        if self._disk.faults.sync_fails:
            raise OSError(errno.EIO, "Input/output error", self._path)
        if not self._disk.faults.lying:
            self._inode.settle()

    def sync_data(self) -> None:
        """As ``sync``."""
        self.sync()

    def close(self) -> None:
        """Nothing is synced by it."""


class MemoryLock:
    """A lock; a crash frees it."""

    def __init__(self, disk: MemoryFiles, path: str) -> None:
        self._disk = disk
        self._path = path
        self._life = disk.life

    def release(self) -> None:
        """Others may take it."""
        if self._life == self._disk.life:
            self._disk.locked.discard(self._path)


class MemoryFiles:
    """One machine's disk. ``crash`` is a loss of power, ``crash_process`` a kill -9; then everything is opened anew.

    ``power_fails_at``: the n-th change from now (write, sync, rename, ...) raises PowerLoss in the midst: it is pending,
    a sync without effect. ``steps`` counts changes.
    """

    def __init__(self, seed: int = 0, faults: DiskFaults | None = None) -> None:
        self.faults = faults or DiskFaults()
        self.random = random.Random(seed)
        self.life = 0
        self.steps = 0
        self.power_fails_at: int | None = None
        self.locked: set[str] = set()
        self.operations: list[str] = []  # filled where ``recording``
        self.recording = False
        self._directories: set[str] = {"", "/"}
        self._now: dict[str, Inode] = {}
        self._kept: dict[str, Inode] = {}
        # (new name or None, old name or None, file): a new file, a rename, a removal
        self._pending: list[tuple[str | None, str | None, Inode]] = []
        self._failed = False

    # -- Files -------------------------------------------------------------------------------------------------

    def make_directory(self, path: str) -> None:
        """The directory exists and is kept."""
        while path not in self._directories:
            self._directories.add(path)
            path = path.rpartition("/")[0]

    def list_directory(self, path: str) -> list[str]:
        """Names in the directory, sorted."""
        start = path + "/"
        names = {
            name[len(start) :].split("/")[0]
            for name in (*self._now, *self._directories)
            if name.startswith(start)
        }
        return sorted(names - {""})

    def exists(self, path: str) -> bool:
        """True for a file or directory."""
        return path in self._now or path in self._directories

    def open(self, path: str, *, create: bool = False) -> MemoryFile:
        """The file; ``create``: a new one."""
        if create:
            inode = self._now.get(path)
            if inode is None:
                if path.rpartition("/")[0] not in self._directories:
                    raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
                inode = self._now[path] = Inode()
                self._pending.append((path, None, inode))
            else:
                inode.change(0, None)
            self.step("create", path)
        return self.open_to_read(path)

    def open_to_read(self, path: str) -> MemoryFile:
        """The file."""
        if path not in self._now:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return MemoryFile(self, path, self._now[path])

    def rename(self, old: str, new: str) -> None:
        """The file has the new name; pending."""
        if old not in self._now:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", old)
        inode = self._now.pop(old)
        self._now[new] = inode
        self._pending.append((new, old, inode))
        self.step("rename", new)

    def remove(self, path: str) -> None:
        """The name is gone; pending."""
        if path not in self._now:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        self._pending.append((None, path, self._now.pop(path)))
        self.step("remove", path)

    def sync_directory(self, path: str) -> None:
        """Names of the directory are kept, if the disk is honest."""
        self.step("sync directory", path)
        if self.faults.lying:
            return
        rest = []
        for change in self._pending:
            if (change[0] or change[1] or "").rpartition("/")[0] == path:
                self._rename_kept(*change)
            else:
                rest.append(change)
        self._pending = rest

    def lock(self, path: str) -> MemoryLock:
        """The lock is ours; AlreadyLocked."""
        if path in self.locked:
            raise AlreadyLocked(path, "process 1")
        self.locked.add(path)
        return MemoryLock(self, path)

    def entropy(self, length: int) -> bytes:
        """Bytes from the seed."""
        return self.random.randbytes(length)

    # -- faults ------------------------------------------------------------------------------------------------

    def step(self, operation: str, path: str) -> None:
        """A change was made; PowerLoss where it was the last one."""
        if self._failed:
            raise PowerLoss
        if self.recording:
            self.operations.append(f"{operation} {path}")
        self.steps += 1
        if self.power_fails_at is not None and self.steps >= self.power_fails_at:
            self._failed = True
            raise PowerLoss

    def room(self, inode: Inode) -> int | None:
        """The size the file may have at most; None without a limit."""
        if self.faults.capacity_bytes is None:
            return None
        return self.faults.capacity_bytes - sum(
            len(other.now) for other in self._now.values() if other is not inode
        )

    def delay_ms(self) -> int:
        """How long the next sync of a slow disk takes."""
        return self.random.randint(0, self.faults.delay_ms_max)

    def crash_process(self) -> None:
        """The process is killed: its files are closed and its locks free, but the system lost nothing."""
        self.life += 1
        self.locked.clear()
        self._failed = False
        self.power_fails_at = None

    def crash(self, survival: Survival | None = None) -> None:
        """The power fails and comes back: what was synced is there, of the rest what survived; locks are free."""
        survival = survival or self.random.choice(list(Survival))
        for change in self._surviving_names(survival):
            self._rename_kept(*change)
        self._pending = []
        survivors: dict[int, Inode] = {}
        for path, inode in self._kept.items():
            if id(inode) not in survivors:
                self._decide(inode, survival)
                content = inode.kept
                survivors[id(inode)] = Inode(bytearray(content), bytearray(content))
            self._kept[path] = survivors[id(inode)]
        self._now = dict(self._kept)
        self.crash_process()

    def flip(self, path: str, bit: int) -> None:
        """A bit of the file is another, now and for ever."""
        inode = self._now[path]
        for content in (inode.now, inode.kept):
            if bit // 8 < len(content):
                content[bit // 8] ^= 1 << bit % 8

    def content(self, path: str) -> bytes:
        """The file as the system shows it."""
        return bytes(self._now[path].now)

    def replace(self, path: str, content: bytes) -> None:
        """The file has that content and keeps it."""
        inode = Inode(bytearray(content), bytearray(content))
        self._now[path] = inode
        self._kept[path] = inode

    def paths(self) -> list[str]:
        """All files, sorted."""
        return sorted(self._now)

    def _rename_kept(self, new: str | None, old: str | None, inode: Inode) -> None:
        if old is not None and self._kept.get(old) is inode:
            del self._kept[old]
        if new is not None:
            self._kept[new] = inode

    def _surviving_names(self, survival: Survival) -> list[tuple[str | None, str | None, Inode]]:
        if survival is Survival.NOTHING:
            return []
        if survival is Survival.EVERYTHING:
            return self._pending
        if survival is Survival.PREFIX:
            return self._pending[: self.random.randint(0, len(self._pending))]
        return [change for change in self._pending if self.random.random() < 0.5]

    def _decide(self, inode: Inode, survival: Survival) -> None:
        """What is pending in the file is kept or lost."""
        pending, inode.pending = inode.pending, []
        if survival is Survival.NOTHING or not pending:
            return
        if survival is Survival.PREFIX:
            last = self.random.randrange(len(pending))
            at, data = pending[last]
            pending = pending[:last]
            if data is not None:
                pending.append((at, data[: self.random.randint(0, len(data))]))
        for at, data in pending:
            if data is None:
                if survival is not Survival.SECTORS or self.random.random() < 0.5:
                    apply(inode.kept, at, None)
            elif survival is Survival.SECTORS:
                self._keep_sectors(inode.kept, at, data)
            else:
                apply(inode.kept, at, data)

    def _keep_sectors(self, content: bytearray, at: int, data: bytes) -> None:
        start = 0
        while start < len(data):
            end = min(len(data), start + SECTOR_BYTES - (at + start) % SECTOR_BYTES)
            if self.random.random() < 0.5:
                apply(content, at + start, data[start:end])
            start = end
