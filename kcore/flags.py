"""Flags as kube components take them: a name, a kind, a default and what it means; texts of a command line become values.

Source: spf13/pflag and component-base cli/flag of Kubernetes 1.36.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from kcore.api.durations import NS_PER_SECOND, duration_ns
from kcore.api.errors import InputError

ALONE: Final = frozenset({"bool", "version"})  # kinds of flags that without a value are true

Settings = dict[str, Any]


class Flag(NamedTuple):
    """One flag; ``kind`` names its reader in READERS."""

    name: str
    kind: str
    default: Any
    help: str


def seconds(text: str) -> float:
    """Seconds of a Go duration such as ``1h30m``."""
    found = duration_ns(text)
    if found is None or found < 0:
        raise ValueError("a duration such as 10m or 500ms")
    return found / NS_PER_SECOND


def boolean(text: str) -> bool:
    """As Go's ``strconv.ParseBool``."""
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise ValueError("true or false")


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isascii() or not text.isdigit():
        raise ValueError("a whole number that is not negative")
    return int(text)


def port(text: str) -> int:
    """The number of a port; 0 is a free one."""
    found = count(text)
    if found >= 1 << 16:
        raise ValueError("a port: 0 to 65535")
    return found


def address(text: str) -> str:
    """An IP address, or nothing."""
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise ValueError("an IP address") from None


def number(text: str) -> float:
    """A number, 0 or more."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise ValueError("a number that is not negative")
    return found


def texts(text: str) -> tuple[str, ...]:
    """Texts with commas between."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def switches(text: str) -> dict[str, bool]:
    """True or false by name; a name alone is true."""
    found: dict[str, bool] = {}
    for part in texts(text):
        name, separator, value = part.partition("=")
        found[name.strip()] = boolean(value.strip()) if separator else True
    return found


READERS: Final[dict[str, Callable[[str], Any]]] = {
    "text": str, "any": str, "texts": texts, "count": count, "number": number, "bool": boolean, "duration": seconds,
    "switches": switches, "port": port, "address": address,
}  # fmt: skip


def read(
    flags: Mapping[str, Flag],
    given: Mapping[str, str],
    readers: Mapping[str, Callable[[str], Any]] = READERS,
) -> Settings:
    """All settings by flag name; ``given`` are the texts of the command line. InputError for what cannot be."""
    settings: Settings = {name: flag.default for name, flag in flags.items()}
    for name, text in given.items():
        try:
            settings[name] = readers[flags[name].kind](text)
        except ValueError as error:
            raise InputError(f"cannot read {text!r}", field=f"--{name}", expected=str(error)) from None
    return settings
