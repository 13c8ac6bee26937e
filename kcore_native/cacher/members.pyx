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
    DELETED_SIZE = 19
    NAME_SIZE = 6
    NAMESPACE_SIZE = 11
    UID_SIZE = 5
    SPEC_SIZE = 6
    STATUS_SIZE = 8
    NODE_SIZE = 10
    GATES_SIZE = 17

cdef const char *MANAGED = b'"managedFields"'
cdef const char *FIELDS = b'"fieldsV1"'
cdef const char *DELETED = b'"deletionTimestamp"'
cdef const char *NAME = b'"name"'
cdef const char *NAMESPACE = b'"namespace"'
cdef const char *UID = b'"uid"'
cdef const char *SPEC = b'"spec"'
cdef const char *STATUS = b'"status"'
cdef const char *NODE = b'"nodeName"'
cdef const char *GATES = b'"schedulingGates"'


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


cdef Py_ssize_t look_for(
    const char *text, Py_ssize_t at, Py_ssize_t size,
    const char *one, Py_ssize_t one_size, Py_ssize_t *one_at, const char *other, Py_ssize_t other_size, Py_ssize_t *other_at,
) noexcept nogil:
    """Behind the object at ``at``, and where the values of two of its members begin, -1 for none; -1 for anything else."""
    cdef Py_ssize_t start, length
    one_at[0] = other_at[0] = -1
    if at >= size or text[at] != c'{':
        return -1
    at += 1
    while at < size and text[at] == c'"':
        start = at
        at = skip_string(text, at, size)
        if at < 0 or at >= size or text[at] != c':':
            return -1
        length = at - start
        at += 1
        if length == one_size and memcmp(text + start, one, length) == 0:
            one_at[0] = at
        elif length == other_size and memcmp(text + start, other, length) == 0:
            other_at[0] = at
        at = skip_value(text, at, size)
        if at < 0 or at >= size:
            return -1
        if text[at] == c'}':
            return at + 1
        if text[at] != c',':
            return -1
        at += 1
    return -1


def identity(bytes value not None):
    """Name, namespace and uid of a stored object, as far as it has them; None where they are to be decoded."""
    cdef const char *text = PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), at = head_end(text, size), name, length, start
    cdef dict found = {}
    cdef str key
    if at < 0:
        return None
    while at < size and text[at] == c'"':
        name = at
        at = skip_string(text, at, size)
        if at < 0 or at + 1 >= size or text[at] != c':':
            return None
        length = at - name
        start = at + 1
        at = skip_value(text, start, size)
        if at < 0 or at >= size:
            return None
        if length == NAME_SIZE and memcmp(text + name, NAME, NAME_SIZE) == 0:
            key = "name"
        elif length == NAMESPACE_SIZE and memcmp(text + name, NAMESPACE, NAMESPACE_SIZE) == 0:
            key = "namespace"
        elif length == UID_SIZE and memcmp(text + name, UID, UID_SIZE) == 0:
            key = "uid"
        else:
            key = None
        if key is not None:
            if text[start] != c'"' or memchr(text + start, c'\\', at - start) != NULL:
                return None
            found[key] = text[start + 1 : at - 1].decode("utf-8")
            if len(found) == 3:
                return found
        if text[at] == c'}':
            return found
        at += 1
    return None


def binding_places(bytes value not None, bytes uid not None):
    """Where the spec of a stored pod ends, its last brace not counted, and where its status begins and ends.

    None where the pod is not to be bound at once: it has a node, gates or a time of deletion, no status behind its spec,
    or another uid, where one is given (as it stands in JSON, without quotes).
    """
    cdef const char *text = PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), length = PyBytes_GET_SIZE(uid)
    cdef Py_ssize_t end, at, start, stop, one, other
    cdef Py_ssize_t head = head_end(text, size)
    if head < 0:
        return None
    end = look_for(text, head - 1, size, DELETED, DELETED_SIZE, &one, UID, UID_SIZE, &other)
    if end < 0 or end >= size or text[end] != c',' or one >= 0:
        return None
    if length:
        at = other + 1
        if other < 0 or at + length >= end or memcmp(text + at, PyBytes_AS_STRING(uid), length) != 0 or text[at + length] != c'"':
            return None
    at = member(text, end + 1, size, SPEC, SPEC_SIZE)
    if at < 0:
        return None
    end = look_for(text, at, size, NODE, NODE_SIZE, &one, GATES, GATES_SIZE, &other)
    if end < 0 or end >= size or text[end] != c',' or one >= 0 or other >= 0:
        return None
    start = member(text, end + 1, size, STATUS, STATUS_SIZE)
    if start < 0:
        return None
    stop = skip_value(text, start, size)
    if stop < 0 or stop >= size:
        return None
    return end - 1, start, stop
