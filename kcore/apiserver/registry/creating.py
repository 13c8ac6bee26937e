"""POST of a new object, from the decoded body to the stored one.

Sources, Kubernetes 1.36: apiserver pkg/endpoints/handlers/create.go, pkg/registry/generic/registry/store.go,
pkg/registry/rest/create.go.
"""

from __future__ import annotations

from typing import Final

from kcore.api.kinds.metadata import validate_every_kind
from kcore.api.status import ApiError, already_exists, generated_name_taken, invalid
from kcore.api.strategy import Context
from kcore.apiserver.operation import CREATE, Object, Operation, Result, Written
from kcore.apiserver.registry.core import Core, Kind, Transaction
from kcore.apiserver.registry.managers import manager_of
from kcore.apiserver.registry.metadata import (
    DUPLICATE_OWNERS,
    DUPLICATE_OWNERS_AFTER_ADMISSION,
    GENERATE_NAME_ATTEMPTS_MAX,
    dedup_owners,
    ensure_namespace,
    generate_name,
    is_too_large,
    metadata_of,
    raised_internal,
    wipe_system_fields,
)
from kcore.apiserver.registry.owning import Writer, own_changes_like_before
from kcore.apiserver.registry.remembered import own_like_before
from kcore.apiserver.registry.stored_form import decode, dumps, loads
from kcore_native.fieldset.walk import Comparison

VERSION_ON_CREATE: Final = "resourceVersion should not be set on objects to be created"


async def create(core: Core, op: Operation, obj: Object) -> Result:
    """The object is stored under its name, or one that is generated; 201 with what was stored."""
    kind = core.kind(op.row)
    op.verb = CREATE
    metadata = metadata_of(obj)
    op.name = op.name or metadata.get("name", "")
    if not op.namespace and not op.row.namespaced and op.row.plural == "namespaces":
        op.namespace = op.name
    wipe_system_fields(metadata)
    ensure_namespace(metadata, op.namespace if op.row.namespaced else "")
    owned = "ownerReferences" in metadata
    if owned:
        dedup_owners(op, metadata, DUPLICATE_OWNERS)
    now = core.now()
    if kind.converts:
        # the fields are owned in the version that the request speaks
        own_fields(core, kind, op, None, obj, now)
        managed = metadata.get("managedFields")
        obj = kind.from_version(obj)
        metadata = obj["metadata"]
        if managed is not None:
            metadata["managedFields"] = managed
        kind.strategy.default(obj)
    else:
        kind.strategy.default(obj)
        own_fields(core, kind, op, None, obj, now)
    await core.admission.mutate(op, obj, None, now=now)
    if "ownerReferences" in metadata:
        dedup_owners(op, metadata, DUPLICATE_OWNERS_AFTER_ADMISSION)
    if metadata.get("generateName") and not metadata.get("name"):
        return await _create_generated(core, kind, op, obj, now)
    try:
        return await create_once(core, kind, op, obj, now)
    except ApiError as error:
        if not is_too_large(error) or not metadata.pop("managedFields", None):
            raise
    return await create_once(core, kind, op, obj, now)


async def _create_generated(core: Core, kind: Kind, op: Operation, obj: Object, now: str) -> Result:
    """Names are tried until one is free, or upstream's number of attempts is used up."""
    pristine = dumps(obj)
    for attempt in range(GENERATE_NAME_ATTEMPTS_MAX):
        try:
            return await create_once(core, kind, op, obj if attempt == 0 else loads(pristine), now)
        except ApiError as error:
            if error.reason != "AlreadyExists" or attempt == GENERATE_NAME_ATTEMPTS_MAX - 1:
                raise
            op.name = ""
    raise AssertionError("the last attempt returns or raises")


