# cython: language_level=3
"""What a Raft node does on a tick and on a message, by its role.

Source: etcd-io/raft, raft.go (Step, stepLeader, stepCandidate, stepFollower); Raft dissertation, chapters 3, 6 and 9.

    from            by                                                        to
    FOLLOWER        a timeout, or MSG_TIMEOUT_NOW without a pre-vote          PRE_CANDIDATE or CANDIDATE
    PRE_CANDIDATE   a quorum would vote for us                                CANDIDATE, in the next term
    CANDIDATE       a quorum voted for us                                     LEADER
    any but LEADER  a quorum refused; an append of this term's leader         FOLLOWER
    any             a message of a later term (but not a pre-vote)            FOLLOWER, in that term
    LEADER          no quorum heard of for an election timeout (check quorum) FOLLOWER
"""

from kcore_native.raft.core cimport CANDIDATE, FOLLOWER, LEADER, PRE_CANDIDATE
from kcore_native.raft.entry cimport (
    ENTRY_CONF_CHANGE, ENTRY_CONF_CHANGE_V2, ENTRY_NORMAL, ConfChange, ConfChangeV2, Entry, Snapshot, entries_size,
    new_entry, payloads_size,
)
from kcore_native.raft.message cimport (
    MSG_APP, MSG_APP_RESP, MSG_BEAT, MSG_CHECK_QUORUM, MSG_FORGET_LEADER, MSG_HEARTBEAT, MSG_HEARTBEAT_RESP, MSG_HUP,
    MSG_PRE_VOTE, MSG_PRE_VOTE_RESP, MSG_PROP, MSG_READ_INDEX, MSG_READ_INDEX_RESP, MSG_SNAP, MSG_SNAP_STATUS,
    MSG_STORAGE_APPEND_RESP, MSG_STORAGE_APPLY_RESP, MSG_TIMEOUT_NOW, MSG_TRANSFER_LEADER, MSG_UNREACHABLE, MSG_VOTE,
    MSG_VOTE_RESP, new_message,
)
from kcore_native.raft.progress cimport PROBE, REPLICATE, SNAPSHOT, Progress
from kcore_native.raft.quorum cimport VOTE_LOST, VOTE_WON

from kcore_native.raft.errors import InvariantViolated, ProposalDropped

cdef enum:
    CAMPAIGN_PRE_ELECTION
    CAMPAIGN_ELECTION
    CAMPAIGN_TRANSFER

cdef bytes TRANSFER_CONTEXT = b"CampaignTransfer"  # of a MSG_VOTE that a leader has asked for


cdef int check_message(Message m) except -1:
    # A message from outside has the form that its type demands; ValueError says what is wrong with it.
    cdef Entry entry
    cdef uint64_t index, term
    if m.type == MSG_PROP or m.type == MSG_READ_INDEX:
        if m.entry_list is None:
            raise ValueError(f"a message of type {m.type} has no entry")
        if m.type == MSG_READ_INDEX and len(m.entry_list) != 1:
            raise ValueError("a read index request has more than one entry")
    elif m.type == MSG_TRANSFER_LEADER or m.type == MSG_FORGET_LEADER or m.type == MSG_HUP:
        pass
    elif m.term == 0 and (m.type < MSG_UNREACHABLE or m.type > MSG_CHECK_QUORUM) and m.from_ < <uint64_t>-2:
        raise ValueError(f"a message of type {m.type} has no term")
    if m.type == MSG_APP and m.entry_list is not None:
        index, term = m.index, m.log_term
        for entry in m.entry_list:
            index += 1
            if entry.index != index:
                raise ValueError(f"entry {entry.index} of an append stands where {index} belongs")
            if entry.term < term:
                raise ValueError(f"entry {entry.index} of an append is of an older term than the one before")
            term = entry.term
        if term > m.term:
            raise ValueError(f"leader term {m.term}: entry {index} has a newer term")
    elif m.type == MSG_SNAP and (m.snapshot is None or m.snapshot.metadata.index == 0):
        raise ValueError("a snapshot message has no snapshot")
    return 0


# Ticks


