# cython: language_level=3
"""The values of Raft that outlive a step: entries, hard state, configurations, snapshots, configuration changes.

All are immutable. Source of names and meaning: etcd-io/raft, raftpb/raft.proto; Raft dissertation, sections 3.5 and 4.
A configuration change is kept in the log, so its encoding must stay readable for ever: little-endian, no padding;
the empty text is the zero change.

    ConfChange     type u8, node_id u64, context (the rest)
    ConfChangeV2   transition u8, count u16, count x (type u8, node_id u64), context (the rest)
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

CHANGES_MAX = 65535  # single changes in one ConfChangeV2


@cython.final
@cython.freelist(256)
cdef class Entry:
    """One entry of the log."""

    def __init__(self, uint64_t term=0, uint64_t index=0, int type=ENTRY_NORMAL, bytes data not None=b""):
        if type < 0 or type > ENTRY_CONF_CHANGE_V2:
            raise ValueError(f"unknown type of entry {type}")
        self.term = term
        self.index = index
        self.type = type
        self.data = data

    def __eq__(self, other):
        cdef Entry entry
        if not isinstance(other, Entry):
            return NotImplemented
        entry = <Entry>other
        return (
            self.index == entry.index
            and self.term == entry.term
            and self.type == entry.type
            and self.data == entry.data
        )

    def __hash__(self):
        return hash((self.term, self.index, self.type, self.data))

    def __repr__(self):
        return f"Entry(term={self.term}, index={self.index}, type={self.type}, data={self.data!r})"

    def __reduce__(self):
        return Entry, (self.term, self.index, self.type, self.data)


cdef Entry new_entry(uint64_t term, uint64_t index, int type, bytes data):
    cdef Entry entry = Entry.__new__(Entry)
    entry.term = term
    entry.index = index
    entry.type = type
    entry.data = data
    return entry


cdef inline uint64_t varint_size(uint64_t value) noexcept nogil:
    cdef uint64_t size = 1
    while value >= 128:
        value >>= 7
        size += 1
    return size


cdef uint64_t entry_size(Entry entry) noexcept:
    # as many bytes as etcd's protocol buffer of the entry has; all limits on sizes are in these
    cdef uint64_t length = <uint64_t>PyBytes_GET_SIZE(entry.data)
    cdef uint64_t size = 2 + varint_size(entry.term) + varint_size(entry.index)
    if entry.type != ENTRY_NORMAL:
        size += 2
    if length > 0:
        size += 1 + varint_size(length) + length
    return size


cdef uint64_t entries_size(list entries) except? 0:
    cdef uint64_t size = 0
    cdef Entry entry
    for entry in entries:
        size += entry_size(entry)
    return size


cdef uint64_t payloads_size(list entries) except? 0:
    cdef uint64_t size = 0
    cdef Entry entry
    for entry in entries:
        size += <uint64_t>PyBytes_GET_SIZE(entry.data)
    return size


cdef list limit_size(list entries, uint64_t max_size):
    # the longest beginning of at most max_size bytes, but at least one entry; the list itself where all fit
    cdef Py_ssize_t i, count = len(entries)
    cdef uint64_t size
    if count <= 1 or max_size == <uint64_t>-1:
        return entries
    size = entry_size(<Entry>entries[0])
    for i in range(1, count):
        size += entry_size(<Entry>entries[i])
        if size > max_size:
            return entries[:i]
    return entries


@cython.final
cdef class HardState:
    """What a member must not forget: its term, its vote in it (0: none), and what it knew to be committed."""

    def __init__(self, uint64_t term=0, uint64_t vote=0, uint64_t commit=0):
        self.term = term
        self.vote = vote
        self.commit = commit

    def __eq__(self, other):
        cdef HardState state
        if not isinstance(other, HardState):
            return NotImplemented
        state = <HardState>other
        return self.term == state.term and self.vote == state.vote and self.commit == state.commit

    def __hash__(self):
        return hash((self.term, self.vote, self.commit))

    def __bool__(self):
        return self.term != 0 or self.vote != 0 or self.commit != 0

    def __repr__(self):
        return f"HardState(term={self.term}, vote={self.vote}, commit={self.commit})"

    def __reduce__(self):
        return HardState, (self.term, self.vote, self.commit)


@cython.final
cdef class ConfState:
    """A configuration: who votes, who learns; ``voters_outgoing`` is not empty exactly while it is joint.

    Invariant: each of ``learners_next`` is in ``voters_outgoing``; nobody is both a learner and a voter.
    """

    def __init__(self, voters=(), learners=(), voters_outgoing=(), learners_next=(), bint auto_leave=False):
        self.voters = node_ids(voters)
        self.learners = node_ids(learners)
        self.voters_outgoing = node_ids(voters_outgoing)
        self.learners_next = node_ids(learners_next)
        self.auto_leave = auto_leave

    def __eq__(self, other):
        cdef ConfState state
        if not isinstance(other, ConfState):
            return NotImplemented
        state = <ConfState>other
        return (
            self.voters == state.voters
            and self.learners == state.learners
            and self.voters_outgoing == state.voters_outgoing
            and self.learners_next == state.learners_next
            and self.auto_leave == state.auto_leave
        )

    def __hash__(self):
        return hash((self.voters, self.learners, self.voters_outgoing, self.learners_next, self.auto_leave))

    def __repr__(self):
        return (
            f"ConfState(voters={self.voters}, learners={self.learners}, voters_outgoing={self.voters_outgoing}, "
            f"learners_next={self.learners_next}, auto_leave={bool(self.auto_leave)})"
        )

    def __reduce__(self):
        return ConfState, (
            self.voters, self.learners, self.voters_outgoing, self.learners_next, bool(self.auto_leave),
        )

    def equivalent(self, ConfState other not None) -> bool:
        """True where both describe the same configuration, in whatever order."""
        return (
            sorted(self.voters) == sorted(other.voters)
            and sorted(self.learners) == sorted(other.learners)
            and sorted(self.voters_outgoing) == sorted(other.voters_outgoing)
            and sorted(self.learners_next) == sorted(other.learners_next)
            and self.auto_leave == other.auto_leave
        )


cdef tuple node_ids(ids):
    cdef uint64_t node_id
    cdef tuple result = tuple(ids)
    for node_id in result:  # raises where one is no 64-bit integer
        pass
    return result


@cython.final
cdef class SnapshotMetadata:
    """Where in the log a snapshot stands, and the configuration there."""

    def __init__(self, ConfState conf_state=None, uint64_t index=0, uint64_t term=0):
        self.conf_state = ConfState() if conf_state is None else conf_state
        self.index = index
        self.term = term

    def __eq__(self, other):
        cdef SnapshotMetadata metadata
        if not isinstance(other, SnapshotMetadata):
            return NotImplemented
        metadata = <SnapshotMetadata>other
        return (
            self.index == metadata.index
            and self.term == metadata.term
            and self.conf_state == metadata.conf_state
        )

    def __hash__(self):
        return hash((self.index, self.term, self.conf_state))

    def __repr__(self):
        return f"SnapshotMetadata(conf_state={self.conf_state!r}, index={self.index}, term={self.term})"

    def __reduce__(self):
        return SnapshotMetadata, (self.conf_state, self.index, self.term)


@cython.final
cdef class Snapshot:
    """A snapshot; ``data`` is whatever the application needs to find the state. Index 0 is no snapshot."""

    def __init__(self, bytes data not None=b"", SnapshotMetadata metadata=None):
        self.data = data
        self.metadata = SnapshotMetadata() if metadata is None else metadata

    def __eq__(self, other):
        cdef Snapshot snapshot
        if not isinstance(other, Snapshot):
            return NotImplemented
        snapshot = <Snapshot>other
        return self.metadata == snapshot.metadata and self.data == snapshot.data

    def __hash__(self):
        return hash((self.metadata, self.data))

    def __bool__(self):
        return self.metadata.index != 0

    def __repr__(self):
        return f"Snapshot(data={self.data!r}, metadata={self.metadata!r})"

    def __reduce__(self):
        return Snapshot, (self.data, self.metadata)


@cython.final
cdef class ConfChangeSingle:
    """One node added, removed, updated or made a learner; node 0 stands for a change that was turned down."""

    def __init__(self, int type=CONF_CHANGE_ADD_NODE, uint64_t node_id=0):
        if type < 0 or type > CONF_CHANGE_ADD_LEARNER_NODE:
            raise ValueError(f"unknown type of configuration change {type}")
        self.type = type
        self.node_id = node_id

    def __eq__(self, other):
        cdef ConfChangeSingle change
        if not isinstance(other, ConfChangeSingle):
            return NotImplemented
        change = <ConfChangeSingle>other
        return self.type == change.type and self.node_id == change.node_id

    def __hash__(self):
        return hash((self.type, self.node_id))

    def __repr__(self):
        return f"ConfChangeSingle(type={self.type}, node_id={self.node_id})"

    def __reduce__(self):
        return ConfChangeSingle, (self.type, self.node_id)


@cython.final
cdef class ConfChange:
    """A change of one node, made at once."""

    def __init__(self, int type=CONF_CHANGE_ADD_NODE, uint64_t node_id=0, bytes context not None=b""):
        if type < 0 or type > CONF_CHANGE_ADD_LEARNER_NODE:
            raise ValueError(f"unknown type of configuration change {type}")
        self.type = type
        self.node_id = node_id
        self.context = context

    def as_v2(self) -> ConfChangeV2:
        """The same change as a ConfChangeV2."""
        return ConfChangeV2(TRANSITION_AUTO, (ConfChangeSingle(self.type, self.node_id),), self.context)

    def encode(self) -> bytes:
        """The change as it stands in the log."""
        cdef unsigned char[9] head
        head[0] = <unsigned char>self.type
        put_u64(&head[1], self.node_id)
        return PyBytes_FromStringAndSize(<char *>head, 9) + self.context

    @staticmethod
    def decode(bytes data not None) -> ConfChange:
        """The change that ``encode`` wrote; ValueError where it is none."""
        cdef const unsigned char *at = <const unsigned char *>PyBytes_AS_STRING(data)
        if PyBytes_GET_SIZE(data) == 0:
            return ConfChange()
        if PyBytes_GET_SIZE(data) < 9:
            raise ValueError("a configuration change is cut short")
        return ConfChange(at[0], get_u64(at + 1), data[9:])

    def __eq__(self, other):
        cdef ConfChange change
        if not isinstance(other, ConfChange):
            return NotImplemented
        change = <ConfChange>other
        return self.type == change.type and self.node_id == change.node_id and self.context == change.context

    def __hash__(self):
        return hash((self.type, self.node_id, self.context))

    def __repr__(self):
        return f"ConfChange(type={self.type}, node_id={self.node_id}, context={self.context!r})"

    def __reduce__(self):
        return ConfChange, (self.type, self.node_id, self.context)


@cython.final
cdef class ConfChangeV2:
    """Changes of any number of nodes; more than one, or a transition other than auto, goes by joint consensus."""

    def __init__(self, int transition=TRANSITION_AUTO, changes=(), bytes context not None=b""):
        cdef ConfChangeSingle change
        if transition < 0 or transition > TRANSITION_JOINT_EXPLICIT:
            raise ValueError(f"unknown transition {transition}")
        self.transition = transition
        self.changes = tuple(changes)
        if len(self.changes) > CHANGES_MAX:
            raise ValueError(f"more than {CHANGES_MAX} changes at once")
        for change in self.changes:  # raises where one is of another type
            if change is None:
                raise TypeError("a change is None")
        self.context = context

    def as_v2(self) -> ConfChangeV2:
        """The change itself."""
        return self

    def enters_joint(self) -> bool:
        """True where this change uses joint consensus."""
        return self.transition != TRANSITION_AUTO or len(self.changes) > 1

    def auto_leaves(self) -> bool:
        """True where this change uses joint consensus and Raft itself leaves it."""
        return self.enters_joint() and self.transition != TRANSITION_JOINT_EXPLICIT

    def leaves_joint(self) -> bool:
        """True where this change leaves a joint configuration: it changes nothing, but may have a context."""
        return self.transition == TRANSITION_AUTO and len(self.changes) == 0

    def encode(self) -> bytes:
        """The change as it stands in the log."""
        cdef Py_ssize_t count = len(self.changes), i
        cdef Py_ssize_t size = 3 + 9 * count + PyBytes_GET_SIZE(self.context)
        cdef bytes data
        cdef unsigned char *at
        cdef ConfChangeSingle change
        if self.leaves_joint() and not self.context:
            return b""
        data = PyBytes_FromStringAndSize(NULL, size)
        at = <unsigned char *>PyBytes_AS_STRING(data)
        at[0] = <unsigned char>self.transition
        at[1] = <unsigned char>(count & 255)
        at[2] = <unsigned char>(count >> 8)
        at += 3
        for i in range(count):
            change = <ConfChangeSingle>self.changes[i]
            at[0] = <unsigned char>change.type
            put_u64(at + 1, change.node_id)
            at += 9
        memcpy(at, PyBytes_AS_STRING(self.context), PyBytes_GET_SIZE(self.context))
        return data

    @staticmethod
    def decode(bytes data not None) -> ConfChangeV2:
        """The change that ``encode`` wrote; ValueError where it is none."""
        cdef const unsigned char *at = <const unsigned char *>PyBytes_AS_STRING(data)
        cdef Py_ssize_t count, i
        cdef list changes = []
        if PyBytes_GET_SIZE(data) == 0:
            return ConfChangeV2()
        if PyBytes_GET_SIZE(data) < 3:
            raise ValueError("a configuration change is cut short")
        count = at[1] | (<Py_ssize_t>at[2] << 8)
        if PyBytes_GET_SIZE(data) < 3 + 9 * count:
            raise ValueError("a configuration change is cut short")
        for i in range(count):
            changes.append(ConfChangeSingle(at[3 + 9 * i], get_u64(at + 4 + 9 * i)))
        return ConfChangeV2(at[0], changes, data[3 + 9 * count :])

    def __eq__(self, other):
        cdef ConfChangeV2 change
        if not isinstance(other, ConfChangeV2):
            return NotImplemented
        change = <ConfChangeV2>other
        return (
            self.transition == change.transition
            and self.changes == change.changes
            and self.context == change.context
        )

    def __hash__(self):
        return hash((self.transition, self.changes, self.context))

    def __repr__(self):
        return f"ConfChangeV2(transition={self.transition}, changes={self.changes!r}, context={self.context!r})"

    def __reduce__(self):
        return ConfChangeV2, (self.transition, self.changes, self.context)
