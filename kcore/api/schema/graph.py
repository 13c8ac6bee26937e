"""Nodes made from definitions, on first use and once; they refer to each other as the definitions do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from kcore.api.schema.definitions import Definitions
from kcore_native.schema.node import Node

META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
SPECIAL: Final = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    f"{META}Time": "time",
    f"{META}MicroTime": "time",
}


class Schemas:
    """``node`` by the definition's name."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._nodes: dict[str, Node] = {}
        self._leaves: dict[tuple[str, str], Node] = {}  # alike wherever they stand

    def node(self, name: str) -> Node:
        """The node of that definition; KeyError where there is none."""
        found = self._nodes.get(name)
        return found if found is not None else self._definition(name)

    def _definition(self, name: str) -> Node:
        schema, go_fields = self.definitions.with_go_fields(name)
        short = name.rpartition(".")[2]
        if (special := SPECIAL.get(name)) is not None:
            node = self._nodes[name] = Node(special, short, name)
            return node
        properties = schema.get("properties")
        if not properties:
            kind = "object" if schema.get("type") == "object" and f"{META}FieldsV1" != name else "any"
            if name == "io.k8s.apimachinery.pkg.runtime.RawExtension":
                kind = "any"
            node = self._nodes[name] = Node(kind, short, name)
            if short.startswith("JSONSchemaPropsOr"):
                node.hold(self.node(name.partition("Or")[0]))
            return node
        node = self._nodes[name] = Node(
            "object",
            short,
            name,
            required=tuple(schema.get("required", ())),
            map_type=schema.get("x-kubernetes-map-type", "granular"),
        )
        go = _go_fields(go_fields, properties)
        if "x-kubernetes-group-version-kind" in schema:
            for field in ("apiVersion", "kind"):
                go[field] = ("string", "o", "TypeMeta")
        fields = {field: self._value(value, go[field][0]) for field, value in properties.items()}
        node.complete(fields, None, go)
        return node

    def _value(self, schema: dict[str, Any], go_type: str) -> Node:
        reference = schema.get("$ref")
        if reference is not None:
            if "x-kubernetes-map-type" not in schema and "x-kubernetes-patch-strategy" not in schema:
                return self.node(reference)
            target = self.node(reference)
            if target.kind != "object":
                return target
            node = Node(
                "object",
                target.type_name,
                target.definition,
                required=target.required,
                map_type=schema.get("x-kubernetes-map-type", target.map_type),
                patch_strategies=_patch_strategies(schema),
            )
            _, go_fields = self.definitions.with_go_fields(reference)
            node.complete(target.fields, None, _go_fields(go_fields, target.fields))
            return node
        kind = schema.get("type", "any")
        if kind == "array":
            node = Node(
                "list",
                go_type,
                list_type=schema.get("x-kubernetes-list-type", "atomic"),
                list_keys=tuple(schema.get("x-kubernetes-list-map-keys", ())),
                patch_merge_key=schema.get("x-kubernetes-patch-merge-key", ""),
                patch_strategies=_patch_strategies(schema),
            )
            node.complete({}, self._value(schema["items"], _item_type(go_type)))
            return node
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            node = Node("map", go_type, map_type=schema.get("x-kubernetes-map-type", "granular"))
            node.complete({}, self._value(schema["additionalProperties"], _item_type(go_type)))
            return node
        if kind == "string" and schema.get("format") == "byte":
            kind = "bytes"
        if kind == "object":
            kind = "any"
        leaf = self._leaves.get((kind, go_type))
        if leaf is None:
            leaf = self._leaves[kind, go_type] = Node(kind, go_type)
        return leaf


def _go_fields(known: list[list[str]], properties: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """By JSON name: Go type, flags, embedded struct; where Go's type is not known what is empty is omitted."""
    rest_of = {field: rest for field, *rest in known}
    fields = {}
    for field in properties:
        go_type, flags, *embedded = rest_of.get(field, ("*", "o"))
        fields[field] = (go_type, flags, embedded[0].removeprefix("in=") if embedded else "")
    return fields


def _patch_strategies(schema: dict[str, Any]) -> tuple[str, ...]:
    return tuple(filter(None, schema.get("x-kubernetes-patch-strategy", "").split(",")))


def _item_type(go_type: str) -> str:
    """The Go type of a list's items or a map's values; empty for those of a named type, which the node knows."""
    return go_type.lstrip("*").partition("]")[2]


@cache
def load() -> Schemas:
    """Those of the built-in kinds; no node is made yet."""
    return Schemas(Definitions.shipped())
