# cython: language_level=3
"""A Kubernetes resource quantity is read to its exact value in nano-units.

Source: Kubernetes apimachinery, pkg/api/resource/quantity.go (ParseQuantity) and suffix.go. What Go accepts beside
the documented grammar is accepted too: an absent number is zero (``.``, ``+``, ``Mi``). Two limits are ours, so that
no text costs more memory than it has characters to spend: CHARS_MAX and EXPONENT_MAX.
"""

from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint64_t

CHARS_MAX = 1024  # characters of one quantity; more is refused
EXPONENT_MAX = 1000  # decimal exponent of a non-zero quantity; more is refused, less is the smallest quantity

cdef enum:
    FAST_DIGITS_MAX = 18  # as many decimal digits fit any uint64
    NANO_DIGITS = 9
    SATURATED_EXPONENT = 1000000000  # stands for every larger exponent

cdef object TEN = 10  # an object, lest TEN**n become C's pow() on doubles
cdef object NANO = 10**9
cdef object BINARY_CAP_NANO = 0x7FFFFFFFFFFFFFFF * NANO  # Go caps a binary quantity at the largest int64

cdef uint64_t[19] POWER
cdef int _power_index
POWER[0] = 1
for _power_index in range(1, 19):
    POWER[_power_index] = POWER[_power_index - 1] * 10


cdef inline bint is_digit(char c) noexcept nogil:
    return c >= c'0' and c <= c'9'


cdef bint read_suffix(const char *text, Py_ssize_t length, int *base, int64_t *exponent) noexcept nogil:
    """True, with base (2 or 10) and exponent filled in, where the text is a suffix; the empty one is 10^0."""
    cdef int64_t value = 0
    cdef Py_ssize_t i = 1
    cdef bint negative = False
    base[0] = 10
    exponent[0] = 0
    if length == 0:
        return True
    if length == 1:
        if text[0] == c'm':
            exponent[0] = -3
        elif text[0] == c'k':
            exponent[0] = 3
        elif text[0] == c'M':
            exponent[0] = 6
        elif text[0] == c'G':
            exponent[0] = 9
        elif text[0] == c'T':
            exponent[0] = 12
        elif text[0] == c'P':
            exponent[0] = 15
        elif text[0] == c'E':
            exponent[0] = 18
        elif text[0] == c'u':
            exponent[0] = -6
        elif text[0] == c'n':
            exponent[0] = -9
        else:
            return False
        return True
    if length == 2 and text[1] == c'i':
        base[0] = 2
        if text[0] == c'K':
            exponent[0] = 10
        elif text[0] == c'M':
            exponent[0] = 20
        elif text[0] == c'G':
            exponent[0] = 30
        elif text[0] == c'T':
            exponent[0] = 40
        elif text[0] == c'P':
            exponent[0] = 50
        elif text[0] == c'E':
            exponent[0] = 60
        else:
            return False
        return True
    if text[0] != c'e' and text[0] != c'E':
        return False
    if text[1] == c'-' or text[1] == c'+':
        negative = text[1] == c'-'
        i = 2
    if i == length:
        return False
    while i < length:
        if not is_digit(text[i]):
            return False
        if value < SATURATED_EXPONENT:
            value = value * 10 + (text[i] - c'0')
        i += 1
    exponent[0] = -value if negative else value
    return True


cdef object scaled(object mantissa, int64_t places, int base, int64_t exponent):
    """mantissa * base^exponent / 10^places in nano-units, a remainder rounded up; mantissa is not negative."""
    cdef object nanos, remainder
    cdef int64_t shift = NANO_DIGITS - places
    if base == 2:
        mantissa = mantissa << <object>exponent
    else:
        shift += exponent
    if shift >= 0:
        nanos = mantissa * TEN ** <object>shift
    elif -shift > CHARS_MAX + EXPONENT_MAX:
        nanos = 1  # more places than the mantissa has digits
    else:
        nanos, remainder = divmod(mantissa, TEN ** <object>(-shift))
        if remainder:
            nanos += 1
    if base == 2 and nanos > BINARY_CAP_NANO:
        return BINARY_CAP_NANO
    return nanos


cdef object parse_text(str value):
    """The quantity in nano-units; ValueError says what of the text is wrong."""
    cdef Py_ssize_t length = 0, i = 0, first, digit_count
    cdef const char *text = PyUnicode_AsUTF8AndSize(value, &length)
    cdef bint negative = False
    cdef uint64_t mantissa = 0
    cdef int64_t places = 0, exponent = 0, shift
    cdef int base = 10
    cdef object nanos
    if length == 0:
        raise ValueError("is empty")
    if length > CHARS_MAX:
        raise ValueError(f"is longer than {CHARS_MAX} characters")
    if text[0] == c'-' or text[0] == c'+':
        negative = text[0] == c'-'
        i = 1
    while i < length and text[i] == c'0':
        i += 1
    first = i
    while i < length and is_digit(text[i]):
        mantissa = mantissa * 10 + <uint64_t>(text[i] - c'0')  # may wrap; then digit_count refuses the fast path
        i += 1
    digit_count = i - first
    if i < length and text[i] == c'.':
        i += 1
        while i < length and is_digit(text[i]):
            mantissa = mantissa * 10 + <uint64_t>(text[i] - c'0')
            i += 1
            places += 1
        digit_count += places
    if not read_suffix(text + i, length - i, &base, &exponent):
        raise ValueError("is not a quantity")

    if digit_count <= FAST_DIGITS_MAX:
        if mantissa == 0:
            return 0
        shift = NANO_DIGITS - places
        if base == 10:
            shift += exponent
            if 0 <= shift <= FAST_DIGITS_MAX and mantissa <= <uint64_t>0x7FFFFFFFFFFFFFFF / POWER[shift]:
                return -<int64_t>(mantissa * POWER[shift]) if negative else <int64_t>(mantissa * POWER[shift])
        nanos = mantissa
    else:
        nanos = int(value[first : i].replace(".", ""))
        if nanos == 0:
            return 0
    if exponent > EXPONENT_MAX:
        raise ValueError(f"has an exponent beyond {EXPONENT_MAX}")
    nanos = scaled(nanos, places, base, exponent)
    return -nanos if negative else nanos


def parse_nano(value) -> int:
    """The exact quantity in nano-units, a finer remainder rounded away from zero; ValueError where it is none.

    ``value`` is text as in a manifest, or the number that JSON or YAML made of it (taken as its own text).
    """
    if type(value) is str:
        return parse_text(value)
    if type(value) is int:
        if value.bit_length() > 3 * CHARS_MAX:
            raise ValueError(f"is longer than {CHARS_MAX} characters")
        return value * NANO
    if type(value) is float:
        return parse_text(repr(value))
    if isinstance(value, str):
        return parse_text(str(value))
    raise ValueError("is not a quantity")
