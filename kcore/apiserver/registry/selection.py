"""Whether labels meet a LabelSelector that stands in an object.

Source: apimachinery pkg/apis/meta/v1/helpers.go (LabelSelectorAsSelector) of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping

from kcore.api.selectors import Requirement
from kcore.apiserver.operation import Object


def matches(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """None matches nothing, an empty selector everything, a malformed one nothing."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for each in selector.get("matchExpressions") or ():
        operator, values = each.get("operator", ""), tuple(each.get("values") or ())
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            return False
        if (operator in ("In", "NotIn")) != bool(values):
            return False
        if not Requirement(each["key"], operator, values).matches(labels):
            return False
    return True
