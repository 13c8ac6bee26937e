"""How a member begins: from its directory, as one of the first members of a new cluster, or joining one that runs."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kcore.store import membership
from kcore.store.checks import REQUEST_BYTES_MAX, TXN_OPS_MAX
from kcore.store.disk import Disk
from kcore.store.face import MemberInfo
from kcore.store.files import OsFiles
from kcore.store.machine import Machine
from kcore.store.peer_tls import PeerTLS
from kcore.store.recovery import Layout, Recovered
from kcore.store.refusals import ForeignData
from kcore.store.segments import list_segments
from kcore.store.transport import Description, describe
from kcore_native.raft import Entry, HardState, SnapshotMetadata

log = logging.getLogger("kcore.store")

JOIN_SECONDS_MAX: Final = 30.0  # to find a member of the cluster to join
JOIN_RETRY_SECONDS: Final = 0.5

NEW: Final = "new"
EXISTING: Final = "existing"


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """A replica's configuration; fields are etcd's flags. ``data_dir`` None: nothing is kept."""

    data_dir: str | None = None
    name: str = "default"
    listen_peer_urls: tuple[str, ...] = ()
    initial_advertise_peer_urls: tuple[str, ...] = ("http://localhost:2380",)
    advertise_client_urls: tuple[str, ...] = ()
    initial_cluster: Mapping[str, Sequence[str]] = field(default_factory=dict)  # {}: this member alone
    initial_cluster_state: str = NEW
    initial_cluster_token: str = "etcd-cluster"
    peer_tls: PeerTLS | None = None
    heartbeat_ms: int = 100
    election_ms: int = 1_000
    snapshot_count: int = 10_000
    catch_up_entries: int = 5_000
    snapshot_log_bytes: int = 64 << 20
    quota_bytes: int = 2 << 30  # 0: the default, negative: none
    request_bytes_max: int = REQUEST_BYTES_MAX
    txn_ops_max: int = TXN_OPS_MAX
    fsync: bool = True
    pre_vote: bool = True
    strict_reconfig_check: bool = True
    auto_compaction_mode: str = "periodic"
    auto_compaction_retention: int = 0
    corrupt_check_ms: int = 0
    initial_corrupt_check: bool = False  # not ready before the others' hashes agree with this member's
    lease_checkpoints: bool = False
    auth: Callable[[], Any] | None = None  # makes the users' table; None: kcore.store.auth.Auth

    def new_machine(self) -> Machine:
        """An empty machine by this configuration."""
        from kcore.store.auth import Auth
        from kcore.store.tokens import SimpleTokens

        election_s = -(
            -self.election_ms * 3 // 2 // 1000
        )  # etcd: a lease lives at least 1.5 election timeouts
        machine = Machine(
            self.auth() if self.auth else Auth(SimpleTokens()), min_lease_ttl=max(election_s, 1)
        )
        machine.quota_bytes = self.quota_bytes if self.quota_bytes else 2 << 30
        return machine

    def check(self) -> None:
        """Raises ValueError for what cannot be."""
        if self.election_ms < 5 * self.heartbeat_ms:
            raise ValueError(
                f"election-timeout[{self.election_ms}ms] should be at least as 5 times as"
                f" heartbeat-interval[{self.heartbeat_ms}ms]"
            )
        if self.election_ms > 50_000:
            raise ValueError(
                f"election-timeout[{self.election_ms}ms] is too long, and should be set less than 50000ms"
            )
        if self.heartbeat_ms <= 0:
            raise ValueError(f"heartbeat-interval must be >0 (set to {self.heartbeat_ms}ms)")
        if self.initial_cluster_state not in (NEW, EXISTING):
            raise ValueError(
                f"initial cluster state {self.initial_cluster_state!r} is neither new nor existing"
            )
        if self.initial_cluster and self.name not in self.initial_cluster:
            raise ValueError(f"couldn't find local name {self.name!r} in the initial cluster configuration")


@dataclass(slots=True)
class Founding:
    """Who this member is, and what it knows at its start."""

    cluster_id: int
    member_id: int
    members: list[MemberInfo]  # of use until the machine knows
    hard_state: HardState
    entries: list[Entry]
    snapshot: SnapshotMetadata | None = None
    chunks: Callable[[], Iterable[bytes]] | None = None
    disk: Disk | None = None


async def found(config: ReplicaConfig) -> Founding:
    """The member's beginning; its directory is open and locked. Raises ValueError, DataError, OSError."""
    config.check()
    cluster = dict(config.initial_cluster) or {config.name: config.initial_advertise_peer_urls}
    if config.data_dir is not None and holds_data(config.data_dir):
        return await _recovered(config, cluster)
    if config.initial_cluster_state == EXISTING:
        founding = await _join(config, cluster)
    else:
        founding = _found_new(config, cluster)
    if config.data_dir is not None:
        founding.disk, _ = await asyncio.to_thread(_open, config, founding.cluster_id, founding.member_id)
        await _write_beginning(founding)
    return founding


