"""Resource quantities ("500m", "1.5Gi", 2) are integers: exact nano-units, and Kubernetes' roundings of them.

The parser is compiled (kcore_native.quantity); the same few strings repeat over a cluster, so results are cached.
Source: Kubernetes apimachinery, pkg/api/resource/quantity.go.
"""

from __future__ import annotations

from functools import lru_cache

from kcore.api.errors import InputError
from kcore_native.quantity import parse_nano

QUANTITIES_CACHED_MAX = 65_536  # distinct texts remembered; beyond it the least recently used is parsed again
SHOWN_CHARS_MAX = 60  # of a wrong quantity in an error message

INT64_MAX = (1 << 63) - 1
INT64_MIN = -(1 << 63)
NANO_PER_UNIT = 1_000_000_000
NANO_PER_MILLI = 1_000_000

EXPECTED = 'a number with an optional suffix n u m k M G T P E, Ki Mi Gi Ti Pi Ei or an exponent, e.g. "500m", "1.5Gi"'


@lru_cache(maxsize=QUANTITIES_CACHED_MAX, typed=True)
def parse_quantity(value: str | int | float) -> int:
    """The exact value in nano-units, a finer remainder rounded away from zero; InputError where it is no quantity.

    Binary quantities are capped at 2^63-1 units, as in Kubernetes; decimal ones are not.
    """
    try:
        return parse_nano(value)
    except ValueError as error:
        shown = _shown(value)
        detail = str(error) if not isinstance(error, UnicodeError) else "is not a quantity"
        reason = "" if detail == "is not a quantity" else f": it {detail}"
        raise InputError(f"{shown} is not a quantity{reason}", expected=EXPECTED) from None


def milli_value(nanos: int) -> int:
    """Milli-units, a remainder rounded away from zero, saturated at int64 (Quantity.MilliValue())."""
    return _rounded(nanos, NANO_PER_MILLI)


def unit_value(nanos: int) -> int:
    """Whole units, a remainder rounded away from zero, saturated at int64 (Quantity.Value())."""
    return _rounded(nanos, NANO_PER_UNIT)


def _shown(value: str | int | float) -> str:
    if isinstance(value, int) and value.bit_length() > SHOWN_CHARS_MAX * 3:
        return "a huge integer"  # the text of one costs quadratic time
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 3] + "..."


def _rounded(nanos: int, divisor: int) -> int:
    value = -(-nanos // divisor) if nanos >= 0 else nanos // divisor
    return min(max(value, INT64_MIN), INT64_MAX)
