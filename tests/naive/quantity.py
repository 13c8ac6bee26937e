"""Quantities as exact fractions. Source: apimachinery pkg/api/resource/quantity.go."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction

from kcore.api.objects import Quantity

NANO = Fraction(1, 10**9)
BINARY_MAX = Fraction(2**63 - 1)

_SYNTAX = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:\.(?P<decimals>[0-9]*))?"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]+))?",
    re.ASCII,
)
_SUFFIXES: dict[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}

ResourceList = dict[str, Fraction]


def parse_quantity(quantity: Quantity) -> Fraction:
    """The exact value; what is finer than a nano is rounded up in magnitude, as upstream does."""
    text = quantity if isinstance(quantity, str) else repr(quantity)
    match = _SYNTAX.fullmatch(text)
    if match is None or not (match["whole"] or match["decimals"]):
        raise ValueError(f"not a quantity: {text!r}")
    decimals = match["decimals"] or ""
    value = Fraction(int((match["whole"] or "") + decimals), 10 ** len(decimals))
    if match["suffix"]:
        value *= _SUFFIXES[match["suffix"]]
        if match["suffix"].endswith("i"):
            value = min(value, BINARY_MAX)
    elif match["exponent"]:
        value *= Fraction(10) ** int(match["exponent"])
    value = math.ceil(value / NANO) * NANO
    return -value if match["sign"] == "-" else value


def parse_resources(resources: Mapping[str, Quantity] | None) -> ResourceList:
    """A fresh list of exact quantities; nothing for None."""
    return {name: parse_quantity(quantity) for name, quantity in (resources or {}).items()}


def whole(value: Fraction) -> int:
    """``Quantity.Value()``: rounded up to whole units (away from zero)."""
    return math.ceil(value) if value >= 0 else math.floor(value)


def milli(value: Fraction) -> int:
    """``Quantity.MilliValue()``: rounded up to whole milli-units (away from zero)."""
    return whole(value * 1000)
