"""What is wrong with the metadata of an object, and with labels, selectors and conditions wherever they stand.

Sources, Kubernetes 1.36: apimachinery pkg/api/validation/objectmeta.go and pkg/apis/meta/v1/validation/validation.go.
Absent, empty and null are one thing here: ``metadata.get("labels") or {}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from kcore.api.field import (
    FieldError,
    duplicate,
    forbidden,
    internal,
    invalid,
    not_supported,
    quoted,
    required,
    too_long,
)
from kcore.api.kinds.names import (
    NameRule,
    byte_count,
    character,
    faults,
    label_value,
    name_is_label,
    path_segment,
    qualified_name,
    regex_message,
)

Object = dict[str, Any]
NameCheck = Callable[[str, str], list[FieldError]]  # path, name

IMMUTABLE: Final = "field is immutable"
NOT_NEGATIVE: Final = "must be greater than or equal to 0"
ANNOTATIONS_BYTES_MAX: Final = 256 << 10
REMEMBERED_COUNT_MAX: Final = 1024  # metadata, and managers, that nothing is wrong with
REMEMBERED_BYTES_MAX: Final = 4 << 10  # of such metadata
FIELD_MANAGER_BYTES_MAX: Final = 128
SUBRESOURCE_BYTES_MAX: Final = 256
CONDITION_REASON_BYTES_MAX: Final = 1 << 10
CONDITION_MESSAGE_BYTES_MAX: Final = 32 << 10
ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"
CONDITION_STATUSES: Final = ("False", "True", "Unknown")

_REASON: Final = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_match_reason = re.compile(_REASON).fullmatch

# immutable on every update, in upstream's order
_IMMUTABLE_FIELDS: Final = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp")


def validate_metadata(
    metadata: Mapping[str, Any], name_rule: NameRule, *, namespaced: bool = True, path: str = "metadata"
) -> list[FieldError]:
    """What is wrong with metadata on creation, after a name was generated (ValidateObjectMeta)."""
    errors: list[FieldError] = []
    if prefix := metadata.get("generateName"):
        if complaints := name_rule(prefix, True):
            errors += faults(f"{path}.generateName", prefix, complaints)
    name = metadata.get("name")
    if not name:
        errors.append(required(f"{path}.name", "name or generateName is required"))
    else:
        if complaints := name_rule(name, False):
            errors += faults(f"{path}.name", name, complaints)
    _validate_rest(metadata, namespaced, path, errors)
    return errors


def validate_metadata_with(
    metadata: Mapping[str, Any], name_check: NameCheck, *, namespaced: bool = True, path: str = "metadata"
) -> list[FieldError]:
    """The same for the kinds whose rule says where and how a name is wrong (ValidateObjectMetaWithOpts)."""
    errors: list[FieldError] = []
    name = metadata.get("name")
    if not name:
        if prefix := metadata.get("generateName"):
            text = f"generateName was specified ({quoted(prefix)}), but no name was generated"
            errors.append(internal(f"{path}.name", text))
        errors.append(required(f"{path}.name", "name or generateName is required"))
    else:
        errors += name_check(f"{path}.name", name)
    _validate_rest(metadata, namespaced, path, errors)
    return errors


def _validate_rest(
    metadata: Mapping[str, Any], namespaced: bool, path: str, errors: list[FieldError]
) -> None:
    get = metadata.get
    namespace = get("namespace")
    if namespaced:
        if not namespace:
            errors.append(required(f"{path}.namespace"))
        else:
            if complaints := name_is_label(namespace):
                errors += faults(f"{path}.namespace", namespace, complaints)
    elif namespace:
        errors.append(forbidden(f"{path}.namespace", "not allowed on this type"))
    if (generation := get("generation") or 0) < 0:
        errors.append(invalid(f"{path}.generation", generation, NOT_NEGATIVE))
    _validate_lists(metadata, path, errors)
    if finalizers := get("finalizers"):
        errors += validate_finalizers(finalizers, f"{path}.finalizers")
    if managed := get("managedFields"):
        errors += validate_managed_fields(managed, f"{path}.managedFields")


def _validate_lists(metadata: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    get = metadata.get
    text = orjson.dumps((get("labels"), get("annotations"), get("ownerReferences")))
    if len(text) <= REMEMBERED_BYTES_MAX and _are_sound(text):
        return
    if labels := get("labels"):
        errors += validate_labels(labels, f"{path}.labels")
    if annotations := get("annotations"):
        errors += validate_annotations(annotations, f"{path}.annotations")
    if owners := get("ownerReferences"):
        errors += validate_owner_references(owners, f"{path}.ownerReferences")


@lru_cache(maxsize=REMEMBERED_COUNT_MAX)
def _are_sound(text: bytes) -> bool:
    """Nothing is wrong with these labels, annotations and owners: an update asks that four times of the same ones."""
    labels, annotations, owners = orjson.loads(text)
    return not (
        validate_labels(labels or {}, "")
        or validate_annotations(annotations or {}, "")
        or validate_owner_references(owners or (), "")
    )


def validate_metadata_update(
    new: Mapping[str, Any], old: Mapping[str, Any], path: str = "metadata"
) -> list[FieldError]:
    """What an update may not do to metadata (ValidateObjectMetaUpdate)."""
    errors: list[FieldError] = []
    if old.get("deletionTimestamp"):
        extra = sorted({*(new.get("finalizers") or ())}.difference(old.get("finalizers") or ()))
        if extra:
            shown = ", ".join(map(quoted, extra))
            errors.append(
                forbidden(
                    f"{path}.finalizers",
                    "no new finalizers can be added if the object is being deleted, found new finalizers "
                    f"[]string{{{shown}}}",
                )
            )
    if not new.get("resourceVersion"):
        errors.append(invalid(f"{path}.resourceVersion", "", "must be specified for an update"))
    generation = new.get("generation") or 0
    if generation < (old.get("generation") or 0):
        errors.append(invalid(f"{path}.generation", generation, "must not be decremented"))
    for name in _IMMUTABLE_FIELDS:
        value = new.get(name)
        if value != old.get(name) and (value or old.get(name)):
            shown_value = value if value or name in ("creationTimestamp", "deletionTimestamp") else ""
            errors.append(invalid(f"{path}.{name}", shown_value, IMMUTABLE))
    grace = new.get("deletionGracePeriodSeconds")
    if grace != old.get("deletionGracePeriodSeconds"):
        errors.append(invalid(f"{path}.deletionGracePeriodSeconds", grace, IMMUTABLE))
    _validate_lists(new, path, errors)
    if managed := new.get("managedFields"):
        errors += validate_managed_fields(managed, f"{path}.managedFields")
    return errors


def validate_every_kind(metadata: Mapping[str, Any], namespaced: bool) -> list[FieldError]:
    """What BeforeCreate asks of every kind, after the strategy found nothing wrong."""
    return validate_metadata(metadata, path_segment, namespaced=namespaced)


def validate_every_kind_update(
    new: Mapping[str, Any], old: Mapping[str, Any], namespaced: bool
) -> list[FieldError]:
    """What BeforeUpdate asks of every kind, before the strategy is asked (validateCommonFields)."""
    return validate_metadata(new, path_segment, namespaced=namespaced) + validate_metadata_update(new, old)


def validate_labels(labels: Mapping[str, str], path: str) -> list[FieldError]:
    """Keys are qualified names, values label values (ValidateLabels)."""
    errors: list[FieldError] = []
    for key, value in labels.items():
        if complaints := qualified_name(key):
            errors += faults(path, key, complaints)
        if complaints := label_value(value):
            errors += faults(path, value, complaints)
    return errors


def validate_label_name(name: str, path: str) -> list[FieldError]:
    """ValidateLabelName."""
    return faults(path, name, qualified_name(name))


def validate_annotations(annotations: Mapping[str, str], path: str) -> list[FieldError]:
    """Keys are qualified names whatever their case; together they keep within a limit (ValidateAnnotations)."""
    errors: list[FieldError] = []
    total = 0
    for key, value in annotations.items():
        total += byte_count(key) + byte_count(value)
        if complaints := qualified_name(key.lower()):
            errors += faults(path, key, complaints)
    if total > ANNOTATIONS_BYTES_MAX:
        errors.append(too_long(path, ANNOTATIONS_BYTES_MAX))
    return errors


def validate_owner_references(owners: Sequence[Mapping[str, Any]], path: str) -> list[FieldError]:
    """Each names its owner; at most one is the controller (ValidateOwnerReferences)."""
    errors: list[FieldError] = []
    first = ""
    listed = [*owners]
    for owner in listed:
        api_version = owner.get("apiVersion") or ""
        group, _, version = api_version.rpartition("/")
        if api_version.count("/") > 1:  # no group and version: Go's parser gives up and both are empty
            group, version = "", ""
        kind = owner.get("kind") or ""
        if not version:
            errors.append(invalid(f"{path}.apiVersion", api_version, "version must not be empty"))
        for name, value in (("kind", kind), ("name", owner.get("name")), ("uid", owner.get("uid"))):
            if not value:
                errors.append(invalid(f"{path}.{name}", "", "must not be empty"))
        if kind == "Event" and version == "v1" and not group:
            shown = {name: owner.get(name) or "" for name in ("apiVersion", "kind", "name", "uid")} | dict(
                owner
            )
            errors.append(invalid(path, shown, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            current = f"{kind}/{owner.get('name') or ''}"
            if first:
                detail = (
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{first} and {current}"
                )
                errors.append(invalid(path, listed, detail))
            else:
                first = current
    return errors


def validate_finalizers(finalizers: Sequence[str], path: str) -> list[FieldError]:
    """Qualified names; orphan and foregroundDeletion exclude each other (ValidateFinalizers)."""
    errors = [invalid(path, name, complaint) for name in finalizers for complaint in qualified_name(name)]
    if ORPHAN in finalizers and FOREGROUND in finalizers:
        detail = f"finalizer {ORPHAN} and {FOREGROUND} cannot be both set"
        errors.append(invalid(path, list(finalizers), detail))
    return errors


def validate_field_manager(manager: str, path: str) -> list[FieldError]:
    """Short and printable (ValidateFieldManager)."""
    errors = (
        [too_long(path, FIELD_MANAGER_BYTES_MAX)] if byte_count(manager) > FIELD_MANAGER_BYTES_MAX else []
    )
    if not manager.isprintable():
        position = 0
        for char in manager:
            if not char.isprintable():
                detail = f"invalid character {character(char)} (at position {position})"
                errors.append(invalid(path, manager, detail))
            position += byte_count(char)
    return errors


@lru_cache(maxsize=REMEMBERED_COUNT_MAX)
def _is_sound_manager(manager: str) -> bool:
    return not validate_field_manager(manager, "")


def validate_managed_fields(entries: Sequence[Mapping[str, Any]], path: str) -> list[FieldError]:
    """Operation, type of fields, manager and subresource of each (ValidateManagedFields)."""
    errors: list[FieldError] = []
    for index, entry in enumerate(entries):
        operation = entry.get("operation") or ""
        if operation not in ("Apply", "Update"):
            errors.append(invalid(f"{path}[{index}].operation", operation, "must be `Apply` or `Update`"))
        fields_type = entry.get("fieldsType") or ""
        if fields_type not in ("", "FieldsV1"):
            errors.append(invalid(f"{path}[{index}].fieldsType", fields_type, "must be `FieldsV1`"))
        if (manager := entry.get("manager")) and not _is_sound_manager(manager):
            errors += validate_field_manager(manager, f"{path}[{index}].manager")
        if byte_count(entry.get("subresource") or "") > SUBRESOURCE_BYTES_MAX:
            errors.append(too_long(f"{path}[{index}].subresource", SUBRESOURCE_BYTES_MAX))
    return errors


def has_invalid_label_value(selector: Mapping[str, Any] | None) -> bool:
    """LabelSelectorHasInvalidLabelValue: an old object may keep such a selector."""
    return selector is not None and any(
        label_value(value)
        for expression in selector.get("matchExpressions") or ()
        for value in expression.get("values") or ()
    )


def validate_label_selector(
    selector: Mapping[str, Any] | None,
    path: str,
    *,
    allow_invalid_values: bool = False,
    allow_unknown_operator: bool = False,
) -> list[FieldError]:
    """ValidateLabelSelector."""
    errors: list[FieldError] = []
    if not selector:
        return errors
    if labels := selector.get("matchLabels"):
        errors += validate_labels(labels, f"{path}.matchLabels")
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{index}]"
        operator = expression.get("operator") or ""
        values = expression.get("values") or ()
        errors += _validate_operator(operator, values, at, allow_unknown_operator)
        errors += validate_label_name(expression.get("key") or "", f"{at}.key")
        if not allow_invalid_values:
            for position, value in enumerate(values):
                if complaints := label_value(value):
                    errors += faults(f"{at}.values[{position}]", value, complaints)
    return errors


def _validate_operator(
    operator: str, values: Sequence[str], path: str, allow_unknown: bool
) -> list[FieldError]:
    if operator in ("In", "NotIn"):
        if not values:
            return [required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")]
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            return [forbidden(f"{path}.values", detail)]
    elif not allow_unknown:
        return [invalid(f"{path}.operator", operator, "not a valid selector operator")]
    return []


def validate_field_selector_requirement(
    requirement: Mapping[str, Any], path: str, *, allow_unknown_operator: bool = False
) -> list[FieldError]:
    """ValidateFieldSelectorRequirement (access reviews)."""
    errors = [] if requirement.get("key") else [required(f"{path}.key", "must be specified")]
    operator, values = requirement.get("operator") or "", requirement.get("values") or ()
    return errors + _validate_operator(operator, values, path, allow_unknown_operator)


def validate_conditions(conditions: Sequence[Mapping[str, Any]], path: str) -> list[FieldError]:
    """Conditions of metav1's type, each type once (ValidateConditions)."""
    errors: list[FieldError] = []
    seen = set()
    for index, condition in enumerate(conditions):
        kind = condition.get("type") or ""
        if kind in seen:
            errors.append(duplicate(f"{path}[{index}].type", kind))
        seen.add(kind)
        errors += validate_condition(condition, f"{path}[{index}]")
    return errors


