"""A quantity as the fields of Go's struct, which tell how it was written: 128Mi and 134217728 are different ones.

Source: apimachinery pkg/api/resource/quantity.go (ParseQuantity), suffix.go of Kubernetes 1.36.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

INT64_MAX: Final = (1 << 63) - 1
DIGITS_MAX: Final = 18  # of the fast form (maxInt64Factors)
BINARY_DIGITS_MAX: Final = 15
NANO: Final = -9  # the smallest scale
DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_FORM: Final = re.compile(r"([+-]?)0*([0-9]*)(?:\.([0-9]*))?(.*)", re.ASCII)


class Parsed(NamedTuple):
    """``value`` times ten to the ``scale``; or, where ``is_big``, ``value`` by ten to the ``scale``, as an inf.Dec.

    ``text`` is what was read, where that is the canonical form.
    """

    value: int
    scale: int
    is_big: bool
    text: str
    form: str


def parsed(text: str) -> Parsed:
    """What Go makes of the text; ValueError where it is no quantity."""
    if text == "0":
        return Parsed(0, 0, False, "0", "DecimalSI")
    found = _FORM.fullmatch(text)
    assert found is not None
    sign, whole, fraction, suffix = found[1], found[2] or "0", found[3] or "", found[4]
    exponent, form = _suffix(suffix)
    shifted = int(whole + fraction)
    if form == "BinarySI":
        scale, mantissa = 0, 1 << exponent
        precision = -1 if fraction else BINARY_DIGITS_MAX - len(whole) - exponent * 3 // 10 - 1
    else:
        scale, mantissa = exponent, 1
        precision = DIGITS_MAX - len(whole) - len(fraction)
    scale -= len(fraction)
    value = shifted * mantissa
    if precision >= 0 and scale >= NANO and value <= INT64_MAX:
        if form == "BinarySI":
            is_canonical = exponent % 10 == 0 and shifted & 7 != 0
        else:
            digits = whole + fraction
            is_canonical = scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"
        return Parsed(-value if sign == "-" else value, scale, False, text if is_canonical else "", form)
    return _big(value, -scale, sign == "-", form)


def _suffix(suffix: str) -> tuple[int, str]:
    if suffix in DECIMAL:
        return DECIMAL[suffix], "DecimalSI"
    if suffix in BINARY:
        return BINARY[suffix], "BinarySI"
    if re.fullmatch("[eE][+-]?[0-9]+", suffix, re.ASCII):
        return int(suffix[1:]), "DecimalExponent"
    raise ValueError("no quantity")


def _big(value: int, scale: int, is_negative: bool, form: str) -> Parsed:
    """``value`` by ten to the ``scale``, rounded up to nanos, and no more than 2^63-1 where it is binary."""
    if value:
        shift = -NANO - scale
        value = value * 10**shift if shift >= 0 else -(-value // 10**-shift)
        scale = -NANO
    if form == "BinarySI":
        one = 10**scale
        if value > INT64_MAX * one:
            value, scale = INT64_MAX, 0
        elif 0 < value < one:
            form = "DecimalSI"
    return Parsed(-value if is_negative else value, scale, True, "", form)
