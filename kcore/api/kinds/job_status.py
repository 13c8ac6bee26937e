"""What the status of a Job may say, and what it may not take back.

Sources, Kubernetes 1.36: pkg/apis/batch/validation/validation.go (ValidateJobStatusUpdate),
pkg/registry/batch/job/strategy.go (getStatusValidationOptions: most rules are asked only where what they are about
changed).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kcore.api.field import OMITTED, FieldError, duplicate, invalid, quoted, required
from kcore.api.kinds.templates import validate_counts

Object = Mapping[str, Any]

_match_index = re.compile("[+-]?[0-9]{1,18}").fullmatch


def index_interval(text: str, completions: int) -> tuple[int, int, str]:
    """First and last index of ``3`` or ``3-5``, and what is wrong with it (parseIndexInterval)."""
    parts = text.split("-")
    if len(parts) > 2:
        shown = quoted(text)
        return (
            0,
            0,
            (
                f"the fragment {shown} violates the requirement that an index interval can have at most two parts "
                "separated by '-'"
            ),
        )
    numbers = []
    for part in parts:
        if not _match_index(part):
            return 0, 0, f"cannot convert string to integer for index: {quoted(part)}"
        if int(part) >= completions:
            return 0, 0, f"too large index: {quoted(part)}"
        numbers.append(int(part))
    first, last = numbers[0], numbers[-1]
    if len(numbers) == 2 and first >= last:
        return 0, 0, f"non-increasing order, previous: {first}, current: {last}"
    return first, last, ""


def index_count(text: str, completions: int) -> tuple[int, str]:
    """How many indexes ``1,3-5`` lists, and what is wrong with it (validateIndexesFormat)."""
    total, before = 0, None
    for interval in text.split(",") if text else ():
        first, last, problem = index_interval(interval, completions)
        if not problem and before is not None and before >= first:
            problem = f"non-increasing order, previous: {before}, current: {first}"
        if problem:
            return 0, problem
        total += last - first + 1
        before = last
    return total, ""


def _overlap(completed: str, failed: str, completions: int) -> int | None:
    """The first index in both lists; fragments that are none are passed over."""
    intervals = []
    for text in (completed, failed):
        found = [index_interval(each, completions) for each in text.split(",")]
        intervals.append([(first, last) for first, last, problem in found if not problem])
    common = [max(a, c) for a, b in intervals[0] for c, d in intervals[1] if a <= d and c <= b]
    return min(common, default=None)


def has_condition(status: Object, kind: str, value: str = "True") -> bool:
    """IsConditionTrue, IsConditionFalse."""
    return any(
        each.get("type") == kind and each.get("status") == value for each in status.get("conditions") or ()
    )


def _finished(status: Object) -> bool:
    return has_condition(status, "Complete") or has_condition(status, "Failed")


class _Change:
    """The new and the old status of a Job with what differs between them."""

    def __init__(self, job: Object, old: Object) -> None:
        self.spec: Object = job.get("spec") or {}
        self.new: Object = job.get("status") or {}
        self.old: Object = old.get("status") or {}

    def changed(self, *names: str) -> bool:
        """True where one of the fields differs."""
        return any((self.new.get(name) or None) != (self.old.get(name) or None) for name in names)

    def turned(self, *kinds: str) -> bool:
        """True where one of the conditions became true or ceased to be."""
        return any(has_condition(self.new, kind) != has_condition(self.old, kind) for kind in kinds)

    def finished_turned(self) -> bool:
        """True where the Job finished just now."""
        return _finished(self.new) != _finished(self.old)


def validate_job_status(job: Object, old: Object, errors: list[FieldError]) -> None:
    """ValidateJobStatusUpdate."""
    change = _Change(job, old)
    status = change.new
    validate_counts(status, ("active", "succeeded", "failed", "ready", "terminating"), "status", errors)
    _validate_uncounted(status.get("uncountedTerminatedPods") or {}, errors)
    _validate_conditions(change, errors)
    _validate_times(change, errors)
    _validate_ends(change, errors)
    _validate_finished(change, errors)
    _validate_indexes(change, errors)
    _validate_rest(change, errors)
    _validate_history(change, errors)


def _conditions(detail: str, errors: list[FieldError]) -> None:
    errors.append(invalid("status.conditions", OMITTED, detail))


def _validate_uncounted(uncounted: Object, errors: list[FieldError]) -> None:
    seen: set[str] = set()
    for name in ("succeeded", "failed"):
        for index, uid in enumerate(uncounted.get(name) or ()):
            at = f"status.uncountedTerminatedPods.{name}[{index}]"
            if not uid:
                errors.append(invalid(at, uid, "must not be empty"))
            elif uid in seen:
                errors.append(duplicate(at, uid))
            seen.add(uid)


def _validate_conditions(change: _Change, errors: list[FieldError]) -> None:
    complete = has_condition(change.new, "Complete")
    if complete and has_condition(change.new, "Failed") and change.turned("Complete", "Failed"):
        _conditions("cannot set Complete=True and Failed=true conditions", errors)
    if complete and has_condition(change.new, "FailureTarget") and change.turned("Complete", "FailureTarget"):
        _conditions("cannot set Complete=True and FailureTarget=true conditions", errors)


def _validate_times(change: _Change, errors: list[FieldError]) -> None:
    status, complete = change.new, has_condition(change.new, "Complete")
    start, end = status.get("startTime"), status.get("completionTime")
    if change.turned("Complete") or change.changed("completionTime"):
        if end is not None and not complete:
            detail = "cannot set completionTime when there is no Complete=True condition"
            errors.append(invalid("status.completionTime", end, detail))
        if end is None and complete:
            detail = "completionTime is required for Complete jobs"
            errors.append(required("status.completionTime", detail))
    if change.changed("startTime", "completionTime") and start and end and end < start:
        errors.append(invalid("status.completionTime", end, "must be equal to or after `startTime`"))


def _validate_ends(change: _Change, errors: list[FieldError]) -> None:
    status = change.new
    if change.turned("Failed") or change.changed("failedIndexes"):
        if has_condition(status, "Failed") and not has_condition(status, "FailureTarget"):
            _conditions("cannot set Failed=True condition without the FailureTarget=true condition", errors)
    if change.turned("Complete", "SuccessCriteriaMet"):
        if has_condition(status, "Complete") and not has_condition(status, "SuccessCriteriaMet"):
            detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
            _conditions(detail, errors)


def _validate_finished(change: _Change, errors: list[FieldError]) -> None:
    status = change.new
    if not _finished(status):
        return
    turned, active = change.finished_turned(), status.get("active") or 0
    if (turned or change.changed("active")) and active > 0:
        errors.append(invalid("status.active", active, "active>0 is invalid for finished job"))
    idle = change.spec.get("suspend") is True and change.spec.get("completions") == 0
    if (turned or change.changed("startTime")) and not idle and status.get("startTime") is None:
        errors.append(required("status.startTime", "startTime is required for finished job"))
    uncounted = status.get("uncountedTerminatedPods") or {}
    if turned or change.changed("uncountedTerminatedPods"):
        if uncounted.get("failed") or uncounted.get("succeeded"):
            shown = {"Succeeded": uncounted.get("succeeded"), "Failed": uncounted.get("failed")}
            detail = "must be empty for finished job"
            errors.append(invalid("status.uncountedTerminatedPods", shown, detail))


def _validate_indexes(change: _Change, errors: list[FieldError]) -> None:
    spec, completed = change.spec, change.new.get("completedIndexes") or ""
    failed, completions = change.new.get("failedIndexes"), spec.get("completions")
    per_index = spec.get("backoffLimitPerIndex") is not None
    if change.changed("completedIndexes") and completions is not None:
        if problem := index_count(completed, completions)[1]:
            detail = f"error parsing completedIndexes: {problem}"
            errors.append(invalid("status.completedIndexes", completed, detail))
    failed_changed = change.new.get("failedIndexes") != change.old.get("failedIndexes")
    if failed_changed and completions is not None and per_index and failed is not None:
        if problem := index_count(failed, completions)[1]:
            detail = f"error parsing failedIndexes: {problem}"
            errors.append(invalid("status.failedIndexes", failed, detail))
    if change.changed("completedIndexes") and completed and spec.get("completionMode") != "Indexed":
        detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
        errors.append(invalid("status.completedIndexes", completed, detail))
    if failed_changed and not per_index and failed is not None:
        detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        errors.append(invalid("status.failedIndexes", failed, detail))
    if (failed_changed or change.changed("completedIndexes")) and completions is not None:
        if failed and completed and (index := _overlap(completed, failed, completions)) is not None:
            detail = f"failedIndexes and completedIndexes overlap at index: {index}"
            errors.append(invalid("status.failedIndexes", failed, detail))


def _validate_rest(change: _Change, errors: list[FieldError]) -> None:
    status = change.new
    terminating, ready = status.get("terminating"), status.get("ready")
    if change.finished_turned() or status.get("terminating") != change.old.get("terminating"):
        if (terminating or 0) > 0 and _finished(status):
            detail = "terminating>0 is invalid for finished job"
            errors.append(invalid("status.terminating", terminating, detail))
    if change.changed("active") or status.get("ready") != change.old.get("ready"):
        if ready is not None and ready > (status.get("active") or 0):
            errors.append(invalid("status.ready", ready, "cannot set more ready pods than active"))
    met = has_condition(status, "SuccessCriteriaMet")
    if met and has_condition(status, "Failed"):
        _conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions", errors)
    if met and has_condition(status, "FailureTarget"):
        _conditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions", errors)
    if change.spec.get("successPolicy") is not None and not met and has_condition(status, "Complete"):
        detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        _conditions(detail, errors)


def _validate_history(change: _Change, errors: list[FieldError]) -> None:
    new, old, spec = change.new, change.old, change.spec
    for kind in ("Failed", "Complete", "FailureTarget"):
        if has_condition(old, kind) and not has_condition(new, kind):
            _conditions(f"cannot disable the terminal {kind}=True condition", errors)
    elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    errors += [
        invalid(f"status.{name}", value, f"cannot decrease the {name} counter")
        for name in (("failed",) if elastic else ("failed", "succeeded"))
        if (value := new.get(name) or 0) < (old.get(name) or 0)
    ]
    end, before = new.get("completionTime"), old.get("completionTime")
    if end is not None and before is not None and end != before:
        errors.append(invalid("status.completionTime", end, "field is immutable"))
    start, before = new.get("startTime"), old.get("startTime")
    resuming = has_condition(old, "Suspended") and has_condition(new, "Suspended", "False")
    if before is not None and start != before and not spec.get("suspend") and not resuming:
        detail = "field is immutable for unsuspended job once set"
        errors.append(invalid("status.startTime", start, detail))
    met, was_met = has_condition(new, "SuccessCriteriaMet"), has_condition(old, "SuccessCriteriaMet")
    if was_met and not met:
        _conditions("cannot disable the SuccessCriteriaMet=True condition", errors)
    if has_condition(old, "Complete") and not was_met and met:
        detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        _conditions(detail, errors)
