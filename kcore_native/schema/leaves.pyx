# cython: language_level=3
"""Single values of a document: what Go calls them, and whether a text is in its canonical form already.

The common forms are known at sight; ``literals`` and ``quantity_text`` read the rest. How many members a document's objects have tells
whether any key stands twice: the text has one colon for each.
"""

from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.string cimport memcpy

from kcore_native.quantity_text cimport canonical

from kcore_native.quantity_text import FORMAT_WRONG

DEPTH_MAX = 1000  # levels of one document; more is refused
QUANTITIES_MAX = 4096  # remembered texts of quantities

depth_max = DEPTH_MAX
cdef Py_ssize_t _QUANTITIES_MAX = QUANTITIES_MAX

cdef dict QUANTITIES = {}  # text to canonical text


class TypeMismatch(ValueError):
    """A value is not of its field's type; the text is Go's. ``literal``: it names a number as the document wrote it."""

    def __init__(self, text, literal=False):
        super().__init__(text)
        self.literal = literal


cdef str word_of(object value):
    """What Go calls a value of that type."""
    if type(value) is str:
        return "string"
    if type(value) is bool:
        return "bool"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return "number"


cdef str number_of(object value):
    """A number as the document wrote it, where it was kept (``text``)."""
    text = getattr(value, "text", None)
    return f"number {value!r}" if text is None else f"number {text}"


cdef bint is_number(object value):
    return type(value) is int or isinstance(value, float)


cdef Py_ssize_t members_of(object value, int depth) except -1:
    """How many members all objects inside the value have."""
    cdef PyObject *key
    cdef PyObject *item
    cdef Py_ssize_t place = 0, count = 0
    if depth > depth_max:
        raise TypeMismatch("json: exceeded max depth")
    if type(value) is dict:
        count = len(<dict>value)
        while PyDict_Next(value, &place, &key, &item):
            if type(<object>item) is dict or type(<object>item) is list:
                count += members_of(<object>item, depth + 1)
    elif type(value) is list:
        for each in <list>value:
            if type(each) is dict or type(each) is list:
                count += members_of(each, depth + 1)
    return count


cdef enum:
    TIME_SIZE = 20
    MICRO_TIME_SIZE = 27
    FINER_SIZE_MIN = 22
    FINER_SIZE_MAX = 30

cdef int *MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


cdef bint plain_clock(const char *c, Py_ssize_t length) noexcept nogil:
    """True for a time as Go writes it: ``2026-01-02T03:04:05Z``, or with six places; of leap days the slow way knows."""
    cdef Py_ssize_t i
    cdef int month, day
    if length != TIME_SIZE and length != MICRO_TIME_SIZE:
        return False
    if c[4] != c'-' or c[7] != c'-' or c[10] != c'T' or c[13] != c':' or c[16] != c':' or c[length - 1] != c'Z':
        return False
    if length == MICRO_TIME_SIZE:
        if c[19] != c'.':
            return False
        for i in range(20, 26):
            if c[i] < c'0' or c[i] > c'9':
                return False
    for i in range(19):
        if (c[i] < c'0' or c[i] > c'9') and i != 4 and i != 7 and i != 10 and i != 13 and i != 16:
            return False
    month = (c[5] - c'0') * 10 + c[6] - c'0'
    day = (c[8] - c'0') * 10 + c[9] - c'0'
    if month < 1 or month > 12 or day < 1 or day > MONTH_DAYS[month - 1] or c[0] == c'0':
        return False
    return (c[11] - c'0') * 10 + c[12] - c'0' < 24 and c[14] < c'6' and c[17] < c'6'


cdef bint finer_clock(const char *c, Py_ssize_t length) noexcept nogil:
    """True for such a time with one to nine places behind the seconds."""
    cdef char[TIME_SIZE] whole
    cdef Py_ssize_t i
    if length < FINER_SIZE_MIN or length > FINER_SIZE_MAX or c[19] != c'.' or c[length - 1] != c'Z':
        return False
    for i in range(20, length - 1):
        if c[i] < c'0' or c[i] > c'9':
            return False
    memcpy(whole, c, 19)
    whole[19] = c'Z'
    return plain_clock(whole, TIME_SIZE)


cdef str known_time(str text, bint micro):
    """The text that Go writes for a time in one of the common forms; None for any other."""
    cdef Py_ssize_t length = 0
    cdef const char *c = PyUnicode_AsUTF8AndSize(text, &length)
    if length == (MICRO_TIME_SIZE if micro else TIME_SIZE) and plain_clock(c, length):
        return text
    if not micro and finer_clock(c, length):
        return text[:19] + "Z"
    return None


cdef bint plain_base64(str text):
    """True for base64 that Go writes as it stands, in whole groups without padding."""
    cdef Py_ssize_t length = 0, i
    cdef const unsigned char *c = <const unsigned char *>PyUnicode_AsUTF8AndSize(text, &length)
    if length & 3:
        return False
    for i in range(length):
        if not (c'a' <= c[i] <= c'z' or c'A' <= c[i] <= c'Z' or c'0' <= c[i] <= c'9' or c[i] == c'+' or c[i] == c'/'):
            return False
    return True


cdef object quantity_of(object value):
    """The canonical text; ValueError in upstream's words."""
    cdef PyObject *known
    cdef str text
    if type(value) is str:
        known = PyDict_GetItem(QUANTITIES, value)
        if known != NULL:
            return <object>known
        text = canonical(value.strip())
        if len(QUANTITIES) >= _QUANTITIES_MAX:
            QUANTITIES.clear()
        QUANTITIES[value] = text
        return text
    if type(value) is int:
        return canonical(str(value))
    if isinstance(value, float):
        return canonical(getattr(value, "text", None) or repr(value))
    raise ValueError(FORMAT_WRONG)


def count_members(bytes document):
    """How many members all objects of a valid JSON document have: its colons outside strings."""
    cdef const char *c = document
    cdef const char *end = c + len(document)
    cdef Py_ssize_t count = 0
    while c < end:
        if c[0] == c'"':
            c += 1
            while c < end and c[0] != c'"':
                c += 2 if c[0] == c'\\' else 1
        elif c[0] == c':':
            count += 1
        c += 1
    return count
