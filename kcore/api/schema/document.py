"""A body in JSON or YAML becomes a value as Go's decoders make it, or ValueError has Go's message.

The fast parsers do the work; what they refuse and Go takes (bytes that are not UTF-8, half surrogates, deep nesting)
or words otherwise is read again here.

Sources: encoding/json, sigs.k8s.io/json, sigs.k8s.io/yaml (YAML 1.1 by go-yaml v2).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from kcore.api.field import quoted
from kcore.api.schema.syntax import syntax_error
from kcore_native.schema.node import DEPTH_MAX, STRICT_ERRORS_MAX, Node

_SURROGATE = re.compile("[\ud800-\udfff]")


class Literal(float):
    """A number with the text that the document has for it; infinite where it is beyond a double."""

    text: str

    def __new__(cls, text: str) -> Literal:
        """The number of that text."""
        made = super().__new__(cls, text)
        made.text = text
        return made


class Pairs(list[tuple[str, Any]]):
    """An object with every member that the document has, doubles too."""


def read_json(body: bytes) -> Any:
    """The value; doubles of a key: the last."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    if (problem := syntax_error(body)) is not None:
        raise ValueError(problem)
    try:
        return _whole(json.loads(_text(body), parse_float=_number))
    except RecursionError as error:
        raise ValueError("exceeded max depth") from error


def _number(text: str) -> float:
    number = float(text)
    return Literal(text) if math.isinf(number) else number


def _whole(value: Any) -> Any:
    """The value, half surrogates replaced as Go does."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value.items()}
    return value


def settled(value: Any) -> Any:
    """The value with plain numbers, where they were read with their texts."""
    if isinstance(value, Literal):
        return float(value)
    if isinstance(value, list):
        return [settled(each) for each in value]
    if isinstance(value, dict):
        return {key: settled(each) for key, each in value.items()}
    return value


def read_literally(body: bytes) -> Any:
    """As ``read_json``, each number that is not an integer with its text."""
    return json.loads(_text(body), parse_float=Literal)


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def strict_errors(body: bytes, node: Node) -> list[str]:
    """Unknown and duplicate fields in the document's order, as the strict decoder reports them; slow and exact."""
    found: dict[str, None] = {}
    value = json.loads(_text(body), object_pairs_hook=Pairs)
    _strict(value, node, "", found, 0)
    return list(found)


def _strict(value: Any, node: Node, path: str, found: dict[str, None], depth: int) -> None:
    if depth > DEPTH_MAX or len(found) >= STRICT_ERRORS_MAX:
        return
    if node.kind == "list" and isinstance(value, list) and not isinstance(value, Pairs) and node.items:
        for i, item in enumerate(value):
            _strict(item, node.items, f"{path}[{i}]", found, depth + 1)
    elif node.kind in ("object", "map") and isinstance(value, Pairs):
        seen = set()
        for key, item in value:
            below = f"{path}.{key}" if path else key
            inner = node.items if node.kind == "map" else node.fields.get(key)
            if inner is None:
                problem = f"unknown field {quoted(below)}"
            elif key in seen:
                problem = f"duplicate field {quoted(below)}"
            else:
                problem = ""
            seen.add(key)
            if problem and len(found) < STRICT_ERRORS_MAX:
                found.setdefault(problem)
            if inner is not None:
                _strict(item, inner, below, found, depth + 1)
