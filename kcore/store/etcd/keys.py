"""The KV service (etcd ``v3rpc/key.go``): ranges, puts, deletions, transactions, compaction."""

from typing import Any

from kcore.store.etcd import messages
from kcore.store.etcd.access import Access
from kcore.store.etcd.requests import (
    Headers,
    delete_response,
    put_response,
    range_response,
    txn_op,
    txn_response,
)
from kcore.store.etcd.rpc import Context
from kcore.store.face import Store


class KeyService:
    """``etcdserverpb.KV``."""

    def __init__(self, store: Store, access: Access) -> None:
        self.headers = Headers(store)
        self.access = access

    async def range(self, request: Any, context: Context) -> Any:
        """Reads."""
        store = self.access.open(context) or await self.access.store(context)
        result = await store.range(
            request.key,
            request.range_end or None,
            limit=request.limit,
            revision=request.revision,
            sort_order=request.sort_order,
            sort_target=request.sort_target,
            keys_only=request.keys_only,
            count_only=request.count_only,
            min_mod_revision=request.min_mod_revision,
            max_mod_revision=request.max_mod_revision,
            min_create_revision=request.min_create_revision,
            max_create_revision=request.max_create_revision,
            serializable=request.serializable,
        )
        return range_response(result, self.headers.at(result.revision))

    async def put(self, request: Any, context: Context) -> Any:
        """Writes one key."""
        store = self.access.open(context) or await self.access.store(context)
        result = await store.put(
            request.key,
            request.value,
            lease=request.lease,
            prev_kv=request.prev_kv,
            ignore_value=request.ignore_value,
            ignore_lease=request.ignore_lease,
        )
        return put_response(result, self.headers.at(result.revision))

    async def delete_range(self, request: Any, context: Context) -> Any:
        """Deletes."""
        store = self.access.open(context) or await self.access.store(context)
        result = await store.delete_range(request.key, request.range_end or None, prev_kv=request.prev_kv)
        return delete_response(result, self.headers.at(result.revision))

    async def txn(self, request: Any, context: Context) -> Any:
        """Compares, then does one branch."""
        op = txn_op(request)
        store = self.access.open(context) or await self.access.store(context)
        result = await store.txn(op.compares, op.success, op.failure)
        return txn_response(result, self.headers.at(result.revision))

    async def compact(self, request: Any, context: Context) -> Any:
        """Forgets what was superseded up to a revision."""
        store = await self.access.administrator(context)
        revision = await store.compact(request.revision, physical=request.physical)
        return messages.CompactionResponse(header=self.headers.at(revision))
