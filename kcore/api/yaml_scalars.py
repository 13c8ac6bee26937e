"""The type of a plain YAML scalar as go-yaml 2 resolves it, which kubectl and the API server read YAML by.

The core types of YAML 1.1 (``yes``, ``on`` and ``y`` are true, ``010`` is eight) without timestamps and sexagesimals.
"""

from __future__ import annotations

import re
from typing import Any

TRUE = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
FALSE = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
NULL = ("", "~", "null", "Null", "NULL")
INFINITE = tuple(f"{sign}.{text}" for sign in ("", "+", "-") for text in ("inf", "Inf", "INF"))
NOT_A_NUMBER = (".nan", ".NaN", ".NAN")

KEYWORDS: dict[str, Any] = {
    **dict.fromkeys(TRUE, True),
    **dict.fromkeys(FALSE, False),
    **dict.fromkeys(NULL),
    **{text: float("-inf" if text[0] == "-" else "inf") for text in INFINITE},
    **dict.fromkeys(NOT_A_NUMBER, float("nan")),
}
NUMBER_STARTS = frozenset("+-.0123456789")
INTEGER = re.compile(
    r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]([0-7]+)|0([0-7]+)|([1-9][0-9]*|0))", re.ASCII
)
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
INTEGER_BASES = (16, 2, 8, 8, 10)
UINT64_MAX, INT64_MIN = (1 << 64) - 1, -(1 << 63)


def typed(text: str) -> Any:
    """The value of a plain scalar as go-yaml 2 resolves it."""
    if text in KEYWORDS:
        return KEYWORDS[text]
    if text[0] not in NUMBER_STARTS:
        return text
    number = text.replace("_", "")
    match = INTEGER.fullmatch(number)
    if match is not None and len(number) <= 70:
        digits, base = next(
            (group, base)
            for group, base in zip(match.groups()[1:], INTEGER_BASES, strict=True)
            if group is not None
        )
        value = int(digits, base)
        value = -value if match[1] == "-" else value
        if INT64_MIN <= value <= UINT64_MAX:
            return value
    if FLOAT.fullmatch(number) is not None:
        return float(number)
    return text
