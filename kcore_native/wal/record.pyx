# cython: language_level=3
"""Records are framed so that a reader knows a torn end, which a crash leaves, from damage, which must be refused.

A segment is a file of frames from its first byte on, followed by zeros (preallocated space). A frame, little endian,
begins at a multiple of 8:

    0   u32  payload length (28 bits) and kind (the 4 bits above)
    4   u16  how many 512-byte sectors of the file, lying wholly in the payload, are all zero
    6   u16  check of the six bytes before, so that the length of a frame with a damaged payload can be believed
    8   u32  the CRC of the frame before, across segments too: a lost or stale frame breaks the chain
    12  u32  CRC32C of bytes 0 to 11, the payload and the padding
    16       payload, zeros to the next multiple of 8 less one, END_BYTE

Both checks start from the segment's salt and the frame's offset: bytes copied from elsewhere, or a client's value
that looks like a frame, are not one. A frame ends in a byte that is not zero, and its sectors of zeros are counted, so
a sector that never reached the disk shows. A DURABLE frame says up to which offset the segment was known to be
fsynced when it was written: a bad frame before that offset was damaged later.

Invariant: every frame before ``Scan.end`` is whole, in place and chained.

etcd's log (server/storage/wal/decoder.go) tells both apart by all-zero sectors in the last record alone.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from kcore_native.wal.checksum cimport extend

# Kinds of records. Their payloads are the business of kcore/store/segments.py, except those of ENTRY and DURABLE.
METADATA = 1  # what the segment is; always its first frame, and the only one without salt
ENTRY = 2  # u64 term, u64 index, u8 type, data
STATE = 3  # hard state
SNAPSHOT = 4  # a snapshot was put in place here
KNOWN_SNAPSHOT = 5  # a snapshot put in place in an earlier segment
DURABLE = 6  # u64 offset: the segment is fsynced so far

SECTOR_BYTES = 512  # a disk writes that much whole or not at all
HEADER_BYTES = 16
RECORD_BYTES_MAX = 32 * 1024 * 1024 - 1  # of a payload; its sectors must be countable in 16 bits

# Verdicts on what follows the last good frame.
CLEAN = 0  # nothing but zeros
TORN = 1  # what a crash leaves of bytes that were never fsynced
CORRUPT = 2  # bytes that had been fsynced changed

cdef enum:
    C_ENTRY = 2
    C_DURABLE = 6
    KIND_MAX = 6
    SECTOR = 512
    HEADER = 16
    LENGTH_MAX = 32 * 1024 * 1024 - 1
    LENGTH_MASK = 0x0FFFFFFF
    ENTRY_HEADER = 17
    END_BYTE = 0x5A
    CAPACITY_MIN = 65536
    KEPT_CAPACITY_MAX = 4 * 1024 * 1024

ctypedef enum Found:
    WHOLE  # frame and checks good
    NO_HEADER  # the file ends inside it
    BAD_HEADER
    CUT  # the file ends inside the payload
    BAD_PAYLOAD


cdef inline uint32_t read32(const unsigned char *at) noexcept nogil:
    return <uint32_t>at[0] | <uint32_t>at[1] << 8 | <uint32_t>at[2] << 16 | <uint32_t>at[3] << 24


cdef inline uint64_t read64(const unsigned char *at) noexcept nogil:
    return <uint64_t>read32(at) | <uint64_t>read32(at + 4) << 32


cdef inline void write16(unsigned char *at, uint32_t value) noexcept nogil:
    at[0] = value & 0xFF
    at[1] = value >> 8 & 0xFF


cdef inline void write32(unsigned char *at, uint32_t value) noexcept nogil:
    write16(at, value)
    write16(at + 2, value >> 16)


cdef inline void write64(unsigned char *at, uint64_t value) noexcept nogil:
    write32(at, <uint32_t>value)
    write32(at + 4, <uint32_t>(value >> 32))


cdef inline size_t frame_bytes(size_t length) noexcept nogil:
    """Bytes of the frame with that payload: header, payload, at least END_BYTE, a multiple of 8."""
    return HEADER + ((length + 8) & ~<size_t>7)


cdef inline uint32_t seed_of(uint32_t salt, uint64_t offset) noexcept nogil:
    return salt ^ <uint32_t>(offset >> 3)


cdef inline uint32_t header_check(const unsigned char *frame, uint32_t seed) noexcept nogil:
    cdef uint32_t crc = extend(seed, frame, 6)
    return (crc ^ crc >> 16) & 0xFFFF


cdef inline uint32_t frame_crc(const unsigned char *frame, size_t size, uint32_t seed) noexcept nogil:
    return extend(extend(seed, frame, 12), frame + HEADER, size - HEADER)


cdef bint all_zero(const unsigned char *data, size_t length) noexcept nogil:
    cdef size_t i = 0
    cdef uint64_t word
    while i + 8 <= length:
        memcpy(&word, data + i, 8)
        if word:
            return False
        i += 8
    while i < length:
        if data[i]:
            return False
        i += 1
    return True


cdef uint32_t zero_sectors(const unsigned char *frame, size_t size, uint64_t offset) noexcept nogil:
    """Sectors of the file, lying wholly between the frame's header and its end, that are all zero."""
    cdef uint64_t sector = (offset + HEADER + SECTOR - 1) // SECTOR * SECTOR
    cdef uint32_t count = 0
    while sector + SECTOR <= offset + size:
        if all_zero(frame + (sector - offset), SECTOR):
            count += 1
        sector += SECTOR
    return count


