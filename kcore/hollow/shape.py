"""Reading one object of a configuration file: each field of the kind it should be, unknown ones named."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from kcore.api.errors import InputError


class Shape:
    """An object and where it stands. Each getter takes a field once; ``end`` refuses what nobody took."""

    def __init__(self, value: Any, field: str) -> None:
        if not isinstance(value, dict):
            raise InputError(f"{_kind(value)} where an object belongs", field=field or None)
        self._value = value
        self._field = field
        self._taken: set[str] = set()

    def place(self, name: str) -> str:
        """The field's full path."""
        return f"{self._field}.{name}" if self._field else name

    def raw(self, name: str) -> Any:
        """The field as it is, None where it is not there."""
        self._taken.add(name)
        return self._value.get(name)

    def wrong(self, name: str, problem: str, expected: str) -> InputError:
        """The error about that field."""
        return InputError(problem, field=self.place(name), expected=expected)

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        found: str = self._of(name, str, "a string", default)
        return found

    def needed(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if not value:
            raise self.wrong(name, "is missing", "a string")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        found: bool = self._of(name, bool, "true or false", False)
        return found

    def number(self, name: str) -> int | None:
        """A whole number that is not negative, None where it is not there."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.wrong(name, f"{value!r} is no whole number from 0", "a whole number from 0")
        return value

    def _of(self, name: str, kind: type, expected: str, default: Any) -> Any:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise self.wrong(name, f"{value!r:.60} is {_kind(value)}", expected)
        return value

    def shape(self, name: str) -> Shape | None:
        """An object, None where it is not there."""
        value = self.raw(name)
        return None if value is None else Shape(value, self.place(name))

    def items(self, name: str) -> list[Any]:
        """A list, empty where it is not there."""
        found: list[Any] = self._of(name, list, "a list", [])
        return found

    def shapes(self, name: str) -> Iterator[Shape]:
        """The objects of a list."""
        for index, value in enumerate(self.items(name)):
            yield Shape(value, f"{self.place(name)}[{index}]")

    def texts(self, name: str) -> tuple[str, ...]:
        """The strings of a list."""
        for index, value in enumerate(self.items(name)):
            if not isinstance(value, str):
                raise self.wrong(f"{name}[{index}]", f"{value!r:.60} is {_kind(value)}", "a string")
        return tuple(self._value.get(name) or ())

    def pairs(self, name: str) -> dict[str, str] | None:
        """An object of strings, None where it is not there."""
        value: dict[str, str] | None = self._of(name, dict, "an object", None)
        for key, each in (value or {}).items():
            if not isinstance(each, str):
                raise self.wrong(f"{name}[{key!r}]", f"{each!r:.60} is {_kind(each)}", "a string")
        return value

    def one_of(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        """A string of those."""
        value = self.text(name, default)
        if value not in (*allowed, default):
            raise self.wrong(name, f"{value!r} is not supported", f"one of {', '.join(allowed)}")
        return value

    def end(self) -> None:
        """Nothing is left over."""
        for name in self._value:
            if name not in self._taken:
                near = difflib.get_close_matches(str(name), self._taken, 1)
                expected = near[0] if near else f"one of {', '.join(sorted(self._taken))}"
                raise InputError("is no field of this object", field=self.place(str(name)), expected=expected)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if value is None:
        return "nothing"
    return {"str": "a string", "list": "a list", "dict": "an object"}.get(type(value).__name__, "no JSON")
