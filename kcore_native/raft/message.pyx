# cython: language_level=3
"""Raft's messages, and their encoding between members.

Source of types and fields: etcd-io/raft, raftpb/raft.proto and doc.go. The encoding is ours: little-endian, each
length checked against what is left, and exactly one text for each message, so that garbage is refused.

    message    type u8, flags u8 (1: reject, 2: snapshot), 0 u16, context length u32, entries u32, responses u32,
               to, from, term, log_term, index, commit, vote, reject_hint u64; context; entries; snapshot; responses
    entry      term u64, index u64, length u32, type u8; data
    snapshot   index u64, term u64, auto_leave u8, voters, learners, voters_outgoing, learners_next u32, length u32;
               the four lists of u64; data
    response   length u32; message without responses
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from kcore_native.raft.entry cimport (
    ENTRY_CONF_CHANGE_V2, ConfState, Entry, SnapshotMetadata, get_u32, get_u64, new_entry, put_u32, put_u64,
)

NONE = 0  # the node id that stands for nobody
LOCAL_APPEND_THREAD = 0xFFFFFFFFFFFFFFFF  # whom MSG_STORAGE_APPEND is addressed to
LOCAL_APPLY_THREAD = 0xFFFFFFFFFFFFFFFE  # whom MSG_STORAGE_APPLY is addressed to
TEXT_BYTES_MAX = 0xFFFFFFFF  # of a context, an entry's data, a snapshot's data

cdef enum:
    HEAD_BYTES = 80
    ENTRY_HEAD_BYTES = 21
    SNAPSHOT_HEAD_BYTES = 37
    FLAG_REJECT = 1
    FLAG_SNAPSHOT = 2

cdef uint64_t LENGTH_MAX = 0xFFFFFFFF


cdef bint is_local(int type) noexcept nogil:
    # messages that a node sends to itself or its storage threads only
    return (
        type == MSG_HUP or type == MSG_BEAT or type == MSG_UNREACHABLE or type == MSG_SNAP_STATUS
        or type == MSG_CHECK_QUORUM or (MSG_STORAGE_APPEND <= type <= MSG_STORAGE_APPLY_RESP)
    )


cdef bint is_response(int type) noexcept nogil:
    return (
        type == MSG_APP_RESP or type == MSG_VOTE_RESP or type == MSG_HEARTBEAT_RESP or type == MSG_UNREACHABLE
        or type == MSG_READ_INDEX_RESP or type == MSG_PRE_VOTE_RESP or type == MSG_STORAGE_APPEND_RESP
        or type == MSG_STORAGE_APPLY_RESP
    )


def is_local_message(int type) -> bool:
    """True for a type that never comes from another node."""
    return is_local(type)


def is_local_target(uint64_t node_id) -> bool:
    """True for the id of a storage thread."""
    return is_storage_thread(node_id)


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Message:
    """One message; which fields count depends on its type. The lists are to be read, not changed."""

    def __init__(
        self,
        int type=MSG_HUP,
        uint64_t to=0,
        uint64_t from_=0,
        uint64_t term=0,
        uint64_t log_term=0,
        uint64_t index=0,
        entries=(),
        uint64_t commit=0,
        uint64_t vote=0,
        Snapshot snapshot=None,
        bint reject=False,
        uint64_t reject_hint=0,
        bytes context not None=b"",
        responses=(),
    ):
        cdef Entry entry
        cdef Message response
        if type < 0 or type > MSG_FORGET_LEADER:
            raise ValueError(f"unknown type of message {type}")
        self.type = type
        self.to = to
        self.from_ = from_
        self.term = term
        self.log_term = log_term
        self.index = index
        self.commit = commit
        self.vote = vote
        self.snapshot = snapshot
        self.reject = reject
        self.reject_hint = reject_hint
        self.context = context
        self.entry_list = list(entries) or None
        if self.entry_list is not None:
            for entry in self.entry_list:  # raises where one is of another type
                if entry is None:
                    raise TypeError("an entry is None")
        self.response_list = list(responses) or None
        if self.response_list is not None:
            for response in self.response_list:
                if response is None:
                    raise TypeError("a response is None")

    @property
    def entries(self) -> list:
        return [] if self.entry_list is None else self.entry_list

    @property
    def responses(self) -> list:
        return [] if self.response_list is None else self.response_list

    def __eq__(self, other):
        cdef Message message
        if not isinstance(other, Message):
            return NotImplemented
        message = <Message>other
        return (
            self.type == message.type
            and self.to == message.to
            and self.from_ == message.from_
            and self.term == message.term
            and self.log_term == message.log_term
            and self.index == message.index
            and self.commit == message.commit
            and self.vote == message.vote
            and self.reject == message.reject
            and self.reject_hint == message.reject_hint
            and self.context == message.context
            and self.snapshot == message.snapshot
            and self.entry_list == message.entry_list
            and self.response_list == message.response_list
        )

    __hash__ = None

    def __repr__(self):
        fields = [f"type={self.type}"]
        for name in ("to", "from_", "term", "log_term", "index", "entries", "commit", "vote", "snapshot",
                     "reject", "reject_hint", "context", "responses"):
            if value := getattr(self, name):
                fields.append(f"{name}={value!r}")
        return f"Message({', '.join(fields)})"

    def __reduce__(self):
        return Message, (
            self.type, self.to, self.from_, self.term, self.log_term, self.index, self.entries, self.commit,
            self.vote, self.snapshot, bool(self.reject), self.reject_hint, self.context, self.responses,
        )

    cdef Py_ssize_t encoded_size(self, int depth) except -1:
        cdef uint64_t size = HEAD_BYTES + <uint64_t>PyBytes_GET_SIZE(self.context), length
        cdef Entry entry
        cdef Message response
        cdef ConfState state
        if <uint64_t>PyBytes_GET_SIZE(self.context) > LENGTH_MAX:
            raise ValueError(f"a context is longer than {TEXT_BYTES_MAX} bytes")
        if self.entry_list is not None:
            for entry in self.entry_list:
                length = <uint64_t>PyBytes_GET_SIZE(entry.data)
                if length > LENGTH_MAX:
                    raise ValueError(f"an entry is longer than {TEXT_BYTES_MAX} bytes")
                size += ENTRY_HEAD_BYTES + length
        if self.snapshot is not None:
            state = self.snapshot.metadata.conf_state
            length = <uint64_t>PyBytes_GET_SIZE(self.snapshot.data)
            if length > LENGTH_MAX:
                raise ValueError(f"a snapshot's data is longer than {TEXT_BYTES_MAX} bytes")
            size += SNAPSHOT_HEAD_BYTES + length + 8 * <uint64_t>(
                len(state.voters) + len(state.learners) + len(state.voters_outgoing) + len(state.learners_next)
            )
        if self.response_list is not None:
            if depth > 0:
                raise ValueError("a response has responses")
            for response in self.response_list:
                length = <uint64_t>response.encoded_size(depth + 1)
                if length > LENGTH_MAX:
                    raise ValueError(f"a response is longer than {TEXT_BYTES_MAX} bytes")
                size += 4 + length
        return <Py_ssize_t>size

    cdef unsigned char *write(self, unsigned char *at) except NULL:
        cdef Py_ssize_t length
        cdef Entry entry
        cdef Message response
        at[0] = <unsigned char>self.type
        at[1] = (FLAG_REJECT if self.reject else 0) | (FLAG_SNAPSHOT if self.snapshot is not None else 0)
        at[2] = at[3] = 0
        put_u32(at + 4, <uint32_t>PyBytes_GET_SIZE(self.context))
        put_u32(at + 8, 0 if self.entry_list is None else <uint32_t>len(self.entry_list))
        put_u32(at + 12, 0 if self.response_list is None else <uint32_t>len(self.response_list))
        put_u64(at + 16, self.to)
        put_u64(at + 24, self.from_)
        put_u64(at + 32, self.term)
        put_u64(at + 40, self.log_term)
        put_u64(at + 48, self.index)
        put_u64(at + 56, self.commit)
        put_u64(at + 64, self.vote)
        put_u64(at + 72, self.reject_hint)
        at += HEAD_BYTES
        memcpy(at, PyBytes_AS_STRING(self.context), PyBytes_GET_SIZE(self.context))
        at += PyBytes_GET_SIZE(self.context)
        if self.entry_list is not None:
            for entry in self.entry_list:
                length = PyBytes_GET_SIZE(entry.data)
                put_u64(at, entry.term)
                put_u64(at + 8, entry.index)
                put_u32(at + 16, <uint32_t>length)
                at[20] = <unsigned char>entry.type
                memcpy(at + ENTRY_HEAD_BYTES, PyBytes_AS_STRING(entry.data), length)
                at += ENTRY_HEAD_BYTES + length
        if self.snapshot is not None:
            at = write_snapshot(self.snapshot, at)
        if self.response_list is not None:
            for response in self.response_list:
                length = response.write(at + 4) - at - 4
                put_u32(at, <uint32_t>length)
                at += 4 + length
        return at

    def encode(self) -> bytes:
        """The message as bytes; ValueError where a part is longer than TEXT_BYTES_MAX."""
        cdef bytes data = PyBytes_FromStringAndSize(NULL, self.encoded_size(0))
        self.write(<unsigned char *>PyBytes_AS_STRING(data))
        return data

    @staticmethod
    def decode(data) -> Message:
        """The message that ``encode`` wrote, from any bytes-like object; ValueError where it is none."""
        cdef Py_buffer view
        cdef const unsigned char *at
        cdef const unsigned char *end
        cdef Message message
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            at = <const unsigned char *>view.buf
            end = at + view.len
            message = read_message(&at, end, 0)
            if at != end:
                raise ValueError(f"{end - at} bytes are left behind a message")
            return message
        finally:
            PyBuffer_Release(&view)


cdef Message new_message(int type, uint64_t to):
    cdef Message message = Message.__new__(Message)
    message.type = type
    message.to = to
    message.context = b""
    return message


cdef unsigned char *write_snapshot(Snapshot snapshot, unsigned char *at) except NULL:
    cdef ConfState state = snapshot.metadata.conf_state
    cdef Py_ssize_t length = PyBytes_GET_SIZE(snapshot.data)
    cdef tuple ids
    cdef uint64_t node_id
    put_u64(at, snapshot.metadata.index)
    put_u64(at + 8, snapshot.metadata.term)
    at[16] = <unsigned char>state.auto_leave
    put_u32(at + 17, <uint32_t>len(state.voters))
    put_u32(at + 21, <uint32_t>len(state.learners))
    put_u32(at + 25, <uint32_t>len(state.voters_outgoing))
    put_u32(at + 29, <uint32_t>len(state.learners_next))
    put_u32(at + 33, <uint32_t>length)
    at += SNAPSHOT_HEAD_BYTES
    for ids in (state.voters, state.learners, state.voters_outgoing, state.learners_next):
        for node_id in ids:
            put_u64(at, node_id)
            at += 8
    memcpy(at, PyBytes_AS_STRING(snapshot.data), length)
    return at + length


cdef int need(const unsigned char *at, const unsigned char *end, uint64_t size) except -1:
    # raises unless so many bytes are left
    if <uint64_t>(end - at) < size:
        raise ValueError("a message is cut short")
    return 0


cdef tuple read_ids(const unsigned char **at, uint32_t count):
    cdef list ids = []
    cdef uint32_t i
    for i in range(count):
        ids.append(get_u64(at[0]))
        at[0] += 8
    return tuple(ids)


cdef Snapshot read_snapshot(const unsigned char **at, const unsigned char *end):
    cdef const unsigned char *head = at[0]
    cdef uint32_t voters, learners, outgoing, learners_next, length
    cdef ConfState state = ConfState.__new__(ConfState)
    cdef SnapshotMetadata metadata = SnapshotMetadata.__new__(SnapshotMetadata)
    cdef Snapshot snapshot = Snapshot.__new__(Snapshot)
    need(head, end, SNAPSHOT_HEAD_BYTES)
    metadata.index = get_u64(head)
    metadata.term = get_u64(head + 8)
    if head[16] > 1:
        raise ValueError("a snapshot's configuration is garbled")
    voters = get_u32(head + 17)
    learners = get_u32(head + 21)
    outgoing = get_u32(head + 25)
    learners_next = get_u32(head + 29)
    length = get_u32(head + 33)
    at[0] += SNAPSHOT_HEAD_BYTES
    need(at[0], end, 8 * (<uint64_t>voters + learners + outgoing + learners_next) + length)
    state.voters = read_ids(at, voters)
    state.learners = read_ids(at, learners)
    state.voters_outgoing = read_ids(at, outgoing)
    state.learners_next = read_ids(at, learners_next)
    state.auto_leave = head[16] == 1
    metadata.conf_state = state
    snapshot.metadata = metadata
    snapshot.data = PyBytes_FromStringAndSize(<const char *>at[0], length)
    at[0] += length
    return snapshot


cdef list read_entries(const unsigned char **at, const unsigned char *end, uint32_t count):
    cdef list entries = []
    cdef const unsigned char *head
    cdef uint32_t i, length
    need(at[0], end, <uint64_t>count * ENTRY_HEAD_BYTES)
    for i in range(count):
        head = at[0]
        need(head, end, ENTRY_HEAD_BYTES)
        length = get_u32(head + 16)
        if head[20] > ENTRY_CONF_CHANGE_V2:
            raise ValueError(f"unknown type of entry {head[20]}")
        head += ENTRY_HEAD_BYTES
        need(head, end, length)
        entries.append(
            new_entry(
                get_u64(head - ENTRY_HEAD_BYTES),
                get_u64(head - ENTRY_HEAD_BYTES + 8),
                (head - 1)[0],
                PyBytes_FromStringAndSize(<const char *>head, length),
            )
        )
        at[0] = head + length
    return entries


cdef Message read_message(const unsigned char **at, const unsigned char *end, int depth):
    cdef const unsigned char *head = at[0]
    cdef const unsigned char *part_end
    cdef uint32_t context_length, entry_count, response_count, length, i
    cdef Message message
    need(head, end, HEAD_BYTES)
    if head[0] > MSG_FORGET_LEADER:
        raise ValueError(f"unknown type of message {head[0]}")
    if head[1] > (FLAG_REJECT | FLAG_SNAPSHOT) or head[2] != 0 or head[3] != 0:
        raise ValueError("a message's head is garbled")
    message = new_message(head[0], get_u64(head + 16))
    context_length = get_u32(head + 4)
    entry_count = get_u32(head + 8)
    response_count = get_u32(head + 12)
    message.from_ = get_u64(head + 24)
    message.term = get_u64(head + 32)
    message.log_term = get_u64(head + 40)
    message.index = get_u64(head + 48)
    message.commit = get_u64(head + 56)
    message.vote = get_u64(head + 64)
    message.reject_hint = get_u64(head + 72)
    message.reject = (head[1] & FLAG_REJECT) != 0
    at[0] += HEAD_BYTES
    need(at[0], end, context_length)
    if context_length > 0:
        message.context = PyBytes_FromStringAndSize(<const char *>at[0], context_length)
        at[0] += context_length
    if entry_count > 0:
        message.entry_list = read_entries(at, end, entry_count)
    if head[1] & FLAG_SNAPSHOT:
        message.snapshot = read_snapshot(at, end)
    if response_count > 0:
        if depth > 0:
            raise ValueError("a response has responses")
        message.response_list = []
        for i in range(response_count):
            need(at[0], end, 4)
            length = get_u32(at[0])
            at[0] += 4
            need(at[0], end, length)
            part_end = at[0] + length
            message.response_list.append(read_message(at, part_end, depth + 1))
            if at[0] != part_end:
                raise ValueError("bytes are left behind a response")
    return message
