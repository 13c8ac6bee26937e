"""Objects as upstream prints its internal types: in messages that show a whole spec, and in the diffs of two.

Source, Kubernetes 1.36: pkg/apis/core/types.go (no JSON names), apimachinery pkg/util/diff, pkg/util/validation/field.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import orjson

from kcore.api.kinds.internal_types import TYPES

Object = dict[str, Any]

_ZERO: Final[dict[str, Any]] = {"s": "", "b": False, "i": 0, "q": "0", "m": None, "l": None, "p": None}
_SELECTOR: Final = ("matchLabels", "matchExpressions")
_REQUIREMENT: Final = ("key", "operator", "values")
_METADATA: Final = (
    "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
    "managedFields",
)  # fmt: skip
_WITH_METADATA: Final = frozenset({"PersistentVolumeClaimTemplate", "PodTemplateSpec"})


class _Field(NamedTuple):
    go: str
    json: str
    kind: str


@cache
def _types() -> dict[str, tuple[_Field, ...]]:
    types = {}
    for line in TYPES.split("\n"):
        if line:
            name, *fields = line.split(" ")
            split = [each.split(":") for each in fields]
            types[name] = tuple(
                _Field(go, key or f"{go[0].lower()}{go[1:]}", kind) for go, key, kind in split
            )
    types["PodTemplateSpec"] = (_Field("Spec", "spec", "PodSpec"),)
    return types


def selector_form(selector: Mapping[str, Any] | None) -> Object | None:
    """A label selector with its fields in Go's order."""
    if selector is None:
        return None
    made: Object = {}
    if labels := selector.get("matchLabels"):
        made["matchLabels"] = dict(sorted(labels.items()))
    if expressions := selector.get("matchExpressions"):
        made["matchExpressions"] = [
            {key: each[key] for key in _REQUIREMENT if key in each} for each in expressions
        ]
    return made


def internal_form(
    value: Mapping[str, Any] | None, of: str, spec: Mapping[str, Any] | None = None
) -> Object | None:
    """The value as the internal type marshals: every field, in Go's order; ``spec`` is the pod's that it stands in."""
    if value is None:
        return None
    made: Object = {}
    if of in _WITH_METADATA:
        metadata = value.get("metadata") or {}
        made |= {name: metadata[name] for name in _METADATA if metadata.get(name)}
    if of == "PodSpec":
        spec = value
    for go, key, kind in _types()[of]:
        source, name = (spec or {}, key[2:]) if key.startswith("..") else (value, key)
        made[go] = _form(source.get(name), kind, spec)
    return made


def _form(value: Any, kind: str, spec: Mapping[str, Any] | None) -> Any:
    if kind in _ZERO:
        if value is None or (value in ([], {}) and kind != "p"):
            return _ZERO[kind]
        if kind == "p" and isinstance(value, dict) and (not value or value.keys() & {*_SELECTOR}):
            return selector_form(value)
        return dict(sorted(value.items())) if kind == "m" else value
    if kind.startswith("[]"):
        return [internal_form(each, kind[2:], spec) for each in value] if value else None
    if kind.startswith("*"):
        return internal_form(value, kind[1:], spec)
    return internal_form(value or {}, kind, spec)


def shown(value: Mapping[str, Any] | None, of: str) -> Any:
    """The value of a FieldError: the internal form as compact JSON."""
    return orjson.Fragment(orjson.dumps(internal_form(value, of)))


def shown_selector(selector: Mapping[str, Any] | None) -> Any:
    """The same of a label selector."""
    return orjson.Fragment(orjson.dumps(selector_form(selector)))


def difference(old: Mapping[str, Any], new: Mapping[str, Any], of: str) -> str:
    """A unified diff of both as indented JSON (diff.Diff)."""
    before, after = (
        _escaped(json.dumps(internal_form(each, of), indent=1, ensure_ascii=False)).split("\n")
        for each in (old, new)
    )
    lines = [*difflib.unified_diff(before, after, lineterm="")][2:]
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
