# cython: language_level=3
"""Where the members of a stored object stand in its bytes, so that a write takes over what it does not change.

The JSON is the store's own (``kcore_native.cacher.scan``); anything else is answered with None.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp, memcpy

from kcore_native.cacher.scan cimport head_end, skip_string, skip_value

cdef enum:
    MANAGED_SIZE = 15
    FIELDS_SIZE = 10

cdef const char *MANAGED = b'"managedFields"'
cdef const char *FIELDS = b'"fieldsV1"'


def metadata_end(bytes value not None):
    """Behind the metadata of a stored object; -1 for anything else."""
    cdef const char *text = PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), at = head_end(text, size)
    if at < 0:
        return -1
    at = skip_value(text, at - 1, size)
    return at if 0 <= at < size else -1


def spans(bytes value not None, Py_ssize_t at=0):
    """Start and end of each member's value in the object that begins at ``at``, by name; None for anything else."""
    cdef const char *text = PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), name, start
    cdef dict found = {}
    if at < 0 or at >= size or text[at] != c'{':
        return None
    at += 1
    if at < size and text[at] == c'}':
        return found
    while at < size and text[at] == c'"':
        name = at + 1
        at = skip_string(text, at, size)
        if at < 0 or at >= size or text[at] != c':' or memchr(text + name, c'\\', at - 1 - name) != NULL:
            return None
        start = at + 1
        key = text[name : at - 1].decode("utf-8")
        at = skip_value(text, start, size)
        if at < 0 or at >= size or at == start or key in found:
            return None
        found[key] = (start, at)
        if text[at] == c'}':
            return found
        if text[at] != c',':
            return None
        at += 1
    return None


cdef Py_ssize_t member(const char *text, Py_ssize_t at, Py_ssize_t size, const char *name, Py_ssize_t length) noexcept nogil:
    """Where the value of that member begins, ``at`` standing before a member's name; -1 where there is none."""
    cdef Py_ssize_t start
    while at < size and text[at] == c'"':
        start = at
        at = skip_string(text, at, size)
        if at < 0 or at >= size or text[at] != c':':
            return -1
        at += 1
        if at - 1 - start == length and memcmp(text + start, name, length) == 0:
            return at
        at = skip_value(text, at, size)
        if at < 0 or at >= size or text[at] != c',':
            return -1
        at += 1
    return -1


def without_fields(bytes value not None):
    """The stored object with 0 for each ``fieldsV1`` of its managed fields, and those; None where it has none."""
    cdef const char *text = PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), at, start, end, copied = 0, length = 0
    cdef list cut = []
    cdef bytes made
    cdef char *place
    at = head_end(text, size)
    if at < 0:
        return None
    at = member(text, at, size, MANAGED, MANAGED_SIZE)
    if at < 0 or text[at] != c'[':
        return None
    made = PyBytes_FromStringAndSize(NULL, size)
    place = PyBytes_AS_STRING(made)
    at += 1
    while at < size and text[at] == c'{':
        end = skip_value(text, at, size)
        if end < 0 or end >= size:
            return None
        start = member(text, at + 1, end, FIELDS, FIELDS_SIZE)
        if start >= 0 and text[start] == c'{':
            at = skip_value(text, start, end)
            if at < 0:
                return None
            memcpy(place + length, text + copied, start - copied)
            length += start - copied
            place[length] = c'0'
            length += 1
            copied = at
            cut.append(text[start:at])
        elif start >= 0:
            return None
        at = end
        if text[at] == c',':
            at += 1
    if not cut:
        return None
    memcpy(place + length, text + copied, size - copied)
    return made[: length + size - copied], cut
