# cython: language_level=3
"""The state of one Raft node, and what it can do: change its role, append, send, commit, switch configuration.

When it does which is decided in step.pyx. Source: etcd-io/raft, raft.go; Raft dissertation, chapters 3, 4, 6, 9 and 10.
"""

cimport cython

from kcore_native.raft.entry cimport (
    ENTRY_CONF_CHANGE, ENTRY_CONF_CHANGE_V2, ENTRY_NORMAL, Entry, new_entry, payloads_size,
)
from kcore_native.raft.message cimport (
    MSG_APP, MSG_APP_RESP, MSG_HEARTBEAT, MSG_PRE_VOTE, MSG_PRE_VOTE_RESP, MSG_PROP, MSG_READ_INDEX,
    MSG_READ_INDEX_RESP, MSG_SNAP, MSG_VOTE, MSG_VOTE_RESP, new_message,
)
from kcore_native.raft.progress cimport REPLICATE
from kcore_native.raft.storage cimport TERM_KNOWN

from kcore_native.raft.confchange import Changer, Configuration
from kcore_native.raft.errors import Compacted, InvariantViolated, SnapshotTemporarilyUnavailable

cdef uint64_t NO_LIMIT = <uint64_t>-1


@cython.final
cdef class Raft:
    """One node. Plain data; the methods keep its invariants.

    Invariants: vote is for this term; ``lead`` is 0 or the only leader there is in this term; entries given to
    ``append_entries`` are acknowledged to ourselves only after they are on the disk. A message that vouches for
    something written (a vote, an append) waits in ``messages_after_append`` until all that is unstable is on the disk;
    any other may leave at once from ``messages``. ``pending_conf_index`` is not below the last configuration change
    that is not applied; the configuration is not older than ``restored_index``, where the last snapshot taken in stands.
    ``uncommitted_size`` is never more than the payload of a leader's uncommitted entries.
    """

    def __cinit__(self, config):
        cdef uint64_t size = config.max_size_per_message
        config.validate()
        self.id = config.id
        self.log = RaftLog(config.storage, config.max_committed_size_per_ready or size or 1)
        self.max_message_size = size
        self.max_uncommitted_size = config.max_uncommitted_size or NO_LIMIT
        self.tracker = Tracker(Configuration(), config.max_inflight_messages, config.max_inflight_bytes)
        self.read_only = ReadOnly()
        self.read_states = []
        self.pending_reads = []
        self.messages = []
        self.messages_after_append = []
        self.election_timeout = config.election_tick
        self.heartbeat_timeout = config.heartbeat_tick
        self.check_quorum = config.check_quorum
        self.pre_vote = config.pre_vote
        self.lease_based_reads = config.lease_based_reads
        self.disable_proposal_forwarding = config.disable_proposal_forwarding
        self.disable_conf_change_validation = config.disable_conf_change_validation
        self.step_down_on_removal = config.step_down_on_removal
        self.chance = (<uint64_t>(config.seed & NO_LIMIT)) ^ (self.id * <uint64_t>0x9E3779B97F4A7C15)
        hard_state, conf_state = config.storage.initial_state()
        configuration, progress = self.changer().restore(conf_state)
        if not self.switch_to(configuration, progress).equivalent(conf_state):
            raise InvariantViolated(f"{conf_state!r} is no configuration")
        if hard_state is not None and (hard_state.term or hard_state.vote or hard_state.commit):
            self.load_state(hard_state)
        if config.applied > 0:
            self.log.applied_to(config.applied, 0)
        self.become_follower(self.term, 0)

    cdef int load_state(self, object hard_state) except -1:
        cdef uint64_t commit = hard_state.commit
        if commit < self.log.committed or commit > self.log.last_index():
            raise InvariantViolated(
                f"{self.id:x} state.commit {commit} is out of range "
                f"[{self.log.committed}, {self.log.last_index()}]"
            )
        self.log.committed = commit
        self.term = hard_state.term
        self.vote = hard_state.vote
        return 0

    cdef object changer(self):
        cdef Progress peer
        return Changer(
            self.tracker.configuration,
            {peer.id: peer for peer in self.tracker.progress},
            self.log.last_index(),
            self.tracker.max_inflight,
            self.tracker.max_inflight_bytes,
        )

    # Sending

    cdef int send(self, Message message) except -1:
        cdef int type = message.type
        if message.from_ == 0:
            message.from_ = self.id
        if type == MSG_VOTE or type == MSG_VOTE_RESP or type == MSG_PRE_VOTE or type == MSG_PRE_VOTE_RESP:
            # the term of an election is not always ours: a pre-vote is for the next
            if message.term == 0:
                raise InvariantViolated(f"term should be set when sending a message of type {type}")
        elif message.term != 0:
            raise InvariantViolated(f"term should not be set when sending a message of type {type}")
        elif type != MSG_PROP and type != MSG_READ_INDEX:
            message.term = self.term  # those two are forwarded as if the leader had got them itself
        if type == MSG_APP_RESP or type == MSG_VOTE_RESP or type == MSG_PRE_VOTE_RESP:
            # Rejections wait too, though they may rest on what is on the disk already: they are rare.
            self.messages_after_append.append(message)
        elif message.to == self.id:
            raise InvariantViolated(f"message should not be self-addressed when sending type {type}")
        else:
            self.messages.append(message)
        return 0

    cdef int send_append(self, Progress peer, bint send_if_empty) except -1:
        # True where an append or a snapshot was sent. An empty append carries the commit index.
        cdef uint64_t previous = peer.next - 1, term = 0
        cdef list entries = None
        cdef Message message
        cdef Py_ssize_t count
        if peer.is_paused():
            return False
        if self.log.find_term(previous, &term) != TERM_KNOWN:
            return self.send_snapshot(peer)  # the log before next is compacted
        # With a full window only empty appends go out: if all in it were lost, one of those brings the rejection.
        if peer.state != REPLICATE or not peer.inflights.is_full():
            try:
                entries = self.log.entries_from(peer.next, self.max_message_size)
            except Compacted:
                return self.send_snapshot(peer) if send_if_empty else False
        count = 0 if entries is None else len(entries)
        if count == 0 and not send_if_empty:
            return False
        message = new_message(MSG_APP, peer.id)
        message.index = previous
        message.log_term = term
        message.entry_list = entries if count > 0 else None
        message.commit = self.log.committed
        self.send(message)
        peer.sent_entries(count, payloads_size(entries) if count > 0 else 0)
        peer.sent_commit = self.log.committed
        return True

    cdef int send_snapshot(self, Progress peer) except -1:
        cdef Snapshot snapshot
        cdef Message message
        if not peer.recent_active:
            return False
        try:
            snapshot = self.log.snapshot()
        except SnapshotTemporarilyUnavailable:
            return False
        if snapshot is None or snapshot.metadata.index == 0:
            raise InvariantViolated("need non-empty snapshot")
        peer.become_snapshot(snapshot.metadata.index)
        message = new_message(MSG_SNAP, peer.id)
        message.snapshot = snapshot
        self.send(message)
        return True

    cdef int broadcast_append(self) except -1:
        cdef Progress peer
        for peer in self.tracker.progress:
            if peer.id != self.id:
                self.send_append(peer, True)
        return 0

    cdef int broadcast_heartbeat(self) except -1:
        cdef Progress peer
        cdef Message message
        cdef bytes context = self.read_only.context()
        for peer in self.tracker.progress:
            if peer.id == self.id:
                continue
            # never a commit index that the follower may not have in its log, or only of another term
            message = new_message(MSG_HEARTBEAT, peer.id)
            message.commit = min(peer.match, self.log.committed)
            message.context = context
            self.send(message)
            peer.sent_commit = message.commit
        return 0

    # Roles

    cdef int reset(self, uint64_t term) except -1:
        cdef Progress peer
        cdef uint64_t last = self.log.last_index()
        if self.term != term:
            self.term = term
            self.vote = 0
        self.lead = 0
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.reset_election_timeout()
        self.lead_transferee = 0
        self.tracker.votes = {}
        for peer in self.tracker.progress:
            peer.restart(last + 1)
            if peer.id == self.id:
                peer.match = last
        self.pending_conf_index = 0
        self.uncommitted_size = 0
        self.read_only = ReadOnly()
        return 0

    cdef void reset_election_timeout(self) noexcept:
        # election_timeout .. 2 * election_timeout - 1, by splitmix64 (Steele, Lea, Flood 2014)
        cdef uint64_t mixed
        self.chance += <uint64_t>0x9E3779B97F4A7C15
        mixed = self.chance
        mixed = (mixed ^ (mixed >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
        mixed = (mixed ^ (mixed >> 27)) * <uint64_t>0x94D049BB133111EB
        mixed ^= mixed >> 31
        self.randomized_election_timeout = self.election_timeout + <int>(mixed % <uint64_t>self.election_timeout)

    cdef int become_follower(self, uint64_t term, uint64_t lead) except -1:
        self.reset(term)
        self.lead = lead
        self.role = FOLLOWER
        return 0

    cdef int become_candidate(self) except -1:
        if self.role == LEADER:
            raise InvariantViolated("invalid transition [leader -> candidate]")
        self.reset(self.term + 1)
        self.vote = self.id
        self.role = CANDIDATE
        return 0

    cdef int become_pre_candidate(self) except -1:
        # neither the term nor the vote change
        if self.role == LEADER:
            raise InvariantViolated("invalid transition [leader -> pre-candidate]")
        self.tracker.votes = {}
        self.lead = 0
        self.role = PRE_CANDIDATE
        return 0

    cdef int become_leader(self) except -1:
        cdef Progress own
        if self.role == FOLLOWER:
            raise InvariantViolated("invalid transition [follower -> leader]")
        self.reset(self.term)
        self.lead = self.id
        self.role = LEADER
        own = self.tracker.find(self.id)
        own.become_replicate()
        own.recent_active = True  # and stays so
        # There may be a configuration change among the entries that are not applied; to wait for all is cheaper than
        # to look.
        self.pending_conf_index = self.log.last_index()
        # Only an entry of our own term can be committed by counting; it commits all before it.
        if not self.append_entries([new_entry(0, 0, ENTRY_NORMAL, b"")]):
            raise InvariantViolated("empty entry was dropped")
        return 0

    cdef bint promotable(self) noexcept:
        # True where this node may become leader
        cdef Progress own = self.tracker.find(self.id)
        return own is not None and not own.is_learner and self.log.unstable.snapshot is None

    # The log

    cdef int append_entries(self, list entries) except -1:
        # Puts the entries, which are this node's alone, behind the log; False where too much is uncommitted.
        cdef uint64_t last = self.log.last_index(), size = payloads_size(entries)
        cdef Entry entry
        cdef Message message
        # an empty tail takes any size, and an empty payload is never refused: both keep the log moving
        if self.uncommitted_size > 0 and size > 0:
            if self.uncommitted_size + size > self.max_uncommitted_size:
                return False
        self.uncommitted_size += size
        for entry in entries:
            last += 1
            entry.term = self.term
            entry.index = last
        self.log.append(entries)
        message = new_message(MSG_APP_RESP, self.id)
        message.index = last
        self.send(message)
        return True

    cdef int maybe_commit(self) except -1:
        return self.log.maybe_commit(self.tracker.committed(), self.term)

    cdef int committed_in_current_term(self) except -1:
        return self.log.term_or_zero(self.log.committed) == self.term

    cdef int has_unapplied_conf_changes(self) except -1:
        cdef uint64_t low = self.log.applied + 1, high = self.log.committed + 1
        cdef Entry entry
        cdef list page
        while low < high:  # in pages, lest all be held in memory
            page = self.log.unapplied(low, high, self.log.max_applying_size)
            if not page:
                raise InvariantViolated(f"got 0 entries in [{low}, {high})")
            for entry in page:
                if entry.type == ENTRY_CONF_CHANGE or entry.type == ENTRY_CONF_CHANGE_V2:
                    return True
            low += <uint64_t>len(page)
        return False

    cdef int restore(self, Snapshot snapshot) except -1:
        # True where the snapshot takes the place of log and configuration; False where it is old, or not for us
        cdef ConfState state = snapshot.metadata.conf_state
        cdef uint64_t index = snapshot.metadata.index
        if index <= self.log.committed:
            return False
        if self.role != FOLLOWER:
            self.become_follower(self.term + 1, 0)  # cannot be; but if it is, at least not as leader
            return False
        # learners_next are among voters_outgoing
        if not (self.id in state.voters or self.id in state.learners or self.id in state.voters_outgoing):
            return False
        if self.log.match_term(index, snapshot.metadata.term):
            self.log.commit_to(index)
            return False
        self.log.restore(snapshot)
        self.restored_index = index
        self.tracker = Tracker(Configuration(), self.tracker.max_inflight, self.tracker.max_inflight_bytes)
        configuration, progress = self.changer().restore(state)
        if not self.switch_to(configuration, progress).equivalent(state):
            raise InvariantViolated(f"{state!r} is no configuration")
        return True

    # The configuration

    cdef ConfState apply_conf_change(self, ConfChangeV2 change):
        changer = self.changer()
        if change.leaves_joint():
            configuration, progress = changer.leave_joint()
        elif change.enters_joint():
            configuration, progress = changer.enter_joint(change.auto_leaves(), change.changes)
        else:
            configuration, progress = changer.simple(change.changes)
        return self.switch_to(configuration, progress)

    cdef ConfState switch_to(self, object configuration, dict progress):
        cdef ConfState state = configuration.conf_state()
        cdef Progress own, peer
        self.tracker.adopt(configuration, progress)
        own = self.tracker.find(self.id)
        self.is_learner = own is not None and own.is_learner
        if (own is None or self.is_learner) and self.role == LEADER:
            # removed or made a learner while leading
            if self.step_down_on_removal:
                self.become_follower(self.term, 0)
            return state
        if self.role != LEADER or not state.voters:
            return state
        if self.maybe_commit():
            # the new quorum has more in common than the old one had
            self.broadcast_append()
        else:
            for peer in self.tracker.progress:
                if peer.id != self.id:
                    self.send_append(peer, False)  # a new node needs not wait for the next heartbeat
        if (
            self.lead_transferee != 0
            and self.lead_transferee not in configuration.voters
            and self.lead_transferee not in configuration.voters_outgoing
        ):
            self.lead_transferee = 0
        return state

    # Reads

    cdef int answer_read(self, Message request, uint64_t index) except -1:
        cdef Entry entry = <Entry>request.entry_list[0]
        cdef Message message
        if request.from_ == 0 or request.from_ == self.id:
            self.read_states.append((index, entry.data))
            return 0
        message = new_message(MSG_READ_INDEX_RESP, request.from_)
        message.index = index
        message.entry_list = request.entry_list
        return self.send(message)

    cdef int confirm_read(self, Message request) except -1:
        # a leader that has committed in its term asks the others whether it still leads, or trusts its lease
        if self.lease_based_reads:
            return self.answer_read(request, self.log.committed)
        self.read_only.add(self.log.committed, request)
        self.read_only.acknowledge(self.id, self.read_only.context())
        return self.broadcast_heartbeat()

    cdef int release_pending_reads(self) except -1:
        cdef list requests
        cdef Message request
        if not self.pending_reads or not self.committed_in_current_term():
            return 0
        requests = self.pending_reads
        self.pending_reads = []
        for request in requests:
            self.confirm_read(request)
        return 0