cdef int tick(Raft r) except -1:
    r.election_elapsed += 1
    if r.role != LEADER:
        if r.promotable() and r.election_elapsed >= r.randomized_election_timeout:
            r.election_elapsed = 0
            step(r, local(r, MSG_HUP))
        return 0
    r.heartbeat_elapsed += 1
    if r.election_elapsed >= r.election_timeout:
        r.election_elapsed = 0
        if r.check_quorum:
            step(r, local(r, MSG_CHECK_QUORUM))
        # a transfer that takes longer than an election has failed
        if r.role == LEADER:
            r.lead_transferee = 0
    if r.role == LEADER and r.heartbeat_elapsed >= r.heartbeat_timeout:
        r.heartbeat_elapsed = 0
        step(r, local(r, MSG_BEAT))
    return 0


cdef inline Message local(Raft r, int type):
    cdef Message message = new_message(type, 0)
    message.from_ = r.id
    return message


# Elections


cdef int hup(Raft r, int campaign_type) except -1:
    # a change of the configuration that is committed but not applied may say that another quorum elects
    if r.role == LEADER or not r.promotable():
        return 0
    if r.log.applied < r.log.committed and r.has_unapplied_conf_changes():
        return 0
    return campaign(r, campaign_type)


cdef int campaign(Raft r, int campaign_type) except -1:
    cdef Progress peer
    cdef Message message
    cdef int request, response
    cdef uint64_t term, last_term, last
    if campaign_type == CAMPAIGN_PRE_ELECTION:
        r.become_pre_candidate()
        request, response = MSG_PRE_VOTE, MSG_PRE_VOTE_RESP
        term = r.term + 1
    else:
        r.become_candidate()
        request, response = MSG_VOTE, MSG_VOTE_RESP
        term = r.term
    last, last_term = r.log.last_index(), r.log.last_term()
    for peer in r.tracker.progress:
        if not (peer.is_incoming or peer.is_outgoing):
            continue
        if peer.id == r.id:
            message = new_message(response, peer.id)  # our own vote counts once it is on the disk
            message.term = term
        else:
            message = new_message(request, peer.id)
            message.term = term
            message.index = last
            message.log_term = last_term
            if campaign_type == CAMPAIGN_TRANSFER:
                message.context = TRANSFER_CONTEXT
        r.send(message)
    return 0


cdef int vote(Raft r, Message m) except -1:
    cdef Message message
    cdef bint granted = (
        r.vote == m.from_  # once more
        or (r.vote == 0 and r.lead == 0)
        or (m.type == MSG_PRE_VOTE and m.term > r.term)
    )
    # A learner votes as well: it may have been promoted by an entry that it has not got yet, and be needed.
    granted = granted and r.log.is_up_to_date(m.index, m.log_term)
    message = new_message(MSG_VOTE_RESP if m.type == MSG_VOTE else MSG_PRE_VOTE_RESP, m.from_)
    # the term asked about: for a pre-vote it is not ours, and an answer of a lower term would be ignored
    message.term = m.term if granted else r.term
    message.reject = not granted
    r.send(message)
    if granted and m.type == MSG_VOTE:
        r.election_elapsed = 0
        r.vote = m.from_
    return 0


# Messages


cdef int step(Raft r, Message m) except -1:
    if m.term > r.term:
        if not step_later_term(r, m):
            return 0
    elif m.term < r.term and m.term != 0:  # 0: a local message
        return step_earlier_term(r, m)

    if m.type == MSG_HUP:
        hup(r, CAMPAIGN_PRE_ELECTION if r.pre_vote else CAMPAIGN_ELECTION)
    elif m.type == MSG_STORAGE_APPEND_RESP:
        if m.index != 0:
            r.log.unstable.stable_to(m.index, m.log_term)
        if m.snapshot is not None:
            applied_snapshot(r, m.snapshot)
    elif m.type == MSG_STORAGE_APPLY_RESP:
        if m.entry_list is not None:
            applied_to(r, (<Entry>m.entry_list[len(m.entry_list) - 1]).index, entries_size(m.entry_list))
            reduce_uncommitted(r, payloads_size(m.entry_list))
    elif m.type == MSG_VOTE or m.type == MSG_PRE_VOTE:
        vote(r, m)
    elif r.role == LEADER:
        step_leader(r, m)
    elif r.role == FOLLOWER:
        step_follower(r, m)
    else:
        step_candidate(r, m)
    return 0


