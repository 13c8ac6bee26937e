"""Paths become named bytes: directories are walked, compression is undone, every size is bounded."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO, NamedTuple

from kcore.api.errors import InputError
from kcore.sources.limits import CHUNK_BYTES, FILE_BYTES_MAX, FILES_MAX, LINE_BYTES_MAX, size

STDIN = "-"
STDIN_NAME = "<stdin>"
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
YAML_SUFFIXES = (".yaml", ".yml")
ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
PARQUET_SUFFIXES = (".parquet", ".pq")
CSV_SUFFIXES = (".csv",)
COMPRESSED_SUFFIXES = (".gz", ".zst")
SUFFIXES = (*JSON_SUFFIXES, *YAML_SUFFIXES, *ARROW_SUFFIXES, *PARQUET_SUFFIXES, *CSV_SUFFIXES)

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PARQUET_MAGIC = b"PAR1"
ARROW_FILE_MAGIC = b"ARROW1"
ARROW_STREAM_MAGIC = b"\xff\xff\xff\xff"
FEATHER_1_MAGIC = b"FEA1"
UTF8_MARK = b"\xef\xbb\xbf"
BLANKS = b" \t\r\n"


class Content(NamedTuple):
    """The bytes of one input file, decompressed, and what they are: json, yaml, csv, arrow or parquet."""

    name: str
    format: str
    data: bytes | bytearray


def find(path: str) -> Iterator[str]:
    """The files that a path stands for: itself, or those below a directory with a known suffix, sorted."""
    if path == STDIN or not os.path.isdir(path):
        yield path
        return
    count = 0
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and plain_suffix(name) in SUFFIXES:
                count += 1
                if count > FILES_MAX:
                    raise InputError(
                        f"holds more than {FILES_MAX} files", file=path, expected="fewer, or one table"
                    )
                yield os.path.join(folder, name)
    if not count:
        raise InputError(
            "the directory holds no file to read", file=path, expected="names in " + ", ".join(SUFFIXES)
        )


def plain_suffix(name: str) -> str:
    """The suffix that tells the format, in lower case, without the one that tells the compression."""
    stem, suffix = os.path.splitext(name.lower())
    return os.path.splitext(stem)[1] if suffix in COMPRESSED_SUFFIXES else suffix


def read(path: str, stdin: BinaryIO | None = None) -> Content:
    """The whole content of a file or of standard input, decompressed; InputError where it cannot be had."""
    name = STDIN_NAME if path == STDIN else path
    try:
        if path == STDIN:
            data = _read_all(stdin if stdin is not None else sys.stdin.buffer, name)
        else:
            with open(path, "rb", buffering=0) as file:
                data = _read_all(file, name)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=name) from None
    except ValueError:
        raise InputError("is no path of a file", file=repr(name)) from None
    data = decompress(data, name)
    if not data.strip(BLANKS) if len(data) < CHUNK_BYTES else False:
        raise InputError("the file is empty", file=name, expected="manifests or a table")
    kind = format_of(data, plain_suffix(name))
    if kind in ("json", "yaml", "csv"):
        check_lines(data, name)
        if data.startswith(UTF8_MARK):
            data = data[len(UTF8_MARK) :]
    return Content(name, kind, data)


class _Growing:
    """Content that comes in pieces; it is refused as soon as it, or one line of text in it, is too much."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.content = bytearray()
        self.line_start = 0

    def add(self, piece: bytes) -> None:
        newline = piece.rfind(b"\n")
        if newline >= 0:
            self.line_start = len(self.content) + newline + 1
        self.content += piece
        if len(self.content) > FILE_BYTES_MAX:
            raise _too_large(self.name)
        if len(self.content) - self.line_start >= LINE_BYTES_MAX and not is_table(self.content):
            check_lines(self.content, self.name)


def _read_all(file: BinaryIO, name: str) -> bytes | bytearray:
    """Everything that the file gives, in one buffer, refused once it is too much."""
    expected = 0
    with suppress(OSError, AttributeError, ValueError):  # a stream in memory has no size to tell
        expected = os.fstat(file.fileno()).st_size
    if expected > FILE_BYTES_MAX:
        raise _too_large(name)
    growing = _Growing(name)
    if expected:
        data = file.read(expected)
        more = file.read(1)  # nothing, unless the file grows
        if not more and data is not None:
            return data
        growing.add((data or b"") + (more or b""))
    while chunk := file.read(CHUNK_BYTES):
        growing.add(chunk)
    return growing.content


