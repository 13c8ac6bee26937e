"""RuntimeClasses.

Sources, Kubernetes 1.36: pkg/apis/node/validation/validation.go, pkg/registry/node/runtimeclass/strategy.go,
pkg/api/node/util.go.
"""

from __future__ import annotations

from typing import Any, Final

from kcore.api.field import FieldError, duplicate, required
from kcore.api.kinds.metadata import validate_labels
from kcore.api.kinds.names import dns1123_label, faults
from kcore.api.kinds.node_labels import DEPRECATED_NODE_LABELS
from kcore.api.kinds.pod_defaults import default_resource_list
from kcore.api.kinds.resource_lists import validate_requirements
from kcore.api.kinds.scheduling_terms import validate_tolerations
from kcore.api.kinds.updates import validate_named, validate_named_update, validate_unchanged
from kcore.api.strategy import Context, Strategy

Object = dict[str, Any]


def _default(obj: Object) -> None:
    if amounts := (obj.get("overhead") or {}).get("podFixed"):
        default_resource_list(amounts)


def _validate(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    if handler := obj.get("handler") or "":
        errors += faults("handler", handler, dns1123_label(handler))
    else:
        errors.append(required("handler"))
    if (overhead := obj.get("overhead")) is not None:
        fixed = {"limits": overhead.get("podFixed") or {}}
        validate_requirements(fixed, frozenset(), "overhead", errors)
    scheduling = obj.get("scheduling") or {}
    errors += validate_labels(scheduling.get("nodeSelector") or {}, "scheduling.nodeSelector")
    tolerations, path = scheduling.get("tolerations") or (), "scheduling.tolerations"
    validate_tolerations(tolerations, path, errors)
    seen = set()
    for index, each in enumerate(tolerations):
        key = tuple(each.get(name) or "" for name in ("key", "operator", "value", "effect"))
        if key in seen:
            errors.append(duplicate(f"{path}[{index}]", each))
        seen.add(key)
    return errors


def _validate_update(obj: Object, old: Object, context: Context) -> list[FieldError]:
    errors = _validate(obj, context) + validate_named_update(obj, old)
    return errors + validate_unchanged(obj.get("handler"), old.get("handler"), "handler")


def _warnings(obj: Object, *_: Any) -> list[str]:
    labels = (obj.get("scheduling") or {}).get("nodeSelector") or ()
    return [
        f"scheduling.nodeSelector: {DEPRECATED_NODE_LABELS[label]}"
        for label in labels
        if label in DEPRECATED_NODE_LABELS
    ]


RUNTIME_CLASS: Final = Strategy(
    default=_default,
    validate=_validate,
    warnings=_warnings,
    validate_update=_validate_update,
    warnings_on_update=_warnings,
    allow_create_on_update=True,
    allow_unconditional_update=False,
)
