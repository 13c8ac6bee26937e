"""The server's own writes: through the registry, past authorization."""

from __future__ import annotations

from typing import Any, Final

import orjson

from kcore.api.rows import GroupVersionKind, Row
from kcore.api.status import ApiError, not_found
from kcore.apiserver.operation import Object, Operation, Options, Result
from kcore.apiserver.registry import Registry
from kcore.apiserver.view import Update

MANAGER: Final = "kube-apiserver"


class RegistryWriter:
    """See ``kcore.apiserver.view.Writer``."""

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog
        self.registry: Registry  # set once there is one: its admission writes, too
        self._rows: dict[tuple[str, str], Row] = {}
        for row in catalog.rows:
            key = (row.group, row.plural)
            if key not in self._rows or row.version == row.storage_version:
                self._rows[key] = row

    async def create(self, obj: Object) -> Object:
        """The object as stored; 409 where it is there."""
        row = self._catalog.by_kind(GroupVersionKind.of(obj["apiVersion"], obj["kind"]))
        metadata = obj["metadata"]
        op = _operation(row, metadata.get("namespace", ""), "")
        return _object(await self.registry.create(op, orjson.loads(orjson.dumps(obj))))

    async def update(self, group: str, plural: str, namespace: str, name: str, update: Update) -> Object:
        """The object as ``update`` makes it."""
        return await self._update(group, plural, namespace, name, update, "")

    async def update_status(
        self, group: str, plural: str, namespace: str, name: str, update: Update
    ) -> Object:
        """The same through the subresource ``status``."""
        return await self._update(group, plural, namespace, name, update, "status")

    async def _update(
        self, group: str, plural: str, namespace: str, name: str, update: Update, subresource: str
    ) -> Object:
        row = self._rows[group, plural]
        while True:
            found = _object(await self.registry.get(_operation(row, namespace, name)))
            made = update(orjson.loads(orjson.dumps(found)))
            if made is None:
                return found
            try:
                return _object(
                    await self.registry.update(_operation(row, namespace, name, subresource), made)
                )
            except ApiError as error:
                if error.reason != "Conflict":
                    raise

    async def delete(self, group: str, plural: str, namespace: str, name: str) -> None:
        """The object is gone; 404 where it was not there."""
        row = self._rows.get((group, plural))
        if row is None:
            raise not_found(group, plural, name)
        await self.registry.delete(_operation(row, namespace, name), {})


def _operation(row: Row, namespace: str, name: str, subresource: str = "") -> Operation:
    options = Options(field_manager=MANAGER, user_agent=MANAGER)
    return Operation(row, namespace if row.namespaced else "", name, subresource, options=options)


def _object(result: Result) -> Object:
    body = result.body
    made: Object = orjson.loads(body) if isinstance(body, bytes) else body
    return made