async def create_once(core: Core, kind: Kind, op: Operation, obj: Object, now: str) -> Result:
    """One attempt, after mutating admission: prepared, validated, stored."""
    metadata = obj["metadata"]
    metadata["creationTimestamp"] = now
    metadata["uid"] = core.chance.uid()
    generated = False
    if (base := metadata.get("generateName")) and not metadata.get("name"):
        metadata["name"] = generate_name(base, core.chance.suffix())
        generated = True
    transaction = await begin_create(kind, op, obj)
    try:
        context = core.context(op, now)
        prepare_new(kind, op, obj, context)
        if not op.name:
            op.name = metadata.get("name", "")
        await core.admission.validate(op, obj, None, now=now)
        result = await _store(core, kind, op, obj, generated)
    except BaseException:
        if transaction is not None:
            await transaction.revert()
        raise
    if transaction is not None:
        await transaction.commit()
    return result


async def begin_create(kind: Kind, op: Operation, obj: Object) -> Transaction | None:
    """What the resource reserves before its object is validated."""
    begin = kind.hooks.begin_create
    return await begin(op, obj) if begin is not None else None


def prepare_new(kind: Kind, op: Operation, obj: Object, context: Context) -> None:
    """The object is as its strategy makes a new one, and valid (rest.BeforeCreate)."""
    strategy = kind.strategy
    strategy.prepare_for_create(obj, context)
    metadata = obj["metadata"]
    errors = strategy.validate(obj, context)
    if not errors:  # rules of a strategy need not look at metadata, a disruption budget's do not
        errors = validate_every_kind(metadata, op.row.namespaced)
    if errors:
        raise invalid(op.row.group, op.row.kind, metadata.get("name", ""), errors)
    for text in strategy.warnings(obj, context):
        op.warn(text)
    strategy.canonicalize(obj)


async def _store(core: Core, kind: Kind, op: Operation, obj: Object, generated: bool) -> Result:
    row = op.row
    metadata = obj["metadata"]
    name = metadata["name"]
    namespace = metadata.get("namespace", "")
    if metadata.get("resourceVersion") not in (None, "", "0"):
        raise raised_internal(VERSION_ON_CREATE)
    data = kind.encode(obj)
    if op.options.dry_run:
        if await core.store.get(row, namespace, name) is not None:
            raise await taken(core, op, namespace, name, generated=generated)
        return Result(201, kind.converted(data) if kind.converts else data)
    revision = await core.store.create(row, namespace, name, data)
    if revision is None:
        raise await taken(core, op, namespace, name, generated=generated)
    return Written(201, data, revision, kind.answer)


async def taken(core: Core, op: Operation, namespace: str, name: str, *, generated: bool) -> ApiError:
    """409, which says so where the object of that name is on its way out."""
    row = op.row
    error = (generated_name_taken if generated else already_exists)(row.group, row.plural, name)
    found = await core.store.get(row, namespace, name)
    if found is not None and decode(found.value, found.revision)["metadata"].get("deletionTimestamp"):
        message = f"object is being deleted: {error.message}"
        return ApiError(error.code, error.reason, message, error.details)
    return error


def own_fields(core: Core, kind: Kind, op: Operation, live: Object | None, obj: Object, now: str) -> None:
    """The writer owns what it sets; ``live`` and ``obj`` are in the version of the request."""
    strategy = kind.strategy
    reset = strategy.reset_fields
    if op.subresource and (sub := strategy.subresources.get(op.subresource)) is not None:
        reset = sub.reset_fields
    manager = manager_of(op.options)

    def own(time: str, comparison: Comparison | None = None) -> None:
        core.managed_fields.update(
            live,
            obj,
            manager=manager,
            operation="Update",
            api_version=op.row.api_version,
            subresource=op.subresource,
            now=time,
            node=kind.node,
            reset_fields=reset,
            convert=kind.in_other_version,
            comparison=comparison,
        )

    if live is not None:
        writer = Writer(manager, op.row.api_version, op.subresource)
        own_changes_like_before(kind.updates, kind.field_sets, live, obj, writer, now, kind.node, own)
    elif not op.subresource:
        own_like_before(kind.owned, obj, manager, now, lambda: own(now))
    else:
        own(now)
