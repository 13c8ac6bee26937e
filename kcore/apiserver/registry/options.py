"""Options of requests, from query parameters and bodies, with upstream's complaints.

Sources, Kubernetes 1.36: apimachinery pkg/apis/meta/v1/validation/validation.go,
pkg/apis/meta/internalversion/validation/validation.go, pkg/runtime/conversion.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required
from kcore.api.kinds.metadata import validate_field_manager
from kcore.api.status import bad_request
from kcore.api.status import invalid as invalid_object
from kcore.apiserver.operation import STRICT, WARN, Object, Options

MANAGERS_CACHED_MAX: Final = 1024
META_GROUP: Final = "meta.k8s.io"
APPLY_TYPES: Final = ("application/apply-patch+yaml",)
DRY_RUN_ALL: Final = "All"
FIELD_VALIDATIONS: Final = ("", "Ignore", "Strict", "Warn")
PROPAGATION_POLICIES: Final = ("Foreground", "Background", "Orphan", "nil")

Query = Mapping[str, Sequence[str]]


def write_options(query: Query, kind: str, *, user_agent: str = "", patch_type: str = "") -> Options:
    """CreateOptions, UpdateOptions or PatchOptions (``kind``) of a request; 400 or 422 where they are wrong."""
    if not query:
        return _required_manager(Options(user_agent=user_agent), kind, patch_type, ())
    dry_run = tuple(query.get("dryRun", ()))
    force = query.get("force") if kind == "PatchOptions" else None
    options = Options(
        dry_run=bool(dry_run),
        field_manager=first(query, "fieldManager"),
        field_validation=first(query, "fieldValidation"),
        force=boolean(force[0]) if force else None,
        user_agent=user_agent,
    )
    return _required_manager(options, kind, patch_type, dry_run)


def _required_manager(options: Options, kind: str, patch_type: str, dry_run: Sequence[str]) -> Options:
    errors: list[FieldError] = []
    if patch_type:
        if patch_type in APPLY_TYPES:
            if not options.field_manager:
                errors.append(required("fieldManager", "is required for apply patch"))
        elif options.force is not None:
            errors.append(forbidden("force", "may not be specified for non-apply patch"))
    if options.field_manager:
        errors += _manager_faults(options.field_manager)
    if dry_run:
        errors += _validate_dry_run(dry_run)
    if options.field_validation not in FIELD_VALIDATIONS:
        errors.append(not_supported("fieldValidation", options.field_validation, FIELD_VALIDATIONS))
    if errors:
        raise invalid_object(META_GROUP, kind, "", errors)
    return options


@lru_cache(MANAGERS_CACHED_MAX)
def _manager_faults(manager: str) -> tuple[FieldError, ...]:
    return tuple(validate_field_manager(manager, "fieldManager"))


def _validate_dry_run(dry_run: Sequence[str]) -> list[FieldError]:
    if all(value == DRY_RUN_ALL for value in dry_run):
        return []
    return [not_supported("dryRun", list(dry_run), (DRY_RUN_ALL,))]


def delete_options(query: Query) -> Object:
    """DeleteOptions from query parameters, for a deletion without a body."""
    options: Object = {}
    if dry_run := query.get("dryRun"):
        options["dryRun"] = list(dry_run)
    if grace := query.get("gracePeriodSeconds"):
        options["gracePeriodSeconds"] = integer(grace[0])
    if policy := query.get("propagationPolicy"):
        options["propagationPolicy"] = policy[0]
    if orphan := query.get("orphanDependents"):
        options["orphanDependents"] = boolean(orphan[0])
    if uid := query.get("uid"):
        options.setdefault("preconditions", {})["uid"] = uid[0]
    if version := query.get("resourceVersion"):
        options.setdefault("preconditions", {})["resourceVersion"] = version[0]
    return options


def validate_delete_options(options: Object) -> None:
    """422 where the options contradict each other or name what is not known."""
    errors: list[FieldError] = []
    policy = options.get("propagationPolicy")
    if policy is not None and options.get("orphanDependents") is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        errors.append(invalid("propagationPolicy", policy, text))
    if policy is not None and policy not in PROPAGATION_POLICIES[:3]:
        errors.append(not_supported("propagationPolicy", policy, PROPAGATION_POLICIES))
    errors += _validate_dry_run(options.get("dryRun") or ())
    if errors:
        raise invalid_object(META_GROUP, "DeleteOptions", "", errors)


def directive(options: Options) -> str:
    """How unknown and double fields are met: Warn unless said otherwise."""
    return options.field_validation or WARN


def is_strict(options: Options) -> bool:
    """True where an unknown field is an error."""
    return options.field_validation == STRICT


def first(query: Query, name: str) -> str:
    """The first value of a parameter; later ones are ignored as upstream does."""
    values = query.get(name)
    return values[0] if values else ""


def boolean(text: str) -> bool:
    """A boolean parameter: all but ``false`` and ``0`` is true (runtime.Convert_Slice_string_To_bool)."""
    return text.lower() not in ("false", "0")


def integer(text: str) -> int:
    """An integer parameter, 400 where it is none (strconv.ParseInt)."""
    from kcore.api.field import quoted

    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdecimal()):
        raise bad_request(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax")
    number = int(text)
    if not -(1 << 63) <= number < 1 << 63:
        raise bad_request(f"strconv.ParseInt: parsing {quoted(text)}: value out of range")
    return number
