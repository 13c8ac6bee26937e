"""JSON text becomes documents: one, several on lines of their own, or several after one another."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from kcore.api.errors import InputError

Text = bytes | bytearray | memoryview

_RAW = msgspec.json.Decoder(msgspec.Raw)
# the decoder counts the trailing character as read
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_BYTE = re.compile(r"\(byte (\d+)\)")


def documents(data: bytes | bytearray, file: str) -> Iterator[Text]:
    """Each JSON document of the text, unread inside; InputError with the line where the text is malformed."""
    rest: Text = memoryview(data)
    start = 0
    while True:
        start += _blank_count(data, start)
        if start >= len(data):
            return
        rest = memoryview(data)[start:]
        end = len(data)
        try:
            _RAW.decode(rest)
        except msgspec.DecodeError as error:
            trailing = _TRAILING.search(str(error))
            if trailing is None:
                raise malformed(error, data, start, file) from None
            end = start + int(trailing[1]) - 1
        except (RecursionError, UnicodeError) as error:
            raise malformed(error, data, start, file) from None
        yield rest[: end - start]
        if end >= len(data):
            return
        yield from _lines_or_rest(data, end, file)
        return


def _lines_or_rest(data: bytes | bytearray, start: int, file: str) -> Iterator[Text]:
    """The documents after the first: all at once where each has its line, else one after another."""
    try:
        yield from [memoryview(raw) for raw in _LINES.decode_lines(memoryview(data)[start:])]
        return
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        pass  # not one to a line, or malformed: found out below, with its place
    view = memoryview(data)
    while True:
        start += _blank_count(data, start)
        if start >= len(data):
            return
        end = _document_end(data, start, file)
        yield view[start:end]
        start = end


_LINES = msgspec.json.Decoder(msgspec.Raw)
_WINDOW_BYTES = 65_536


def _document_end(data: bytes | bytearray, start: int, file: str) -> int:
    """Where the document at start ends; a window that doubles keeps many small documents linear."""
    window = _WINDOW_BYTES
    while True:
        stop = min(start + window, len(data))
        try:
            _RAW.decode(memoryview(data)[start:stop])
            if stop == len(data):
                return stop
        except msgspec.DecodeError as error:
            trailing = _TRAILING.search(str(error))
            if trailing is not None:
                return start + int(trailing[1]) - 1
            if stop == len(data) or "truncated" not in str(error):
                raise malformed(error, data, start, file) from None
        except (RecursionError, UnicodeError) as error:
            raise malformed(error, data, start, file) from None
        window *= 4


def _blank_count(data: bytes | bytearray, start: int) -> int:
    count = 0
    while start + count < len(data) and data[start + count] in b" \t\r\n":
        count += 1
    return count


def malformed(error: Exception, data: bytes | bytearray, start: int, file: str) -> InputError:
    """The decoder's complaint with the line it is about."""
    if isinstance(error, RecursionError):
        return InputError("the JSON is nested too deeply", file=file, document=_line(data, start))
    if isinstance(error, UnicodeError):
        return InputError("the text is not UTF-8", file=file)
    text = str(error)
    found = _BYTE.search(text)
    position = start + int(found[1]) if found else len(data)
    problem = _BYTE.sub("", text).removeprefix("JSON is malformed: ").strip()
    if "truncated" in problem:
        problem = "it ends early"
    return InputError(f"the JSON is malformed: {problem}", file=file, document=_line(data, position))


def _line(data: bytes | bytearray, position: int) -> str:
    line = data.count(b"\n", 0, position) + 1
    return f"line {line}"
