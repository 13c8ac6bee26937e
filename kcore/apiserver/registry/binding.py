"""POST of a Binding: the pod is assigned to a node.

Sources, Kubernetes 1.36: pkg/registry/core/pod/storage/storage.go (BindingREST), pkg/apis/core/validation
(ValidatePodBinding).
"""

from __future__ import annotations

from kcore.api import field
from kcore.api.field import FieldError, quoted
from kcore.api.status import ApiError, bad_request, conflict, not_found, server_timeout
from kcore.apiserver.operation import CREATE, Object, Operation, Result
from kcore.apiserver.registry.conditions import set_pod_condition
from kcore.apiserver.registry.core import Core, precondition_conflict
from kcore.apiserver.registry.metadata import ensure_namespace, metadata_of
from kcore.apiserver.registry.updating import RETRY_SECONDS, SWAPS_MAX

TARGET_KINDS = ("", "Node")


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
        raise ApiError(500, "", field.aggregate(errors))
    await core.admission.validate(op, binding, None, now=core.now())
    row = core.catalog.row("", "v1", "pods")
    assert row is not None
    kind, metadata, name = core.kind(row), binding["metadata"], op.name
    for _ in range(SWAPS_MAX):
        stored = await core.store.get(row, op.namespace, name)
        if stored is None:
            raise not_found("", "pods", name)
        pod = kind.read(stored.value, stored.revision)
        _check(pod, metadata, op)
        fresh = "nodeName" not in pod["spec"]
        _assign(pod, binding, core.now())
        if fresh:
            added = {"spec": {"nodeName": binding["target"]["name"]}}
            data = kind.encode_changed(pod, ("spec",), stored.value, added)
        else:
            data = kind.encode(pod)
        if op.options.dry_run:
            return Result(201, succeeded(201))
        if await core.store.replace(row, op.namespace, name, data, stored.revision) is not None:
            return Result(201, succeeded(201))
    raise server_timeout("", "pods", "update", RETRY_SECONDS)


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
    (pod.get("status") or {}).pop("nominatedNodeName", None)
    for name in ("annotations", "labels"):
        if more := binding["metadata"].get(name):
            pod["metadata"].setdefault(name, {}).update(more)
    set_pod_condition(pod, {"type": "PodScheduled", "status": "True"}, now)
