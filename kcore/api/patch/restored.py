"""What is wrong with the types of a document that a strategic merge patch made, in the words of Go's converter.

Upstream makes the object from the patched map without going through JSON, so the words are not the JSON decoder's.
Source: apimachinery pkg/runtime/converter.go (fromUnstructured) of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kcore_native.schema.node import Node

KINDS: Final = {str: "string", bool: "bool", int: "int64", float: "float64", list: "slice", dict: "map"}
# what Go's reflection can turn into what: a number of a whole type into a string, though the converter will not
CONVERTIBLE: Final = frozenset({(int, "string"), (float, "integer")})


def type_problem(node: Node, value: Any) -> str | None:
    """The first member whose type does not fit its node; None where all fit, or where a type reads itself."""
    if value is None:
        return None
    kind = node.kind
    found: Iterator[str | None]
    if kind == "object":
        if not isinstance(value, dict):
            return f"cannot restore struct from: {_kind(value)}"
        found = (type_problem(below, value[name]) for name, below in node.fields.items() if name in value)
    elif kind == "map":
        if not isinstance(value, dict):
            return f"cannot restore map from {_kind(value)}"
        found = (type_problem(node.items, item) for item in value.values()) if node.items else iter(())
    elif kind == "list":
        if not isinstance(value, list):
            return f"cannot restore slice from {_kind(value)}"
        found = (type_problem(node.items, item) for item in value) if node.items else iter(())
    else:
        return _scalar_problem(node, kind, value)
    return next(filter(None, found), None)


def _scalar_problem(node: Node, kind: str, value: Any) -> str | None:
    wanted = {"string": str, "boolean": bool, "integer": int}.get(kind)
    if wanted is None or type(value) is wanted:
        return None
    own = _kind(value)
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return None
    if (type(value), kind) in CONVERTIBLE:
        return f"cannot convert {own} to {node.type_name.lstrip('*') or kind}"
    names = {"boolean": "bool", "integer": node.type_name.lstrip("*") or "int64"}
    return f"unrecognized type: {names.get(kind, kind)}"


def _kind(value: Any) -> str:
    return KINDS.get(type(value), "interface")