def decompress(data: bytes | bytearray, name: str) -> bytes | bytearray:
    """The content without gzip or zstd around it, told by the first bytes; other content as it is."""
    if data[:2] == GZIP_MAGIC:
        return _gunzip(data, name)
    if data[:4] == ZSTD_MAGIC:
        return _unzstd(data, name)
    return data


def _gunzip(data: bytes | bytearray, name: str) -> bytearray:
    growing = _Growing(name)
    content = growing.content
    rest: bytes | bytearray | memoryview = memoryview(data)
    while rest:
        stream = zlib.decompressobj(wbits=31)
        while not stream.eof:
            try:
                piece = stream.decompress(rest, CHUNK_BYTES)
            except zlib.error as error:
                if content and bytes(rest[:2]) != GZIP_MAGIC and stream.unconsumed_tail == b"":
                    if not bytes(rest).strip(b"\0"):
                        return content  # padding after the last member, which gzip ignores as well
                raise InputError(f"the gzip data is damaged: {error}", file=name) from None
            growing.add(piece)
            rest = stream.unconsumed_tail
            if not piece and not rest and not stream.eof:
                raise InputError(f"the gzip data ends early, after {len(content)} bytes", file=name)
        rest = stream.unused_data
    return content


def _unzstd(data: bytes | bytearray, name: str) -> bytearray:
    import pyarrow as pa

    growing = _Growing(name)
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            while piece := stream.read(CHUNK_BYTES):
                growing.add(piece)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"the zstd data is damaged or ends early: {error}", file=name) from None
    return growing.content


def _too_large(name: str) -> InputError:
    return InputError(
        f"holds more than {size(FILE_BYTES_MAX)}",
        file=name,
        expected="several smaller files, or a Parquet table",
    )


def check_lines(data: bytes | bytearray, name: str) -> None:
    """No line of the text is as long as LINE_BYTES_MAX."""
    start = 0
    while len(data) - start >= LINE_BYTES_MAX:
        last = data.rfind(b"\n", start, start + LINE_BYTES_MAX)
        if last < 0:
            line = data.count(b"\n", 0, start) + 1
            raise InputError(
                f"line {line} is longer than {size(LINE_BYTES_MAX)}",
                file=name,
                expected="documents on lines of their own",
            )
        start = last + 1


def is_table(data: bytes | bytearray) -> bool:
    """True where the first bytes are those of Parquet or Arrow, which have no lines."""
    return data[:4] in (PARQUET_MAGIC, ARROW_STREAM_MAGIC, FEATHER_1_MAGIC) or data[:6] == ARROW_FILE_MAGIC


def format_of(data: bytes | bytearray, suffix: str) -> str:
    """The format by suffix and, where that is unknown, by the first bytes; magic numbers beat both."""
    if data[:4] == PARQUET_MAGIC:
        return "parquet"
    if data[:6] == ARROW_FILE_MAGIC or data[:4] in (ARROW_STREAM_MAGIC, FEATHER_1_MAGIC):
        return "arrow"
    formats: Sequence[tuple[tuple[str, ...], str]] = (
        (JSON_SUFFIXES, "json"),
        (YAML_SUFFIXES, "yaml"),
        (ARROW_SUFFIXES, "arrow"),
        (PARQUET_SUFFIXES, "parquet"),
        (CSV_SUFFIXES, "csv"),
    )
    by_suffix = next((name for suffixes, name in formats if suffix in suffixes), None)
    if by_suffix is not None:
        return by_suffix
    return _sniffed(data)


def _sniffed(data: bytes | bytearray) -> str:
    head = bytes(data[:65_536]).removeprefix(UTF8_MARK).lstrip(BLANKS)
    if head[:1] in (b"{", b"["):
        return "json"
    line = head.split(b"\n", 1)[0].strip()
    names = [name.strip(b'" ') for name in line.split(b",")]
    if b"name" in names and b":" not in line.replace(b"request:", b"").replace(b"allocatable:", b""):
        return "csv"
    return "yaml"
