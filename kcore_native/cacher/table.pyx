# cython: language_level=3
"""The objects of one resource: by key, in the order of keys, with what selectors ask beside them.

An entry whose ``value`` is None is read from the store in this process, at its revision: the store keeps every version
until it is compacted, and its newest for ever, so bytes are not held twice. The order is a list of blocks of at most
BLOCK_MAX entries; an insertion moves the pointers of one block.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcmp, memcpy, memrchr

from kcore_native.cacher.scan cimport head_end, kind_end, put_version, spliced_size
from kcore_native.mvcc.keyspace cimport KeyNode, Rec, hash_of, record_at, value_size
from kcore_native.mvcc.past cimport plain_value
from kcore_native.mvcc.store cimport Store

BLOCK_MAX = C_BLOCK_MAX

cdef enum:
    C_BLOCK_MAX = 512
    LABEL_IN = 0
    LABEL_NOT_IN = 1
    LABEL_EXISTS = 2
    LABEL_ABSENT = 3
    LABEL_GREATER = 4
    LABEL_LESS = 5

NAME_FIELD = -1  # places of fields that are read from the key
NAMESPACE_FIELD = -2
NO_FIELD = -3  # a field that no object has

OPERATORS = {
    "In": LABEL_IN, "NotIn": LABEL_NOT_IN, "Exists": LABEL_EXISTS, "DoesNotExist": LABEL_ABSENT,
    "Gt": LABEL_GREATER, "Lt": LABEL_LESS,
}


class Missing(Exception):
    """An object's bytes are no longer in the store: the cache is behind a compaction."""


cdef int less(bytes left, bytes right) noexcept:
    """Less than, equal to or greater than 0 as ``left`` is to ``right``."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(left), other = PyBytes_GET_SIZE(right)
    cdef int order = memcmp(PyBytes_AS_STRING(left), PyBytes_AS_STRING(right), min(size, other))
    return order if order else (size > other) - (size < other)


@cython.no_gc
@cython.final
cdef class Entry:
    """One version of one object. ``labels`` are (key, value, key, value ...), ``fields`` in the plan's order."""

    def __init__(self, bytes key not None, bytes value, tuple labels not None, tuple fields not None, int64_t revision):
        self.key = key
        self.value = value
        self.labels = labels
        self.fields = fields
        self.revision = revision

    def __repr__(self):
        return f"Entry({self.key!r}, {self.revision})"


cdef Entry new_entry(bytes key, bytes value, tuple labels, tuple fields, int64_t revision):
    cdef Entry entry = Entry.__new__(Entry)
    entry.key = key
    entry.value = value
    entry.labels = labels
    entry.fields = fields
    entry.revision = revision
    return entry


cdef int find_value(Store store, Entry entry, const char **value, Py_ssize_t *size) except -1:
    """True, with the place of the entry's stored value, where it is still there.

    Valid until the store is written; of a value that is packed there until the next is looked for.
    """
    cdef KeyNode *node
    cdef Rec *rec
    cdef const char *key
    if entry.value is not None:
        value[0] = PyBytes_AS_STRING(entry.value)
        size[0] = PyBytes_GET_SIZE(entry.value)
        return True
    if store is None:
        return False
    key = PyBytes_AS_STRING(entry.key)
    node = store.keys.find(key, <uint32_t>PyBytes_GET_SIZE(entry.key), hash_of(key, <uint32_t>PyBytes_GET_SIZE(entry.key)))
    rec = NULL if node == NULL else record_at(node, entry.revision)
    if rec == NULL or rec.main != entry.revision or rec.version == 0:
        return False
    value[0] = plain_value(rec, &store.keys.scratch)
    size[0] = value_size(rec)
    return True


def value_of(Store store, Entry entry not None):
    """The entry's value as it is stored; raises Missing."""
    cdef const char *value
    cdef Py_ssize_t size
    if entry.value is not None:
        return entry.value
    if not find_value(store, entry, &value, &size):
        raise Missing(entry.key)
    return PyBytes_FromStringAndSize(value, size)


