# cython: language_level=3
"""Requests in a log entry are frames one after another: encoded here by whoever proposes, read here by all members.

A frame, little-endian: u32 size of what follows, u64 request id, u8 kind, u8 flags, where FLAG_AUTH is set u64 revision
of the users' table and u16 length and bytes of the user's name, then the body. Bodies of a put, delete and range begin
with their fixed numbers, then come lengths (u32), then bytes. A transaction's body is three counts (u32) and the
comparisons and operations themselves, each with its own kind and flags; they may nest NESTING_MAX deep.

An operation that is given to ``txn`` is told by its shape, which is that of ``kcore.store.kv``'s named tuples: twelve
fields are a range, six a put, three with bytes first a deletion, three otherwise a transaction.
"""

from collections import namedtuple

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

RANGE = KIND_RANGE
PUT = KIND_PUT
DELETE = KIND_DELETE
TXN = KIND_TXN
COMPACT = KIND_COMPACT
LEASE_GRANT = KIND_LEASE_GRANT
LEASE_REVOKE = KIND_LEASE_REVOKE
LEASE_CHECKPOINT = KIND_LEASE_CHECKPOINT
ALARM = KIND_ALARM
OTHER = KIND_OTHER
NESTING_MAX = 128  # transactions in transactions; etcd's limit of operations leaves no deeper one

Request = namedtuple("Request", "request_id kind op username auth_revision")

cdef enum:
    DEPTH_MAX = 128
    HEAD_BYTES = 14  # size, request id, kind, flags
    FIRST_ROOM = 64  # nodes
    RANGE_NUMBERS = 6
    VALUE_OPERAND = 1