cdef Found frame_at(
    const unsigned char *data, size_t size, size_t offset, uint32_t salt, size_t *length
) noexcept nogil:
    """What is at the offset; the payload's length where the header is good."""
    cdef const unsigned char *frame = data + offset
    cdef uint32_t seed = seed_of(salt, offset)
    cdef uint32_t first
    cdef size_t whole
    length[0] = 0
    if size - offset < HEADER:
        return NO_HEADER
    first = read32(frame)
    if (<uint32_t>frame[6] | <uint32_t>frame[7] << 8) != header_check(frame, seed):
        return BAD_HEADER
    if first >> 28 == 0 or first >> 28 > KIND_MAX or first & LENGTH_MASK > LENGTH_MAX:
        return BAD_HEADER
    length[0] = first & LENGTH_MASK
    whole = frame_bytes(length[0])
    if whole > size - offset:
        return CUT
    if read32(frame + 12) != frame_crc(frame, whole, seed):
        return BAD_PAYLOAD
    return WHOLE


cdef size_t last_nonzero(const unsigned char *data, size_t size, size_t start) noexcept nogil:
    """One past the last byte from ``start`` on that is not zero; ``start`` where there is none."""
    cdef size_t end = size
    while end - start >= 4096 and all_zero(data + end - 4096, 4096):
        end -= 4096
    while end > start and data[end - 1] == 0:
        end -= 1
    return end


cdef uint64_t durable_after(const unsigned char *data, size_t size, size_t start, uint32_t salt) noexcept nogil:
    """The furthest offset that a whole DURABLE frame at or after ``start`` vouches for; 0 without one."""
    cdef size_t at = start, length = 0
    cdef size_t whole = frame_bytes(8)
    cdef uint64_t furthest = 0, vouched
    while at + whole <= size:
        if read32(data + at) == (<uint32_t>C_DURABLE << 28 | 8) and frame_at(data, size, at, salt, &length) == WHOLE:
            vouched = read64(data + at + HEADER)
            if vouched <= at and vouched > furthest:
                furthest = vouched
        at += 8
    return furthest


cdef bint looks_unwritten(
    const unsigned char *data, size_t size, size_t offset, Found found, size_t length, size_t last
) noexcept nogil:
    """True where the bad frame is what remains of a write of which some sectors, or all from some byte on, are missing."""
    cdef const unsigned char *frame = data + offset
    cdef size_t whole
    if found == NO_HEADER or found == CUT:
        return True
    if found == BAD_HEADER:
        if read64(frame) == 0:
            # the sector of its beginning is missing; the header may reach into the next one
            return read64(frame + 8) == 0 or (offset + 8) % SECTOR == 0
        return last < offset + 8
    if found == WHOLE:
        return True  # good by itself, but its predecessor is another: that was overwritten and this was not
    whole = frame_bytes(length)
    if frame[whole - 1] == 0:
        return True
    if (offset + 8) % SECTOR == 0 and all_zero(frame + 8, min(<size_t>SECTOR, whole - 8)):
        return True
    return zero_sectors(frame, whole, offset) > (<uint32_t>frame[4] | <uint32_t>frame[5] << 8)


