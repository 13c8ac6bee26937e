"""Events of core/v1, as they are stored, and of events.k8s.io/v1, which are stricter.

Sources, Kubernetes 1.36: pkg/apis/core/validation/events.go, pkg/apis/events/v1/conversion.go,
pkg/registry/core/event/strategy.go.
"""

from __future__ import annotations

import re
from typing import Any, Final

from kcore.api.field import FieldError, invalid, required
from kcore.api.kinds.names import byte_count, dns1123_subdomain, faults, qualified_name
from kcore.api.kinds.updates import validate_named, validate_named_update, validate_unchanged
from kcore.api.strategy import Context, FreeText, Strategy, always
from kcore_native.cacher.naming import MICRO_TIME, SUBDOMAIN, TEXT, TEXT_BYTES_MAX, TIME

Object = dict[str, Any]

NAMES_BYTES_MAX: Final = 128  # of reportingInstance, action and reason
NOTE_BYTES_MAX: Final = 1024
_UNMATCHED: Final = "does not match event.namespace"
_FRACTION: Final = re.compile(r"\.(\d{0,6})\d*")

# core/v1 -> events.k8s.io/v1
_RENAMED: Final = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_RENAMED_BACK: Final = {new: old for old, new in _RENAMED.items()}
# What events of one reason differ in. ``_validate_legacy`` asks whether eventTime is there, and how long the message is.
_FREE: Final = (
    FreeText("metadata.name", SUBDOMAIN, "metadata.name"),
    FreeText("involvedObject.name", TEXT, "involvedObject.name"),
    FreeText("involvedObject.uid", TEXT, "involvedObject.uid"),
    FreeText("involvedObject.resourceVersion", TEXT, "involvedObject.resourceVersion"),
    FreeText("message", TEXT, "message"),
    FreeText("firstTimestamp", TIME, "firstTimestamp"),
    FreeText("lastTimestamp", TIME, "lastTimestamp"),
    FreeText("eventTime", MICRO_TIME, "eventTime"),
)
assert TEXT_BYTES_MAX <= NOTE_BYTES_MAX


def _renamed(path: str) -> str:
    head, dot, tail = path.partition(".")
    return _RENAMED.get(head, head) + dot + tail


# what Go writes of an event of core/v1 though it is empty
_NEVER_LEFT_OUT: Final[Object] = {
    "involvedObject": {}, "source": {}, "reportingComponent": "", "reportingInstance": "",
}  # fmt: skip


def convert(obj: Object, api_version: str) -> None:
    """The event is in the version wanted; in place."""
    if obj.get("apiVersion") == api_version:
        return
    names = _RENAMED if api_version == "events.k8s.io/v1" else _RENAMED_BACK
    renamed = {names.get(name, name): value for name, value in obj.items()}
    obj.clear()
    obj |= renamed
    obj["apiVersion"] = api_version
    if api_version == "v1":
        for name, value in _NEVER_LEFT_OUT.items():
            obj.setdefault(name, dict(value) if isinstance(value, dict) else value)
    else:
        for name in ("reportingController", "reportingInstance", "note", "reason", "action", "type"):
            if not obj.get(name):
                obj.pop(name, None)


def _validate_modern(obj: Object, controller_name: str) -> list[FieldError]:
    errors: list[FieldError] = []
    controller = obj.get("reportingComponent") or ""
    if not controller:
        errors.append(required(controller_name))
    errors += faults(controller_name, controller, qualified_name(controller))
    for name in ("reportingInstance", "action", "reason"):
        value = obj.get(name) or ""
        if not value:
            errors.append(required(name))
        if byte_count(value) > NAMES_BYTES_MAX:
            errors.append(invalid(name, "", f"can have at most {NAMES_BYTES_MAX} characters"))
    if byte_count(obj.get("message") or "") > NOTE_BYTES_MAX:
        errors.append(invalid("message", "", f"can have at most {NOTE_BYTES_MAX} characters"))
    return errors


