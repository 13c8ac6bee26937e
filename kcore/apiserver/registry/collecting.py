"""DELETE of a collection.

Source: apiserver pkg/registry/generic/registry/store.go (DeleteCollection) of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

import orjson

from kcore.api.status import ApiError
from kcore.apiserver.list_options import ListOptions
from kcore.apiserver.operation import DELETE, Object, Operation, Result
from kcore.apiserver.registry.core import Core, Kind
from kcore.apiserver.registry.deleting import JOB_KEEPS_PODS, by_default, delete_object
from kcore.apiserver.registry.options import validate_delete_options

PAGE_OBJECTS_MAX: Final = 10_000
WORKERS_MAX: Final = 16  # deletions under way at once; upstream's flag --delete-collection-workers says 1


async def delete_collection(core: Core, op: Operation, list_options: ListOptions, options: Object) -> Result:
    """Every object that matches is deleted; the answer is the list of them as they were."""
    validate_delete_options(options)
    op.verb = DELETE
    op.delete_options = options
    op.options.dry_run = op.options.dry_run or bool(options.get("dryRun"))
    kind = core.kind(op.row)
    if op.row.group == "batch" and op.row.kind == "Job" and by_default(options):
        op.warn(JOB_KEEPS_PODS)
    items: list[bytes] = []
    version = ""
    wanted = replace(list_options, limit=list_options.limit or PAGE_OBJECTS_MAX)
    while True:
        page = await core.cacher.list(op.row, op.namespace, wanted)
        version = version or page.resource_version
        items += page.items
        await _delete_all(core, kind, op, page.items, options)
        if list_options.limit or not page.continue_token:
            break
        wanted = replace(
            wanted, continue_token=page.continue_token, resource_version="", resource_version_match=""
        )
    return Result(200, _list(op, items, version, page))


async def _delete_all(core: Core, kind: Kind, op: Operation, items: list[bytes], options: Object) -> None:
    """All are deleted; the first error is raised once none is under way."""
    left = iter(items)
    errors: list[ApiError] = []

    async def work() -> None:
        for item in left:
            if errors:
                return
            metadata = orjson.loads(item)["metadata"]
            one = replace(op, namespace=metadata.get("namespace", ""), name=metadata["name"])
            try:
                await delete_object(core, kind, one, _own(options))
            except ApiError as error:
                if error.code != 404:
                    errors.append(error)

    await asyncio.gather(*(work() for _ in range(min(WORKERS_MAX, len(items)))))
    if errors:
        raise errors[0]


def _own(options: Object) -> Object:
    """Options that one deletion may change."""
    made = dict(options)
    if made.get("preconditions"):
        made["preconditions"] = dict(made["preconditions"])
    return made


def _list(op: Operation, items: list[bytes], version: str, page: Any) -> bytes:
    row = op.row
    metadata: Object = {"resourceVersion": str(version)}
    if page.continue_token:
        metadata["continue"] = page.continue_token
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
    head = orjson.dumps({"kind": row.list_kind_name, "apiVersion": row.api_version, "metadata": metadata})
    return b'%b,"items":[%b]}' % (head[:-1], b",".join(items))
