"""Resource quantities ("500m", "1.5Gi", 2) are integers: exact nano-units, and Kubernetes' roundings of them.

The parser is compiled (kcore_native.quantity); the same few strings repeat over a cluster, so results are cached.
Source: Kubernetes apimachinery, pkg/api/resource/quantity.go.
"""

from __future__ import annotations

from functools import lru_cache

from kcore.api.errors import InputError
from kcore_native.quantity import parse_nano
from kcore_native.quantity_text import canonical as canonical_text

QUANTITIES_CACHED_MAX = 65_536  # distinct texts remembered; beyond it the least recently used is parsed again
SHOWN_CHARS_MAX = 60  # of a wrong quantity in an error message

INT64_MAX = (1 << 63) - 1
INT64_MIN = -(1 << 63)
NANO_PER_UNIT = 1_000_000_000
NANO_PER_MILLI = 1_000_000

DECIMAL_SUFFIXES = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
BINARY_SUFFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")

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


@lru_cache(maxsize=QUANTITIES_CACHED_MAX, typed=True)
def canonical(value: str | int | float) -> str:
    """The text that Go makes of the quantity (Quantity.String() of one that was parsed); ValueError where it is none."""
    return canonical_text(value.strip() if isinstance(value, str) else str(value))


@lru_cache(maxsize=QUANTITIES_CACHED_MAX, typed=True)
def canonical_in_milli(value: str | int | float) -> str:
    """The same, a remainder finer than milli-units rounded away from zero (SetDefaults_ResourceList)."""
    nanos = parse_quantity(value)
    if nanos % NANO_PER_MILLI == 0:
        return canonical(value)
    text = value.strip() if isinstance(value, str) else str(value)
    suffix = text.lstrip("+-0123456789.")
    milli = -(-nanos // NANO_PER_MILLI) if nanos >= 0 else nanos // NANO_PER_MILLI
    form = "exponent" if suffix[:1] in ("e", "E") and len(suffix) > 1 else "decimal"
    return _formatted(milli * NANO_PER_MILLI, form)


def decimal_text(nanos: int) -> str:
    """A computed quantity in decimal form, 1500m."""
    return _formatted(nanos, "decimal")


def binary_text(nanos: int) -> str:
    """A computed quantity in binary form, 1536Mi."""
    return _formatted(nanos, "binary")


def is_binary(value: str | int | float) -> bool:
    """True for a quantity that Go keeps in binary form: ``1Gi``."""
    return isinstance(value, str) and value.strip().endswith("i")


def _formatted(nanos: int, form: str) -> str:
    """CanonicalizeBytes."""
    if nanos == 0:
        return "0"
    if form == "binary" and nanos % NANO_PER_UNIT == 0 and abs(nanos) >= 1024 * NANO_PER_UNIT:
        units, power = nanos // NANO_PER_UNIT, 0
        while units % 1024 == 0 and power < len(BINARY_SUFFIXES) - 1:
            units, power = units // 1024, power + 1
        return f"{units}{BINARY_SUFFIXES[power]}"
    mantissa, exponent = nanos, -9
    while mantissa % 10 == 0:
        mantissa, exponent = mantissa // 10, exponent + 1
    while exponent % 3 or (form != "exponent" and exponent > 18):
        mantissa, exponent = mantissa * 10, exponent - 1
    if form == "exponent":
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{DECIMAL_SUFFIXES[exponent]}"


def _shown(value: str | int | float) -> str:
    if isinstance(value, int) and value.bit_length() > SHOWN_CHARS_MAX * 3:
        return "a huge integer"  # the text of one costs quadratic time
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 3] + "..."


def _rounded(nanos: int, divisor: int) -> int:
    value = -(-nanos // divisor) if nanos >= 0 else nanos // divisor
    return min(max(value, INT64_MIN), INT64_MAX)
