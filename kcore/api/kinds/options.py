"""What is wrong with the options of a request.

Source, Kubernetes 1.36: apimachinery pkg/apis/meta/v1/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required
from kcore.api.kinds.metadata import validate_field_manager

PROPAGATION_POLICIES: Final = ("Foreground", "Background", "Orphan")
FIELD_VALIDATIONS: Final = ("", "Ignore", "Strict", "Warn")


def _validate_dry_run(dry_run: Sequence[str]) -> list[FieldError]:
    if all(each == "All" for each in dry_run):
        return []
    return [not_supported("dryRun", list(dry_run), ("All",))]


def _validate_common(options: Mapping[str, Any]) -> list[FieldError]:
    errors = validate_field_manager(options.get("fieldManager") or "", "fieldManager")
    errors += _validate_dry_run(options.get("dryRun") or ())
    validation = options.get("fieldValidation") or ""
    if validation not in FIELD_VALIDATIONS:
        errors.append(not_supported("fieldValidation", validation, FIELD_VALIDATIONS))
    return errors


def validate_create_options(options: Mapping[str, Any]) -> list[FieldError]:
    """ValidateCreateOptions, and ValidateUpdateOptions, which is the same."""
    return _validate_common(options)


def validate_patch_options(options: Mapping[str, Any], apply: bool) -> list[FieldError]:
    """ValidatePatchOptions."""
    errors: list[FieldError] = []
    if apply:
        if not options.get("fieldManager"):
            errors.append(required("fieldManager", "is required for apply patch"))
    elif options.get("force") is not None:
        errors.append(forbidden("force", "may not be specified for non-apply patch"))
    return errors + _validate_common(options)


def validate_delete_options(options: Mapping[str, Any]) -> list[FieldError]:
    """ValidateDeleteOptions."""
    errors: list[FieldError] = []
    policy = options.get("propagationPolicy")
    if policy is not None:
        if options.get("orphanDependents") is not None:
            detail = "orphanDependents and deletionPropagation cannot be both set"
            errors.append(invalid("propagationPolicy", policy, detail))
        if policy not in PROPAGATION_POLICIES:
            errors.append(not_supported("propagationPolicy", policy, (*PROPAGATION_POLICIES, "nil")))
    errors += _validate_dry_run(options.get("dryRun") or ())
    path = "ignoreStoreReadErrorWithClusterBreakingPotential"
    if options.get(path):
        given = [
            *(["dryRun"] if options.get("dryRun") else []),
            *(
                name
                for name in ("propagationPolicy", "orphanDependents", "gracePeriodSeconds", "preconditions")
                if options.get(name) is not None
            ),
        ]
        errors += [invalid(path, True, f"cannot be set together with .{name}") for name in given]
    return errors
