"""The Lease service (etcd ``v3rpc/lease.go``)."""

from typing import Any, Final

from kcore.store import errors
from kcore.store.errors import StoreError
from kcore.store.etcd import messages
from kcore.store.etcd.access import Access
from kcore.store.etcd.requests import Headers
from kcore.store.etcd.rpc import Context, Stream
from kcore.store.face import Store

GONE: Final = -1  # what the store says of a lease that is not there


class LeaseService:
    """``etcdserverpb.Lease``."""

    def __init__(self, store: Store, access: Access) -> None:
        self.headers = Headers(store)
        self.access = access

    async def lease_grant(self, request: Any, context: Context) -> Any:
        """A new lease."""
        await self.access.known(context)
        store = await self.access.store(context)
        result = await store.lease_grant(request.TTL, request.ID)
        return messages.LeaseGrantResponse(header=self.headers.now(), ID=result.id, TTL=result.ttl)

    async def lease_revoke(self, request: Any, context: Context) -> Any:
        """The lease and its keys go."""
        await self.access.known(context)
        store = await self.access.store(context)
        revision = await store.lease_revoke(request.ID)
        return messages.LeaseRevokeResponse(header=self.headers.at(revision))

    async def lease_keep_alive(self, stream: Stream, context: Context) -> None:
        """Answers each request with the new time to live, 0 where the lease is gone."""
        while (request := await stream.receive()) is not None:
            header = (
                self.headers.now()
            )  # as of before the renewal: what is revoked later has a higher revision
            store = await self.access.store(context)
            try:
                ttl = max((await store.lease_keep_alive(request.ID)).ttl, 0)
            except StoreError as refused:
                if refused.text != errors.of("LeaseNotFound").text:
                    raise
                ttl = 0
            await stream.send(messages.LeaseKeepAliveResponse(header=header, ID=request.ID, TTL=ttl))

    async def lease_time_to_live(self, request: Any, context: Context) -> Any:
        """What is left of a lease."""
        await self.access.known(context)
        store = await self.access.store(context)
        result = await store.lease_time_to_live(request.ID, keys=request.keys)
        if result.ttl == GONE and not result.granted_ttl:
            return messages.LeaseTimeToLiveResponse(header=self.headers.now(), ID=request.ID, TTL=GONE)
        return messages.LeaseTimeToLiveResponse(
            header=self.headers.now(),
            ID=request.ID,
            TTL=result.ttl,
            grantedTTL=result.granted_ttl,
            keys=result.keys if request.keys else (),
        )

    async def lease_leases(self, request: Any, context: Context) -> Any:
        """All leases."""
        store = await self.access.store(context)
        leases = [messages.LeaseStatus(ID=lease) for lease in await store.leases()]
        return messages.LeaseLeasesResponse(header=self.headers.now(), leases=leases)
