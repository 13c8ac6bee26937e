"""The server's verbs for callers in its own process: what ``kcore.client.local`` stands on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson

from kcore.api import status
from kcore.api.rows import Row
from kcore.apiserver import list_options
from kcore.apiserver.operation import Object, Operation, Options, Result
from kcore.apiserver.registry.options import write_options
from kcore.apiserver.user import UserInfo

ADMIN = UserInfo("kcore-admin", groups=("system:masters", "system:authenticated"))
AGENT = "kcore"


class LocalCalls:
    """See ``kcore.client.local.Calls``. Everything is asked as ``user``, past authorization."""

    def __init__(self, registry: Any, cacher: Any, catalog: Any, user: UserInfo = ADMIN) -> None:
        self._registry = registry
        self._cacher = cacher
        self._catalog = catalog
        self._user = user

    @property
    def rows(self) -> tuple[Row, ...]:
        """What is served."""
        rows: tuple[Row, ...] = self._catalog.rows
        return rows

    def _operation(
        self, row: Row, namespace: str, name: str, subresource: str, options: Options | None = None
    ) -> Operation:
        given = options if options is not None else Options(user_agent=AGENT)
        return Operation(row, namespace, name, subresource, user=self._user, options=given)

    async def get(self, row: Row, namespace: str, name: str, subresource: str, version: str) -> Object:
        """GET."""
        return _object(await self._registry.get(self._operation(row, namespace, name, subresource), version))

    async def list(self, row: Row, namespace: str, query: Mapping[str, str]) -> Object:
        """GET of many."""
        page = await self._cacher.list(row, namespace, list_options.from_query(row, query.items()))
        kind = self._registry.core.kind(row)
        items = [orjson.loads(kind.converted(item) if kind.converts else item) for item in page.items]
        return {
            "kind": row.list_kind_name, "apiVersion": row.api_version, "metadata": page.metadata, "items": items,
        }  # fmt: skip

    def _cleaned(
        self, row: Row, subresource: str, obj: Object, options: Options
    ) -> tuple[Object, Sequence[str]]:
        """A copy as a body would be read, and what to warn of."""
        copy = orjson.loads(orjson.dumps(obj))
        sub = row.subresource(subresource) if subresource else None
        if sub is not None and sub.kind is not None and sub.kind != row.gvk:
            from kcore.api import schema
            from kcore.api.schema.decoding import definitions_by_kind

            node = schema.load().node(definitions_by_kind()[sub.kind])
        else:
            node = self._catalog.node(row)
        try:
            unknown = node.clean(copy)
        except ValueError as error:
            raise status.bad_request(str(error)) from None
        if unknown and options.field_validation == "Strict":
            said = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise status.bad_request(
                f'{row.kind} in version "{row.version}" cannot be handled as a {row.kind}: strict decoding error: {said}'
            )
        return copy, unknown

    async def create(
        self, row: Row, namespace: str, name: str, subresource: str, obj: Object, query: Mapping[str, str]
    ) -> Object:
        """POST."""
        options = write_options(_lists(query), "CreateOptions", user_agent=AGENT)
        copy, _ = self._cleaned(row, subresource, obj, options)
        return _object(
            await self._registry.create(self._operation(row, namespace, name, subresource, options), copy)
        )

    async def update(
        self, row: Row, namespace: str, name: str, subresource: str, obj: Object, query: Mapping[str, str]
    ) -> Object:
        """PUT."""
        options = write_options(_lists(query), "UpdateOptions", user_agent=AGENT)
        copy, _ = self._cleaned(row, subresource, obj, options)
        return _object(
            await self._registry.update(self._operation(row, namespace, name, subresource, options), copy)
        )

    async def patch(
        self,
        row: Row,
        namespace: str,
        name: str,
        subresource: str,
        kind: str,
        body: bytes,
        query: Mapping[str, str],
    ) -> Object:
        """PATCH."""
        options = write_options(_lists(query), "PatchOptions", user_agent=AGENT, patch_type=kind)
        op = self._operation(row, namespace, name, subresource, options)
        return _object(await self._registry.patch(op, kind, body))

    async def delete(self, row: Row, namespace: str, name: str, options: Object) -> Object:
        """DELETE."""
        op = self._operation(row, namespace, name, "")
        op.options.dry_run = bool(options.get("dryRun"))
        return _object(await self._registry.delete(op, options))

    async def delete_collection(
        self, row: Row, namespace: str, query: Mapping[str, str], options: Object
    ) -> Object:
        """DELETE of many."""
        wanted = list_options.from_query(row, query.items())
        op = self._operation(row, namespace, "", "")
        return _object(await self._registry.delete_collection(op, wanted, options))

    async def watch(self, row: Row, namespace: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Lines of JSON, some at a time."""
        options = list_options.from_query(row, query.items(), watch=True)
        kind = self._registry.core.kind(row)
        from kcore.apiserver.watch_stream import json_frame

        encode = None
        if kind.converts:

            def encode(event: str, body: bytes) -> bytes:
                return json_frame(event, body if event == "ERROR" else kind.converted(body))

        stream = await self._cacher.watch(
            row, namespace, options, encode=encode, representation=row.api_version
        )
        try:
            async for piece in stream:
                yield piece
        finally:
            stream.close()


def _lists(query: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in query.items()}


def _object(result: Result) -> Object:
    body = result.body
    made: Object = orjson.loads(body) if isinstance(body, bytes) else body
    return made
