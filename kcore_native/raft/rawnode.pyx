# cython: language_level=3
"""A Raft node as its owner sees it: calls go in, a Ready comes out.

Source: etcd-io/raft, rawnode.go, node.go, status.go, and README.md on the order in which a Ready is handled:

    1. write snapshot, entries (which may follow a snapshot of the same Ready) and hard state to the disk, and wait for
       it if ``must_sync`` or there is a snapshot;
    2. send the messages; ``report_unreachable`` and ``report_snapshot`` tell what became of them;
    3. apply the snapshot and the committed entries, ``apply_conf_change`` for each configuration change among them;
    4. ``advance()``.

With async_storage_writes there is no ``advance()``: messages to LOCAL_APPEND_THREAD and LOCAL_APPLY_THREAD say what to
write and to apply. Those to one thread are done in their order; when one is done, its responses are delivered, to this
node (those of one thread in their order) or to others. All other messages may be sent at once.
"""

cimport cython

from kcore_native.raft.core cimport LEADER
from kcore_native.raft.entry cimport (
    CONF_CHANGE_ADD_NODE, ENTRY_CONF_CHANGE, ENTRY_CONF_CHANGE_V2, ENTRY_NORMAL, ConfChange, ConfChangeV2, Entry, entries_size, new_entry,
)
from kcore_native.raft.message cimport (
    MSG_FORGET_LEADER, MSG_HUP, MSG_PROP, MSG_READ_INDEX, MSG_SNAP_STATUS, MSG_STORAGE_APPEND,
    MSG_STORAGE_APPEND_RESP, MSG_STORAGE_APPLY, MSG_STORAGE_APPLY_RESP, MSG_TRANSFER_LEADER, MSG_UNREACHABLE,
    is_local, is_response, is_storage_thread, new_message,
)
from kcore_native.raft.progress cimport Progress
from kcore_native.raft.step cimport check_message, propose, step, tick

from kcore_native.raft.errors import InvariantViolated, StepLocalMessage, StepPeerNotFound

cdef uint64_t APPEND_THREAD = <uint64_t>-1
cdef uint64_t APPLY_THREAD = <uint64_t>-2


@cython.final
@cython.no_gc
cdef class Ready:
    """What the owner of a node has to do now; to be read, not changed."""

    def __repr__(self):
        names = ("soft_state", "hard_state", "read_states", "entries", "snapshot", "committed_entries", "messages")
        fields = [f"{name}={value!r}" for name in names if (value := getattr(self, name))]
        return f"Ready({', '.join(fields)}, must_sync={bool(self.must_sync)})"


@cython.final
cdef class Status:
    """How a node sees itself, and if it leads, the others."""

    cdef readonly uint64_t id
    cdef readonly HardState hard_state
    cdef readonly uint64_t leader
    cdef readonly int role
    cdef readonly uint64_t applied
    cdef readonly uint64_t lead_transferee
    cdef readonly object configuration
    cdef readonly dict progress

    @property
    def conf_state(self) -> ConfState:
        """The configuration in force."""
        return self.configuration.conf_state()