def _validate_legacy(obj: Object, controller_name: str) -> list[FieldError]:
    """What holds through either API (legacyValidateEvent)."""
    errors: list[FieldError] = []
    namespace = obj["metadata"].get("namespace") or ""
    involved = (obj.get("involvedObject") or {}).get("namespace") or ""
    path = "involvedObject.namespace"
    if not obj.get("eventTime"):
        if namespace not in ("", "default") if not involved else namespace != involved:
            errors.append(invalid(path, involved, _UNMATCHED))
    else:
        if not involved and namespace not in ("default", "kube-system"):
            errors.append(invalid(path, involved, _UNMATCHED))
        errors += _validate_modern(obj, controller_name)
    return errors + faults("namespace", namespace, dns1123_subdomain(namespace))


def _validate(obj: Object, _: Context) -> list[FieldError]:
    return _validate_legacy(obj, "reportingComponent")


def _validate_update(obj: Object, _: Object, __: Context) -> list[FieldError]:
    return _validate_legacy(obj, "reportingComponent")


def _validate_series(obj: Object) -> list[FieldError]:
    series = obj.get("series")
    if series is None:
        return []
    errors = []
    if (series.get("count") or 0) < 2:
        errors.append(invalid("series.count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        errors.append(required("series.lastObservedTime"))
    return errors


def _validate_strictly(obj: Object, _: Context) -> list[FieldError]:
    errors = _validate_legacy(obj, "reportingController") + validate_named(obj) + _validate_series(obj)
    if not obj.get("eventTime"):
        errors.append(required("eventTime"))
    if (kind := obj.get("type") or "") not in ("Normal", "Warning"):
        errors.append(invalid("type", "", f"has invalid value: {kind}"))
    source = obj.get("source") or {}
    given = {
        "firstTimestamp": obj.get("firstTimestamp"),
        "lastTimestamp": obj.get("lastTimestamp"),
        "count": obj.get("count"),
        "source": source.get("component") or source.get("host"),
    }
    return errors + [invalid(name, "", "needs to be unset") for name, value in given.items() if value]


def _microseconds(time: str | None) -> str | None:
    """Without what is finer than a microsecond, and without zeros at the end."""
    if time is None:
        return None
    return _FRACTION.sub(lambda found: f".{found[1]}".rstrip("0").rstrip("."), time)


# how a field is called in messages, and in the object
_FIXED_BEFORE: Final = (
    ("involvedObject", "involvedObject"), ("reason", "reason"), ("message", "message"), ("source", "source"),
    ("firstTimestamp", "firstTimestamp"), ("lastTimestamp", "lastTimestamp"), ("count", "count"),
    ("reason", "reason"), ("type", "type"),
)  # fmt: skip
_FIXED_AFTER: Final = (
    ("action", "action"), ("related", "related"), ("reportingController", "reportingComponent"),
    ("reportingInstance", "reportingInstance"),
)  # fmt: skip


def _validate_update_strictly(obj: Object, old: Object, _: Context) -> list[FieldError]:
    errors = _validate_legacy(obj, "reportingController") + validate_named_update(obj, old)
    if obj.get("series") != old.get("series"):
        errors += _validate_series(obj)
    for shown, name in _FIXED_BEFORE:
        errors += validate_unchanged(obj.get(name) or None, old.get(name) or None, shown)
    if _microseconds(obj.get("eventTime")) != _microseconds(old.get("eventTime")):
        errors += validate_unchanged(obj.get("eventTime"), old.get("eventTime"), "eventTime")
    for shown, name in _FIXED_AFTER:
        errors += validate_unchanged(obj.get(name) or None, old.get(name) or None, shown)
    return errors


EVENT: Final = Strategy(
    validate=_validate,
    validate_update=_validate_update,
    allow_create_on_update=True,
    convert=convert,
    only_named=always,
    free_texts=_FREE,
)
STRICT_EVENT: Final = Strategy(
    validate=_validate_strictly,
    validate_update=_validate_update_strictly,
    allow_create_on_update=True,
    convert=convert,
    only_named=always,
    free_texts=tuple(each._replace(at=_renamed(each.at)) for each in _FREE),
)
