"""What the kinds that hold a pod template have in common: selector, template, counts, percentages, status.

Sources, Kubernetes 1.36: pkg/apis/apps/validation/validation.go, apimachinery pkg/apis/meta/v1/helpers.go
(LabelSelectorAsSelector).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required
from kcore.api.kinds.internal_form import shown_selector
from kcore.api.kinds.metadata import NOT_NEGATIVE, validate_label_selector
from kcore.api.kinds.names import label_value, percent, qualified_name
from kcore.api.kinds.pod_changes import options_by_old
from kcore.api.kinds.pod_options import OF_TEMPLATE, PodOptions
from kcore.api.kinds.pod_spec import validate_template

Object = dict[str, Any]
IntOrString = int | str

NO_MATCH: Final = "`selector` does not match template `labels`"
ABOVE_REPLICAS: Final = "cannot be greater than status.replicas"


def template_options(old: Mapping[str, Any] | None) -> PodOptions:
    """GetValidationOptionsFromPodTemplate: by the old template, where there is one."""
    if old is None:
        return OF_TEMPLATE
    return options_by_old(old.get("spec") or {}, old.get("metadata") or {}, False)


def selector_matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool | None:
    """Whether the selector selects the labels; None where it is no selector (LabelSelectorAsSelector fails).

    No selector selects nothing, an empty one everything.
    """
    if selector is None:
        return False
    good = True
    for key, value in (selector.get("matchLabels") or {}).items():
        if qualified_name(key) or label_value(value):
            return None
        good = good and labels.get(key) == value
    for expression in selector.get("matchExpressions") or ():
        key, operator = expression.get("key") or "", expression.get("operator") or ""
        values = expression.get("values") or ()
        listed = operator in ("In", "NotIn")
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist") or bool(values) != listed:
            return None
        if qualified_name(key) or any(label_value(value) for value in values):
            return None
        if operator in ("In", "Exists"):
            good = good and key in labels and (operator == "Exists" or labels[key] in values)
        else:
            good = good and (key not in labels or (operator == "NotIn" and labels[key] not in values))
    return good


def is_empty(selector: Mapping[str, Any] | None) -> bool:
    """True for a selector without any requirement."""
    return not selector or not (selector.get("matchLabels") or selector.get("matchExpressions"))


def validate_selector(spec: Mapping[str, Any], kind: str, errors: list[FieldError]) -> None:
    """``spec.selector`` is there, well-formed and not empty."""
    selector = spec.get("selector")
    if selector is None:
        errors.append(required("spec.selector"))
        return
    errors += validate_label_selector(selector, "spec.selector")
    if is_empty(selector):
        errors.append(
            invalid("spec.selector", shown_selector(selector), f"empty selector is invalid for {kind}")
        )


def validate_selected_template(
    spec: Mapping[str, Any], kind: str, options: PodOptions, errors: list[FieldError]
) -> None:
    """ValidatePodTemplateSpecForReplicaSet: what the selector selects, and pods that go on for ever."""
    template = spec.get("template") or {}
    validate_labels_match(spec.get("selector"), template, "spec.template", errors)
    validate_template(template, "spec.template", options, errors)
    validate_endless(template, "spec.template", kind, errors)


def validate_labels_match(
    selector: Mapping[str, Any] | None, template: Mapping[str, Any], path: str, errors: list[FieldError]
) -> None:
    """The selector selects the template's labels; one without requirements need not."""
    labels = (template.get("metadata") or {}).get("labels")
    if (selector is None or not is_empty(selector)) and not selector_matches(selector, labels or {}):
        errors.append(invalid(f"{path}.metadata.labels", labels, NO_MATCH))


def validate_endless(template: Mapping[str, Any], path: str, kind: str, errors: list[FieldError]) -> None:
    """Pods that are always restarted, without a deadline."""
    spec = template.get("spec") or {}
    if (policy := spec.get("restartPolicy") or "") != "Always":
        errors.append(not_supported(f"{path}.spec.restartPolicy", policy, ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        errors.append(forbidden(f"{path}.spec.activeDeadlineSeconds", detail))


def validate_counts(
    values: Mapping[str, Any], names: tuple[str, ...], path: str, errors: list[FieldError]
) -> None:
    """None of the numbers is negative."""
    errors += [
        invalid(f"{path}.{name}", value, NOT_NEGATIVE)
        for name in names
        if (value := values.get(name) or 0) < 0
    ]


def validate_not_above(
    status: Mapping[str, Any],
    names: tuple[str, ...],
    ready_message: str,
    errors: list[FieldError],
) -> None:
    """No count exceeds the replicas; the available ones are among the ready ones."""
    replicas = status.get("replicas") or 0
    errors += [
        invalid(f"status.{name}", value, ABOVE_REPLICAS)
        for name in names
        if (value := status.get(name) or 0) > replicas
    ]
    if (available := status.get("availableReplicas") or 0) > (status.get("readyReplicas") or 0):
        errors.append(invalid("status.availableReplicas", available, ready_message))


def validate_collisions(status: Mapping[str, Any], old: Mapping[str, Any], errors: list[FieldError]) -> None:
    """The count of collisions only grows (IsDecremented)."""
    new, before = status.get("collisionCount"), old.get("collisionCount")
    if before is not None and (new is None or new < before):
        errors.append(invalid("status.collisionCount", new or 0, "cannot be decremented"))


# Numbers or percentages


def _percentage(value: IntOrString) -> int | None:
    return int(value[:-1]) if isinstance(value, str) and not percent(value) else None


def amount_of(value: IntOrString) -> int:
    """getIntOrPercentValue; a text that is no percentage counts as the number that it is, or 0."""
    number = _percentage(value)
    if number is not None:
        return number
    if isinstance(value, int):
        return value
    return int(value) if value.lstrip("+-").isdecimal() and value.isascii() else 0


def validate_int_or_percent(value: IntOrString, path: str, errors: list[FieldError]) -> None:
    """ValidatePositiveIntOrPercent."""
    if isinstance(value, str):
        errors += [invalid(path, value, complaint) for complaint in percent(value)]
    elif value < 0:
        errors.append(invalid(path, value, NOT_NEGATIVE))


def validate_at_most_all(value: IntOrString, path: str, errors: list[FieldError]) -> None:
    """IsNotMoreThan100Percent."""
    if (number := _percentage(value)) is not None and number > 100:
        errors.append(invalid(path, value, "must not be greater than 100%"))
