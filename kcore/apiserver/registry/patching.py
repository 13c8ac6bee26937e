"""PATCH in four forms: JSON patch, merge patch, strategic merge patch, server-side apply.

Source: apiserver pkg/endpoints/handlers/patch.go of Kubernetes 1.36.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from kcore.api import field, schema
from kcore.api.patch import json_patch, json_patch_faults, merge_patch, strategic_merge
from kcore.api.patch.operations import check_form
from kcore.api.patch.restored import type_problem
from kcore.api.schema.decoding import forgets_owners
from kcore.api.schema.document import read_json
from kcore.api.status import ApiError, bad_request, conflict, not_found, unsupported_media_type
from kcore.api.status import invalid as invalid_object
from kcore.apiserver.operation import IGNORE, STRICT, UPDATE, Object, Operation, Result
from kcore.apiserver.registry.configurations import configuration
from kcore.apiserver.registry.core import Core, Kind
from kcore.apiserver.registry.creating import own_fields
from kcore.apiserver.registry.go_text import go_value
from kcore.apiserver.registry.managers import manager_of
from kcore.apiserver.registry.metadata import (
    DUPLICATE_OWNERS_AFTER_ADMISSION,
    check_name,
    dedup_owners,
    ensure_namespace,
    metadata_of,
)
from kcore.apiserver.registry.options import directive
from kcore.apiserver.registry.scaling import API_VERSION, DEFINITION, own_scale, scale_write
from kcore.apiserver.registry.shared import kept_members
from kcore.apiserver.registry.stored_form import copied, dumps
from kcore.apiserver.registry.updating import Write, mutate, write
from kcore_native.documents import member_count
from kcore_native.schema.node import TypeMismatch, count_members

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_YAML: Final = "application/apply-patch+yaml"
PATCH_TYPES: Final = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_YAML)
CUSTOM_PATCH_TYPES: Final = (JSON_PATCH, MERGE_PATCH, APPLY_YAML)  # no Go type, no strategic merge


@dataclass(slots=True)
class Patched:
    """The result of a patch before it is an object: ``shown`` is what an error quotes.

    ``restored``: the object is made of it without JSON between, whose words for a wrong type are others.
    """

    obj: Object
    warnings: list[str]
    shown: Callable[[], str]
    restored: bool = False


# (live object in the version of the request, op) -> what the patch makes of it
Mechanism = Callable[[Object, Operation], Patched]


async def patch(core: Core, op: Operation, patch_type: str, body: bytes) -> Result:
    """The object is as the patch makes it: 200, or 201 where an apply made it."""
    kind = core.kind(op.row)
    accepted = PATCH_TYPES if kind.row.schema else CUSTOM_PATCH_TYPES
    if patch_type not in accepted:
        raise unsupported_media_type(accepted)
    op.verb = UPDATE
    if op.subresource == "scale":
        return await patch_scale(core, op, patch_type, body)
    if patch_type == APPLY_YAML:
        return await write(core, applying(core, kind, op, body))
    if core.update_plans is None:
        return await write(core, patching(core, kind, op, patch_type, body))
    made: Result = await core.update_plans.patch(
        core, op, patch_type, body, lambda: patching(core, kind, op, patch_type, body)
    )
    return made


async def patch_scale(core: Core, op: Operation, patch_type: str, body: bytes) -> Result:
    """The object has the replicas of the patched Scale."""
    now = core.now()
    node = schema.load().node(DEFINITION)
    options = op.options
    if patch_type == APPLY_YAML:
        applied, faults = configuration(body, directive(options))
        pristine = dumps(applied)
    else:
        mechanism = mechanism_of(patch_type, body, node, directive(options))

    async def updated(live: Object | None) -> Object:
        assert live is not None
        if patch_type == APPLY_YAML:
            new = core.managed_fields.apply(
                live,
                orjson.loads(pristine),
                manager=manager_of(options),
                force=bool(options.force),
                api_version=API_VERSION,
                subresource="scale",
                now=now,
                node=node,
                reset_fields=(),
            )
            new = copied(new)
            _settle(new, node, API_VERSION)
            for text in faults:
                op.warn(text)
        else:
            new = cleaned(mechanism(live, op), node, op)
            own_scale(core, op, live, new, now)
        return await _admitted(core, op, new, live, now)

    return await write(core, scale_write(core, op, updated, now))


def patching(core: Core, kind: Kind, op: Operation, patch_type: str, body: bytes) -> Write:
    """The write of a patch that is no apply."""
    now = core.now()
    mechanism = mechanism_of(patch_type, body, kind.node, directive(op.options))

    async def updated(live: Object | None) -> Object:
        if live is None:
            raise not_found(op.row.group, op.row.plural, op.name)
        shown = kind.in_version(copied(live)) if kind.converts else live
        new = cleaned(mechanism(shown, op), kind.node, op, live, kind.strategy.shares)
        new["apiVersion"], new["kind"] = op.row.api_version, op.row.kind
        if kind.converts:
            own_fields(core, kind, op, shown, new, now)
            new = kind.from_version(new)
            kind.strategy.default(new)
        else:
            kind.default_changed(new, live)
            own_fields(core, kind, op, live, new, now)
        return await _admitted(core, op, new, live, now)

    return Write(kind, op, updated, now)


async def _admitted(core: Core, op: Operation, new: Object, live: Object | None, now: str) -> Object:
    """The patched object is the one that the request names, and passes mutating admission."""
    metadata = metadata_of(new)
    if live is None and (uid := metadata.get("uid")):
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise conflict(op.row.group, op.row.plural, op.name, why)
    ensure_namespace(metadata, op.namespace if op.row.namespaced else "")
    check_name(op, metadata)
    await mutate(core, core.kind(op.row), op, new, live, now)
    if "ownerReferences" in new["metadata"]:
        dedup_owners(op, new["metadata"], DUPLICATE_OWNERS_AFTER_ADMISSION)
    return new


def mechanism_of(patch_type: str, body: bytes, node: Any, validation: str) -> Mechanism:
    """The patch, decoded once; 400 where it is none."""
    given = parsed(body, patch_type)
    faults = [] if validation == IGNORE else doubles(body, given)
    if patch_type == JSON_PATCH:
        check_form(given)
        if validation != IGNORE:
            faults = [f"json patch {text}" for text in faults] + json_patch_faults(given)
        return _applying_json_patch(given, faults)
    if patch_type == MERGE_PATCH:
        return lambda live, _: Patched(made := merge_patch(live, given), faults, lambda: sorted_json(made))
    return lambda live, _: Patched(strategic_merge(live, given, node), faults, lambda: go_value(given), True)


def _applying_json_patch(given: Any, faults: list[str]) -> Mechanism:
    def mechanism(live: Object, _: Operation) -> Patched:
        made = json_patch(live, given)
        return Patched(made, faults, lambda: sorted_json(made))

    return mechanism


def parsed(body: bytes, patch_type: str) -> Any:
    """The patch's document; 400 where there is none."""
    try:
        return read_json(body)
    except ValueError as error:
        prefix = "" if patch_type == STRATEGIC_MERGE_PATCH else "error decoding patch: "
        raise bad_request(f"{prefix}{error}") from None


