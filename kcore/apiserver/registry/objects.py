"""The store as the registry writes to it: single attempts, told apart by the revision that they are based on."""

from __future__ import annotations

from typing import Final

from kcore.api.rows import Row
from kcore.apiserver.storage import Storage, Stored, interpret
from kcore.store.errors import StoreError
from kcore.store.kv import Compare, PutOp, Relation, Target

PAGE_OBJECTS_MAX: Final = 2_000


class Objects:
    """``ObjectStore`` over ``Storage``."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.get = storage.get
        self.create = storage.create_absent
        self.current_revision = storage.current_revision

    async def replace(self, row: Row, namespace: str, name: str, value: bytes, revision: int) -> int | None:
        """The revision; None where the object is no longer at ``revision``."""
        storage = self.storage
        return await storage.swap(row, storage.key(row, namespace, name), revision, value)

    async def remove(self, row: Row, namespace: str, name: str, revision: int) -> int | None:
        """The revision of the deletion; None where the object is no longer at ``revision``."""
        key = self.storage.key(row, namespace, name)
        gone, _ = await self.storage.erase(row, key, Stored(b"", revision))
        return None if gone is None else gone.revision

    async def kept_range(self, name: str) -> tuple[bytes, int]:
        """The RangeAllocation of that name as JSON, and its revision; empty and 0 where there is none."""
        try:
            found = await self.storage.kv.get(self._range_key(name))
        except StoreError as error:
            raise interpret(error) from None
        return (b"", 0) if found is None else (self.storage.stored(found).value, found.mod_revision)

    async def keep_range(self, name: str, value: bytes, revision: int) -> int | None:
        """Its new revision; None where it is no longer at ``revision``."""
        key = self._range_key(name)
        put = PutOp(key, self.storage.for_store(key, value))
        try:
            done = await self.storage.kv.txn((Compare(Target.MOD, Relation.EQUAL, key, revision),), (put,))
        except StoreError as error:
            raise interpret(error) from None
        return done.revision if done.succeeded else None

    def _range_key(self, name: str) -> bytes:
        return f"{self.storage.prefix}ranges/{name}".encode()

    async def values(self, row: Row) -> list[bytes]:
        """All objects of the row, without resource versions."""
        storage, found = self.storage, []
        start = root = storage.root(row)
        end = storage.end(root)
        while True:
            try:
                page = await storage.page(start, end, limit=PAGE_OBJECTS_MAX)
            except StoreError as error:
                raise interpret(error) from None
            found += [storage.stored(each).value for each in page.kvs]
            if len(page.kvs) < PAGE_OBJECTS_MAX:
                return found
            start = page.kvs[-1].key + b"\0"
