# cython: language_level=3
"""The head of an HTTP/1.1 response and the text of a random UUID: bytes put together once for every answer."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memchr, memcpy

cdef const char *HEX = b"0123456789abcdef"


def response_head(bytes line not None, list fields not None):
    """The status line, each field's line and the empty line; ValueError for a field that would break out of its line."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(line) + 2, length
    cdef bytes name, value, made
    cdef tuple field
    cdef char *place
    for field in fields:
        name, value = field
        if name is None or value is None:
            raise TypeError("a header field is two bytes objects")
        size += PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(value) + 4
    made = PyBytes_FromStringAndSize(NULL, size)
    place = PyBytes_AS_STRING(made)
    place = put(place, line)
    for field in fields:
        name, value = field
        if breaks(name) or breaks(value):
            raise ValueError("a header field with a line break")
        place = put(place, name)
        place[0] = c':'
        place[1] = c' '
        place = put(place + 2, value)
        place[0] = c'\r'
        place[1] = c'\n'
        place += 2
    place[0] = c'\r'
    place[1] = c'\n'
    return made


cdef inline char *put(char *place, bytes text) noexcept:
    """Where the text ends that is now at the place."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
    memcpy(place, PyBytes_AS_STRING(text), size)
    return place + size


cdef inline bint breaks(bytes text) noexcept:
    """True where the text has a line break."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
    cdef char *start = PyBytes_AS_STRING(text)
    return memchr(start, c'\n', size) != NULL or memchr(start, c'\r', size) != NULL


def uuid_text(bytes random not None, Py_ssize_t at):
    """The UUID (version 4) of 16 random bytes from that place on."""
    cdef char[36] text
    cdef unsigned char byte
    cdef Py_ssize_t i, place = 0
    if at < 0 or at + 16 > PyBytes_GET_SIZE(random):
        raise ValueError("a UUID takes 16 random bytes")
    for i in range(16):
        byte = <unsigned char>PyBytes_AS_STRING(random)[at + i]
        if i == 6:
            byte = (byte & 0x0F) | 0x40
        elif i == 8:
            byte = (byte & 0x3F) | 0x80
        if i == 4 or i == 6 or i == 8 or i == 10:
            text[place] = c'-'
            place += 1
        text[place] = HEX[byte >> 4]
        text[place + 1] = HEX[byte & 15]
        place += 2
    return PyUnicode_DecodeASCII(text, 36, NULL)
