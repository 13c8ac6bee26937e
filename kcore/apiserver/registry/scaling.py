"""The scale of a workload: read from it, written to it, its owned fields mapped both ways.

Sources, Kubernetes 1.36: pkg/registry/apps/deployment/storage/storage.go (ScaleREST),
apimachinery pkg/util/managedfields/scalehandler.go, pkg/apis/autoscaling/validation.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from kcore.api import field, schema
from kcore.api.kinds.metadata import validate_metadata
from kcore.api.kinds.names import name_is_subdomain
from kcore.api.status import conflict, invalid, not_found
from kcore.apiserver.operation import UPDATE, Object, Operation, Result
from kcore.apiserver.registry.core import Core
from kcore.apiserver.registry.managers import manager_of
from kcore.apiserver.registry.metadata import check_name, ensure_namespace, metadata_of
from kcore.apiserver.registry.stored_form import copied, decode, dumps
from kcore.apiserver.registry.updating import Updated, Write, write

API_VERSION: Final = "autoscaling/v1"
DEFINITION: Final = "io.k8s.api.autoscaling.v1.Scale"
SHOWN_METADATA: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")

Entry = dict[str, Any]
Key = tuple[str, str, str, str]


def scale_of(obj: Object) -> Object:
    """The Scale of the object."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    shown: Object = {}
    if replicas := spec.get("replicas"):
        shown["replicas"] = replicas
    state: Object = {"replicas": status.get("replicas", 0)}
    if text := selector_text(spec.get("selector")):
        state["selector"] = text
    metadata = obj["metadata"]
    return {
        "kind": "Scale",
        "apiVersion": API_VERSION,
        "metadata": {name: metadata[name] for name in SHOWN_METADATA if name in metadata},
        "spec": shown,
        "status": state,
    }


def selector_text(selector: Object | None) -> str:
    """The selector as ``kubectl get -l`` takes it; of a LabelSelector, or of a plain map."""
    if not selector:
        return ""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return ",".join(f"{key}={selector[key]}" for key in sorted(selector))
    texts = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        key, values = each["key"], ",".join(sorted(each.get("values") or ()))
        forms = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        texts.append((key, forms[each["operator"]]))
    return ",".join(text for _, text in sorted(texts, key=lambda pair: pair[0]))


async def get_scale(core: Core, op: Operation) -> Result:
    """The Scale of the object."""
    row = op.row
    stored = await core.store.get(row, op.namespace if row.namespaced else "", op.name)
    if stored is None:
        raise not_found(row.group, row.plural, op.name)
    return Result(200, scale_of(decode(stored.value, stored.revision)))


async def update_scale(core: Core, op: Operation, scale: Object) -> Result:
    """The object has the replicas of the Scale."""
    op.verb = UPDATE
    metadata = metadata_of(scale)
    ensure_namespace(metadata, op.namespace if op.row.namespaced else "")
    check_name(op, metadata)
    pristine = dumps(scale)
    now = core.now()

    async def updated(live: Object | None) -> Object:
        new: Object = orjson.loads(pristine)
        own_scale(core, op, live, new, now)
        await core.admission.mutate(op, new, live, now=now)
        return new

    return await write(core, scale_write(core, op, updated, now, metadata.get("uid", "")))


def own_scale(core: Core, op: Operation, live: Object | None, new: Object, now: str) -> None:
    """The writer owns what it sets of the Scale."""
    core.managed_fields.update(
        live,
        new,
        manager=manager_of(op.options),
        operation="Update",
        api_version=API_VERSION,
        subresource="scale",
        now=now,
        node=schema.load().node(DEFINITION),
        reset_fields=(),
    )


def scale_write(core: Core, op: Operation, updated_scale: Updated, now: str, uid: str = "") -> Write:
    """The write of the object whose Scale ``updated_scale`` changes."""
    kind = core.kind(op.row)
    row = op.row

    async def updated(live: Object | None) -> Object:
        if live is None:
            raise not_found(row.group, f"{row.plural}/scale", op.name)
        entries = live["metadata"].get("managedFields") or []
        old = scale_of(live)
        if shown := to_scale(entries, row.api_version):
            old["metadata"]["managedFields"] = shown
        scale = await updated_scale(old)
        metadata = scale["metadata"]
        if errors := validate_scale(scale):
            raise invalid("autoscaling", "Scale", op.name, errors)
        wanted, found = metadata.get("uid", ""), live["metadata"].get("uid", "")
        if wanted and wanted != found:
            why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
            raise conflict(row.group, f"{row.plural}/scale", op.name, why)
        obj: Object = copied(live)
        obj.setdefault("spec", {})["replicas"] = (scale.get("spec") or {}).get("replicas", 0)
        obj["metadata"]["resourceVersion"] = metadata.get("resourceVersion", "")
        owned = to_parent(entries, metadata.get("managedFields") or [], row.api_version)
        if owned:
            obj["metadata"]["managedFields"] = owned
        else:
            obj["metadata"].pop("managedFields", None)
        return obj

    return Write(kind, op, updated, now, uid, view=scale_of)


def validate_scale(scale: Object) -> list[field.FieldError]:
    """What is wrong with a Scale."""
    errors = validate_metadata(scale["metadata"], name_is_subdomain)
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        errors.append(field.invalid("spec.replicas", replicas, "must be greater than or equal to 0"))
    return errors


# -- owned fields ----------------------------------------------------------------------------------------------------


def _key(entry: Entry) -> Key:
    """Who an entry stands for: an applier is the same in every version."""
    operation = entry.get("operation", "")
    version = "" if operation == "Apply" else entry.get("apiVersion", "")
    return entry.get("manager", ""), operation, version, entry.get("subresource", "")


def _has_replicas(entry: Entry) -> bool:
    return "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})


def _order(entry: Entry) -> tuple[str, str, str, str, str]:
    get = entry.get
    return get("operation", ""), get("time", ""), get("manager", ""), get("apiVersion", ""), get("subresource", "")


def to_scale(entries: list[Entry], api_version: str) -> list[Entry]:
    """Who owns the replicas, as managed fields of the Scale."""
    found = [
        {**entry, "apiVersion": API_VERSION, "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        for entry in {_key(entry): entry for entry in entries}.values()
        if entry.get("apiVersion") == api_version and _has_replicas(entry)
    ]
    return sorted(found, key=_order)


def to_parent(entries: list[Entry], scale_entries: list[Entry], api_version: str) -> list[Entry]:
    """The managed fields of the object after its Scale was written."""
    scale = {_key(entry): entry for entry in scale_entries}
    merged = []
    times = {}
    for key, entry in {_key(entry): entry for entry in entries}.items():
        times[key] = entry.get("time")
        if entry.get("apiVersion") != api_version:
            continue
        if not _has_replicas(entry):
            merged.append(entry)
        elif key in scale:
            merged.append(entry)
            del scale[key]
        elif rest := _without_replicas(entry["fieldsV1"]):
            merged.append({**entry, "fieldsV1": rest})
    for key, entry in scale.items():
        if not _has_replicas(entry):
            continue
        made = {**entry, "apiVersion": api_version, "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        made.pop("time", None)
        if times.get(key):  # of the parent's entry, as upstream: a new owner gets none
            made["time"] = times[key]
        merged.append(made)
    return sorted(merged, key=_order)


def _without_replicas(fields: Entry) -> Entry:
    spec = {name: value for name, value in fields["f:spec"].items() if name != "f:replicas"}
    rest = {name: value for name, value in fields.items() if name != "f:spec"}
    return {**rest, "f:spec": spec} if spec else rest