cdef class Predicate:
    """What a list or a watch is about: the keys under ``prefix`` (``one``: that key) whose entries meet the selectors.

    ``labels``: (key, operator, values) as ``kcore.api.selectors`` has them; ``fields``: (place, value, equal).
    """

    def __init__(self, bytes prefix not None, labels=(), fields=(), bint one=False):
        self.prefix = prefix
        self.one = one
        self.labels = [(key, OPERATORS[operator], tuple(values)) for key, operator, values in labels]
        self.fields = [(place, value, bool(equal)) for place, value, equal in fields]
        self.everything = not self.labels and not self.fields

    cdef bint covers(self, bytes key) noexcept:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.prefix)
        if PyBytes_GET_SIZE(key) < size or (self.one and PyBytes_GET_SIZE(key) != size):
            return False
        return memcmp(PyBytes_AS_STRING(key), PyBytes_AS_STRING(self.prefix), size) == 0

    def accepts(self, Entry entry not None):
        """True where the entry is one of those it is about."""
        return self.covers(entry.key) and self.matches(entry)

    cdef bint matches(self, Entry entry) except -1:
        """True where the entry meets the selectors; its key is not looked at but for its names."""
        if self.everything:
            return True
        for wanted in self.labels:
            if not label_meets(entry.labels, <tuple>wanted):
                return False
        for wanted in self.fields:
            if not field_meets(entry, <tuple>wanted):
                return False
        return True


cdef object label_value(tuple labels, str key):
    cdef Py_ssize_t i
    for i in range(0, len(labels), 2):
        if <str>labels[i] == key:
            return labels[i + 1]
    return None


cdef bint label_meets(tuple labels, tuple wanted) except -1:
    cdef int test = wanted[1]
    value = label_value(labels, <str>wanted[0])
    if test == LABEL_IN:
        return value is not None and value in <tuple>wanted[2]
    if test == LABEL_NOT_IN:
        return value is None or value not in <tuple>wanted[2]
    if test == LABEL_EXISTS:
        return value is not None
    if test == LABEL_ABSENT:
        return value is None
    found, bound = integer(value), integer((<tuple>wanted[2])[0])
    if found is None or bound is None:
        return False
    return found > bound if test == LABEL_GREATER else found < bound


cdef object integer(text):
    """The integer as Go's ParseInt reads it; None for anything else."""
    if text is None:
        return None
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isdigit():
        return None
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


cdef bint field_meets(Entry entry, tuple wanted) except -1:
    cdef Py_ssize_t place = wanted[0]
    if place >= 0:
        return (<str>entry.fields[place] == <str>wanted[1]) == <bint>wanted[2]
    return (key_part(entry.key, place) == <str>wanted[1]) == <bint>wanted[2]


cdef str key_part(bytes key, Py_ssize_t place):
    """The name or the namespace in the key; "" for a field that there is not."""
    cdef const char *text = PyBytes_AS_STRING(key)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(key), name, namespace
    cdef const char *slash = <const char *>memrchr(text, c'/', size)
    if slash == NULL or place == NO_FIELD:
        return ""
    name = slash - text
    if place == NAME_FIELD:
        return text[name + 1 : size].decode("utf-8", "replace")
    slash = <const char *>memrchr(text, c'/', name)
    namespace = 0 if slash == NULL else slash - text + 1
    return text[namespace:name].decode("utf-8", "replace")


