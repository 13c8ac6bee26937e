"""What the etcd services need of a store beside ``kv.KV``: cluster, maintenance, authentication, identity.

``kcore.store.embedded.Embedded`` has all of it: ``Store`` is the whole. Every call raises ``StoreError`` with etcd's
code and text. A call that needs the leader (``member_promote``, leases) is passed on to it; ``move_leader`` is not
(etcd answers "not leader").
"""

from collections.abc import AsyncIterator, Callable
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from kcore.store.histogram import Histogram
from kcore.store.kv import KV


class MemberInfo(NamedTuple):
    """One member of the cluster (etcd ``etcdserverpb.Member``); the name is empty until it has started once."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool = False


class AlarmType(IntEnum):
    """etcd ``etcdserverpb.AlarmType``."""

    NONE = 0
    NOSPACE = 1
    CORRUPT = 2


class AlarmAction(IntEnum):
    """etcd ``AlarmRequest.AlarmAction``."""

    GET = 0
    ACTIVATE = 1
    DEACTIVATE = 2


class Alarm(NamedTuple):
    """An alarm that a member has raised."""

    member_id: int
    type: int


class HashResult(NamedTuple):
    """``hash`` of all that is kept up to ``hash_revision`` (etcd ``HashKVResponse``); ``revision`` is the store's."""

    hash: int
    hash_revision: int
    compact_revision: int
    revision: int


class Identity(NamedTuple):
    """Who asks, and the revision of the users' table at which that was established (a later change refuses it)."""

    username: str
    auth_revision: int


class Cluster(Protocol):
    """Who the members are (etcd ``Cluster`` service)."""

    async def members(self, *, serializable: bool = False) -> list[MemberInfo]: ...
    async def member_add(
        self, peer_urls: tuple[str, ...], *, is_learner: bool = False
    ) -> tuple[MemberInfo, list[MemberInfo]]: ...
    async def member_remove(self, id: int) -> list[MemberInfo]: ...  # noqa: A002 - etcd's name
    async def member_update(self, id: int, peer_urls: tuple[str, ...]) -> list[MemberInfo]: ...  # noqa: A002
    async def member_promote(self, id: int) -> list[MemberInfo]: ...  # noqa: A002


class Maintenance(Protocol):
    """etcd ``Maintenance`` service, beside ``status`` and ``snapshot`` of the kv face."""

    async def alarm(self, action: int, member_id: int = 0, type: int = 0) -> list[Alarm]:  # noqa: A002
        """The alarms asked for (GET: of that member and type, 0 for all), or those just raised or cleared."""

    async def hash(self) -> int: ...
    async def hash_kv(self, revision: int = 0) -> HashResult: ...
    async def defragment(self) -> None: ...
    @property
    def downgrade(self) -> str:
        """The version that the cluster is to go back to; empty for none."""

    async def set_downgrade(self, target: str) -> None: ...
    async def move_leader(self, target_id: int) -> None: ...


class Authority(Protocol):
    """The users' table: ``auth_state`` is read at once, ``auth_apply`` replicates a change (``kcore.store.auth``)."""

    @property
    def auth_state(self) -> Any: ...
    async def auth_apply(self, kind: int, body: bytes) -> Any: ...


class Local(Protocol):
    """What a member knows without asking anyone."""

    @property
    def cluster_id(self) -> int: ...
    @property
    def member_id(self) -> int: ...
    @property
    def raft_term(self) -> int: ...
    @property
    def leader_id(self) -> int:
        """The leader that this member follows; 0 where it knows none."""

    @property
    def revision(self) -> int:
        """The revision that this member has applied: what response headers carry."""

    @property
    def is_learner(self) -> bool: ...
    @property
    def stopped(self) -> bool: ...

    def statistics(self) -> dict[str, int | float]:
        """Counters and gauges by name; the daemon's /metrics gives them etcd's names."""

    def histograms(self) -> dict[str, Histogram]:
        """Distributions of seconds by name, for /metrics too."""

    def on_leader_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back once when no leader has been known for three election timeouts; the answer takes it back.

        etcd cancels the streams that carry ``hasleader`` then.
        """


class Store(KV, Cluster, Maintenance, Authority, Local, Protocol):
    """Everything. The object itself is trusted and passes every check of permissions; ``as_user`` is checked."""

    def as_user(self, identity: Identity) -> "Store":
        """The same store seen by one user: every call is checked against the users' table where it is switched on."""

    async def linearize(self) -> None:
        """Returns once this member has applied all that was committed when it was called (a read index round)."""

    async def authenticate(self, name: str, password: str) -> str:
        """A token for that user, valid on this member (etcd ``Auth.Authenticate``)."""

    def snapshot(self) -> AsyncIterator[bytes]: ...
