"""A value of the wrong type is reported by its full path, itself, and what would be right, in the user's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kcore.api.errors import InputError
from kcore.sources.limits import shown

_MESSAGE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_PATH = re.compile(r"`\$?([^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")

NOUNS = {
    "str": "text",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "object": "a mapping",
    "array": "a list",
}


def noun(value: Any) -> str:
    """What kind of value it is, in words."""
    return NOUNS.get(type_name(value), type(value).__name__)


def type_name(value: Any) -> str:
    """The value's type by the name that msgspec gives it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str | int | float):
        return next(type_.__name__ for type_ in (str, int, float) if isinstance(value, type_))
    if isinstance(value, Mapping):
        return "object"
    return "array" if isinstance(value, list | tuple) else type(value).__name__


def type_error(message: str, value: Any) -> InputError:
    """msgspec's complaint about a parsed object as an InputError; ``steps`` of the path go by :func:`path_of`."""
    match = _MESSAGE.search(message)
    steps = path_of(message, value)
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    if match is None:
        return InputError(message.split(" - at", maxsplit=1)[0], field=field or None)
    wanted = [NOUNS.get(name.strip(), name.strip()) for name in match[1].split("|") if name.strip() != "null"]
    expected = " or ".join(dict.fromkeys(wanted))
    if "`key` in" in message:
        return InputError("a key is no text", field=field or None, expected=expected)
    found = value
    for step in steps:
        found = found[step]
    got = noun(found)
    return InputError(
        f"is {got}"
        if isinstance(found, Mapping | list | tuple) or found is None
        else f"is {got}, {shown(found)}",
        field=field or None,
        expected=expected,
    )


def path_of(message: str, value: Any) -> list[str | int]:
    """The path in msgspec's message, with each ``[...]`` replaced by the first key whose value is the wrong one."""
    place = _PATH.search(message)
    steps = _STEP.findall(place[1]) if place else []
    match = _MESSAGE.search(message)
    return _located(value, steps, match[2] if match else "") or []


def _located(value: Any, steps: list[tuple[str, str]], got: str) -> list[str | int] | None:
    """The concrete steps that lead to a value of type ``got``; None where there are none."""
    if not steps:
        return [] if not got or type_name(value) == got else None
    (name, index), rest = steps[0], steps[1:]
    choices: list[str | int]
    if name:
        choices = [name] if isinstance(value, Mapping) and name in value else []
    elif index == "...":
        choices = list(value) if isinstance(value, Mapping) else list(range(len(value)))
    else:
        choices = [int(index)] if isinstance(value, list | tuple) and int(index) < len(value) else []
    for choice in choices:
        found = _located(value[choice], rest, got)
        if found is not None:
            return [choice, *found]
    return None
