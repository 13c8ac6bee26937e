"""A template's text becomes items: literal text and the tokens inside its actions. Source: text/template/parse/lex.go."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from typing import Any, Final, NamedTuple

from kcore.hollow.gotemplate.errors import TemplateError

TEXT: Final = "text"
OPEN: Final = "open"  # an action begins
CLOSE: Final = "close"
FIELD: Final = "field"  # .name
VARIABLE: Final = "variable"  # $name
NAME: Final = "name"  # a function or keyword
CONSTANT: Final = "constant"  # string, number or character; value is Python's
MARK: Final = "mark"  # ( ) | , . := =

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<raw>`[^`]*`)
    |(?P<char>'(?:[^'\\\n]|\\.)[^'\n]*')
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?))
    |(?P<field>\.[^\W\d]\w*)
    |(?P<variable>\$\w*)
    |(?P<name>[^\W\d]\w*)
    |(?P<mark>:=|[()|,.=])
    """,
    re.VERBOSE,
)
_ESCAPES: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
SPACE: Final = " \t\r\n"


class Item(NamedTuple):
    """One item; ``spaced`` tells whether white space stood before it."""

    kind: str
    value: Any
    line: int
    spaced: bool = False


def items(text: str) -> Iterator[Item]:
    """The items of the text in order; TemplateError where an action is not closed or holds what no token is."""
    at, line, trim = 0, 1, False
    while True:
        start = text.find("{{", at)
        literal = text[at:] if start < 0 else text[at:start]
        said = line
        line += literal.count("\n")
        shown = literal.lstrip(SPACE) if trim else literal
        if start < 0:
            if shown:
                yield Item(TEXT, shown, said)
            return
        at, trimming = (
            start + 2,
            text[start + 2 : start + 3] == "-" and text[start + 3 : start + 4] in (*SPACE,),
        )
        if trimming:
            shown, at = shown.rstrip(SPACE), at + 2
        if shown:
            yield Item(TEXT, shown, said)
        at, line, trim = yield from _action(text, at, line)


def _action(text: str, at: int, line: int) -> Generator[Item, None, tuple[int, int, bool]]:
    """The items of one action; returns where it ended, at which line, and whether white space behind it goes."""
    if text.startswith("/*", at):
        return _comment(text, at, line)
    yield Item(OPEN, None, line)
    spaced = False
    while True:
        if text.startswith("}}", at):
            yield Item(CLOSE, None, line)
            return at + 2, line, False
        if spaced and text.startswith("-}}", at):
            yield Item(CLOSE, None, line)
            return at + 3, line, True
        found = _TOKEN.match(text, at)
        if found is None:
            if at >= len(text):
                raise TemplateError("unclosed action", line)
            if text[at] in "\"'`":
                raise TemplateError(f"unterminated {'raw ' if text[at] == '`' else ''}quoted string", line)
            raise TemplateError(f"unexpected {json.dumps(text[at], ensure_ascii=False)} in command", line)
        kind, raw = found.lastgroup or "", found[0]
        if kind == "space":
            spaced = True
        else:
            yield Item(*_token(kind, raw, line), line, spaced)
            spaced = False
        line += raw.count("\n")
        at = found.end()


def _comment(text: str, at: int, line: int) -> tuple[int, int, bool]:
    end = text.find("*/", at)
    if end < 0:
        raise TemplateError("unclosed comment", line)
    line += text.count("\n", at, end)
    if text.startswith("}}", end + 2):
        return end + 4, line, False
    if text[end + 2 : end + 3] in (*SPACE,) and text.startswith("-}}", end + 3):
        return end + 6, line, True
    raise TemplateError("comment ends before closing delimiter", line)


def _token(kind: str, raw: str, line: int) -> tuple[str, Any]:
    if kind == "string":
        return CONSTANT, _unquoted(raw[1:-1], line)
    if kind == "raw":
        return CONSTANT, raw[1:-1].replace("\r", "")
    if kind == "char":
        value = _unquoted(raw[1:-1], line)
        if len(value) != 1:
            raise TemplateError(f"malformed character constant: {raw}", line)
        return CONSTANT, ord(value)
    if kind == "number":
        return CONSTANT, _number(raw, line)
    if kind == "field":
        return FIELD, raw[1:]
    if kind == "variable":
        return VARIABLE, raw
    if kind == "name":
        return NAME, raw
    return MARK, raw


def _unquoted(body: str, line: int) -> str:
    def replaced(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] in "xuU" and len(code) > 1:
            return chr(int(code[1:], 16))
        if len(code) == 3:
            return chr(int(code, 8))
        if code not in _ESCAPES:
            raise TemplateError(f"invalid escape \\{code} in a string", line)
        return _ESCAPES[code]

    return _ESCAPE.sub(replaced, body)


def _number(raw: str, line: int) -> int | float:
    text = raw.replace("_", "")
    try:
        digits = text.lstrip("+-")
        if digits.isdigit() and len(digits) > 1 and digits[0] == "0":
            return int(text, 8)
        return int(text, 0)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        raise TemplateError(f"bad number syntax: {raw}", line) from None
    return int(value) if value.is_integer() and "." not in text else value