cdef class Encoder:
    """Frames for the end of one segment, collected until ``take``.

    Invariant: ``offset`` and ``previous`` are where the next frame goes and what it is chained to.
    """

    cdef unsigned char *buffer
    cdef size_t used, capacity
    cdef readonly uint32_t salt
    cdef readonly uint64_t offset
    cdef readonly uint32_t previous

    def __cinit__(self, uint32_t salt, uint64_t offset, uint32_t previous):
        if offset % 8:
            raise ValueError(f"a frame cannot begin at {offset}, which is no multiple of 8")
        self.salt = salt
        self.offset = offset
        self.previous = previous

    def __dealloc__(self):
        free(self.buffer)

    cdef int reserve(self, size_t more) except -1:
        cdef size_t capacity = max(self.capacity, <size_t>CAPACITY_MIN)
        cdef unsigned char *buffer
        if self.used + more <= self.capacity:
            return 0
        while capacity < self.used + more:
            capacity *= 2
        buffer = <unsigned char *>realloc(self.buffer, capacity)
        if buffer == NULL:
            raise MemoryError
        self.buffer = buffer
        self.capacity = capacity
        return 0

    cdef unsigned char *begin(self, size_t length) except NULL:
        """Room for the frame; the caller fills the payload and calls ``finish``."""
        if length > LENGTH_MAX:
            raise ValueError(f"a record of {length} bytes is larger than {LENGTH_MAX}")
        self.reserve(frame_bytes(length))
        return self.buffer + self.used

    cdef void finish(self, uint32_t kind, size_t length) noexcept:
        cdef unsigned char *frame = self.buffer + self.used
        cdef size_t size = frame_bytes(length)
        cdef uint32_t seed = seed_of(self.salt, self.offset)
        memset(frame + HEADER + length, 0, size - HEADER - length)
        frame[size - 1] = END_BYTE
        write32(frame, kind << 28 | <uint32_t>length)
        write16(frame + 4, zero_sectors(frame, size, self.offset))
        write16(frame + 6, header_check(frame, seed))
        write32(frame + 8, self.previous)
        self.previous = frame_crc(frame, size, seed)
        write32(frame + 12, self.previous)
        self.used += size
        self.offset += size

    def add(self, uint32_t kind, const unsigned char[::1] payload not None) -> None:
        """One record more; ValueError where the payload is longer than RECORD_BYTES_MAX or the kind unknown."""
        cdef size_t length = payload.shape[0]
        cdef unsigned char *frame
        if kind == 0 or kind > KIND_MAX:
            raise ValueError(f"there is no kind {kind} of record")
        frame = self.begin(length)
        if length:
            memcpy(frame + HEADER, &payload[0], length)
        self.finish(kind, length)

    def add_durable(self, uint64_t offset) -> None:
        """A record that the segment is fsynced up to the offset."""
        write64(self.begin(8) + HEADER, offset)
        self.finish(C_DURABLE, 8)

    def add_entries(self, entries) -> None:
        """A record an entry (attributes term, index, type, data: bytes); on an error none of them."""
        cdef size_t used = self.used
        cdef uint64_t offset = self.offset
        cdef uint32_t previous = self.previous
        cdef unsigned char *frame
        cdef bytes data
        cdef uint64_t term, index
        cdef uint8_t kind
        cdef size_t length
        try:
            for entry in entries:
                term = entry.term
                index = entry.index
                kind = entry.type
                data = entry.data
                if data is None:
                    raise TypeError("an entry's data is bytes, not None")
                length = <size_t>len(data)
                frame = self.begin(ENTRY_HEADER + length)
                write64(frame + HEADER, term)
                write64(frame + HEADER + 8, index)
                frame[HEADER + 16] = kind
                memcpy(frame + HEADER + ENTRY_HEADER, <const char *>data, length)
                self.finish(C_ENTRY, ENTRY_HEADER + length)
        except BaseException:
            self.used = used
            self.offset = offset
            self.previous = previous
            raise

    def take(self) -> bytes:
        """The frames added since the last call, to be written at ``offset`` less their length."""
        cdef bytes taken = PyBytes_FromStringAndSize(<const char *>self.buffer, <Py_ssize_t>self.used)
        self.used = 0
        if self.capacity > KEPT_CAPACITY_MAX:
            free(self.buffer)
            self.buffer = NULL
            self.capacity = 0
        return taken

    def rewind(self, uint64_t offset, uint32_t previous) -> None:
        """Frames not taken are dropped; the next one goes to the offset, chained to ``previous``."""
        if offset % 8:
            raise ValueError(f"a frame cannot begin at {offset}, which is no multiple of 8")
        self.used = 0
        self.offset = offset
        self.previous = previous


