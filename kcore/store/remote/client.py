"""``Remote``: the kv face, each call one request to the cluster."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio

from kcore.store import errors
from kcore.store.errors import StoreError
from kcore.store.etcd import messages
from kcore.store.kv import (
    Compare,
    DeleteOp,
    DeleteResult,
    KeyValue,
    LeaseResult,
    Op,
    PutOp,
    PutResult,
    RangeOp,
    RangeResult,
    Status,
    TxnResult,
)
from kcore.store.remote import convert
from kcore.store.remote.channel import Balancer, Connection, Credentials, Limits
from kcore.store.remote.watch import RemoteWatch, Wanted

KV_PATH = "/etcdserverpb.KV/"
LEASE_PATH = "/etcdserverpb.Lease/"
MAINTENANCE_PATH = "/etcdserverpb.Maintenance/"


async def connect(
    endpoints: Sequence[str], credentials: Credentials | None = None, limits: Limits | None = None
) -> "Remote":
    """A client of the cluster behind the endpoints, one of which has answered; ``StoreError`` where none does.

    ``http://`` and ``https://`` URLs, or ``host:port``. ``ValueError`` where an endpoint is none of these.
    """
    client = Remote(endpoints, credentials or Credentials(), limits or Limits())
    try:
        await client.authenticate()
        await client.status()
    except BaseException:
        await client.close()
        raise
    return client


class Remote:
    """A cluster as its client sees it (``kv.KV``). The three identities are those of the last answer's header."""

    def __init__(self, endpoints: Sequence[str], credentials: Credentials, limits: Limits) -> None:
        self.cluster_id = 0
        self.member_id = 0
        self.raft_term = 0
        self._balancer = Balancer(endpoints, credentials, limits)
        self._unplaced: set[asyncio.Future[None]] = set()
        self._watches: set[RemoteWatch] = set()

    async def authenticate(self) -> None:
        """There is a fresh token, where a name and password were given."""
        await self._balancer.authenticate()

    async def _call(self, path: str, request: Any, *, repeatable: bool = False) -> Any:
        if self._unplaced and not repeatable:
            # a watch sees what its own client writes after opening it
            await asyncio.wait(self._unplaced, timeout=self._balancer.limits.timeout_s or None)
        response = await self._balancer.call(path, request, repeatable=repeatable)
        header = response.header
        self.cluster_id, self.member_id, self.raft_term = (
            header.cluster_id,
            header.member_id,
            header.raft_term,
        )
        return response

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
        """The keys of [key, end) and their values, as ``kv.KV.range`` says."""
        op = RangeOp(
            key,
            end,
            limit,
            revision,
            sort_order,
            sort_target,
            keys_only,
            count_only,
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
        )
        request = convert.range_request(op, serializable)
        return convert.range_result(await self._call(KV_PATH + "Range", request, repeatable=True))

    async def get(self, key: bytes, *, revision: int = 0, serializable: bool = False) -> KeyValue | None:
        """The key, or None where it is not there."""
        found = await self.range(key, revision=revision, serializable=serializable)
        return found.kvs[0] if found.kvs else None

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
        """The key has the value on a majority's disks."""
        request = convert.put_request(PutOp(key, value, lease, prev_kv, ignore_value, ignore_lease))
        return convert.put_result(await self._call(KV_PATH + "Put", request))

    async def delete_range(
        self, key: bytes, end: bytes | None = None, *, prev_kv: bool = False
    ) -> DeleteResult:
        """The keys of [key, end) are gone."""
        request = convert.delete_request(DeleteOp(key, end, prev_kv))
        return convert.delete_result(await self._call(KV_PATH + "DeleteRange", request))

    async def txn(
        self, compares: Sequence[Compare] = (), success: Sequence[Op] = (), failure: Sequence[Op] = ()
    ) -> TxnResult:
        """One branch is done, in one revision; never tried again once it was sent, even if it only reads."""
        request = convert.txn_request(compares, success, failure)
        return convert.txn_result(await self._call(KV_PATH + "Txn", request))

    async def compact(self, revision: int, *, physical: bool = False) -> int:
        """Older versions are forgotten; the revision of the store."""
        request = messages.CompactionRequest(revision=revision, physical=physical)
        response = await self._call(KV_PATH + "Compact", request)
        return int(response.header.revision)

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
    ) -> RemoteWatch:
        """The changes of [key, end) from ``start_revision`` on, or from now; it survives lost connections."""
        wanted = Wanted(key, end, prev_kv, progress_notify, no_put, no_delete, fragment)
        opened = RemoteWatch(self._balancer, wanted, start_revision)
        self._unplaced.add(opened.placed)
        opened.placed.add_done_callback(self._unplaced.discard)
        self._watches.add(opened)
        opened.on_over(self._watches.discard)
        return opened

    async def lease_grant(self, ttl: int, id: int = 0) -> LeaseResult:  # noqa: A002 - etcd's name
        """A lease of ``ttl`` seconds; the cluster chooses the id where it is 0."""
        request = messages.LeaseGrantRequest(TTL=ttl, ID=id)
        # with an id a second attempt answers "already exists" at worst; without, it would leave a lease behind
        response = await self._call(LEASE_PATH + "LeaseGrant", request, repeatable=False)
        if response.error:
            raise StoreError(errors.Code.UNKNOWN, response.error)
        return LeaseResult(response.header.revision, response.ID, response.TTL, response.TTL)

    async def lease_revoke(self, id: int) -> int:  # noqa: A002
        """The lease and its keys are gone; the revision of the store."""
        response = await self._call(LEASE_PATH + "LeaseRevoke", messages.LeaseRevokeRequest(ID=id))
        return int(response.header.revision)

    async def lease_keep_alive(self, id: int) -> LeaseResult:  # noqa: A002
        """The lease has its whole time again; raises LeaseNotFound where it is gone."""

        async def attempt(connection: Connection, timeout_s: float | None) -> Any:
            path = LEASE_PATH + "LeaseKeepAlive"
            call = connection.method(path)(metadata=self._balancer.metadata(), timeout=timeout_s)
            try:
                await call.write(messages.LeaseKeepAliveRequest(ID=id))
                answer = await call.read()
                if answer is grpc.aio.EOF:
                    raise grpc.aio.AioRpcError(
                        grpc.StatusCode.UNAVAILABLE,
                        grpc.aio.Metadata(),
                        grpc.aio.Metadata(),
                        await call.details(),
                    )
                return answer
            except asyncio.InvalidStateError:  # the stream broke while we wrote
                raise grpc.aio.AioRpcError(
                    await call.code(), grpc.aio.Metadata(), grpc.aio.Metadata(), await call.details()
                ) from None
            finally:
                call.cancel()

        answer = await self._balancer.persist(attempt, repeatable=True)
        if answer.TTL <= 0:
            raise errors.of("LeaseNotFound")
        return LeaseResult(answer.header.revision, answer.ID, answer.TTL, answer.TTL)

    async def lease_time_to_live(self, id: int, *, keys: bool = False) -> LeaseResult:  # noqa: A002
        """What is left of the lease; a ttl of -1 where there is none."""
        request = messages.LeaseTimeToLiveRequest(ID=id, keys=keys)
        found = await self._call(LEASE_PATH + "LeaseTimeToLive", request, repeatable=True)
        return LeaseResult(found.header.revision, found.ID, found.TTL, found.grantedTTL, list(found.keys))

    async def leases(self) -> list[int]:
        """The ids of all leases."""
        found = await self._call(LEASE_PATH + "LeaseLeases", messages.LeaseLeasesRequest(), repeatable=True)
        return [lease.ID for lease in found.leases]

    async def status(self) -> Status:
        """How the member in use is."""
        found = await self._call(MAINTENANCE_PATH + "Status", messages.StatusRequest(), repeatable=True)
        return Status(
            found.version,
            found.dbSize,
            found.dbSizeInUse,
            found.leader,
            found.raftIndex,
            found.raftAppliedIndex,
            found.raftTerm,
            list(found.errors),
            found.isLearner,
            getattr(found, "dbSizeQuota", 0),
            getattr(found, "storageVersion", ""),
        )

    async def snapshot(self) -> AsyncIterator[bytes]:
        """The whole store in chunks, in the format of whoever answers (etcd's: its database file and a SHA-256)."""
        async for answer in self._balancer.stream(MAINTENANCE_PATH + "Snapshot", messages.SnapshotRequest()):
            yield answer.blob

    async def close(self) -> None:
        """All watches are over and all connections closed."""
        for opened in list(self._watches):
            opened.cancel()
        await self._balancer.close()
