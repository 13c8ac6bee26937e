"""The client: the same verbs, errors and versions whether the server is in this process or behind HTTP.

``AsyncClient`` asks by ``Calls``: ``kcore.ControlPlane.async_client`` those of the server in this process, without HTTP,
``kcore.client.remote.connect`` those of any cluster. ``kcore.client.blocking.Client`` is its synchronous face.

Objects are plain dicts in JSON form; what is given is not changed, what is returned is the caller's own. Errors are
``kcore.api.status.ApiError`` with ``code``, ``reason``, ``message`` and ``details`` of the Status that HTTP would
answer. A resource is named as kubectl names it: ``pods``, ``po``, ``Pod``, ``deployments.apps``, or with its version by
``api_version="apps/v1"``. What the server warns of, in HTTP's ``Warning`` headers, goes to ``on_warning``; the logger
``kcore.client`` is told where none is given, as client-go does. Who needs no more of what a create or a patch answers than
which object was written says so (``answered=False``): there is the metadata's name, namespace, uid and resourceVersion
then, and in process no more is made; a deletion answers nothing then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, TypeVar

import orjson

from kcore.api import status
from kcore.api.rows import GroupVersionKind, Row
from kcore.client.calls import Calls, Object, Warnings
from kcore.client.thread import ended
from kcore.http.turn import together

T = TypeVar("T")

Warn = Callable[[str], None]
DEFAULT_NAMESPACE: Final = "default"
PATCHES: Final = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


log = logging.getLogger("kcore.client")


class AsyncClient:
    """Asynchronous. ``field_manager`` is who owns what is written; ``on_warning`` may be set at any time."""

    def __init__(self, calls: Calls, *, field_manager: str = "kcore", on_warning: Warn | None = None) -> None:
        self._calls = calls
        self._manager = field_manager
        self.on_warning = on_warning
        self._rows: dict[tuple[str, str], Row] = {}

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every resource that the server serves, in each of its versions."""
        return self._calls.rows

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing of it is left open; a server in this process goes on."""
        await self._calls.close()

    async def together(self, works: Sequence[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
        """What each of the coroutines, which ask this client, returns or raises; they run at the same time."""
        if self._calls.is_local:
            return [*await together(works)]
        return await asyncio.gather(*works, return_exceptions=True)

    async def discover(self) -> None:
        """``rows`` are what the server serves now."""
        if await self._calls.discover():
            self._rows.clear()

    async def row(self, resource: str, api_version: str = "") -> Row:
        """The resource of that name; ApiError 404 where none is served under it."""
        key = (resource, api_version)
        return self._rows.get(key) or await self._looked_up(key, lambda: self._named(resource, api_version))

    async def _looked_up(self, key: tuple[str, str], find: Callable[[], Row | None]) -> Row:
        """What ``find`` finds, if need be once the server has been asked what it serves."""
        found = find()
        if found is None:
            if await self._calls.discover():
                self._rows.clear()
            found = find()
        if found is None:
            raise status.no_such_path()
        self._rows[key] = found
        return found

    def _named(self, resource: str, api_version: str) -> Row | None:
        name, _, group = resource.partition(".")
        lowered = name.lower()
        named = [
            row
            for row in self._calls.rows
            if lowered in (row.plural, row.singular, row.kind.lower(), *row.short_names)
            and (not group or row.group == group)
            and (not api_version or row.api_version == api_version)
        ]
        preferred = [row for row in named if row.version == row.storage_version]
        return next(iter(preferred or named), None)

    async def _row_of(self, obj: Object) -> Row:
        api_version, kind = obj.get("apiVersion"), obj.get("kind")
        if not isinstance(api_version, str) or not isinstance(kind, str):
            raise status.bad_request("Object 'Kind' is missing")
        key = (f"{kind}/", api_version)  # no resource is named so
        return self._rows.get(key) or await self._looked_up(
            key, lambda: self._of_kind(GroupVersionKind.of(api_version, kind))
        )

    def _of_kind(self, wanted: GroupVersionKind) -> Row | None:
        return next((row for row in self._calls.rows if row.gvk == wanted), None)

    def _written(self, **more: Any) -> dict[str, str]:
        query = {"fieldManager": self._manager}
        for name, value in more.items():
            if value is True:
                query[name] = "All" if name == "dryRun" else "true"
            elif value:
                query[name] = str(value)
        return query

    def _tell(self, warnings: Warnings) -> None:
        """The texts are passed on."""
        for text in warnings:
            if self.on_warning is not None:
                self.on_warning(text)
            else:
                log.warning("%s", text)

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
        row = await self.row(resource, api_version)
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
        row = await self.row(resource, api_version)
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
        answered: bool = True,
    ) -> Object:
        """The object as stored. ``resource`` with ``name`` and ``subresource``: binding, eviction, token."""
        row = await (self.row(resource) if resource else self._row_of(obj))
        query = self._written(dryRun=dry_run, fieldValidation=field_validation)
        space = _space_of(row, obj, namespace)
        warnings: Warnings = []
        try:
            return await self._calls.create(row, space, name, subresource, obj, query, warnings, answered)
        finally:
            self._tell(warnings)

    async def update(
        self,
        obj: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
        field_validation: str = "",
        resource: str = "",
    ) -> Object:
        """The object as stored; ApiError 409 where it carries a resourceVersion that is not the last.

        ``resource`` with ``subresource``: a Scale, a pod's resize.
        """
        row = await (self.row(resource) if resource else self._row_of(obj))
        query = self._written(dryRun=dry_run, fieldValidation=field_validation)
        warnings: Warnings = []
        try:
            return await self._calls.update(
                row, _space_of(row, obj, ""), _name_of(obj), subresource, obj, query, warnings
            )
        finally:
            self._tell(warnings)

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
        field_validation: str = "",
        answered: bool = True,
    ) -> Object:
        """The object after the patch, whose ``type`` is json, merge, strategic or apply."""
        if type not in PATCHES:
            raise ValueError(f"a patch is one of {', '.join(PATCHES)}")
        row = await self.row(resource, api_version)
        query = self._written(dryRun=dry_run, force=force, fieldValidation=field_validation)
        if field_manager:
            query["fieldManager"] = field_manager
        body = patch if isinstance(patch, bytes) else orjson.dumps(patch)
        warnings: Warnings = []
        try:
            return await self._calls.patch(
                row,
                _space(row, namespace),
                _named(name),
                subresource,
                PATCHES[type],
                body,
                query,
                warnings,
                answered,
            )
        finally:
            self._tell(warnings)

    async def apply(
        self,
        obj: Object,
        *,
        field_manager: str = "",
        force: bool = False,
        subresource: str = "",
        dry_run: bool = False,
        field_validation: str = "",
        resource: str = "",
    ) -> Object:
        """Server-side apply; ApiError 409 where others own what would change, unless ``force``."""
        row = await (self.row(resource) if resource else self._row_of(obj))
        query = self._written(dryRun=dry_run, force=force, fieldValidation=field_validation)
        if field_manager:
            query["fieldManager"] = field_manager
        space, name, body = _space_of(row, obj, ""), _name_of(obj), orjson.dumps(obj)
        warnings: Warnings = []
        try:
            return await self._calls.patch(
                row, space, name, subresource, PATCHES["apply"], body, query, warnings
            )
        finally:
            self._tell(warnings)

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
        answered: bool = True,
    ) -> Object:
        """The Status, or the object where it only begins to go.

        ``propagation_policy``: Foreground, Background or Orphan. ``preconditions``: uid, resourceVersion.
        """
        options = _delete_options(grace_period_seconds, propagation_policy, preconditions, dry_run)
        row = await self.row(resource, api_version)
        warnings: Warnings = []
        try:
            return await self._calls.delete(
                row, _space(row, namespace), _named(name), options, warnings, answered
            )
        finally:
            self._tell(warnings)

    async def delete_collection(
        self,
        resource: str,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        api_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        grace_period_seconds: int | None = None,
        propagation_policy: str = "",
        dry_run: bool = False,
    ) -> Object:
        """The list of what was deleted."""
        query = _given(labelSelector=label_selector, fieldSelector=field_selector)
        options = _delete_options(grace_period_seconds, propagation_policy, None, dry_run)
        row = await self.row(resource, api_version)
        warnings: Warnings = []
        try:
            return await self._calls.delete_collection(row, _space(row, namespace), query, options, warnings)
        finally:
            self._tell(warnings)

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
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Events as (type, object): first what there is, or what happened since ``resource_version``.

        Types are ADDED, MODIFIED, DELETED, BOOKMARK and, at the end of a stream that failed, ERROR with a Status.
        """
        events = self.batches(
            resource, namespace, api_version=api_version, label_selector=label_selector,
            field_selector=field_selector, resource_version=resource_version, timeout_seconds=timeout_seconds,
            bookmarks=bookmarks, send_initial_events=send_initial_events,
        )  # fmt: skip
        async with contextlib.aclosing(events):
            async for some in events:
                for event in some:
                    yield event

    async def batches(
        self,
        resource: str,
        namespace: str,
        *,
        api_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        timeout_seconds: int = 0,
        bookmarks: bool = False,
        send_initial_events: bool | None = None,
    ) -> AsyncGenerator[tuple[tuple[str, Object], ...], None]:
        """The events that came together."""
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
        row = await self.row(resource, api_version)
        pieces = self._calls.watch(row, _space(row, namespace), query)
        try:
            async for piece in pieces:
                made = map(orjson.loads, piece.splitlines())
                yield tuple((event["type"], event["object"]) for event in made)
        finally:
            await ended(pieces)


def _given(**values: Any) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value}


def _space(row: Row, namespace: str) -> str:
    return namespace if row.namespaced else ""


def _space_of(row: Row, obj: Object, namespace: str) -> str:
    if not row.namespaced:
        return ""
    return namespace or (obj.get("metadata") or {}).get("namespace") or DEFAULT_NAMESPACE


def _name_of(obj: Object) -> str:
    return _named((obj.get("metadata") or {}).get("name"))


def _named(name: Any) -> str:
    """The name; client-go's error where there is none, which would be another path."""
    if not isinstance(name, str) or not name:
        raise ValueError("resource name may not be empty")
    return name


def _delete_options(
    grace_period_seconds: int | None,
    propagation_policy: str,
    preconditions: Mapping[str, str] | None,
    dry_run: bool,
) -> Object:
    options: Object = {}
    if grace_period_seconds is not None:
        options["gracePeriodSeconds"] = grace_period_seconds
    if propagation_policy:
        options["propagationPolicy"] = propagation_policy
    if preconditions:
        options["preconditions"] = dict(preconditions)
    if dry_run:
        options["dryRun"] = ["All"]
    return options
