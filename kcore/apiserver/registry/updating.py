"""PUT, and the loop below every write of an object that is there: read, change, check, compare and swap.

Sources, Kubernetes 1.36: apiserver pkg/endpoints/handlers/update.go, pkg/registry/generic/registry/store.go (Update),
pkg/registry/rest/update.go, pkg/storage/etcd3/store.go (GuaranteedUpdate).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final

from kcore.api import field
from kcore.api.kinds.metadata import validate_every_kind_update
from kcore.api.status import ApiError, conflict, forbidden, invalid, not_found, server_timeout
from kcore.api.strategy import Context, Strategy, UpdateStrategy, nothing
from kcore.apiserver.operation import CREATE, UPDATE, Object, Operation, Result, Written
from kcore.apiserver.registry.core import Core, Kind, precondition_conflict
from kcore.apiserver.registry.creating import begin_create, own_fields, prepare_new
from kcore.apiserver.registry.metadata import (
    DUPLICATE_OWNERS,
    DUPLICATE_OWNERS_AFTER_ADMISSION,
    check_name,
    dedup_owners,
    ensure_namespace,
    is_too_large,
    metadata_of,
)
from kcore.apiserver.registry.shared import HEAD, kept_members, kept_of
from kcore.apiserver.registry.stored_form import copied, dumps, loads, same
from kcore.apiserver.registry.timestamps import keep_timestamps
from kcore.apiserver.versions import parse_version
from kcore_native.fieldset.walk import equal

MODIFIED: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)
SWAPS_MAX: Final = (
    1000  # attempts of one write against others; upstream goes on until the request's time is up
)
RETRY_SECONDS: Final = 2

# the new object from the live one (None: there is none), in the storage version; called again after a lost swap
Updated = Callable[[Object | None], Awaitable[Object]]


def _keep_all_but_status(obj: Object, old: Object, _: Context) -> None:
    """The object differs from the old one in status and metadata alone."""
    status, metadata = obj.get("status"), obj["metadata"]
    obj.clear()
    obj.update(old)
    obj["metadata"] = metadata
    if status is None:
        obj.pop("status", None)
    else:
        obj["status"] = status


# for a status without rules of its own
STATUS_ONLY: Final = UpdateStrategy(prepare_for_update=_keep_all_but_status)


@dataclass(slots=True)
class Write:
    """One write of an object that may be there.

    ``uid``: what it must have ("" any). ``creates``: it may be made where there is none. ``view``: what of the object
    the subresource shows (None: itself), where it is written under the rules of the resource itself (scale).
    ``learn`` is told the stored form of the object before and after, once all is judged and before it is stored.
    """

    kind: Kind
    op: Operation
    updated: Updated
    now: str
    uid: str = ""
    resource_version: str = ""
    creates: bool = False
    admits: bool = True  # validating admission is asked
    owns: bool = True  # managed fields are kept; False once the store has found the object too large
    view: Callable[[Object], Object] | None = None
    learn: Callable[[bytes, bytes], None] | None = None

    @property
    def strategy(self) -> Strategy | UpdateStrategy:
        """The rules of the resource, or those of the subresource."""
        strategy = self.kind.strategy
        if not self.op.subresource or self.view is not None:
            return strategy
        return strategy.subresources.get(self.op.subresource, STATUS_ONLY)


async def update(core: Core, op: Operation, obj: Object) -> Result:
    """The object is as sent: 200, or 201 where it was not there and its kind allows a PUT to create."""
    kind = core.kind(op.row)
    op.verb = UPDATE
    metadata = metadata_of(obj)
    ensure_namespace(metadata, op.namespace if op.row.namespaced else "")
    check_name(op, metadata)
    if "ownerReferences" in metadata:
        dedup_owners(op, metadata, DUPLICATE_OWNERS)
    if not kind.converts:
        kind.strategy.default(obj)
    now = core.now()
    pristine = dumps(obj)
    first = True

    async def updated(live: Object | None) -> Object:
        nonlocal first
        new = obj if first else loads(pristine)
        first = False
        return await admitted_update(core, kind, op, new, live, now)

    creates = not op.subresource and kind.strategy.allow_create_on_update
    return await write(core, Write(kind, op, updated, now, metadata.get("uid", ""), creates=creates))


async def admitted_update(
    core: Core, kind: Kind, op: Operation, new: Object, live: Object | None, now: str
) -> Object:
    """The object of a PUT with its owned fields, in the storage version, after mutating admission."""
    if kind.converts:
        shown = kind.in_version(copied(live)) if live is not None else None
        own_fields(core, kind, op, shown, new, now)
        new = kind.from_version(new)
        kind.strategy.default(new)
    else:
        if live is not None:
            share_equals(new, live, kind.strategy.shares)
        own_fields(core, kind, op, live, new, now)
    await mutate(core, kind, op, new, live, now)
    metadata = new["metadata"]
    if "ownerReferences" in metadata:
        dedup_owners(op, metadata, DUPLICATE_OWNERS_AFTER_ADMISSION)
    return new


def share_equals(new: Object, live: Object, names: Collection[str]) -> None:
    """Members that are equal are the live object's own, in the order that they are stored in."""
    for name in names:
        if name in new and name in live and equal(new[name], live[name]):
            new[name] = live[name]