cdef class Table:
    """See the module."""

    def __cinit__(self):
        self.entries = {}
        self.blocks = []
        self.firsts = []

    def __len__(self):
        return len(self.entries)

    def get(self, bytes key not None):
        """The entry of that key, None where there is none."""
        return self.entries.get(key)

    cdef Entry find(self, bytes key):
        return self.entries.get(key)

    cdef void lower_bound(self, bytes key, Py_ssize_t *block, Py_ssize_t *at) except *:
        """The place of the first entry that is not before ``key``; a place behind a block's last is that block's."""
        cdef Py_ssize_t low = 0, high = len(self.firsts), middle
        cdef list entries
        while low < high:  # the last block whose first key is not greater
            middle = (low + high) >> 1
            if less(<bytes>self.firsts[middle], key) <= 0:
                low = middle + 1
            else:
                high = middle
        block[0] = max(low - 1, 0)
        at[0] = 0
        if not self.blocks:
            return
        entries = <list>self.blocks[block[0]]
        low, high = 0, len(entries)
        while low < high:
            middle = (low + high) >> 1
            if less((<Entry>entries[middle]).key, key) < 0:
                low = middle + 1
            else:
                high = middle
        at[0] = low

    cdef Entry put(self, Entry entry):
        """The entry is the one of its key; the one before, or None."""
        cdef Entry old = self.entries.get(entry.key)
        cdef Py_ssize_t block = 0, at = 0, half
        cdef list entries
        self.entries[entry.key] = entry
        if not self.blocks:
            self.blocks.append([entry])
            self.firsts.append(entry.key)
            return None
        self.lower_bound(entry.key, &block, &at)
        entries = <list>self.blocks[block]
        if old is not None:
            entries[at] = entry
            return old
        entries.insert(at, entry)
        if at == 0:
            self.firsts[block] = entry.key
        if len(entries) > C_BLOCK_MAX:
            # keys that come in order fill their blocks
            half = C_BLOCK_MAX if at == C_BLOCK_MAX else C_BLOCK_MAX // 2
            self.blocks.insert(block + 1, entries[half:])
            self.firsts.insert(block + 1, (<Entry>entries[half]).key)
            del entries[half:]
        return None

    cdef Entry pop(self, bytes key):
        """The entry of that key, which is gone; None where there was none."""
        cdef Entry old = self.entries.pop(key, None)
        cdef Py_ssize_t block = 0, at = 0
        cdef list entries
        if old is None:
            return None
        self.lower_bound(key, &block, &at)
        entries = <list>self.blocks[block]
        del entries[at]
        if not entries:
            del self.blocks[block]
            del self.firsts[block]
        elif at == 0:
            self.firsts[block] = (<Entry>entries[0]).key
        return old

    def count(self, Predicate predicate not None, bytes start=b""):
        """How many entries there are under the predicate's prefix from ``start`` on, whatever they are."""
        cdef bytes first = max(predicate.prefix, start), last = above(predicate.prefix)
        cdef Py_ssize_t block = 0, at = 0, last_block = 0, last_at = 0, total = 0, i
        if predicate.one:
            return int(predicate.prefix in self.entries and start <= predicate.prefix)
        self.lower_bound(first, &block, &at)
        if last is None:
            last_block = len(self.blocks)
        else:
            self.lower_bound(last, &last_block, &last_at)
        for i in range(block, last_block):
            total += len(<list>self.blocks[i])
        return max(total - at + last_at, 0)

    def select(self, Predicate predicate not None, bytes start=b"", Py_ssize_t limit=0):
        """(entries in order from ``start`` on, ``limit`` at most where it is not 0; whether more of any kind follow)."""
        cdef list found = [], entries
        cdef Py_ssize_t block = 0, at = 0
        cdef Entry entry
        if predicate.one:
            entry = self.entries.get(predicate.prefix)
            if entry is not None and start <= predicate.prefix and predicate.matches(entry):
                found.append(entry)
            return found, False
        self.lower_bound(max(predicate.prefix, start), &block, &at)
        while block < len(self.blocks):
            entries = <list>self.blocks[block]
            if predicate.everything and not limit and predicate.covers((<Entry>entries[len(entries) - 1]).key):
                # the lower bound is under the prefix, and so is all up to the block's last
                found.extend(entries[at:] if at else entries)
                at = len(entries)
            while at < len(entries):
                entry = <Entry>entries[at]
                if not predicate.covers(entry.key):
                    return found, False
                if limit and len(found) == limit:
                    return found, True
                if predicate.everything or predicate.matches(entry):
                    found.append(entry)
                at += 1
            block += 1
            at = 0
        return found, False


