"""The replicated state machine: what a committed entry does to keys, leases, users, alarms and members.

Deterministic: equal entries make equal machines on every member; it has no clock, chance or I/O. ``apply`` answers each
request of an entry with a result of ``kcore.store.kv`` or the ``StoreError`` that refuses it, in the order in which
etcd refuses: the CORRUPT alarm, the NOSPACE alarm, permissions, then the request itself
(``server/etcdserver/apply``). The snapshot is the whole state: this module's head (msgpack ``_Head``), then keys and leases
as ``kcore_native.mvcc.snapshot`` writes them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from kcore.store import errors, membership
from kcore.store.errors import StoreError
from kcore.store.face import Alarm, AlarmAction, AlarmType, HashResult, MemberInfo
from kcore.store.kv import (
    Compare,
    DeleteOp,
    KeyValue,
    LeaseResult,
    Op,
    PutOp,
    RangeOp,
    RangeResult,
    TxnOp,
    TxnResult,
)
from kcore_native.mvcc import command
from kcore_native.mvcc.lease import LeaseBook
from kcore_native.mvcc.snapshot import SnapshotReader
from kcore_native.mvcc.store import Store
from kcore_native.mvcc.watch import Watcher

# Kinds of ``command.other``; bodies are msgpack.
MEMBER_ATTRIBUTES: Final = 1  # [member id, name, [client URLs]]
CLUSTER_VERSION: Final = 2  # "3.6.0"
DOWNGRADE: Final = 3  # the target version, "" for none
AUTH_FIRST: Final = 100  # this kind and all above go to ``auth.apply`` as they are

LEASE_TTL_MIN_S: Final = 2  # etcd's with its default election timeout of one second
QUOTA_BYTES: Final = 2 << 30  # etcd's default
KEY_OVERHEAD_BYTES: Final = 256  # counted against the quota for each put, as etcd does
FORMAT_VERSION: Final = 1


class Outcome(NamedTuple):
    """What became of one request: a result of its kind, or the ``StoreError`` that refused it."""

    request_id: int
    result: Any


class Authority(Protocol):
    """What the machine needs of the users' table (``kcore.store.auth.Auth``)."""

    @property
    def enabled(self) -> bool: ...
    def apply(
        self, kind: int, body: bytes, username: str | None, auth_revision: int, index: int
    ) -> object: ...
    def check_put(
        self,
        username: str | None,
        auth_revision: int,
        key: bytes,
        prev_kv: bool = False,
        lease_keys: Sequence[bytes] = (),
    ) -> None: ...
    def check_delete(
        self,
        username: str | None,
        auth_revision: int,
        key: bytes,
        end: bytes | None = None,
        prev_kv: bool = False,
    ) -> None: ...
    def check_txn(
        self,
        username: str | None,
        auth_revision: int,
        txn: TxnOp,
        lease_keys: Callable[[int], Sequence[bytes]],
    ) -> None: ...
    def check_lease(self, username: str | None, auth_revision: int, keys: Sequence[bytes]) -> None: ...
    def encode(self) -> bytes: ...
    def decode(self, data: bytes) -> None: ...


class _Head(msgspec.Struct, array_like=True):
    """What a snapshot holds beside keys and leases; ``auth`` is the users' table's own encoding."""

    version: int
    applied_index: int
    applied_term: int
    members: list[MemberInfo]
    removed: list[int]
    alarms: list[Alarm]
    cluster_version: str
    downgrade: str
    auth: bytes


_head_decoder: Final = msgspec.msgpack.Decoder(_Head)
_attributes_decoder: Final = msgspec.msgpack.Decoder(tuple[int, str, tuple[str, ...]])
_text_decoder: Final = msgspec.msgpack.Decoder(str)


