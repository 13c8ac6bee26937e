"""What the registry asks of the parts beside it, so that they and it can be built and tested apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from kcore.api.rows import GroupVersionKind, Row
from kcore.api.strategy import Strategy
from kcore.apiserver.operation import Object, Operation
from kcore_native.fieldset.walk import Comparison


class Stored(Protocol):
    """An object as the store has it: JSON without a resource version, and the revision that last wrote it."""

    @property
    def value(self) -> bytes: ...
    @property
    def revision(self) -> int: ...


class ObjectStore(Protocol):
    """Objects in the kv face. ``value`` is the stored form: compact JSON, without resourceVersion."""

    async def get(self, row: Row, namespace: str, name: str) -> Stored | None: ...

    async def create(self, row: Row, namespace: str, name: str, value: bytes) -> int | None:
        """The revision; None where an object of that name is there."""
        ...

    async def replace(self, row: Row, namespace: str, name: str, value: bytes, revision: int) -> int | None:
        """The revision; None where the object is no longer at ``revision``."""
        ...

    async def values(self, row: Row) -> list[bytes]:
        """All objects of the row, in their stored form."""
        ...

    async def kept_range(self, name: str) -> tuple[bytes, int]:
        """The RangeAllocation of that name as JSON, and its revision; empty and 0 where there is none."""
        ...

    async def keep_range(self, name: str, value: bytes, revision: int) -> int | None:
        """Its new revision; None where it is no longer at ``revision``."""
        ...

    async def current_revision(self, row: Row) -> int:
        """The store's revision at some time after this was called."""
        ...

    async def remove(self, row: Row, namespace: str, name: str, revision: int) -> int | None:
        """The revision of the deletion; None where the object is no longer at ``revision``."""
        ...


class Admission(Protocol):
    """The chain of admission plugins, webhooks and policies. Both raise ApiError; ``obj`` is None for a deletion."""

    def keeps_shared(self, op: Operation) -> bool:
        """True where mutating an update replaces what it changes, and changes no value in place below the metadata."""
        ...

    async def mutate(
        self, op: Operation, obj: Object | None, old: Object | None, *, now: str = ""
    ) -> None: ...
    async def validate(
        self, op: Operation, obj: Object | None, old: Object | None, *, now: str = ""
    ) -> None: ...


class ManagedFields(Protocol):
    """Who set which field (``kcore.api.apply.managed_fields``)."""

    def update(
        self,
        live: Object | None,
        new: Object,
        *,
        manager: str,
        operation: str,
        api_version: str,
        subresource: str,
        now: str,
        node: Any,
        reset_fields: Sequence[str],
        convert: Callable[[Object, str], tuple[Object, Any] | None] | None = None,
        comparison: Comparison | None = None,
    ) -> None:
        """``new["metadata"]["managedFields"]`` is brought up to date for a write by ``manager``.

        ``comparison``: of ``live`` with ``new`` without its managed fields, where it is known already.
        """
        ...

    def apply(
        self,
        live: Object | None,
        applied: Object,
        *,
        manager: str,
        force: bool,
        api_version: str,
        subresource: str,
        now: str,
        node: Any,
        reset_fields: Sequence[str],
        convert: Callable[[Object, str], tuple[Object, Any] | None] | None = None,
    ) -> Object:
        """The object as server-side apply makes it, managedFields included; ApiError 409 for conflicts."""
        ...


class Catalog(Protocol):
    """The rows that are served, and what belongs to each."""

    @property
    def rows(self) -> tuple[Row, ...]: ...
    def row(self, group: str, version: str, plural: str) -> Row | None: ...
    def by_kind(self, gvk: GroupVersionKind) -> Row | None: ...
    def strategy(self, row: Row) -> Strategy: ...
    def node(self, row: Row) -> Any: ...