def doubles(body: bytes, given: Any) -> list[str]:
    """``duplicate field "x"`` for each member that an object of the document has twice."""
    if count_members(body) == member_count(given):
        return []
    found: dict[str, None] = {}
    _doubles(json.loads(body, object_pairs_hook=_Pairs), "", found)
    return list(found)


class _Pairs(list[tuple[str, Any]]):
    """The members of an object as they stand in the document."""


def _doubles(value: Any, path: str, found: dict[str, None]) -> None:
    if isinstance(value, _Pairs):
        seen = set()
        for key, item in value:
            below = f"{path}.{key}" if path else key
            if key in seen:
                found.setdefault(f"duplicate field {field.quoted(below)}")
            seen.add(key)
            _doubles(item, below, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _doubles(item, f"{path}[{index}]", found)


def sorted_json(obj: Any) -> str:
    """The document as Go's json.Marshal of maps writes it."""
    return field.go_json(obj)


def cleaned(
    made: Patched, node: Any, op: Operation, live: Object | None = None, shares: Collection[str] = ()
) -> Object:
    """The patched object after a round trip through its schema; unknown fields are met as the request says.

    Members of ``shares`` and managed fields that the patch left alone remain the live object's own.
    """
    taken = kept_members(made.obj, live, shares) if live is not None else ()
    metadata, entries = made.obj.get("metadata"), None
    if live is not None and isinstance(metadata, dict):
        entries = metadata.get("managedFields")
        if entries is not None and entries is live["metadata"].get("managedFields"):
            metadata = {name: value for name, value in metadata.items() if name != "managedFields"}
        else:
            entries = None
    rest = {name: value for name, value in made.obj.items() if name not in taken}
    if entries is not None:
        rest["metadata"] = metadata
    obj: Object = copied(rest)  # it shares with the live object and the patch
    forgets = forgets_owners(obj)
    try:
        unknown: Sequence[str] = node.clean(obj)
    except ValueError as error:
        found = type_problem(node, made.obj) if made.restored else None
        raise _invalid_patch(made, found or str(error)) from None
    if forgets:
        obj["metadata"]["managedFields"] = []
    elif entries is not None:
        obj["metadata"]["managedFields"] = entries
    if taken:
        obj = {name: None for name in made.obj if name in obj or name in taken} | obj
        for name in taken:
            obj[name] = made.obj[name]
    faults = made.warnings + [f'unknown field "{path}"' for path in unknown]
    if not faults:
        return obj
    validation = directive(op.options)
    if validation == STRICT:
        raise _invalid_patch(made, f"strict decoding error: {', '.join(faults)}")
    if validation != IGNORE:
        for text in faults:
            op.warn(text)
    return obj


def _settle(new: Object, node: Any, api_version: str) -> None:
    """What an apply merged is an object of that version; ApiError 500, as upstream, where a value has the wrong type."""
    try:
        node.clean(new)
    except TypeMismatch as error:
        why = f"unable to convert unstructured object to {api_version}, Kind={new.get('kind')}: {error}"
        raise ApiError(500, "", f"failed to convert new object to proper version: {why}") from None


def _invalid_patch(made: Patched, text: str) -> ApiError:
    return invalid_object("", "", "", [field.invalid("patch", made.shown(), text)])


def applying(core: Core, kind: Kind, op: Operation, body: bytes) -> Write:
    """The write of a server-side apply, which makes the object where there is none."""
    now = core.now()
    options = op.options
    applied, faults = configuration(body, directive(options))
    pristine = dumps(applied)
    strategy = kind.strategy
    reset = strategy.reset_fields
    if op.subresource and (sub := strategy.subresources.get(op.subresource)) is not None:
        reset = sub.reset_fields

    async def updated(live: Object | None) -> Object:
        shown = live
        if live is not None and kind.converts:
            shown = kind.in_version(copied(live))
        new = core.managed_fields.apply(
            shown,
            orjson.loads(pristine),
            manager=manager_of(options),
            force=bool(options.force),
            api_version=op.row.api_version,
            subresource=op.subresource,
            now=now,
            node=kind.node,
            reset_fields=reset,
            convert=kind.in_other_version,
        )
        new = copied(new)  # it shares with the live object
        _settle(new, kind.node, op.row.api_version)
        for text in faults:
            op.warn(text)
        if kind.converts:
            new = kind.from_version(new)
        kind.strategy.default(new)
        return await _admitted(core, op, new, live, now)

    return Write(kind, op, updated, now, creates=not op.subresource)
