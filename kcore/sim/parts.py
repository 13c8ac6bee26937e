"""A finished run as one small file: there as a whole or not at all, and read only if its checksum is right.

The file is ``KCPART1``, a msgpack map (the run's id, the code that made it, figures, tables as Arrow streams), and the
SHA-256 of all before it. It is written beside its place, flushed to disk and renamed.
"""

from __future__ import annotations

import functools
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field

from kcore.sim.points import Figure, RunOutput

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"KCPART1\n"
DIGEST_BYTES = 32
SUFFIX = ".part"
TEMPORARY = ".tmp"
ENDED = ("Z", "X")  # states of a process, see proc(5)


class Part(Struct, kw_only=True):
    """A run that was done: its figures, or the error that ended it."""

    id: str
    code: str  # of the kcore that ran it
    summary: dict[str, Figure] = field(default_factory=dict)
    tables: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""

    def table(self, name: str) -> pa.Table:
        """One of the tables."""
        import pyarrow as pa

        return pa.ipc.open_stream(self.tables[name]).read_all()


def part_of(id_: str, code: str, output: RunOutput) -> Part:
    """The part of a run."""
    return Part(
        id=id_,
        code=code,
        summary=_plain(output.summary),
        tables={name: _stream(table) for name, table in output.tables.items()},
        seconds=output.seconds,
    )


def _plain(summary: dict[str, Any]) -> dict[str, Figure]:
    """NumPy's numbers as Python's."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in summary.items()}


def _stream(table: pa.Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


@functools.cache
def code_digest() -> str:
    """What tells this kcore from another: a SHA-256 of all its Python files but those of the command line."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        if "cli" not in file.relative_to(package).parts:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def path_of(folder: Path, id_: str) -> Path:
    """Where the part of a run is kept."""
    return folder / f"{id_}{SUFFIX}"


def encoded(part: Part) -> bytes:
    """The file's content."""
    content = MAGIC + msgspec.msgpack.encode(part)
    return content + hashlib.sha256(content).digest()


def write(folder: Path, id_: str, content: bytes) -> None:
    """The content is on disk under the run's name."""
    write_whole(path_of(folder, id_), content)


def write_whole(path: Path, content: bytes) -> None:
    """The file has the content, on disk; after a crash it has either that or what it had before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Names in the folder are on disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def read(folder: Path, id_: str) -> Part | None:
    """The part of a run; None where there is none, or where the file is damaged or of another kcore."""
    try:
        content = path_of(folder, id_).read_bytes()
    except OSError:
        return None
    head, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if not head.startswith(MAGIC) or hashlib.sha256(head).digest() != digest:
        return None
    try:
        part = msgspec.msgpack.decode(head[len(MAGIC) :], type=Part)
    except msgspec.MsgspecError:
        return None
    return part if part.id == id_ and part.code == code_digest() else None


def drop_abandoned(folder: Path) -> None:
    """Files that a process left half written when it was killed are gone."""
    for file in folder.glob(f".*{TEMPORARY}"):
        owner = file.name.removesuffix(TEMPORARY).rpartition(".")[2]
        if owner.isdecimal() and not _alive(int(owner)):
            if file.is_dir():
                import shutil

                shutil.rmtree(file, ignore_errors=True)
            else:
                with suppress(OSError):
                    file.unlink()


def _alive(process: int) -> bool:
    """Whether the process may still write; one that has ended and waits for its parent to ask does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True  # no /proc here
    return state not in ENDED
