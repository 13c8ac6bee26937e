# cython: language_level=3
"""What is left of an object's JSON when the values that are its own are taken out: times, addresses, networks, uids, names.

``skeleton`` reads the stored object and what is asked of it as one text. A string that is a time, an address, a network, a uid, the
object's name or its node's is a hole: which kind of value, and the how manieth of its kind. Times and addresses are
numbered in their order, others as they come; a time with places behind its seconds has the number of the time without
them, too. So two texts with one skeleton have equal values in the same places, and times and addresses in the same
order: they differ in nothing but what the values are.

Each string counts whole, also one inside a string (``k:{\\"ip\\":\\"10.0.0.1\\"}``). Where a value's text might stand in
another writing, or is the name of a member, there is no skeleton.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp, memcpy

from kcore_native.cacher.scan cimport head_end, skip_string, skip_value
from kcore_native.schema.leaves cimport finer_clock, plain_clock

HOLES_MAX = C_HOLES_MAX  # of one text
VALUES_MAX = C_VALUES_MAX  # distinct ones

cdef extern from "arpa/inet.h" nogil:
    int AF_INET
    int AF_INET6
    int inet_pton(int family, const char *text, void *address)
    const char *inet_ntop(int family, const void *address, char *text, unsigned int size)

cdef enum:
    C_HOLES_MAX = 400
    C_VALUES_MAX = 60
    MARK = 1  # no JSON has it
    MARK_SIZE_MAX = 4
    NO_KIND = 0
    TIME = 0x54  # a letter for each kind
    MICRO_TIME = 0x4D  # six places behind the seconds
    FINER_TIME = 0x46  # another number of them
    IPV4 = 0x34
    IPV6 = 0x36
    NETWORK = 0x2F  # 10.244.3.0/24, of a node's pods
    UID = 0x55
    CONTAINER = 0x43  # containerd://0123..
    TOKEN = 0x4B  # kube-api-access-x7k2p, the volume of a pod's token
    NAME = 0x4E
    NODE = 0x48
    FIRST = 0x20  # the number of the first value
    TIME_SIZE = 20
    MICRO_TIME_SIZE = 27
    UID_SIZE = 36
    DIGEST_SIZE = 64
    TOKEN_SIZE = 21
    TOKEN_PREFIX_SIZE = 16
    IPV4_SIZE_MIN = 7
    IPV4_SIZE_MAX = 15
    IPV6_SIZE_MAX = 39
    NAME_SIZE_MAX = 63  # longer ones are no value of a label, which any name is that stands in one
    NETWORK_SIZE_MAX = IPV4_SIZE_MAX + 3
    LABEL_SIZE_MAX = 63
    NODE_NAME_SIZE = 12

cdef const char *TOKEN_PREFIX = b"kube-api-access-"
cdef const char *NODE_NAME = b'"nodeName":"'


cdef struct Value:
    const char *text
    Py_ssize_t size
    char kind
    int number
    int whole  # of a time with places behind the seconds: the value that it is without


cdef struct Hole:
    const char *text
    Py_ssize_t size
    int value


cdef struct Reading:
    Value name
    Value node
    Value[C_VALUES_MAX] values
    Hole[C_HOLES_MAX] holes
    char[C_VALUES_MAX][TIME_SIZE] wholes
    int value_count
    int hole_count


cdef inline bint is_hex(char c) noexcept nogil:
    return c'0' <= c <= c'9' or c'a' <= c <= c'f'


cdef bint is_uid(const char *c) noexcept nogil:
    cdef int at
    for at in range(UID_SIZE):
        if at == 8 or at == 13 or at == 18 or at == 23:
            if c[at] != c'-':
                return False
        elif not is_hex(c[at]):
            return False
    return True


cdef bint is_ipv4(const char *c, Py_ssize_t size) noexcept nogil:
    """True for an address of one host as Go writes it; what means more than itself is none."""
    cdef Py_ssize_t at = 0, start
    cdef int part, number
    cdef int[4] parts
    for part in range(4):
        start, number = at, 0
        while at < size and c'0' <= c[at] <= c'9' and at - start < 3:
            number = number * 10 + c[at] - c'0'
            at += 1
        if at == start or number > 255 or (c[start] == c'0' and at - start > 1):
            return False
        parts[part] = number
        if part < 3:
            if at >= size or c[at] != c'.':
                return False
            at += 1
    if at != size or parts[0] == 0 or parts[0] == 127 or parts[0] >= 224:
        return False
    return parts[0] != 169 or parts[1] != 254


cdef bint is_network(const char *c, Py_ssize_t size) noexcept nogil:
    """The same for the IPv4 addresses behind a prefix of 8 bits or more, with no bit set behind it."""
    cdef const char *slash = <const char *>memchr(c, c'/', size)
    cdef Py_ssize_t digits
    cdef unsigned char[4] parts
    cdef char[16] text
    cdef unsigned int bits, address
    if slash == NULL or not is_ipv4(c, slash - c):
        return False
    digits = c + size - slash - 1
    if digits < 1 or digits > 2 or not c'1' <= slash[1] <= c'9':
        return False
    bits = slash[1] - c'0'
    if digits == 2:
        if not c'0' <= slash[2] <= c'9':
            return False
        bits = 10 * bits + slash[2] - c'0'
    if bits < 8 or bits > 32:
        return False
    memcpy(text, c, slash - c)
    text[slash - c] = 0
    if inet_pton(AF_INET, text, parts) != 1:
        return False
    address = (<unsigned int>parts[0] << 24) | (<unsigned int>parts[1] << 16) | (<unsigned int>parts[2] << 8) | parts[3]
    return bits == 32 or address << bits == 0


cdef bint is_ipv6(const char *c, Py_ssize_t size) noexcept nogil:
    """The same: a global or a unique local address, in its canonical text."""
    cdef char[48] given
    cdef char[48] written
    cdef unsigned char[16] address
    cdef Py_ssize_t at
    for at in range(size):
        if not is_hex(c[at]) and c[at] != c':':
            return False
    memcpy(given, c, size)
    given[size] = 0
    if inet_pton(AF_INET6, given, address) != 1 or inet_ntop(AF_INET6, address, written, 48) == NULL:
        return False
    if memcmp(given, written, size + 1) != 0:
        return False
    return address[0] >> 5 == 1 or address[0] >> 1 == 0x7E


cdef bint is_container(const char *c, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t at, head = size - DIGEST_SIZE - 3
    if head < 1 or memcmp(c + head, b"://", 3) != 0:
        return False
    for at in range(head):
        if not (c'a' <= c[at] <= c'z' or c[at] == c'-'):
            return False
    for at in range(head + 3, size):
        if not is_hex(c[at]):
            return False
    return True


cdef bint is_token(const char *c) noexcept nogil:
    cdef int at
    if memcmp(c, TOKEN_PREFIX, TOKEN_PREFIX_SIZE) != 0:
        return False
    for at in range(TOKEN_PREFIX_SIZE, TOKEN_SIZE):
        if not (c'a' <= c[at] <= c'z' or c'0' <= c[at] <= c'9'):
            return False
    return True


cdef bint is_distinct_name(const char *c, Py_ssize_t size) noexcept nogil:
    """True for a DNS subdomain with a dash, or that begins with a letter and has a digit but is no version as ``v1``.

    So no word of Kubernetes' own that decides anything, and no quantity: those would mean more than themselves.
    """
    cdef Py_ssize_t at, label = 0
    cdef bint dash = False, digit = False
    if size < 1 or size > NAME_SIZE_MAX:
        return False
    for at in range(size):
        if c'a' <= c[at] <= c'z':
            label += 1
        elif c'0' <= c[at] <= c'9':
            label += 1
            digit = True
        elif c[at] == c'-' and label:
            label += 1
            dash = True
        elif c[at] == c'.' and label and c[at - 1] != c'-':
            label = 0
        else:
            return False
        if label > LABEL_SIZE_MAX:
            return False
    if c[0] < c'a' or (c[0] == c'v' and size > 1 and c[1] <= c'9'):
        digit = False
    return (dash or digit) and label > 0 and c[size - 1] != c'-'


cdef char kind_of(const char *c, Py_ssize_t size) noexcept nogil:
    """What value the text is by its look."""
    if size < 3 or size > 2 * DIGEST_SIZE:
        return NO_KIND
    if size == TIME_SIZE and plain_clock(c, size):
        return TIME
    if finer_clock(c, size):
        return MICRO_TIME if size == MICRO_TIME_SIZE else FINER_TIME
    if size == UID_SIZE and is_uid(c):
        return UID
    if IPV4_SIZE_MIN <= size <= IPV4_SIZE_MAX and c'1' <= c[0] <= c'9' and is_ipv4(c, size):
        return IPV4
    if IPV4_SIZE_MIN <= size <= NETWORK_SIZE_MAX and c'1' <= c[0] <= c'9' and is_network(c, size):
        return NETWORK
    if size == TOKEN_SIZE and is_token(c):
        return TOKEN
    if size > DIGEST_SIZE and is_container(c, size):
        return CONTAINER
    if size <= IPV6_SIZE_MAX and is_hex(c[0]) and memchr(c, c':', size) != NULL and is_ipv6(c, size):
        return IPV6
    return NO_KIND


cdef inline bint is_text(Value *value, const char *c, Py_ssize_t size) noexcept nogil:
    return value.size == size and memcmp(value.text, c, size) == 0


cdef char kind_here(Reading *reading, const char *c, Py_ssize_t size) noexcept nogil:
    """What value the text is in this object."""
    cdef char kind = kind_of(c, size)
    if kind == NO_KIND:
        if is_text(&reading.name, c, size):
            return NAME
        if is_text(&reading.node, c, size):
            return NODE
    return kind


cdef int place_of(Reading *reading, const char *c, Py_ssize_t size, char kind) noexcept nogil:
    """Which value it is, a new one if need be; -1 where there are too many."""
    cdef int at, whole = -1
    cdef Value *value
    cdef char *text
    for at in range(reading.value_count):
        value = &reading.values[at]
        if value.kind == kind and is_text(value, c, size):
            return at
    at = reading.value_count
    if at == C_VALUES_MAX:
        return -1
    value = &reading.values[at]
    value.text, value.size, value.kind, value.whole = c, size, kind, -1
    reading.value_count += 1
    if kind == MICRO_TIME or kind == FINER_TIME:
        text = &reading.wholes[at][0]
        memcpy(text, c, TIME_SIZE - 1)
        text[TIME_SIZE - 1] = c'Z'
        whole = place_of(reading, text, TIME_SIZE, TIME)
        if whole < 0:
            return -1
        value.whole = whole
    return at


cdef bint is_open_writing(const char *c, Py_ssize_t size) noexcept nogil:
    """True where a character is written by its number, or a slash with a backslash: any text may stand so."""
    cdef const char *end = c + size
    c = <const char *>memchr(c, c'\\', size)
    while c != NULL and c + 1 < end:
        if c[1] == c'u' or c[1] == c'/':
            return True
        c += 2
        c = <const char *>memchr(c, c'\\', end - c) if c < end else NULL
    return False


cdef bint is_member(const char *at, const char *end) noexcept nogil:
    """True where a colon comes next."""
    while at < end and (at[0] == c' ' or at[0] == c'\n' or at[0] == c'\r' or at[0] == c'\t'):
        at += 1
    return at < end and at[0] == c':'


cdef bint find_holes(Reading *reading, const char *c, Py_ssize_t size) noexcept nogil:
    """All holes of the text are known; False where there is no skeleton."""
    cdef const char *end = c + size
    cdef const char *quote = <const char *>memchr(c, c'"', size)
    cdef const char *start
    cdef Py_ssize_t length
    cdef char kind
    cdef int value
    if memchr(c, MARK, size) != NULL:
        return False
    while quote != NULL:
        start = quote + 1
        quote = <const char *>memchr(start, c'"', end - start)
        if quote == NULL:
            return True
        length = quote - start
        if length and start[length - 1] == c'\\':
            length -= 1
        kind = kind_here(reading, start, length)
        if kind == NO_KIND:
            if memchr(start, c'\\', length) != NULL and is_open_writing(start, quote - start):
                return False
            continue
        if is_member(quote + 1, end) or reading.hole_count == C_HOLES_MAX:
            return False
        value = place_of(reading, start, length, kind)
        if value < 0:
            return False
        reading.holes[reading.hole_count].text = start
        reading.holes[reading.hole_count].size = length
        reading.holes[reading.hole_count].value = value
        reading.hole_count += 1
    return True


cdef inline char group_of(char kind) noexcept nogil:
    return IPV4 if kind == IPV6 else kind


cdef bint is_ordered(char kind) noexcept nogil:
    return kind == TIME or kind == MICRO_TIME or kind == IPV4 or kind == IPV6


cdef bint is_before(Value *one, Value *other) noexcept nogil:
    cdef Py_ssize_t size = min(one.size, other.size)
    cdef int order = memcmp(one.text, other.text, size)
    return order < 0 or (order == 0 and one.size < other.size)


cdef void number_values(Reading *reading) noexcept nogil:
    """Each value has its number among those of its kind."""
    cdef int at, other
    cdef Value *value
    for at in range(reading.value_count):
        value = &reading.values[at]
        value.number = 0
        if is_ordered(value.kind):
            for other in range(reading.value_count):
                if group_of(reading.values[other].kind) == group_of(value.kind):
                    value.number += is_before(&reading.values[other], value)
        else:
            for other in range(at):
                value.number += reading.values[other].kind == value.kind


cdef char *put_text(char *place, Reading *reading, int *hole, const char *c, Py_ssize_t size) noexcept nogil:
    """The text with marks for its holes is written; behind it."""
    cdef const char *end = c + size
    cdef Hole *found
    cdef Value *value
    while hole[0] < reading.hole_count and reading.holes[hole[0]].text < end and reading.holes[hole[0]].text >= c:
        found = &reading.holes[hole[0]]
        value = &reading.values[found.value]
        memcpy(place, c, found.text - c)
        place += found.text - c
        place[0], place[1], place[2] = MARK, value.kind, <char>(FIRST + value.number)
        place += 3
        if value.whole >= 0:
            place[0] = <char>(FIRST + reading.values[value.whole].number)
            place += 1
        c = found.text + found.size
        hole[0] += 1
    memcpy(place, c, end - c)
    return place + (end - c)


cdef void find_name(Value *found, const char *text, Py_ssize_t size) noexcept nogil:
    """``metadata.name``, where it is a name like no other word."""
    cdef Py_ssize_t at = head_end(text, size), start
    cdef bint named
    found.size = -1
    while 0 <= at < size and text[at] == c'"':
        start = at
        at = skip_string(text, at, size)
        if at < 0 or at + 1 >= size or text[at] != c':':
            return
        named = at - start == 6 and memcmp(text + start, b'"name"', 6) == 0
        start = at + 1
        at = skip_value(text, start, size)
        if at < 0 or at >= size:
            return
        if named:
            if text[start] == c'"' and is_distinct_name(text + start + 1, at - start - 2):
                found.text, found.size = text + start + 1, at - start - 2
            return
        at += text[at] == c','


cdef void find_node(Value *found, const char *text, Py_ssize_t size) noexcept nogil:
    """``nodeName``, wherever it stands first, where it is a name like no other word."""
    cdef const char *at = text
    cdef const char *end = text + size
    cdef const char *quote
    found.size = -1
    while True:
        at = <const char *>memchr(at, c'n', end - at)
        if at == NULL or at + NODE_NAME_SIZE > end:
            return
        if at > text and (at - 1)[0] == c'"' and memcmp(at - 1, NODE_NAME, NODE_NAME_SIZE) == 0:
            at += NODE_NAME_SIZE - 1
            quote = <const char *>memchr(at, c'"', end - at)
            if quote != NULL and is_distinct_name(at, quote - at):
                found.text, found.size = at, quote - at
            return
        at += 1


cdef void forget_words(Value *found, tuple words):
    """A name that one of the words is, is none."""
    for word in words:
        if is_text(found, PyBytes_AS_STRING(word), PyBytes_GET_SIZE(word)):
            found.size = -1


def skeleton(bytes stored not None, bytes asked not None, bytes now not None, tuple words not None):
    """The skeleton of both, and the values by kind and number; None where there is none, or too many values.

    ``now``: the time, a value as well. ``words``: texts beside, which may not be the object's name or its node's.
    """
    cdef Reading reading
    cdef int at, hole = 0, count
    cdef bytes made
    cdef list values
    cdef char *place
    cdef char *begin
    cdef const char *text = PyBytes_AS_STRING(stored)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(stored)
    if not plain_clock(PyBytes_AS_STRING(now), PyBytes_GET_SIZE(now)):
        return None
    reading.value_count = reading.hole_count = 0
    find_name(&reading.name, text, size)
    find_node(&reading.node, text, size)
    forget_words(&reading.name, words)
    forget_words(&reading.node, words)
    place_of(&reading, PyBytes_AS_STRING(now), PyBytes_GET_SIZE(now), TIME)
    if not find_holes(&reading, text, size):
        return None
    if not find_holes(&reading, PyBytes_AS_STRING(asked), PyBytes_GET_SIZE(asked)):
        return None
    number_values(&reading)
    made = PyBytes_FromStringAndSize(NULL, size + PyBytes_GET_SIZE(asked) + 2 + MARK_SIZE_MAX * reading.hole_count)
    begin = place = PyBytes_AS_STRING(made)
    place[0] = <char>(FIRST + reading.values[0].number)
    place = put_text(place + 1, &reading, &hole, text, size)
    place[0] = MARK
    place = put_text(place + 1, &reading, &hole, PyBytes_AS_STRING(asked), PyBytes_GET_SIZE(asked))
    values = []
    for at in range(reading.value_count):
        values.append((reading.values[at].kind, reading.values[at].number,
                       reading.values[at].text[: reading.values[at].size]))
    if reading.value_count > 1:
        values.sort()
    return made[: place - begin], [each[2] for each in values]


def pieces_of(bytes text not None, list values not None, dict given not None):
    """The text as bytes and places in ``values``; None where it has a time, address or uid that is none of them.

    ``given``: places of holes that are told by where they begin.
    """
    cdef dict places = {value: at for at, value in enumerate(values)}
    cdef const char *c = PyBytes_AS_STRING(text)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text), start, end, length, copied = 0
    cdef list made = []
    cdef const char *quote = <const char *>memchr(c, c'"', size)
    while quote != NULL:
        start = quote - c + 1
        quote = <const char *>memchr(c + start, c'"', size - start)
        if quote == NULL:
            break
        length = quote - c - start
        if length and c[start + length - 1] == c'\\':
            length -= 1
        end = start + length
        place = given.get(start)
        if place is None:
            place = places.get(text[start:end])
        if place is None:
            if kind_of(c + start, length) != NO_KIND:
                return None
            continue
        if is_member(quote + 1, c + size):
            return None
        made.append(text[copied:start])
        made.append(place)
        copied = end
    made.append(text[copied:])
    return made


cdef class Form:
    """A text with holes, and what it comes to with values in them."""

    cdef list texts
    cdef list holes
    cdef Py_ssize_t size

    def __init__(self, list pieces):
        """``pieces`` are bytes and places in turn, as ``pieces_of`` gives them."""
        self.texts = pieces[::2]
        self.holes = pieces[1::2]
        self.size = sum(map(len, self.texts))

    def filled(self, list values):
        """The text with those values."""
        cdef Py_ssize_t size = self.size, at, count = len(self.holes), length
        cdef bytes made, piece
        cdef char *place
        for at in range(count):
            size += PyBytes_GET_SIZE(<bytes>values[<Py_ssize_t>self.holes[at]])
        made = PyBytes_FromStringAndSize(NULL, size)
        place = PyBytes_AS_STRING(made)
        for at in range(count + 1):
            piece = <bytes>self.texts[at]
            length = PyBytes_GET_SIZE(piece)
            memcpy(place, PyBytes_AS_STRING(piece), length)
            place += length
            if at < count:
                piece = <bytes>values[<Py_ssize_t>self.holes[at]]
                length = PyBytes_GET_SIZE(piece)
                memcpy(place, PyBytes_AS_STRING(piece), length)
                place += length
        return made


def is_address(bytes text not None):
    """True for an address of one host."""
    return group_of(kind_of(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))) == IPV4
