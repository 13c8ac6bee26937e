"""CronJobs.

Sources, Kubernetes 1.36: pkg/apis/batch/v1/defaults.go, pkg/apis/batch/validation/validation.go,
pkg/registry/batch/cronjob/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from kcore.api.field import FieldError, invalid, not_supported, required
from kcore.api.kinds.apps import is_changed
from kcore.api.kinds.internal_form import shown_selector
from kcore.api.kinds.jobs import default_job_template, job_spec_warnings, validate_job_spec
from kcore.api.kinds.names import byte_count
from kcore.api.kinds.pods import drop_disabled
from kcore.api.kinds.schedules import validate_schedule, validate_zone
from kcore.api.kinds.templates import template_options, validate_counts
from kcore.api.kinds.updates import (
    count_generation,
    keep,
    keeping,
    pod_name_warnings,
    semantically_equal,
    validate_named,
    validate_named_update,
)
from kcore.api.strategy import Context, Strategy, UpdateStrategy

Object = dict[str, Any]

CRON_JOB_NAME_BYTES_MAX: Final = 52
CONCURRENCY_POLICIES: Final = ("Allow", "Forbid", "Replace")


def _default_cron_job(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    for name, value in (
        ("suspend", False), ("successfulJobsHistoryLimit", 3), ("failedJobsHistoryLimit", 1),
    ):  # fmt: skip
        if spec.get(name) is None:
            spec[name] = value
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    default_job_template(template.setdefault("spec", {}))
    if obj.get("status") is None:
        obj["status"] = {}


def _prepare_cron_job(obj: Object, _: Context) -> None:
    obj["status"] = {}
    obj["metadata"]["generation"] = 1
    drop_disabled(obj["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def _prepare_cron_job_update(obj: Object, old: Object, _: Context) -> None:
    keep(obj, old, "status")
    drop_disabled(
        obj["spec"]["jobTemplate"]["spec"]["template"]["spec"],
        old["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    )
    count_generation(obj, old, not semantically_equal(obj["spec"], old["spec"]))


def _validate_cron_job_spec(
    spec: Mapping[str, Any], old: Mapping[str, Any] | None, errors: list[FieldError]
) -> None:
    schedule, zone = spec.get("schedule") or "", spec.get("timeZone")
    if not schedule:
        errors.append(required("spec.schedule"))
    else:
        allow = old is not None and "TZ" in (old.get("schedule") or "")
        errors += validate_schedule(schedule, zone, allow, "spec.schedule")
    validate_counts(spec, ("startingDeadlineSeconds",), "spec", errors)
    if old is None or old.get("timeZone") != zone:
        errors += validate_zone(zone, "spec.timeZone")
    if (policy := spec.get("concurrencyPolicy") or "") not in CONCURRENCY_POLICIES:
        at = "spec.concurrencyPolicy"
        errors.append(not_supported(at, policy, CONCURRENCY_POLICIES) if policy else required(at))
    job = spec["jobTemplate"]["spec"]
    options = template_options(None if old is None else old["jobTemplate"]["spec"].get("template"))
    validate_job_spec(job, "spec.jobTemplate.spec", options, errors)
    if (selector := job.get("selector")) is not None:
        detail = "`selector` will be auto-generated"
        errors.append(invalid("spec.jobTemplate.spec.selector", shown_selector(selector), detail))
    if job.get("manualSelector"):
        at = "spec.jobTemplate.spec.manualSelector"
        errors.append(not_supported(at, True, ("nil", "false")))
    validate_counts(spec, ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"), "spec", errors)


def _validate_cron_job(obj: Object, _: Context) -> list[FieldError]:
    errors = validate_named(obj)
    _validate_cron_job_spec(obj["spec"], None, errors)
    name = obj["metadata"].get("name") or ""
    if byte_count(name) > CRON_JOB_NAME_BYTES_MAX:
        errors.append(invalid("metadata.name", name, "must be no more than 52 characters"))
    return errors


def _validate_cron_job_update(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = validate_named_update(obj, old)
    _validate_cron_job_spec(obj["spec"], old["spec"], errors)
    return errors


def _cron_job_warnings(obj: Object, _: Context) -> list[str]:
    return pod_name_warnings(obj) + job_spec_warnings(
        obj["spec"]["jobTemplate"]["spec"], "spec.jobTemplate.spec"
    )


def _cron_job_warnings_on_update(obj: Object, old: Object, _: Context) -> list[str]:
    job = obj["spec"]["jobTemplate"]["spec"]
    found = job_spec_warnings(job, "spec.jobTemplate.spec") if is_changed(obj, old) else []
    if "TZ" in (obj["spec"].get("schedule") or ""):
        found.append(
            "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
            "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        )
    return found


CRON_JOB: Final = Strategy(
    default=_default_cron_job,
    prepare_for_create=_prepare_cron_job,
    validate=_validate_cron_job,
    warnings=_cron_job_warnings,
    prepare_for_update=_prepare_cron_job_update,
    validate_update=_validate_cron_job_update,
    warnings_on_update=_cron_job_warnings_on_update,
    reset_fields=("status",),
    subresources=MappingProxyType({"status": UpdateStrategy(keeping("spec"), reset_fields=("spec",))}),
)
