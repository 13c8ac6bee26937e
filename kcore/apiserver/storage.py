"""Objects in the kv face: under which key, in which form, and how they are written so that no write is lost.

A stored value is compact JSON in the storage version that begins ``{"apiVersion":..,"kind":..,"metadata":{`` and holds
no resourceVersion: that is the key's modification revision, spliced in on the way out. A ``Transformer`` stands
between value and store where they are encrypted; a value that begins ``k8s\\0`` is upstream's protobuf and is decoded.

Source: apiserver pkg/storage/etcd3/store.go, pkg/storage/errors/storage.go of Kubernetes 1.36.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import orjson

from kcore.api import status
from kcore.api.rows import Row
from kcore.api.status import ApiError
from kcore.apiserver.leases import Leases
from kcore.store.errors import StoreError
from kcore.store.kv import (
    KV,
    Compare,
    DeleteOp,
    KeyValue,
    PutOp,
    RangeOp,
    RangeResult,
    Relation,
    Target,
    TxnResult,
    prefix_end,
)
from kcore_native.cacher.scan import is_canonical, splice

Object = dict[str, Any]

EVENT_TTL_SECONDS: Final = 3600  # --event-ttl
PREFIX: Final = "/registry"  # --etcd-prefix


class Stored(NamedTuple):
    """One object: ``value`` is its JSON without resourceVersion, ``revision`` that version, ``lease`` 0 for none."""

    value: bytes
    revision: int
    lease: int = 0

    def body(self) -> bytes:
        """The object's JSON with its resourceVersion."""
        return splice(self.value, self.revision)

    def object(self) -> Object:
        """The object with its resourceVersion, decoded anew: it may be changed."""
        made: Object = orjson.loads(self.value)
        made["metadata"]["resourceVersion"] = str(self.revision)
        return made


class Preconditions(NamedTuple):
    """What must hold of the object that is there; None asks for nothing."""

    uid: str | None = None
    resource_version: str | None = None


class Transformer(Protocol):
    """Encryption at rest (``pkg/storage/value``); ``key`` is authenticated with the value."""

    def to_storage(self, key: bytes, value: bytes) -> bytes:
        """What is stored for the value."""
        ...

    def from_storage(self, key: bytes, stored: bytes) -> tuple[bytes, bool]:
        """The value, and whether it is stale: it should be written again in the present form."""
        ...


T = TypeVar("T")
Update = Callable[[Object | None, int], Object | Awaitable[Object | None] | None]
"""From the object that is there and its revision (None and 0: none is) to the one that shall be; None: it stays."""
Check = Callable[[Object], Awaitable[None] | None]
"""Raises where the object must not be deleted."""


def encode(obj: Object) -> bytes:
    """The object as it is stored: apiVersion, kind and metadata first, no resourceVersion."""
    metadata = obj["metadata"]
    if "resourceVersion" in metadata:
        metadata = {key: value for key, value in metadata.items() if key != "resourceVersion"}
    head = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}
    return orjson.dumps(head | {key: value for key, value in obj.items() if key not in head})


def _nobody(operation: str, row: Row, seconds: float, failed: bool) -> None:
    """Nobody wants to know."""


