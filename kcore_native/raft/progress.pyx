# cython: language_level=3
"""What a leader knows of each peer, and what follows for all: the committed index, an active quorum.

Source: etcd-io/raft, tracker/ (progress.go, inflights.go, tracker.go). The states of a peer:

    from        by                                      to
    PROBE       an append acknowledged                  REPLICATE
    PROBE       the log before next is compacted        SNAPSHOT
    REPLICATE   a rejection, or the peer unreachable    PROBE
    REPLICATE   the log before next is compacted        SNAPSHOT
    SNAPSHOT    an acknowledgement the log can join     REPLICATE
    SNAPSHOT    a report that it was sent or failed     PROBE

In PROBE one append is on its way at a time, in REPLICATE as many as the window holds, in SNAPSHOT none.
"""

cimport cython
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from kcore_native.raft.quorum cimport VOTE_WON, joint_vote, majority_index, majority_vote

from kcore_native.raft.errors import InvariantViolated


@cython.final
cdef class Inflights:
    """The window of appends sent to one peer and not acknowledged yet.

    Invariant: the indices in it grow; count <= size. ``bytes`` may pass ``bytes_max`` (0: no limit) by one message.
    """

    def __cinit__(self, Py_ssize_t size, uint64_t bytes_max=0):
        self.size = size
        self.bytes_max = bytes_max
        self.ring = NULL
        self.capacity = 0
        self.start = 0
        self.count = 0
        self.bytes = 0

    def __dealloc__(self):
        free(self.ring)

    @property
    def full(self) -> bool:
        """True where no more may be sent."""
        return self.is_full()

    cdef int grow(self) except -1:
        # by doubling: most groups never fill the window
        cdef Py_ssize_t capacity = min(max(self.capacity * 2, 1), self.size)
        cdef Inflight *ring = <Inflight *>realloc(self.ring, capacity * sizeof(Inflight))
        if ring == NULL:
            raise MemoryError
        self.ring = ring
        self.capacity = capacity
        return 0

    cpdef int add(self, uint64_t index, uint64_t size) except -1:
        """One more append is on its way, with the entries up to index, of so many bytes."""
        cdef Py_ssize_t at = self.start + self.count
        if self.is_full():
            raise InvariantViolated("cannot add into a Full inflights")
        if at >= self.size:
            at -= self.size
        if at >= self.capacity:
            self.grow()
        self.ring[at].index = index
        self.ring[at].bytes = size
        self.count += 1
        self.bytes += size
        return 0

    cpdef int free_to(self, uint64_t index) except -1:
        """The appends up to index have arrived."""
        while self.count > 0 and self.ring[self.start].index <= index:
            self.bytes -= self.ring[self.start].bytes
            self.count -= 1
            self.start += 1
            if self.start >= self.size:
                self.start = 0
        if self.count == 0:
            self.start = 0
        return 0

    cdef bint is_full(self) noexcept nogil:
        return self.count == self.size or (self.bytes_max != 0 and self.bytes >= self.bytes_max)

    cdef void reset(self) noexcept nogil:
        self.start = 0
        self.count = 0
        self.bytes = 0

    def copy(self) -> Inflights:
        """The same window, apart."""
        cdef Inflights other = Inflights(self.size, self.bytes_max)
        if self.capacity > 0:
            other.ring = <Inflight *>malloc(self.capacity * sizeof(Inflight))
            if other.ring == NULL:
                raise MemoryError
            memcpy(other.ring, self.ring, self.capacity * sizeof(Inflight))
        other.capacity = self.capacity
        other.start = self.start
        other.count = self.count
        other.bytes = self.bytes
        return other


