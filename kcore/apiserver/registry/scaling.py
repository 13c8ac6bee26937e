"""The scale of a workload: read from it, written to it, its owned fields mapped both ways.

Sources, Kubernetes 1.36: pkg/registry/apps/deployment/storage/storage.go (ScaleREST),
apimachinery pkg/util/managedfields/scalehandler.go, pkg/apis/autoscaling/validation.
"""

from __future__ import annotations

from typing import Final

import orjson

from kcore.api import field, schema
from kcore.api.apply.scale import to_parent, to_subresource
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
REPLICAS: Final = "spec.replicas"
SHOWN_METADATA: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


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
        entries = live["metadata"].get("managedFields")
        replicas = {row.api_version: REPLICAS}
        old = scale_of(live)
        if shown := to_subresource(entries, replicas):
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
        owned = to_parent(entries, metadata.get("managedFields"), row.api_version, replicas)
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