async def mutate(core: Core, kind: Kind, op: Operation, new: Object, live: Object | None, now: str) -> None:
    """The object is as mutating admission makes it, which changes nothing of the live one."""
    if live is not None and not core.admission.keeps_shared(op):
        for name in kept_members(new, live, kind.strategy.shares):
            new[name] = copied(new[name])
    await core.admission.mutate(op, new, live, now=now)


def _version(metadata: Object) -> str:
    found = metadata.get("resourceVersion", "")
    return "" if found == "0" else found


async def write(core: Core, change: Write) -> Result:
    """The change is stored, whatever others write meanwhile; ApiError where it no longer may be."""
    try:
        return await _write(core, change)
    except ApiError as error:
        if not is_too_large(error) or not change.owns:
            raise
    change.owns = False
    return await _write(core, change)


async def _write(core: Core, change: Write) -> Result:
    op = change.op
    row = op.row
    namespace = op.namespace if row.namespaced else ""
    for _ in range(SWAPS_MAX):
        stored = await core.store.get(row, namespace, op.name)
        if stored is None:
            if not change.creates:
                raise not_found(row.group, row.plural, op.name)
            done = await _create(core, change, namespace)
        else:
            done = await _swap(
                core,
                change,
                namespace,
                change.kind.read(stored.value, stored.revision),
                stored.value,
                stored.revision,
            )
        if done is not None:
            return done
    raise server_timeout(row.group, row.plural, "update", RETRY_SECONDS)


def check_preconditions(change: Write, namespace: str, live: Object | None) -> None:
    """409 where the object is another one than the request takes it for."""
    metadata = live["metadata"] if live is not None else {}
    op = change.op
    if change.uid and change.uid != (found := metadata.get("uid", "")):
        text = f"Precondition failed: UID in precondition: {change.uid}, UID in object meta: {found}"
        raise precondition_conflict(op.row, namespace, op.name, text)
    if change.resource_version and change.resource_version != (
        version := metadata.get("resourceVersion", "")
    ):
        text = (
            f"Precondition failed: ResourceVersion in precondition: {change.resource_version}, "
            f"ResourceVersion in object meta: {version}"
        )
        raise precondition_conflict(op.row, namespace, op.name, text)


async def _create(core: Core, change: Write, namespace: str) -> Result | None:
    """The object is made by an update or an apply; None where another was faster."""
    op, kind, row = change.op, change.kind, change.op.row
    check_preconditions(change, namespace, None)
    op.verb = CREATE
    obj = await change.updated(None)
    metadata = obj["metadata"]
    metadata["creationTimestamp"] = change.now
    metadata["uid"] = core.chance.uid()
    transaction = await begin_create(kind, op, obj)
    try:
        ensure_namespace(metadata, namespace)
        prepare_new(kind, op, obj, core.context(op, change.now))
        if op.may_create is not None and (why := op.may_create()):
            raise forbidden(row.group, row.plural, op.name, why)
        await core.admission.validate(op, obj, None, now=change.now)
        data = kind.encode(obj)
        done: Result | None
        if op.options.dry_run:
            done = Result(201, kind.converted(data) if kind.converts else data)
        else:
            revision = await core.store.create(row, namespace, op.name, data)
            done = None if revision is None else Written(201, data, revision, kind.answer)
    except BaseException:
        if transaction is not None:
            await transaction.revert()
        raise
    if transaction is not None:
        await (transaction.commit() if done is not None else transaction.revert())
    return done


