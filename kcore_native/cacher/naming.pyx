# cython: language_level=3
"""The body of a create without the object's name: what two bodies of one template have in common.

The body is a client's: anything else than what is looked for, here or further on, makes the answer None. No body is
judged here; that of two bodies with equal rests either both are right or neither is, is all that is said.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy

from kcore_native.cacher.scan cimport skip_string, skip_value

LABEL_BYTES_MAX = C_LABEL_BYTES_MAX  # of a DNS label (RFC 1123)

cdef enum:
    C_LABEL_BYTES_MAX = 63
    MAGIC_SIZE = 4
    FIRST_FIELD = 0x0A  # number 1, delimited
    SECOND_FIELD = 0x12
    VARINT_BYTES_MAX = 10
    LENGTH_SIZE = 8

cdef const char *MAGIC = b"k8s\0"


cdef struct Span:
    Py_ssize_t start
    Py_ssize_t end


cdef bint is_label(const char *text, Py_ssize_t size) noexcept nogil:
    """True for a DNS label."""
    cdef Py_ssize_t at
    cdef char c
    if size < 1 or size > C_LABEL_BYTES_MAX or text[0] == c'-' or text[size - 1] == c'-':
        return False
    for at in range(size):
        c = text[at]
        if not (c'a' <= c <= c'z' or c'0' <= c <= c'9' or c == c'-'):
            return False
    return True


cdef Py_ssize_t skip_space(const char *text, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Behind the white space at ``at``."""
    while at < size and (text[at] == c' ' or text[at] == c'\n' or text[at] == c'\r' or text[at] == c'\t'):
        at += 1
    return at


cdef bint find_member(
    const char *text, Py_ssize_t at, Py_ssize_t size, const char *name, Py_ssize_t length, Span *found
) noexcept nogil:
    """The value of the member of that name, of the object that begins at ``at``; its start is -1 where there is none.

    False where that cannot be said: the name is there twice, or a member's name is escaped.
    """
    cdef Py_ssize_t start, end
    found.start = found.end = -1
    if at >= size or text[at] != c'{':
        return False
    at = skip_space(text, at + 1, size)
    if at < size and text[at] == c'}':
        return True
    while at < size and text[at] == c'"':
        start = at + 1
        at = skip_string(text, at, size)
        if at < 0 or memchr(text + start, c'\\', at - start) != NULL:
            return False
        end = at - 1
        at = skip_space(text, at, size)
        if at >= size or text[at] != c':':
            return False
        at = skip_space(text, at + 1, size)
        if end - start == length and memcmp(text + start, name, length) == 0:
            if found.start >= 0:
                return False
            found.start = at
            at = found.end = skip_value(text, at, size)
        else:
            at = skip_value(text, at, size)
        if at < 0:
            return False
        at = skip_space(text, at, size)
        if at >= size:
            return False
        if text[at] == c'}':
            return True
        if text[at] != c',':
            return False
        at = skip_space(text, at + 1, size)
    return False


def without_name(bytes body not None):
    """The JSON without the value of metadata.name, and the name: "" where the metadata has none.

    None where the name is no DNS label, or the body is written in a way that does not tell at once which name counts.
    """
    cdef const char *text = PyBytes_AS_STRING(body)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(body), length
    cdef Span metadata, name
    cdef bytes rest
    cdef char *place
    if not find_member(text, skip_space(text, 0, size), size, b"metadata", 8, &metadata) or metadata.start < 0:
        return None
    if not find_member(text, metadata.start, metadata.end, b"name", 4, &name):
        return None
    if name.start < 0:
        return body, ""
    if text[name.start] != c'"':
        return None
    name.start += 1
    name.end -= 1
    length = name.end - name.start
    if not is_label(text + name.start, length):
        return None
    rest = PyBytes_FromStringAndSize(NULL, size - length)
    place = PyBytes_AS_STRING(rest)
    memcpy(place, text, name.start)
    memcpy(place + name.start, text + name.end, size - name.end)
    return rest, PyUnicode_DecodeASCII(text + name.start, length, NULL)


cdef bint enter(const unsigned char *text, Py_ssize_t at, Py_ssize_t size, int tag, Span *found) noexcept nogil:
    """What the field with that tag at ``at`` holds; False where another field is there, or one that is cut off."""
    cdef uint64_t length = 0
    cdef int shift = 0
    if at >= size or text[at] != tag:
        return False
    at += 1
    while True:
        if at >= size or shift == 7 * VARINT_BYTES_MAX:
            return False
        length |= <uint64_t>(text[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not text[at - 1] & 0x80:
            break
    if length > <uint64_t>(size - at):
        return False
    found.start = at
    found.end = at + <Py_ssize_t>length
    return True


def without_name_protobuf(bytes body not None):
    """The same of an object in Kubernetes' protobuf, as Go writes it: metadata first, and in it the name.

    The rest is what is behind the name in the metadata, in the object and around it, with how long each is: the
    lengths that the body itself states count the name, too.
    """
    cdef const unsigned char *text = <const unsigned char *>PyBytes_AS_STRING(body)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(body), head
    cdef Py_ssize_t[2] sizes
    cdef Span kind, raw, metadata, name
    cdef bytes rest
    cdef char *place
    if size < MAGIC_SIZE or memcmp(text, MAGIC, MAGIC_SIZE) != 0:
        return None
    if not enter(text, MAGIC_SIZE, size, FIRST_FIELD, &kind) or not enter(text, kind.end, size, SECOND_FIELD, &raw):
        return None
    if not enter(text, raw.start, raw.end, FIRST_FIELD, &metadata):
        return None
    if not enter(text, metadata.start, metadata.end, FIRST_FIELD, &name):
        return None
    if name.end > name.start and not is_label(<const char *>text + name.start, name.end - name.start):
        return None
    head = kind.end
    sizes[0] = metadata.end - name.end
    sizes[1] = raw.end - metadata.end
    rest = PyBytes_FromStringAndSize(NULL, head + 2 * LENGTH_SIZE + size - name.end)
    place = PyBytes_AS_STRING(rest)
    memcpy(place, text, head)
    memcpy(place + head, sizes, 2 * LENGTH_SIZE)
    memcpy(place + head + 2 * LENGTH_SIZE, text + name.end, size - name.end)
    return rest, PyUnicode_DecodeASCII(<const char *>text + name.start, name.end - name.start, NULL)
