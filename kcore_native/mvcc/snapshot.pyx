# cython: language_level=3
"""A store as a stream of bytes, taken while writes go on, and read back.

The stream, little-endian; where it is cut into chunks means nothing:

    0   8 bytes  MAGIC, the last two its version
    8   u32      length of the head, then the head: what the machine keeps beside the keys
        i64      revision
        i64      compact revision, -1 for none
        u64      how many leases, then for each in order of ids: i64 id, i64 granted seconds, i64 checkpointed seconds
        records in order of (main, sub), only those that compaction keeps:
            i64 main (not 0), u32 sub, u32 length of the key, u32 length of the value, its top bit: has a lease,
            i64 create revision, i64 version (0: a deletion), where it has one i64 lease, then key and value
        i64      0: no more records
        u64      how many there were
        u32      CRC32C of all before

A reader pins what it will read: compaction frees nothing until it is closed.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kcore_native.mvcc.keyspace cimport (
    PACKED_BIT,
    SIZE_MASK,
    KeyNode,
    Keyspace,
    Rec,
    hash_of,
    key_bytes,
    lease_of,
    newest,
    value_size,
)
from kcore_native.mvcc.lease cimport Lease, LeaseBook
from kcore_native.mvcc.past cimport copy_value
from kcore_native.wal.checksum cimport extend

MAGIC = b"kcorKV\0\1"
CHUNK_BYTES = C_CHUNK
RECORD_HEAD_BYTES = C_RECORD_HEAD

cdef enum:
    C_CHUNK = 262144
    C_RECORD_HEAD = 36
    END_BYTES = 20
    STATE_FRONT = 0
    STATE_LEASES = 1
    STATE_RECORDS = 2
    STATE_END = 3


@cython.no_gc_clear
cdef class SnapshotReader:
    """The store as of when this was made; iterate for chunks of about CHUNK_BYTES, then ``close``."""

    def __init__(self, Keyspace keys not None, LeaseBook leases not None, bytes head not None, on_close):
        self.keys = keys
        self.on_close = on_close
        self.revision = keys.revision
        self.compact_revision = keys.compact_revision
        self.seq = keys.first_seq
        self.end_seq = keys.end_seq
        rows = leases.rows()
        parts = [MAGIC, len(head).to_bytes(4, "little"), head]
        parts.append(self.revision.to_bytes(8, "little", signed=True))
        parts.append(self.compact_revision.to_bytes(8, "little", signed=True))
        parts.append(len(rows).to_bytes(8, "little"))
        parts.extend(number.to_bytes(8, "little", signed=True) for row in rows for number in row)
        self.front = b"".join(parts)
        keys.pins += 1

    def __iter__(self):
        return self

    def __next__(self):
        if self.ended or self.keys is None:
            raise StopIteration
        return self.chunk()

    def close(self):
        """Nothing is pinned any more."""
        if self.keys is not None:
            self.keys.pins -= 1
            self.keys = None
            self.on_close()

    def __dealloc__(self):
        if self.keys is not None:
            self.keys.pins -= 1  # whatever was to be dropped is dropped at the next compaction

    cdef bytes chunk(self):
        cdef bytes front = self.front
        cdef Py_ssize_t size = 0, room = C_CHUNK
        cdef bytes out
        cdef char *at
        cdef Rec *rec
        if front is not None:
            self.front = None
            self.crc = extend(self.crc, <const unsigned char *>PyBytes_AS_STRING(front), len(front))
            return front
        rec = self.next_record()
        if rec != NULL:
            room = max(room, C_RECORD_HEAD + 8 + <Py_ssize_t>rec.key.size + value_size(rec))
        out = PyBytes_FromStringAndSize(NULL, room + END_BYTES)
        at = PyBytes_AS_STRING(out)
        while rec != NULL:
            if size + C_RECORD_HEAD + 8 + <Py_ssize_t>rec.key.size + value_size(rec) > room:
                break
            size += write_record(at + size, rec)
            self.records += 1
            self.seq += 1
            rec = self.next_record()
        self.crc = extend(self.crc, <const unsigned char *>at, size)
        if rec == NULL:
            size += self.write_end(at + size)
        return out[:size]

    cdef Rec *next_record(self) noexcept:
        """The first record at ``seq`` or behind it that the snapshot has; ``seq`` is its place."""
        cdef Rec *rec
        while self.seq < self.end_seq:
            rec = self.keys.record(self.seq)
            if rec != NULL and (rec.main > self.compact_revision or self.keys.is_kept_at(rec, self.compact_revision)):
                return rec
            self.seq += 1
        return NULL

    cdef Py_ssize_t write_end(self, char *at) noexcept:
        cdef int64_t zero = 0
        memcpy(at, &zero, 8)
        memcpy(at + 8, &self.records, 8)
        self.crc = extend(self.crc, <const unsigned char *>at, 16)
        memcpy(at + 16, &self.crc, 4)
        self.ended = True
        return END_BYTES


cdef Py_ssize_t write_record(char *at, Rec *rec) except -1 nogil:
    cdef Py_ssize_t size = C_RECORD_HEAD
    cdef int64_t lease
    cdef uint32_t size_word = rec.size & ~<uint32_t>PACKED_BIT
    memcpy(at, &rec.main, 8)
    memcpy(at + 8, &rec.sub, 4)
    memcpy(at + 12, &rec.key.size, 4)
    memcpy(at + 16, &size_word, 4)
    memcpy(at + 20, &rec.create, 8)
    memcpy(at + 28, &rec.version, 8)
    if rec.size >> 31:
        lease = lease_of(rec)
        memcpy(at + size, &lease, 8)
        size += 8
    memcpy(at + size, key_bytes(rec.key), rec.key.size)
    size += rec.key.size
    copy_value(rec, at + size)
    return size + value_size(rec)


cdef class SnapshotLoader:
    """Reads a stream into keys and leases of its own; ``finish`` is true where it was whole and right."""

    def __init__(self):
        self.keys = Keyspace()
        self.leases = []
        self.buffer = bytearray()
        self.last_main = self.last_sub = -1

    def feed(self, chunk):
        """The next bytes of the stream; ValueError where they cannot be right."""
        cdef const unsigned char[::1] view
        cdef Py_ssize_t used = 0, step, size
        cdef const unsigned char *data
        if self.buffer:
            self.buffer += chunk
            chunk = self.buffer
        size = len(chunk)
        if size:
            view = chunk
            data = &view[0]
            while True:
                if self.state < STATE_RECORDS:
                    step = self.read_front(data + used, size - used)
                elif self.state == STATE_RECORDS:
                    step = self.read_record(data + used, size - used)
                elif used < size:
                    raise ValueError("snapshot: bytes behind its end")
                else:
                    break
                if step == 0:
                    break
                used += step
            view = None
        if chunk is self.buffer:
            del self.buffer[:used]
        elif used < size:
            self.buffer += memoryview(chunk)[used:]

    def finish(self):
        """The head; ValueError where the stream ended early."""
        if self.state != STATE_END:
            raise ValueError("snapshot: it ends early")
        return self.head

    cdef Py_ssize_t read_front(self, const unsigned char *at, Py_ssize_t size) except -1:
        """How many bytes were read; 0 where more are needed."""
        cdef uint32_t head_size
        cdef Py_ssize_t used
        cdef int64_t row[3]
        if self.state == STATE_LEASES:
            if self.leases_left == 0:
                self.state = STATE_RECORDS
                return self.read_record(at, size)
            if size < 24:
                return 0
            memcpy(row, at, 24)
            self.leases.append((row[0], row[1], row[2]))
            self.leases_left -= 1
            self.crc = extend(self.crc, at, 24)
            return 24
        if (<const char *>at)[: min(size, 8)] != MAGIC[: min(size, 8)]:
            raise ValueError("snapshot: not one, or of a version that this one does not know")
        if size < 12:
            return 0
        memcpy(&head_size, at + 8, 4)
        used = 12 + <Py_ssize_t>head_size + 24
        if size < used:
            return 0
        self.head = (<const char *>at)[12 : 12 + head_size]
        memcpy(&self.keys.revision, at + used - 24, 8)
        memcpy(&self.keys.compact_revision, at + used - 16, 8)
        memcpy(&self.leases_left, at + used - 8, 8)
        if self.keys.revision < 1 or not -1 <= self.keys.compact_revision <= self.keys.revision:
            raise ValueError("snapshot: impossible revisions")
        self.crc = extend(self.crc, at, used)
        self.state = STATE_LEASES
        return used

    cdef Py_ssize_t read_record(self, const unsigned char *at, Py_ssize_t size) except -1:
        """How many bytes were read; 0 where more are needed."""
        cdef int64_t main, create, version, lease = 0
        cdef uint32_t sub, key_size, size_word, hash
        cdef Py_ssize_t used
        cdef const char *key
        cdef KeyNode *node
        if size < 8:
            return 0
        memcpy(&main, at, 8)
        if main == 0:
            return self.read_end(at, size)
        if size < C_RECORD_HEAD:
            return 0
        memcpy(&sub, at + 8, 4)
        memcpy(&key_size, at + 12, 4)
        memcpy(&size_word, at + 16, 4)
        memcpy(&create, at + 20, 8)
        memcpy(&version, at + 28, 8)
        used = C_RECORD_HEAD + (8 if size_word >> 31 else 0)
        if main < self.last_main or (main == self.last_main and sub <= self.last_sub) or main > self.keys.revision:
            raise ValueError("snapshot: records out of order")
        if create > main or create < 0 or version < 0 or (version == 0) != (create == 0):
            raise ValueError("snapshot: an impossible record")
        if size < used + <Py_ssize_t>key_size + (size_word & SIZE_MASK):
            return 0
        if size_word >> 31:
            memcpy(&lease, at + C_RECORD_HEAD, 8)
            if lease == 0:
                raise ValueError("snapshot: an impossible record")
        key = <const char *>at + used
        hash = hash_of(key, key_size)
        node = self.keys.find(key, key_size, hash)
        if node == NULL:
            node = self.keys.insert(key, key_size, hash)
        used += key_size
        self.keys.append(node, main, sub, create, version, lease, <const char *>at + used, size_word & SIZE_MASK)
        used += size_word & SIZE_MASK
        self.last_main = main
        self.last_sub = sub
        self.records += 1
        self.crc = extend(self.crc, at, used)
        return used

    cdef Py_ssize_t read_end(self, const unsigned char *at, Py_ssize_t size) except -1:
        cdef uint64_t records
        cdef uint32_t crc
        if size < END_BYTES:
            return 0
        memcpy(&records, at + 8, 8)
        memcpy(&crc, at + 16, 4)
        if crc != extend(self.crc, at, 16):
            raise ValueError("snapshot: its checksum is wrong")
        if records != self.records:
            raise ValueError("snapshot: records are missing")
        self.state = STATE_END
        return END_BYTES

    def install(self, LeaseBook book not None):
        """The book has the leases read, with the keys that hang on them."""
        cdef Lease lease
        cdef Py_ssize_t i
        cdef uint32_t k
        cdef int64_t id
        cdef KeyNode *node
        cdef Rec *rec
        book.clear()
        for id, ttl, remaining in self.leases:
            book.grant(id, ttl, remaining)
        for i in range(self.keys.leaf_count):
            for k in range(self.keys.leaves[i].count):
                node = self.keys.leaves[i].keys[k]
                rec = newest(node)
                if rec != NULL and rec.size >> 31:
                    lease = book.find(lease_of(rec))
                    if lease is not None:
                        lease.add(node)
        self.keys.boundary_seq = self.keys.seq_from(self.keys.first_seq, self.keys.compact_revision, 0)
