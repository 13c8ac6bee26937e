"""Roles, ClusterRoles and their bindings.

Sources, Kubernetes 1.36: pkg/apis/rbac/validation/validation.go, pkg/apis/rbac/v1/defaults.go,
pkg/registry/rbac/*/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kcore.api.field import FieldError, Struct, invalid, not_supported, required
from kcore.api.kinds.metadata import has_invalid_label_value, validate_label_selector
from kcore.api.kinds.names import dns1123_subdomain, faults, path_segment
from kcore.api.kinds.updates import validate_named, validate_named_update
from kcore.api.strategy import Context, Strategy

Object = dict[str, Any]

GROUP: Final = "rbac.authorization.k8s.io"
SUBJECT_KINDS: Final = ("ServiceAccount", "User", "Group")


# Roles


def _validate_rules(obj: Object, namespaced: bool, errors: list[FieldError]) -> None:
    for index, rule in enumerate(obj.get("rules") or ()):
        path, get = f"rules[{index}]", rule.get
        if not get("verbs"):
            errors.append(required(f"{path}.verbs", "verbs must contain at least one value"))
        if urls := get("nonResourceURLs"):
            at = f"{path}.nonResourceURLs"
            if namespaced:
                errors.append(invalid(at, urls, "namespaced rules cannot apply to non-resource URLs"))
            if get("apiGroups") or get("resources") or get("resourceNames"):
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                errors.append(invalid(at, urls, detail))
            continue
        if not get("apiGroups"):
            detail = "resource rules must supply at least one api group"
            errors.append(required(f"{path}.apiGroups", detail))
        if not get("resources"):
            detail = "resource rules must supply at least one resource"
            errors.append(required(f"{path}.resources", detail))


def _validate_role(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj, path_segment)
    _validate_rules(obj, True, errors)
    return errors


def _validate_role_update(obj: Object, old: Object, context: Context) -> list[FieldError]:
    return _validate_role(obj, context) + validate_named_update(obj, old)


def _selectors(obj: Object) -> list[Mapping[str, Any]]:
    return (obj.get("aggregationRule") or {}).get("clusterRoleSelectors") or []


def _check_cluster_role(obj: Object, allow_invalid_values: bool) -> list[FieldError]:
    errors = validate_named(obj, path_segment, namespaced=False)
    _validate_rules(obj, False, errors)
    if obj.get("aggregationRule") is not None:
        path = "aggregationRule.clusterRoleSelectors"
        if not _selectors(obj):
            detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            errors.append(required(path, detail))
        for index, selector in enumerate(_selectors(obj)):
            at = f"{path}[{index}]"
            found = validate_label_selector(selector, at, allow_invalid_values=allow_invalid_values)
            errors += found
            if found:  # what does not validate is no selector either, and upstream shows the nil that it got
                errors.append(invalid(at, None, "invalid label selector."))
    return errors


def _validate_cluster_role(obj: Object, _: Context) -> list[FieldError]:
    return _check_cluster_role(obj, False)


def _validate_cluster_role_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    allow = any(map(has_invalid_label_value, _selectors(old)))
    return _check_cluster_role(obj, allow) + validate_named_update(obj, old)


# Bindings


def _default_binding(obj: Object) -> None:
    reference = obj.setdefault("roleRef", {})
    if not reference.get("apiGroup"):
        reference["apiGroup"] = GROUP
    for subject in obj.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = GROUP


def _check_binding(obj: Object, namespaced: bool) -> list[FieldError]:
    errors = validate_named(obj, path_segment, namespaced=namespaced)
    reference = obj.get("roleRef") or {}
    group, kind, name = (reference.get(each) or "" for each in ("apiGroup", "kind", "name"))
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if group != GROUP:
        errors.append(not_supported("roleRef.apiGroup", group, (GROUP,)))
    if kind not in kinds:
        errors.append(not_supported("roleRef.kind", kind, kinds))
    if not name:
        errors.append(required("roleRef.name"))
    else:
        errors += faults("roleRef.name", name, path_segment(name))
    for index, subject in enumerate(obj.get("subjects") or ()):
        _validate_subject(subject, namespaced, f"subjects[{index}]", errors)
    return errors


def _validate_subject(
    subject: Mapping[str, Any], namespaced: bool, path: str, errors: list[FieldError]
) -> None:
    group, kind, name = (subject.get(each) or "" for each in ("apiGroup", "kind", "name"))
    if not name:
        errors.append(required(f"{path}.name"))
    if kind == "ServiceAccount":
        if name:
            errors += faults(f"{path}.name", name, dns1123_subdomain(name))
        if group:
            errors.append(not_supported(f"{path}.apiGroup", group, ("",)))
        if not namespaced and not subject.get("namespace"):
            errors.append(required(f"{path}.namespace"))
    elif kind in ("User", "Group"):
        if group != GROUP:
            errors.append(not_supported(f"{path}.apiGroup", group, (GROUP,)))
    else:
        errors.append(not_supported(f"{path}.kind", kind, SUBJECT_KINDS))


def _reference(obj: Object) -> Struct:
    found = obj.get("roleRef") or {}
    return Struct(
        APIGroup=found.get("apiGroup") or "",
        Kind=found.get("kind") or "",
        Name=found.get("name") or "",
    )


def _check_binding_update(obj: Object, old: Object, namespaced: bool) -> list[FieldError]:
    errors = _check_binding(obj, namespaced) + validate_named_update(obj, old)
    reference = _reference(obj)
    if reference != _reference(old):
        errors.append(invalid("roleRef", reference, "cannot change roleRef"))
    return errors


def _validate_binding(obj: Object, _: Context) -> list[FieldError]:
    return _check_binding(obj, True)


def _validate_binding_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return _check_binding_update(obj, old, True)


def _validate_cluster_binding(obj: Object, _: Context) -> list[FieldError]:
    return _check_binding(obj, False)


def _validate_cluster_binding_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    return _check_binding_update(obj, old, False)


ROLE: Final = Strategy(
    validate=_validate_role,
    validate_update=_validate_role_update,
    allow_create_on_update=True,
)
CLUSTER_ROLE: Final = Strategy(
    validate=_validate_cluster_role,
    validate_update=_validate_cluster_role_update,
    allow_create_on_update=True,
)
ROLE_BINDING: Final = Strategy(
    default=_default_binding,
    validate=_validate_binding,
    validate_update=_validate_binding_update,
    allow_create_on_update=True,
)
CLUSTER_ROLE_BINDING: Final = Strategy(
    default=_default_binding,
    validate=_validate_cluster_binding,
    validate_update=_validate_cluster_binding_update,
    allow_create_on_update=True,
)
