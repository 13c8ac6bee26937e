"""The KV service (etcd ``v3rpc/key.go``): ranges, puts, deletions, transactions, compaction."""

from typing import Any, Final

from kcore.store import errors
from kcore.store.etcd import messages
from kcore.store.etcd.access import Access
from kcore.store.etcd.requests import (
    Headers,
    check_delete,
    check_put,
    check_range,
    check_txn,
    delete_response,
    put_response,
    range_response,
    txn_op,
    txn_response,
)
from kcore.store.etcd.rpc import Context
from kcore.store.face import Store

# etcd measures the request as it goes into the log: with an id, and wrapped into a message of all requests
LOG_OVERHEAD_BYTES: Final = 20


class KeyService:
    """``etcdserverpb.KV``."""

    def __init__(self, store: Store, access: Access, *, txn_ops_max: int, request_bytes_max: int) -> None:
        self.store = store
        self.headers = Headers(store)
        self.access = access
        self.txn_ops_max = txn_ops_max
        self.request_bytes_max = request_bytes_max - LOG_OVERHEAD_BYTES

    async def range(self, request: Any, context: Context) -> Any:
        """Reads."""
        check_range(request)
        result = await self.access.store(context).range(
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
        check_put(request)
        self._check_size(context)
        result = await self.access.store(context).put(
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
        check_delete(request)
        self._check_size(context)
        result = await self.access.store(context).delete_range(
            request.key, request.range_end or None, prev_kv=request.prev_kv
        )
        return delete_response(result, self.headers.at(result.revision))

    async def txn(self, request: Any, context: Context) -> Any:
        """Compares, then does one branch."""
        check_txn(request, self.txn_ops_max)
        self._check_size(context)
        op = txn_op(request)
        result = await self.access.store(context).txn(op.compares, op.success, op.failure)
        return txn_response(result, self.headers.at(result.revision))

    async def compact(self, request: Any, context: Context) -> Any:
        """Forgets what was superseded up to a revision."""
        store = self.access.administrator(context)
        revision = await store.compact(request.revision, physical=request.physical)
        return messages.CompactionResponse(header=self.headers.at(revision))

    def _check_size(self, context: Context) -> None:
        if context.body_bytes > self.request_bytes_max:
            raise errors.of("RequestTooLarge")