cdef bytes above(bytes prefix):
    """The least key that is greater than all that begin with ``prefix``; None where there is none."""
    cdef bytes trimmed = prefix.rstrip(b"\xff")
    cdef Py_ssize_t last = len(trimmed) - 1
    return trimmed[:last] + bytes([trimmed[last] + 1]) if last >= 0 else None


cdef struct Piece:
    const char *value
    Py_ssize_t size
    Py_ssize_t skip  # the head that is left out: apiVersion and kind
    Py_ssize_t head
    int64_t revision
    bint more


def check(Store store, list entries not None):
    """Every entry's value is there, or Missing is raised."""
    cdef const char *value
    cdef Py_ssize_t size
    cdef Entry entry
    for entry in entries:
        if not find_value(store, entry, &value, &size):
            raise Missing(entry.key)


def bodies(Store store, list entries not None):
    """Each entry's JSON with its resourceVersion; raises Missing."""
    cdef list made = []
    cdef Entry entry
    cdef Piece piece
    cdef bytes body
    for entry in entries:
        cut(store, entry, False, &piece)
        body = PyBytes_FromStringAndSize(NULL, piece_size(&piece))
        write(PyBytes_AS_STRING(body), &piece)
        made.append(body)
    return made


def joined(Store store, list entries not None, bytes before not None=b"", bytes after not None=b"", bint bare=False):
    """``before``, the entries' JSON parted by commas, ``after``, in one piece; ``bare``: without apiVersion and kind.

    Raises Missing.
    """
    cdef Py_ssize_t count = len(entries), i, size = len(before) + len(after) + max(count - 1, 0)
    cdef Piece *pieces = <Piece *>PyMem_Malloc(max(count, 1) * sizeof(Piece))
    cdef list unpacked = []  # values of the past
    cdef bytes made
    cdef char *place
    if pieces == NULL:
        raise MemoryError
    try:
        for i in range(count):
            cut(store, <Entry>entries[i], bare, &pieces[i])
            size += piece_size(&pieces[i])
            if store is not None and pieces[i].value == store.keys.scratch.bytes:
                made = PyBytes_FromStringAndSize(pieces[i].value, pieces[i].size)
                unpacked.append(made)
                pieces[i].value = PyBytes_AS_STRING(made)
        made = PyBytes_FromStringAndSize(NULL, size)
        place = PyBytes_AS_STRING(made)
        memcpy(place, PyBytes_AS_STRING(before), len(before))
        place += len(before)
        for i in range(count):
            if i:
                place[0] = c','
                place += 1
            place += write(place, &pieces[i])
        memcpy(place, PyBytes_AS_STRING(after), len(after))
        return made
    finally:
        PyMem_Free(pieces)


cdef int cut(Store store, Entry entry, bint bare, Piece *piece) except -1:
    if not find_value(store, entry, &piece.value, &piece.size):
        raise Missing(entry.key)
    piece.head = head_end(piece.value, piece.size)
    if piece.head < 0:
        raise ValueError(f"not a stored object: {entry.key!r}")
    piece.skip = kind_end(piece.value, piece.size) if bare else 0
    piece.revision = entry.revision
    piece.more = piece.value[piece.head] != c'}'
    return 0


cdef Py_ssize_t piece_size(Piece *piece) noexcept nogil:
    return spliced_size(piece.size - piece.skip, piece.revision, piece.more)


cdef Py_ssize_t write(char *place, Piece *piece) noexcept nogil:
    """The piece at ``place``; its size. Where the head is left out its comma becomes the object's brace."""
    cdef Py_ssize_t head = piece.head - piece.skip, written
    memcpy(place, piece.value + piece.skip, head)
    place[0] = c'{'
    written = head + put_version(place + head, piece.revision, piece.more)
    memcpy(place + written, piece.value + piece.head, piece.size - piece.head)
    return written + piece.size - piece.head
