from libc.stdint cimport uint64_t

from kcore_native.raft.entry cimport ConfState, ConfChangeV2, Snapshot
from kcore_native.raft.log cimport RaftLog
from kcore_native.raft.message cimport Message
from kcore_native.raft.progress cimport Progress, Tracker
from kcore_native.raft.readonly cimport ReadOnly

cpdef enum:
    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2
    PRE_CANDIDATE = 3


cdef class Raft:
    cdef uint64_t id
    cdef uint64_t term
    cdef uint64_t vote
    cdef int role
    cdef uint64_t lead
    cdef uint64_t lead_transferee
    cdef bint is_learner
    cdef RaftLog log
    cdef Tracker tracker
    cdef ReadOnly read_only
    cdef list read_states
    cdef list pending_reads
    cdef list messages
    cdef list messages_after_append
    cdef uint64_t pending_conf_index
    cdef uint64_t restored_index
    cdef uint64_t uncommitted_size
    cdef uint64_t max_message_size
    cdef uint64_t max_uncommitted_size
    cdef int election_elapsed
    cdef int heartbeat_elapsed
    cdef int heartbeat_timeout
    cdef int election_timeout
    cdef int randomized_election_timeout
    cdef bint check_quorum
    cdef bint pre_vote
    cdef bint lease_based_reads
    cdef bint disable_proposal_forwarding
    cdef bint disable_conf_change_validation
    cdef bint step_down_on_removal
    cdef uint64_t chance

    cdef int load_state(self, object hard_state) except -1
    cdef int send(self, Message message) except -1
    cdef int send_append(self, Progress peer, bint send_if_empty) except -1
    cdef int send_snapshot(self, Progress peer) except -1
    cdef int broadcast_append(self) except -1
    cdef int broadcast_heartbeat(self) except -1
    cdef int maybe_commit(self) except -1
    cdef int reset(self, uint64_t term) except -1
    cdef void reset_election_timeout(self) noexcept
    cdef int append_entries(self, list entries) except -1
    cdef int become_follower(self, uint64_t term, uint64_t lead) except -1
    cdef int become_candidate(self) except -1
    cdef int become_pre_candidate(self) except -1
    cdef int become_leader(self) except -1
    cdef bint promotable(self) noexcept
    cdef int has_unapplied_conf_changes(self) except -1
    cdef int committed_in_current_term(self) except -1
    cdef int restore(self, Snapshot snapshot) except -1
    cdef ConfState apply_conf_change(self, ConfChangeV2 change)
    cdef ConfState switch_to(self, object configuration, dict progress)
    cdef object changer(self)
    cdef int answer_read(self, Message request, uint64_t index) except -1
    cdef int confirm_read(self, Message request) except -1
    cdef int release_pending_reads(self) except -1
