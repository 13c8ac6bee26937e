"""GET of one object.

Sources, Kubernetes 1.36: apiserver pkg/endpoints/handlers/get.go, pkg/storage/etcd3/store.go (Get).
"""

from __future__ import annotations

from kcore.api.status import not_found
from kcore.apiserver.operation import Operation, Result
from kcore.apiserver.registry.core import Core


async def get(core: Core, op: Operation, resource_version: str = "") -> Result:
    """The object as it is now, at least as new as ``resource_version``."""
    row = op.row
    kind = core.kind(row)
    if resource_version and resource_version != "0":
        await _not_older(core, op, resource_version)
    stored = await core.store.get(row, op.namespace if row.namespaced else "", op.name)
    if stored is None:
        raise not_found(row.group, row.plural, op.name)
    return Result(200, kind.answer(stored.value, stored.revision))


async def _not_older(core: Core, op: Operation, resource_version: str) -> None:
    from kcore.apiserver.versions import list_version, too_large

    wanted = list_version(resource_version)
    current = await core.store.current_revision(op.row)
    if wanted > current:
        raise too_large(wanted, current)
