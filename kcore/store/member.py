"""One member of the cluster, sans-IO: Raft, the replicated machine, and the requests that wait.

What goes in: ``tick``, ``receive``, ``propose``, ``read``, ``propose_member_change``, ``transfer_leader``,
``snapshot_received``. What comes out: ``work()`` says what to write to disk and which packets to send, before and
after; when that is done, ``done(work)`` applies what is committed, answers tickets, and says what else there is to do.
``kcore.store.replica`` drives it with a disk and a network, ``tests/simulation`` with virtual ones. No clock, chance,
file, socket or thread in here: the same inputs give the same outputs.

The turn of a driver::

    while (work := member.work()) is not None:
        send(work.messages)                    # may leave before the disk has anything (Raft thesis 10.2.1)
        write(work.snapshot, work.hard_state, work.entries); if work.must_sync: sync
        outcome = member.done(work, now_ms)    # applies, answers
        send(outcome.messages)                 # these promise what is now on disk

Between ``work`` and ``done`` all inputs are welcome; they take effect in the next turn, so that everything that came
while the disk was busy shares the next write. ``apply_early`` may be called in between: it applies what was on disk
before.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any, Final

from kcore.store import errors, membership
from kcore.store.calls import Call, Packet, Reply
from kcore.store.changes import Changes, decoded
from kcore.store.contact import Contact
from kcore.store.duties import Duties
from kcore.store.errors import StoreError
from kcore.store.face import MemberInfo
from kcore.store.machine import Machine
from kcore.store.membership import Change
from kcore.store.planted import PLANTED, forge_vote, votes_asked_of_learners
from kcore.store.reads import Reads
from kcore.store.retention import Retention
from kcore.store.tickets import Proposals, Ticket, Waiting, first_request_id
from kcore.store.turn import MemberConfig, Outcome, Work, raft_config
from kcore_native.raft import (
    ENTRY_NORMAL,
    LEADER,
    MSG_APP_RESP,
    MSG_PRE_VOTE_RESP,
    MSG_SNAP,
    MSG_VOTE_RESP,
    ConfChangeSingle,
    ConfChangeV2,
    ConfState,
    Entry,
    HardState,
    MemoryStorage,
    Message,
    ProposalDropped,
    RawNode,
    Snapshot,
    SnapshotMetadata,
    StepPeerNotFound,
)

READS_MAX: Final = 200_000  # linearizable reads that wait; more is "too many requests"
OVERSLEPT_TICKS: Final = 3  # without a tick: the process stood still

# Answers that promise something about this member's disk: they leave after the sync.
_PROMISES: Final = frozenset({MSG_APP_RESP, MSG_VOTE_RESP, MSG_PRE_VOTE_RESP})


class Member:
    """See the module. ``planted``: bugs for the simulator to find (``kcore.store.planted``)."""

    def __init__(
        self,
        config: MemberConfig,
        machine: Machine,
        storage: MemoryStorage,
        now_ms: int,
        *,
        planted: frozenset[str] = frozenset(),  # see kcore.store.planted
    ) -> None:
        assert planted <= PLANTED, planted
        self.config: Final = config
        self.machine: Final = machine
        self.storage: Final = storage
        self.planted: Final = planted
        self.now_ms = now_ms
        self._ticked_ms = now_ms
        hard_state, conf_state = storage.initial_state()
        self.hard_state: HardState = hard_state
        self.conf_state: ConfState = conf_state
        self.node: Final = RawNode(raft_config(config, storage, machine.applied_index))
        first_id = first_request_id(config.id, config.unix_ms)
        self.proposals: Final = Proposals(first_id, config.request_timeout_ms)
        self.reads: Final = Reads(config.request_timeout_ms, first_id)
        self.duties: Final = Duties(self, now_ms)
        self.leader = 0  # the leader this member follows; 0: none known
        self.is_leader = False
        self.leads_term = False  # leader, and an entry of its own term is applied here
        self.fresh = False  # a linearizable read may be answered from this member's state at once
        self.removed = False
        self.contact: Final = Contact(config.id, config.election_ms, now_ms)
        self.leader_changes = 0
        self.proposals_applied = 0
        self._packets: list[Packet] = []
        self._changes: Final = Changes(config.id, config.request_timeout_ms)
        self._calls: dict[int, tuple[int, Waiting]] = {}  # call id -> expires at, ticket
        self._transfers: list[tuple[int, int, Waiting]] = []  # target, expires at, ticket
        self._received: dict[tuple[int, int], Callable[[], Iterable[bytes]]] = {}  # (index, term) -> chunks
        self._campaign = False  # as soon as it is the only voter
        self._work: Work | None = None
        self._stable = storage.last_index()  # last index on disk
        self.retention: Final = Retention(storage, config.snapshot_count, config.catch_up_entries)
        self._snapshotting = False
        self._members_changed = False

    # -- inputs --------------------------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """One tick has passed: elections and heartbeats go on, what waited too long fails, the leader's duties."""
        late = self.overslept(now_ms)
        self.now_ms = max(self.now_ms, now_ms)
        self._ticked_ms = now_ms
        self.node.tick()
        self.proposals.expire(now_ms, self._timeout_error)
        self.reads.expire(now_ms, self._timeout_error)
        self._expire_others(now_ms)
        if (context := self.reads.again(now_ms)) is not None:
            self._ask_index(context)
        self.duties.tick(now_ms, late=late)

    def overslept(self, now_ms: int) -> bool:
        """True where ticks are overdue: the process stood still, and others may have elected a leader meanwhile."""
        return now_ms - self._ticked_ms > OVERSLEPT_TICKS * self.config.tick_ms

    def receive(self, packet: Packet, now_ms: int) -> None:
        """A packet has come. Those for others, of removed members, and snapshots without their state are dropped."""
        if packet.to != self.config.id or packet.from_ in self.machine.removed:
            return
        self.now_ms = max(self.now_ms, now_ms)
        self.contact.heard(packet.from_, now_ms)
        if isinstance(packet, Message):
            if packet.type != MSG_SNAP and not self._changes.intercept(packet, self.node, now_ms):
                if "learner_votes" in self.planted:
                    forge_vote(packet, self.config.id, self.conf_state, self.contact.heard_ms)
                self._step(packet)
        elif isinstance(packet, Call):
            self.duties.answer(packet)
        else:
            self._reply(packet)

    def request_id(self) -> int:
        """A new request id: goes into the frame and into ``propose``."""
        return self.proposals.next_id()

    def propose(
        self, request_id: int, frame: bytes, ticket: Waiting | None = None, *, own: bool = False
    ) -> Waiting:
        """The ticket has the request's result once it is applied here; raises StoreError where it is not taken.

        ``own``: this member's own request, which waits even for a disk that is full.
        """
        if self.proposals.refusal and not (own and not self.removed):
            raise errors.of(self.proposals.refusal)
        if ticket is None:
            ticket = Ticket()
        self.proposals.add(request_id, frame, ticket)
        return ticket

    def read(self, ticket: Waiting | None = None) -> Waiting:
        """The ticket is done when this member's state is as fresh as any answer given before this call.

        Where ``fresh`` is true nobody need call this.
        """
        if ticket is None:
            ticket = Ticket()
        if self.fresh or "no_read_index" in self.planted:
            ticket.set_result(self.machine.applied_index)
        elif self.removed:
            raise errors.of("Stopped")
        elif len(self.reads.waiting) >= READS_MAX:
            raise errors.of("RequestTooManyRequests")
        else:
            self.reads.waiting.append(ticket)
        return ticket

    def propose_member_change(
        self, changes: Sequence[Change], ticket: Waiting | None = None, *, checked: bool = False
    ) -> Waiting:
        """The ticket has the members (by id) once the change is applied here; several steps are one joint change.

        Raises etcd's error where the change is refused at once. ``checked``: the leader has been asked.
        """
        if not checked:
            for change in changes:
                if change.kind in (membership.ADD, membership.ADD_LEARNER, membership.UPDATE):
                    membership.check_urls(change.peer_urls)
                if self.config.strict_reconfig_check:
                    self.duties.check_change(change)
        refused = membership.apply_changes(self.machine.members, self.machine.removed, changes)
        if isinstance(refused, StoreError):
            raise refused
        request_id = self.request_id()
        ticket = ticket if ticket is not None else Ticket()
        self.proposals.wait(request_id, ticket)
        self._changes.add(request_id, membership.conf_change(request_id, changes), self.now_ms)
        return ticket

    def promote_member(self, member_id: int, ticket: Waiting | None = None) -> Waiting:
        """A learner in sync becomes a voter: the leader checks and proposes, whoever is asked (etcd)."""
        return self.duties.promote(member_id, ticket if ticket is not None else Ticket())

    def transfer_leader(self, target: int, ticket: Waiting | None = None) -> Waiting:
        """The ticket is done when ``target`` leads; raises NotLeader, BadLeaderTransferee."""
        ticket = ticket if ticket is not None else Ticket()
        info = self.machine.members.get(target)
        if not self.is_leader:
            raise errors.of("NotLeader")
        if info is None or info.is_learner:
            raise errors.of("BadLeaderTransferee")
        if target == self.config.id:
            ticket.set_result(None)
            return ticket
        self.node.transfer_leader(target)
        self._transfers.append((target, self.now_ms + self.config.request_timeout_ms, ticket))
        return ticket

    def successor(self) -> int:
        """The voter in touch that holds most of this leader's log; 0 where there is none, or this is no leader."""
        progress = self.node.status().progress if self.is_leader else {}
        able = [
            (each.match, id_)
            for id_, each in progress.items()
            if id_ in self.conf_state.voters
            and id_ != self.config.id
            and self.contact.active(id_, self.now_ms)
        ]
        return max(able)[1] if able else 0

    def call(self, to: int, kind: str, args: list[Any], ticket: Waiting) -> None:
        """Another member is asked; the ticket has its answer, or Timeout."""
        call_id = self.request_id()
        self._calls[call_id] = (self.now_ms + self.config.request_timeout_ms, ticket)
        self._packets.append(Call(to, self.config.id, call_id, kind, args))

    def campaign_alone(self) -> None:
        """Where this is the only voter, it leads without waiting for an election timeout (as etcd at its start)."""
        self._campaign = not self.leader

    def report_unreachable(self, member_id: int) -> None:
        """Packets to that member were lost: Raft probes it instead of streaming."""
        self.contact.lost(member_id)
        self.node.report_unreachable(member_id)

    def stop(self) -> None:
        """Every request that waits has "server stopped"."""
        self.removed = True
        self.proposals.refusal = "Stopped"
        self.fresh = False
        self.proposals.fail(lambda: errors.of("Stopped"))
        self.reads.fail(lambda: errors.of("Stopped"))
        waiting = [call[-1] for call in self._calls.values()] + [each[-1] for each in self._transfers]
        self._calls, self._transfers = {}, []
        for ticket in waiting:
            if not ticket.done():
                ticket.set_exception(errors.of("Stopped"))

    # -- snapshots -----------------------------------------------------------------------------------------------

    def snapshot_for(self, message: Message) -> tuple[Message, Any]:
        """The message of ``Work.snapshots_to_send`` made to fit this member's state as of now, and that state.

        The receiver gives both to ``snapshot_received``; the sender calls ``snapshot_sent``, and closes the reader.
        """
        metadata, reader = self._state_now()
        message.snapshot = Snapshot(b"", metadata)
        return message, reader

    def snapshot_sent(self, to: int, *, failed: bool) -> None:
        """The follower has the whole snapshot on its disk, or the stream broke."""
        self.node.report_snapshot(to, failed)

    def accepts_snapshot(self, metadata: SnapshotMetadata) -> bool:
        """True where that snapshot would bring this member forward: worth receiving."""
        return metadata.index > max(self.machine.applied_index, self.hard_state.commit)

    def snapshot_received(self, message: Message, chunks: Callable[[], Iterable[bytes]], now_ms: int) -> None:
        """The snapshot that ``message`` tells of is here, whole and on disk; ``chunks`` gives its state."""
        if message.to != self.config.id or message.from_ in self.machine.removed:
            return
        assert message.snapshot is not None
        metadata = message.snapshot.metadata
        self.contact.heard(message.from_, now_ms)
        self._received[metadata.index, metadata.term] = chunks
        self._step(message)

    def open_snapshot(self) -> tuple[SnapshotMetadata, Any]:
        """The state as of now, to be written to disk in pieces; ``snapshot_taken`` says how it went."""
        self._snapshotting = True
        self.retention.disk_bytes = 0
        return self._state_now()

    def snapshot_taken(self) -> None:
        """The snapshot of ``open_snapshot`` is on disk, or was given up; the next may be taken."""
        self._snapshotting = False

    def _state_now(self) -> tuple[SnapshotMetadata, Any]:
        metadata = SnapshotMetadata(self.conf_state, self.machine.applied_index, self.machine.applied_term)
        return metadata, self.machine.snapshot()

    # -- turns ---------------------------------------------------------------------------------------------------

    def work(self) -> Work | None:
        """What there is to write and to send now; None for nothing. ``done`` must follow before the next."""
        assert self._work is None, "done() first"
        if self.proposals.frames or self._changes.waiting or self.reads.waiting:
            self._flush()
        if self._campaign and self.conf_state.voters:
            self._campaign = False
            if tuple(self.conf_state.voters) == (self.config.id,):
                self.node.campaign()
        packets, self._packets = self._packets, []
        if not self.node.has_ready():
            if not packets:
                return None
            self._work = Work(packets)
            return self._work
        ready = self.node.ready()
        work = self._work = Work(packets, ready)
        if ready.soft_state is not None:
            self._note_leader(*ready.soft_state)
        for index, context in ready.read_states:
            self.reads.confirm(context, index)
        for message in ready.messages:
            if message.type == MSG_SNAP:
                work.snapshots_to_send.append(message)
            elif message.type not in _PROMISES:
                packets.append(message)
        if "learner_votes" in self.planted:
            packets.extend(votes_asked_of_learners(self.conf_state, ready.messages))
        if "no_fsync" in self.planted:
            work.must_sync = False
        if ready.read_states:
            self.reads.applied(self.machine.applied_index)
        if ready.entries:
            self._stable = min(self._stable, ready.entries[0].index - 1)
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        if any(entry.type != ENTRY_NORMAL for entry in work.to_apply):
            # who was removed may be gone soon, and could not vote for a member that forgot this commit index
            work.hard_state, work.must_sync = self.hard_state, True
        return work

    def apply_early(self, work: Work) -> None:
        """What is committed and was on disk before this work is applied: while the disk writes, tickets are answered."""
        if work.snapshot is None and work.to_apply and work.to_apply[0].index <= self._stable:
            stable = self._stable
            ready = takewhile(
                lambda entry: entry.index <= stable and entry.type == ENTRY_NORMAL, work.to_apply
            )
            count = sum(1 for _ in ready)
            early, work.to_apply = work.to_apply[:count], work.to_apply[count:]
            self._apply(early)

    def done(self, work: Work, now_ms: int) -> Outcome:
        """The work is written (and synced, where it must be): what is committed is applied, tickets are answered."""
        assert work is self._work
        self._work = None
        self.now_ms = max(self.now_ms, now_ms)
        outcome = Outcome()
        ready = work.ready
        if ready is not None:
            if ready.snapshot:
                self._restore(ready.snapshot)
            if ready.hard_state is not None:
                self.storage.set_hard_state(ready.hard_state)
            if ready.entries:
                self.storage.append(ready.entries)
                self._stable = ready.entries[-1].index
                self.retention.appended(ready.entries)
            self._apply(work.to_apply)
            self.node.advance()
            outcome.messages.extend(m for m in ready.messages if m.type in _PROMISES)
            self.retention.cut(self.machine.applied_index, self.conf_state)
        outcome.members_changed, self._members_changed = self._members_changed, False
        outcome.removed = self.removed
        if not self._snapshotting and self.retention.disk_bytes >= max(
            self.config.snapshot_log_bytes, self.machine.size_bytes
        ):
            outcome.take_snapshot = True
        return outcome

    # -- what they are made of -----------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Queued frames become entries, as far as Raft takes them; waiting reads begin a round."""
        if self.leader:
            self._flush_proposals()
            self._changes.propose(self.node, self.successor)
        if (context := self.reads.begin(self.now_ms)) is not None:
            self._ask_index(context)

    def _flush_proposals(self) -> None:
        proposals = self.proposals
        while proposals.frames:
            payload, count = proposals.payload()
            try:
                self.node.propose(payload)
            except ProposalDropped:
                return  # too much is uncommitted, or leadership is on the move: the next turn tries again
            proposals.taken(count, len(payload))

    def propose_as_leader(self, request_id: int, frame: bytes, ticket: Waiting) -> bool:
        """The frame is an entry of this leader's log, or never proposed at all (it is not handed to another leader)."""
        if not self.is_leader or self.proposals.refusal:
            return False
        try:
            self.node.propose(frame)
        except ProposalDropped:
            return False
        self.proposals.wait(request_id, ticket)
        return True

    def _ask_index(self, context: bytes) -> None:
        if self.leader:
            self.node.read_index(context)

    def _step(self, message: Message) -> None:
        # dropped: the proposer's ticket times out; not found: an answer of one who is no member says nothing
        with contextlib.suppress(ProposalDropped, StepPeerNotFound):
            self.node.step(message)

    def _note_leader(self, leader: int, role: int) -> None:
        was_leader, self.is_leader = self.is_leader, role == LEADER
        self.contact.leads(leader, self.now_ms, is_leader=self.is_leader)
        if leader != self.leader:
            self.leader_changes += 1
            self.leader = leader
            if leader:
                self.reads.leader_changed()
                if (context := self.reads.again(self.now_ms, at_once=True)) is not None:
                    self._ask_index(context)
        if was_leader and not self.is_leader:
            self.leads_term = False
            self.duties.demote()
        self._settle_transfers()
        self._note_freshness()

    def _note_freshness(self) -> None:
        conf = self.conf_state
        alone = tuple(conf.voters) == (self.config.id,)
        alone = alone and not (conf.learners or conf.voters_outgoing or conf.learners_next)
        self.fresh = self.leads_term and alone and not self.removed

    def _apply(self, entries: list[Entry]) -> None:
        machine, answer = self.machine, self.proposals.answer
        for entry in entries:
            if entry.type == ENTRY_NORMAL:
                # nobody here waits on most followers: they need make no results
                outcomes = machine.apply(
                    entry.index, entry.term, entry.data, results=bool(self.proposals.pending)
                )
                if entry.data:
                    self.proposals_applied += len(outcomes)
                    answer(outcomes)
                elif self.is_leader and not self.leads_term and entry.term == self.hard_state.term:
                    self.leads_term = True
                    self.duties.promote_lessor(self.now_ms)
                    self._note_freshness()
            else:
                self._apply_change(entry)
        if entries:
            self.reads.applied(machine.applied_index)
            self.duties.after_apply()

    def _apply_change(self, entry: Entry) -> None:
        change = decoded(entry)
        request_id, result = self.machine.apply_conf_change(entry.index, entry.term, change.context)
        if isinstance(result, StoreError):
            self.conf_state = self.node.apply_conf_change(ConfChangeV2(0, [ConfChangeSingle(0, 0)]))
        else:
            self.conf_state = self.node.apply_conf_change(change)
            self._members_changed = True
            if self.config.id in self.machine.removed:
                self.removed = True
                self.proposals.refusal = "Stopped"
            for gone in self.machine.removed:
                self.contact.heard_ms.pop(gone, None)
        self._changes.applied(request_id)
        self._note_freshness()
        self.proposals.answer([(request_id, result if isinstance(result, StoreError) else self.members())])

    def _restore(self, snapshot: Snapshot) -> None:
        metadata = snapshot.metadata
        chunks = self._received.pop((metadata.index, metadata.term))
        newer = {place: then for place, then in self._received.items() if place[0] > metadata.index}
        self._received = newer  # one may have come, and Raft taken it, while this one was written
        self.machine.restore(chunks())
        assert self.machine.applied_index == metadata.index
        self.storage.apply_snapshot(snapshot)
        self.conf_state = metadata.conf_state
        self._stable = metadata.index
        self.retention.restored(metadata.index)
        self._members_changed = True
        if self.config.id in self.machine.removed:
            self.removed = True
            self.proposals.refusal = "Stopped"
        self._note_freshness()
        self.reads.applied(metadata.index)

    # -- waiting -------------------------------------------------------------------------------------------------

    def _timeout_error(self, asked_ms: int) -> StoreError:
        return self.contact.timeout(asked_ms, self.now_ms, self.conf_state.voters)

    def _expire_others(self, now_ms: int) -> None:
        if self._calls:
            late = [call_id for call_id, (until, _) in self._calls.items() if until <= now_ms]
            for call_id in late:
                _, ticket = self._calls.pop(call_id)
                if not ticket.done():
                    ticket.set_exception(errors.of("Timeout"))
        if self._transfers:
            for _, until, ticket in self._transfers:
                if until <= now_ms and not ticket.done():
                    ticket.set_exception(errors.of("Timeout"))
            self._transfers = [t for t in self._transfers if not t[2].done()]
        self._changes.expire(now_ms, self.proposals.pending)

    def _settle_transfers(self) -> None:
        for target, _, ticket in self._transfers:
            if target == self.leader and not ticket.done():
                ticket.set_result(None)

    def _reply(self, reply: Reply) -> None:
        waiting = self._calls.pop(reply.id, None)
        if waiting is None or waiting[1].done():
            return
        error = reply.error()
        if error is not None:
            waiting[1].set_exception(error)
        else:
            waiting[1].set_result(reply.result)

    def send(self, packet: Packet) -> None:
        """The packet leaves with the next work."""
        self._packets.append(packet)

    def members(self) -> list[MemberInfo]:
        """The members, by id."""
        return [self.machine.members[i] for i in sorted(self.machine.members)]


