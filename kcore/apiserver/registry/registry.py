"""Registry: every verb on every row, over the store, the watch cache, the catalog and admission."""

from __future__ import annotations

from collections.abc import Callable

from kcore.apiserver.list_options import ListOptions
from kcore.apiserver.operation import Object, Operation, Result
from kcore.apiserver.registry import (
    collecting,
    computed,
    connecting,
    creating,
    deleting,
    patching,
    reading,
    updating,
)
from kcore.apiserver.registry.binding import bind_pod
from kcore.apiserver.registry.core import Core, Special
from kcore.apiserver.registry.plans import PROTOBUF
from kcore.apiserver.registry.subresources import CREATES, GETS, UPDATES


class Registry:
    """The one CRUD path. ``obj`` is a dict that was decoded and cleaned in the version of ``op.row``; it is consumed.

    All raise ApiError. Not a byte is stored where one does, and nothing is stored at all on a dry run.
    """

    def __init__(self, core: Core) -> None:
        self.core = core

    async def create(self, op: Operation, obj: Object) -> Result:
        """The object is stored (201); also POSTs to subresources that take one (binding, eviction, token)."""
        special = self._special(op)
        if special is not None:
            return await special(self.core, op, obj)
        return await creating.create(self.core, op, obj)

    async def create_from(self, op: Operation, form: str, body: bytes, read: Callable[[], Object]) -> Result:
        """The same for a body, which ``read`` decodes and cleans where it has to be; ``form``: see ``plans``."""
        core = self.core
        special = self._special(op)
        if special is bind_pod and core.binding_plans is not None and form != PROTOBUF:
            bound: Result = await core.binding_plans.bind(core, op, form, body, read)
            return bound
        if special is not None:
            return await special(core, op, read())
        if core.plans is None or op.subresource:
            return await creating.create(core, op, read())
        made: Result = await core.plans.create(core, op, form, body, read)
        return made

    def _special(self, op: Operation) -> Special | None:
        row = op.row
        return self.core.creates.get(key := (row.group, row.plural, op.subresource)) or CREATES.get(key)

    async def update(self, op: Operation, obj: Object) -> Result:
        """The object is as sent (200), or created where its kind allows that (201)."""
        special = UPDATES.get(op.subresource)
        if special is not None:
            return await special(self.core, op, obj)
        return await updating.update(self.core, op, obj)

    async def patch(self, op: Operation, patch_type: str, body: bytes) -> Result:
        """The object is as the patch makes it; ``patch_type`` is the content type without parameters."""
        return await patching.patch(self.core, op, patch_type, body)

    async def delete(self, op: Operation, options: Object | None = None) -> Result:
        """The object is gone, or marked to go (see upstream's rules); ``options`` is DeleteOptions."""
        return await deleting.delete(self.core, op, options or {})

    async def get(self, op: Operation, resource_version: str = "") -> Result:
        """The object."""
        special = GETS.get(op.subresource)
        if special is not None:
            return await special(self.core, op)
        source = self.core.computed.get((op.row.group, op.row.plural))
        if source is not None:
            return await computed.get(source, op)
        return await reading.get(self.core, op, resource_version)

    async def delete_collection(
        self, op: Operation, list_options: ListOptions, options: Object | None = None
    ) -> Result:
        """All objects that match are deleted as one by one; the answer is the list of those that were there."""
        return await collecting.delete_collection(self.core, op, list_options, options or {})

    async def connect(self, op: Operation, query: connecting.Query) -> connecting.Target | None:
        """Where the door streams to for log, exec, attach, portforward and proxy; None: an empty log."""
        if op.subresource == "proxy":
            return await connecting.proxy_target(self.core, op)
        return await connecting.TARGETS[op.subresource](self.core, op, query)

    async def list_computed(self, op: Operation, options: ListOptions) -> Result | None:
        """The list of what no store has; None for a row whose objects are stored."""
        source = self.core.computed.get((op.row.group, op.row.plural))
        return None if source is None else await computed.list_all(source, op, options)
