"""A group of nodes that does what a recorded interaction says, and tells what happened in its words.

Source: etcd-io/raft, rafttest/. The state machine is the text of all applied entries; each applied entry makes a
snapshot, and the newest one is what a leader sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kcore_native.raft import (
    CONF_CHANGE_ADD_LEARNER_NODE,
    CONF_CHANGE_ADD_NODE,
    CONF_CHANGE_REMOVE_NODE,
    CONF_CHANGE_UPDATE_NODE,
    ENTRY_CONF_CHANGE,
    ENTRY_CONF_CHANGE_V2,
    MSG_SNAP,
    MSG_STORAGE_APPEND,
    NO_LIMIT,
    TRANSITION_AUTO,
    TRANSITION_JOINT_EXPLICIT,
    TRANSITION_JOINT_IMPLICIT,
    ConfChange,
    ConfChangeSingle,
    ConfChangeV2,
    Config,
    ConfState,
    Entry,
    HardState,
    MemoryStorage,
    Message,
    RaftError,
    RawNode,
    Snapshot,
    SnapshotMetadata,
    is_local_target,
)
from kcore_native.raft.describe import (
    MESSAGE_TYPES,
    ROLES,
    describe_all_progress,
    describe_entries,
    describe_message,
    describe_ready,
)
from tests.conformance.raft.datadriven import Case

INFLIGHT_MAX = 2**31 - 1
LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE")
CHANGE_TYPES = {
    "v": CONF_CHANGE_ADD_NODE,
    "l": CONF_CHANGE_ADD_LEARNER_NODE,
    "r": CONF_CHANGE_REMOVE_NODE,
    "u": CONF_CHANGE_UPDATE_NODE,
}
TRANSITIONS = {
    "auto": TRANSITION_AUTO,
    "implicit": TRANSITION_JOINT_IMPLICIT,
    "explicit": TRANSITION_JOINT_EXPLICIT,
}


def read_changes(text: str) -> list[ConfChangeSingle]:
    """The changes written as letter and node, as in ``v1 l2 r3``."""
    return [ConfChangeSingle(CHANGE_TYPES[word[0]], int(word[1:])) for word in text.split()]


class Storage(MemoryStorage):
    """The common storage, whose newest snapshot is whatever was applied last."""

    def __init__(self, history: list[Snapshot]) -> None:
        super().__init__()
        self.history = history

    def snapshot(self) -> Snapshot:
        return self.history[-1]


@dataclass
class Node:
    """One member of the group, its storage and its threads' work."""

    raw: RawNode
    storage: Storage
    config: Config
    history: list[Snapshot]
    append_work: list[Message] = field(default_factory=list)
    apply_work: list[Message] = field(default_factory=list)

    def write(self, hard_state: HardState | None, entries: list[Entry], snapshot: Snapshot | None) -> None:
        if hard_state:
            self.storage.set_hard_state(hard_state)
        if snapshot:
            assert not entries, "a snapshot and entries at once"
            self.storage.apply_snapshot(snapshot)
        else:
            self.storage.append(entries)

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            state: ConfState | None = None
            update = entry.data
            if entry.type == ENTRY_CONF_CHANGE:
                change = ConfChange.decode(entry.data)
                state, update = self.raw.apply_conf_change(change), change.context
            elif entry.type == ENTRY_CONF_CHANGE_V2:
                change_v2 = ConfChangeV2.decode(entry.data)
                state, update = self.raw.apply_conf_change(change_v2), change_v2.context
            last = self.history[-1]
            metadata = SnapshotMetadata(state or last.metadata.conf_state, entry.index, entry.term)
            self.history.append(Snapshot(last.data + update, metadata))


