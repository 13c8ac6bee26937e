"""What a member does of itself, beside answering. Sans-IO, as ``Member``.

As leader it expires leases, compacts, compares hashes and decides promotions; as any member it publishes its name and
raises the alarm when its quota is used up.

A revocation is an entry of this leader's own log or nothing: one who was leader and has not noticed must not hand it to
the next leader, who may have renewed the lease (etcd issue 15247).
"""

from typing import Any, Final

import msgspec

from kcore.store import autocompact, calls, errors, membership
from kcore.store.calls import Call, Reply
from kcore.store.corruption import HashComparison
from kcore.store.errors import StoreError
from kcore.store.face import AlarmAction, AlarmType, HashResult
from kcore.store.machine import MEMBER_ATTRIBUTES
from kcore.store.membership import Change
from kcore.store.principal import Principal
from kcore.store.tickets import Ticket, Waiting
from kcore_native.mvcc import command
from kcore_native.mvcc.lease import Lessor

REVOKED_PER_TICK_MAX: Final = 1_000  # leases that expire in one tick; the rest in the next
PUBLISH_RETRY_MS: Final = 5_000  # between attempts to publish this member's name


class Duties:
    """The duties of one member."""

    def __init__(self, member: Principal, now_ms: int) -> None:
        config = member.config
        self.member = member
        self.lessor = Lessor(member.machine.leases)
        self.compactor = autocompact.from_flags(
            config.auto_compaction_mode, config.auto_compaction_retention, now_ms
        )
        self.published = False
        self.expired_leases = 0
        self._publish_ms = now_ms
        self._publication: Ticket | None = None
        self._alarm: Ticket | None = None
        self._compaction: tuple[int, Ticket] | None = None
        self._revocations: dict[int, Ticket] = {}
        self._checkpoint: Ticket | None = None
        self._confirmation: Ticket | None = None  # after a pause: does this member still lead?
        self._comparison: HashComparison | None = None
        self._compare_ms = now_ms + config.corrupt_check_ms

    def tick(self, now_ms: int, *, late: bool) -> None:
        """What is due is proposed. ``late``: this member has slept, and may have lost leadership meanwhile."""
        member = self.member
        if self.compactor is not None:
            self._compact(now_ms)
        if member.leads_term and not member.removed:
            if late:
                self._confirmation = member.read(Ticket())  # type: ignore[assignment]
            if self._confirmed():
                self._expire_leases(now_ms)
            if member.config.corrupt_check_ms and now_ms >= self._compare_ms:
                self._compare_ms = now_ms + member.config.corrupt_check_ms
                self._comparison = HashComparison(
                    member, lambda who: self.raise_alarm(AlarmType.CORRUPT, who)
                )
        if not self.published and member.contact.leader and now_ms >= self._publish_ms:
            self._publish(now_ms)

    def after_apply(self) -> None:
        """Entries were applied: the alarm is raised where the quota is used up, this member's name is noted."""
        machine = self.member.machine
        if machine.over_quota and not machine.no_space:
            self.raise_alarm(AlarmType.NOSPACE, self.member.config.id)
        if not self.published:
            info = machine.members.get(self.member.config.id)
            config = self.member.config
            self.published = (
                info is not None
                and info.name == config.name
                and info.client_urls == config.client_urls
                and self._publication is not None
                and self._publication.done()
            )

    def promote_lessor(self, now_ms: int) -> None:
        """This member leads and has applied all of earlier terms: leases run from now, extended by an election."""
        self._revocations.clear()
        self._confirmation = None
        self.lessor.promote(now_ms, self.member.config.election_ms)

    def demote(self) -> None:
        """Another may lead: leases do not run here."""
        self.lessor.demote()
        self._revocations.clear()

    def disk_full(self) -> None:
        """This member's disk is full: the alarm stops all writes of the cluster, once it can be proposed."""
        self.raise_alarm(AlarmType.NOSPACE, self.member.config.id)

    def raise_alarm(self, kind: int, member_id: int) -> None:
        """The alarm is proposed, once until there is an answer."""
        raised = any(a.member_id == member_id and a.type == kind for a in self.member.machine.alarms)
        if not raised and (self._alarm is None or self._alarm.done()):
            self._alarm = self._propose(
                lambda request_id: command.alarm(request_id, AlarmAction.ACTIVATE, member_id, kind)
            )

    # -- leases --------------------------------------------------------------------------------------------------

    def _confirmed(self) -> bool:
        """False where this member slept and has not since heard from a majority that it leads."""
        if self._confirmation is None:
            return True
        if not self._confirmation.done():
            return False
        if self._confirmation.error is not None:
            self._confirmation = self.member.read(Ticket())  # type: ignore[assignment]
            return False
        self._confirmation = None
        return True

    def _expire_leases(self, now_ms: int) -> None:
        member = self.member
        self._revocations = {i: t for i, t in self._revocations.items() if not t.done()}
        for lease in self.lessor.expired(now_ms, REVOKED_PER_TICK_MAX):
            if lease in self._revocations:
                continue
            request_id, ticket = member.request_id(), Ticket()
            if not member.propose_as_leader(request_id, command.lease_revoke(request_id, lease), ticket):
                return
            self._revocations[lease] = ticket
            self.expired_leases += 1
        if member.config.lease_checkpoints and (self._checkpoint is None or self._checkpoint.done()):
            due = self.lessor.due_checkpoints(now_ms)
            if due:
                request_id, self._checkpoint = member.request_id(), Ticket()
                member.propose_as_leader(
                    request_id, command.lease_checkpoint(request_id, due), self._checkpoint
                )

    def renew(self, lease: int, ticket: Waiting, now_ms: int) -> None:
        """The ticket has the lease's full TTL in seconds, renewed by the leader; LeaseNotFound where it is gone."""
        self.member.now_ms = max(self.member.now_ms, now_ms)
        self._ask_leader(calls.LEASE_RENEW, [lease], ticket)

    def time_to_live(self, lease: int, ticket: Waiting, now_ms: int, *, keys: bool) -> None:
        """The ticket has [seconds left, granted TTL, keys] as the leader knows; LeaseNotFound where it is gone."""
        self.member.now_ms = max(self.member.now_ms, now_ms)
        self._ask_leader(calls.LEASE_TTL, [lease, keys], ticket)

    def renew_now(self, lease: int) -> int:
        """The lease's full TTL, renewed; raises LeaseNotFound. Only on the leader.

        One who has slept may lead no more without knowing it, and the next leader would not hear of the renewal:
        LeaderChanged until a majority has confirmed it (etcd ``ensureLeadership``).
        """
        if self.member.overslept(self.member.now_ms) or not self._confirmed():
            raise errors.of("LeaderChanged")
        ttl: int = self.lessor.renew(lease, self.member.now_ms)
        if ttl < 0:
            raise errors.of("LeaseNotFound")
        return ttl

    def _ttl_now(self, lease: int, *, keys: bool) -> list[Any]:
        book = self.member.machine.leases
        if lease not in book:
            raise errors.of("LeaseNotFound")
        # whole seconds, rounded down as etcd does: some of this millisecond is gone, so a lease just granted has not all
        left_ms = self.lessor.remaining_ms(lease, self.member.now_ms) - 1
        return [max(left_ms, 0) // 1000, book.ttl(lease), book.keys(lease) if keys else []]

    # -- what only the leader knows ------------------------------------------------------------------------------

    def promote(self, member_id: int, ticket: Waiting) -> Waiting:
        """The ticket has the members once the learner is a voter; the leader checks that it is in sync."""
        if self.member.leads_term:
            self._promote_here(member_id, ticket)
        else:
            self._ask_leader(calls.PROMOTE, [member_id], ticket)
        return ticket

    def _promote_here(self, member_id: int, ticket: Waiting) -> None:
        member = self.member
        progress = member.node.status().progress
        if member_id not in member.machine.members or member_id not in progress:
            raise errors.of("MemberNotFound")
        if member.config.id not in progress:
            raise errors.of("LeaderChanged")  # it leads on only until its own removal is everywhere
        leader_match = progress[member.config.id].match
        if progress[member_id].match * 100 < leader_match * membership.READY_PERCENT:
            raise errors.of("LearnerNotReady")
        member.propose_member_change([Change(membership.PROMOTE, member_id)], ticket)

    def check_change(self, change: Change) -> None:
        """Raises MemberNotEnoughStarted or Unhealthy where the change would endanger the quorum (strict check)."""
        member = self.member
        members = member.machine.members
        membership.check_started(members, change)
        voters = [m.id for m in members.values() if not m.is_learner]
        up = sum(member.contact.active(v, member.now_ms) for v in voters)
        if change.kind in (membership.ADD, membership.ADD_LEARNER):
            count = len(voters) + (change.kind == membership.ADD)
            if len(voters) > 1 and up < count // 2 + 1:
                raise errors.of("Unhealthy")
        elif change.kind == membership.REMOVE and change.id in voters:
            if not member.contact.active(change.id, member.now_ms):
                return  # it is down: removing it can only help
            if up - 1 < 1 + (len(voters) - 1) // 2 and len(voters) > 1:
                raise errors.of("Unhealthy")

    def hash_here(self, revision: int) -> HashResult:
        """This member's hash at that revision, 0 for its newest; raises Compacted, FutureRev."""
        return self.member.machine.hash_kv(revision)

    def _ask_leader(self, kind: str, args: list[Any], ticket: Waiting) -> None:
        member = self.member
        if member.leads_term:
            self._answer_here(kind, args, ticket)
        elif member.contact.leader and member.contact.leader != member.config.id:
            member.call(member.contact.leader, kind, args, ticket)
        else:
            raise errors.of("NoLeader")

    def _answer_here(self, kind: str, args: list[Any], ticket: Waiting) -> None:
        try:
            if kind == calls.LEASE_RENEW:
                ticket.set_result(self.renew_now(int(args[0])))
            elif kind == calls.LEASE_TTL:
                ticket.set_result(self._ttl_now(int(args[0]), keys=bool(args[1])))
            elif kind == calls.PROMOTE:
                self._promote_here(int(args[0]), ticket)
            elif kind == calls.HASH:
                ticket.set_result(list(self.hash_here(int(args[0]))))
            else:
                ticket.set_exception(errors.of("NotCapable"))
        except StoreError as error:
            ticket.set_exception(error)

    def answer(self, call: Call) -> None:
        """Another member's question is answered, now or when what it asks for is applied."""
        member = self.member
        if call.kind != calls.HASH and not member.leads_term:
            member.send(calls.refusal(call, "LeaderChanged"))
            return

        def finished(ticket: Ticket) -> None:
            error = ticket.error
            if isinstance(error, StoreError):
                reply = Reply(call.from_, call.to, call.id, None, int(error.code), error.text)
            else:
                reply = Reply(call.from_, call.to, call.id, ticket.value)
            member.send(reply)

        try:
            self._answer_here(call.kind, call.args, Ticket(finished))
        except (IndexError, TypeError, ValueError):
            member.send(calls.refusal(call, "NotCapable"))

    # -- compaction, name ----------------------------------------------------------------------------------------

    def _compact(self, now_ms: int) -> None:
        assert self.compactor is not None
        machine = self.member.machine
        if self._compaction is not None and self._compaction[1].done():
            revision, ticket = self._compaction
            self._compaction = None
            if ticket.error is None or ticket.error.args == errors.of("Compacted").args:
                self.compactor.done(revision, now_ms)
        revision = self.compactor.due(now_ms, machine.revision)
        if revision and self.member.leads_term and self._compaction is None:
            ticket = self._propose(lambda request_id: command.compact(request_id, revision))
            self._compaction = (revision, ticket)

    def _publish(self, now_ms: int) -> None:
        member = self.member
        if self._publication is not None and not self._publication.done():
            return
        self._publish_ms = now_ms + PUBLISH_RETRY_MS
        if member.config.id not in member.machine.members:
            return  # it has not applied that it was added
        config = member.config
        body = msgspec.msgpack.encode([config.id, config.name, list(config.client_urls)])
        self._publication = self._propose(
            lambda request_id: command.other(request_id, MEMBER_ATTRIBUTES, body)
        )

    def _propose(self, frame_of: Any) -> Ticket:
        ticket = Ticket()
        request_id = self.member.request_id()
        try:
            self.member.propose(request_id, frame_of(request_id), ticket, own=True)
        except StoreError as error:
            ticket.set_exception(error)
        return ticket