def recover(
    config: MemberConfig,
    machine: Machine,
    hard_state: HardState,
    entries: list[Entry],
    snapshot: SnapshotMetadata | None,
    chunks: Callable[[], Iterable[bytes]] | None,
    now_ms: int,
    *,
    planted: frozenset[str] = frozenset(),
) -> Member:
    """The member as its disk knows it: the snapshot's state, and the log after it.

    What is committed since is applied in the first turns. A crash between a received snapshot and the hard state
    leaves a hard state that is older than the snapshot: the snapshot is committed, so it is brought up to it.
    """
    storage = MemoryStorage()
    if snapshot is not None and snapshot.index:
        assert chunks is not None
        machine.restore(chunks())
        storage.apply_snapshot(Snapshot(b"", snapshot))
        entries = [entry for entry in entries if entry.index > snapshot.index]
        if hard_state.term < snapshot.term:
            hard_state = HardState(snapshot.term, 0, hard_state.commit)
        if hard_state.commit < snapshot.index:
            hard_state = HardState(hard_state.term, hard_state.vote, snapshot.index)
    storage.set_hard_state(hard_state)
    if entries:
        storage.append(entries)
    member = Member(config, machine, storage, now_ms, planted=planted)
    for entry in entries:
        member.retention.appended([entry])
    return member
