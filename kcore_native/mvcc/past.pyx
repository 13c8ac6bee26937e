# cython: language_level=3
"""Versions that are told by the ones that followed them: how they are packed, and read again.

A packed record has, behind its lease, how many bytes it takes and then what ``delta`` made of its value and its
successor's. That may be packed, too: a value is unpacked from the next plain one of its key on.
"""

from cpython.mem cimport PyMem_Malloc
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from kcore_native.mvcc.delta cimport packed_by, unpack
from kcore_native.mvcc.keyspace cimport PACKED_BIT, Rec, Scratch, is_packed, revs_of, value_bytes, value_size


cdef uint32_t place_of(const Rec *rec) noexcept nogil:
    """Where the record is among those of its key."""
    cdef Rec **revs = revs_of(rec.key)
    cdef uint32_t low = 0, high = rec.key.count - 1, middle
    while low < high:
        middle = (low + high) >> 1
        if revs[middle].main < rec.main or (revs[middle].main == rec.main and revs[middle].sub < rec.sub):
            low = middle + 1
        else:
            high = middle
    return low


cdef int copy_value(const Rec *rec, char *to) except -1 nogil:
    """The record's value, of value_size bytes, is at ``to``."""
    cdef Rec **revs
    cdef uint32_t place, plain, largest = 0
    cdef const char *base
    cdef char *rooms = NULL
    cdef char *made
    if not is_packed(rec):
        memcpy(to, value_bytes(rec), value_size(rec))
        return 0
    revs = revs_of(rec.key)
    place = place_of(rec)
    plain = place + 1
    while is_packed(revs[plain]):
        largest = max(largest, value_size(revs[plain]))
        plain += 1
    base = value_bytes(revs[plain])
    if largest:
        rooms = <char *>malloc(2 * <size_t>largest)
        if rooms == NULL:
            with gil:
                raise MemoryError
        while plain > place + 1:
            plain -= 1
            made = rooms + (plain & 1) * <size_t>largest
            unpack(packed_bytes(revs[plain]), base, made, value_size(revs[plain]))
            base = made
    unpack(packed_bytes(rec), base, to, value_size(rec))
    free(rooms)
    return 0


cdef int widen(Scratch *scratch, size_t size) except -1 nogil:
    """The scratch has so much room."""
    cdef char *grown
    if scratch.room < size or scratch.bytes == NULL:
        grown = <char *>realloc(scratch.bytes, size + 1)
        if grown == NULL:
            with gil:
                raise MemoryError
        scratch.bytes = grown
        scratch.room = size
    return 0


cdef const char *plain_value(const Rec *rec, Scratch *scratch) except NULL nogil:
    """The record's value: where it is, or in the scratch, until that is used again."""
    if not is_packed(rec):
        return value_bytes(rec)
    widen(scratch, value_size(rec))
    copy_value(rec, scratch.bytes)
    return scratch.bytes


cdef Rec *packed_record(const Rec *old, const Rec *base, Scratch *scratch) except? NULL:
    """A new record that tells the old one by its successor, which is plain; NULL where that saves less than a quarter."""
    cdef uint32_t size = value_size(old), packed
    cdef size_t head = sizeof(Rec) + (old.size >> 31) * 8
    cdef Rec *rec
    widen(scratch, size)
    packed = packed_by(value_bytes(old), size, value_bytes(base), value_size(base), scratch.bytes, size // 4 * 3)
    if packed == 0:
        return NULL
    rec = <Rec *>PyMem_Malloc(head + sizeof(uint32_t) + packed)
    if rec == NULL:
        raise MemoryError
    memcpy(rec, old, head)
    rec.size |= PACKED_BIT
    memcpy(<char *>value_bytes(rec), &packed, sizeof(uint32_t))
    memcpy(<char *>packed_bytes(rec), scratch.bytes, packed)
    return rec