@cython.final
cdef class Progress:
    """What the leader knows of one peer, itself among them.

    Invariant: match < next. Entries up to ``match`` are known to be on the peer; those before ``next`` have been sent.
    In SNAPSHOT, next == pending_snapshot + 1. ``sent_commit`` is the commit index on its way to the peer.
    """

    def __init__(
        self, uint64_t node_id, uint64_t next, *, max_inflight=256, max_inflight_bytes=0, is_learner=False,
        recent_active=False,
    ):
        self.id = node_id
        self.match = 0
        self.next = next
        self.sent_commit = 0
        self.state = PROBE
        self.pending_snapshot = 0
        self.recent_active = recent_active
        self.flow_paused = False
        self.is_learner = is_learner
        self.inflights = Inflights(max_inflight, max_inflight_bytes)

    @property
    def paused(self) -> bool:
        """True where appends to the peer wait for a sign of it."""
        return self.is_paused()

    @property
    def inflight(self) -> int:
        """Appends sent and not acknowledged."""
        return self.inflights.count

    @property
    def inflight_full(self) -> bool:
        """True where the window is full."""
        return self.inflights.is_full()

    def copy(self, *, apart=False) -> Progress:
        """The same knowledge in another object; the window is shared unless ``apart``."""
        cdef Progress other = Progress.__new__(Progress)
        other.id = self.id
        other.match = self.match
        other.next = self.next
        other.sent_commit = self.sent_commit
        other.state = self.state
        other.pending_snapshot = self.pending_snapshot
        other.recent_active = self.recent_active
        other.flow_paused = self.flow_paused
        other.is_learner = self.is_learner
        other.is_incoming = self.is_incoming
        other.is_outgoing = self.is_outgoing
        other.inflights = self.inflights.copy() if apart else self.inflights
        return other

    cdef void restart(self, uint64_t next_index) noexcept:
        # a new term: nothing is known
        self.match = 0
        self.next = next_index
        self.sent_commit = 0
        self.state = PROBE
        self.pending_snapshot = 0
        self.recent_active = False
        self.flow_paused = False
        self.inflights.reset()

    cdef void enter(self, int state) noexcept:
        self.flow_paused = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.reset()

    cdef void become_probe(self) noexcept:
        cdef uint64_t pending = self.pending_snapshot
        if self.state == SNAPSHOT:
            # a snapshot that was sent needs not be sent again
            self.enter(PROBE)
            self.next = max(self.match + 1, pending + 1)
        else:
            self.enter(PROBE)
            self.next = self.match + 1
        self.sent_commit = min(self.sent_commit, self.next - 1)

    cdef void become_replicate(self) noexcept:
        self.enter(REPLICATE)
        self.next = self.match + 1

    cdef void become_snapshot(self, uint64_t index) noexcept:
        self.enter(SNAPSHOT)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    cdef int sent_entries(self, Py_ssize_t count, uint64_t size) except -1:
        if self.state == REPLICATE:
            if count > 0:
                self.next += <uint64_t>count
                self.inflights.add(self.next - 1, size)
            # a message that fills the window is a probe: no more until the peer answers
            self.flow_paused = self.inflights.is_full()
        elif self.state == PROBE:
            if count > 0:
                self.flow_paused = True
        else:
            raise InvariantViolated("sending append in unhandled state StateSnapshot")
        return 0

    cdef bint can_bump_commit(self, uint64_t index) noexcept:
        # True where telling the commit index may move the peer's, which reaches next - 1 at most
        return index > self.sent_commit and self.sent_commit < self.next - 1

    cdef bint maybe_update(self, uint64_t index) noexcept:
        # False for an acknowledgement that is old
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.flow_paused = False
        return True

    cdef bint maybe_decrease(self, uint64_t rejected, uint64_t hint) noexcept:
        # lowers next after a rejection; False for one that is old
        if self.state == REPLICATE:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
            self.sent_commit = min(self.sent_commit, self.next - 1)
            return True
        if self.next - 1 != rejected:
            return False
        self.next = max(min(rejected, hint + 1), self.match + 1)
        self.sent_commit = min(self.sent_commit, self.next - 1)
        self.flow_paused = False
        return True

    cdef bint is_paused(self) noexcept:
        return self.state == SNAPSHOT or self.flow_paused


