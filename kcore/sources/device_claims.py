"""Resource claims that pods ask for by a template, made as their controller would; devices and claims checked for shape.

Source: pkg/controller/resourceclaim/controller.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from kcore.api.errors import InputError
from kcore.api.objects import (
    ClusterObjects,
    OwnerReference,
    Pod,
    ResourceClaim,
    ResourceClaimTemplate,
    StorageMeta,
)
from kcore.sources.intake import Intake
from kcore.sources.kinds import DEVICE_KINDS


def check_devices(intake: Intake) -> None:
    """No two objects of a kind have one name, and all are those of resource.k8s.io/v1; InputError otherwise."""
    for kind in (*(name for name, _ in DEVICE_KINDS), "ResourceClaimTemplate"):
        first: dict[tuple[str, str], str] = {}
        for obj, (file, document) in zip(intake.objects[kind], intake.origins[kind], strict=True):
            name = (obj.metadata.namespace, obj.metadata.name)
            try:
                if name in first:
                    raise InputError(
                        f"the {kind} {obj.metadata.name!r} is there twice, first in {first[name]}",
                        field="metadata.name",
                        expected="each name once",
                    )
                first[name] = ": ".join(part for part in (file, document) if part)
                _check(kind, obj.spec)
            except InputError as error:
                title = f"{kind} {obj.metadata.name}"
                raise error.at(file=file, document=f"{document} ({title})" if document else title) from None


def _check(kind: str, spec: dict[str, Any]) -> None:
    if kind == "ResourceSlice":
        _require(spec, "spec", "driver", str)
        _require(spec, "spec", "pool", dict)
        _require(spec["pool"], "spec.pool", "name", str)
        for index, device in enumerate(_list(spec, "spec", "devices")):
            _require(device, f"spec.devices[{index}]", "name", str)
            if "basic" in device:
                raise InputError(
                    "is not there", field=f"spec.devices[{index}].basic", expected="resource.k8s.io/v1"
                )
        return
    where = "spec.spec" if kind == "ResourceClaimTemplate" else "spec"
    if kind != "DeviceClass":
        inner = spec.get("spec", {}) if kind == "ResourceClaimTemplate" else spec
        for index, request in enumerate(_list(inner.get("devices") or {}, f"{where}.devices", "requests")):
            field = f"{where}.devices.requests[{index}]"
            _require(request, field, "name", str)
            if not isinstance(request.get("exactly"), dict) and not request.get("firstAvailable"):
                raise InputError(
                    "asks for nothing",
                    field=field,
                    expected="exactly or firstAvailable, as in resource.k8s.io/v1",
                )


def _list(obj: dict[str, Any], where: str, name: str) -> list[Any]:
    found = obj.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError("is no list of objects", field=f"{where}.{name}", expected="a list")
    return found


def _require(obj: dict[str, Any], where: str, name: str, kind: type) -> None:
    if not isinstance(obj.get(name), kind) or not obj[name]:
        raise InputError(
            "is missing", field=f"{where}.{name}", expected="a name" if kind is str else "an object"
        )


def make_claims(found: ClusterObjects, templates: Sequence[ResourceClaimTemplate]) -> None:
    """Pods that are to have claims of their own have them, where their template is there."""
    by_name = {(one.metadata.namespace, one.metadata.name): one for one in templates}
    taken = {(one.metadata.namespace, one.metadata.name) for one in found.resource_claims}
    if not by_name:
        return
    for pod in found.pods:
        known = list(pod.status.resource_claim_statuses or ())
        named = {one.get("name") for one in known}
        for reference in pod.spec.resource_claims or ():
            template = by_name.get((pod.metadata.namespace, reference.get("resourceClaimTemplateName") or ""))
            if template is None or reference.get("name") in named:
                continue
            claim = _claim(pod, f"{pod.metadata.name}-{reference.get('name', '')}", template, taken)
            found.resource_claims.append(claim)
            known.append({"name": reference.get("name"), "resourceClaimName": claim.metadata.name})
        if len(known) > len(named):
            pod.status = replace(pod.status, resource_claim_statuses=known)


def _claim(
    pod: Pod, name: str, template: ResourceClaimTemplate, taken: set[tuple[str, str]]
) -> ResourceClaim:
    number, free = 1, name
    while (pod.metadata.namespace, free) in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add((pod.metadata.namespace, free))
    owner = OwnerReference(
        api_version="v1", kind="Pod", name=pod.metadata.name, uid=pod.metadata.uid, controller=True
    )
    metadata = StorageMeta(name=free, namespace=pod.metadata.namespace, owner_references=[owner])
    return ResourceClaim(metadata=metadata, spec=template.spec.get("spec") or {})
