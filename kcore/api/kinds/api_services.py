"""APIServices.

Sources, Kubernetes 1.36: kube-aggregator pkg/apis/apiregistration/validation/validation.go, v1/defaults.go, helpers.go
and pkg/registry/apiservice/strategy.go.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, invalid, not_supported, quoted, required
from kcore.api.kinds.configuration import decoded
from kcore.api.kinds.metadata import validate_metadata
from kcore.api.kinds.names import dns1035_label, dns1123_subdomain, faults, path_segment, port_number
from kcore.api.kinds.updates import keep, validate_named_update
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]

PORT: Final = 443
GROUP_PRIORITY_MAX: Final = 20_000
VERSION_PRIORITY_MAX: Final = 1_000
STATUSES: Final = ("True", "False", "Unknown")


def _default(obj: Object) -> None:
    service = obj.setdefault("spec", {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = PORT


def _prepare_for_create(obj: Object, context: Context) -> None:
    obj["status"] = {}
    if obj["spec"].get("service") is None:
        obj["status"] = {
            "conditions": [
                {
                    "type": "Available",
                    "status": "True",
                    "lastTransitionTime": context.now,
                    "reason": "Local",
                    "message": "Local APIServices are always available",
                }
            ]
        }


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")


def _prepare_status(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec")
    keep(obj["metadata"], old["metadata"], "labels", "annotations", "finalizers", "ownerReferences")


def _validate(obj: Object, *_: Any) -> list[FieldError]:
    spec = obj["spec"]
    get = spec.get
    group, version = get("group") or "", get("version") or ""
    needed = f"{version}.{group}"

    def name_rule(name: str, prefix: bool) -> tuple[str, ...]:
        if complaints := path_segment(name):
            return complaints
        return () if name == needed else (f'must be `spec.version+"."+spec.group`: {quoted(needed)}',)

    errors = validate_metadata(obj["metadata"], name_rule, namespaced=False)
    if group:
        errors += faults("spec.group", group, dns1123_subdomain(group))
    elif version != "v1":
        detail = "only v1 may have an empty group and it better be legacy kube"
        errors.append(required("spec.group", detail))
    errors += faults("spec.version", version, dns1035_label(version))
    for name, most in (
        ("groupPriorityMinimum", GROUP_PRIORITY_MAX),
        ("versionPriority", VERSION_PRIORITY_MAX),
    ):
        if not 0 < (priority := get(name) or 0) <= most:
            errors.append(invalid(f"spec.{name}", priority, f"must be positive and less than {most}"))
    return errors + _validate_service(spec)


def _validate_service(spec: Object) -> list[FieldError]:
    errors = []
    service, bundle = spec.get("service"), decoded(spec.get("caBundle"))
    insecure, path = spec.get("insecureSkipTLSVerify"), "spec.insecureSkipTLSVerify"
    if service is None:
        if bundle:
            detail = "local APIServices may not have a caBundle"
            errors.append(invalid("spec.caBundle", f"{len(bundle)} bytes", detail))
        if insecure:
            errors.append(invalid(path, True, "local APIServices may not have insecureSkipTLSVerify"))
        return errors
    errors += [required(f"spec.service.{name}") for name in ("namespace", "name") if not service.get(name)]
    port = service.get("port") or 0
    if complaints := port_number(port):
        detail = f"port is not valid: {', '.join(complaints)}"
        errors.append(invalid("spec.service.port", port, detail))
    if insecure and bundle:
        errors.append(invalid(path, True, "may not be true if caBundle is present"))
    return errors


def _validate_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return validate_named_update(obj, old) + _validate(obj)


def _validate_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return validate_named_update(obj, old) + [
        not_supported(f"status.conditions[{index}].status", status, STATUSES)
        for index, condition in enumerate(conditions)
        if (status := condition.get("status") or "") not in STATUSES
    ]


API_SERVICE: Final = Strategy(
    default=_default,
    prepare_for_create=_prepare_for_create,
    validate=_validate,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_update,
    reset_fields=("status",),
    allow_unconditional_update=False,
    subresources=MappingProxyType(
        {"status": UpdateStrategy(_prepare_status, _validate_status, reset_fields=("spec", "metadata"))}
    ),
)
