# cython: language_level=3
"""One value told by another: what stands in both is named by its place, the rest is written out.

    packed    one or more of: varint n, n bytes; varint m, varint place: m bytes of the base
    place     the distance from where the last copy ended, zigzag: 0 where something was put in, n where n bytes were replaced

The last copy is left out where the bytes before it end the value. It is the matching of LZ4 with the other value as its
dictionary and nothing else; versions of an object differ in a few places, so one look at where the last match would go
on finds most. A pod of 4 KB beside the version before it: some 200 bytes.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    TABLE_BITS = 10
    STEP = 8  # bytes of the base from one place in the table to the next, in bases of up to 8 KB
    MATCH_MIN = 12  # bytes that are worth a copy
    OPERATION_BYTES_MAX = 15  # three varints


cdef inline uint64_t word_at(const char *text) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, text, 8)
    return word


cdef inline uint32_t slot_of(uint64_t word) noexcept nogil:
    return <uint32_t>((word * <uint64_t>0x9E3779B97F4A7C15) >> (64 - TABLE_BITS))


cdef inline uint32_t put_number(char *out, uint32_t number) noexcept nogil:
    cdef uint32_t size = 0
    while number >= 0x80:
        out[size] = <char>(number | 0x80)
        number >>= 7
        size += 1
    out[size] = <char>number
    return size + 1


cdef inline uint32_t get_number(const char **at) noexcept nogil:
    cdef uint32_t number = 0, shift = 0
    while at[0][0] & 0x80:
        number |= <uint32_t>(at[0][0] & 0x7F) << shift
        shift += 7
        at[0] += 1
    number |= <uint32_t>(at[0][0]) << shift
    at[0] += 1
    return number


cdef inline uint32_t match(const char *left, const char *right, uint32_t size_max) noexcept nogil:
    """How many bytes are equal from there on."""
    cdef uint32_t size = 0
    while size + 8 <= size_max and word_at(left + size) == word_at(right + size):
        size += 8
    while size < size_max and left[size] == right[size]:
        size += 1
    return size


cdef void fill(uint32_t *table, const char *base, uint32_t base_size) noexcept nogil:
    """The table has places of the base, by what stands there; 0: none."""
    cdef uint32_t step = STEP * (1 + base_size // (STEP << TABLE_BITS)), at = 0
    memset(table, 0, sizeof(uint32_t) << TABLE_BITS)
    while at + 8 <= base_size:
        table[slot_of(word_at(base + at))] = at + 1
        at += step


cdef uint32_t packed_by(
    const char *value, uint32_t size, const char *base, uint32_t base_size, char *out, uint32_t room
) noexcept nogil:
    """How many bytes at ``out`` tell the value by the base; 0 where they are more than ``room``. Both below 1 GiB."""
    cdef uint32_t table[1 << TABLE_BITS]
    cdef uint32_t at = 0, told = 0, expected = 0, written = 0, place, length, back
    cdef uint64_t word
    cdef bint is_filled = False, found
    while at + 8 <= size:
        word = word_at(value + at)
        place = expected + (at - told)
        found = place + 8 <= base_size and word_at(base + place) == word
        if not found:
            if not is_filled:
                fill(table, base, base_size)
                is_filled = True
            place = table[slot_of(word)]
            found = place != 0 and word_at(base + place - 1) == word
            place -= found
        if not found:
            at += 1
            continue
        length = match(value + at, base + place, min(size - at, base_size - place))
        back = 0
        while back < at - told and back < place and value[at - back - 1] == base[place - back - 1]:
            back += 1
        if length + back < MATCH_MIN:
            at += 1
            continue
        at -= back
        place -= back
        length += back
        if written + (at - told) + OPERATION_BYTES_MAX > room:
            return 0
        written += put_number(out + written, at - told)
        memcpy(out + written, value + told, at - told)
        written += at - told
        written += put_number(out + written, length)
        written += put_number(out + written, zigzag(<int64_t>place - expected))
        at += length
        told = at
        expected = place + length
    if told < size:
        if written + (size - told) + OPERATION_BYTES_MAX > room:
            return 0
        written += put_number(out + written, size - told)
        memcpy(out + written, value + told, size - told)
        written += size - told
    return written


cdef inline uint32_t zigzag(int64_t number) noexcept nogil:
    return <uint32_t>(2 * number if number >= 0 else -2 * number - 1)


cdef void unpack(const char *packed, const char *base, char *value, uint32_t size) noexcept nogil:
    """The value that was packed by the base, of ``size`` bytes, is at ``value``."""
    cdef uint32_t told = 0, length, number
    cdef int64_t place = 0
    while told < size:
        length = get_number(&packed)
        memcpy(value + told, packed, length)
        packed += length
        told += length
        if told == size:
            return
        length = get_number(&packed)
        number = get_number(&packed)
        place += -<int64_t>(number >> 1) - 1 if number & 1 else <int64_t>(number >> 1)
        memcpy(value + told, base + place, length)
        place += length
        told += length