class Machine:
    """Everything that is replicated.

    ``min_lease_ttl`` in seconds must be the same on all members; ``auth`` is None where nobody is ever checked.
    Negative ``quota_bytes``: no quota.
    Invariant: ``applied_index`` and ``applied_term`` are those of the last entry that is part of the state.
    """

    def __init__(self, auth: Authority | None = None, *, min_lease_ttl: int = LEASE_TTL_MIN_S) -> None:
        self.auth: Any = auth
        self.store: Final = Store(errors.of, StoreError, min_lease_ttl)
        self.leases: Final[LeaseBook] = self.store.leases
        self.applied_index = 0
        self.applied_term = 0
        self.members: dict[int, MemberInfo] = {}
        self.removed: set[int] = set()
        self.alarms: list[Alarm] = []  # sorted
        self.cluster_version = ""
        self.downgrade = ""
        self.quota_bytes = QUOTA_BYTES
        # What callers on the hot path use; bound once.
        self.range: Final[Callable[..., RangeResult]] = self.store.range
        self.get: Final[Callable[[bytes], KeyValue | None]] = self.store.get
        self.watch: Final[Callable[..., Watcher]] = self.store.watch
        self.publish: Final[Callable[[], None]] = self.store.publish

    # -- what it knows

    @property
    def revision(self) -> int:
        """The revision of the newest change; 1 in an empty store."""
        return self.store.revision

    @property
    def compact_revision(self) -> int:
        """Reads before it are refused; -1 until the first compaction."""
        return self.store.compact_revision

    @property
    def key_count(self) -> int:
        """How many keys exist."""
        return self.store.key_count

    @property
    def size_bytes(self) -> int:
        """Bytes of keys and versions in memory: what counts against the quota. Not equal on all members."""
        return self.store.size_bytes

    @property
    def over_quota(self) -> bool:
        """True where the NOSPACE alarm should be raised."""
        return 0 <= self.quota_bytes <= self.store.size_bytes

    @property
    def no_space(self) -> bool:
        """True while a NOSPACE alarm is on: puts and leases are refused."""
        return any(alarm.type == AlarmType.NOSPACE for alarm in self.alarms)

    @property
    def corrupt(self) -> bool:
        """True while a CORRUPT alarm is on: all requests are refused."""
        return any(alarm.type == AlarmType.CORRUPT for alarm in self.alarms)

    def hash_kv(self, revision: int = 0) -> HashResult:
        """The hash of all that is kept up to ``revision``, 0 for now: equal on all members, and to etcd's."""
        digest, compact_revision, hashed = self.store.hash_kv(revision)
        return HashResult(digest, hashed, compact_revision, self.store.revision)

    def txn_read(
        self, compares: Sequence[Compare] = (), success: Sequence[Op] = (), failure: Sequence[Op] = ()
    ) -> TxnResult:
        """The answer of a transaction that only reads; such a one need not be in the log."""
        assert not any(isinstance(op, PutOp | DeleteOp) for op in (*success, *failure))
        return self.store.txn(compares, success, failure)

    # -- what changes it

    def apply(self, index: int, term: int, payload: bytes, *, results: bool = True) -> list[tuple[int, Any]]:
        """(request id, outcome) of an entry's requests in order; empty where ``results`` is false (nobody here waits).

        An entry already applied changes nothing. Raises ValueError, having changed nothing, where the payload is garbage.
        """
        if index <= self.applied_index:
            return []
        if not payload:
            self.applied_index, self.applied_term = index, term
            return []

        def act(request: command.Request) -> object:
            return self._act(index, request)

        outcomes = self.store.apply(payload, self._check, act, results)
        self.applied_index, self.applied_term = index, term
        return outcomes

    def apply_conf_change(self, index: int, term: int, context: bytes) -> Outcome:
        """The members afterwards, by the context that ``membership.conf_change`` wrote, or why it was refused."""
        change = membership.read_context(context)
        self.applied_index, self.applied_term = index, term
        after = membership.apply_changes(self.members, self.removed, change.changes)
        if isinstance(after, StoreError):
            return Outcome(change.request_id, after)
        self.members, self.removed = after
        return Outcome(change.request_id, [self.members[member_id] for member_id in sorted(self.members)])

    def _check(self, request: command.Request) -> None:
        """Returns where a put, deletion or transaction may be done while an alarm is on or users are checked."""
        if self.corrupt:
            raise errors.of("Corrupt")
        if self.no_space and _puts(request):
            raise errors.of("NoSpace")
        if self.auth is None or not self.auth.enabled:
            return
        username, auth_revision, op = request.username, request.auth_revision, request.op
        if request.kind == command.PUT:
            key, _, lease, prev_kv, _, _ = op
            self.auth.check_put(username, auth_revision, key, prev_kv, self._lease_keys(lease))
        elif request.kind == command.DELETE:
            self.auth.check_delete(username, auth_revision, *op)
        else:
            self.auth.check_txn(username, auth_revision, txn_op(op), self._lease_keys)

    def _act(self, index: int, request: command.Request) -> object:
        """Does what is no put, deletion or transaction."""
        op = request.op
        if request.kind == command.COMPACT:
            self._refuse_corrupt()
            return self.store.compact(op[0])
        if request.kind == command.LEASE_GRANT:
            self._refuse_corrupt()
            if self.no_space:
                raise errors.of("NoSpace")
            ttl = self.store.lease_grant(*op)
            return LeaseResult(self.store.revision, op[0], ttl, ttl)
        if request.kind == command.LEASE_REVOKE:
            self._refuse_corrupt()
            if self.auth is not None and self.auth.enabled:
                self.auth.check_lease(request.username, request.auth_revision, self._lease_keys(op[0]))
            return self.store.lease_revoke(op[0])
        if request.kind == command.LEASE_CHECKPOINT:
            for lease, remaining in op[0]:
                self.leases.checkpoint(lease, remaining)
            return None
        if request.kind == command.ALARM:
            return self._alarm(*op)
        kind, body = op
        try:
            return self._other(index, kind, body, request)
        except ValueError as error:  # a body that is none of its kind's: every member refuses it alike
            return StoreError(errors.Code.INVALID_ARGUMENT, f"etcdserver: {error}")

    def _other(self, index: int, kind: int, body: bytes, request: command.Request) -> object:
        if kind >= AUTH_FIRST and self.auth is not None:
            result: object = self.auth.apply(kind, body, request.username, request.auth_revision, index)
            self._guard()
            return result
        if kind == MEMBER_ATTRIBUTES:
            member_id, name, client_urls = _attributes_decoder.decode(body)
            if (known := self.members.get(member_id)) is not None:
                self.members[member_id] = known._replace(name=name, client_urls=client_urls)
            return None
        if kind == CLUSTER_VERSION:
            self.cluster_version = _text_decoder.decode(body)
            return None
        if kind == DOWNGRADE:
            self.downgrade = _text_decoder.decode(body)
            return None
        raise ValueError(f"request of unknown kind {kind}")

    def _alarm(self, action: int, member_id: int, kind: int) -> list[Alarm]:
        """etcd ``AlarmStore``: what was asked for, or the one alarm just raised or cleared."""
        alarm = Alarm(member_id, kind)
        if action == AlarmAction.GET:
            return [one for one in self.alarms if kind in (AlarmType.NONE, one.type)]
        if action == AlarmAction.ACTIVATE and kind != AlarmType.NONE:
            if alarm not in self.alarms:
                self.alarms = sorted([*self.alarms, alarm])
        elif action == AlarmAction.DEACTIVATE and alarm in self.alarms:
            self.alarms = [one for one in self.alarms if one != alarm]
        else:
            return []
        self._guard()
        return [alarm]

    def _refuse_corrupt(self) -> None:
        if self.corrupt:
            raise errors.of("Corrupt")

    def _guard(self) -> None:
        """Requests are checked from now on where there is a reason to."""
        self.store.guarded = bool(self.alarms) or (self.auth is not None and self.auth.enabled)

    def _lease_keys(self, lease: int) -> list[bytes]:
        return self.leases.keys(lease) if lease in self.leases else []

    # -- snapshots

    def snapshot(self) -> SnapshotReader:
        """The whole state as it is now, though writes go on: iterate for chunks, then ``close``."""
        head = _Head(
            FORMAT_VERSION,
            self.applied_index,
            self.applied_term,
            [self.members[member_id] for member_id in sorted(self.members)],
            sorted(self.removed),
            self.alarms,
            self.cluster_version,
            self.downgrade,
            b"" if self.auth is None else self.auth.encode(),
        )
        return self.store.snapshot(msgspec.msgpack.encode(head))

    def restore(self, chunks: Iterable[bytes]) -> None:
        """All state is the snapshot's; open watches go on. ValueError, and nothing changed, for anything else."""
        head: list[_Head] = []

        def accept(raw: bytes) -> None:
            head.append(read_head(raw))
            if self.auth is not None and head[0].auth:
                self.auth.decode(head[0].auth)  # the last thing that may fail

        self.store.restore(chunks, accept)
        state = head[0]
        self.applied_index, self.applied_term = state.applied_index, state.applied_term
        self.members = {member.id: member for member in state.members}
        self.removed = set(state.removed)
        self.alarms = state.alarms
        self.cluster_version, self.downgrade = state.cluster_version, state.downgrade
        self._guard()


