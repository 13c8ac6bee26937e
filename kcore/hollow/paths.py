"""The jq of stage files that is no more than a path becomes closures, a hundred times faster than jq itself.

``.a.b``, ``.a["b"]``, ``.a[0]``, ``.a.[]``, ``.a[]``, ``select(PATH == LITERAL)`` and pipes of them. All other jq is jq's
own to answer (``kcore.hollow.expressions``), which is this module's slow twin.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

Step = Callable[[list[Any]], list[Any]]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")|(?P<number>\d+)
    |(?P<name>[A-Za-z_]\w*)|(?P<mark>\|\s*|==|!=|\.|\[|\]|\(|\)))""",
    re.VERBOSE,
)
_CONSTANTS: Final = {"true": True, "false": False, "null": None}


class Stuck(Exception):
    """The path asks of a value what it has not: jq's error."""


class _NoPath(Exception):
    """This is more than a path."""


def compile_path(text: str) -> Callable[[Any], list[Any]] | None:
    """The values of an object along the path, an empty list where jq would fail; None where the text is no path."""
    try:
        steps = _Reader(text).pipeline()
    except _NoPath:
        return None
    if len(steps) == 1 and isinstance(steps[0], _Keys):
        return steps[0].single

    def values(obj: Any) -> list[Any]:
        found = [obj]
        try:
            for step in steps:
                found = step(found)
        except Stuck:
            return []
        return [each for each in found if each is not None]

    return values


class _Keys:
    """The value below those keys."""

    def __init__(self, keys: tuple[Any, ...]) -> None:
        self.keys = keys

    def single(self, obj: Any) -> list[Any]:
        """For the one path without iteration."""
        value = obj
        for key in self.keys:
            if type(value) is dict and type(key) is str:
                value = value.get(key)
            elif value is None:
                return []
            else:
                try:
                    value = _below(value, key)
                except Stuck:
                    return []
        return [] if value is None else [value]

    def __call__(self, values: list[Any]) -> list[Any]:
        found = []
        for value in values:
            for key in self.keys:
                value = _below(value, key)
            found.append(value)
        return found


def _below(value: Any, key: Any) -> Any:
    if value is None:
        return None
    if isinstance(key, str):
        if not isinstance(value, dict):
            raise Stuck
        return value.get(key)
    if not isinstance(value, list):
        raise Stuck
    return value[key] if key < len(value) else None


def _each(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if isinstance(value, dict):
            found.extend(value[key] for key in sorted(value))
        elif isinstance(value, list):
            found.extend(value)
        else:
            raise Stuck
    return found


def _select(steps: list[Step], literal: Any, negated: bool) -> Step:
    def chosen(values: list[Any]) -> list[Any]:
        found = []
        for value in values:
            inner = [value]
            for step in steps:
                inner = step(inner)
            found += [value for each in inner if _same(each, literal) != negated]
        return found

    return chosen


def _same(value: Any, literal: Any) -> bool:
    if isinstance(value, bool) or isinstance(literal, bool):
        return value is literal
    return bool(value == literal)


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, Any]] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None or found.end() == at:
                raise _NoPath
            kind = found.lastgroup or ""
            raw = found[kind].strip()
            value: Any = raw
            if kind == "string":
                value = json.loads(raw)
            elif kind == "number":
                value = int(raw)
            tight = found.start(kind) == at
            self._tokens.append((kind if tight or kind != "name" else "word", value))
            at = found.end()
        self._at = 0

    def _peek(self) -> tuple[str, Any]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", None)

    def _take(self, value: str) -> bool:
        if self._peek() == ("mark", value):
            self._at += 1
            return True
        return False

    def pipeline(self, close: str = "") -> list[Step]:
        """Steps up to the end, or to the mark that closes."""
        steps = self._term()
        while True:
            if not self._peek()[0] and not close:
                return steps
            if self._take("|"):
                steps += self._term()
            else:
                raise _NoPath

    def _term(self) -> list[Step]:
        kind, value = self._peek()
        if kind in ("name", "word") and value == "select":
            self._at += 1
            return [self._selection()]
        return self._path()

    def _selection(self) -> Step:
        if not self._take("("):
            raise _NoPath
        steps = self._path()
        negated = self._take("!=")
        if not negated and not self._take("=="):
            raise _NoPath
        kind, value = self._peek()
        if kind in ("name", "word"):
            if value not in _CONSTANTS:
                raise _NoPath
            value = _CONSTANTS[value]
        elif kind not in ("string", "number"):
            raise _NoPath
        self._at += 1
        if not self._take(")"):
            raise _NoPath
        return _select(steps, value, negated)

    def _path(self) -> list[Step]:
        if not self._take("."):
            raise _NoPath
        steps: list[Step] = []
        keys: list[Any] = []
        dotted = True
        while True:
            kind, value = self._peek()
            if dotted and kind in ("name", "string"):
                self._at += 1
                keys.append(value)
            elif self._take("["):
                if self._take("]"):
                    if keys:
                        steps.append(_Keys(tuple(keys)))
                    steps.append(_each)
                    keys = []
                else:
                    kind, value = self._peek()
                    self._at += 1
                    if kind not in ("string", "number") or not self._take("]"):
                        raise _NoPath
                    keys.append(value)
            elif dotted and (steps or keys):
                raise _NoPath  # a dot with nothing behind it
            elif dotted:
                break  # `.` alone
            dotted = self._take(".")
            if not dotted and self._peek() != ("mark", "["):
                break
        if keys or not steps:
            steps.append(_Keys(tuple(keys)))
        return steps
