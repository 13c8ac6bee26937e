"""What a stage's steps send: the bodies of patches. Source: kwok pkg/utils/lifecycle/next.go and finalizers.go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from kcore.api.schema.yaml_text import read_yaml
from kcore.hollow.functions import Function
from kcore.hollow.gotemplate.errors import TemplateError
from kcore.hollow.gotemplate.template import Template
from kcore.hollow.stage import JSON, Finalizers, Patch


def rendered(template: Template, obj: Any, functions: Mapping[str, Function]) -> Any:
    """The value of the YAML that the template writes for the object; TemplateError where it writes none."""
    text = template.render(obj, functions)
    try:
        value, duplicates = read_yaml(text.encode())
    except ValueError as error:
        raise TemplateError(f"what the template writes is no YAML: {error}") from None
    if duplicates:
        raise TemplateError(f"what the template writes has the key {duplicates[0].key!r} twice")
    return value


def patch_value(step: Patch, kind: str, obj: Any, functions: Mapping[str, Function]) -> Any:
    """The patch of that step below its root; ``kind`` is its type."""
    value = rendered(step.template, obj, functions)
    if not step.root:
        return value
    if kind != JSON:
        return {step.root: value}
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise TemplateError("a JSON patch is a list of operations")
    return [{**each, "path": f"/{step.root}{each.get('path', '')}"} for each in value]


def finalizer_operations(now: Sequence[str], wanted: Finalizers) -> list[dict[str, Any]]:
    """The JSON patch that makes the object's finalizers what is wanted, empty where they are."""
    gone = [index for index in reversed(range(len(now))) if now[index] in wanted.remove]
    emptied = wanted.empty or (bool(wanted.remove) and len(gone) == len(now))
    operations: list[dict[str, Any]] = []
    if emptied:
        if now:
            operations.append({"op": "remove", "path": "/metadata/finalizers"})
    else:
        operations += [{"op": "remove", "path": f"/metadata/finalizers/{index}"} for index in gone]
    if not wanted.add:
        return operations
    if emptied or not now:
        return [*operations, {"op": "add", "path": "/metadata/finalizers", "value": list(wanted.add)}]
    return operations + [
        {"op": "add", "path": "/metadata/finalizers/-", "value": each}
        for each in wanted.add
        if each not in now
    ]


def encoded(value: Any) -> bytes:
    """The patch as a body."""
    return orjson.dumps(value)
