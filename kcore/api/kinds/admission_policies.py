"""Admission policies and their bindings, validating and mutating.

Source, Kubernetes 1.36: pkg/apis/admissionregistration/validation/validation.go and v1/defaults.go,
pkg/registry/admissionregistration/*admissionpolicy*/strategy.go. Expressions are not compiled here: CEL is another
part's, as is whether a user may read the parameters that a policy names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, duplicate, forbidden, invalid, not_supported, required
from kcore.api.kinds.metadata import validate_conditions, validate_label_selector
from kcore.api.kinds.names import (
    byte_count,
    dns1035_label,
    dns1123_subdomain,
    faults,
    path_segment,
    qualified_name,
)
from kcore.api.kinds.updates import (
    count_generation,
    keep,
    keep_metadata_for_status,
    semantically_equal,
    validate_named,
)
from kcore.api.kinds.webhooks import (
    FAILURE_POLICIES,
    MATCH_POLICIES,
    REINVOCATION_POLICIES,
    default_matching,
    default_rule,
    static_name_warnings,
    validate_match_conditions,
    validate_rule,
)
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]
Part = Mapping[str, Any]

AUDIT_ANNOTATIONS_MAX: Final = 20
AUDIT_EXPRESSION_BYTES_MAX: Final = 5 * 1024
REASONS: Final = ("Forbidden", "Invalid", "RequestEntityTooLarge")
ACTIONS: Final = ("Audit", "Deny", "Warn")
MUTATING_OPERATIONS: Final = ("*", "CONNECT", "CREATE", "UPDATE")
PATCH_TYPES: Final = ("ApplyConfiguration", "JSONPatch")
_EMPTY: Final = "must be non-empty if specified"
_EXCLUSIVE: Final = "name and selector are mutually exclusive"
_NOTHING_TO_DO: Final = "validations or auditAnnotations must contain at least one item"
_match_identifier = re.compile("[_a-zA-Z][_a-zA-Z0-9]*").fullmatch
CEL_RESERVED: Final = frozenset({
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
    "let", "loop", "package", "namespace", "return", "var", "void", "while",
})  # fmt: skip


def _default_resources(matching: Object) -> None:
    default_matching(matching)
    for side in ("resourceRules", "excludeResourceRules"):
        for rule in matching.get(side) or ():
            default_rule(rule)


def _default_policy(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("failurePolicy") is None:
        spec["failurePolicy"] = "Fail"
    if (matching := spec.get("matchConstraints")) is not None:
        _default_resources(matching)


def _default_binding(obj: Object) -> None:
    if (matching := obj.setdefault("spec", {}).get("matchResources")) is not None:
        _default_resources(matching)


def _prepare_for_create(obj: Object, _: Context) -> None:
    obj["metadata"]["generation"] = 1


def _prepare_validating(obj: Object, _: Context) -> None:
    obj["status"] = {}
    obj["metadata"]["generation"] = 1


def _prepare_for_update(obj: Object, old: Object, _: Context) -> None:
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


def _prepare_validating_update(obj: Object, old: Object, context: Context) -> None:
    keep(obj, old, "status")
    _prepare_for_update(obj, old, context)


def _prepare_status(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "spec")
    keep_metadata_for_status(obj, old)


# What both kinds of policy have


def _validate_resources(matching: Part, path: str) -> list[FieldError]:
    policy = matching.get("matchPolicy")
    errors = []
    if policy is None:
        errors.append(required(f"{path}.matchPolicy"))
    elif policy not in MATCH_POLICIES:
        errors.append(not_supported(f"{path}.matchPolicy", policy, MATCH_POLICIES))
    for name in ("namespaceSelector", "objectSelector"):
        if (selector := matching.get(name)) is None:
            errors.append(required(f"{path}.{name}"))
        else:
            errors += validate_label_selector(selector, f"{path}.{name}")
    for side in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(matching.get(side) or ()):
            at = f"{path}.{side}[{index}]"
            seen = set()
            for place, name in enumerate(rule.get("resourceNames") or ()):
                errors += faults(f"{at}.resourceNames[{place}]", name, path_segment(name))
                if name in seen:
                    errors.append(duplicate(f"{at}.resourceNames[{place}]", name))
                seen.add(name)
            errors += validate_rule(rule, at)
    return errors


def _validate_param_kind(kind: Part, path: str) -> list[FieldError]:
    errors = []
    api_version, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    at = f"{path}.apiVersion"
    if not api_version:
        errors.append(required(at))
    elif api_version.count("/") > 1:
        detail = f"unexpected GroupVersion string: {api_version}"
        errors.append(invalid(at, api_version, detail))
    else:
        group, _, version = api_version.rpartition("/")
        if group and (complaints := dns1123_subdomain(group)):
            errors.append(invalid(at, group, ",".join(complaints)))
        if not version:
            errors.append(invalid(at, api_version, "version must be specified"))
        elif complaints := dns1035_label(version):
            errors.append(invalid(at, version, ",".join(complaints)))
    if not name:
        errors.append(required(f"{path}.kind"))
    elif complaints := dns1035_label(name.lower()):
        detail = f"may have mixed case, but should otherwise match: {','.join(complaints)}"
        errors.append(invalid(f"{path}.kind", name, detail))
    return errors


def _validate_head(spec: Part, check_conditions: bool, mutating: bool) -> list[FieldError]:
    """What comes before the expressions."""
    errors = []
    policy, path = spec.get("failurePolicy"), "spec.matchConstraints"
    if policy is None:
        errors.append(required("spec.failurePolicy"))
    elif policy not in FAILURE_POLICIES:
        errors.append(not_supported("spec.failurePolicy", policy, FAILURE_POLICIES))
    if (kind := spec.get("paramKind")) is not None:
        errors += _validate_param_kind(kind, "spec.paramKind")
    matching = spec.get("matchConstraints")
    if matching is None:
        errors.append(required(path))
    else:
        errors += _validate_resources(matching, path)
        if not matching.get("resourceRules"):
            errors.append(required(f"{path}.resourceRules"))
        if mutating:
            errors += _validate_mutating_operations(matching, path)
    if check_conditions:
        errors += validate_match_conditions(spec.get("matchConditions") or (), "spec.matchConditions")
    for index, variable in enumerate(spec.get("variables") or ()):
        at, name = f"spec.variables[{index}]", variable.get("name") or ""
        if not name.strip():
            errors.append(required(f"{at}.name", "name is not specified"))
        elif not _match_identifier(name) or name in CEL_RESERVED:
            errors.append(invalid(f"{at}.name", name, "must be a valid CEL identifier"))
        if not (variable.get("expression") or "").strip():
            errors.append(required(f"{at}.expression", "expression is not specified"))
    return errors


def _validate_mutating_operations(matching: Part, path: str) -> list[FieldError]:
    return [
        not_supported(f"{path}.resourceRules.operations", operation, MUTATING_OPERATIONS)
        for rule in matching.get("resourceRules") or ()
        for operation in rule.get("operations") or ()
        if operation not in MUTATING_OPERATIONS
    ]


def _conditions_changed(obj: Object, old: Object) -> bool:
    return any(
        not semantically_equal(obj["spec"].get(name), old["spec"].get(name))
        for name in ("paramKind", "matchConditions")
    )


# Validating


def _validate_validation(validation: Part, path: str) -> list[FieldError]:
    errors = []
    message = validation.get("message") or ""
    expression = validation.get("messageExpression") or ""
    if not (validation.get("expression") or "").strip():
        errors.append(required(f"{path}.expression", "expression is not specified"))
    if expression and not expression.strip():
        errors.append(invalid(f"{path}.messageExpression", expression, _EMPTY))
    if message and not message.strip():
        errors.append(invalid(f"{path}.message", message, _EMPTY))
    elif "\n" in message.strip() or "\r" in message.strip():
        errors.append(invalid(f"{path}.message", message, "must not contain line breaks"))
    reason = validation.get("reason")
    if reason is not None and reason not in REASONS:
        errors.append(not_supported(f"{path}.reason", reason, REASONS))
    return errors


def _validate_audit(obj: Object, errors: list[FieldError]) -> None:
    annotations, path = obj["spec"].get("auditAnnotations") or (), "spec.auditAnnotations"
    name = obj["metadata"].get("name") or ""
    if len(annotations) > AUDIT_ANNOTATIONS_MAX:
        detail = f"must not have more than {AUDIT_ANNOTATIONS_MAX} auditAnnotations"
        errors.append(invalid(path, annotations, detail))
    seen = set()
    for index, annotation in enumerate(annotations):
        at, key = f"{path}[{index}]", annotation.get("key") or ""
        if name:
            full = f"{name}/{key}"
            errors += faults(f"{at}.key", full, qualified_name(full))
        else:
            errors.append(invalid(f"{at}.key", key, "requires metadata.name be non-empty"))
        expression = (annotation.get("valueExpression") or "").strip()
        if not expression:
            detail = "valueExpression is not specified"
            errors.append(required(f"{at}.valueExpression", detail))
        elif byte_count(expression) > AUDIT_EXPRESSION_BYTES_MAX:
            detail = f"must not exceed {AUDIT_EXPRESSION_BYTES_MAX} bytes in length"
            errors.append(required(f"{at}.valueExpression", detail))
        if key in seen:
            errors.append(duplicate(f"{at}.key", key))
        seen.add(key)


def _check_validating(obj: Object, check_conditions: bool) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    spec = obj["spec"]
    errors += _validate_head(spec, check_conditions, False)
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        names = ("validations", "auditAnnotations")
        return errors + [required(f"spec.{name}", _NOTHING_TO_DO) for name in names]
    for index, validation in enumerate(spec.get("validations") or ()):
        errors += _validate_validation(validation, f"spec.validations[{index}]")
    _validate_audit(obj, errors)
    return errors


def _validate_validating(obj: Object, _: Context) -> list[FieldError]:
    return _check_validating(obj, True)


def _validate_validating_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return _check_validating(obj, _conditions_changed(obj, old))


def _validate_status(obj: Object, *_: Any) -> list[FieldError]:
    errors = []
    status = obj.get("status") or {}
    warnings = (status.get("typeChecking") or {}).get("expressionWarnings") or ()
    for index, warning in enumerate(warnings):
        at = f"status.typeChecking.expressionWarnings[{index}]"
        if not warning.get("warning"):
            errors.append(required(f"{at}.warning"))
        if not (warning.get("fieldRef") or "").strip():
            errors.append(required(f"{at}.fieldRef"))
    return errors + validate_conditions(status.get("conditions") or (), "status.conditions")


# Mutating


def _validate_mutation(mutation: Part, path: str) -> list[FieldError]:
    kind = mutation.get("patchType") or ""
    if not kind:
        return [required(f"{path}.patchType")]
    if kind not in PATCH_TYPES:
        return [not_supported(f"{path}.patchType", kind, PATCH_TYPES)]
    names = ("jsonPatch", "applyConfiguration")
    wanted, other = names if kind == "JSONPatch" else names[::-1]
    errors = []
    if (given := mutation.get(wanted)) is None:
        errors.append(required(f"{path}.{wanted}", f"must be specified when patchType is {kind}"))
    elif not (given.get("expression") or "").strip():
        errors.append(required(f"{path}.{wanted}.expression"))
    if mutation.get(other) is not None:
        detail = f"must not be specified when patchType is {kind}"
        errors.append(invalid(f"{path}.{other}", f"{{{other}}}", detail))
    return errors


def _check_mutating(obj: Object, check_conditions: bool) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    spec = obj["spec"]
    errors += _validate_head(spec, check_conditions, True)
    if not spec.get("mutations"):
        errors.append(required("spec.mutations", "mutations must contain at least one item"))
    for index, mutation in enumerate(spec.get("mutations") or ()):
        errors += _validate_mutation(mutation, f"spec.mutations[{index}]")
    if not (policy := spec.get("reinvocationPolicy") or ""):
        errors.append(required("spec.reinvocationPolicy"))
    elif policy not in REINVOCATION_POLICIES:
        errors.append(not_supported("spec.reinvocationPolicy", policy, REINVOCATION_POLICIES))
    return errors


def _validate_mutating(obj: Object, _: Context) -> list[FieldError]:
    return _check_mutating(obj, True)


def _validate_mutating_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return _check_mutating(obj, _conditions_changed(obj, old))


# Bindings


def _validate_param_ref(reference: Part, path: str) -> list[FieldError]:
    errors = []
    name, selector = reference.get("name") or "", reference.get("selector")
    if name:
        errors += faults(f"{path}.name", name, path_segment(name))
        if selector is not None:
            errors.append(forbidden(f"{path}.name", _EXCLUSIVE))
    if selector is not None:
        errors += validate_label_selector(selector, f"{path}.selector")
        if name:
            errors.append(forbidden(f"{path}.selector", _EXCLUSIVE))
    if not name and selector is None:
        errors.append(required(path, "one of name or selector must be specified"))
    if not (action := reference.get("parameterNotFoundAction")):
        errors.append(required(f"{path}.parameterNotFoundAction"))
    elif action not in ("Deny", "Allow"):
        errors.append(not_supported(f"{path}.parameterNotFoundAction", action, ("Deny", "Allow")))
    return errors


def _check_binding(obj: Object) -> list[FieldError]:
    errors = validate_named(obj, namespaced=False)
    spec = obj["spec"]
    if name := spec.get("policyName") or "":
        errors += faults("spec.policyName", name, dns1123_subdomain(name))
    else:
        errors.append(required("spec.policyName"))
    if (reference := spec.get("paramRef")) is not None:
        errors += _validate_param_ref(reference, "spec.paramRef")
    if (matching := spec.get("matchResources")) is not None:
        errors += _validate_resources(matching, "spec.matchResources")
    return errors


def _validate_validating_binding(obj: Object, *_: Any) -> list[FieldError]:
    errors = _check_binding(obj)
    actions, path = obj["spec"].get("validationActions") or [], "spec.validationActions"
    seen = set()
    for index, action in enumerate(actions):
        if action not in ACTIONS:
            errors.append(not_supported(f"{path}[{index}]", action, ACTIONS))
        if action in seen:
            errors.append(duplicate(f"{path}[{index}]", action))
        seen.add(action)
    if {"Deny", "Warn"} <= seen:
        detail = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API "
            "response and headers serves no purpose)"
        )
        errors.append(invalid(path, actions, detail))
    if not actions:
        errors.append(required(path, "at least one validation action is required"))
    return errors


def _validate_mutating_binding(obj: Object, *_: Any) -> list[FieldError]:
    matching = obj["spec"].get("matchResources") or {}
    return _check_binding(obj) + _validate_mutating_operations(matching, "spec.matchResources")


VALIDATING_ADMISSION_POLICY: Final = Strategy(
    default=_default_policy,
    prepare_for_create=_prepare_validating,
    validate=_validate_validating,
    warnings=static_name_warnings,
    prepare_for_update=_prepare_validating_update,
    validate_update=_validate_validating_update,
    warnings_on_update=static_name_warnings,
    reset_fields=("status",),
    allow_unconditional_update=False,
    subresources=MappingProxyType(
        {"status": UpdateStrategy(_prepare_status, _validate_status, reset_fields=("spec", "metadata"))}
    ),
)
MUTATING_ADMISSION_POLICY: Final = Strategy(
    default=_default_policy,
    prepare_for_create=_prepare_for_create,
    validate=_validate_mutating,
    warnings=static_name_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_mutating_update,
    warnings_on_update=static_name_warnings,
    allow_unconditional_update=False,
)
VALIDATING_ADMISSION_POLICY_BINDING: Final = Strategy(
    default=_default_binding,
    prepare_for_create=_prepare_for_create,
    validate=_validate_validating_binding,
    warnings=static_name_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_validating_binding,
    warnings_on_update=static_name_warnings,
    allow_unconditional_update=False,
)
MUTATING_ADMISSION_POLICY_BINDING: Final = Strategy(
    default=_default_binding,
    prepare_for_create=_prepare_for_create,
    validate=_validate_mutating_binding,
    warnings=static_name_warnings,
    prepare_for_update=_prepare_for_update,
    validate_update=_validate_mutating_binding,
    warnings_on_update=static_name_warnings,
    allow_unconditional_update=False,
)
