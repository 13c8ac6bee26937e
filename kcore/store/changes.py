"""Changes of the membership that wait to be proposed, one at a time.

A leader proposes no change that takes its own vote: it hands the lead over first, and passes the change on. Else the
others could hold the entry and never hear that it is committed, from a leader that is gone; where one of two is left,
it would wait for that vote for ever (Raft thesis 4.2.2 and 4.3; etcd leaves this to its operators' ``move-leader``).
"""

from collections.abc import Callable, Collection
from typing import Final

from kcore.store.membership import read_context
from kcore_native.raft import (
    CONF_CHANGE_ADD_LEARNER_NODE,
    CONF_CHANGE_REMOVE_NODE,
    ENTRY_CONF_CHANGE,
    ENTRY_NORMAL,
    LEADER,
    MSG_PROP,
    ConfChange,
    ConfChangeV2,
    Entry,
    Message,
    ProposalDropped,
    RawNode,
)

AnyChange = ConfChange | ConfChangeV2
TAKES_VOTE: Final = frozenset({CONF_CHANGE_REMOVE_NODE, CONF_CHANGE_ADD_LEARNER_NODE})


class Changes:
    """Those that wait, and the one that is proposed and not applied. Times are milliseconds."""

    def __init__(self, own_id: int, timeout_ms: int) -> None:
        self.own_id = own_id
        self.timeout_ms = timeout_ms
        self.waiting: list[tuple[int, AnyChange, int]] = []  # request id, change, given up at
        self._in_flight = 0  # request id

    def add(self, request_id: int, change: AnyChange, now_ms: int) -> None:
        """The change will be proposed."""
        self.waiting.append((request_id, change, now_ms + self.timeout_ms))

    def propose(self, node: RawNode, successor: Callable[[], int]) -> None:
        """The next one is proposed, where none is under way; or the lead is on its way to ``successor()``."""
        if not self.waiting or self._in_flight:
            return
        request_id, change, _ = self.waiting[0]
        others = node.conf_state.voters != (self.own_id,)  # without any, it is refused when it is applied
        if others and node.role == LEADER and takes_vote(change, self.own_id):
            if not node.lead_transferee and (target := successor()):
                node.transfer_leader(target)
            return
        try:
            node.propose_conf_change(change)
        except ProposalDropped:
            return
        del self.waiting[0]
        self._in_flight = request_id

    def intercept(self, message: Message, node: RawNode, now_ms: int) -> bool:
        """True for another member's proposal that would take this leader's vote: it waits here instead."""
        if message.type != MSG_PROP or node.role != LEADER:
            return False
        found = [decoded(entry) for entry in message.entries if entry.type != ENTRY_NORMAL]
        if not any(takes_vote(change, self.own_id) for change in found):
            return False
        for change in found:
            self.add(read_context(change.context).request_id, change, now_ms)
        return True

    def applied(self, request_id: int) -> None:
        """That change is made, or refused."""
        if request_id == self._in_flight:
            self._in_flight = 0

    def expire(self, now_ms: int, pending: Collection[int]) -> None:
        """What nobody waits for any more is not proposed."""
        if self._in_flight and self._in_flight not in pending:
            self._in_flight = 0
        if self.waiting:
            self.waiting = [waits for waits in self.waiting if waits[2] > now_ms]


def decoded(entry: Entry) -> AnyChange:
    """The change that the entry holds; ValueError for garbage."""
    return (ConfChange if entry.type == ENTRY_CONF_CHANGE else ConfChangeV2).decode(entry.data)


def takes_vote(change: AnyChange, member_id: int) -> bool:
    """Whether that member is no voter after it."""
    return any(single.node_id == member_id and single.type in TAKES_VOTE for single in change.as_v2().changes)
