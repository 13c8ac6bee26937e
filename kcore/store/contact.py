"""When a member last heard of the others and of a leader, and what that says about requests without an answer. Pure."""

from collections.abc import Collection

from kcore.store import errors
from kcore.store.errors import StoreError


class Contact:
    """Who was heard of, and when. Times are milliseconds."""

    def __init__(self, own_id: int, election_ms: int, now_ms: int) -> None:
        self.own_id = own_id
        self.election_ms = election_ms
        self.leader = 0  # 0: none known
        self.is_leader = False
        self.leader_elected_ms = -(1 << 60)
        self.leaderless_since_ms = now_ms
        self.heard_ms: dict[int, int] = {}  # member -> when its last packet came
        self.unreachable: set[int] = set()

    def heard(self, member_id: int, now_ms: int) -> None:
        """A packet of that member has come."""
        self.heard_ms[member_id] = now_ms
        if self.unreachable:
            self.unreachable.discard(member_id)

    def lost(self, member_id: int) -> None:
        """Packets to that member were lost."""
        self.unreachable.add(member_id)
        self.heard_ms.pop(member_id, None)

    def leads(self, leader: int, now_ms: int, *, is_leader: bool) -> None:
        """That member leads, nobody for 0."""
        if leader != self.leader:
            if leader:
                self.leader_elected_ms = now_ms
            else:
                self.leaderless_since_ms = now_ms
        self.leader, self.is_leader = leader, is_leader

    def active(self, member_id: int, now_ms: int) -> bool:
        """True where that member was heard of within two election timeouts, or nothing is known against it."""
        if member_id == self.own_id:
            return True
        heard = self.heard_ms.get(member_id)
        if heard is not None and now_ms - heard <= 2 * self.election_ms:
            return True
        return not self.is_leader and member_id != self.leader and member_id not in self.unreachable

    def timeout(self, asked_ms: int, now_ms: int, voters: Collection[int]) -> StoreError:
        """Why a request of that time has no answer, as far as is known (etcd ``parseProposeCtxErr``)."""
        if self.leader_elected_ms - 2 * self.election_ms < asked_ms < self.leader_elected_ms:
            return errors.of("TimeoutDueToLeaderFail")
        if self.is_leader:
            if sum(self.active(voter, now_ms) for voter in voters) < len(voters) // 2 + 1:
                return errors.of("TimeoutDueToConnectionLost")
        elif self.leader and not self.active(self.leader, now_ms):
            return errors.of("TimeoutDueToConnectionLost")
        return errors.of("Timeout")
