# cython: language_level=3
"""What selectors need of an object, read from its JSON without decoding it; its version spliced in on the way out.

The JSON is the store's own: compact, in UTF-8, written by a JSON encoder. Anything else that is met on the way makes the
scan stop with what it has; it never reads past the end.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memchr, memcmp, memcpy

import json

SETS_MAX = C_SETS_MAX  # distinct label sets, texts and field sets that a plan shares; more begin anew

cdef enum:
    C_SETS_MAX = 65536
    API_VERSION_SIZE = 15
    KIND_SIZE = 9
    METADATA_SIZE = 13
    VERSION_SIZE = 19  # "resourceVersion":
    DIGITS_MAX = 20

cdef const char *API_VERSION = b'{"apiVersion":"'
cdef const char *KIND = b',"kind":"'
cdef const char *METADATA = b',"metadata":{'
cdef const char *VERSION = b'"resourceVersion":"'


cdef Py_ssize_t after_text(const char *value, Py_ssize_t at, Py_ssize_t size, const char *text, Py_ssize_t length) noexcept nogil:
    """Behind ``text`` and the string that it opens, -1 where that is not there."""
    cdef const char *quote
    if at + length > size or memcmp(value + at, text, length) != 0:
        return -1
    quote = <const char *>memchr(value + at + length, c'"', size - at - length)
    return -1 if quote == NULL else quote - value + 1


cdef Py_ssize_t kind_end(const char *value, Py_ssize_t size) noexcept nogil:
    """Where ``,"metadata":{`` begins in a stored value, -1 where the value does not begin as all do."""
    cdef Py_ssize_t at = after_text(value, 0, size, API_VERSION, API_VERSION_SIZE)
    if at < 0:
        return -1
    at = after_text(value, at, size, KIND, KIND_SIZE)
    if at < 0 or at + METADATA_SIZE >= size or memcmp(value + at, METADATA, METADATA_SIZE) != 0:
        return -1
    return at


cdef Py_ssize_t head_end(const char *value, Py_ssize_t size) noexcept nogil:
    """Behind ``"metadata":{`` of a stored value, -1 where the value does not begin as all do."""
    cdef Py_ssize_t at = kind_end(value, size)
    return -1 if at < 0 else at + METADATA_SIZE


cdef int digits_of(char *place, int64_t number) noexcept nogil:
    """The decimal digits at the end of the 20 characters at ``place``; how many."""
    cdef int count = 0
    while number or not count:
        count += 1
        place[DIGITS_MAX - count] = <char>(c'0' + number % 10)
        number //= 10
    return count


cdef Py_ssize_t spliced_size(Py_ssize_t size, int64_t revision, bint more) noexcept nogil:
    """The size of a value with its version in it; ``more``: its metadata has other members."""
    cdef char digits[DIGITS_MAX]
    return size + VERSION_SIZE + digits_of(digits, revision) + 1 + more


cdef Py_ssize_t put_version(char *place, int64_t revision, bint more) noexcept nogil:
    """``"resourceVersion":"12",`` written; its size."""
    cdef char digits[DIGITS_MAX]
    cdef int count = digits_of(digits, revision)
    memcpy(place, VERSION, VERSION_SIZE)
    memcpy(place + VERSION_SIZE, digits + DIGITS_MAX - count, count)
    place[VERSION_SIZE + count] = c'"'
    if more:
        place[VERSION_SIZE + count + 1] = c','
    return VERSION_SIZE + count + 1 + more


def is_canonical(bytes value not None):
    """True where the value begins ``{"apiVersion":"..","kind":"..","metadata":{``."""
    return head_end(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)) >= 0


def splice(bytes value not None, int64_t revision):
    """The stored value with its resourceVersion as the first member of its metadata; ValueError for any other."""
    cdef const char *source = PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), head = head_end(source, size), written
    cdef bytes made
    cdef char *place
    cdef bint more
    if head < 0:
        raise ValueError("not a stored object")
    more = source[head] != c'}'
    made = PyBytes_FromStringAndSize(NULL, spliced_size(size, revision, more))
    place = PyBytes_AS_STRING(made)
    memcpy(place, source, head)
    written = put_version(place + head, revision, more)
    memcpy(place + head + written, source + head, size - head)
    return made


cdef Py_ssize_t skip_string(const char *value, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Behind the string that begins at ``at``, -1 where it does not end."""
    cdef const char *quote
    cdef Py_ssize_t back
    at += 1
    while at < size:
        quote = <const char *>memchr(value + at, c'"', size - at)
        if quote == NULL:
            return -1
        back = quote - value - 1
        while value[back] == c'\\':
            back -= 1
        at = quote - value + 1
        if (at - back) & 1 == 0:  # an even number of backslashes before the quote
            return at
    return -1


cdef Py_ssize_t skip_value(const char *value, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Behind the value that begins at ``at``, -1 where it does not end."""
    cdef Py_ssize_t depth = 0
    cdef char c
    while at < size:
        c = value[at]
        if c == c'"':
            at = skip_string(value, at, size)
            if at < 0:
                return -1
            if depth == 0:
                return at
            continue
        if c == c'{' or c == c'[':
            depth += 1
        elif c == c'}' or c == c']':
            if depth == 0:
                return at
            depth -= 1
            if depth == 0:
                return at + 1
        elif c == c',' and depth == 0:
            return at
        at += 1
    return -1


cdef str text_of(const char *value, Py_ssize_t start, Py_ssize_t end):
    """The string between its quotes, decoded."""
    if memchr(value + start, c'\\', end - start) != NULL:
        return json.loads(b'"' + value[start:end] + b'"')
    return value[start:end].decode("utf-8", "replace")


cdef class Plan:
    """Which fields are read beside the labels. ``fields``: (name, paths, default): the first path with a value counts.

    What is read is shared: equal label sets, texts and field sets are one object.
    """

    def __init__(self, fields=()):
        cdef dict node
        self.names = tuple([name for name, _, _ in fields])
        self.root = {}
        self.defaults = tuple([default for _, _, default in fields])
        self.label_sets = {b"{}": ()}
        self.texts = {}
        self.field_sets = {}
        for place, (_, paths, _) in enumerate(fields):
            for rank, path in enumerate(paths):
                node = self.root
                *above, last = path.split(".")
                for step in above:
                    node = node.setdefault(step.encode(), {})
                node[last.encode()] = (*node.get(last.encode(), ()), place, rank)
        node = self.root.setdefault(b"metadata", {})
        node[b"labels"] = None

    def attributes(self, bytes value not None):
        """The labels as (key, value, key, value ...) and the fields in the plan's order."""
        return self.scan(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))

    cdef tuple scan(self, const char *value, Py_ssize_t size):
        cdef Reading reading = Reading.__new__(Reading)
        cdef tuple fields
        reading.plan = self
        reading.value = value
        reading.size = size
        reading.labels = ()
        reading.fields = list(self.defaults)
        reading.ranks = None
        if size and value[0] == c'{':
            reading.walk(0, self.root)
        fields = tuple(reading.fields)
        if len(self.field_sets) >= C_SETS_MAX:
            self.field_sets.clear()
        return reading.labels, self.field_sets.setdefault(fields, fields)


cdef class Reading:
    """One scan under way."""

    cdef Plan plan
    cdef const char *value
    cdef Py_ssize_t size
    cdef tuple labels
    cdef list fields
    cdef dict ranks

    cdef Py_ssize_t walk(self, Py_ssize_t at, dict node) except -2:
        """What ``node`` wants of the object that begins at ``at`` is read; behind the object, -1 at the text's end."""
        cdef Py_ssize_t start, left = len(node)
        cdef const char *value = self.value
        at += 1
        while at < self.size and value[at] == c'"':
            start = at
            at = skip_string(value, at, self.size)
            if at < 0 or at >= self.size or value[at] != c':':
                return -1
            at += 1
            found = node.get(value[start + 1 : at - 2], self)
            if found is self:
                at = skip_value(value, at, self.size)
            else:
                left -= 1
                at = self.read(at, found)
            if at < 0 or at >= self.size:
                return -1
            if value[at] == c',':
                at += 1
            if not left and node is self.plan.root:
                return at
        return at + 1 if at < self.size else -1

    cdef Py_ssize_t read(self, Py_ssize_t at, object wanted) except -2:
        """The value at ``at``, which the plan wants; behind it."""
        cdef Py_ssize_t end
        if wanted is None:
            end = skip_value(self.value, at, self.size)
            if end > at and self.value[at] == c'{':
                self.labels = self.label_set(self.value[at:end])
            return end
        if type(wanted) is dict:
            return self.walk(at, wanted) if self.value[at] == c'{' else skip_value(self.value, at, self.size)
        end = skip_value(self.value, at, self.size)
        if end > at and self.value[at] not in b"{[n":
            self.put(wanted, self.value[at:end])
        return end

    cdef int put(self, tuple wanted, bytes raw) except -1:
        """The value counts for each field that is read there; ``wanted``: place, rank, place, rank ..."""
        cdef Py_ssize_t each, place
        cdef int rank
        text = self.text(raw)
        if not text:
            return 0
        if self.ranks is None:
            self.ranks = {}
        for each in range(0, len(wanted), 2):
            place, rank = wanted[each], wanted[each + 1]
            if self.ranks.get(place, rank) >= rank:
                self.ranks[place] = rank
                self.fields[place] = text
        return 0

    cdef str text(self, bytes raw):
        """The scalar as a string: a string's content, otherwise the JSON itself."""
        cdef dict texts = self.plan.texts
        found = texts.get(raw)
        if found is None:
            if len(texts) >= C_SETS_MAX:
                texts.clear()
            if raw[0] == c'"':
                found = text_of(PyBytes_AS_STRING(raw), 1, PyBytes_GET_SIZE(raw) - 1)
            else:
                found = raw.decode()
            texts[raw] = found
        return found

    cdef tuple label_set(self, bytes raw):
        cdef dict sets = self.plan.label_sets
        cdef const char *value = PyBytes_AS_STRING(raw)
        cdef Py_ssize_t at = 1, size = PyBytes_GET_SIZE(raw), end
        cdef list made = []
        found = sets.get(raw)
        if found is not None:
            return found
        while at < size and value[at] == c'"':
            end = skip_string(value, at, size)
            if end < 0 or end + 1 >= size or value[end] != c':' or value[end + 1] != c'"':
                return ()
            made.append(self.text(value[at:end]))
            at = end + 1
            end = skip_string(value, at, size)
            if end < 0:
                return ()
            made.append(self.text(value[at:end]))
            at = end + 1
        if len(sets) >= C_SETS_MAX:
            sets.clear()
        sets[raw] = found = tuple(made)
        return found
