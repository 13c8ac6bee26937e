"""Jobs.

Sources, Kubernetes 1.36: pkg/apis/batch/v1/defaults.go, pkg/apis/batch/validation/validation.go,
pkg/registry/batch/job/strategy.go, pkg/api/job/warnings.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import (
    OMITTED,
    FieldError,
    duplicate,
    invalid,
    not_supported,
    quoted,
    required,
    too_long,
    too_many,
)
from kcore.api.kinds.apps import is_changed
from kcore.api.kinds.internal_form import shown, shown_selector
from kcore.api.kinds.job_status import index_count, validate_job_status
from kcore.api.kinds.metadata import IMMUTABLE, has_invalid_label_value, validate_label_selector
from kcore.api.kinds.names import byte_count, dns1123_label, domain_prefixed_path, faults, qualified_name
from kcore.api.kinds.pod_defaults import default_template
from kcore.api.kinds.pod_options import PodOptions
from kcore.api.kinds.pod_spec import INT32_MAX, validate_template
from kcore.api.kinds.pod_warnings import template_warnings
from kcore.api.kinds.pods import drop_disabled
from kcore.api.kinds.templates import (
    NO_MATCH,
    selector_matches,
    template_options,
    validate_counts,
)
from kcore.api.kinds.updates import (
    count_generation,
    keep,
    keeping,
    pod_name_warnings,
    semantically_equal,
    validate_named,
    validate_named_update,
    validate_selector_unchanged,
    validate_unchanged,
)
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]

INDEXED_MAX: Final = 100_000  # parallelism and failed indexes of an indexed Job
COMPLETIONS_SOFT_MAX: Final = 100_000
HIGH_COMPLETIONS_MAX: Final = 10_000
FAILURE_RULES_MAX: Final = 20
SUCCESS_RULES_MAX: Final = 20
EXIT_CODES_MAX: Final = 255
CONDITION_PATTERNS_MAX: Final = 20
MANAGED_BY_BYTES_MAX: Final = 63
INDEXES_BYTES_MAX: Final = 64 << 10
FAILURE_ACTIONS: Final = ("Count", "FailIndex", "FailJob", "Ignore")
CONDITION_STATUSES: Final = ("False", "True", "Unknown")
REPLACEMENT_POLICIES: Final = ("Failed", "TerminatingOrFailed")
JOB_NAME_LABELS: Final = ("job-name", "batch.kubernetes.io/job-name")
UID_LABELS: Final = ("controller-uid", "batch.kubernetes.io/controller-uid")
_TRACKING: Final = (
    "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes "
    "might not be able to track completedIndexes when a big number of indexes fail"
)


def _valid(values: tuple[str, ...]) -> str:
    """``valid values: ["A" "B"]``, as Go prints a list of strings with %q."""
    return f"valid values: [{' '.join(map(quoted, values))}]"


# Defaults


def _default_job_spec(spec: Object) -> None:
    get = spec.get
    if get("completions") is None and get("parallelism") is None:
        spec["completions"] = 1
    for name, value in (
        ("parallelism", 1),
        ("backoffLimit", INT32_MAX if get("backoffLimitPerIndex") is not None else 6),
        ("completionMode", "NonIndexed"),
        ("suspend", False),
        ("podReplacementPolicy", "TerminatingOrFailed" if get("podFailurePolicy") is None else "Failed"),
        ("manualSelector", False),
    ):
        if get(name) is None:
            spec[name] = value


def default_job_template(spec: Object) -> None:
    """What is defaulted of a Job's spec wherever it stands, in a CronJob too."""
    default_template(spec.setdefault("template", {}))
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            if not pattern.get("status"):
                pattern["status"] = "True"