def read_head(raw: bytes) -> _Head:
    """What a snapshot holds beside keys and leases; ValueError for anything else."""
    try:
        head = _head_decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise ValueError(f"snapshot: {error}") from None
    if head.version != FORMAT_VERSION:
        raise ValueError(f"snapshot: version {head.version} of the machine, this is {FORMAT_VERSION}")
    return head


def txn_op(op: tuple[Any, ...]) -> TxnOp:
    """A decoded transaction as the kv face's type, with all that is in it."""
    compares, success, failure = op
    return TxnOp(
        [Compare(*compare) for compare in compares],
        [_typed(one) for one in success],
        [_typed(one) for one in failure],
    )


def _typed(op: tuple[Any, ...]) -> Op:
    if len(op) == len(PutOp._fields):
        return PutOp(*op)
    if len(op) == len(RangeOp._fields):
        return RangeOp(*op)
    return DeleteOp(*op) if isinstance(op[0], bytes) else txn_op(op)


def put_cost(key: bytes, value: bytes) -> int:
    """Bytes that a put counts against the quota (etcd ``storage/quota.go``)."""
    return KEY_OVERHEAD_BYTES + len(key) + len(value)


def txn_cost(op: TxnOp) -> int:
    """Bytes that a transaction counts: the dearer branch; 0 where neither puts."""
    return max(sum(map(_cost, op.success)), sum(map(_cost, op.failure)))


def _cost(op: Op) -> int:
    if isinstance(op, PutOp):
        return put_cost(op.key, op.value)
    return txn_cost(op) if isinstance(op, TxnOp) else 0


def _puts(request: command.Request) -> bool:
    """True for what the NOSPACE alarm refuses."""
    return request.kind == command.PUT or (request.kind == command.TXN and txn_cost(txn_op(request.op)) > 0)
