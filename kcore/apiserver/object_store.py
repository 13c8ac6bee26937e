"""Objects as the registry writes them: each write says which revision it replaces, and learns whether it did.

Over ``Storage``, whose keys, values and leases these are.
"""

from __future__ import annotations

from kcore.api.rows import Row
from kcore.api.status import ApiError
from kcore.apiserver.storage import Storage, Stored, interpret
from kcore.store.errors import StoreError
from kcore.store.kv import Compare, DeleteOp, Relation, Target


class StoredObjects:
    """The registry's store."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.get = storage.get
        self.current_revision = storage.current_revision

    async def create(self, row: Row, namespace: str, name: str, value: bytes) -> int | None:
        """The revision; None where an object of that name is there."""
        try:
            return await self._storage.create(row, namespace, name, value)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            return None

    async def replace(self, row: Row, namespace: str, name: str, value: bytes, revision: int) -> int | None:
        """The revision; None where the object is no longer at ``revision``."""
        key = self._storage.key(row, namespace, name)
        state = Stored(b"", revision, 0)
        written, _ = await self._storage._replace(row, key, state, value, None)
        return None if written is None else written.revision

    async def remove(self, row: Row, namespace: str, name: str, revision: int) -> int | None:
        """The revision of the deletion; None where the object is no longer at ``revision``."""
        key = self._storage.key(row, namespace, name)
        try:
            done = await self._storage.kv.txn(
                (Compare(Target.MOD, Relation.EQUAL, key, revision),), (DeleteOp(key),)
            )
        except StoreError as error:
            raise interpret(error) from None
        return done.revision if done.succeeded else None