def _default_job(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    default_job_template(spec)
    _default_job_spec(spec)
    labels = spec["template"]["metadata"].get("labels")
    metadata = obj.setdefault("metadata", {})
    if labels and not metadata.get("labels"):
        metadata["labels"] = labels  # the same map: what is generated into one is in both, as in Go
    if obj.get("status") is None:
        obj["status"] = {}


# Jobs


def _prepare_job(obj: Object, _: Context) -> None:
    metadata, spec = obj["metadata"], obj["spec"]
    if not spec.get("manualSelector"):
        template = spec["template"]["metadata"]
        labels = template.setdefault("labels", {})
        for key in JOB_NAME_LABELS:
            labels.setdefault(key, metadata.get("name") or "")
        for key in UID_LABELS:
            labels.setdefault(key, metadata.get("uid") or "")
        selector = spec["selector"] = dict(spec.get("selector") or {})
        selector["matchLabels"] = {**(selector.get("matchLabels") or {})}
        selector["matchLabels"].setdefault(UID_LABELS[1], metadata.get("uid") or "")
    # reading a Job defaults its labels, so that the one that was written has them at once
    if labels := spec["template"]["metadata"].get("labels"):
        if not metadata.get("labels") or metadata["labels"] is labels:
            metadata["labels"] = dict(labels)
    obj["status"] = {}
    metadata["generation"] = 1
    drop_disabled(spec["template"]["spec"])


def _prepare_job_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")
    drop_disabled(obj["spec"]["template"]["spec"], old["spec"]["template"]["spec"])
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


def _validate_generated_selector(obj: Object, prefixed: bool, errors: list[FieldError]) -> None:
    spec, metadata = obj["spec"], obj["metadata"]
    selector = spec.get("selector")
    if spec.get("manualSelector") or selector is None:
        return
    uid, name = metadata.get("uid") or "", metadata.get("name") or ""
    if not uid:
        errors.append(required("metadata.uid"))
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    expected = {UID_LABELS[0]: uid, JOB_NAME_LABELS[0]: name}
    if prefixed:
        expected |= {UID_LABELS[1]: uid, JOB_NAME_LABELS[1]: name}
    for key, value in expected.items():
        at = f"spec.template.metadata.labels[{key}]"
        if key not in labels:
            errors.append(required(at, f"must be '{value}'"))
        elif labels[key] != value:
            errors.append(invalid(at, labels, f"must be '{value}'"))
    if selector_matches(selector, expected) is False:
        errors.append(invalid("spec.selector", shown_selector(selector), "`selector` not auto-generated"))


def _only_named(job: Object) -> bool:
    """An indexed job's name must be short enough for its pods' names."""
    return bool(job["spec"].get("completionMode") != "Indexed")


def _validate_job_all(obj: Object, options: PodOptions, prefixed: bool) -> list[FieldError]:
    """ValidateJob."""
    errors = validate_named(obj)
    _validate_generated_selector(obj, prefixed, errors)
    _validate_selected_job(obj["spec"], options, errors)
    spec, name = obj["spec"], obj["metadata"].get("name") or ""
    completions = spec.get("completions") or 0
    if spec.get("completionMode") == "Indexed" and completions > 0:
        longest = f"{name}-{completions - 1}"
        if dns1123_label(longest):
            detail = f"will not able to create pod with invalid DNS label: {longest}"
            errors.append(invalid("metadata.name", name, detail))
    return errors


def _validate_selected_job(spec: Mapping[str, Any], options: PodOptions, errors: list[FieldError]) -> None:
    """ValidateJobSpec."""
    validate_job_spec(spec, "spec", options, errors)
    selector = spec.get("selector")
    if selector is None:
        errors.append(required("spec.selector"))
    else:
        allow = options.allow_invalid_label_value_in_selector
        errors += validate_label_selector(selector, "spec.selector", allow_invalid_values=allow)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if selector_matches(selector, labels or {}) is False:
        errors.append(invalid("spec.template.metadata.labels", labels, NO_MATCH))


def validate_job_spec(
    spec: Mapping[str, Any], path: str, options: PodOptions, errors: list[FieldError]
) -> None:
    """validateJobSpec."""
    get = spec.get
    names = (
        "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
        "backoffLimitPerIndex", "maxFailedIndexes",
    )  # fmt: skip
    validate_counts(spec, names, path, errors)
    if get("maxFailedIndexes") is not None and get("backoffLimitPerIndex") is None:
        errors.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if (manager := get("managedBy")) is not None:
        errors += domain_prefixed_path(f"{path}.managedBy", manager)
        if byte_count(manager) > MANAGED_BY_BYTES_MAX:
            errors.append(too_long(f"{path}.managedBy", MANAGED_BY_BYTES_MAX))
    mode = get("completionMode")
    if mode not in (None, "NonIndexed", "Indexed"):
        errors.append(not_supported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed")))
    if mode == "Indexed":
        _validate_indexed(spec, path, errors)
    elif mode in (None, "NonIndexed"):
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if (value := get(name)) is not None:
                errors.append(invalid(f"{path}.{name}", value, "requires indexed completion mode"))
    if (policy := get("podFailurePolicy")) is not None:
        _validate_failure_policy(policy, spec, f"{path}.podFailurePolicy.rules", errors)
    if (policy := get("successPolicy")) is not None:
        _validate_success_policy(policy, spec, f"{path}.successPolicy", errors)
    if (replacement := get("podReplacementPolicy")) is not None:
        supported = REPLACEMENT_POLICIES if get("podFailurePolicy") is None else ("Failed",)
        if replacement not in supported:
            errors.append(not_supported(f"{path}.podReplacementPolicy", replacement, supported))
    template = get("template") or {}
    validate_template(template, f"{path}.template", options, errors)
    restart = (template.get("spec") or {}).get("restartPolicy") or ""
    at = f"{path}.template.spec.restartPolicy"
    if restart in ("Always", ""):
        errors.append(required(at, 'valid values: "OnFailure", "Never"'))
    elif restart not in ("OnFailure", "Never"):
        errors.append(not_supported(at, restart, ("OnFailure", "Never")))
    elif get("podFailurePolicy") is not None and restart != "Never":
        detail = 'only "Never" is supported when podFailurePolicy is specified'
        errors.append(invalid(at, restart, detail))


def _validate_indexed(spec: Mapping[str, Any], path: str, errors: list[FieldError]) -> None:
    completions, parallelism = spec.get("completions"), spec.get("parallelism")
    failed = spec.get("maxFailedIndexes")
    if completions is None:
        errors.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if parallelism is not None and parallelism > INDEXED_MAX:
        detail = f"must be less than or equal to {INDEXED_MAX} when completion mode is Indexed"
        errors.append(invalid(f"{path}.parallelism", parallelism, detail))
    if failed is not None:
        at = f"{path}.maxFailedIndexes"
        if completions is not None and failed > completions:
            errors.append(invalid(at, failed, "must be less than or equal to completions"))
        if failed > INDEXED_MAX:
            errors.append(invalid(at, failed, f"must be less than or equal to {INDEXED_MAX}"))
    if (completions or 0) <= COMPLETIONS_SOFT_MAX or spec.get("backoffLimitPerIndex") is None:
        return
    limit = (
        f"must be less than or equal to {HIGH_COMPLETIONS_MAX} when completions are above {COMPLETIONS_SOFT_MAX} "
        "and used with backoff limit per index"
    )
    if failed is None:
        detail = f"must be specified when completions is above {COMPLETIONS_SOFT_MAX}"
        errors.append(required(f"{path}.maxFailedIndexes", detail))
    if parallelism is not None and parallelism > HIGH_COMPLETIONS_MAX:
        errors.append(invalid(f"{path}.parallelism", parallelism, limit))
    if failed is not None and failed > HIGH_COMPLETIONS_MAX:
        errors.append(invalid(f"{path}.maxFailedIndexes", failed, limit))


def _validate_failure_policy(
    policy: Mapping[str, Any], spec: Mapping[str, Any], path: str, errors: list[FieldError]
) -> None:
    rules = policy.get("rules") or ()
    if len(rules) > FAILURE_RULES_MAX:
        errors.append(too_many(path, len(rules), FAILURE_RULES_MAX))
    pod = (spec.get("template") or {}).get("spec") or {}
    names = {each.get("name") for side in ("containers", "initContainers") for each in pod.get(side) or ()}
    for index, rule in enumerate(rules):
        at, action = f"{path}[{index}]", rule.get("action") or ""
        if not action:
            errors.append(required(f"{at}.action", _valid(FAILURE_ACTIONS)))
        elif action == "FailIndex":
            if spec.get("backoffLimitPerIndex") is None:
                detail = "requires the backoffLimitPerIndex to be set"
                errors.append(invalid(f"{at}.action", action, detail))
        elif action not in FAILURE_ACTIONS:
            errors.append(not_supported(f"{at}.action", action, FAILURE_ACTIONS))
        codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if codes is not None:
            _validate_exit_codes(codes, names, f"{at}.onExitCodes", errors)
        if patterns:
            _validate_condition_patterns(patterns, f"{at}.onPodConditions", errors)
        if codes is not None and patterns:
            detail = "specifying both OnExitCodes and OnPodConditions is not supported"
            errors.append(invalid(at, OMITTED, detail))
        if codes is None and not patterns:
            detail = "specifying one of OnExitCodes and OnPodConditions is required"
            errors.append(invalid(at, OMITTED, detail))


def _validate_condition_patterns(
    patterns: list[Mapping[str, Any]], path: str, errors: list[FieldError]
) -> None:
    if len(patterns) > CONDITION_PATTERNS_MAX:
        errors.append(too_many(path, len(patterns), CONDITION_PATTERNS_MAX))
    for index, pattern in enumerate(patterns):
        at, kind, status = f"{path}[{index}]", pattern.get("type") or "", pattern.get("status") or ""
        errors += faults(f"{at}.type", kind, qualified_name(kind))
        if not status:
            errors.append(required(f"{at}.status", _valid(CONDITION_STATUSES)))
        elif status not in CONDITION_STATUSES:
            errors.append(not_supported(f"{at}.status", status, CONDITION_STATUSES))


def _validate_exit_codes(
    codes: Mapping[str, Any], names: set[str | None], path: str, errors: list[FieldError]
) -> None:
    operator, values = codes.get("operator") or "", codes.get("values") or []
    if not operator:
        errors.append(required(f"{path}.operator", _valid(("In", "NotIn"))))
    elif operator not in ("In", "NotIn"):
        errors.append(not_supported(f"{path}.operator", operator, ("In", "NotIn")))
    container = codes.get("containerName")
    if container is not None and container not in names:
        detail = "must be one of the container or initContainer names in the pod template"
        errors.append(invalid(f"{path}.containerName", container, detail))
    at = f"{path}.values"
    if not values:
        errors.append(invalid(at, codes.get("values"), "at least one value is required"))
    elif len(values) > EXIT_CODES_MAX:
        errors.append(too_many(at, len(values), EXIT_CODES_MAX))
    seen: set[int] = set()
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            errors.append(invalid(f"{at}[{index}]", value, "must not be 0 for the In operator"))
        if value in seen:
            errors.append(duplicate(f"{at}[{index}]", value))
        seen.add(value)
    if any(before > value for before, value in pairwise(values)):
        errors.append(invalid(at, values, "must be ordered"))


def _validate_success_policy(
    policy: Mapping[str, Any], spec: Mapping[str, Any], path: str, errors: list[FieldError]
) -> None:
    rules = policy.get("rules") or ()
    if spec.get("completionMode") != "Indexed":
        shown = {"Rules": [
            {"SucceededIndexes": each.get("succeededIndexes"), "SucceededCount": each.get("succeededCount")}
            for each in rules
        ] or None}  # fmt: skip
        errors.append(invalid(path, shown, "requires indexed completion mode"))
        return
    at = f"{path}.rules"
    if not rules:
        detail = "at least one rules must be specified when the successPolicy is specified"
        errors.append(required(at, detail))
    if len(rules) > SUCCESS_RULES_MAX:
        errors.append(too_many(at, len(rules), SUCCESS_RULES_MAX))
    completions = spec.get("completions")
    for index, rule in enumerate(rules):
        _validate_success_rule(rule, 0 if completions is None else completions, f"{at}[{index}]", errors)


def _validate_success_rule(
    rule: Mapping[str, Any], completions: int, path: str, errors: list[FieldError]
) -> None:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and indexes is None:
        detail = "at least one of succeededCount or succeededIndexes must be specified"
        errors.append(required(path, detail))
    total = 0
    if indexes is not None:
        at = f"{path}.succeededIndexes"
        if byte_count(indexes) > INDEXES_BYTES_MAX:
            errors.append(too_long(at, INDEXES_BYTES_MAX))
        total, problem = index_count(indexes, completions)
        if problem:
            errors.append(invalid(at, indexes, f"error parsing succeededIndexes: {problem}"))
    if count is not None:
        at = f"{path}.succeededCount"
        validate_counts(rule, ("succeededCount",), path, errors)
        if count > completions:
            detail = f"must be less than or equal to {completions} (the number of specified completions)"
            errors.append(invalid(at, count, detail))
        if indexes is not None and count > total:
            detail = f"must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
            errors.append(invalid(at, count, detail))


def _validate_job(obj: Object, _: Context) -> list[FieldError]:
    return _validate_job_all(obj, template_options(None), True)


def _validate_job_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    spec, before = obj["spec"], old["spec"]
    options = template_options(before.get("template"))
    if has_invalid_label_value(before.get("selector")):
        options = replace(options, allow_invalid_label_value_in_selector=True)
    labels = (before["template"].get("metadata") or {}).get("labels") or {}
    prefixed = JOB_NAME_LABELS[1] in labels and UID_LABELS[1] in labels
    errors = _validate_job_all(obj, options, prefixed)
    errors += validate_named_update(obj, old)
    _validate_selected_job(spec, options, errors)
    _validate_completions(spec, before, errors)
    errors += validate_selector_unchanged(spec.get("selector"), before.get("selector"))
    _validate_template_change(spec, old, errors)
    for name in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        errors += validate_unchanged(spec.get(name), before.get(name), f"spec.{name}")
    return errors


def _validate_completions(
    spec: Mapping[str, Any], before: Mapping[str, Any], errors: list[FieldError]
) -> None:
    new, old = spec.get("completions"), before.get("completions")
    if spec.get("completionMode") != "Indexed":
        errors += validate_unchanged(new, old, "spec.completions")
    elif new is not None and new != old and new != spec.get("parallelism"):
        detail = "can only be modified in tandem with spec.parallelism"
        errors.append(invalid("spec.completions", new, detail))


def _validate_template_change(spec: Mapping[str, Any], old: Object, errors: list[FieldError]) -> None:
    """A Job that is suspended and has no pods may still change where its pods go and what they ask for."""
    before, status = old["spec"], old.get("status") or {}
    suspended_now = any(
        each.get("type") == "Suspended" and each.get("status") == "True"
        for each in status.get("conditions") or ()
    )
    suspended = bool(before.get("suspend"))
    mutable = suspended and (status.get("startTime") is None or suspended_now) and not status.get("active")
    new, was = spec["template"], before["template"]
    if mutable:
        was = _with_directives(was, new)
        pod, then = new["spec"], dict(was["spec"])
        for side in ("containers", "initContainers"):
            if len(pod.get(side) or ()) == len(then.get(side) or ()) and side in then:
                then[side] = [
                    {**each, "resources": now.get("resources")}
                    if each.get("name") == now.get("name")
                    else each
                    for each, now in zip(then[side], pod[side], strict=True)
                ]
        if not semantically_equal(pod, then):
            errors.append(invalid("spec.template.spec", shown(pod, "PodSpec"), IMMUTABLE))
    elif not semantically_equal(new, was):
        errors.append(invalid("spec.template", shown(new, "PodTemplateSpec"), IMMUTABLE))


def _with_directives(was: Mapping[str, Any], new: Mapping[str, Any]) -> Object:
    """The old template with the scheduling directives of the new one."""
    metadata, pod = dict(was.get("metadata") or {}), dict(was["spec"])
    keep(metadata, new.get("metadata") or {}, "labels", "annotations")
    keep(pod, new["spec"], "nodeSelector", "tolerations", "schedulingGates")
    affinity = dict(pod.get("affinity") or {})
    keep(affinity, new["spec"].get("affinity") or {}, "nodeAffinity")
    pod.pop("affinity", None)
    if affinity or new["spec"].get("affinity") is not None:
        pod["affinity"] = affinity
    return {"metadata": metadata, "spec": pod}


def job_spec_warnings(spec: Mapping[str, Any], path: str) -> list[str]:
    """WarningsForJobSpec."""
    found = []
    if (
        spec.get("completionMode") == "Indexed"
        and (spec.get("completions") or 0) > COMPLETIONS_SOFT_MAX
        and (spec.get("parallelism") or 0) > HIGH_COMPLETIONS_MAX
    ):
        found.append(f"{path}: {_TRACKING}")
    return found + template_warnings(spec.get("template") or {}, f"{path}.template")


def _job_warnings(obj: Object, _: Context) -> list[str]:
    return pod_name_warnings(obj) + job_spec_warnings(obj["spec"], "spec")


def _job_warnings_on_update(obj: Object, old: Object, _: Context) -> list[str]:
    return job_spec_warnings(obj["spec"], "spec") if is_changed(obj, old) else []


def _validate_job_status(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    validate_job_status(obj, old, errors)
    return errors


JOB: Final = Strategy(
    default=_default_job,
    prepare_for_create=_prepare_job,
    validate=_validate_job,
    warnings=_job_warnings,
    prepare_for_update=_prepare_job_update,
    validate_update=_validate_job_update,
    warnings_on_update=_job_warnings_on_update,
    reset_fields=("status",),
    default_propagation="orphan",
    subresources=MappingProxyType(
        {"status": UpdateStrategy(keeping("spec"), _validate_job_status, reset_fields=("spec",))}
    ),
    only_named=_only_named,
)
