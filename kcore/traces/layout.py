"""Which files of a folder hold which table of a published trace, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kcore.api.errors import InputError
from kcore.sources.files import COMPRESSED_SUFFIXES


def stem_of(file: Path) -> str:
    """The name without the endings of format and compression, in lower case."""
    name = file.name.lower()
    for suffix in COMPRESSED_SUFFIXES:
        name = name.removesuffix(suffix)
    return name.rpartition(".")[0] or name


def table_files(path: str | Path, table: str, suffixes: Sequence[str]) -> list[Path]:
    """The files of a table and its shards (``NAME-000000000000``), in order; the path itself where it is one of them."""
    path = Path(path)
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in found if _is_of(file, table, suffixes) and file.is_file()]


def table_file(path: str | Path, table: str, suffixes: Sequence[str]) -> Path | None:
    """The one file of a table; None where there is none, InputError where there are several."""
    files = table_files(path, table, suffixes)
    if len(files) > 1:
        raise InputError(
            f"holds {len(files)} files of {table}: {', '.join(file.name for file in files)}"[:300],
            file=str(path),
            expected="one",
        )
    return files[0] if files else None


def _is_of(file: Path, table: str, suffixes: Sequence[str]) -> bool:
    name = file.name.lower()
    for suffix in COMPRESSED_SUFFIXES:
        name = name.removesuffix(suffix)
    for suffix in suffixes:
        if name.endswith(suffix):
            stem = name.removesuffix(suffix)
            shard = stem.removeprefix(table)
            return stem == table or (stem.startswith(table) and shard[:1] in "-_." and shard[1:].isdigit())
    return False


def folder_or_file(path: str, name: str) -> None:
    """The path is there; InputError otherwise."""
    if not path:
        raise InputError(f"{name} is not shipped", field="path", expected="its file or folder")
    if not Path(path).exists():
        raise InputError("is not there", file=path, expected=f"the file or folder of {name}")
