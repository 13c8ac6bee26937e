# cython: language_level=3
"""The hash of all keys up to a revision, equal on all members, and equal to real etcd's for the same history.

etcd (``server/storage/mvcc/hash.go``) hashes by CRC32C the bytes of its database's rows: ``key``, then for each record
its revision as the row's name, and the protobuf of its ``mvccpb.KeyValue`` as the row's value.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from kcore_native.mvcc.keyspace cimport (
    Keyspace,
    Rec,
    Scratch,
    key_bytes,
    lease_of,
    record_at,
    value_size,
)
from kcore_native.mvcc.past cimport plain_value
from kcore_native.wal.checksum cimport extend

cdef enum:
    NAME_BYTES = 17  # main revision, "_", sub revision; a tombstone's has "t" behind
    FIELD_KEY = 0x0A
    FIELD_CREATE = 0x10
    FIELD_MOD = 0x18
    FIELD_VERSION = 0x20
    FIELD_VALUE = 0x2A
    FIELD_LEASE = 0x30


cdef void write_big(uint8_t *at, uint64_t value) noexcept nogil:
    cdef int i
    for i in range(8):
        at[i] = <uint8_t>(value >> (56 - 8 * i))


cdef uint32_t add_number(uint32_t crc, uint8_t field, uint64_t value) noexcept nogil:
    """Field and varint; nothing for zero where ``field`` is a number's."""
    cdef uint8_t[11] row
    cdef int size = 1
    if value == 0 and field != FIELD_KEY and field != FIELD_VALUE:
        return crc
    row[0] = field
    while value >= 0x80:
        row[size] = <uint8_t>(value | 0x80)
        value >>= 7
        size += 1
    row[size] = <uint8_t>value
    return extend(crc, row, size + 1)


cdef uint32_t add_bytes(uint32_t crc, uint8_t field, const char *data, uint32_t size) noexcept nogil:
    if size == 0:
        return crc
    return extend(add_number(crc, field, size), <const unsigned char *>data, size)


cdef uint32_t add_record(uint32_t crc, Rec *rec, Scratch *scratch) except? 0 nogil:
    cdef uint8_t[18] name
    write_big(name, <uint64_t>rec.main)
    name[8] = c"_"
    write_big(name + 9, rec.sub)
    name[17] = c"t"
    crc = extend(crc, name, NAME_BYTES + (rec.version == 0))
    crc = add_bytes(crc, FIELD_KEY, key_bytes(rec.key), rec.key.size)
    if rec.version == 0:
        return crc
    crc = add_number(crc, FIELD_CREATE, <uint64_t>rec.create)
    crc = add_number(crc, FIELD_MOD, <uint64_t>rec.main)
    crc = add_number(crc, FIELD_VERSION, <uint64_t>rec.version)
    crc = add_bytes(crc, FIELD_VALUE, plain_value(rec, scratch), value_size(rec))
    return add_number(crc, FIELD_LEASE, <uint64_t>lease_of(rec))


cdef bint any_live(Keyspace keys, int64_t revision) noexcept nogil:
    """True where some key exists at that revision."""
    cdef Py_ssize_t i
    cdef uint32_t k
    cdef Rec *rec
    if revision >= keys.revision:
        return keys.live_count > 0
    for i in range(keys.leaf_count):
        for k in range(keys.leaves[i].count):
            rec = record_at(keys.leaves[i].keys[k], revision)
            if rec != NULL and rec.version != 0:
                return True
    return False


cdef uint32_t hash_keys(Keyspace keys, int64_t revision) except? 0 nogil:
    """Of the records up to the compaction, only what the keys still are at ``revision`` counts.

    etcd leaves that rule out where no key exists at all, and leaves out tombstones of the compacted revision itself.
    """
    cdef uint32_t crc = extend(0, <const unsigned char *>b"key", 3)
    cdef bint narrow = any_live(keys, revision)
    cdef uint64_t seq
    cdef Rec *rec
    for seq in range(keys.first_seq, keys.end_seq):
        rec = keys.record(seq)
        if rec == NULL:
            continue
        if rec.main > revision:
            break
        if rec.main <= keys.compact_revision:
            if not keys.is_kept_at(rec, keys.compact_revision):
                continue
            if narrow and (rec.version == 0 or record_at(rec.key, revision) != rec):
                continue
            if rec.version == 0 and rec.main == keys.compact_revision:
                continue
        crc = add_record(crc, rec, &keys.scratch)
    return crc
