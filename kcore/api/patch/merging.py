"""JSON merge patch, RFC 7386, as Kubernetes applies it.

Source: gopkg.in/evanphx/json-patch.v4, merge.go. Beside the RFC: nulls are taken out of what is new, but stay where an
object is replaced by a list.
"""

from __future__ import annotations

from typing import Any

from kcore.api.patch.wording import JSON_KINDS
from kcore.api.status import bad_request

Object = dict[str, Any]


def merge_patch(obj: Object, patch: Any) -> Object:
    """The object with the patch in it; ApiError 400 for a patch that is no object."""
    if patch is None:
        raise bad_request("Invalid JSON Patch")
    if not isinstance(patch, dict):
        kind = JSON_KINDS[type(patch)]
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )
    return _merged(obj, patch)


def _merged(obj: Object, patch: Object) -> Object:
    made = {**obj}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
            continue
        current = made.get(key)
        if isinstance(current, dict) and isinstance(value, dict):
            made[key] = _merged(current, value)
        elif isinstance(current, dict):
            made[key] = value
        else:
            made[key] = _without_nulls(value)
    return made


def _without_nulls(value: Any) -> Any:
    """Without null members; null items of lists stay."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value
