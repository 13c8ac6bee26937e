# cython: language_level=3
"""Times as Kubernetes writes them, to seconds since 1970 and back.

Source: Kubernetes apimachinery, pkg/apis/meta/v1/time.go, time_proto.go, micro_time_proto.go; dates by Howard
Hinnant's days_from_civil.
"""

from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeASCII
from libc.stdint cimport int32_t, int64_t

ZERO_TIME_SECONDS = -62135596800  # 0001-01-01T00:00:00Z: Go's zero time
cdef int64_t SECONDS_MIN = -62167219200  # 0000-01-01T00:00:00Z
cdef int64_t SECONDS_MAX = 253402300799  # 9999-12-31T23:59:59Z


cdef inline void put_digits(char *text, int count, int64_t number) noexcept nogil:
    """The number in that many digits."""
    while count > 0:
        count -= 1
        text[count] = <char>(c'0' + number % 10)
        number //= 10


cdef object time_text(int64_t seconds, int64_t nanos, bint micro):
    """RFC 3339 in UTC, with six decimals for a MicroTime; None for Go's zero time; ValueError beyond the year 9999."""
    cdef int64_t days, rest, era, day_of_era, year_of_era, day_of_year, month_index, year, month, day
    cdef char[27] text
    if micro:
        nanos -= nanos % 1000
        if nanos < 0 or nanos >= 1000000000:  # Go carries what is no fraction
            rest = nanos // 1000000000
            if nanos < rest * 1000000000:
                rest -= 1
            seconds += rest
            nanos -= rest * 1000000000
    if seconds == -62135596800 and (not micro or nanos == 0):
        return None
    if seconds < SECONDS_MIN or seconds > SECONDS_MAX:
        raise ValueError("time is outside the years 0 to 9999")
    days = seconds // 86400
    if days * 86400 > seconds:
        days -= 1
    rest = seconds - days * 86400
    days += 719468
    era = (days if days >= 0 else days - 146096) // 146097
    day_of_era = days - era * 146097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    year = year_of_era + era * 400
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_index = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_index + 2) // 5 + 1
    month = month_index + 3 if month_index < 10 else month_index - 9
    if month <= 2:
        year += 1
    put_digits(text, 4, year)
    put_digits(text + 5, 2, month)
    put_digits(text + 8, 2, day)
    put_digits(text + 11, 2, rest // 3600)
    put_digits(text + 14, 2, rest // 60 % 60)
    put_digits(text + 17, 2, rest % 60)
    text[4] = text[7] = c'-'
    text[10] = c'T'
    text[13] = text[16] = c':'
    if micro:
        text[19] = c'.'
        put_digits(text + 20, 6, nanos // 1000)
    text[26 if micro else 19] = c'Z'
    return PyUnicode_DecodeASCII(text, 27 if micro else 20, NULL)


cdef inline int two(const char *text) noexcept nogil:
    """The number of two digits; negative where they are none."""
    if text[0] < c'0' or text[0] > c'9' or text[1] < c'0' or text[1] > c'9':
        return -1000000
    return (text[0] - c'0') * 10 + (text[1] - c'0')


cdef inline bint leap(int year) noexcept nogil:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


cdef int month_days(int year, int month) noexcept nogil:
    if month == 2:
        return 29 if leap(year) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef bint read_time(str value, int64_t *seconds, int32_t *nanos) except -1:
    """True, with the time filled in, where the text is RFC 3339, whatever its zone and fraction."""
    cdef Py_ssize_t length = 0, i
    cdef const char *text = PyUnicode_AsUTF8AndSize(value, &length)
    cdef int year, month, day, hour, minute, second, offset = 0, digits = 0
    cdef int64_t era, year_of_era, day_of_year
    if length < 20 or text[4] != c'-' or text[7] != c'-' or text[10] != c'T' or text[13] != c':' or text[16] != c':':
        return False
    year = two(text) * 100 + two(text + 2)
    month, day = two(text + 5), two(text + 8)
    hour, minute, second = two(text + 11), two(text + 14), two(text + 17)
    if year < 0 or month < 1 or month > 12 or day < 1 or day > month_days(year, month) or hour < 0 or hour > 23:
        return False
    if minute < 0 or minute > 59 or second < 0 or second > 59:
        return False
    i = 19
    nanos[0] = 0
    if text[i] == c'.' or text[i] == c',':
        i += 1
        while i < length and text[i] >= c'0' and text[i] <= c'9':
            if digits < 9:
                nanos[0] = nanos[0] * 10 + (text[i] - c'0')
                digits += 1
            i += 1
        if digits == 0:
            return False
        while digits < 9:
            nanos[0] *= 10
            digits += 1
    if i + 1 == length and text[i] == c'Z':
        pass
    elif i + 6 == length and (text[i] == c'+' or text[i] == c'-') and text[i + 3] == c':':
        offset = two(text + i + 1) * 60 + two(text + i + 4)
        if offset < 0 or two(text + i + 1) > 24 or two(text + i + 4) > 60:
            return False
        if text[i] == c'-':
            offset = -offset
    else:
        return False
    if month <= 2:
        year -= 1
    era = (year if year >= 0 else year - 399) // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    seconds[0] = era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
    seconds[0] = seconds[0] * 86400 + hour * 3600 + minute * 60 + second - offset * 60
    return True


def seconds_of(text):
    """Seconds since 1970 of an RFC 3339 time, with its fraction; None where the text is none, or is Go's zero time."""
    cdef int64_t seconds = 0
    cdef int32_t nanos = 0
    if type(text) is not str or not read_time(text, &seconds, &nanos) or (seconds == -62135596800 and nanos == 0):
        return None
    return seconds + nanos / 1e9