def holds_data(directory: str) -> bool:
    """True for the data directory of a member that was founded."""
    layout = Layout(directory.rstrip("/") or "/")
    return bool(list_segments(OsFiles(), layout.log))


def _open(config: ReplicaConfig, cluster_id: int | None, member_id: int | None) -> tuple[Disk, Recovered]:
    assert config.data_dir is not None
    return Disk.open(config.data_dir, cluster_id=cluster_id, member_id=member_id, fsync=config.fsync)


async def _recovered(config: ReplicaConfig, cluster: Mapping[str, Sequence[str]]) -> Founding:
    """What the directory says; the flags about the first cluster do not count any more, as in etcd."""
    disk, said = await asyncio.to_thread(_open, config, None, None)
    founding = Founding(
        said.cluster_id, said.member_id, membership.first_members(cluster, config.initial_cluster_token),
        said.hard_state, said.entries, said.snapshot_metadata, said.open_snapshot, disk,
    )  # fmt: skip
    if not said.entries and said.snapshot_metadata is None and config.initial_cluster_state == NEW:
        try:
            fresh = _found_new(config, cluster)
            if (fresh.cluster_id, fresh.member_id) != (said.cluster_id, said.member_id):
                raise ForeignData(
                    f"{config.data_dir} was begun for member {said.member_id:x} of cluster {said.cluster_id:x},"
                    f" and the flags found member {fresh.member_id:x} of cluster {fresh.cluster_id:x}:"
                    " choose another directory"
                )
            founding.hard_state, founding.entries = fresh.hard_state, fresh.entries
            await _write_beginning(founding)  # a crash came before the first entries were on disk
        except BaseException:
            disk.close()
            raise
    return founding


async def _write_beginning(founding: Founding) -> None:
    if founding.entries and founding.disk is not None:
        founding.disk.append(founding.hard_state, founding.entries)
        await asyncio.to_thread(founding.disk.sync)


def _found_new(config: ReplicaConfig, cluster: Mapping[str, Sequence[str]]) -> Founding:
    members = membership.first_members(cluster, config.initial_cluster_token)
    own = membership.member_id(cluster[config.name], config.initial_cluster_token)
    if config.initial_cluster and sorted(cluster[config.name]) != sorted(config.initial_advertise_peer_urls):
        raise ValueError(
            f"--initial-cluster has {config.name}={','.join(sorted(cluster[config.name]))} but missing from"
            f" --initial-advertise-peer-urls={','.join(sorted(config.initial_advertise_peer_urls))}"
        )
    hard_state, entries = membership.bootstrap(members)
    return Founding(membership.cluster_id(m.id for m in members), own, members, hard_state, entries)


async def _join(config: ReplicaConfig, cluster: Mapping[str, Sequence[str]]) -> Founding:
    """The cluster as its members describe it, this member among them by its peer URLs."""
    own = set(config.initial_advertise_peer_urls)
    urls = [url for listed in cluster.values() for url in listed if url not in own]
    said: Description | None = None
    failure: Exception = ValueError("the initial cluster names no other member")
    deadline = asyncio.get_running_loop().time() + JOIN_SECONDS_MAX
    while urls and said is None:
        for url in urls:
            try:
                said = await describe(url, config.peer_tls)
                break
            except (OSError, TimeoutError, ValueError) as error:
                failure = error
        else:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(JOIN_RETRY_SECONDS)
    if said is None:
        raise ValueError(f"cannot fetch cluster info from peer urls: {failure}")
    infos = said.infos()
    for info in infos:
        if set(info.peer_urls) == own:
            return Founding(said.cluster_id, info.id, infos, HardState(), [])
    listed = ", ".join(sorted(url for info in infos for url in info.peer_urls))
    raise ValueError(
        f"no member of the cluster has the peer URLs {', '.join(sorted(own))}: it knows {listed};"
        " add the member to the cluster first"
    )
