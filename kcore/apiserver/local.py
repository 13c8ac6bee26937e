"""The server's verbs for callers in its own process: what ``kcore.client.asynchronous`` stands on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import orjson

from kcore.api import schema, status
from kcore.api.rows import Row
from kcore.api.schema import decoding
from kcore.apiserver import list_options
from kcore.apiserver.operation import WARN, Object, Operation, Options, Result, Written
from kcore.apiserver.registry.options import write_options
from kcore.apiserver.registry.plans import LOCAL
from kcore.apiserver.rendering import object_of
from kcore.apiserver.server import not_allowed
from kcore.apiserver.user import UserInfo
from kcore.apiserver.watch_stream import WatchStream, json_frame
from kcore.client.calls import Warnings, identity_of
from kcore.http.http1 import BODY_BYTES_MAX
from kcore_native.cacher.members import identity

ADMIN = UserInfo("kcore-admin", groups=("system:masters", "system:authenticated"))
AGENT = "kcore"
OPTIONS_MAX: Final = 64  # of queries that are remembered


class LocalCalls:
    """See ``kcore.client.calls.Calls``. Everything is asked as ``user``, past authorization."""

    is_local = True

    def __init__(self, registry: Any, cacher: Any, catalog: Any, user: UserInfo = ADMIN) -> None:
        self._registry = registry
        self._cacher = cacher
        self._catalog = catalog
        self._user = user
        self._streams: set[WatchStream] = set()
        self._known: dict[tuple[Any, ...], Options] = {}  # options that were right, by what was asked

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is served."""
        rows: tuple[Row, ...] = self._catalog.rows
        return rows

    async def discover(self) -> bool:
        """``rows`` are of the moment."""
        return False

    async def close(self) -> None:
        """Nothing is held."""

    def _operation(
        self,
        verb: str,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        options: Options | None = None,
        warnings: Warnings | None = None,
    ) -> Operation:
        """What the registry is asked; ApiError 404 or 405 where no path of the API asks it."""
        verbs: Sequence[str] = row.verbs
        if subresource:
            sub = row.subresource(subresource)
            if sub is None:
                raise status.no_such_path()
            verbs = sub.verbs
        if verb not in verbs:
            raise not_allowed()
        given = options if options is not None else Options(user_agent=AGENT)
        return Operation(
            row, namespace, name, subresource, user=self._user, options=given,
            warnings=warnings if warnings is not None else [],
        )  # fmt: skip

    async def get(self, row: Row, namespace: str, name: str, subresource: str, version: str) -> Object:
        """GET."""
        op = self._operation("get", row, namespace, name, subresource)
        return _object(await self._registry.get(op, version))

    async def list(self, row: Row, namespace: str, query: Mapping[str, str]) -> Object:
        """GET of many."""
        if "list" not in row.verbs:
            raise not_allowed()
        options = list_options.from_query(row, query.items())
        if not row.storage:
            op = self._operation("list", row, namespace, "", "")
            found = await self._registry.list_computed(op, options)
            if found is not None:
                return _object(found)
        page = await self._cacher.list(row, namespace, options)
        kind = self._registry.core.kind(row)
        if not kind.converts:
            made: Object = orjson.loads(page.body(row.api_version, row.list_kind_name))
            return made
        obj = object_of([*map(kind.converted, page.items)], row, page.metadata)
        for item in obj["items"]:
            item.pop("apiVersion", None)
            item.pop("kind", None)
        return obj

    def _read(
        self, row: Row, subresource: str, obj: Object, body: bytes, options: Options, warnings: Warnings
    ) -> Object:
        """A copy as its ``body`` would be read.

        What is right is cleaned as it is; whatever is wrong goes the way of a body, which says so in upstream's words.
        """
        sub = row.subresource(subresource) if subresource else None
        wanted = sub.kind if sub is not None and sub.kind is not None else row.gvk
        if wanted == row.gvk:
            node = self._catalog.node(row)
        else:
            node = schema.load().node(decoding.definitions_by_kind()[wanted])
        if obj.get("kind") == wanted.kind and obj.get("apiVersion") == wanted.api_version:
            copy: Object = orjson.loads(body)
            with contextlib.suppress(ValueError):
                if not node.clean(copy):
                    return copy
        read, said = decoding.decode_json(body, node, options.field_validation or WARN, wanted)
        warnings += said
        return read

    def _options(self, kind: str, query: Mapping[str, str], patch_type: str = "") -> Options:
        """A request's own, as ``write_options`` reads them."""
        key = (kind, patch_type, *query.items())
        known = self._known.get(key)
        if known is None:
            known = write_options(_lists(query), kind, user_agent=AGENT, patch_type=patch_type)
            if len(self._known) < OPTIONS_MAX:
                self._known[key] = known
        return Options(
            known.dry_run, known.field_manager, known.field_validation, known.force, known.user_agent
        )

    async def create(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        obj: Object,
        query: Mapping[str, str],
        warnings: Warnings,
        answered: bool = True,
    ) -> Object:
        """POST."""
        options = self._options("CreateOptions", query)
        op = self._operation("create", row, namespace, name, subresource, options, warnings)
        body = _body(obj)
        result = await self._registry.create_from(
            op, LOCAL, body, lambda: self._read(row, subresource, obj, body, options, warnings)
        )
        return _object(result) if answered else _identity(result)

    async def update(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        obj: Object,
        query: Mapping[str, str],
        warnings: Warnings,
    ) -> Object:
        """PUT."""
        options = self._options("UpdateOptions", query)
        op = self._operation("update", row, namespace, name, subresource, options, warnings)
        copy = self._read(row, subresource, obj, _body(obj), options, warnings)
        return _object(await self._registry.update(op, copy))

    async def patch(
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
    ) -> Object:
        """PATCH."""
        if len(body) > BODY_BYTES_MAX:
            raise status.entity_too_large(f"limit is {BODY_BYTES_MAX}")
        options = self._options("PatchOptions", query, kind)
        op = self._operation("patch", row, namespace, name, subresource, options, warnings)
        result = await self._registry.patch(op, kind, body)
        return _object(result) if answered else _identity(result)

    async def delete(
        self, row: Row, namespace: str, name: str, options: Object, warnings: Warnings, answered: bool = True
    ) -> Object:
        """DELETE."""
        op = self._operation("delete", row, namespace, name, "", warnings=warnings)
        op.options.dry_run = bool(options.get("dryRun"))
        result = await self._registry.delete(op, options)
        return _object(result) if answered else {}

    async def delete_collection(
        self, row: Row, namespace: str, query: Mapping[str, str], options: Object, warnings: Warnings
    ) -> Object:
        """DELETE of many."""
        wanted = list_options.from_query(row, query.items())
        op = self._operation("deletecollection", row, namespace, "", "", warnings=warnings)
        op.options.dry_run = bool(options.get("dryRun"))
        return _object(await self._registry.delete_collection(op, wanted, options))

    async def watch(self, row: Row, namespace: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Lines of JSON, some at a time."""
        if "watch" not in row.verbs:
            raise not_allowed()
        options = list_options.from_query(row, query.items(), watch=True)
        kind = self._registry.core.kind(row)
        encode = None
        if kind.converts:

            def encode(event: str, body: bytes) -> bytes:
                return json_frame(event, body if event == "ERROR" else kind.converted(body))

        stream = await self._cacher.watch(
            row, namespace, options, encode=encode, representation=row.api_version
        )
        self._streams.add(stream)
        try:
            async for piece in stream:
                yield piece
        finally:
            self._streams.discard(stream)
            stream.close()

    def end_watches(self) -> None:
        """Every watch ends once what waits has been taken."""
        for stream in list(self._streams):
            stream.stop()


def _body(obj: Object) -> bytes:
    """The object as JSON; ApiError 413 where a server would not read it."""
    body = orjson.dumps(obj)
    if len(body) > BODY_BYTES_MAX:
        raise status.entity_too_large(f"limit is {BODY_BYTES_MAX}")
    return body


def _lists(query: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in query.items()}


def _object(result: Result) -> Object:
    body = result.body
    made: Object = orjson.loads(body) if isinstance(body, bytes) else body
    return made


def _identity(result: Result) -> Object:
    """``identity_of`` the answer, which is not made where the stored form tells as much."""
    if isinstance(result, Written) and (found := identity(result.stored)) is not None:
        return {"metadata": {**found, "resourceVersion": str(result.revision)}}
    return identity_of(_object(result))