class Storage:
    """See the module. All errors are ``ApiError``."""

    def __init__(
        self,
        kv: KV,
        *,
        prefix: str = PREFIX,
        event_ttl_seconds: int = EVENT_TTL_SECONDS,
        transformer: Transformer | None = None,
    ) -> None:
        self.kv: Final = kv
        self.prefix: Final = f"/{prefix.strip('/')}/".replace("//", "/")
        self.transformer: Final = transformer
        self.observe: Callable[[str, Row, float, bool], None] = (
            _nobody  # operation, row, seconds, whether it failed
        )
        self._event_ttl_seconds = event_ttl_seconds
        self._leases = Leases(kv)

    # -- keys ----------------------------------------------------------------------------------------------------

    def key(self, row: Row, namespace: str, name: str) -> bytes:
        """The object's key: ``/registry/pods/default/web-0``."""
        if row.namespaced:
            return f"{self.prefix}{row.storage}/{namespace}/{name}".encode()
        return f"{self.prefix}{row.storage}/{name}".encode()

    def root(self, row: Row, namespace: str = "") -> bytes:
        """What the keys of the row's objects begin with, of those in the namespace where one is given."""
        if row.namespaced and namespace:
            return f"{self.prefix}{row.storage}/{namespace}/".encode()
        return f"{self.prefix}{row.storage}/".encode()

    # -- values --------------------------------------------------------------------------------------------------

    def value_of(self, key: bytes, stored: bytes) -> bytes:
        """The stored value as JSON; ApiError 500 where it cannot be read."""
        if self.transformer is not None:
            stored, _ = self.transformer.from_storage(key, stored)
        if stored[:1] == b"{":
            return stored if is_canonical(stored) else encode(orjson.loads(stored))
        if stored[:4] == b"k8s\0":
            from kcore.api.protobuf import decode

            return encode(decode(stored))
        raise status.internal(f"unable to decode the object stored at {key.decode(errors='replace')}")

    def stored(self, kv: KeyValue) -> Stored:
        """The key's value as an object."""
        value = kv.value
        if self.transformer is not None or not is_canonical(value):
            value = self.value_of(kv.key, value)
        return Stored(value, kv.mod_revision, kv.lease)

    def for_store(self, key: bytes, value: bytes) -> bytes:
        """The value as it is put under that key."""
        return value if self.transformer is None else self.transformer.to_storage(key, value)

    async def _lease(self, row: Row, ttl_seconds: int | None) -> int:
        ttl = self._event_ttl_seconds if ttl_seconds is None and row.storage == "events" else ttl_seconds
        try:
            return await self._leases.get(ttl) if ttl else 0
        except StoreError as error:
            raise interpret(error) from None

    async def _timed(self, operation: str, row: Row, answer: Awaitable[T]) -> T:
        """The store's answer; ``observe`` is told how long it took. ApiError in place of the store's errors."""
        began = perf_counter()
        try:
            found = await answer
        except StoreError as error:
            self.observe(operation, row, perf_counter() - began, True)
            raise interpret(error) from None
        self.observe(operation, row, perf_counter() - began, False)
        return found

    # -- one object ----------------------------------------------------------------------------------------------

    async def get(self, row: Row, namespace: str, name: str) -> Stored | None:
        """The object as the store has it now, None where there is none."""
        found = await self._timed("get", row, self.kv.get(self.key(row, namespace, name)))
        return None if found is None else self.stored(found)

    async def create(
        self, row: Row, namespace: str, name: str, value: bytes, *, ttl_seconds: int | None = None
    ) -> int:
        """The object is stored; its revision. ApiError 409 AlreadyExists. Events expire if nothing else is said."""
        revision = await self.create_absent(row, namespace, name, value, ttl_seconds=ttl_seconds)
        if revision is None:
            raise status.already_exists(row.group, row.plural, name)
        return revision

    async def create_absent(
        self, row: Row, namespace: str, name: str, value: bytes, *, ttl_seconds: int | None = None
    ) -> int | None:
        """The same; None where an object of that name is there."""
        key = self.key(row, namespace, name)
        expires = ttl_seconds or row.storage == "events"
        lease = await self._lease(row, ttl_seconds) if expires else 0
        put = PutOp(key, self.for_store(key, value), lease)
        absent = Compare(Target.MOD, Relation.EQUAL, key, 0)
        made = await self._timed("create", row, self.kv.txn((absent,), (put,)))
        return made.revision if made.succeeded else None

    async def guaranteed_update(
        self,
        row: Row,
        namespace: str,
        name: str,
        update: Update,
        preconditions: Preconditions | None = None,
        *,
        create: bool = False,
        known: Stored | None = None,
        ttl_seconds: int | None = None,
    ) -> Stored:
        """The object is as ``update`` makes it of what is there, asked anew whenever another write came between.

        ``known`` is what is believed to be there: where that is wrong it is read, and ``update`` asked again.
        ``create``: ``update`` is also asked where there is none. An object that did not change is not written.
        ApiError 404, 409, and whatever ``update`` raises of an object that is current.
        """
        key = self.key(row, namespace, name)
        state, current = known, False
        while True:
            if state is None and not current:
                state, current = await self.get(row, namespace, name), True
            if state is None and not create:
                raise status.not_found(row.group, row.plural, name)
            try:
                value = await self._updated(row, key, name, state, update, preconditions)
            except ApiError:
                if current:
                    raise
                fresh, current = await self.get(row, namespace, name), True
                if fresh is not None and state is not None and fresh.revision == state.revision:
                    raise
                state = fresh
                continue
            if value is None or (state is not None and value == state.value):
                if current:
                    if state is None:
                        raise status.not_found(row.group, row.plural, name)
                    return state
                state, current = await self.get(row, namespace, name), True
                continue
            written, state = await self.replace(row, key, state, value, ttl_seconds)
            if written is not None:
                return written
            current = True

    async def _updated(
        self,
        row: Row,
        key: bytes,
        name: str,
        state: Stored | None,
        update: Update,
        preconditions: Preconditions | None,
    ) -> bytes | None:
        obj = None if state is None else state.object()
        check(row, name, key, preconditions, obj)
        made = update(obj, 0 if state is None else state.revision)
        if inspect.isawaitable(made):
            made = await made
        return None if made is None else encode(made)

    async def replace(
        self, row: Row, key: bytes, state: Stored | None, value: bytes, ttl_seconds: int | None
    ) -> tuple[Stored | None, Stored | None]:
        """What was written, or None and what is there instead of ``state``."""
        revision = 0 if state is None else state.revision
        lease = await self._lease(row, ttl_seconds)
        put = PutOp(key, self.for_store(key, value), lease)
        same = Compare(Target.MOD, Relation.EQUAL, key, revision)
        done = await self._timed("update", row, self.kv.txn((same,), (put,), (RangeOp(key),)))
        if done.succeeded:
            return Stored(value, done.revision, lease), None
        return None, self._found(done)

    async def swap(self, row: Row, key: bytes, revision: int, value: bytes) -> int | None:
        """The revision at which the value is there; None where what is there is no longer of ``revision``."""
        lease = await self._lease(row, None) if row.storage == "events" else 0
        put = PutOp(key, self.for_store(key, value), lease)
        same = Compare(Target.MOD, Relation.EQUAL, key, revision)
        done = await self._timed("update", row, self.kv.txn((same,), (put,)))
        return done.revision if done.succeeded else None

    def _found(self, done: TxnResult) -> Stored | None:
        """What a transaction that was refused found at its key."""
        result = done.results[0]
        return self.stored(result.kvs[0]) if isinstance(result, RangeResult) and result.kvs else None

    async def delete(
        self,
        row: Row,
        namespace: str,
        name: str,
        preconditions: Preconditions | None = None,
        *,
        allow: Check | None = None,
        known: Stored | None = None,
    ) -> Stored:
        """The object is gone; what it was, with the revision of its deletion. ApiError 404, 409, what ``allow`` raises."""
        key = self.key(row, namespace, name)
        state, current = known, False
        while True:
            if state is None and not current:
                state, current = await self.get(row, namespace, name), True
            if state is None:
                raise status.not_found(row.group, row.plural, name)
            try:
                if preconditions is not None or allow is not None:
                    obj = state.object()
                    check(row, name, key, preconditions, obj)
                    if allow is not None and inspect.isawaitable(verdict := allow(obj)):
                        await verdict
            except ApiError:
                if current:
                    raise
                fresh, current = await self.get(row, namespace, name), True
                if fresh is not None and fresh.revision == state.revision:
                    raise
                state = fresh
                continue
            gone, state = await self.erase(row, key, state)
            if gone is not None:
                return gone
            current = True

    async def erase(self, row: Row, key: bytes, state: Stored) -> tuple[Stored | None, Stored | None]:
        same = Compare(Target.MOD, Relation.EQUAL, key, state.revision)
        done = await self._timed("delete", row, self.kv.txn((same,), (DeleteOp(key),), (RangeOp(key),)))
        if done.succeeded:
            return Stored(state.value, done.revision, state.lease), None
        return None, self._found(done)

    # -- many ----------------------------------------------------------------------------------------------------

    async def current_revision(self, row: Row) -> int:
        """The store's revision at some time after this was called."""
        try:
            return (await self.kv.range(self.root(row), limit=1, keys_only=True)).revision
        except StoreError as error:
            raise interpret(error) from None

    async def page(self, start: bytes, end: bytes, *, revision: int = 0, limit: int = 0) -> Page:
        """The keys of [start, end) at that revision (0: now), ``limit`` at most; raises StoreError."""
        found = await self.kv.range(start, end, limit=limit, revision=revision)
        return Page(found.kvs, found.count, revision or found.revision, found.revision)

    def end(self, root: bytes) -> bytes:
        """The end of the range of the keys that begin with ``root``."""
        return prefix_end(root)


