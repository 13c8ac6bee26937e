"""What the cells of many kinds share: ages, labels, selectors, containers.

Source: apimachinery pkg/util/duration, pkg/labels, apis/meta/v1/helpers.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kcore_native.quantity_text import canonical
from kcore_native.rfc3339 import seconds_of

Object = dict[str, Any]
NONE: Final = "<none>"
UNSET: Final = "<unset>"
UNKNOWN: Final = "<unknown>"

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 24 * HOUR
YEAR: Final = 365 * DAY


def short_human_duration(seconds: float) -> str:
    """The duration in its largest unit (``duration.ShortHumanDuration``)."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    for unit, limit, letter in ((1, MINUTE, "s"), (MINUTE, HOUR, "m"), (HOUR, DAY, "h"), (DAY, YEAR, "d")):
        if whole < limit:
            return f"{whole // unit}{letter}"
    return f"{whole // YEAR}y"


def _two(first: int, letter: str, second: int, other: str) -> str:
    return f"{first}{letter}{second}{other}" if second else f"{first}{letter}"


def human_duration(seconds: float) -> str:
    """The duration in two or three significant figures (``duration.HumanDuration``)."""
    whole = int(seconds)
    if whole < 2 * MINUTE:
        if whole < -1:
            return "<invalid>"
        return f"{whole}s" if whole >= 0 else "0s"
    if whole < 10 * MINUTE:
        return _two(whole // MINUTE, "m", whole % MINUTE, "s")
    if whole < 3 * HOUR:
        return f"{whole // MINUTE}m"
    hours = whole // HOUR
    if hours < 8:
        return _two(hours, "h", whole // MINUTE % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 24 * 8:
        return _two(hours // 24, "d", hours % 24, "h")
    if whole < 2 * YEAR:
        return f"{hours // 24}d"
    if whole < 8 * YEAR:
        return _two(whole // YEAR, "y", hours // 24 % 365, "d")
    return f"{whole // YEAR}y"


def since(timestamp: str | None, now: float) -> str:
    """How long ago that was."""
    seconds = seconds_of(timestamp)
    return UNKNOWN if seconds is None else human_duration(now - seconds)


def name(obj: Object) -> str:
    """The object's name."""
    return str((obj.get("metadata") or {}).get("name", ""))


def age(obj: Object, now: float) -> str:
    """How long ago the object was made."""
    return since((obj.get("metadata") or {}).get("creationTimestamp"), now)


def is_deleted(obj: Object) -> bool:
    """True once the object is to be deleted."""
    return bool((obj.get("metadata") or {}).get("deletionTimestamp"))


def part(obj: Object, *path: str) -> Any:
    """The object or list at a path; empty where it is absent."""
    for key in path:
        obj = obj.get(key) or {}
    return obj


def quantity(value: Any) -> str:
    """The quantity as it is written; zero where there is none."""
    if value is None:
        return "0"
    try:
        return canonical(str(value))
    except ValueError:
        return str(value)


def labels(given: Mapping[str, str] | None) -> str:
    """Labels as ``a=b,c=d`` (``labels.FormatLabels``)."""
    return ",".join(sorted(f"{key}={value}" for key, value in (given or {}).items())) or NONE


def containers(spec: Object) -> list[str]:
    """Names and images of a pod spec's containers."""
    given = spec.get("containers") or ()
    return [
        ",".join(each.get("name", "") for each in given),
        ",".join(each.get("image", "") for each in given),
    ]


def _requirement(expression: Object) -> str | None:
    key, operator = expression.get("key", ""), expression.get("operator")
    values = sorted(expression.get("values") or ())
    if operator == "Exists" and not values:
        return str(key)
    if operator == "DoesNotExist" and not values:
        return f"!{key}"
    if operator in ("In", "NotIn") and values:
        return f"{key} {operator.lower()} ({','.join(values)})"
    return None


def selector_text(selector: Object | None) -> str | None:
    """The label selector as ``a=b,c in (d,e),!f``, empty for none; None where it is invalid."""
    if not selector:
        return ""
    requirements = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        text = _requirement(expression)
        if text is None:
            return None
        requirements.append((expression.get("key", ""), text))
    requirements.sort(key=lambda requirement: requirement[0])
    return ",".join(text for _, text in requirements)


def selector(given: Object | None) -> str:
    """The label selector (``metav1.FormatLabelSelector``)."""
    text = selector_text(given)
    return "<error>" if text is None else text or NONE


def with_more(shown: Sequence[str], count: int, shown_max: int) -> str:
    """The items, and how many more there are; ``<unset>`` for none."""
    text = ",".join(shown)
    if count > shown_max:
        return f"{text} + {count - shown_max} more..."
    return text or UNSET


def condition(conditions: Iterable[Object] | None, kind: str) -> Object | None:
    """The first condition of that type."""
    return next((each for each in conditions or () if each.get("type") == kind), None)


def is_true(conditions: Iterable[Object] | None, kind: str) -> bool:
    """True where the first condition of that type is true."""
    found = condition(conditions, kind)
    return found is not None and found.get("status") == "True"