cdef class Buffer:
    """Bytes that grow; what a frame is written into."""

    cdef char *data
    cdef Py_ssize_t size
    cdef Py_ssize_t room

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef char *reserve(self, Py_ssize_t count) except NULL:
        cdef char *grown
        cdef Py_ssize_t room
        if self.size + count > self.room:
            room = max(self.size + count, self.room * 2, 256)
            grown = <char *>PyMem_Realloc(self.data, room)
            if grown == NULL:
                raise MemoryError
            self.data = grown
            self.room = room
        self.size += count
        return self.data + self.size - count

    cdef int u8(self, uint8_t value) except -1:
        self.reserve(1)[0] = <char>value
        return 0

    cdef int u32(self, uint32_t value) except -1:
        memcpy(self.reserve(4), &value, 4)
        return 0

    cdef int i64(self, int64_t value) except -1:
        memcpy(self.reserve(8), &value, 8)
        return 0

    cdef int length(self, bytes value) except -1:
        cdef Py_ssize_t size = 0 if value is None else PyBytes_GET_SIZE(value)
        if size > 0x3FFFFFFF:
            raise ValueError("a key or value is longer than 1 GiB")
        return self.u32(<uint32_t>size)

    cdef int raw(self, bytes value) except -1:
        if value is not None and PyBytes_GET_SIZE(value):
            memcpy(self.reserve(PyBytes_GET_SIZE(value)), PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
        return 0

    cdef int head(self, uint64_t request_id, uint8_t kind, uint8_t flags, str username, uint64_t revision) except -1:
        cdef uint16_t size
        cdef bytes name
        self.u32(0)  # filled in by finish()
        self.i64(<int64_t>request_id)
        self.u8(kind)
        if username is None:
            return self.u8(flags)
        name = username.encode()
        if PyBytes_GET_SIZE(name) > 0xFFFF:
            raise ValueError("a user's name is longer than 65535 bytes")
        self.u8(flags | FLAG_AUTH)
        self.i64(<int64_t>revision)
        size = <uint16_t>PyBytes_GET_SIZE(name)
        memcpy(self.reserve(2), &size, 2)
        return self.raw(name)

    cdef bytes finish(self):
        cdef uint32_t size
        if self.size - 4 > 0x7FFFFFFF:
            raise ValueError("a request is longer than 2 GiB")
        size = <uint32_t>(self.size - 4)
        memcpy(self.data, &size, 4)
        return PyBytes_FromStringAndSize(self.data, self.size)


cdef int write_put(
    Buffer out, bytes key, bytes value, int64_t lease
) except -1:
    out.i64(lease)
    out.length(key)
    out.length(value)
    out.raw(key)
    return out.raw(value)


cdef int write_pair(Buffer out, bytes key, bytes end) except -1:
    out.length(key)
    out.length(end)
    out.raw(key)
    return out.raw(end)


cdef uint8_t put_flags(bint prev_kv, bint ignore_value, bint ignore_lease):
    return (
        (FLAG_PREV_KV if prev_kv else 0)
        | (FLAG_IGNORE_VALUE if ignore_value else 0)
        | (FLAG_IGNORE_LEASE if ignore_lease else 0)
    )


cdef int write_op(Buffer out, op, int depth) except -1:
    cdef Py_ssize_t count = len(op)
    if count == 6:
        out.u8(KIND_PUT)
        out.u8(put_flags(op[3], op[4], op[5]))
        return write_put(out, op[0], op[1], op[2])
    if count == 12:
        out.u8(KIND_RANGE)
        out.u8((FLAG_KEYS_ONLY if op[6] else 0) | (FLAG_COUNT_ONLY if op[7] else 0))
        out.u8(op[4])
        out.u8(op[5])
        for i in (2, 3, 8, 9, 10, 11):
            out.i64(op[i])
        return write_pair(out, op[0], op[1])
    if count != 3:
        raise ValueError(f"not an operation of a transaction: {op!r}")
    if isinstance(op[0], bytes):
        out.u8(KIND_DELETE)
        out.u8(FLAG_PREV_KV if op[2] else 0)
        return write_pair(out, op[0], op[1])
    out.u8(KIND_TXN)
    out.u8(0)
    return write_txn(out, op[0], op[1], op[2], depth + 1)


cdef int write_txn(Buffer out, compares, success, failure, int depth) except -1:
    if depth > DEPTH_MAX:
        raise ValueError(f"transactions are nested deeper than {NESTING_MAX}")
    out.u32(len(compares))
    out.u32(len(success))
    out.u32(len(failure))
    for target, relation, key, operand, end in compares:
        out.u8(KIND_COMPARE)
        out.u8(VALUE_OPERAND if isinstance(operand, bytes) else 0)
        out.u8(target)
        out.u8(relation)
        out.i64(0 if isinstance(operand, bytes) else operand)
        out.length(key)
        out.length(end)
        out.length(operand if isinstance(operand, bytes) else None)
        out.raw(key)
        out.raw(end)
        if isinstance(operand, bytes):
            out.raw(operand)
    for op in success:
        write_op(out, op, depth)
    for op in failure:
        write_op(out, op, depth)
    return 0


def put(
    uint64_t request_id,
    bytes key not None,
    bytes value not None,
    int64_t lease=0,
    bint prev_kv=False,
    bint ignore_value=False,
    bint ignore_lease=False,
    str username=None,
    uint64_t auth_revision=0,
):
    """The frame that puts one key."""
    cdef Buffer out
    cdef Py_ssize_t key_size = PyBytes_GET_SIZE(key), value_size = PyBytes_GET_SIZE(value)
    cdef bytes frame
    cdef char *at
    cdef uint32_t number
    if username is not None or key_size > 0x3FFFFFFF or value_size > 0x3FFFFFFF:
        out = Buffer()
        out.head(request_id, KIND_PUT, put_flags(prev_kv, ignore_value, ignore_lease), username, auth_revision)
        write_put(out, key, value, lease)
        return out.finish()
    frame = PyBytes_FromStringAndSize(NULL, HEAD_BYTES + 16 + key_size + value_size)
    at = PyBytes_AS_STRING(frame)
    number = <uint32_t>(HEAD_BYTES + 12 + key_size + value_size)
    memcpy(at, &number, 4)
    memcpy(at + 4, &request_id, 8)
    at[12] = KIND_PUT
    at[13] = <char>put_flags(prev_kv, ignore_value, ignore_lease)
    memcpy(at + 14, &lease, 8)
    number = <uint32_t>key_size
    memcpy(at + 22, &number, 4)
    number = <uint32_t>value_size
    memcpy(at + 26, &number, 4)
    memcpy(at + 30, PyBytes_AS_STRING(key), key_size)
    memcpy(at + 30 + key_size, PyBytes_AS_STRING(value), value_size)
    return frame


def delete_range(
    uint64_t request_id,
    bytes key not None,
    bytes end=None,
    bint prev_kv=False,
    str username=None,
    uint64_t auth_revision=0,
):
    """The frame that deletes a key or range."""
    cdef Buffer out = Buffer()
    out.head(request_id, KIND_DELETE, FLAG_PREV_KV if prev_kv else 0, username, auth_revision)
    write_pair(out, key, end)
    return out.finish()


def txn(
    uint64_t request_id, compares=(), success=(), failure=(), str username=None, uint64_t auth_revision=0
):
    """The frame of a transaction; ValueError where an operation has no known shape or nests too deep."""
    cdef Buffer out = Buffer()
    out.head(request_id, KIND_TXN, 0, username, auth_revision)
    write_txn(out, compares, success, failure, 1)
    return out.finish()


cdef bytes numbers(uint64_t request_id, uint8_t kind, tuple values, str username, uint64_t auth_revision):
    cdef Buffer out = Buffer()
    out.head(request_id, kind, 0, username, auth_revision)
    for value in values:
        out.i64(value)
    return out.finish()


def compact(uint64_t request_id, int64_t revision, str username=None, uint64_t auth_revision=0):
    """The frame that compacts up to a revision."""
    return numbers(request_id, KIND_COMPACT, (revision,), username, auth_revision)


def lease_grant(uint64_t request_id, int64_t id, int64_t ttl, str username=None, uint64_t auth_revision=0):
    """The frame that grants a lease; ``ttl`` in seconds."""
    return numbers(request_id, KIND_LEASE_GRANT, (id, ttl), username, auth_revision)


def lease_revoke(uint64_t request_id, int64_t id, str username=None, uint64_t auth_revision=0):
    """The frame that revokes a lease and deletes its keys."""
    return numbers(request_id, KIND_LEASE_REVOKE, (id,), username, auth_revision)


def lease_checkpoint(uint64_t request_id, remaining, str username=None, uint64_t auth_revision=0):
    """The frame that records the remaining seconds of leases, [(id, seconds)]."""
    cdef Buffer out = Buffer()
    out.head(request_id, KIND_LEASE_CHECKPOINT, 0, username, auth_revision)
    out.u32(len(remaining))
    for id, seconds in remaining:
        out.i64(id)
        out.i64(seconds)
    return out.finish()


def alarm(
    uint64_t request_id, uint8_t action, uint64_t member_id, uint8_t alarm, str username=None, uint64_t auth_revision=0
):
    """The frame that reads, raises or clears alarms (etcd ``AlarmRequest``)."""
    cdef Buffer out = Buffer()
    out.head(request_id, KIND_ALARM, 0, username, auth_revision)
    out.u8(action)
    out.u8(alarm)
    out.i64(<int64_t>member_id)
    return out.finish()


def other(uint64_t request_id, uint32_t kind, bytes body not None, str username=None, uint64_t auth_revision=0):
    """The frame of a rare request; the machine knows the kinds and their bodies."""
    cdef Buffer out = Buffer()
    out.head(request_id, KIND_OTHER, 0, username, auth_revision)
    out.u32(kind)
    out.raw(body)
    return out.finish()


cdef class Reader:
    """A place in a payload; nothing is read past ``end``."""

    cdef int need(self, Py_ssize_t count) except -1:
        if self.end - self.at < count:
            raise ValueError("log entry: a frame ends early")
        return 0

    cdef uint8_t u8(self) except? 255:
        self.need(1)
        self.at += 1
        return <uint8_t>self.at[-1]

    cdef uint32_t u32(self) except? 0xFFFFFFFF:
        cdef uint32_t value
        self.need(4)
        memcpy(&value, self.at, 4)
        self.at += 4
        return value

    cdef int64_t i64(self) except? -1:
        cdef int64_t value
        self.need(8)
        memcpy(&value, self.at, 8)
        self.at += 8
        return value

    cdef const char *raw(self, uint32_t size) except NULL:
        self.need(size)
        self.at += size
        return self.at - size


cdef class Frames:
    """The operations of one payload, checked as a whole before any is done."""

    def __dealloc__(self):
        PyMem_Free(self.nodes)

    cdef Node *add(self, uint8_t kind, uint8_t flags) except NULL:
        cdef Node *grown
        cdef uint32_t room
        if self.count == self.room:
            room = max(self.room * 2, FIRST_ROOM)
            grown = <Node *>PyMem_Realloc(self.nodes, room * sizeof(Node))
            if grown == NULL:
                raise MemoryError
            self.nodes = grown
            self.room = room
        grown = &self.nodes[self.count]
        memset(grown, 0, sizeof(Node))
        grown.kind = kind
        grown.flags = flags
        self.count += 1
        return grown

    cdef int load(self, bytes payload) except -1:
        """Reads all frames; ValueError where any byte is not as it must be."""
        cdef Reader reader = Reader.__new__(Reader)
        cdef Reader body = Reader.__new__(Reader)
        cdef uint32_t size
        self.payload = payload
        self.count = 0
        reader.at = PyBytes_AS_STRING(payload)
        reader.end = reader.at + PyBytes_GET_SIZE(payload)
        while reader.at < reader.end:
            size = reader.u32()
            body.at = reader.raw(size)
            body.end = reader.at
            self.frame(body)
            if body.at != body.end:
                raise ValueError("log entry: a frame is longer than its request")
        return 0

    cdef int frame(self, Reader body) except -1:
        cdef uint64_t request_id = <uint64_t>body.i64(), auth_revision = 0
        cdef uint8_t kind = body.u8(), flags = body.u8()
        cdef const char *username = NULL
        cdef uint16_t username_size = 0
        cdef uint32_t index = self.count
        cdef Node *node
        if flags & FLAG_AUTH:
            auth_revision = <uint64_t>body.i64()
            memcpy(&username_size, body.raw(2), 2)
            username = body.raw(username_size)
            check_text(username, username_size)
        if kind == KIND_RANGE or kind >= KIND_COMPARE:
            raise ValueError(f"log entry: a frame of unknown kind {kind}")
        node = self.add(kind, flags & ~FLAG_AUTH)
        self.body(body, index, 1)
        node = &self.nodes[index]
        node.request_id = request_id
        node.username = username
        node.username_size = username_size
        node.auth_revision = auth_revision
        return 0

    cdef int body(self, Reader body, uint32_t index, int depth) except -1:
        cdef Node *node = &self.nodes[index]
        if node.kind == KIND_PUT:
            node.number = body.i64()
            node.key_size = body.u32()
            node.value_size = body.u32()
            node.key = body.raw(node.key_size)
            node.value = body.raw(node.value_size)
        elif node.kind == KIND_DELETE:
            self.pair(body, node)
        elif node.kind == KIND_RANGE:
            node.relation = body.u8()
            node.target = body.u8()
            node.limit = body.i64()
            node.number = body.i64()
            node.min_mod_revision = body.i64()
            node.max_mod_revision = body.i64()
            node.min_create_revision = body.i64()
            node.max_create_revision = body.i64()
            self.pair(body, node)
        elif node.kind == KIND_TXN:
            return self.txn(body, index, depth)
        elif node.kind == KIND_COMPACT or node.kind == KIND_LEASE_REVOKE:
            node.number = body.i64()
        elif node.kind == KIND_LEASE_GRANT:
            node.number = body.i64()
            node.limit = body.i64()
        elif node.kind == KIND_LEASE_CHECKPOINT:
            node.value_size = body.u32()
            if node.value_size > 0x0FFFFFFF:
                raise ValueError("log entry: a frame ends early")
            node.value = body.raw(node.value_size * 16)
        elif node.kind == KIND_ALARM:
            node.relation = body.u8()
            node.target = body.u8()
            node.number = body.i64()
        else:
            node.number = body.u32()
            node.value_size = <uint32_t>(body.end - body.at)
            node.value = body.raw(node.value_size)
        node.next = index + 1
        return 0

    cdef int pair(self, Reader body, Node *node) except -1:
        node.key_size = body.u32()
        node.end_size = body.u32()
        node.key = body.raw(node.key_size)
        node.end = body.raw(node.end_size)
        if node.end_size == 0:
            node.end = NULL
        return 0

    cdef int txn(self, Reader body, uint32_t index, int depth) except -1:
        cdef Node *node = &self.nodes[index]
        cdef uint64_t i
        cdef uint32_t compare_count, success_count, failure_count, child
        cdef uint8_t kind, flags
        if depth > DEPTH_MAX:
            raise ValueError(f"log entry: transactions are nested deeper than {NESTING_MAX}")
        compare_count = node.compare_count = body.u32()
        success_count = node.success_count = body.u32()
        failure_count = node.failure_count = body.u32()
        for i in range(compare_count):
            kind = body.u8()
            flags = body.u8()
            if kind != KIND_COMPARE:
                raise ValueError("log entry: a comparison is missing")
            node = self.add(kind, flags)
            node.next = self.count
            node.target = body.u8()
            node.relation = body.u8()
            node.number = body.i64()
            node.key_size = body.u32()
            node.end_size = body.u32()
            node.value_size = body.u32()
            node.key = body.raw(node.key_size)
            node.end = body.raw(node.end_size)
            if node.end_size == 0:
                node.end = NULL
            node.value = body.raw(node.value_size)
        for i in range(<uint64_t>success_count + failure_count):
            kind = body.u8()
            flags = body.u8()
            if kind > KIND_TXN:
                raise ValueError(f"log entry: an operation of unknown kind {kind}")
            child = self.count
            self.add(kind, flags)
            self.body(body, child, depth + 1)
        self.nodes[index].next = self.count
        return 0

    cdef object op(self, uint32_t index):
        """The operation as a tuple of ``kcore.store.kv``'s shape; of rare ones, the arguments of their function."""
        cdef Node *node = &self.nodes[index]
        cdef uint32_t child, i
        cdef list compares, success, failure
        cdef const int64_t *row
        cdef int64_t id, seconds
        if node.kind == KIND_PUT:
            return (
                node.key[: node.key_size], node.value[: node.value_size], node.number,
                bool(node.flags & FLAG_PREV_KV), bool(node.flags & FLAG_IGNORE_VALUE),
                bool(node.flags & FLAG_IGNORE_LEASE),
            )
        if node.kind == KIND_DELETE:
            return node.key[: node.key_size], end_of(node), bool(node.flags & FLAG_PREV_KV)
        if node.kind == KIND_RANGE:
            return (
                node.key[: node.key_size], end_of(node), node.limit, node.number, node.relation, node.target,
                bool(node.flags & FLAG_KEYS_ONLY), bool(node.flags & FLAG_COUNT_ONLY), node.min_mod_revision,
                node.max_mod_revision, node.min_create_revision, node.max_create_revision,
            )
        if node.kind == KIND_COMPARE:
            operand = node.value[: node.value_size] if node.flags & VALUE_OPERAND else node.number
            return node.target, node.relation, node.key[: node.key_size], operand, end_of(node)
        if node.kind == KIND_TXN:
            child = index + 1
            branches = []
            for count in (node.compare_count, node.success_count, node.failure_count):
                ops = []
                for i in range(count):
                    ops.append(self.op(child))
                    child = self.nodes[child].next
                branches.append(ops)
            return tuple(branches)
        if node.kind == KIND_LEASE_GRANT:
            return node.number, node.limit
        if node.kind == KIND_LEASE_CHECKPOINT:
            rows = []
            for i in range(node.value_size):
                memcpy(&id, node.value + 16 * i, 8)
                memcpy(&seconds, node.value + 16 * i + 8, 8)
                rows.append((id, seconds))
            return (rows,)
        if node.kind == KIND_ALARM:
            return node.relation, <uint64_t>node.number, node.target
        if node.kind == KIND_OTHER:
            return node.number, node.value[: node.value_size]
        return (node.number,)

    cdef object request(self, uint32_t index):
        """The frame whose operation is at ``index``."""
        cdef Node *node = &self.nodes[index]
        username = None if node.username == NULL else node.username[: node.username_size].decode()
        return Request(node.request_id, node.kind, self.op(index), username, node.auth_revision)


cdef object end_of(Node *node):
    return None if node.end == NULL else node.end[: node.end_size]


cdef int check_text(const char *text, uint16_t size) except -1:
    try:
        text[:size].decode()
    except UnicodeDecodeError:
        raise ValueError("log entry: a user's name is not UTF-8") from None
    return 0


def decode(bytes payload not None):
    """The requests of an entry in order; ValueError for garbage."""
    cdef Frames frames = Frames()
    cdef uint32_t index = 0
    frames.load(payload)
    found = []
    while index < frames.count:
        found.append(frames.request(index))
        index = frames.nodes[index].next
    return found


def request_ids(bytes payload not None):
    """The ids of an entry's requests in order; ValueError for garbage."""
    cdef Frames frames = Frames()
    cdef uint32_t index = 0
    frames.load(payload)
    found = []
    while index < frames.count:
        found.append(frames.nodes[index].request_id)
        index = frames.nodes[index].next
    return found
