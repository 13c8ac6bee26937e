"""The Maintenance service (etcd ``v3rpc/maintenance.go``)."""

import asyncio
import hashlib
import re
from typing import Any, Final

from kcore.store import errors
from kcore.store.embedded import STORAGE_VERSION
from kcore.store.errors import Code, StoreError
from kcore.store.etcd import messages
from kcore.store.etcd.access import Access
from kcore.store.etcd.requests import Headers
from kcore.store.etcd.rpc import Context, Stream
from kcore.store.etcd.saved import BLOCK_BYTES, padding
from kcore.store.face import AlarmAction, Store

DB_SIZE_BYTES_MIN: Final = 1  # etcdctl divides by it
SEND_BYTES: Final = 64 << 10  # of a snapshot in one message; etcd's are 32 KiB
YIELD_CHUNKS: Final = 16

DOWNGRADE_VALIDATE, DOWNGRADE_ENABLE, DOWNGRADE_CANCEL = 0, 1, 2


class MaintenanceService:
    """``etcdserverpb.Maintenance``."""

    def __init__(self, store: Store, access: Access) -> None:
        self.store = store
        self.headers = Headers(store)
        self.access = access

    async def alarm(self, request: Any, context: Context) -> Any:
        """Asks for alarms, raises them, clears them."""
        if request.action == AlarmAction.GET:
            await self.access.known(context)
            store = self.access.trusted
        else:
            store = await self.access.administrator(context)
        alarms = await store.alarm(request.action, request.memberID, request.alarm)
        return messages.AlarmResponse(
            header=self.headers.now(),
            alarms=[messages.AlarmMember(memberID=each.member_id, alarm=each.type) for each in alarms],
        )

    async def status(self, request: Any, context: Context) -> Any:
        """How this member is."""
        await self.access.known(context)
        status = await self.access.trusted.status()
        return messages.StatusResponse(
            header=self.headers.now(),
            version=status.version,
            dbSize=max(status.db_size, DB_SIZE_BYTES_MIN),
            leader=status.leader,
            raftIndex=status.raft_index,
            raftTerm=status.raft_term,
            raftAppliedIndex=status.raft_applied_index,
            errors=status.errors,
            dbSizeInUse=status.db_size_in_use,
            isLearner=status.is_learner,
            storageVersion=status.storage_version,
            dbSizeQuota=status.db_size_quota,
            downgradeInfo=messages.DowngradeInfo(
                enabled=bool(self.store.downgrade), targetVersion=self.store.downgrade
            ),
        )

    async def defragment(self, request: Any, context: Context) -> Any:
        """Gives back what compaction freed."""
        store = await self.access.administrator(context)
        await store.defragment()
        return messages.DefragmentResponse()

    async def hash(self, request: Any, context: Context) -> Any:
        """The hash of all keys."""
        store = await self.access.administrator(context)
        return messages.HashResponse(header=self.headers.now(), hash=await store.hash())

    async def hash_kv(self, request: Any, context: Context) -> Any:
        """The hash of all keys up to a revision."""
        store = await self.access.administrator(context)
        result = await store.hash_kv(request.revision)
        return messages.HashKVResponse(
            header=self.headers.at(result.revision),
            hash=result.hash,
            compact_revision=result.compact_revision,
            hash_revision=result.hash_revision,
        )

    async def snapshot(self, stream: Stream, context: Context) -> None:
        """The whole state as of now, padded to whole blocks, then the SHA-256 of all that (``saved`` says why)."""
        await stream.receive()
        store = await self.access.administrator(context)
        version = (await self.access.trusted.status()).storage_version
        digest = hashlib.sha256()
        sent = count = 0
        async for chunk in store.snapshot():
            for at in range(0, len(chunk), SEND_BYTES):
                blob = bytes(chunk[at : at + SEND_BYTES])
                digest.update(blob)
                sent += len(blob)
                # how much is left is not known before the state is written out; at least this much is
                await stream.send(
                    messages.SnapshotResponse(remaining_bytes=BLOCK_BYTES, blob=blob, version=version)
                )
            count += 1
            if count % YIELD_CHUNKS == 0:
                await asyncio.sleep(0)
        filling = padding(sent)
        digest.update(filling)
        await stream.send(messages.SnapshotResponse(blob=filling, version=version))
        await stream.send(messages.SnapshotResponse(blob=digest.digest(), version=version))

    async def move_leader(self, request: Any, context: Context) -> Any:
        """Another member leads."""
        store = await self.access.administrator(context)
        if self.store.leader_id != self.store.member_id:
            raise errors.of("NotLeader")
        await store.move_leader(request.targetID)
        return messages.MoveLeaderResponse()

    async def downgrade(self, request: Any, context: Context) -> Any:
        """Whether an older etcd could take over, and that one is to: it is written down, and nothing else happens."""
        store = await self.access.administrator(context)
        if request.action not in (DOWNGRADE_VALIDATE, DOWNGRADE_ENABLE, DOWNGRADE_CANCEL):
            raise StoreError(Code.UNKNOWN, "etcdserver: unknown method")
        await store.linearize()
        if request.action == DOWNGRADE_CANCEL:
            await store.set_downgrade("")
        else:
            target = downgrade_target(request.version)
            if store.downgrade:
                raise errors.of("DowngradeInProcess")
            if request.action == DOWNGRADE_ENABLE:
                await store.set_downgrade(target)
        version = (await self.access.trusted.status()).storage_version.rpartition(".")[0]
        return messages.DowngradeResponse(header=self.headers.now(), version=version)


def downgrade_target(text: str) -> str:
    """The version before ours; refuses any other as etcd does."""
    parsed = re.fullmatch(r"(\d+)\.(\d+)(\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?)?", text)
    if parsed is None:
        raise errors.of("WrongDowngradeVersionFormat")
    major, minor, *_ = STORAGE_VERSION.split(".")
    if (int(parsed[1]), int(parsed[2])) != (int(major), int(minor) - 1):
        raise errors.of("InvalidDowngradeTargetVersion")
    return f"{parsed[1]}.{parsed[2]}.0"