class Environment:
    """The group, the messages on their way, and the output of the command in progress."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.messages: list[Message] = []
        self.level = 0
        self.output: list[str] = []
        self.commands: dict[str, Callable[[Case], None]] = {
            "add-nodes": self.add_nodes,
            "campaign": lambda case: self.node(case).raw.campaign(),
            "compact": self.compact,
            "deliver-msgs": self.deliver_command,
            "process-ready": lambda case: self.each(case, "handling Ready", self.process_ready),
            "process-append-thread": lambda case: self.each(
                case, "processing append thread", self.process_append
            ),
            "process-apply-thread": lambda case: self.each(
                case, "processing apply thread", self.process_apply
            ),
            "log-level": lambda case: self.set_level(case.words[0]),
            "raft-log": lambda case: self.raft_log(self.node(case)),
            "raft-state": lambda case: self.raft_state(),
            "set-randomized-election-timeout": lambda case: self.node(
                case
            ).raw.set_randomized_election_timeout(int(case.options["timeout"][0])),
            "stabilize": self.stabilize_command,
            "status": lambda case: self.write(describe_all_progress(self.node(case).raw.status().progress)),
            "tick-election": lambda case: self.tick(self.node(case), self.node(case).config.election_tick),
            "tick-heartbeat": lambda case: self.tick(self.node(case), self.node(case).config.heartbeat_tick),
            "transfer-leadership": lambda case: self.nodes[
                int(case.options["from"][0]) - 1
            ].raw.transfer_leader(int(case.options["to"][0])),
            "forget-leader": lambda case: self.node(case).raw.forget_leader(),
            "send-snapshot": self.send_snapshot,
            "propose": lambda case: self.node(case).raw.propose(case.words[1].encode()),
            "propose-conf-change": self.propose_conf_change,
            "report-unreachable": lambda case: self.node(case).raw.report_unreachable(int(case.words[1])),
        }

    def run(self, case: Case) -> str:
        """What the command says; ``ok`` where that is nothing."""
        self.output = []
        try:
            self.commands[case.command](case)
        except RaftError as error:
            return ("" if self.quiet else "".join(self.output)) + str(error)
        return "".join(self.output) or "ok"

    @property
    def quiet(self) -> bool:
        return self.level == len(LEVELS) - 1

    def write(self, text: str) -> None:
        if not self.quiet:
            self.output.append(text)

    def indented(self, work: Callable[[], object]) -> None:
        outer, self.output = self.output, []
        work()
        outer.extend(f"  {line}\n" for line in "".join(self.output).splitlines())
        self.output = outer

    def node(self, case: Case) -> Node:
        return self.nodes[int(case.words[0]) - 1]

    def each(self, case: Case, title: str, work: Callable[[int], object]) -> None:
        for word in case.words:
            if len(case.words) > 1:
                self.write(f"> {word} {title}\n")
                self.indented(lambda number=int(word): work(number))  # type: ignore[misc]
            else:
                work(int(word))

    def set_level(self, name: str) -> None:
        self.level = LEVELS.index(name.upper())

    # Commands

    def add_nodes(self, case: Case) -> None:
        def option(name: str, default: str) -> str:
            return case.options.get(name, (default,))[0]

        state = ConfState(
            map(int, case.options.get("voters", ())), map(int, case.options.get("learners", ()))
        )
        index = int(option("index", "0"))
        bootstrap = bool(case.options)
        snapshot = Snapshot(
            option("content", "").encode(), SnapshotMetadata(state, index, 1 if bootstrap else 0)
        )
        for _ in range(int(case.words[0])):
            history = [snapshot]
            storage = Storage(history)
            if index:
                storage.apply_snapshot(snapshot)
            config = Config(
                id=len(self.nodes) + 1,
                election_tick=3,
                heartbeat_tick=1,
                storage=storage,
                applied=index,
                max_size_per_message=NO_LIMIT,
                max_inflight_messages=int(option("inflight", str(INFLIGHT_MAX))),
                async_storage_writes=option("async-storage-writes", "false") == "true",
                pre_vote=option("prevote", "false") == "true",
                check_quorum=option("checkquorum", "false") == "true",
                max_committed_size_per_ready=int(option("max-committed-size-per-ready", "0")),
                disable_conf_change_validation=option("disable-conf-change-validation", "false") == "true",
                lease_based_reads=option("read-only", "safe") == "lease-based",
                step_down_on_removal=option("step-down-on-removal", "false") == "true",
            )
            self.nodes.append(Node(RawNode(config), storage, config, history))

    def compact(self, case: Case) -> None:
        self.node(case).storage.compact(int(case.words[1]))
        self.raft_log(self.node(case))

    def deliver_command(self, case: Case) -> None:
        kind = MESSAGE_TYPES.index(case.options["type"][0]) if "type" in case.options else None
        recipients = [(int(word), False) for word in case.words]
        recipients += [(int(node_id), True) for node_id in case.options.get("drop", ())]
        if sum(self.deliver(node_id, drop, kind) for node_id, drop in recipients) == 0:
            self.write("no messages\n")

    def stabilize_command(self, case: Case) -> None:
        level = self.level
        if "log-level" in case.options:
            self.set_level(case.options["log-level"][0])
        self.stabilize([int(word) for word in case.words] or list(range(1, len(self.nodes) + 1)))
        self.level = level

    def send_snapshot(self, case: Case) -> None:
        source, target = map(int, case.words)
        node = self.nodes[source - 1]
        message = Message(
            MSG_SNAP, to=target, from_=source, term=node.raw.term, snapshot=node.storage.snapshot()
        )
        self.messages.append(message)
        self.write(describe_message(message))

    def propose_conf_change(self, case: Case) -> None:
        changes = read_changes(case.text)
        transition = TRANSITIONS[case.options.get("transition", ("auto",))[0]]
        if case.options.get("v1", ("false",))[0] == "true":
            assert len(changes) == 1 and transition == TRANSITION_AUTO
            self.node(case).raw.propose_conf_change(ConfChange(changes[0].type, changes[0].node_id))
        else:
            self.node(case).raw.propose_conf_change(ConfChangeV2(transition, changes))

    def raft_log(self, node: Node) -> None:
        first, last = node.storage.first_index(), node.storage.last_index()
        if last < first:
            self.write(f"log is empty: first index={first}, last index={last}")
        else:
            self.write(describe_entries(node.storage.entries(first, last + 1, NO_LIMIT)))

    def raft_state(self) -> None:
        for node in self.nodes:
            raw = node.raw
            votes = raw.id in raw.configuration.voters | raw.configuration.voters_outgoing
            self.write(
                f"{raw.id}: {ROLES[raw.role]} {'(Voter)' if votes else '(Non-Voter)'} "
                f"Term:{raw.term} Lead:{raw.leader}\n"
            )

    def tick(self, node: Node, count: int) -> None:
        for _ in range(count):
            node.raw.tick()

    # What commands are made of

    def process_ready(self, number: int) -> None:
        node = self.nodes[number - 1]
        ready = node.raw.ready()
        self.write(describe_ready(ready))
        if not node.config.async_storage_writes:
            node.write(ready.hard_state, ready.entries, ready.snapshot)
            node.apply(ready.committed_entries)
        for message in ready.messages:
            if not is_local_target(message.to):
                self.messages.append(message)
            elif message.type == MSG_STORAGE_APPEND:
                node.append_work.append(message)
            else:
                node.apply_work.append(message)
        if not node.config.async_storage_writes:
            node.raw.advance()

    def process_append(self, number: int) -> None:
        node = self.nodes[number - 1]
        if not node.append_work:
            self.write("no append work to perform")
            return
        message = node.append_work.pop(0)
        self.write_work(message)
        node.write(HardState(message.term, message.vote, message.commit), message.entries, message.snapshot)
        self.answer(message)

    def process_apply(self, number: int) -> None:
        node = self.nodes[number - 1]
        if not node.apply_work:
            self.write("no apply work to perform")
            return
        message = node.apply_work.pop(0)
        self.write_work(message)
        node.apply(message.entries)
        self.answer(message)

    def write_work(self, message: Message) -> None:
        bare = Message(
            message.type,
            to=message.to,
            from_=message.from_,
            term=message.term,
            entries=message.entries,
            commit=message.commit,
            vote=message.vote,
            snapshot=message.snapshot,
        )
        self.write(f"Processing:\n{describe_message(bare)}\n")

    def answer(self, message: Message) -> None:
        self.write("Responses:\n")
        for response in message.responses:
            self.write(describe_message(response) + "\n")
        self.messages.extend(message.responses)

    def waiting(self, node_id: int, *, drop: bool = False, kind: int | None = None) -> list[Message]:
        return [
            message
            for message in self.messages
            if message.to == node_id
            and not (drop and _is_reliable(message))
            and (kind is None or message.type == kind)
        ]

    def deliver(self, node_id: int, drop: bool = False, kind: int | None = None) -> int:
        """The number of messages delivered to the node, or dropped."""
        chosen = self.waiting(node_id, drop=drop, kind=kind)
        self.messages = [message for message in self.messages if not any(message is one for one in chosen)]
        for message in chosen:
            self.write(("dropped: " if drop else "") + describe_message(message) + "\n")
            if drop:
                continue
            try:
                # over the wire and back, as between real members
                self.nodes[node_id - 1].raw.step(Message.decode(message.encode()))
            except RaftError as error:
                self.write(f"{error}\n")
        return len(chosen)

    def stabilize(self, numbers: list[int]) -> None:
        """Readys, messages and threads are worked on until nothing is left to do."""
        busy = True
        while busy:
            busy = False
            for number in numbers:
                if self.nodes[number - 1].raw.has_ready():
                    self.write(f"> {number} handling Ready\n")
                    self.indented(lambda number=number: self.process_ready(number))  # type: ignore[misc]
                    busy = True
            for number in numbers:
                if self.waiting(number):
                    self.write(f"> {number} receiving messages\n")
                    self.indented(lambda number=number: self.deliver(number))  # type: ignore[misc]
                    busy = True
            for title, kind, work in (
                ("append", "append_work", self.process_append),
                ("apply", "apply_work", self.process_apply),
            ):
                for number in numbers:
                    if not getattr(self.nodes[number - 1], kind):
                        continue
                    self.write(f"> {number} processing {title} thread\n")
                    while getattr(self.nodes[number - 1], kind):
                        self.indented(lambda number=number, work=work: work(number))  # type: ignore[misc]
                    busy = True


def _is_reliable(message: Message) -> bool:
    """True for a message that stays within its node and so cannot be lost."""
    return message.from_ == message.to or is_local_target(message.from_) or is_local_target(message.to)
