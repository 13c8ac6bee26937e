# cython: language_level=3
"""A Kubernetes resource quantity is written as Go writes it after parsing it: mostly, but not always, canonically.

Source: Kubernetes apimachinery, pkg/api/resource/quantity.go (ParseQuantity, CanonicalizeBytes), suffix.go, amount.go.
Go keeps the text it read where a quick look finds nothing to change (``1.500``, ``+1``), and so does this.
"""

import re

from cpython.unicode cimport PyUnicode_AsUTF8AndSize

CHARS_MAX = 1024  # characters of one quantity; more is refused
EXPONENT_MAX = 1000  # decimal exponent of a quantity; more is refused

FORMAT_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
NUMERIC = "unable to parse numeric part of quantity"
SUFFIX = "unable to parse quantity's suffix"

cdef enum:
    DECIMAL_DIGITS_MAX = 15  # a shorter decimal number takes Go's quick way whatever its suffix
    BINARY_DIGITS_MAX = 3

cdef object PARTS = re.compile(r"([+-]?)0*([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
cdef dict DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
cdef dict BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
cdef dict DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in DECIMAL.items()}
cdef dict BINARY_SUFFIX = {exponent: suffix for suffix, exponent in BINARY.items()}
cdef object INT64_MAX = 0x7FFFFFFFFFFFFFFF
cdef object TEN = 10  # an object, lest TEN**n become C's pow() on doubles


cdef bint is_canonical(const char *text, Py_ssize_t length) noexcept nogil:
    """True where the text is surely what Go would write: a short whole number, as large a suffix as there can be."""
    cdef Py_ssize_t digits = 0
    cdef long value = 0
    if length == 1 and text[0] == c'0':
        return True
    while digits < length and text[digits] >= c'0' and text[digits] <= c'9' and digits <= DECIMAL_DIGITS_MAX:
        value = value * 10 + (text[digits] - c'0')
        digits += 1
    if digits == 0 or digits > DECIMAL_DIGITS_MAX or text[0] == c'0':
        return False
    if length - digits == 2:
        if text[digits + 1] != c'i' or digits > BINARY_DIGITS_MAX:
            return False
        return text[digits] == c'K' or text[digits] == c'M' or text[digits] == c'G' or text[digits] == c'T' \
            or text[digits] == c'P'
    if length - digits == 1:
        if not (text[digits] == c'm' or text[digits] == c'k' or text[digits] == c'M' or text[digits] == c'G'
                or text[digits] == c'T' or text[digits] == c'u' or text[digits] == c'n'):
            return False
    elif length != digits:
        return False
    return value % 1000 != 0


cdef object exponent_of(str suffix):
    """Base, exponent and format (``m`` SI, ``i`` binary, ``e`` exponent) of a suffix; ValueError where it is none."""
    if suffix in DECIMAL:
        return 10, DECIMAL[suffix], "m"
    if suffix in BINARY:
        return 2, BINARY[suffix], "i"
    if suffix[:1] in ("e", "E") and re.fullmatch(r"[+-]?[0-9]+", suffix[1:]):
        exponent = int(suffix[1:])
        if abs(exponent) > EXPONENT_MAX:
            raise ValueError(f"has an exponent beyond {EXPONENT_MAX}")
        return 10, exponent, "e"
    raise ValueError(SUFFIX)


cdef str decimal_text(object amount, object exponent, str form):
    """``amount * 10^exponent``, not zero, with the largest exponent that is a multiple of three."""
    negative = amount < 0
    amount = -amount if negative else amount
    while amount % 10 == 0:
        amount //= 10
        exponent += 1
    while exponent % 3:
        amount *= 10
        exponent -= 1
    if form == "e":
        suffix = f"e{exponent}" if exponent else ""
    else:
        suffix = DECIMAL_SUFFIX.get(exponent, "")  # beyond E Go writes no suffix, and so do we
    return f"{'-' if negative else ''}{amount}{suffix}"


cdef str binary_text(object amount):
    """A whole number, not zero, with the largest binary suffix."""
    negative = amount < 0
    amount = -amount if negative else amount
    exponent = 0
    while amount % 1024 == 0:
        amount //= 1024
        exponent += 10
    return f"{'-' if negative else ''}{amount}{BINARY_SUFFIX.get(exponent, '')}"


cdef str rewritten(str text):
    match = PARTS.fullmatch(text)
    if match is None:
        raise ValueError(FORMAT_WRONG)
    sign, num, denom, suffix = match.groups()
    if not num and denom is None and not suffix:  # Go stops at the last zero, or at the end of a bare sign
        return "0"
    num = num or "0"
    denom = denom or ""
    base, exponent, form = exponent_of(suffix)
    shifted = num + denom
    digits = int(shifted)
    if form == "i":
        quick = not denom and 15 - len(num) - int(exponent * 3 / 10) - 1 >= 0
        scale = 0
        value = digits << exponent if quick else digits
    else:
        quick = 18 - len(shifted) >= 0
        scale = exponent
        value = digits
    scale -= len(denom)
    if quick and scale >= -9 and value <= INT64_MAX:
        if form == "i":
            if digits & 7:
                return text
        elif scale % 3 == 0 and not shifted.endswith("000") and shifted[0] != "0":
            return text
    if digits == 0:
        if (not quick or scale < -9) and not any([char.isdigit() for char in text[: len(text) - len(suffix)]]):
            raise ValueError(NUMERIC)
        return "0"
    # the exact value in nano-units, a finer remainder away from zero
    places = exponent - len(denom) if base == 10 else -len(denom)
    amount = digits << exponent if base == 2 else digits
    if places < -9:
        amount, remainder = divmod(amount, TEN ** (-9 - places))
        amount += bool(remainder)
        places = -9
    if form == "i":
        if amount > INT64_MAX * TEN ** -places:
            amount, places = INT64_MAX, 0
        unit = TEN ** -places
        if amount < 1024 * unit or amount % unit:
            form = "m"
        else:
            return binary_text(-(amount // unit) if sign == "-" else amount // unit)
    return decimal_text(-amount if sign == "-" else amount, places, form)


cpdef str canonical(str text):
    """The text that Go writes for the quantity it reads here; ValueError, in Go's words, where it reads none."""
    cdef Py_ssize_t length = 0
    cdef const char *chars = PyUnicode_AsUTF8AndSize(text, &length)
    if is_canonical(chars, length):
        return text
    if length == 0:
        raise ValueError(FORMAT_WRONG)
    if length > CHARS_MAX:
        raise ValueError(f"is longer than {CHARS_MAX} characters")
    return rewritten(text)
