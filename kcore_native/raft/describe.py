"""States, messages and Readys as lines for people, in etcd-io/raft's own words.

Source: etcd-io/raft, util.go (Describe...), tracker/tracker.go and progress.go (String). Node ids are hexadecimal in
messages and configurations, decimal in states, as there.
"""

from collections.abc import Iterable, Mapping

from kcore_native.raft.confchange import Configuration
from kcore_native.raft.entry import (
    ENTRY_CONF_CHANGE,
    ENTRY_CONF_CHANGE_V2,
    ConfChange,
    ConfChangeSingle,
    ConfChangeV2,
    ConfState,
    Entry,
    HardState,
    Snapshot,
)
from kcore_native.raft.message import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, NONE, Message
from kcore_native.raft.progress import Progress
from kcore_native.raft.rawnode import Ready

ROLES = ("StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate")
PROGRESS_STATES = ("StateProbe", "StateReplicate", "StateSnapshot")
ENTRY_TYPES = ("EntryNormal", "EntryConfChange", "EntryConfChangeV2")
MESSAGE_TYPES = (
    "MsgHup",
    "MsgBeat",
    "MsgProp",
    "MsgApp",
    "MsgAppResp",
    "MsgVote",
    "MsgVoteResp",
    "MsgSnap",
    "MsgHeartbeat",
    "MsgHeartbeatResp",
    "MsgUnreachable",
    "MsgSnapStatus",
    "MsgCheckQuorum",
    "MsgTransferLeader",
    "MsgTimeoutNow",
    "MsgReadIndex",
    "MsgReadIndexResp",
    "MsgPreVote",
    "MsgPreVoteResp",
    "MsgStorageAppend",
    "MsgStorageAppendResp",
    "MsgStorageApply",
    "MsgStorageApplyResp",
    "MsgForgetLeader",
)
_CHANGE_LETTERS = "vrul"
_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}


def describe_data(data: bytes) -> str:
    """The data quoted as Go's %q does for text, other bytes as \\x escapes."""
    text = data.decode("utf-8", "surrogateescape")
    parts = []
    for char in text:
        if char in '"\\':
            parts.append("\\" + char)
        elif char in _ESCAPES:
            parts.append(_ESCAPES[char])
        elif "\udc80" <= char <= "\udcff":
            parts.append(f"\\x{ord(char) - 0xDC00:02x}")
        elif char.isprintable():
            parts.append(char)
        elif ord(char) < 0x80:
            parts.append(f"\\x{ord(char):02x}")
        else:
            parts.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return '"' + "".join(parts) + '"'


def describe_changes(changes: Iterable[ConfChangeSingle]) -> str:
    """Each change as a letter (v voter, l learner, r removed, u updated) and a node."""
    return " ".join(f"{_CHANGE_LETTERS[change.type]}{change.node_id}" for change in changes)


def describe_entry(entry: Entry) -> str:
    """Term, index, type and data."""
    if entry.type == ENTRY_CONF_CHANGE:
        data = describe_changes(ConfChange.decode(entry.data).as_v2().changes)
    elif entry.type == ENTRY_CONF_CHANGE_V2:
        data = describe_changes(ConfChangeV2.decode(entry.data).changes)
    else:
        data = describe_data(entry.data)
    return f"{entry.term}/{entry.index} {ENTRY_TYPES[entry.type]}{' ' if data else ''}{data}"


def describe_entries(entries: Iterable[Entry]) -> str:
    """A line for each entry."""
    return "".join(describe_entry(entry) + "\n" for entry in entries)


def describe_hard_state(state: HardState) -> str:
    """Term, vote if any, commit index."""
    return f"Term:{state.term}{f' Vote:{state.vote}' if state.vote else ''} Commit:{state.commit}"


def describe_conf_state(state: ConfState) -> str:
    """The four lists and the flag."""

    def ids(nodes: tuple[int, ...]) -> str:
        return "[" + " ".join(map(str, nodes)) + "]"

    return (
        f"Voters:{ids(state.voters)} VotersOutgoing:{ids(state.voters_outgoing)} Learners:{ids(state.learners)} "
        f"LearnersNext:{ids(state.learners_next)} AutoLeave:{'true' if state.auto_leave else 'false'}"
    )


