# cython: language_level=3
"""The body of a create without what is the object's own: what two bodies of one template have in common.

That is the object's name, and other texts of which the caller says that nothing follows from them.

The body is a client's: anything else than what is looked for, here or further on, makes the answer None. No body is
judged here; that of two bodies with equal rests either both are right or neither is, is all that is said.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy

from kcore_native.cacher.scan cimport skip_string, skip_value
from kcore_native.schema.leaves cimport plain_clock

LABEL_BYTES_MAX = C_LABEL_BYTES_MAX  # of a DNS label (RFC 1123)
SUBDOMAIN_BYTES_MAX = C_SUBDOMAIN_BYTES_MAX
TEXT_BYTES_MAX = C_TEXT_BYTES_MAX
PLACES_MAX = C_PLACES_MAX  # of one kind, the objects on the way to them counted

# what a text has to look like, to be cut out
LABEL = C_LABEL
SUBDOMAIN = C_SUBDOMAIN
TEXT = C_TEXT  # printable ASCII, which reads and is written alike
TIME = C_TIME  # as Go writes it, whole seconds
MICRO_TIME = C_MICRO_TIME  # with six places behind them

cdef enum:
    C_LABEL_BYTES_MAX = 63
    C_SUBDOMAIN_BYTES_MAX = 253
    C_TEXT_BYTES_MAX = 1024
    C_PLACES_MAX = 16
    TIME_SIZE = 20
    MICRO_TIME_SIZE = 27
    NO_FORM = 0  # of an object on the way
    C_LABEL = 1
    C_SUBDOMAIN = 2
    C_TEXT = 3
    C_TIME = 4
    C_MICRO_TIME = 5
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
    return size <= C_LABEL_BYTES_MAX and is_name(text, size)


cdef bint is_name(const char *text, Py_ssize_t size) noexcept nogil:
    """True for what stands between the dots of a DNS subdomain."""
    cdef Py_ssize_t at
    cdef char c
    if size < 1 or text[0] == c'-' or text[size - 1] == c'-':
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


cdef bint is_subdomain(const char *text, Py_ssize_t size) noexcept nogil:
    """True for a DNS subdomain."""
    cdef Py_ssize_t at, start = 0
    if size > C_SUBDOMAIN_BYTES_MAX:
        return False
    for at in range(size + 1):
        if at == size or text[at] == c'.':
            if not is_name(text + start, at - start):
                return False
            start = at + 1
    return True


cdef bint is_plain(const char *text, Py_ssize_t size) noexcept nogil:
    """True for a text in ASCII of which each character has one writing, and is written so."""
    cdef Py_ssize_t at = 0
    if size < 1 or size > C_TEXT_BYTES_MAX:
        return False
    while at < size:
        if text[at] < c' ' or text[at] > c'~':
            return False
        if text[at] == c'\\':
            at += 1
            if at >= size or not (text[at] == c'"' or text[at] == c'\\' or text[at] == c'n' or text[at] == c't'):
                return False
        at += 1
    return True


cdef bint has_form(const char *text, Py_ssize_t size, int form) noexcept nogil:
    """True where the string looks like that."""
    if form == C_LABEL:
        return is_label(text, size)
    if form == C_SUBDOMAIN:
        return is_subdomain(text, size)
    if form == C_TEXT:
        return is_plain(text, size)
    return size == (TIME_SIZE if form == C_TIME else MICRO_TIME_SIZE) and plain_clock(text, size)


cdef struct Wanted:
    const char *name
    Py_ssize_t size
    int form
    int place  # of a text, among the values
    int parent  # the object that it is in; -1 for the body


cdef class Places:
    """Where the texts stand that are cut out: the first is ``metadata.name``."""

    cdef Wanted[C_PLACES_MAX] wanted
    cdef int wanted_count
    cdef int place_count
    cdef readonly tuple paths
    cdef list names

    def __init__(self, places):
        """``places``: dotted paths of two parts at most, each with the form of its text."""
        cdef dict parents = {}
        cdef bytes name
        cdef int parent
        self.wanted_count = self.place_count = 0
        self.paths = tuple(path for path, _ in places)
        self.names = []
        if not self.paths or self.paths[0] != "metadata.name":
            raise ValueError("the first place is metadata.name")
        for path, form in places:
            head, _, tail = path.partition(".")
            parent = -1
            if tail:
                if head not in parents:
                    parents[head] = self._add(head, NO_FORM, -1)
                parent = parents[head]
            self._add(tail or head, form, parent)

    cdef int _add(self, str name, int form, int parent) except -1:
        cdef bytes text = name.encode()
        cdef Wanted *wanted
        if self.wanted_count == C_PLACES_MAX:
            raise ValueError(f"more than {C_PLACES_MAX} places")
        wanted = &self.wanted[self.wanted_count]
        self.names.append(text)
        wanted.name, wanted.size = PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)
        wanted.form, wanted.parent, wanted.place = form, parent, -1
        if form != NO_FORM:
            wanted.place = self.place_count
            self.place_count += 1
        self.wanted_count += 1
        return self.wanted_count - 1

    cdef Py_ssize_t find(
        self, const char *text, Py_ssize_t at, Py_ssize_t size, int parent, Span *found, bint *seen
    ) noexcept nogil:
        """Behind the object that begins at ``at``; its texts are found. -1 where what counts cannot be said.

        That is so where a member is there twice, or is not what is wanted, or a member's name is escaped.
        """
        cdef Py_ssize_t start, end
        cdef Wanted *wanted
        cdef int which
        if at >= size or text[at] != c'{':
            return -1
        at = skip_space(text, at + 1, size)
        if at < size and text[at] == c'}':
            return at + 1
        while at < size and text[at] == c'"':
            start = at + 1
            at = skip_string(text, at, size)
            if at < 0 or memchr(text + start, c'\\', at - start) != NULL:
                return -1
            end = at - 1
            at = skip_space(text, at, size)
            if at >= size or text[at] != c':':
                return -1
            at = skip_space(text, at + 1, size)
            for which in range(self.wanted_count):
                wanted = &self.wanted[which]
                if wanted.parent == parent and wanted.size == end - start and not memcmp(text + start, wanted.name, wanted.size):
                    if seen[which]:
                        return -1
                    seen[which] = True
                    at = self.take(text, at, size, which, found, seen)
                    break
            else:
                at = skip_value(text, at, size)
            if at < 0:
                return -1
            at = skip_space(text, at, size)
            if at >= size:
                return -1
            if text[at] == c'}':
                return at + 1
            if text[at] != c',':
                return -1
            at = skip_space(text, at + 1, size)
        return -1

    cdef Py_ssize_t take(
        self, const char *text, Py_ssize_t at, Py_ssize_t size, int which, Span *found, bint *seen
    ) noexcept nogil:
        """Behind the value, which is a text of the form, or an object."""
        cdef Wanted *wanted = &self.wanted[which]
        cdef Py_ssize_t start = at + 1
        if wanted.form == NO_FORM:
            return self.find(text, at, size, which, found, seen)
        if at >= size or text[at] != c'"':
            return -1
        at = skip_string(text, at, size)
        if at < 0 or not has_form(text + start, at - 1 - start, wanted.form):
            return -1
        found[wanted.place].start, found[wanted.place].end = start, at - 1
        return at

    def cut(self, bytes body not None):
        """The JSON without those texts, and the texts by place: empty where there is none.

        None where one is of another form, or the body is written in a way that does not tell at once which one counts.
        """
        cdef const char *text = PyBytes_AS_STRING(body)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(body), copied = 0, left = size
        cdef Span[C_PLACES_MAX] found
        cdef bint[C_PLACES_MAX] seen
        cdef int[C_PLACES_MAX] order
        cdef int at, place, count = 0
        cdef list values = []
        cdef bytes rest
        cdef char *into
        for at in range(self.wanted_count):
            seen[at] = False
        for place in range(self.place_count):
            found[place].start = -1
        if self.find(text, skip_space(text, 0, size), size, -1, found, seen) < 0 or not seen[0]:
            return None
        for place in range(self.place_count):
            if found[place].start < 0:
                values.append(b"")
                continue
            values.append(text[found[place].start : found[place].end])
            left -= found[place].end - found[place].start
            at = count
            while at and found[order[at - 1]].start > found[place].start:
                order[at] = order[at - 1]
                at -= 1
            order[at] = place
            count += 1
        rest = PyBytes_FromStringAndSize(NULL, left)
        into = PyBytes_AS_STRING(rest)
        for at in range(count):
            place = order[at]
            memcpy(into, text + copied, found[place].start - copied)
            into += found[place].start - copied
            copied = found[place].end
        memcpy(into, text + copied, size - copied)
        return rest, values


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
    return rest, [text[name.start : name.end]]