cdef int step_later_term(Raft r, Message m) except -1:
    # False where the message is to be ignored
    if m.type == MSG_VOTE or m.type == MSG_PRE_VOTE:
        # Who has heard of a leader lately does not help to depose it, unless the leader itself wants so
        # (dissertation, 4.2.3).
        if (
            r.check_quorum and r.lead != 0 and r.election_elapsed < r.election_timeout
            and m.context != TRANSFER_CONTEXT
        ):
            return False
    if m.type == MSG_PRE_VOTE:
        return True  # never changes our term
    if m.type == MSG_PRE_VOTE_RESP and not m.reject:
        return True  # of the term we asked about; a rejection is of the voter's own term
    if m.type == MSG_APP or m.type == MSG_HEARTBEAT or m.type == MSG_SNAP:
        r.become_follower(m.term, m.from_)
    else:
        r.become_follower(m.term, 0)
    return True


cdef int step_earlier_term(Raft r, Message m) except -1:
    cdef Message message
    if (r.check_quorum or r.pre_vote) and (m.type == MSG_HEARTBEAT or m.type == MSG_APP):
        # With these options our votes do not raise the term of a leader that others still follow, so that a node
        # whose term ran ahead while it was cut off could never join it again. This answer tells the leader the term.
        r.send(new_message(MSG_APP_RESP, m.from_))
    elif m.type == MSG_PRE_VOTE:
        # silence could deadlock a group of which some members had no pre-vote before
        message = new_message(MSG_PRE_VOTE_RESP, m.from_)
        message.term = r.term
        message.reject = True
        r.send(message)
    elif m.type == MSG_STORAGE_APPEND_RESP and m.snapshot is not None:
        # The entries may have been replaced since; what a snapshot holds is committed, in whatever term.
        applied_snapshot(r, m.snapshot)
    return 0


cdef int applied_snapshot(Raft r, Snapshot snapshot) except -1:
    r.log.unstable.stable_snapshot_to(snapshot.metadata.index)
    return applied_to(r, snapshot.metadata.index, 0)


cdef int applied_to(Raft r, uint64_t index, uint64_t size) except -1:
    cdef uint64_t applied = max(index, r.log.applied)
    r.log.applied_to(applied, size)
    if r.role == LEADER and applied >= r.pending_conf_index and r.tracker.configuration.auto_leave:
        # Leave the joint configuration. An empty payload is never refused for its size; if a transfer of the
        # leadership refuses it, the next entry applied tries again, here or at the new leader.
        try:
            propose(r, [new_entry(0, 0, ENTRY_CONF_CHANGE_V2, b"")])
        except ProposalDropped:
            pass
    return 0


cdef int reduce_uncommitted(Raft r, uint64_t size) except -1:
    r.uncommitted_size = r.uncommitted_size - size if r.uncommitted_size > size else 0
    return 0


# Leader


cdef int propose(Raft r, list entries) except -1:
    # The leader appends the entries, which are this call's alone, and sends them on; ProposalDropped where it cannot.
    cdef Py_ssize_t i
    cdef Entry entry
    cdef list changes = None
    if r.tracker.find(r.id) is None or r.lead_transferee != 0:
        raise ProposalDropped
    for i in range(len(entries)):
        entry = <Entry>entries[i]
        if entry.type != ENTRY_NORMAL:
            if changes is None:
                changes = []
            changes.append((
                i,
                ConfChange.decode(entry.data).as_v2() if entry.type == ENTRY_CONF_CHANGE
                else ConfChangeV2.decode(entry.data),
            ))
    if changes is not None:
        for i, change in changes:
            if conf_change_fits(r, change):
                r.pending_conf_index = r.log.last_index() + <uint64_t>i + 1
            else:
                entries[i] = new_entry(0, 0, ENTRY_NORMAL, b"")
    if not r.append_entries(entries):
        raise ProposalDropped
    return r.broadcast_append()


cdef int conf_change_fits(Raft r, ConfChangeV2 change) except -1:
    # one change at a time, and a joint configuration is left before anything else
    if r.disable_conf_change_validation:
        return True
    if r.pending_conf_index > r.log.applied:
        return False
    return r.tracker.is_joint() == (len(change.changes) == 0)


