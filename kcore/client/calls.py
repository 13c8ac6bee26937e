"""The contract between the in-process client and the server that it calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, Protocol

from kcore.api.rows import Row

Object = dict[str, Any]
Warnings = list[str]


class Calls(Protocol):
    """What the server offers in its own process. Answers are JSON; ``warnings`` is filled also where a call raises."""

    @property
    def rows(self) -> tuple[Row, ...]: ...
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
    ) -> Coroutine[Any, Any, Object]: ...
    def delete(
        self, row: Row, namespace: str, name: str, options: Object, warnings: Warnings
    ) -> Coroutine[Any, Any, Object]: ...
    def delete_collection(
        self, row: Row, namespace: str, query: Mapping[str, str], options: Object, warnings: Warnings
    ) -> Coroutine[Any, Any, Object]: ...
    def watch(self, row: Row, namespace: str, query: Mapping[str, str]) -> AsyncIterator[bytes]: ...