@cython.final
cdef class RawNode:
    """One node of a group. Not for several threads.

    Invariant: the ``told_`` fields are what the last Ready said; a Ready says again only what changed since.
    """

    def __init__(self, config):
        self.raft = Raft(config)
        self.async_storage_writes = config.async_storage_writes
        self.steps_on_advance = []
        self.told_lead = self.raft.lead
        self.told_role = self.raft.role
        self.told_term = self.raft.term
        self.told_vote = self.raft.vote
        self.told_commit = self.raft.log.committed

    @property
    def id(self) -> int:
        """This node."""
        return self.raft.id

    @property
    def term(self) -> int:
        """The term it is in."""
        return self.raft.term

    @property
    def leader(self) -> int:
        """The leader of the term as far as known, else 0."""
        return self.raft.lead

    @property
    def role(self) -> int:
        """FOLLOWER, PRE_CANDIDATE, CANDIDATE or LEADER."""
        return self.raft.role

    @property
    def committed(self) -> int:
        """Index up to which the log is committed as far as known."""
        return self.raft.log.committed

    @property
    def applied(self) -> int:
        """Index up to which ``advance()`` or the apply thread said that entries are applied."""
        return self.raft.log.applied

    @property
    def last_index(self) -> int:
        """Index of the last entry, on the disk or not."""
        return self.raft.log.last_index()

    @property
    def lead_transferee(self) -> int:
        """To whom this leader is handing over, else 0."""
        return self.raft.lead_transferee

    @property
    def is_learner(self) -> bool:
        """True where this node learns and does not vote."""
        return self.raft.is_learner

    @property
    def configuration(self):
        """The configuration in force."""
        return self.raft.tracker.configuration

    @property
    def conf_state(self):
        """The configuration in force, as a snapshot has it."""
        return self.raft.tracker.configuration.conf_state()

    @property
    def randomized_election_timeout(self) -> int:
        """Ticks without a leader until this node's next election."""
        return self.raft.randomized_election_timeout

    def set_randomized_election_timeout(self, int ticks) -> None:
        """The next election starts so many ticks after a sign of a leader; chance decides again at a change of role.

        For tests and simulations.
        """
        if ticks <= 0:
            raise ValueError("an election timeout is at least one tick")
        self.raft.randomized_election_timeout = ticks

    def bootstrap(self, peers) -> None:
        """The log of a new group begins with its members, (id, context) each, as committed changes of term 1.

        The storage must be empty. The first Ready hands the changes out, to be applied as any other. All first
        members do the same; one that joins later starts empty and gets these entries like the rest of the log.
        """
        cdef Raft raft = self.raft
        cdef list entries = []
        cdef uint64_t node_id
        cdef bytes context
        if not peers:
            raise ValueError("must provide at least one peer to Bootstrap")
        if raft.log.last_index() != 0:
            raise ValueError("can't bootstrap a nonempty Storage")
        for node_id, context in peers:
            change = ConfChange(CONF_CHANGE_ADD_NODE, node_id, context)
            entries.append(new_entry(1, len(entries) + 1, ENTRY_CONF_CHANGE, change.encode()))
        self.told_term = self.told_vote = self.told_commit = 0  # nothing of it has been saved
        raft.become_follower(1, 0)
        raft.log.append(entries)
        raft.log.committed = <uint64_t>len(entries)
        # in force at once, so that an election may start; the application applies them once more, to no effect
        for node_id, context in peers:
            raft.apply_conf_change(ConfChange(CONF_CHANGE_ADD_NODE, node_id).as_v2())

    def tick(self) -> None:
        """One tick has passed."""
        tick(self.raft)

    def campaign(self) -> None:
        """An election is started, unless this node leads or cannot."""
        self.step_local(MSG_HUP, 0, False)

    def propose(self, bytes data not None) -> None:
        """The data is proposed as an entry, here or at the leader; ProposalDropped where neither can be."""
        cdef Message message
        cdef list entries = [new_entry(0, 0, ENTRY_NORMAL, data)]
        if self.raft.role == LEADER:
            propose(self.raft, entries)
            return
        message = new_message(MSG_PROP, 0)
        message.from_ = self.raft.id
        message.entry_list = entries
        step(self.raft, message)

    def propose_conf_change(self, change) -> None:
        """The change (None: leave the joint configuration) is proposed; ProposalDropped as with ``propose``.

        A leader that has one under way, or that it does not fit, proposes an empty entry instead.
        """
        cdef Message message = new_message(MSG_PROP, 0)
        cdef Entry entry
        if change is None:
            entry = new_entry(0, 0, ENTRY_CONF_CHANGE_V2, b"")
        elif isinstance(change, ConfChange):
            entry = new_entry(0, 0, ENTRY_CONF_CHANGE, change.encode())
        else:
            entry = new_entry(0, 0, ENTRY_CONF_CHANGE_V2, (<ConfChangeV2?>change).encode())
        message.entry_list = [entry]
        step(self.raft, message)

    def apply_conf_change(self, change, uint64_t index=0):
        """The change is in force; the configuration is returned. ConfChangeError, and nothing changed, if it cannot be.

        To be called for each committed configuration change, in order; one that the application turns down may be
        left out. A snapshot brings its own configuration as soon as its message is stepped; who may still have older
        entries to apply then gives the entry's ``index``, and a change that the snapshot holds already does nothing.
        """
        if index != 0 and index <= self.raft.restored_index:
            return self.raft.tracker.configuration.conf_state()
        return self.raft.apply_conf_change(change.as_v2())

    def step(self, Message message not None) -> None:
        """The message of a peer, or the response of a storage thread, has been taken in.

        StepLocalMessage, StepPeerNotFound, ProposalDropped; ValueError where the message has not the form of its type.
        """
        if not is_storage_thread(message.from_):
            if is_local(message.type):
                raise StepLocalMessage
            if is_response(message.type) and self.raft.tracker.find(message.from_) is None:
                raise StepPeerNotFound
        check_message(message)
        step(self.raft, message)

    cdef int step_local(self, int type, uint64_t from_, bint reject) except -1:
        cdef Message message = new_message(type, 0)
        message.from_ = from_
        message.reject = reject
        return step(self.raft, message)

    def read_index(self, bytes context not None) -> None:
        """A read state with the context will come in a Ready, once this node may read; never, if there is no leader.

        Reads are linearizable as soon as entries up to its index are applied.
        """
        cdef Message message = new_message(MSG_READ_INDEX, 0)
        message.entry_list = [new_entry(0, 0, ENTRY_NORMAL, context)]
        step(self.raft, message)

    def transfer_leader(self, uint64_t transferee) -> None:
        """The leader is asked to hand over to the transferee."""
        self.step_local(MSG_TRANSFER_LEADER, transferee, False)

    def report_unreachable(self, uint64_t node_id) -> None:
        """A message to the node could not be sent."""
        self.step_local(MSG_UNREACHABLE, node_id, False)

    def report_snapshot(self, uint64_t node_id, bint failed) -> None:
        """The snapshot to the node has been sent, or has failed; to be called for every MSG_SNAP."""
        self.step_local(MSG_SNAP_STATUS, node_id, failed)

    def forget_leader(self) -> None:
        """A follower has no leader any more, and may vote for another without waiting for a timeout."""
        self.step_local(MSG_FORGET_LEADER, 0, False)

    def has_ready(self) -> bool:
        """True where ``ready()`` has something to do."""
        cdef Raft raft = self.raft
        return (
            len(raft.messages) > 0
            or len(raft.messages_after_append) > 0
            or raft.log.unstable.has_next_entries()
            or raft.log.has_next_committed(not self.async_storage_writes)
            or raft.lead != self.told_lead
            or raft.role != self.told_role
            or self.hard_state_changed()
            or raft.log.unstable.next_snapshot() is not None
            or len(raft.read_states) > 0
        )

    cdef bint hard_state_changed(self) noexcept:
        cdef Raft raft = self.raft
        return raft.term != self.told_term or raft.vote != self.told_vote or raft.log.committed != self.told_commit

    def ready(self) -> Ready:
        """What is to be done now. It must be done, and then ``advance()`` called before the next."""
        cdef Raft raft = self.raft
        cdef Message message
        cdef Ready ready = Ready.__new__(Ready)
        if self.steps_on_advance:
            raise InvariantViolated("two accepted Ready structs without call to Advance")
        ready.entries = raft.log.unstable.next_entries()
        ready.committed_entries = raft.log.next_committed(not self.async_storage_writes)
        ready.messages = raft.messages
        ready.read_states = raft.read_states
        ready.snapshot = raft.log.unstable.next_snapshot()
        if raft.lead != self.told_lead or raft.role != self.told_role:
            ready.soft_state = (raft.lead, raft.role)
        if self.hard_state_changed():
            ready.hard_state = HardState(raft.term, raft.vote, raft.log.committed)
        # the commit index alone may be lost: it is learnt again
        ready.must_sync = (
            len(ready.entries) > 0 or raft.vote != self.told_vote or raft.term != self.told_term
        )
        if self.async_storage_writes:
            self.add_storage_messages(ready)
        else:
            for message in raft.messages_after_append:
                if message.to != raft.id:
                    ready.messages.append(message)
        self.accept(ready)
        return ready

    cdef int add_storage_messages(self, Ready ready) except -1:
        cdef Raft raft = self.raft
        cdef Message message, response
        if ready.entries or ready.hard_state is not None or ready.snapshot is not None or raft.messages_after_append:
            message = new_message(MSG_STORAGE_APPEND, APPEND_THREAD)
            message.from_ = raft.id
            message.entry_list = ready.entries or None
            if ready.hard_state is not None:
                message.term = ready.hard_state.term
                message.vote = ready.hard_state.vote
                message.commit = ready.hard_state.commit
            message.snapshot = ready.snapshot
            # our own acknowledgement before the one that entries are stable: then their terms are still at hand
            message.response_list = raft.messages_after_append
            response = self.append_response(ready)
            if response is not None:
                message.response_list.append(response)
            if not message.response_list:
                message.response_list = None
            ready.messages.append(message)
        if ready.committed_entries:
            message = new_message(MSG_STORAGE_APPLY, APPLY_THREAD)
            message.from_ = raft.id
            message.entry_list = ready.committed_entries
            message.response_list = [self.apply_response(ready)]
            ready.messages.append(message)
        return 0

    cdef Message append_response(self, Ready ready):
        # What tells this node that its entries and its snapshot are on the disk; None where there is nothing to tell.
        #
        # It carries our term, and counts for entries only in it. Otherwise entries of two terms at one index, A, then
        # B, then A again, of which only the first A is written yet, would be taken as stable while B and A are still
        # under way, and a read of the disk in between would find B. So that no entry stays unstable for ever when a
        # response was ignored, every response vouches for the last entry, also one that an earlier Ready gave out.
        cdef Raft raft = self.raft
        cdef Message message
        if not raft.log.unstable.entries and ready.snapshot is None:
            return None
        message = new_message(MSG_STORAGE_APPEND_RESP, raft.id)
        message.from_ = APPEND_THREAD
        message.term = raft.term
        if raft.log.unstable.entries:
            message.index = raft.log.last_index()
            message.log_term = raft.log.last_term()
        message.snapshot = ready.snapshot
        return message

    cdef Message apply_response(self, Ready ready):
        cdef Message message = new_message(MSG_STORAGE_APPLY_RESP, self.raft.id)
        message.from_ = APPLY_THREAD
        message.entry_list = ready.committed_entries
        return message

    cdef int accept(self, Ready ready) except -1:
        # the Ready is the owner's; nothing in it is told again
        cdef Raft raft = self.raft
        cdef Message message
        self.told_lead = raft.lead
        self.told_role = raft.role
        self.told_term = raft.term
        self.told_vote = raft.vote
        self.told_commit = raft.log.committed
        raft.read_states = []
        if not self.async_storage_writes:
            for message in raft.messages_after_append:
                if message.to == raft.id:
                    self.steps_on_advance.append(message)
            message = self.append_response(ready)
            if message is not None:
                self.steps_on_advance.append(message)
            if ready.committed_entries:
                self.steps_on_advance.append(self.apply_response(ready))
        raft.messages = []
        raft.messages_after_append = []
        raft.log.unstable.accept_in_progress()
        if ready.committed_entries:
            raft.log.accept_applying(
                (<Entry>ready.committed_entries[len(ready.committed_entries) - 1]).index,
                entries_size(ready.committed_entries),
                not self.async_storage_writes,
            )
        return 0

    def advance(self) -> None:
        """The last Ready is done: written, sent, applied."""
        cdef list steps = self.steps_on_advance
        cdef Message message
        if self.async_storage_writes:
            raise InvariantViolated("Advance must not be called when using AsyncStorageWrites")
        self.steps_on_advance = []
        for message in steps:
            step(self.raft, message)

    def status(self) -> Status:
        """A copy of what this node knows; the progress of its peers if it leads."""
        cdef Raft raft = self.raft
        cdef Status status = Status.__new__(Status)
        cdef Progress peer
        status.id = raft.id
        status.hard_state = HardState(raft.term, raft.vote, raft.log.committed)
        status.leader = raft.lead
        status.role = raft.role
        status.applied = raft.log.applied
        status.lead_transferee = raft.lead_transferee
        status.configuration = raft.tracker.configuration
        status.progress = {}
        if raft.role == LEADER:
            status.progress = {peer.id: peer.copy(apart=True) for peer in raft.tracker.progress}
        return status
