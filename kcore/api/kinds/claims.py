"""What is wrong with the spec of a PersistentVolumeClaim, in a claim, an ephemeral volume or a StatefulSet's template.

Source, Kubernetes 1.36: pkg/apis/core/validation/validation.go (ValidatePersistentVolumeClaimSpec),
pkg/api/persistentvolumeclaim/util.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required
from kcore.api.kinds.metadata import validate_annotations, validate_label_selector, validate_labels
from kcore.api.kinds.names import dns1123_subdomain, faults, name_is_label
from kcore.api.kinds.resource_lists import is_fraction, validate_amount, validate_positive
from kcore.api.quantity import canonical

ACCESS_MODES: Final = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES: Final = ("Block", "Filesystem")
TEMPLATE_METADATA: Final = ("annotations", "labels")
# the fields of ObjectMeta in the order of its Go type
METADATA_FIELDS: Final = (
    "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
    "managedFields",
)  # fmt: skip
_GO_NAMES: Final = {"uid": "uID"}  # the first letter of Go's name in lower case


def validate_claim_template(template: Mapping[str, Any], path: str) -> list[FieldError]:
    """ValidatePersistentVolumeClaimTemplate of an ephemeral volume."""
    metadata = template.get("metadata") or {}
    at = f"{path}.metadata"
    errors = validate_annotations(metadata.get("annotations") or {}, f"{at}.annotations")
    errors += validate_labels(metadata.get("labels") or {}, f"{at}.labels")
    errors += [
        forbidden(f"{at}.{_GO_NAMES.get(name, name)}", "cannot be set")
        for name in METADATA_FIELDS
        if metadata.get(name) and name not in TEMPLATE_METADATA
    ]
    return errors + validate_claim_spec(template.get("spec") or {}, f"{path}.spec")


def validate_claim_spec(
    spec: Mapping[str, Any],
    path: str,
    *,
    allow_invalid_values: bool = False,
    allow_invalid_group: bool = False,
) -> list[FieldError]:
    """ValidatePersistentVolumeClaimSpec; the options keep what an old object already had."""
    get = spec.get
    modes = get("accessModes") or ()
    errors = [] if modes else [required(f"{path}.accessModes", "at least 1 access mode is required")]
    if (selector := get("selector")) is not None:
        errors += validate_label_selector(
            selector, f"{path}.selector", allow_invalid_values=allow_invalid_values
        )
    known = [mode for mode in modes if mode in ACCESS_MODES]
    for mode in modes:
        if mode not in ACCESS_MODES:
            errors.append(not_supported(f"{path}.accessModes", mode, ACCESS_MODES))
    if "ReadWriteOncePod" in known and set(known) != {"ReadWriteOncePod"}:
        detail = "may not use ReadWriteOncePod with other access modes"
        errors.append(forbidden(f"{path}.accessModes", detail))
    at = f"{path}.resources[storage]"
    storage = ((get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        errors.append(required(at))
    else:
        errors += validate_positive(storage, at) or validate_amount("storage", storage, at)
    if name := get("storageClassName"):
        errors += faults(f"{path}.storageClassName", name, dns1123_subdomain(name))
    if (mode := get("volumeMode")) is not None and mode not in VOLUME_MODES:
        errors.append(not_supported(f"{path}.volumeMode", mode, VOLUME_MODES))
    errors += _validate_sources(get("dataSource"), get("dataSourceRef"), path, allow_invalid_group)
    if name := get("volumeAttributesClassName"):
        errors += faults(f"{path}.volumeAttributesClassName", name, dns1123_subdomain(name))
    return errors


def _validate_sources(
    source: Mapping[str, Any] | None,
    reference: Mapping[str, Any] | None,
    path: str,
    allow_invalid_group: bool,
) -> list[FieldError]:
    errors: list[FieldError] = []
    if source is not None:
        errors += _validate_source(source, f"{path}.dataSource", allow_invalid_group)
    namespace = ""
    if reference is not None:
        errors += _validate_source(reference, f"{path}.dataSourceRef", allow_invalid_group)
        if namespace := reference.get("namespace") or "":
            errors += faults(f"{path}.dataSourceRef.namespace", namespace, name_is_label(namespace))
    if source is not None and reference is not None:
        # upstream hands a path where a value belongs, and a path has no JSON but {}
        if namespace:
            errors.append(invalid(path, {}, "may not be specified when dataSourceRef.namespace is specified"))
        elif any(source.get(name) != reference.get(name) for name in ("apiGroup", "kind", "name")):
            errors.append(invalid(path, {}, "must match dataSourceRef"))
    return errors


def _validate_source(source: Mapping[str, Any], path: str, allow_invalid_group: bool) -> list[FieldError]:
    errors = [required(f"{path}.{name}") for name in ("name", "kind") if not source.get(name)]
    group, kind = source.get("apiGroup") or "", source.get("kind") or ""
    if not group and kind != "PersistentVolumeClaim":
        detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        errors.append(invalid(path, kind, detail))
    if group and not allow_invalid_group:
        errors += faults(f"{path}.apiGroup", group, dns1123_subdomain(group))
    return errors


def normalize_claim_spec(spec: dict[str, Any]) -> None:
    """dataSource and dataSourceRef say the same where either may stand for both (NormalizeDataSources)."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and reference is None:
        spec["dataSourceRef"] = dict(source)
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = {
            name: reference[name] for name in ("apiGroup", "kind", "name") if name in reference
        }


def claim_spec_warnings(spec: Mapping[str, Any], path: str) -> list[str]:
    """GetWarningsForPersistentVolumeClaimSpec."""
    warnings = []
    for side in ("requests", "limits"):
        amount = ((spec.get("resources") or {}).get(side) or {}).get("storage")
        if amount is not None and is_fraction(amount):
            warnings.append(
                f'{path}.resources.{side}[storage]: fractional byte value "{canonical(amount)}" is invalid, must be an integer'
            )
    return warnings
