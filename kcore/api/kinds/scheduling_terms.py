"""What is wrong with what a pod asks of nodes: affinity, tolerations, topology spread.

Source, Kubernetes 1.36: pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kcore.api.field import FieldError, duplicate, forbidden, invalid, not_supported, required
from kcore.api.kinds.addresses import validate_ip_of_legacy_field
from kcore.api.kinds.metadata import validate_label_name, validate_label_selector
from kcore.api.kinds.names import (
    decimal_integer,
    dns1123_subdomain,
    faults,
    label_value,
    name_is_label,
    qualified_name,
)
from kcore.api.kinds.pod_options import PodOptions
from kcore.api.kinds.resource_lists import NOT_POSITIVE

Object = Mapping[str, Any]

WEIGHT_MAX: Final = 100
TAINT_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
REQUIRED_TERMS: Final = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED_TERMS: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_NO_OPERATOR: Final = "not a valid selector operator"
_WEIGHT: Final = "must be in the range 1-100"


def validate_affinity(affinity: Object, path: str, options: PodOptions, errors: list[FieldError]) -> None:
    """validateAffinity."""
    if (nodes := affinity.get("nodeAffinity")) is not None:
        at = f"{path}.nodeAffinity"
        if (selector := nodes.get(REQUIRED_TERMS)) is not None:
            allow = options.allow_invalid_label_value_in_node_affinity
            errors += validate_node_selector(selector, f"{at}.{REQUIRED_TERMS}", allow_invalid_values=allow)
        for index, term in enumerate(nodes.get(PREFERRED_TERMS) or ()):
            where = f"{at}.{PREFERRED_TERMS}[{index}]"
            if not 1 <= (weight := term.get("weight") or 0) <= WEIGHT_MAX:
                errors.append(invalid(f"{where}.weight", weight, _WEIGHT))
            errors += validate_node_selector_term(term.get("preference") or {}, f"{where}.preference", True)
    for name in ("podAffinity", "podAntiAffinity"):
        if (pods := affinity.get(name)) is None:
            continue
        for index, term in enumerate(pods.get(REQUIRED_TERMS) or ()):
            _validate_pod_term(term, f"{path}.{name}.{REQUIRED_TERMS}[{index}]", options, errors)
        for index, weighted in enumerate(pods.get(PREFERRED_TERMS) or ()):
            where = f"{path}.{name}.{PREFERRED_TERMS}[{index}]"
            if not 1 <= (weight := weighted.get("weight") or 0) <= WEIGHT_MAX:
                errors.append(invalid(f"{where}.weight", weight, _WEIGHT))
            _validate_pod_term(
                weighted.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm", options, errors
            )


def validate_node_selector(
    selector: Object, path: str, *, allow_invalid_values: bool = False
) -> list[FieldError]:
    """ValidateNodeSelector."""
    terms = selector.get("nodeSelectorTerms") or ()
    at = f"{path}.nodeSelectorTerms"
    if not terms:
        return [required(at, "must have at least one node selector term")]
    errors: list[FieldError] = []
    for index, term in enumerate(terms):
        errors += validate_node_selector_term(term, f"{at}[{index}]", allow_invalid_values)
    return errors


def validate_node_selector_term(
    term: Object, path: str, allow_invalid_values: bool = False
) -> list[FieldError]:
    """ValidateNodeSelectorTerm."""
    errors: list[FieldError] = []
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        errors += _node_expression(expression, f"{path}.matchExpressions[{index}]", allow_invalid_values)
    for index, expression in enumerate(term.get("matchFields") or ()):
        errors += _node_field(expression, f"{path}.matchFields[{index}]")
    return errors


def _node_expression(expression: Object, path: str, allow_invalid_values: bool) -> list[FieldError]:
    operator, values = expression.get("operator") or "", expression.get("values") or ()
    key = expression.get("key") or ""
    errors: list[FieldError] = []
    if operator in ("In", "NotIn"):
        if not values:
            errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(forbidden(f"{path}.values", detail))
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            errors.append(required(f"{path}.values", detail))
    else:
        errors.append(invalid(f"{path}.operator", operator, _NO_OPERATOR))
    errors += faults(f"{path}.key", key, qualified_name(key))
    if not allow_invalid_values:
        for index, value in enumerate(values):
            errors += faults(f"{path}.values[{index}]", value, label_value(value))
    return errors


def _node_field(expression: Object, path: str) -> list[FieldError]:
    operator, values = expression.get("operator") or "", expression.get("values") or ()
    key = expression.get("key") or ""
    errors: list[FieldError] = []
    if operator in ("In", "NotIn"):
        if len(values) != 1:
            detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            errors.append(required(f"{path}.values", detail))
    else:
        errors.append(invalid(f"{path}.operator", operator, _NO_OPERATOR))
    if key != "metadata.name":
        errors.append(invalid(f"{path}.key", key, "not a valid field selector key"))
    else:
        for index, value in enumerate(values):
            errors += faults(f"{path}.values[{index}]", value, dns1123_subdomain(value))
    return errors


def _validate_pod_term(term: Object, path: str, options: PodOptions, errors: list[FieldError]) -> None:
    """validatePodAffinityTerm."""
    selector = term.get("labelSelector")
    allow = options.allow_invalid_label_value_in_selector
    for name in ("labelSelector", "namespaceSelector"):
        errors += validate_label_selector(term.get(name), f"{path}.{name}", allow_invalid_values=allow)
    for namespace in term.get("namespaces") or ():
        errors += faults(f"{path}.namespace", namespace, name_is_label(namespace))
    match, mismatch = term.get("matchLabelKeys") or (), term.get("mismatchLabelKeys") or ()
    if match or mismatch:
        errors += label_key_errors(match, mismatch, selector, path)
    key = term.get("topologyKey") or ""
    if not key:
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    errors += validate_label_name(key, f"{path}.topologyKey")


def label_key_errors(
    match: Sequence[str], mismatch: Sequence[str], selector: Object | None, path: str
) -> list[FieldError]:
    """ValidateMatchLabelKeysAndMismatchLabelKeys."""
    errors: list[FieldError] = []
    for name, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        if not keys:
            continue
        if selector is None:
            detail = "must not be specified when labelSelector is not set"
            errors.append(forbidden(f"{path}.{name}", detail))
            continue
        for index, key in enumerate(keys):
            errors += validate_label_name(key, f"{path}.{name}[{index}]")
    if selector is not None:
        positions = {key: index for index, key in enumerate(match)}
        seen = set(selector.get("matchLabels") or ())
        for expression in selector.get("matchExpressions") or ():
            key = expression.get("key") or ""
            if key in positions and key in seen:
                detail = "exists in both matchLabelKeys and labelSelector"
                errors.append(invalid(f"{path}[{positions[key]}]", key, detail))
            seen.add(key)
    for index, key in enumerate(match):
        if key in mismatch:
            detail = "exists in both matchLabelKeys and mismatchLabelKeys"
            errors.append(invalid(f"{path}.matchLabelKeys[{index}]", key, detail))
    return errors


def _spread_key_errors(keys: Sequence[str], selector: Object | None, path: str) -> list[FieldError]:
    """ValidateMatchLabelKeysInTopologySpread, as before the keys were merged into the selector."""
    if not keys:
        return []
    errors: list[FieldError] = []
    if selector is None:
        errors.append(forbidden(path, "must not be specified when labelSelector is not set"))
    selector = selector or {}
    seen = {*(selector.get("matchLabels") or ())} | {
        each.get("key") or "" for each in selector.get("matchExpressions") or ()
    }
    for index, key in enumerate(keys):
        errors += validate_label_name(key, f"{path}[{index}]")
        if key in seen:
            errors.append(invalid(f"{path}[{index}]", key, "exists in both matchLabelKeys and labelSelector"))
    return errors


def validate_topology_spread(
    constraints: Sequence[Object], path: str, options: PodOptions, errors: list[FieldError]
) -> None:
    """validateTopologySpreadConstraints."""
    last = {
        (each.get("topologyKey") or "", each.get("whenUnsatisfiable") or ""): index
        for index, each in enumerate(constraints)
    }
    for index, constraint in enumerate(constraints):
        at, get = f"{path}[{index}]", constraint.get
        key, action, selector = get("topologyKey") or "", get("whenUnsatisfiable") or "", get("labelSelector")
        if (skew := get("maxSkew") or 0) <= 0:
            errors.append(invalid(f"{at}.maxSkew", skew, NOT_POSITIVE))
        if not key:
            errors.append(required(f"{at}.topologyKey", "can not be empty"))
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            supported = ("DoNotSchedule", "ScheduleAnyway")
            errors.append(not_supported(f"{at}.whenUnsatisfiable", action, supported))
        if last[key, action] > index:
            errors.append(duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"))
        if (domains := get("minDomains")) is not None:
            if domains <= 0:
                errors.append(invalid(f"{at}.minDomains", domains, NOT_POSITIVE))
            if action != "DoNotSchedule":
                detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
                errors.append(invalid(f"{at}.minDomains", domains, detail))
        errors += [
            not_supported(f"{at}.{name}", policy, ("Honor", "Ignore"))
            for name in ("nodeAffinityPolicy", "nodeTaintsPolicy")
            if (policy := get(name)) is not None and policy not in ("Honor", "Ignore")
        ]
        keys = get("matchLabelKeys") or ()
        if options.old_violates_match_label_keys:
            errors += _spread_key_errors(keys, selector, f"{at}.matchLabelKeys")
        elif keys:
            errors += label_key_errors(keys, (), selector, at)
        if not options.allow_invalid_spread_selector:
            errors += validate_label_selector(selector, f"{at}.labelSelector")


def validate_taint_effect(effect: str, path: str, allow_empty: bool) -> list[FieldError]:
    """validateTaintEffect."""
    if not allow_empty and not effect:
        return [required(path)]
    return [] if effect in TAINT_EFFECTS else [not_supported(path, effect, TAINT_EFFECTS)]


def validate_tolerations(
    tolerations: Sequence[Object], path: str, errors: list[FieldError], allow_comparing: bool = False
) -> None:
    """ValidateTolerations."""
    for index, toleration in enumerate(tolerations):
        get = toleration.get
        key, operator = get("key") or "", get("operator") or ""
        value, effect = get("value") or "", get("effect") or ""
        if key:
            if complaints := qualified_name(key):
                errors += faults(f"{path}[{index}].key", key, complaints)
        elif operator != "Exists":
            detail = (
                'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            )
            errors.append(invalid(f"{path}[{index}].operator", operator, detail))
        if get("tolerationSeconds") is not None and effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.append(invalid(f"{path}[{index}].effect", effect, detail))
        if operator == "Exists":
            if value:
                detail = "value must be empty when `operator` is 'Exists'"
                errors.append(invalid(f"{path}[{index}].operator", value, detail))
        elif operator in ("Equal", ""):
            if complaints := label_value(value):
                errors.append(invalid(f"{path}[{index}].operator", value, ";".join(complaints)))
        elif operator in ("Lt", "Gt") and allow_comparing:
            errors += faults(f"{path}[{index}].value", value, decimal_integer(value))
        else:
            supported = ("Equal", "Exists", "Lt", "Gt") if operator in ("Lt", "Gt") else ("Equal", "Exists")
            errors.append(not_supported(f"{path}[{index}].operator", operator, supported))
        if effect and effect not in TAINT_EFFECTS:
            errors += validate_taint_effect(effect, f"{path}[{index}].effect", True)


def validate_host_aliases(aliases: Sequence[Object], path: str, errors: list[FieldError]) -> None:
    """ValidateHostAliases."""
    for index, alias in enumerate(aliases):
        errors += validate_ip_of_legacy_field(f"{path}[{index}].ip", alias.get("ip") or "")
        for position, name in enumerate(alias.get("hostnames") or ()):
            errors += faults(f"{path}[{index}].hostnames[{position}]", name, dns1123_subdomain(name))