def validate_condition(condition: Mapping[str, Any], path: str) -> list[FieldError]:
    """ValidateCondition."""
    get = condition.get
    errors = validate_label_name(get("type") or "", f"{path}.type")
    if (status := get("status") or "") not in CONDITION_STATUSES:
        errors.append(not_supported(f"{path}.status", status, CONDITION_STATUSES))
    if (generation := get("observedGeneration") or 0) < 0:
        detail = "must be greater than or equal to zero"
        errors.append(invalid(f"{path}.observedGeneration", generation, detail))
    if not get("lastTransitionTime"):
        errors.append(required(f"{path}.lastTransitionTime"))
    if not (reason := get("reason") or ""):
        errors.append(required(f"{path}.reason"))
    else:
        if not _match_reason(reason):
            message = (
                "a condition reason must start with alphabetic character, optionally followed by a string of "
                "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'"
            )
            examples = ("my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB")
            errors.append(invalid(f"{path}.reason", reason, regex_message(message, _REASON, *examples)))
        if byte_count(reason) > CONDITION_REASON_BYTES_MAX:
            errors.append(too_long(f"{path}.reason", CONDITION_REASON_BYTES_MAX))
    if byte_count(get("message") or "") > CONDITION_MESSAGE_BYTES_MAX:
        errors.append(too_long(f"{path}.message", CONDITION_MESSAGE_BYTES_MAX))
    return errors


def validate_immutable(new: Any, old: Any, path: str) -> list[FieldError]:
    """The value is as it was (ValidateImmutableField); empty and absent are the same."""
    if new == old or (new in _EMPTY and old in _EMPTY):
        return []
    return [invalid(path, new, IMMUTABLE)]


_EMPTY: Final[tuple[Any, ...]] = (None, {}, [])


def validate_not_negative(value: int | None, path: str) -> list[FieldError]:
    """ValidateNonnegativeField."""
    return [invalid(path, value, NOT_NEGATIVE)] if value is not None and value < 0 else []