cdef class Scan:
    """What a segment holds: the good records, and a verdict on the rest.

    ``records``: (kind, offset of the frame, payload); an ENTRY's payload is what ``entry(term, index, type, data)`` made.
    ``end``: offset after the last good frame; ``previous``: its CRC. ``last``: one past the last byte that is not zero.
    ``verdict``: CLEAN, TORN or CORRUPT; ``why``: empty, or what is wrong at ``end``.
    """

    cdef readonly list records
    cdef readonly uint64_t end
    cdef readonly uint64_t last
    cdef readonly uint32_t previous
    cdef readonly int verdict
    cdef readonly str why


cdef object payload_of(const unsigned char *frame, size_t length, object entry):
    cdef bytes data
    if read32(frame) >> 28 != C_ENTRY or entry is None:
        return PyBytes_FromStringAndSize(<const char *>frame + HEADER, <Py_ssize_t>length)
    data = PyBytes_FromStringAndSize(
        <const char *>frame + HEADER + ENTRY_HEADER, <Py_ssize_t>(length - ENTRY_HEADER)
    )
    return entry(read64(frame + HEADER), read64(frame + HEADER + 8), <int>frame[HEADER + 16], data)


cdef str reason(Found found, bint known):
    cdef str what
    if found == NO_HEADER or found == CUT:
        what = "the file ends inside a record"
    elif found == BAD_HEADER:
        what = "no record begins here"
    elif found == BAD_PAYLOAD:
        what = "the checksum of the record is wrong"
    else:
        what = "the record does not continue the one before it"
    return what + ", though it had been written durably" if known else what


def scan(
    const unsigned char[::1] data not None,
    uint32_t salt,
    uint64_t offset=0,
    previous: int | None = None,
    entry=None,
    bint tail=True,
    records_max: int | None = None,
) -> Scan:
    """The records from the offset on, and what follows them; a segment that is not the last (``tail``) has no torn end.

    ``previous``: the CRC that the first record is chained to, None where it is not known. ``entry`` makes entries.
    ``records_max``: stop, with a CLEAN verdict, after so many.
    """
    cdef size_t size = data.shape[0], at = offset, length = 0, last
    cdef const unsigned char *start = &data[0] if size else NULL
    cdef Scan found = Scan.__new__(Scan)
    cdef Found state = NO_HEADER
    cdef bint chained = previous is not None, known
    cdef uint32_t crc = previous if chained else 0
    cdef Py_ssize_t wanted = -1 if records_max is None else records_max
    cdef list records = []
    if offset % 8 or offset > size:
        raise ValueError(f"no record of {size} bytes can begin at {offset}")
    while wanted != 0 and at < size:
        state = frame_at(start, size, at, salt, &length)
        if state != WHOLE or (chained and read32(start + at + 8) != crc):
            break
        if read32(start + at) >> 28 == C_ENTRY and length < ENTRY_HEADER:
            state = BAD_PAYLOAD
            break
        records.append((read32(start + at) >> 28, at, payload_of(start + at, length, entry)))
        crc = read32(start + at + 12)
        chained = True
        at += frame_bytes(length)
        wanted -= 1
    found.records = records
    found.end = at
    found.previous = crc
    found.verdict = CLEAN
    found.why = ""
    last = last_nonzero(start, size, at) if wanted != 0 and at < size else at
    found.last = last
    if last > at:
        known = not tail or durable_after(start, size, at, salt) > at
        found.why = reason(state, known)
        found.verdict = TORN if not known and looks_unwritten(start, size, at, state, length, last) else CORRUPT
    return found