@cython.final
cdef class Tracker:
    """The configuration in force, and the progress of everyone in it.

    Invariant: ``progress`` holds exactly the voters and learners of ``configuration``, by id.
    """

    def __cinit__(self, configuration, Py_ssize_t max_inflight, uint64_t max_inflight_bytes):
        self.configuration = configuration
        self.progress = []
        self.votes = {}
        self.scratch = NULL
        self.max_inflight = max_inflight
        self.max_inflight_bytes = max_inflight_bytes

    def __dealloc__(self):
        free(self.scratch)

    cdef int adopt(self, object configuration, dict progress) except -1:
        """The configuration is in force, with the progress of its nodes by id."""
        cdef Progress peer
        cdef uint64_t *scratch = <uint64_t *>realloc(self.scratch, max(len(progress), 1) * sizeof(uint64_t))
        if scratch == NULL:
            raise MemoryError
        self.scratch = scratch
        self.configuration = configuration
        self.progress = [progress[node_id] for node_id in sorted(progress)]
        self.incoming_count = self.outgoing_count = 0
        for peer in self.progress:
            peer.is_incoming = peer.id in configuration.voters
            peer.is_outgoing = peer.id in configuration.voters_outgoing
            self.incoming_count += peer.is_incoming
            self.outgoing_count += peer.is_outgoing
        return 0

    cdef Progress find(self, uint64_t node_id):
        # None for a stranger
        cdef Progress peer
        for peer in self.progress:
            if peer.id == node_id:
                return peer
        return None

    cdef bint is_singleton(self) noexcept:
        return self.incoming_count == 1 and self.outgoing_count == 0

    cdef bint is_joint(self) noexcept:
        return self.outgoing_count > 0

    cdef uint64_t committed(self) except? 0:
        # the largest index that the voters are known to hold
        cdef Progress peer
        cdef Py_ssize_t count = 0
        cdef uint64_t index
        for peer in self.progress:
            if peer.is_incoming:
                self.scratch[count] = peer.match
                count += 1
        index = majority_index(self.scratch, count)
        if self.outgoing_count > 0:
            count = 0
            for peer in self.progress:
                if peer.is_outgoing:
                    self.scratch[count] = peer.match
                    count += 1
            index = min(index, majority_index(self.scratch, count))
        return index

    cdef uint64_t reads_confirmed(self, dict acked) except? 0:
        # the same of the read positions that heartbeats brought back
        cdef Progress peer
        cdef Py_ssize_t count = 0
        cdef uint64_t index
        for peer in self.progress:
            if peer.is_incoming:
                self.scratch[count] = acked.get(peer.id, 0)
                count += 1
        index = majority_index(self.scratch, count)
        if self.outgoing_count > 0:
            count = 0
            for peer in self.progress:
                if peer.is_outgoing:
                    self.scratch[count] = acked.get(peer.id, 0)
                    count += 1
            index = min(index, majority_index(self.scratch, count))
        return index

    cdef int quorum_active(self) except -1:
        cdef Progress peer
        cdef Py_ssize_t incoming = 0, outgoing = 0
        for peer in self.progress:
            if peer.recent_active and not peer.is_learner:
                incoming += peer.is_incoming
                outgoing += peer.is_outgoing
        return joint_vote(
            majority_vote(self.incoming_count, incoming, 0), majority_vote(self.outgoing_count, outgoing, 0)
        ) == VOTE_WON

    cdef int vote_result(self) except -1:
        cdef Progress peer
        cdef Py_ssize_t granted = 0, missing = 0, granted_outgoing = 0, missing_outgoing = 0
        for peer in self.progress:
            vote = self.votes.get(peer.id)
            if vote is None:
                missing += peer.is_incoming
                missing_outgoing += peer.is_outgoing
            elif vote:
                granted += peer.is_incoming
                granted_outgoing += peer.is_outgoing
        return joint_vote(
            majority_vote(self.incoming_count, granted, missing),
            majority_vote(self.outgoing_count, granted_outgoing, missing_outgoing),
        )