class Page(NamedTuple):
    """``key_count`` is of all keys from the start on, ``revision`` what the list is of, ``current`` the store's."""

    kvs: list[KeyValue]
    key_count: int
    revision: int
    current: int


def check(row: Row, name: str, key: bytes, preconditions: Preconditions | None, obj: Object | None) -> None:
    """The object is the one that the preconditions are about, or ApiError 409."""
    if preconditions is None:
        return
    metadata = (obj or {}).get("metadata", {})
    if preconditions.uid is not None and preconditions.uid != (uid := metadata.get("uid", "")):
        why = f"Precondition failed: UID in precondition: {preconditions.uid}, UID in object meta: {uid}"
        raise status.conflict(row.group, row.plural, name, _storage_error(key, why))
    wanted, found = preconditions.resource_version, metadata.get("resourceVersion", "")
    if wanted is not None and wanted != found:
        why = f"Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {found}"
        raise status.conflict(row.group, row.plural, name, _storage_error(key, why))


def _storage_error(key: bytes, why: str) -> str:
    """The text of upstream's ``StorageError`` of an object that is not the one meant."""
    text = key.decode(errors="replace")
    return (
        f"StorageError: invalid object, Code: 4, Key: {text}, ResourceVersion: 0, AdditionalErrorMsg: {why}"
    )


def interpret(error: StoreError) -> ApiError:
    """What a client is told of a fault of the store: its words, as upstream passes them on."""
    return ApiError(500, "", error.text)
