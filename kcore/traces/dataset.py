"""What a named dataset is: its parameters with units, where it comes from, and the function that makes or loads it.

Also the files that its publisher offers, which ``kcore datasets fetch`` downloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kcore.api.errors import InputError

Value = str | int | float


@dataclass(frozen=True)
class Parameter:
    """One keyword of a dataset's function; the type of ``default`` is the type that texts are read as."""

    name: str
    default: Value
    unit: str
    description: str
    choices: tuple[str, ...] = ()
    least: float = 0
    most: float = 10_000_000

    def read(self, given: Value) -> Value:
        """The value in the parameter's type and bounds; InputError with the field's name where it cannot be."""
        kind = type(self.default)
        expected = self.expected()
        if isinstance(given, bool):
            raise InputError(f"{given!r} is no value", field=self.name, expected=expected)
        try:
            value = kind(given) if kind is not int or isinstance(given, str) else _whole(given)
        except (ValueError, OverflowError):
            raise InputError(f"{given!r} is no value", field=self.name, expected=expected) from None
        if isinstance(value, str):
            if self.choices and value not in self.choices:
                raise InputError(f"{value!r} is not known", field=self.name, expected=expected)
        elif not self.least <= value <= self.most:
            raise InputError(f"{value} is out of range", field=self.name, expected=expected)
        return value

    def expected(self) -> str:
        """What would be right, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if isinstance(self.default, str):
            return "a text"
        noun = "a whole number" if isinstance(self.default, int) else "a number"
        return f"{noun} from {self.least:g} to {self.most:.15g}"


@dataclass(frozen=True)
class PublishedFile:
    """A file where its publisher offers it."""

    url: str
    size: int  # bytes; about, where ``sha256`` is unknown. No more than twice as many are taken
    sha256: str = ""  # as the publisher states it; empty: recorded at the first download
    by_default: bool = True  # False: fetched only when asked for by name

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Dataset:
    """A generator (made up from a seed) or a loader (a public trace read from local files)."""

    name: str
    form: str  # "generator" | "loader"
    description: str  # one line
    parameters: tuple[Parameter, ...]
    source: str
    licence: str
    home: str  # "module:function", imported when the dataset is first asked for; gives ClusterObjects or a Trace
    trace: str = ""  # the function that gives a Trace, where it is another one
    files: tuple[PublishedFile, ...] = ()  # at the publisher's

    def arguments(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """Every parameter with its value, given or default; InputError for unknown names and wrong values."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                raise InputError(
                    f"{self.name} has no parameter {name!r}",
                    field=name,
                    expected="one of " + ", ".join(known),
                )
        return {
            name: parameter.read(given[name]) if name in given else parameter.default
            for name, parameter in known.items()
        }


def _whole(given: int | float) -> int:
    if given != int(given):
        raise ValueError
    return int(given)