def describe_snapshot(snapshot: Snapshot) -> str:
    """Where it stands, and the configuration there."""
    metadata = snapshot.metadata
    return f"Index:{metadata.index} Term:{metadata.term} ConfState:{describe_conf_state(metadata.conf_state)}"


def describe_target(node_id: int) -> str:
    """The node, or the thread."""
    if node_id == NONE:
        return "None"
    if node_id == LOCAL_APPEND_THREAD:
        return "AppendThread"
    if node_id == LOCAL_APPLY_THREAD:
        return "ApplyThread"
    return f"{node_id:x}"


def describe_message(message: Message, indent: str = "") -> str:
    """From, to, type, and the fields that are set; several lines where it carries several things."""
    route = f"{describe_target(message.from_)}->{describe_target(message.to)} {MESSAGE_TYPES[message.type]}"
    parts = [f"{indent}{route} Term:{message.term} Log:{message.log_term}/{message.index}"]
    if message.reject:
        parts.append(f" Rejected (Hint: {message.reject_hint})")
    if message.commit:
        parts.append(f" Commit:{message.commit}")
    if message.vote:
        parts.append(f" Vote:{message.vote}")
    entries = message.entries
    if len(entries) == 1:
        parts.append(f" Entries:[{describe_entry(entries[0])}]")
    elif entries:
        parts.append(" Entries:[")
        parts.extend(f"\n{indent}  {describe_entry(entry)}" for entry in entries)
        parts.append(f"\n{indent}]")
    if message.snapshot:
        parts.append(f"\n{indent}  Snapshot: {describe_snapshot(message.snapshot)}")
    if message.responses:
        parts.append(" Responses:[")
        parts.extend("\n" + describe_message(response, indent + "  ") for response in message.responses)
        parts.append(f"\n{indent}]")
    return "".join(parts)


def describe_ready(ready: Ready) -> str:
    """All that a Ready has, part by part."""
    parts = []
    if ready.soft_state is not None:
        leader, role = ready.soft_state
        parts.append(f"Lead:{leader} State:{ROLES[role]}\n")
    if ready.hard_state:
        parts.append(f"HardState {describe_hard_state(ready.hard_state)}\n")
    if ready.read_states:
        states = " ".join(
            f"{{{index} [{' '.join(map(str, context))}]}}" for index, context in ready.read_states
        )
        parts.append(f"ReadStates [{states}]\n")
    if ready.entries:
        parts.append("Entries:\n" + describe_entries(ready.entries))
    if ready.snapshot:
        parts.append(f"Snapshot {describe_snapshot(ready.snapshot)}\n")
    if ready.committed_entries:
        parts.append("CommittedEntries:\n" + describe_entries(ready.committed_entries))
    if ready.messages:
        parts.append("Messages:\n" + "".join(describe_message(message) + "\n" for message in ready.messages))
    if not parts:
        return "<empty Ready>"
    return f"Ready MustSync={'true' if ready.must_sync else 'false'}:\n" + "".join(parts)


def describe_progress(progress: Progress) -> str:
    """What a leader knows of one peer."""
    parts = [f"{PROGRESS_STATES[progress.state]} match={progress.match} next={progress.next}"]
    if progress.is_learner:
        parts.append("learner")
    if progress.paused:
        parts.append("paused")
    if progress.pending_snapshot:
        parts.append(f"pendingSnap={progress.pending_snapshot}")
    if not progress.recent_active:
        parts.append("inactive")
    if progress.inflight:
        parts.append(f"inflight={progress.inflight}{'[full]' if progress.inflight_full else ''}")
    return " ".join(parts)


def describe_all_progress(progress: Mapping[int, Progress]) -> str:
    """A line for each node, by id."""
    return "".join(f"{node_id}: {describe_progress(progress[node_id])}\n" for node_id in sorted(progress))


def describe_configuration(configuration: Configuration) -> str:
    """Voters of both halves, learners, and the flag."""

    def ids(nodes: frozenset[int]) -> str:
        return "(" + " ".join(f"{node_id:x}" for node_id in sorted(nodes)) + ")"

    text = "voters=" + ids(configuration.voters)
    if configuration.voters_outgoing:
        text += "&&" + ids(configuration.voters_outgoing)
    if configuration.learners:
        text += " learners=" + ids(configuration.learners)
    if configuration.learners_next:
        text += " learners_next=" + ids(configuration.learners_next)
    return text + (" autoleave" if configuration.auto_leave else "")
