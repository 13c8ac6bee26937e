"""The contract between a client and its transport: the server's own calls in process, ``kcore.client.remote`` over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, Final, Protocol

from kcore.api.rows import Row

Object = dict[str, Any]
Warnings = list[str]
IDENTITY: Final = ("name", "namespace", "uid", "resourceVersion")


def identity_of(obj: Object) -> Object:
    """Which object that is, and as of when: of its metadata no more than IDENTITY, as far as it has that."""
    metadata = obj.get("metadata") or {}
    return {"metadata": {name: metadata[name] for name in IDENTITY if name in metadata}}


class Calls(Protocol):
    """What can be asked of a server. Answers are JSON; ``warnings`` is filled also where a call raises.

    ``discover`` is whether ``rows`` may have become others; ``close`` lets go of what the transport holds. ``is_local``:
    a call waits for nothing but the store, and needs no task of its own. A write that is not ``answered`` is done, or raises,
    all the same; of its answer there is ``identity_of`` alone, of a deletion's nothing.
    """

    @property
    def is_local(self) -> bool: ...

    @property
    def rows(self) -> tuple[Row, ...]: ...
    def discover(self) -> Coroutine[Any, Any, bool]: ...
    def close(self) -> Coroutine[Any, Any, None]: ...
    def get(
        self, row: Row, namespace: str, name: str, subresource: str, version: str
    ) -> Coroutine[Any, Any, Object]: ...
    def list(self, row: Row, namespace: str, query: Mapping[str, str]) -> Coroutine[Any, Any, Object]: ...
    def create(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        obj: Object,
        query: Mapping[str, str],
        warnings: Warnings,
        answered: bool = True,
    ) -> Coroutine[Any, Any, Object]: ...
    def update(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        obj: Object,
        query: Mapping[str, str],
        warnings: Warnings,
    ) -> Coroutine[Any, Any, Object]: ...
    def patch(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        kind: str,
        body: bytes,
        query: Mapping[str, str],
        warnings: Warnings,
        answered: bool = True,
    ) -> Coroutine[Any, Any, Object]: ...
    def delete(
        self, row: Row, namespace: str, name: str, options: Object, warnings: Warnings, answered: bool = True
    ) -> Coroutine[Any, Any, Object]: ...
    def delete_collection(
        self, row: Row, namespace: str, query: Mapping[str, str], options: Object, warnings: Warnings
    ) -> Coroutine[Any, Any, Object]: ...
    def watch(self, row: Row, namespace: str, query: Mapping[str, str]) -> AsyncIterator[bytes]: ...
