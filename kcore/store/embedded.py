"""The kv face, and all that etcd's services need beside it, over a replica in this process.

A read that may be answered at once is: a single member that leads has seen every write that was acknowledged, so
nothing is awaited and no future made. Everything else is proposed and awaited, or waits for a read index.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from kcore.store import checks, errors, face, membership, passwords, tokens
from kcore.store.auth_requests import Authenticate, encode_request
from kcore.store.bootstrap import ReplicaConfig
from kcore.store.errors import StoreError
from kcore.store.face import Alarm, AlarmAction, AlarmType, HashResult, Identity, MemberInfo
from kcore.store.histogram import Histogram
from kcore.store.kv import (
    Compare,
    DeleteResult,
    KeyValue,
    LeaseResult,
    Op,
    PutResult,
    RangeResult,
    Status,
    TxnOp,
    TxnResult,
)
from kcore.store.machine import DOWNGRADE
from kcore.store.membership import Change
from kcore.store.replica import Replica
from kcore.store.watching import EmbeddedWatch
from kcore_native.mvcc import command

VERSION: Final = "3.6.5"  # the etcd whose behaviour this is; clients decide by it what they may ask
STORAGE_VERSION: Final = "3.6.0"
LEASE_RETRY_SECONDS: Final = 0.05  # between attempts where the leader has changed
LEASE_GONE: Final = -1

_put = command.put


class Embedded:
    """A store in this process. ``username`` None is trusted; ``as_user`` gives a store that checks permissions."""

    def __init__(self, replica: Replica, identity: Identity | None = None, *, owns: bool = False) -> None:
        self.replica: Final = replica
        self.identity: Final = identity
        self._owns = owns
        self._member = replica.member
        self._machine = replica.machine
        self._proposals = replica.member.proposals
        self._loop = replica.loop
        self._create_future = replica.loop.create_future
        self._kick = replica.kick
        self._range = replica.machine.range
        self._get = replica.machine.get
        self._username = identity.username if identity else None
        self._auth_revision = identity.auth_revision if identity else 0
        self._request_bytes_max = replica.config.request_bytes_max

    @classmethod
    async def open(cls, directory: str | None = None, **options: Any) -> "Embedded":
        """A cluster of one in that directory (None: nothing is kept), ready; options are ``ReplicaConfig``'s fields."""
        options.setdefault("heartbeat_ms", 100)
        options.setdefault("election_ms", 1_000)
        config = ReplicaConfig(data_dir=directory, **options)
        replica = await Replica.start(config)
        store = cls(replica, owns=True)
        await store.wait_ready()
        return store

    async def wait_ready(self) -> None:
        """The member has a leader and is known by its name; raises Stopped where it stops before."""
        ready = asyncio.ensure_future(self.replica.ready.wait())
        stopped = asyncio.ensure_future(self.replica.stopped.wait())
        try:
            await asyncio.wait((ready, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not self.replica.ready.is_set():
                raise errors.of("Stopped")
        finally:
            ready.cancel()
            stopped.cancel()

    # -- local knowledge -----------------------------------------------------------------------------------------

    @property
    def cluster_id(self) -> int:
        """The cluster's id."""
        return self.replica.cluster_id

    @property
    def member_id(self) -> int:
        """This member's id."""
        return self.replica.member_id

    @property
    def raft_term(self) -> int:
        """The term that this member knows."""
        return self._member.node.term

    @property
    def leader_id(self) -> int:
        """The leader that this member follows; 0 where it knows none."""
        return self._member.leader

    @property
    def revision(self) -> int:
        """The revision that this member has applied."""
        return self._machine.revision

    @property
    def is_learner(self) -> bool:
        """True for a member without a vote."""
        info = self._machine.members.get(self.replica.member_id)
        return info is not None and info.is_learner

    @property
    def stopped(self) -> bool:
        """True where it answers no more."""
        return self._member.removed or self.replica.stopped.is_set()

    @property
    def auth_state(self) -> Any:
        """The users' table as this member has applied it."""
        return self._machine.auth

    def as_user(self, identity: Identity) -> "Embedded":
        """The same store, every call checked for that user where the checks are switched on."""
        return Embedded(self.replica, identity)

    def statistics(self) -> dict[str, int | float]:
        """Counters and gauges by name."""
        member, replica, machine = self._member, self.replica, self._machine
        sent = sum(peer.sent_bytes for peer in replica.transport.peers.values())
        return {
            "has_leader": int(member.leader != 0),
            "is_leader": int(member.is_leader),
            "is_learner": int(self.is_learner),
            "leader_changes_seen": member.leader_changes,
            "proposals_committed": member.node.committed,
            "proposals_applied": machine.applied_index,
            "requests_applied": member.proposals_applied,
            "proposals_pending": len(member.proposals.pending),
            "read_indexes": member.reads.rounds,
            "leases_expired": member.duties.expired_leases,
            "proposals_failed": member.proposals.failed,
            "fsyncs": replica.sync_times.count,
            "fsync_seconds": replica.sync_times.total,
            "entries_written": replica.entries_written,
            "peer_sent_bytes": sent,
            "peer_received_bytes": replica.transport.received_bytes,
            "db_size_bytes": machine.size_bytes,
            "keys": machine.key_count,
            "revision": machine.revision,
            "compact_revision": machine.compact_revision,
            "quota_bytes": machine.quota_bytes,
            "ranges": machine.store.range_count,
            "puts": machine.store.put_count,
            "deletes": machine.store.delete_count,
            "txns": machine.store.txn_count,
            "put_bytes": machine.store.put_bytes,
        }

    def histograms(self) -> dict[str, Histogram]:
        """How long syncs of the log took, and how long the entries of a turn took to apply, in seconds."""
        return {"fsync": self.replica.sync_times, "apply": self.replica.apply_times}

    def on_leader_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back once when no leader was known for three election timeouts; the answer takes it back."""
        return self.replica.on_leader_lost(callback)

    # -- reads ---------------------------------------------------------------------------------------------------

    async def linearize(self) -> None:
        """This member has applied all that was committed when this was called."""
        if not self._member.fresh:
            future: asyncio.Future[int] = self._loop.create_future()
            self._member.read(future)
            self._kick()
            await future

    async def range(
        self,
        key: bytes,
        end: bytes | None = None,
        *,
        limit: int = 0,
        revision: int = 0,
        sort_order: int = 0,
        sort_target: int = 0,
        keys_only: bool = False,
        count_only: bool = False,
        min_mod_revision: int = 0,
        max_mod_revision: int = 0,
        min_create_revision: int = 0,
        max_create_revision: int = 0,
        serializable: bool = False,
    ) -> RangeResult:
        """The keys of [key, end) as ``kv.KV`` says; raises Compacted, FutureRev, PermissionDenied."""
        if not key or sort_order or sort_target:
            checks.check_range(key, sort_order, sort_target)
        if not serializable and not self._member.fresh:
            await self.linearize()
        if self._username is not None:
            self._machine.auth.check_range(self._username, self._auth_revision, key, end)
        return self._range(
            key, end, limit, revision, sort_order, sort_target, keys_only, count_only,
            min_mod_revision, max_mod_revision, min_create_revision, max_create_revision,
        )  # fmt: skip

    async def get(self, key: bytes, *, revision: int = 0, serializable: bool = False) -> KeyValue | None:
        """The key's value, None where there is none."""
        if revision or self._username is not None or not key:
            kvs = (await self.range(key, revision=revision, serializable=serializable)).kvs
            return kvs[0] if kvs else None
        if not serializable and not self._member.fresh:
            await self.linearize()
        return self._get(key)

    # -- writes --------------------------------------------------------------------------------------------------

    def _propose(self, request_id: int, frame: bytes) -> Awaitable[Any]:
        """What the request comes to, when it is applied."""
        proposals = self._proposals
        if len(frame) > self._request_bytes_max:
            raise errors.of("RequestTooLarge")
        if proposals.refusal:
            raise errors.of(proposals.refusal)
        future: asyncio.Future[Any] = self._create_future()
        proposals.add(request_id, frame, future)
        replica = self.replica
        if not replica.kicked:
            self._kick()
        elif len(proposals.frames) >= replica.early_frames and replica.writing is None:
            replica.turn_early()
        return future

    async def put(
        self,
        key: bytes,
        value: bytes,
        *,
        lease: int = 0,
        prev_kv: bool = False,
        ignore_value: bool = False,
        ignore_lease: bool = False,
    ) -> PutResult:
        """The key has the value, durably on a majority."""
        if not key or ignore_value or ignore_lease:
            checks.check_put(key, value, lease, ignore_value, ignore_lease)
        proposals = self._proposals
        request_id = proposals.last_id = proposals.last_id + 1
        frame = _put(
            request_id, key, value, lease, prev_kv, ignore_value, ignore_lease, self._username, self._auth_revision
        )  # fmt: skip
        result: PutResult = await self._propose(request_id, frame)
        return result

    async def delete_range(
        self, key: bytes, end: bytes | None = None, *, prev_kv: bool = False
    ) -> DeleteResult:
        """The keys of [key, end) are gone."""
        if not key:
            raise errors.of("EmptyKey")
        request_id = self._proposals.next_id()
        frame = command.delete_range(request_id, key, end, prev_kv, self._username, self._auth_revision)
        result: DeleteResult = await self._propose(request_id, frame)
        return result

    async def txn(
        self, compares: Sequence[Compare] = (), success: Sequence[Op] = (), failure: Sequence[Op] = ()
    ) -> TxnResult:
        """All or nothing of one branch; one that only reads is not replicated, only linearizable."""
        if checks.check_txn(compares, success, failure, self.replica.config.txn_ops_max):
            await self.linearize()
            if self._username is not None:
                self._machine.auth.check_txn(
                    self._username, self._auth_revision, TxnOp(compares, success, failure)
                )
            return self._machine.txn_read(compares, success, failure)
        request_id = self._proposals.next_id()
        frame = command.txn(request_id, compares, success, failure, self._username, self._auth_revision)
        result: TxnResult = await self._propose(request_id, frame)
        return result

    async def compact(self, revision: int, *, physical: bool = False) -> int:
        """Nothing older than ``revision`` is kept; the revision of the store. Compaction is always physical."""
        self._check_admin()
        request_id = self._proposals.next_id()
        frame = command.compact(request_id, revision, self._username, self._auth_revision)
        await self._propose(request_id, frame)
        return self._machine.revision

    def watch(
        self,
        key: bytes,
        end: bytes | None = None,
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
        no_put: bool = False,
        no_delete: bool = False,
        fragment: bool = False,
    ) -> EmbeddedWatch:
        """An open watch from ``start_revision`` on, from the next revision where that is 0."""
        if self._username is not None:
            self._machine.auth.check_range(self._username, self._auth_revision, key, end)
        first = max(start_revision, 0)
        watcher = self._machine.watch(key, end, first, prev_kv, no_put, no_delete, fragment)
        if start_revision < 0:
            watcher.cancel(errors.of("Compacted").text)
        return EmbeddedWatch(watcher, self._loop, progress_notify=progress_notify)

    # -- leases --------------------------------------------------------------------------------------------------

    async def lease_grant(self, ttl: int, id: int = 0) -> LeaseResult:  # noqa: A002 - etcd's name
        """A lease of that many seconds; raises LeaseExist, LeaseTTLTooLarge."""
        request_id = self._proposals.next_id()
        lease = id or self._proposals.next_id() & ((1 << 63) - 1)
        frame = command.lease_grant(request_id, lease, ttl, self._username, self._auth_revision)
        result: LeaseResult = await self._propose(request_id, frame)
        return result

    async def lease_revoke(self, id: int) -> int:  # noqa: A002
        """The lease and its keys are gone; the revision of the store. Raises LeaseNotFound."""
        request_id = self._proposals.next_id()
        frame = command.lease_revoke(request_id, id, self._username, self._auth_revision)
        await self._propose(request_id, frame)
        return self._machine.revision

    async def lease_keep_alive(self, id: int) -> LeaseResult:  # noqa: A002
        """The lease runs anew, by the leader's clock; raises LeaseNotFound where it is gone."""
        if self._username is not None and id in self._machine.leases:
            held = self._machine.leases.keys(id)
            self._machine.auth.check_lease(self._username, self._auth_revision, held)
        ttl = await self._ask_leader(lambda future: self._member.duties.renew(id, future, self._now_ms()))
        return LeaseResult(self._machine.revision, id, ttl, ttl)

    async def lease_time_to_live(self, id: int, *, keys: bool = False) -> LeaseResult:  # noqa: A002
        """Seconds left by the leader's clock, -1 where the lease is gone."""
        if keys and self._username is not None and id in self._machine.leases:
            held = self._machine.leases.keys(id)
            self._machine.auth.check_lease(self._username, self._auth_revision, held, writing=False)
        try:
            left, granted, attached = await self._ask_leader(
                lambda future: self._member.duties.time_to_live(id, future, self._now_ms(), keys=keys)
            )
        except StoreError as error:
            if error.text != errors.of("LeaseNotFound").text:
                raise
            return LeaseResult(self._machine.revision, id, LEASE_GONE)
        return LeaseResult(self._machine.revision, id, left, granted, [bytes(key) for key in attached])

    async def leases(self) -> list[int]:
        """The ids of all leases: on the leader the next to expire first."""
        if self._username is not None and self._machine.auth.enabled:
            for lease in self._machine.leases.ids():
                held = self._machine.leases.keys(lease)
                self._machine.auth.check_lease(self._username, self._auth_revision, held, writing=False)
        return self._member.duties.lessor.by_expiry(self._now_ms())

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)

    async def _ask_leader(self, ask: Callable[[asyncio.Future[Any]], None]) -> Any:
        """The leader's answer; another one is asked where it changes meanwhile."""
        deadline = self._loop.time() + self._member.config.request_timeout_ms / 1000
        while True:
            future: asyncio.Future[Any] = self._loop.create_future()
            try:
                ask(future)
                self._kick()
                return await future
            except StoreError as error:
                retried = error.text in (errors.of("LeaderChanged").text, errors.of("NoLeader").text)
                if not retried or self._loop.time() > deadline or self.stopped:
                    raise
            await asyncio.sleep(LEASE_RETRY_SECONDS)

    # -- cluster -------------------------------------------------------------------------------------------------

    async def members(self, *, serializable: bool = False) -> list[MemberInfo]:
        """The members, by id."""
        if not serializable:
            await self.linearize()
        return self._member.members()

    async def member_add(
        self, peer_urls: tuple[str, ...], *, is_learner: bool = False
    ) -> tuple[MemberInfo, list[MemberInfo]]:
        """The new member, which may now be started with state "existing", and all members."""
        config = self.replica.config
        new_id = membership.member_id(peer_urls, config.initial_cluster_token, self.replica.unix_ms() // 1000)
        kind = membership.ADD_LEARNER if is_learner else membership.ADD
        after = await self._change(Change(kind, new_id, tuple(peer_urls)))
        return next(info for info in after if info.id == new_id), after

    async def member_remove(self, id: int) -> list[MemberInfo]:  # noqa: A002 - etcd's name
        """The members without that one; it stops."""
        return await self._change(Change(membership.REMOVE, id))

    async def member_update(self, id: int, peer_urls: tuple[str, ...]) -> list[MemberInfo]:  # noqa: A002
        """The members, that one at other URLs."""
        return await self._change(Change(membership.UPDATE, id, tuple(peer_urls)))

    async def member_promote(self, id: int) -> list[MemberInfo]:  # noqa: A002
        """The members, that learner a voter; raises LearnerNotReady."""
        self._check_admin()
        rows = await self._ask_leader(lambda future: self._promote(id, future))
        return [MemberInfo(row[0], row[1], tuple(row[2]), tuple(row[3]), row[4]) for row in rows]

    def _promote(self, member_id: int, future: asyncio.Future[Any]) -> None:
        self._member.promote_member(member_id, future)

    async def _change(self, change: Change) -> list[MemberInfo]:
        self._check_admin()
        future: asyncio.Future[list[MemberInfo]] = self._loop.create_future()
        self._member.propose_member_change([change], future)
        self._kick()
        return await future

    async def move_leader(self, target_id: int) -> None:
        """That member leads; raises NotLeader where this one does not, BadLeaderTransferee."""
        self._check_admin()
        future: asyncio.Future[None] = self._loop.create_future()
        self._member.transfer_leader(target_id, future)
        self._kick()
        await future

    # -- maintenance ---------------------------------------------------------------------------------------------

    async def alarm(self, action: int, member_id: int = 0, type: int = 0) -> list[Alarm]:  # noqa: A002
        """The alarms asked for, or those just raised or cleared."""
        if action == AlarmAction.GET:
            return [
                alarm
                for alarm in self._machine.alarms
                if (not type or alarm.type == type) and (not member_id or alarm.member_id == member_id)
            ]
        request_id = self._proposals.next_id()
        frame = command.alarm(request_id, action, member_id, type, self._username, self._auth_revision)
        result: list[Alarm] = await self._propose(request_id, frame)
        return result

    async def hash(self) -> int:
        """The hash of all keys at the newest revision."""
        return self._machine.hash_kv(0).hash

    async def hash_kv(self, revision: int = 0) -> HashResult:
        """The hash of all keys up to that revision (0: the newest); raises Compacted, FutureRev."""
        return self._machine.hash_kv(revision)

    async def defragment(self) -> None:
        """Memory that compaction freed is used again: it always is, so there is nothing to do."""
        self._check_admin()

    @property
    def downgrade(self) -> str:
        """The version that the cluster is to go back to; empty for none."""
        return self._machine.downgrade

    async def set_downgrade(self, target: str) -> None:
        """Every member knows that version as the one to go back to; "" for none."""
        self._check_admin()
        request_id = self._proposals.next_id()
        body = msgspec.msgpack.encode(target)
        await self._propose(
            request_id, command.other(request_id, DOWNGRADE, body, self._username, self._auth_revision)
        )

    async def status(self) -> Status:
        """etcd's ``StatusResponse``."""
        self._check_admin()
        member, machine = self._member, self._machine
        problems = [] if member.leader else [errors.of("NoLeader").text]
        problems += [f"memberID:{a.member_id} alarm:{AlarmType(a.type).name} " for a in machine.alarms]
        return Status(
            version=VERSION,
            db_size=machine.size_bytes,
            db_size_in_use=machine.size_bytes,
            leader=member.leader,
            raft_index=member.node.committed,
            raft_applied_index=machine.applied_index,
            raft_term=member.node.term,
            errors=problems,
            is_learner=self.is_learner,
            db_size_quota=max(machine.quota_bytes, 0),
            storage_version=STORAGE_VERSION,
        )

    async def snapshot(self) -> AsyncIterator[bytes]:
        """The whole state as of now, in chunks (``kcore.store.machine`` says the format)."""
        self._check_admin()
        reader = self._machine.snapshot()
        try:
            for chunk in reader:
                yield chunk
                await asyncio.sleep(0)
        finally:
            reader.close()

    # -- users ---------------------------------------------------------------------------------------------------

    async def auth_apply(self, kind: int, body: bytes) -> Any:
        """The change of the users' table is made (``kcore.store.auth_requests`` encodes them)."""
        request_id = self._proposals.next_id()
        frame = command.other(request_id, kind, body, self._username, self._auth_revision)
        return await self._propose(request_id, frame)

    async def authenticate(self, name: str, password: str) -> str:
        """A token for that user; raises AuthFailed, AuthNotEnabled."""
        await self.linearize()
        auth = self._machine.auth
        while True:
            hashed, revision = auth.password_hash(name)
            if not await asyncio.to_thread(passwords.matches, password, hashed):
                raise errors.of("AuthFailed")
            prefix = tokens.random_prefix(secrets.SystemRandom().randrange)
            token: str = await self.auth_apply(*encode_request(Authenticate(name, prefix)))
            if auth.revision == revision:
                return token

    def _check_admin(self) -> None:
        if self._username is not None:
            self._machine.auth.check_admin(self._username)

    async def close(self) -> None:
        """Nothing is answered any more; where this store opened its replica, that is stopped."""
        if self._owns:
            await self.replica.stop()


def _conforms(store: Embedded) -> face.Store:
    return store  # mypy: an Embedded is a Store
