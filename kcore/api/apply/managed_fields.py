"""managedFields are kept on every write, and server-side apply is done.

Source: apimachinery pkg/util/managedfields/internal/fieldmanager.go of Kubernetes 1.36 and the managers that it chains:
version check, last applied, skipping of what was never tracked, cap, manager info, times, stripped metadata, structured
merge. Objects are in the version of the request; ``convert`` gives them in another, with its schema node, and None for
a version that is not served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from kcore.api.apply import last_applied
from kcore.api.apply.conflicts import conflict_error
from kcore.api.apply.entries import (
    BadEntry,
    Entry,
    FieldSet,
    Managed,
    Owned,
    Owner,
    cap_update_managers,
    decode,
    encode,
    entry_of,
    is_reset,
    owner,
)
from kcore.api.apply.updater import Conflicts, Convert, Object, Typed, Updater
from kcore.api.rows import GroupVersionKind
from kcore.api.status import ApiError, bad_request
from kcore_native.fieldset import merge, sets, walk
from kcore_native.fieldset.shape import shape_of

BEFORE_FIRST_APPLY: Final = "before-first-apply"  # owns what was there before anyone applied

# Fields that nobody owns, on any object.
STRIPPED: Final = sets.from_paths(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)]
    + [
        ("f:metadata", f"f:{name}")
        for name in (
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
            "resourceVersion",
        )
    ]
)  # fmt: skip

ResetFields = Sequence[str] | Mapping[str, Sequence[str]]  # dotted paths; or those of each API version


@lru_cache(maxsize=1024)
def _path_set(paths: tuple[str, ...]) -> FieldSet:
    return sets.from_paths([tuple(f"f:{name}" for name in path.split(".")) for path in paths])


def _updater(reset_fields: ResetFields, api_version: str, convert: Convert | None) -> Updater:
    if isinstance(reset_fields, Mapping):
        return Updater({version: _path_set(tuple(paths)) for version, paths in reset_fields.items()}, convert)
    return Updater({api_version: _path_set(tuple(reset_fields))} if reset_fields else {}, convert)


def update(
    live: Object | None,
    new: Object,
    *,
    manager: str,
    operation: str = "Update",
    api_version: str,
    subresource: str = "",
    now: str,
    node: Any,
    reset_fields: ResetFields = (),
    convert: Convert | None = None,
    comparison: walk.Comparison | None = None,
) -> None:
    """``new["metadata"]["managedFields"]`` is right for a write by ``manager``; ``live`` is None for a create.

    ``comparison``: of ``live`` with ``new`` without its managed fields, where it is known already.
    A write that changes nothing keeps all times (what defaults and admission undo later is the registry's to see,
    fieldmanager/equality.go). Managed fields that are malformed are those of ``live``; an object
    that cannot be walked (list items without keys) loses them, as upstream's UpdateNoErrors.
    """
    metadata = new.get("metadata")
    if not isinstance(metadata, dict):
        return
    given = metadata.pop("managedFields", None)
    writer = owner(manager, operation, api_version, subresource)
    updater = _updater(reset_fields, api_version, convert)
    try:
        if live is None and not given:
            entries = _created(updater, new, writer, api_version, now, node)
        else:
            managed = _live_or_new(live, given, bool(subresource))
            entries = encode(
                _updated(updater, live, new, managed, writer, api_version, now, node, comparison)
            )
    except ValueError:
        return
    if entries:
        metadata["managedFields"] = entries


def _created(
    updater: Updater, new: Object, writer: Owner, api_version: str, now: str, node: Any
) -> list[Entry]:
    """What a creator owns, which is all there is: the path of nearly every create, without the steps for others."""
    shape = shape_of(node)
    changed = updater.filtered(walk.Comparison(shape, shape.zero, new).changed, api_version)
    own = sets.difference(changed, STRIPPED)
    return [entry_of(writer, Owned(own, api_version, False), now)] if own else []


def _entries_of(live: Object | None) -> list[Entry] | None:
    return (live.get("metadata") or {}).get("managedFields") if live is not None else None


def _live_or_new(live: Object | None, given: list[Entry] | None, through_subresource: bool) -> Managed:
    """Those of the request where it has any; never so through a subresource."""
    try:
        if not through_subresource:
            if is_reset(given):
                return Managed()
            try:
                managed = decode(given)
                if managed.owned:
                    return managed
            except BadEntry:
                pass
        return decode(_entries_of(live))
    except BadEntry:
        return Managed()


def _updated(
    updater: Updater,
    live: Object | None,
    new: Object,
    managed: Managed,
    writer: Owner,
    api_version: str,
    now: str,
    node: Any,
    comparison: walk.Comparison | None = None,
) -> Managed:
    """The owners after an update; an object that is not tracked stays so."""
    if not managed.owned and live is not None and (live.get("metadata") or {}).get("uid"):
        return managed
    shape = shape_of(node)
    old = Typed(shape.zero if live is None else live, shape, api_version)
    changed = updater.update(old, Typed(new, shape, api_version), managed.owned, comparison)
    own = sets.difference(changed, STRIPPED)
    if own:
        previous = managed.owned.get(writer)
        fields = sets.union(own, previous.fields) if previous is not None else own
        managed.owned[writer] = Owned(fields, api_version, False)
        managed.times[writer] = now
    cap_update_managers(managed)
    return managed


def apply(
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    force: bool = False,
    api_version: str,
    subresource: str = "",
    now: str,
    node: Any,
    reset_fields: ResetFields = (),
    convert: Convert | None = None,
    kind: str = "",
) -> Object:
    """The object as apply makes it, managedFields included, before defaults; ``live`` is None where there is none yet.

    ``live`` and ``applied`` are left as they are; the result shares with them what did not change. Nulls that were
    applied to scalars are in it: it has to go through the schema as any object from outside. ApiError 409 with a cause
    for each conflict, 400 for another type, 500 (as upstream) for a document that is not of the schema.
    """
    _check_type(live, applied, api_version, kind or str(node.type_name))
    shape = shape_of(node)
    _check_schema(shape, applied, api_version)
    try:
        managed = decode(_entries_of(live))
    except BadEntry as error:
        raise ApiError(500, "", f"failed to decode managed fields: {error}") from error
    updater = _updater(reset_fields, api_version, convert)
    try:
        if not managed.owned and live is not None:
            first = owner(BEFORE_FIRST_APPLY, "Update", api_version, subresource)
            _updated(updater, None, live, managed, first, api_version, now, node)
        before = Typed({} if live is None else live, shape, api_version)
        config = Typed(applied, shape, api_version)
        applier = owner(manager, "Apply", api_version, subresource)
        made = _applied(updater, before, config, managed, applier, manager=manager, force=force)
    except Conflicts as conflicts:
        raise conflict_error(conflicts.found) from None
    except ValueError as error:
        raise ApiError(500, "", f"failed to apply: {error}") from error
    return _finished(live, made, applied, managed, applier, manager, now)


def _applied(
    updater: Updater,
    before: Typed,
    config: Typed,
    managed: Managed,
    applier: Owner,
    *,
    manager: str,
    force: bool,
) -> Object:
    """The merged object; kubectl takes over from its own client-side apply without conflicts."""
    owners = dict(managed.owned)
    try:
        made = updater.apply(before, config, owners, applier, force=force)
    except Conflicts as conflicts:
        allowed = last_applied.applied_client_side(before) if manager == last_applied.KUBECTL else None
        if allowed is None:
            raise
        left = [(who, path) for who, path in conflicts.found if not sets.has(allowed, path)]
        if left:
            raise Conflicts(left) from None
        owners = dict(managed.owned)
        made = updater.apply(before, config, owners, applier, force=True)
    own = owners.get(applier)
    if own is not None:
        fields = sets.difference(own.fields, STRIPPED)
        if fields:
            owners[applier] = own._replace(fields=fields)
        else:
            del owners[applier]
    managed.owned = owners
    return made


def _finished(
    live: Object | None,
    made: Object,
    applied: Object,
    managed: Managed,
    applier: Owner,
    manager: str,
    now: str,
) -> Object:
    """The object with its managed fields; where nothing changed it is the live one, and no time is new."""
    if live is not None and walk.equal(live, made):
        made = live
    else:
        managed.times[applier] = now
    made = {**made, "metadata": {**(made.get("metadata") or {})}}
    if manager == last_applied.KUBECTL:
        made = last_applied.renewed(made, applied)
    entries = encode(managed)
    made["metadata"].pop("managedFields", None)
    if entries:
        made["metadata"]["managedFields"] = entries
    return made


def _kind_text(kind: GroupVersionKind) -> str:
    return f"{kind.group}/{kind.version}, Kind={kind.kind}"


def _check_type(live: Object | None, applied: Object, api_version: str, kind: str) -> None:
    said = [applied.get(name) for name in ("apiVersion", "kind")]
    given = GroupVersionKind.of(*(each if isinstance(each, str) else "" for each in said))
    wanted = (live or {}).get("kind") or kind
    if (given.api_version, given.kind) != (api_version, wanted):
        raise bad_request(f"invalid object type: {_kind_text(given)}")
    metadata = applied.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")


def _check_schema(shape: Any, applied: Object, api_version: str) -> None:
    try:
        faults = merge.faults(shape, applied)
    except ValueError as error:
        faults = [("", str(error))]
    if not faults:
        return
    texts = [f"{path}: {text}" if path else text for path, text in faults]
    text = texts[0] if len(texts) == 1 else "\n  ".join(["errors:", *texts])
    metadata = applied.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    kind = _kind_text(GroupVersionKind.of(api_version, applied.get("kind") or ""))
    named = f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}; {kind}"
    raise ApiError(500, "", f"failed to create typed patch object ({named}): {text}")


def fault(entries: list[Entry] | None) -> str:
    """What is wrong with managedFields, in upstream's words; empty where nothing is.

    Admission that leaves malformed ones gets a warning, and those from before (fieldmanager/admission.go).
    """
    try:
        decode(entries)
    except BadEntry as error:
        return str(error)
    return ""
