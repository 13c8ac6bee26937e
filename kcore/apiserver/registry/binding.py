"""POST of a Binding: the pod is assigned to a node.

Sources, Kubernetes 1.36: pkg/registry/core/pod/storage/storage.go (BindingREST), pkg/apis/core/validation
(ValidatePodBinding).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from kcore.api import field
from kcore.api.field import FieldError, quoted
from kcore.api.status import ApiError, bad_request, conflict, not_found, server_timeout
from kcore.apiserver.operation import CREATE, Object, Operation, Result
from kcore.apiserver.registry.conditions import set_pod_condition
from kcore.apiserver.registry.core import Core, Kind, precondition_conflict
from kcore.apiserver.registry.metadata import ensure_namespace, metadata_of
from kcore.apiserver.registry.seams import Stored
from kcore.apiserver.registry.stored_form import dumps, loads
from kcore.apiserver.registry.updating import RETRY_SECONDS, SWAPS_MAX
from kcore_native.cacher.members import binding_places

TARGET_KINDS = ("", "Node")
UNCOMMON: Final = ("resourceVersion", "labels", "annotations")  # of a Binding
STATUSES_MAX: Final = 256  # that are remembered


def succeeded(code: int) -> Object:
    """The Status of an action that has no object to show."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code}


async def bind_pod(core: Core, op: Operation, binding: Object) -> Result:
    """POST to ``pods/{name}/binding``: 201 once the pod has its node."""
    metadata = metadata_of(binding)
    ensure_namespace(metadata, op.namespace)
    await core.admission.mutate(op, binding, None, now=core.now())
    if op.name != metadata.get("name", ""):
        raise bad_request("name in URL does not match name in Binding object")
    return await _bind(core, op, binding)


async def bind(core: Core, op: Operation, binding: Object) -> Result:
    """POST to ``bindings``: the Binding itself names the pod."""
    metadata = metadata_of(binding)
    ensure_namespace(metadata, op.namespace)
    op.name = metadata.get("name", "")
    await core.admission.mutate(op, binding, None, now=core.now())
    return await _bind(core, op, binding)


def validate_binding(binding: Object) -> list[FieldError]:
    """What is wrong with a Binding of a pod."""
    errors = []
    target = binding.get("target") or {}
    if (kind := target.get("kind", "")) not in TARGET_KINDS:
        errors.append(field.not_supported("target.kind", kind, ("Node", "<empty>")))
    if not target.get("name"):
        errors.append(field.required("target.name"))
    return errors


async def _bind(core: Core, op: Operation, binding: Object) -> Result:
    op.verb = CREATE
    if errors := validate_binding(binding):
        raise ApiError(500, "", field.aggregate(each.text for each in errors))
    await core.admission.validate(op, binding, None, now=core.now())
    row = core.catalog.row("", "v1", "pods")
    assert row is not None
    kind, name = core.kind(row), op.name
    for _ in range(SWAPS_MAX):
        stored = await core.store.get(row, op.namespace, name)
        if stored is None:
            raise not_found("", "pods", name)
        now = core.now()
        data = _spliced(kind, stored.value, binding, now) or _written(kind, stored, binding, op, now)
        if op.options.dry_run:
            return Result(201, succeeded(201))
        if await core.store.replace(row, op.namespace, name, data, stored.revision) is not None:
            return Result(201, succeeded(201))
    raise server_timeout("", "pods", "update", RETRY_SECONDS)


async def bound_at_once(core: Core, op: Operation, kind: Kind, uid: bytes, node: bytes) -> Result | None:
    """The pod has its node, by an admitted Binding that says no more than that; None where there is more to look at.

    ``uid``, where it says one, and ``node`` as they stand in JSON.
    """
    row, name = op.row, op.name
    for _ in range(SWAPS_MAX):
        stored = await core.store.get(row, op.namespace, name)
        if stored is None:
            raise not_found("", "pods", name)
        data = spliced(kind, stored.value, uid, node, core.now())
        if data is None:
            return None
        if await core.store.replace(row, op.namespace, name, data, stored.revision) is not None:
            return Result(201, succeeded(201))
    return None


def _spliced(kind: Kind, value: bytes, binding: Object, now: str) -> bytes | None:
    wanted = binding["metadata"]
    if any(wanted.get(name) for name in UNCOMMON):
        return None
    uid, node = dumps(wanted.get("uid") or ""), dumps(binding["target"]["name"])
    return spliced(kind, value, uid[1:-1], node[1:-1], now)


def spliced(kind: Kind, value: bytes, uid: bytes, node: bytes, now: str) -> bytes | None:
    """The stored pod with its node, its spec not decoded; None where there is more to look at.

    That is a pod of another uid, or one that is bound, gated or on its way out already.
    """
    places = binding_places(value, uid)
    if places is None:
        return None
    end, start, stop = places
    made = _bound_status(value[start:stop], now, kind.stored_node)
    return b'%s,"nodeName":"%s"%s%s%s' % (value[:end], node, value[end:start], made, value[stop:])


@lru_cache(maxsize=STATUSES_MAX)
def _bound_status(status: bytes, now: str, node: Any) -> bytes:
    """The status of a pod that was bound then; pods that wait for a node mostly have the same one."""
    pod: Object = {"status": loads(status)}
    node.drop_nulls(pod)
    _assign_status(pod, now)
    node.write_nulls(pod)
    return dumps(pod["status"])


def _written(kind: Kind, stored: Stored, binding: Object, op: Operation, now: str) -> bytes:
    """The same by way of the whole pod; ApiError where it may not be bound."""
    pod = kind.read(stored.value, stored.revision)
    _check(pod, binding["metadata"], op)
    added = {"spec": {"nodeName": binding["target"]["name"]}}
    is_new = "nodeName" not in pod["spec"]
    _assign(pod, binding, now)
    return kind.encode_changed(pod, ("spec",), stored.value, added) if is_new else kind.encode(pod)


def _check(pod: Object, metadata: Object, op: Operation) -> None:
    """The pod is the one meant, and is still to be assigned."""
    found, name = pod["metadata"], op.name
    for wanted, label, key in (
        (metadata.get("uid"), "UID", "uid"),
        (metadata.get("resourceVersion"), "ResourceVersion", "resourceVersion"),
    ):
        if wanted and wanted != found.get(key, ""):
            text = f"Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {found.get(key, '')}"
            raise precondition_conflict(op.row, op.namespace, name, text, "pods")
    why = ""
    if found.get("deletionTimestamp"):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
    elif node := pod["spec"].get("nodeName"):
        why = f"pod {name} is already assigned to node {quoted(node)}"
    elif pod["spec"].get("schedulingGates"):
        why = f"pod {name} has non-empty .spec.schedulingGates"
    if why:
        raise conflict("", "pods/binding", name, why)


def _assign(pod: Object, binding: Object, now: str) -> None:
    """The pod has its node, and what the Binding says beside."""
    pod["spec"]["nodeName"] = binding["target"]["name"]
    for name in ("annotations", "labels"):
        if more := binding["metadata"].get(name):
            pod["metadata"].setdefault(name, {}).update(more)
    _assign_status(pod, now)


def _assign_status(pod: Object, now: str) -> None:
    (pod.get("status") or {}).pop("nominatedNodeName", None)
    set_pod_condition(pod, {"type": "PodScheduled", "status": "True"}, now)