cdef int step_leader(Raft r, Message m) except -1:
    cdef Progress peer
    cdef Entry entry
    if m.type == MSG_BEAT:
        return r.broadcast_heartbeat()
    if m.type == MSG_CHECK_QUORUM:
        if not r.tracker.quorum_active():
            r.become_follower(r.term, 0)
        for peer in r.tracker.progress:
            if peer.id != r.id:
                peer.recent_active = False
        return 0
    if m.type == MSG_PROP:
        if m.entry_list is None:
            raise InvariantViolated(f"{r.id:x} stepped empty MsgProp")
        return propose(r, [new_entry(0, 0, entry.type, entry.data) for entry in m.entry_list])
    if m.type == MSG_READ_INDEX:
        if r.tracker.is_singleton():
            return r.answer_read(m, r.log.committed)
        if not r.committed_in_current_term():
            r.pending_reads.append(m)  # what is committed is not known before
            return 0
        return r.confirm_read(m)
    peer = r.tracker.find(m.from_)
    if peer is None:
        return 0
    if m.type == MSG_APP_RESP:
        peer.recent_active = True
        if m.reject:
            return append_rejected(r, peer, m)
        return append_accepted(r, peer, m)
    if m.type == MSG_HEARTBEAT_RESP:
        return heartbeat_answered(r, peer, m)
    if m.type == MSG_SNAP_STATUS:
        if peer.state == SNAPSHOT:
            if m.reject:
                peer.pending_snapshot = 0  # else probing began behind a snapshot that was not applied
            peer.become_probe()
            # After success wait for the acknowledgement, after failure for the next heartbeat.
            peer.flow_paused = True
        return 0
    if m.type == MSG_UNREACHABLE:
        if peer.state == REPLICATE:
            peer.become_probe()  # an append was probably lost
        return 0
    if m.type == MSG_TRANSFER_LEADER:
        return transfer(r, peer)
    return 0


cdef int append_rejected(Raft r, Progress peer, Message m) except -1:
    # The peer has no match at m.index; its log may match at reject_hint, where it has the term log_term. All of our
    # entries with a later term than that, up to the hint, cannot match either: terms only grow along a log. So at most
    # one probe is needed for each term in our log. The peer did the same from its side when it chose the hint.
    cdef uint64_t hint = m.reject_hint, term = 0
    if m.log_term > 0:
        hint = r.log.find_conflict_by_term(m.reject_hint, m.log_term, &term)
    if peer.maybe_decrease(m.index, hint):
        if peer.state == REPLICATE:
            peer.become_probe()
        r.send_append(peer, True)
    return 0


cdef int append_accepted(Raft r, Progress peer, Message m) except -1:
    # An acknowledgement counts if it is new, or if it shows that a probed peer is where we thought it was. Not so in
    # SNAPSHOT: there an index that we knew of before says nothing about the snapshot.
    if not peer.maybe_update(m.index) and not (peer.match == m.index and peer.state == PROBE):
        return 0
    if peer.state == PROBE:
        peer.become_replicate()
    elif peer.state == SNAPSHOT:
        # Whatever snapshot it was that the peer applied: it is enough that our log goes on from there.
        if peer.match + 1 >= r.log.first_index():
            peer.become_probe()
            peer.become_replicate()
    else:
        peer.inflights.free_to(m.index)
    if r.maybe_commit():
        r.release_pending_reads()
        r.broadcast_append()
    elif peer.id != r.id and peer.can_bump_commit(r.log.committed):
        r.send_append(peer, True)  # sooner than the next heartbeat
    if peer.id != r.id:
        # the window may have room for several messages now
        while r.send_append(peer, False):
            pass
    if m.from_ == r.lead_transferee and peer.match == r.log.last_index():
        r.send(new_message(MSG_TIMEOUT_NOW, m.from_))
    return 0


cdef int heartbeat_answered(Raft r, Progress peer, Message m) except -1:
    cdef Message request
    cdef uint64_t index
    peer.recent_active = True
    peer.flow_paused = False
    # A peer with a full window gets an empty append, whose rejection shows that the window was lost; one that is
    # probed though it has all gets one too, to go back to REPLICATE.
    if peer.match < r.log.last_index() or peer.state == PROBE:
        r.send_append(peer, True)
    if r.lease_based_reads or not m.context:
        return 0
    r.read_only.acknowledge(m.from_, m.context)
    for index, request in r.read_only.advance(r.tracker):
        r.answer_read(request, index)
    return 0