async def _swap(
    core: Core, change: Write, namespace: str, live: Object, data: bytes, revision: int
) -> Result | None:
    """The object is changed; None where another was faster. ``live`` is not changed."""
    op, kind, row = change.op, change.kind, change.op.row
    check_preconditions(change, namespace, live)
    op.verb = UPDATE
    obj = await change.updated(live)
    if not change.owns:
        obj["metadata"].pop("managedFields", None)
    _check_version(change, obj, live)
    begin = kind.hooks.begin_update if not op.subresource or change.view is not None else None
    transaction = await begin(op, obj, live) if begin is not None else None
    stored_revision: int | None
    try:
        prepare_update(core, change, obj, live, namespace)
        keep_timestamps(obj, live)
        if change.admits:
            view = change.view
            shown = (obj, live) if view is None else (view(obj), view(live))
            await core.admission.validate(op, *shown, now=change.now)
        if ends_by_update(kind, obj, live):
            stored_revision = await _end(core, change, namespace, live, revision)
            data = kind.encode_changed(obj, _kept(change, obj, live), data)
            answered = revision
        elif same(obj, live):
            stored_revision = answered = revision
            if change.learn is not None:
                change.learn(data, data)
        else:
            before, data = data, kind.encode_changed(obj, _kept(change, obj, live), data)
            if change.learn is not None:
                change.learn(before, data)
            if op.options.dry_run:
                stored_revision = answered = revision
            else:
                stored_revision = await core.store.replace(row, namespace, op.name, data, revision)
                answered = stored_revision or 0
    except BaseException:
        if transaction is not None:
            await transaction.revert()
        raise
    if transaction is not None:
        await (transaction.commit() if stored_revision is not None else transaction.revert())
    if stored_revision is None:
        return None
    if change.view is not None:
        obj["metadata"]["resourceVersion"] = str(answered)
        return Result(200, change.view(obj))
    return Written(200, data, answered, kind.answer)


def _kept(change: Write, obj: Object, live: Object) -> Collection[str]:
    """The members whose bytes are those that are stored.

    Through a subresource that are all that its strategy has put back from the live object, which nothing changes: what a
    strategy shares with it before counts for its own kind alone.
    """
    strategy, shares = change.kind.strategy, change.kind.strategy.shares
    if not shares and change.op.subresource and change.view is None and strategy.canonicalize is nothing:
        shares = tuple(name for name in obj if name not in HEAD)
    return kept_of(obj, live, shares)


def _check_version(change: Write, obj: Object, live: Object) -> None:
    """Optimistic concurrency: the version that the request saw is the one that is."""
    row = change.op.row
    metadata = obj["metadata"]
    version = _version(metadata)
    found = live["metadata"]["resourceVersion"]
    if not version:
        if not change.kind.strategy.allow_unconditional_update:
            error = field.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(row.group, row.plural, change.op.name, [error])
        metadata["resourceVersion"] = found
    elif version != found:
        try:
            wanted = parse_version(version)
        except ValueError as error:
            raise ApiError(500, "", str(error)) from None
        if wanted != int(found):
            raise conflict(row.group, row.plural, change.op.name, MODIFIED)
        metadata["resourceVersion"] = found


def prepare_update(core: Core, change: Write, obj: Object, live: Object, namespace: str) -> None:
    """The object is as its strategy makes a changed one, and valid (rest.BeforeUpdate)."""
    op = change.op
    row = op.row
    metadata = obj["metadata"]
    old = live["metadata"]
    ensure_namespace(metadata, namespace)
    _keep(metadata, old, "generation")
    strategy = change.strategy
    context = core.context(op, change.now)
    strategy.prepare_for_update(obj, live, context)
    metadata = obj["metadata"]
    if not metadata.get("uid"):
        _keep(metadata, old, "uid")
    if old.get("creationTimestamp"):
        metadata["creationTimestamp"] = old["creationTimestamp"]
    if old.get("deletionTimestamp"):
        metadata["deletionTimestamp"] = old["deletionTimestamp"]
    if (
        old.get("deletionGracePeriodSeconds") is not None
        and metadata.get("deletionGracePeriodSeconds") is None
    ):
        metadata["deletionGracePeriodSeconds"] = old["deletionGracePeriodSeconds"]
    errors = validate_every_kind_update(metadata, old, row.namespaced)
    errors += strategy.validate_update(obj, live, context)
    if errors:
        raise invalid(row.group, row.kind, metadata.get("name", ""), errors)
    for text in strategy.warnings_on_update(obj, live, context):
        op.warn(text)
    change.kind.strategy.canonicalize(obj)


def _keep(metadata: Object, old: Object, name: str) -> None:
    if name in old:
        metadata[name] = old[name]
    else:
        metadata.pop(name, None)


def ends_by_update(kind: Kind, obj: Object, live: Object) -> bool:
    """True where the update takes the last finalizer of an object that is being deleted."""
    metadata, old = obj["metadata"], live["metadata"]
    if not old.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    return not old.get("deletionGracePeriodSeconds") and kind.hooks.ends_by_update(obj)


async def _end(core: Core, change: Write, namespace: str, live: Object, revision: int) -> int | None:
    """The object is deleted; the answer of the request remains the object as sent."""
    op = change.op
    if op.options.dry_run:
        return revision
    removed = await core.store.remove(op.row, namespace, op.name, revision)
    if removed is not None and change.kind.hooks.after_delete is not None:
        await change.kind.hooks.after_delete(op, live)
    return removed
