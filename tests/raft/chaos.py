"""Three to five nodes under random faults from one seed, and the safety properties checked after every step.

Faults: messages dropped, doubled, delayed and reordered; links cut; nodes that crash between any two of their writes
and start again from their disk; clocks that differ; logs compacted; voters and learners added and removed, one at a
time or jointly. Properties: Raft dissertation, figure 3.2, and linearizable read indices (6.4).
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from kcore_native.raft import (
    CONF_CHANGE_ADD_LEARNER_NODE,
    CONF_CHANGE_ADD_NODE,
    CONF_CHANGE_REMOVE_NODE,
    ENTRY_CONF_CHANGE_V2,
    LEADER,
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    MSG_SNAP,
    NO_LIMIT,
    TRANSITION_AUTO,
    TRANSITION_JOINT_EXPLICIT,
    TRANSITION_JOINT_IMPLICIT,
    ConfChangeSingle,
    ConfChangeV2,
    Config,
    ConfState,
    Entry,
    HardState,
    MemoryStorage,
    Message,
    ProposalDropped,
    RawNode,
    Ready,
    Snapshot,
    SnapshotMetadata,
    StepPeerNotFound,
    is_local_target,
)

NODES = 5


class Disk(MemoryStorage):
    """A disk whose newest snapshot is made when it is asked for, as a member of a store does."""

    def __init__(self) -> None:
        super().__init__()
        self.fresh: Callable[[], Snapshot] = self.saved

    def saved(self) -> Snapshot:
        return super().snapshot()

    def snapshot(self) -> Snapshot:
        return self.fresh()


@dataclass
class Machine:
    """One node with its disk; a new RawNode after each crash."""

    raw: RawNode
    storage: Disk
    applied: int = 0  # index up to which its state machine has come
    append_work: list[Message] = field(default_factory=list)
    apply_work: list[Message] = field(default_factory=list)
    snapped: int = 0  # index of the newest snapshot it was sent
    reads: dict[bytes, int] = field(default_factory=dict)  # asked: the committed index then


class Chaos:
    """The group, its faults and its checks. Every choice comes from ``random.Random(seed)``."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        choose = self.random.choice
        self.options = {
            "pre_vote": choose([False, True]),
            "check_quorum": choose([False, True]),
            "async_storage_writes": choose([False, True]),
            "max_size_per_message": choose([0, 30, NO_LIMIT]),
            "max_inflight_messages": choose([1, 3, 256]),
            "max_uncommitted_size": choose([0, 60]),
            "max_committed_size_per_ready": choose([0, 20, NO_LIMIT]),
            "step_down_on_removal": choose([False, True]),
        }
        self.voters = self.random.sample(range(1, NODES + 1), choose([3, 3, 4, 5]))
        self.machines = {node_id: self.start(Disk(), node_id, True) for node_id in range(1, NODES + 1)}
        self.messages: list[Message] = []
        self.cut: set[tuple[int, int]] = set()
        self.loss = choose([0.0, 0.05, 0.2])
        self.leaders: dict[int, int] = {}  # term: leader
        self.chosen: dict[int, Entry] = {}  # index: the entry that some node applied
        self.states: dict[int, ConfState] = {}  # index: the configuration after it
        self.proposed = 0
        self.asked = 0

    def start(self, storage: Disk, node_id: int, fresh: bool = False) -> Machine:
        if fresh:
            storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(ConfState(self.voters), 1, 1)))
            storage.set_hard_state(HardState(1, 0, 1))
        applied = storage.saved().metadata.index
        # a snapshot is proof that all up to it is committed, though the commit index itself needs not be synced
        state, _ = storage.initial_state()
        storage.set_hard_state(HardState(state.term, state.vote, max(state.commit, applied)))
        config = Config(
            id=node_id,
            election_tick=10,
            heartbeat_tick=2,
            storage=storage,
            applied=applied,
            seed=self.random.getrandbits(64),
            **self.options,
        )
        machine = Machine(RawNode(config), storage, applied)
        storage.fresh = lambda: self.snapshot(machine)
        return machine

    def snapshot(self, machine: Machine) -> Snapshot:
        """The state that the machine has applied."""
        saved = machine.storage.saved()
        if machine.applied <= saved.metadata.index:
            return saved
        metadata = SnapshotMetadata(
            self.state_at(machine.applied), machine.applied, self.chosen[machine.applied].term
        )
        return Snapshot(b"", metadata)

    def state_at(self, index: int) -> ConfState:
        """The configuration after the entry at index is applied."""
        known = [at for at in self.states if at <= index]
        return self.states[max(known)] if known else ConfState(self.voters)

    # One step

    def step(self) -> None:
        """One random thing happens, and all properties still hold."""
        machine = self.machines[self.random.randint(1, NODES)]
        kind = self.random.random()
        if kind < 0.45 and self.messages:
            self.deliver()
        elif kind < 0.62:
            machine.raw.tick()
        elif kind < 0.85:
            self.work(machine)
        elif kind < 0.93:
            self.propose(machine)
        elif kind < 0.95:
            self.read(machine)
        elif kind < 0.965:
            self.change(self.lead() or machine)
        elif kind < 0.972:
            self.compact(machine)
        elif kind < 0.975:
            self.crash(machine)
        elif kind < 0.98:
            self.cut_links()
        else:
            self.disturb(machine)
        self.check()

    def deliver(self) -> None:
        # now and then the oldest, else any
        at = 0 if self.random.random() < 0.5 else self.random.randrange(len(self.messages))
        if _is_local(self.messages[at]):  # what a node tells itself is neither lost nor reordered
            to = self.messages[at].to
            at = next(i for i, message in enumerate(self.messages) if message.to == to and _is_local(message))
        message = self.messages.pop(at)
        lost = self.random.random() < self.loss or (message.from_, message.to) in self.cut
        machine = self.machines[message.to]
        local = _is_local(message)
        sender = self.machines.get(message.from_)
        if lost and not local:
            if message.type == MSG_SNAP and sender is not None:
                sender.raw.report_snapshot(message.to, True)
            elif sender is not None and self.random.random() < 0.3:
                sender.raw.report_unreachable(message.to)
            return
        if not local and self.random.random() < 0.05:
            self.messages.append(message)
        with contextlib.suppress(ProposalDropped, StepPeerNotFound):
            machine.raw.step(Message.decode(message.encode()))
        if message.snapshot is not None and message.type == MSG_SNAP:
            machine.snapped = max(machine.snapped, message.snapshot.metadata.index)
            if sender is not None:
                sender.raw.report_snapshot(message.to, False)

    def work(self, machine: Machine) -> None:
        if machine.append_work and self.random.random() < 0.7:
            message = machine.append_work.pop(0)
            state = HardState(message.term, message.vote, message.commit)
            self.write(machine, state, message.snapshot, message.entries)
            self.messages.extend(message.responses)
        elif machine.apply_work and self.random.random() < 0.7:
            message = machine.apply_work.pop(0)
            self.apply(machine, message.entries)
            self.messages.extend(message.responses)
        elif machine.raw.has_ready():
            self.handle(machine, machine.raw.ready())

    def handle(self, machine: Machine, ready: Ready) -> None:
        for context_index, context in ready.read_states:
            assert context_index >= machine.reads.pop(context, 0), "a read older than what was committed"
        if self.options["async_storage_writes"]:
            for message in ready.messages:
                if message.to == LOCAL_APPEND_THREAD:
                    machine.append_work.append(message)
                elif message.to == LOCAL_APPLY_THREAD:
                    machine.apply_work.append(message)
                else:
                    self.messages.append(message)
            return None
        crash = self.random.random()
        if crash < 0.005:
            return self.crash(machine)  # before anything was written
        self.write(machine, ready.hard_state, ready.snapshot, ready.entries)
        if crash < 0.01:
            return self.crash(machine)  # written, but nobody was told
        self.messages.extend(ready.messages)
        self.apply(machine, ready.committed_entries)
        machine.raw.advance()
        return None

    def write(
        self, machine: Machine, state: HardState | None, snapshot: Snapshot | None, entries: list[Entry]
    ) -> None:
        if snapshot is not None:
            machine.storage.apply_snapshot(snapshot)
            machine.applied = snapshot.metadata.index
        if state:
            machine.storage.set_hard_state(state)
        machine.storage.append(entries)

    def apply(self, machine: Machine, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.index <= machine.applied:
                continue  # a snapshot was installed while this waited for the apply thread
            assert entry.index == machine.applied + 1, "a gap in what is applied"
            machine.applied = entry.index
            known = self.chosen.setdefault(entry.index, entry)
            assert known == entry, f"two entries applied at {entry.index}: {known} and {entry}"
            if entry.type == ENTRY_CONF_CHANGE_V2:
                state = machine.raw.apply_conf_change(ConfChangeV2.decode(entry.data), entry.index)
                if entry.index <= machine.snapped:
                    continue  # a snapshot has come, and its configuration with it
                assert self.states.setdefault(entry.index, state) == state

    def propose(self, machine: Machine) -> None:
        self.proposed += 1
        with contextlib.suppress(ProposalDropped):
            machine.raw.propose(b"%d" % self.proposed)

    def read(self, machine: Machine) -> None:
        self.asked += 1
        context = b"%d" % self.asked
        machine.reads[context] = max(self.chosen, default=1)
        machine.raw.read_index(context)

    def change(self, machine: Machine) -> None:
        types = (CONF_CHANGE_ADD_NODE, CONF_CHANGE_REMOVE_NODE, CONF_CHANGE_ADD_LEARNER_NODE)
        changes = [
            ConfChangeSingle(self.random.choice(types), self.random.randint(1, NODES))
            for _ in range(self.random.choice([0, 1, 1, 2]))
        ]
        # With two voters in a half both are needed; if one is a leader that has just removed itself, and the other has
        # not heard that this is committed, nobody can be elected. The leader's view of the configuration is exact.
        voters = set(machine.raw.configuration.voters)
        for change in changes:
            if change.type == CONF_CHANGE_ADD_NODE:
                voters.add(change.node_id)
            else:
                voters.discard(change.node_id)
        if machine.raw.role != LEADER or (changes and len(voters) < 3):
            return
        transition = self.random.choice(
            [TRANSITION_AUTO, TRANSITION_JOINT_IMPLICIT, TRANSITION_JOINT_EXPLICIT] if changes else [0]
        )
        with contextlib.suppress(ProposalDropped):
            machine.raw.propose_conf_change(ConfChangeV2(transition, changes))

    def compact(self, machine: Machine) -> None:
        index = min(machine.applied, machine.raw.applied)
        if machine.storage.saved().metadata.index < index <= machine.storage.last_index():
            machine.storage.create_snapshot(index, self.state_at(index), b"")
            machine.storage.compact(index)

    def crash(self, machine: Machine) -> None:
        node_id = machine.raw.id
        # what was on its way to the disk is lost; what this node promised only after it was never sent
        self.messages = [
            message for message in self.messages if not (message.to == node_id and _is_local(message))
        ]
        restarted = self.start(machine.storage, node_id)
        self.machines[node_id] = restarted

    def cut_links(self) -> None:
        if self.cut:
            self.cut = set()
            return
        side = set(self.random.sample(range(1, NODES + 1), self.random.randint(1, 2)))
        one_way = self.random.random() < 0.3
        for one in range(1, NODES + 1):
            for other in range(1, NODES + 1):
                if one in side and other not in side:
                    self.cut.add((one, other))
                    if not one_way:
                        self.cut.add((other, one))

    def disturb(self, machine: Machine) -> None:
        kind = self.random.random()
        if kind < 0.4:
            machine.raw.transfer_leader(self.random.randint(1, NODES))
        elif kind < 0.6:
            machine.raw.campaign()
        elif kind < 0.8:
            machine.raw.forget_leader()
        else:
            machine.raw.report_unreachable(self.random.randint(1, NODES))

    # Properties

    def check(self) -> None:
        """Election safety, and leader completeness for what has been applied."""
        for node_id, machine in self.machines.items():
            if machine.raw.role != LEADER:
                continue
            known = self.leaders.setdefault(machine.raw.term, node_id)
            assert known == node_id, f"two leaders in term {machine.raw.term}: {known} and {node_id}"

    def check_logs(self) -> None:
        """Log matching on the disks; what was applied is in the log of the newest leader."""
        logs = {
            node_id: {entry.index: entry for entry in self.log(machine.storage)}
            for node_id, machine in self.machines.items()
        }
        for one, first in logs.items():
            for other, second in logs.items():
                if one >= other:
                    continue
                both = first.keys() & second.keys()
                same = max((at for at in both if first[at].term == second[at].term), default=0)
                for at in (at for at in both if at <= same):
                    assert first[at] == second[at], f"logs of {one} and {other} differ at {at}"
        lead = self.lead()
        if lead is None or lead.raw.term < max(self.leaders):
            return
        # of its own log, the part that is on its disk: the leader may still be writing the rest
        for at, entry in logs[lead.raw.id].items():
            assert self.chosen.get(at, entry) == entry, (
                f"leader {lead.raw.id} has not what was applied at {at}"
            )

    @staticmethod
    def log(storage: Disk) -> list[Entry]:
        first, last = storage.first_index(), storage.last_index()
        return storage.entries(first, last + 1, NO_LIMIT) if last >= first else []

    # The end

    def heal(self) -> None:
        """The faults end; a leader is found, what it commits reaches every member of the configuration."""
        self.cut, self.loss = set(), 0.0
        for _ in range(400):
            self.calm()
            lead = self.lead()
            if lead is not None and not lead.raw.configuration.joint and self.reached(lead):
                return
        raise AssertionError("no leader, or a member that does not catch up")

    def lead(self) -> Machine | None:
        leading = [machine for machine in self.machines.values() if machine.raw.role == LEADER]
        return max(leading, key=lambda machine: machine.raw.term) if leading else None

    def calm(self) -> None:
        for machine in self.machines.values():
            machine.raw.tick()
        for _ in range(60):
            for machine in self.machines.values():
                self.work(machine)
            for _ in range(len(self.messages)):
                self.deliver()
        self.check()
        lead = self.lead()
        if lead is None:
            return
        if lead.raw.configuration.joint:
            with contextlib.suppress(ProposalDropped):
                lead.raw.propose_conf_change(None)
        self.propose(lead)

    def reached(self, lead: Machine) -> bool:
        configuration = lead.raw.configuration
        members = [self.machines[node_id] for node_id in configuration.voters | configuration.learners]
        newest = max(self.chosen, default=0)
        return newest > 1 and all(machine.applied >= newest - 3 for machine in members)


def _is_local(message: Message) -> bool:
    """True for a message of a node, or of its storage threads, to itself."""
    return message.from_ == message.to or is_local_target(message.from_)
