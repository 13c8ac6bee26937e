"""The condition ``Dangling`` of every flow schema: whether the priority level that it refers to is there.

``due`` says, purely, what is to be written; ``DanglingConditions`` writes it by server-side apply whenever a flow schema
or a priority level has changed. Source: apiserver pkg/util/flowcontrol/apf_controller.go (presyncFlowSchemaStatus) of
Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from kcore.api.rows import Row
from kcore.api.status import ApiError
from kcore.apiserver.fairness import GROUP, LEVELS, SCHEMAS, level_of
from kcore.apiserver.list_options import ListOptions
from kcore.apiserver.operation import Operation, Options
from kcore.apiserver.view import View

MANAGER: Final = "api-priority-and-fairness-config-consumer-v1"
DANGLING: Final = "Dangling"
APPLY: Final = "application/apply-patch+yaml"
SETTLE_SECONDS: Final = 0.1  # changes that come together are looked at together
RETRY_SECONDS: Final = 5.0

Object = dict[str, Any]

log = logging.getLogger("kcore.apiserver")


def due(schemas: Iterable[Object], levels: Iterable[str], now: str) -> Iterator[tuple[str, Object]]:
    """Names of the flow schemas whose condition is not as it should be, and what it should be."""
    there = set(levels)
    for schema in schemas:
        level = level_of(schema)
        status, reason, text = "False", "Found", "and it exists"
        if level not in there:
            status, reason, text = "True", "NotFound", "but there is no such object"
        wanted = {
            "type": DANGLING, "status": status, "reason": reason,
            "message": f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" {text}',
        }  # fmt: skip
        for condition in (schema.get("status") or {}).get("conditions") or ():
            if condition.get("type") == DANGLING and wanted.items() <= condition.items():
                break
        else:
            yield schema["metadata"]["name"], {**wanted, "lastTransitionTime": now}


class DanglingConditions:
    """``write`` writes them once, ``run`` keeps them until it is cancelled; ``registry`` is the API server's."""

    def __init__(self, view: View, cacher: Any, registry: Any, catalog: Any) -> None:
        self._view = view
        self._cacher = cacher
        self._registry = registry
        self._schemas = catalog.row(GROUP, "v1", SCHEMAS)
        self._levels = catalog.row(GROUP, "v1", LEVELS)
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """See the class."""
        for plural in (SCHEMAS, LEVELS):
            self._view.follow(GROUP, plural, lambda *_: self._changed.set())
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._changed.clear()
            try:
                await self.write()
            except ApiError as error:
                log.warning("the conditions of flow schemas could not be written: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                self._changed.set()

    async def write(self) -> None:
        """Every condition is as it should be."""
        levels = [each["metadata"]["name"] for each in await self._all(self._levels)]
        now = self._registry.core.now()
        for name, condition in due(await self._all(self._schemas), levels, now):
            applied = {
                "apiVersion": f"{GROUP}/v1", "kind": "FlowSchema", "metadata": {"name": name},
                "status": {"conditions": [condition]},
            }  # fmt: skip
            options = Options(field_manager=MANAGER, force=True)
            op = Operation(self._schemas, name=name, subresource="status", options=options)
            op.may_create = lambda: "it is gone"
            try:
                await self._registry.patch(op, APPLY, orjson.dumps(applied))
            except ApiError as error:
                if error.code not in (403, 404):  # deleted meanwhile: nothing more is to be done
                    raise

    async def _all(self, row: Row) -> list[Object]:
        """All objects of the row, as the store has them."""
        page = await self._cacher.list(row, "", ListOptions())
        return list(map(orjson.loads, page.items))