cdef int transfer(Raft r, Progress peer) except -1:
    # the peer shall lead, as soon as it has our whole log (dissertation, 3.10)
    if peer.is_learner or r.lead_transferee == peer.id:
        return 0
    r.lead_transferee = 0
    if peer.id == r.id:
        return 0
    r.election_elapsed = 0  # it has one election timeout for it
    r.lead_transferee = peer.id
    if peer.match == r.log.last_index():
        return r.send(new_message(MSG_TIMEOUT_NOW, peer.id))
    r.send_append(peer, True)
    return 0


# Candidate, pre-candidate, follower


cdef int step_candidate(Raft r, Message m) except -1:
    cdef int result
    if m.type == MSG_PROP:
        raise ProposalDropped
    if m.type == MSG_APP or m.type == MSG_HEARTBEAT or m.type == MSG_SNAP:
        r.become_follower(m.term, m.from_)  # this term has a leader
        return step_from_leader(r, m)
    # an answer to our pre-vote may still come while we are a candidate
    if m.type != (MSG_PRE_VOTE_RESP if r.role == PRE_CANDIDATE else MSG_VOTE_RESP):
        return 0
    r.tracker.votes.setdefault(m.from_, not m.reject)
    result = r.tracker.vote_result()
    if result == VOTE_WON:
        if r.role == PRE_CANDIDATE:
            return campaign(r, CAMPAIGN_ELECTION)
        r.become_leader()
        return r.broadcast_append()
    if result == VOTE_LOST:
        return r.become_follower(r.term, 0)
    return 0


cdef int step_follower(Raft r, Message m) except -1:
    if m.type == MSG_PROP:
        if r.lead == 0 or r.disable_proposal_forwarding:
            raise ProposalDropped
        return forward(r, m)
    if m.type == MSG_APP or m.type == MSG_HEARTBEAT or m.type == MSG_SNAP:
        r.election_elapsed = 0
        r.lead = m.from_
        return step_from_leader(r, m)
    if m.type == MSG_TRANSFER_LEADER or m.type == MSG_READ_INDEX:
        return forward(r, m) if r.lead != 0 else 0
    if m.type == MSG_FORGET_LEADER:
        # a lease counts on followers not to vote while they know a leader
        if not r.lease_based_reads:
            r.lead = 0
        return 0
    if m.type == MSG_TIMEOUT_NOW:
        return hup(r, CAMPAIGN_TRANSFER)  # the leader is there and wants it: no need to ask before
    if m.type == MSG_READ_INDEX_RESP:
        if m.entry_list is not None and len(m.entry_list) == 1:
            r.read_states.append((m.index, (<Entry>m.entry_list[0]).data))
    return 0


cdef int forward(Raft r, Message m) except -1:
    cdef Message message = new_message(m.type, r.lead)
    message.from_ = m.from_
    message.entry_list = m.entry_list
    message.context = m.context
    return r.send(message)


cdef int step_from_leader(Raft r, Message m) except -1:
    cdef Message message
    if m.type == MSG_APP:
        return append(r, m)
    if m.type == MSG_HEARTBEAT:
        r.log.commit_to(m.commit)
        message = new_message(MSG_HEARTBEAT_RESP, m.from_)
        message.context = m.context
        return r.send(message)
    message = new_message(MSG_APP_RESP, m.from_)
    if m.snapshot is not None and r.restore(m.snapshot):
        message.index = r.log.last_index()
    else:
        message.index = r.log.committed
    return r.send(message)


cdef int append(Raft r, Message m) except -1:
    cdef Message message = new_message(MSG_APP_RESP, m.from_)
    cdef uint64_t term = 0
    if m.index < r.log.committed:
        message.index = r.log.committed  # old; all up to there is as the leader has it
    elif r.log.maybe_append(m.index, m.log_term, m.entry_list, m.commit):
        message.index = m.index + <uint64_t>(0 if m.entry_list is None else len(m.entry_list))
    else:
        # hint at the last place where the logs may match: not above the append, nor of a later term than it
        message.index = m.index
        message.reject = True
        message.reject_hint = r.log.find_conflict_by_term(min(m.index, r.log.last_index()), m.log_term, &term)
        message.log_term = term
    return r.send(message)
