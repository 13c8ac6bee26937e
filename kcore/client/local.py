"""The client in the server's own process: the same verbs, errors and versions as over HTTP, and no HTTP.

``LocalClient`` is asynchronous and lives in the server's loop; ``Client`` is its synchronous face for another thread.
Objects are plain dicts in JSON form; what is given is not changed, what is returned is the caller's own. Errors are
``kcore.api.status.ApiError``. A resource is named as kubectl names it: ``pods``, ``po``, ``Pod``, ``deployments.apps``,
or with its version by ``api_version="apps/v1"``.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, Final, Protocol

import orjson

from kcore.api import status
from kcore.api.rows import GroupVersionKind, Row

Object = dict[str, Any]
DEFAULT_NAMESPACE: Final = "default"
PATCHES: Final = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class Calls(Protocol):
    """What the server offers in its own process. Answers are JSON."""

    @property
    def rows(self) -> tuple[Row, ...]: ...
    async def get(self, row: Row, namespace: str, name: str, subresource: str, version: str) -> Object: ...
    async def list(self, row: Row, namespace: str, query: Mapping[str, str]) -> Object: ...
    async def create(
        self, row: Row, namespace: str, name: str, subresource: str, obj: Object, query: Mapping[str, str]
    ) -> Object: ...
    async def update(
        self, row: Row, namespace: str, name: str, subresource: str, obj: Object, query: Mapping[str, str]
    ) -> Object: ...
    async def patch(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        kind: str,
        body: bytes,
        query: Mapping[str, str],
    ) -> Object: ...
    async def delete(self, row: Row, namespace: str, name: str, options: Object) -> Object: ...
    async def delete_collection(
        self, row: Row, namespace: str, query: Mapping[str, str], options: Object
    ) -> Object: ...
    def watch(self, row: Row, namespace: str, query: Mapping[str, str]) -> AsyncIterator[bytes]: ...


class LocalClient:
    """Asynchronous; to be used in the loop of the server."""

    def __init__(self, calls: Calls, *, field_manager: str = "kcore") -> None:
        self._calls = calls
        self._manager = field_manager
        self._rows: dict[tuple[str, str], Row] = {}

    def row(self, resource: str, api_version: str = "") -> Row:
        """The resource of that name; ApiError 404 where none is served under it."""
        key = (resource, api_version)
        found = self._rows.get(key)
        if found is None:
            found = self._rows[key] = self._found(resource, api_version)
        return found

    def _found(self, resource: str, api_version: str) -> Row:
        name, _, group = resource.partition(".")
        lowered = name.lower()
        named = [
            row
            for row in self._calls.rows
            if lowered in (row.plural, row.singular, row.kind.lower(), *row.short_names)
            and (not group or row.group == group)
            and (not api_version or row.api_version == api_version)
        ]
        if not named:
            raise status.no_such_path()
        preferred = [row for row in named if row.version == row.storage_version]
        return (preferred or named)[0]

    def _row_of(self, obj: Object) -> Row:
        api_version, kind = obj.get("apiVersion"), obj.get("kind")
        if not isinstance(api_version, str) or not isinstance(kind, str):
            raise status.bad_request("Object 'Kind' is missing")
        key = (kind, api_version)
        found = self._rows.get(key)
        if found is None:
            wanted = GroupVersionKind.of(api_version, kind)
            found = next((row for row in self._calls.rows if row.gvk == wanted), None)
            if found is None:
                raise status.no_such_path()
            self._rows[key] = found
        return found

    def _written(self, **more: Any) -> dict[str, str]:
        query = {"fieldManager": self._manager}
        for name, value in more.items():
            if value is True:
                query[name] = "All" if name == "dryRun" else "true"
            elif value:
                query[name] = str(value)
        return query

    async def get(
        self,
        resource: str,
        name: str,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        api_version: str = "",
        subresource: str = "",
        resource_version: str = "",
    ) -> Object:
        """The object."""
        row = self.row(resource, api_version)
        return await self._calls.get(row, _space(row, namespace), name, subresource, resource_version)

    async def list(
        self,
        resource: str,
        namespace: str = "",
        *,
        api_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
    ) -> Object:
        """The list, of all namespaces where none is given: ``{"metadata": .., "items": [..]}``."""
        query = _given(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=limit,
            resourceVersion=resource_version,
        )
        if continue_token:
            query["continue"] = continue_token
        row = self.row(resource, api_version)
        return await self._calls.list(row, _space(row, namespace), query)

    async def create(
        self,
        obj: Object,
        namespace: str = "",
        *,
        subresource: str = "",
        name: str = "",
        dry_run: bool = False,
        field_validation: str = "",
        resource: str = "",
    ) -> Object:
        """The object as stored. ``resource`` with ``name`` and ``subresource``: binding, eviction, token."""
        row = self.row(resource) if resource else self._row_of(obj)
        query = self._written(dryRun=dry_run, fieldValidation=field_validation)
        return await self._calls.create(row, _space_of(row, obj, namespace), name, subresource, obj, query)

    async def update(
        self, obj: Object, *, subresource: str = "", dry_run: bool = False, field_validation: str = ""
    ) -> Object:
        """The object as stored; ApiError 409 where it carries a resourceVersion that is not the last."""
        row = self._row_of(obj)
        query = self._written(dryRun=dry_run, fieldValidation=field_validation)
        name = (obj.get("metadata") or {}).get("name", "")
        return await self._calls.update(row, _space_of(row, obj, ""), name, subresource, obj, query)

    async def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        type: str = "merge",  # noqa: A002 - kubectl's name
        api_version: str = "",
        subresource: str = "",
        dry_run: bool = False,
        force: bool = False,
        field_manager: str = "",
    ) -> Object:
        """The object after the patch, whose ``type`` is json, merge, strategic or apply."""
        if type not in PATCHES:
            raise ValueError(f"a patch is one of {', '.join(PATCHES)}")
        row = self.row(resource, api_version)
        query = self._written(dryRun=dry_run, force=force)
        if field_manager:
            query["fieldManager"] = field_manager
        body = patch if isinstance(patch, bytes) else orjson.dumps(patch)
        return await self._calls.patch(
            row, _space(row, namespace), name, subresource, PATCHES[type], body, query
        )

    async def apply(
        self,
        obj: Object,
        *,
        field_manager: str = "",
        force: bool = False,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply; ApiError 409 where others own what would change, unless ``force``."""
        row = self._row_of(obj)
        name = (obj.get("metadata") or {}).get("name", "")
        query = self._written(dryRun=dry_run, force=force)
        if field_manager:
            query["fieldManager"] = field_manager
        namespace = _space_of(row, obj, "")
        return await self._calls.patch(
            row, namespace, name, subresource, PATCHES["apply"], orjson.dumps(obj), query
        )

    async def delete(
        self,
        resource: str,
        name: str,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        api_version: str = "",
        grace_period_seconds: int | None = None,
        propagation_policy: str = "",
        preconditions: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> Object:
        """The Status, or the object where it only begins to go."""
        options: Object = {}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if propagation_policy:
            options["propagationPolicy"] = propagation_policy
        if preconditions:
            options["preconditions"] = dict(preconditions)
        if dry_run:
            options["dryRun"] = ["All"]
        row = self.row(resource, api_version)
        return await self._calls.delete(row, _space(row, namespace), name, options)

    async def delete_collection(
        self,
        resource: str,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        api_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> Object:
        """The list of what was deleted."""
        query = _given(labelSelector=label_selector, fieldSelector=field_selector)
        row = self.row(resource, api_version)
        return await self._calls.delete_collection(row, _space(row, namespace), query, {})

    async def watch(
        self,
        resource: str,
        namespace: str = "",
        *,
        api_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        timeout_seconds: int = 0,
        bookmarks: bool = False,
        send_initial_events: bool | None = None,
    ) -> AsyncIterator[tuple[str, Object]]:
        """Events as (type, object): first what there is, or what happened since ``resource_version``."""
        query = _given(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            resourceVersion=resource_version,
            timeoutSeconds=timeout_seconds,
        )
        if bookmarks:
            query["allowWatchBookmarks"] = "true"
        if send_initial_events is not None:
            query["sendInitialEvents"] = str(send_initial_events).lower()
            query["resourceVersionMatch"] = "NotOlderThan"
        row = self.row(resource, api_version)
        async for piece in self._calls.watch(row, _space(row, namespace), query):
            for line in piece.splitlines():
                event = orjson.loads(line)
                yield event["type"], event["object"]


def _given(**values: Any) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value}


def _space(row: Row, namespace: str) -> str:
    return namespace if row.namespaced else ""


def _space_of(row: Row, obj: Object, namespace: str) -> str:
    if not row.namespaced:
        return ""
    return namespace or (obj.get("metadata") or {}).get("namespace") or DEFAULT_NAMESPACE


_END: Final = object()


class Client:
    """The synchronous face of ``LocalClient``, for threads other than the server's; the methods are its own."""

    def __init__(self, client: LocalClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    def _wait(self, work: Any) -> Object:
        future: Future[Object] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()

    def get(self, resource: str, name: str, namespace: str = DEFAULT_NAMESPACE, **options: Any) -> Object:
        """The object."""
        return self._wait(self._client.get(resource, name, namespace, **options))

    def list(self, resource: str, namespace: str = "", **options: Any) -> Object:
        """The list, of all namespaces where none is given."""
        return self._wait(self._client.list(resource, namespace, **options))

    def create(self, obj: Object, namespace: str = "", **options: Any) -> Object:
        """The object as stored."""
        return self._wait(self._client.create(obj, namespace, **options))

    def update(self, obj: Object, **options: Any) -> Object:
        """The object as stored."""
        return self._wait(self._client.update(obj, **options))

    def patch(
        self, resource: str, name: str, patch: Any, namespace: str = DEFAULT_NAMESPACE, **options: Any
    ) -> Object:
        """The object after the patch."""
        return self._wait(self._client.patch(resource, name, patch, namespace, **options))

    def apply(self, obj: Object, **options: Any) -> Object:
        """Server-side apply."""
        return self._wait(self._client.apply(obj, **options))

    def delete(self, resource: str, name: str, namespace: str = DEFAULT_NAMESPACE, **options: Any) -> Object:
        """The Status, or the object where it only begins to go."""
        return self._wait(self._client.delete(resource, name, namespace, **options))

    def delete_collection(self, resource: str, namespace: str = DEFAULT_NAMESPACE, **options: Any) -> Object:
        """The list of what was deleted."""
        return self._wait(self._client.delete_collection(resource, namespace, **options))

    def watch(self, resource: str, namespace: str = "", **options: Any) -> Iterator[tuple[str, Object]]:
        """Events as they come; ``timeout_seconds`` ends them, as does closing the iterator."""
        events: queue.SimpleQueue[Any] = queue.SimpleQueue()

        async def pump() -> None:
            try:
                async for event in self._client.watch(resource, namespace, **options):
                    events.put(event)
            except status.ApiError as error:
                events.put(error)
            finally:
                events.put(_END)

        pumping = asyncio.run_coroutine_threadsafe(pump(), self._loop)
        try:
            while (event := events.get()) is not _END:
                if isinstance(event, status.ApiError):
                    raise event
                yield event
        finally:
            pumping.cancel()
