"""Node.clean the slow, obvious way: straight from the definitions, one plain value in, a new plain value out.

It follows encoding/json's description: decode into a Go struct, then encode it. Texts of quantities, times and bytes
are read by ``quantity_text`` and ``literals``, which have recordings of Go as their tests.
"""

from __future__ import annotations

from typing import Any

from kcore.api.schema.definitions import Definitions
from kcore_native.quantity_text import FORMAT_WRONG, canonical
from kcore_native.schema import literals

PREFIX = "io.k8s.apimachinery.pkg."
MISSING = object()  # what Go leaves out


class Wrong(ValueError):
    """Go's decoder refuses the document."""


class Walk:
    """One document: what is unknown in it, and the first value of a wrong type."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.unknown: list[str] = []
        self.first: Wrong | None = None

    def document(self, definition: str, value: dict[str, Any]) -> dict[str, Any]:
        """The object as Go writes it, less nulls."""
        made = self.struct(definition, value, "", [], definition.rpartition(".")[2])
        if self.first is not None:
            raise self.first
        return made

    def mismatch(self, word: str, go_type: str, owner: str, fields: list[str]) -> Wrong:
        return Wrong(
            f"json: cannot unmarshal {word} into Go struct field {owner}.{'.'.join(fields)} of type {go_type}"
        )

    def go_fields(self, definition: str) -> dict[str, tuple[str, str, str]]:
        schema = self.definitions.schema(definition)
        known = {name: rest for name, *rest in self.definitions.go_fields(definition) or []}
        fields = {}
        for name in schema["properties"]:
            go_type, flags, *embedded = known.get(name, ["*", "o"])
            fields[name] = (go_type, flags, embedded[0][3:] if embedded else "")
            if name in ("kind", "apiVersion") and "x-kubernetes-group-version-kind" in schema:
                fields[name] = ("string", "o", "TypeMeta")
        return fields

    def struct(
        self, definition: str, value: dict[str, Any], path: str, fields: list[str], owner: str
    ) -> dict[str, Any]:
        schema = self.definitions.schema(definition)
        properties = schema.get("properties", {})
        go = self.go_fields(definition) if properties else {}
        made = {}
        for name, each in value.items():
            below = f"{path}.{name}" if path else name
            if name not in properties:
                if len(self.unknown) < 100:
                    self.unknown.append(below)
                continue
            go_type, flags, embedded = go[name]
            if each is None:
                continue
            stack = fields + ([embedded] if embedded else []) + [name]
            result = self.value(properties[name], go_type.lstrip("*"), each, below, stack, owner)
            scalar = not isinstance(result, dict) or self.kind(properties[name]) == "map"
            special = self.kind(properties[name]) in ("quantity", "int-or-string", "time", "any")
            if result is MISSING or (
                "o" in flags and not go_type.startswith("*") and scalar and not special and not result
            ):
                continue
            made[name] = result
        for name, (go_type, flags, _) in go.items():
            if name not in made and go_type and not go_type.startswith("*") and "z" not in flags:
                zero = self.zero(properties[name], flags)
                if zero is not MISSING:
                    made[name] = zero
        return made

    def kind(self, schema: dict[str, Any]) -> str:
        reference = schema.get("$ref")
        if reference:
            short = reference.removeprefix(PREFIX)
            if short in ("apis.meta.v1.Time", "apis.meta.v1.MicroTime"):
                return "time"
            if short == "api.resource.Quantity":
                return "quantity"
            if short == "util.intstr.IntOrString":
                return "int-or-string"
            target = self.definitions.schema(reference)
            if short in ("runtime.RawExtension", "apis.meta.v1.FieldsV1") or target.get("type") != "object":
                return "any"
            return "object"
        if schema.get("type") == "object":
            return "map" if isinstance(schema.get("additionalProperties"), dict) else "any"
        if schema.get("format") == "byte":
            return "bytes"
        return str(schema.get("type", "any"))

    def zero(self, schema: dict[str, Any], flags: str) -> Any:
        kind = self.kind(schema)
        if kind == "object":
            return self.struct(schema["$ref"], {}, "", [], "")
        if kind == "quantity":
            return "0"
        if kind == "int-or-string":
            return 0
        if "o" in flags:
            return MISSING
        return {"string": "", "integer": 0, "number": 0, "boolean": False}.get(kind, MISSING)

    def item_zero(self, schema: dict[str, Any]) -> Any:
        zero = self.zero(schema, "")
        return None if zero is MISSING else zero

    def value(
        self, schema: dict[str, Any], go_type: str, value: Any, path: str, fields: list[str], owner: str
    ) -> Any:
        kind = self.kind(schema)
        words = {str: "string", bool: "bool", dict: "object", list: "array"}
        word = words.get(type(value), "number")
        if kind == "object" and isinstance(value, dict):
            return self.struct(schema["$ref"], value, path, fields, schema["$ref"].rpartition(".")[2])
        if kind in ("array", "map") and isinstance(value, list if kind == "array" else dict):
            return self.collection(schema, go_type, value, path, fields, owner)
        if kind == "any":
            return self.any(schema, value, path, fields, owner)
        if kind in ("quantity", "time", "int-or-string"):
            return self.special(kind, schema, value, word, fields, owner)
        fits = {"string": str, "boolean": bool, "bytes": str, "integer": int, "number": (int, float)}.get(
            kind, ()
        )
        if not isinstance(value, fits) or (isinstance(value, bool) and kind != "boolean"):
            number = f"number {getattr(value, 'text', value)}"
            shown = number if kind == "integer" and word == "number" else word
            return self.saved(self.mismatch(shown, go_type, owner, fields))
        if kind == "integer":
            bits = 31 if go_type.endswith("int32") else 63
            if not -(2**bits) <= value < 2**bits:
                return self.saved(self.mismatch(f"number {value}", go_type, owner, fields))
        if kind == "bytes":
            try:
                return literals.base64_text(value)
            except ValueError as error:
                return self.saved(Wrong(str(error)))
        return value

    def saved(self, error: Wrong) -> Any:
        self.first = self.first or error
        return MISSING

    def special(
        self, kind: str, schema: dict[str, Any], value: Any, word: str, fields: list[str], owner: str
    ) -> Any:
        if kind == "int-or-string":
            if isinstance(value, str) or (type(value) is int and -(2**31) <= value < 2**31):
                return value
            shown = f"number {getattr(value, 'text', value)}" if word == "number" else word
            raise self.mismatch(shown, "int32", owner, fields)
        if kind == "time" and not isinstance(value, str):
            raise self.mismatch(word, "string", owner, fields)
        try:
            if kind == "time":
                made = literals.time(value, schema["$ref"].endswith("MicroTime"))
                return MISSING if made is None else made
            if word not in ("string", "number"):
                raise ValueError(FORMAT_WRONG)
            return canonical(value.strip() if isinstance(value, str) else str(getattr(value, "text", value)))
        except ValueError as error:
            raise Wrong(str(error)) from None

    def any(self, schema: dict[str, Any], value: Any, path: str, fields: list[str], owner: str) -> Any:
        """RawExtension and the like are kept; a JSON schema that may be something else is read without strictness."""
        name = schema.get("$ref", "").rpartition(".")[2]
        if not name.startswith("JSONSchemaPropsOr"):
            return value
        props = schema["$ref"].partition("Or")[0]
        inner = Walk(self.definitions)
        try:
            if isinstance(value, dict):
                made: Any = inner.struct(props, value, path, fields, "JSONSchemaProps")
            elif name.endswith("OrBool"):
                if not isinstance(value, bool):
                    raise Wrong("boolean or JSON schema expected")
                return value
            elif not isinstance(value, list) or not value:
                return MISSING
            else:
                made = [inner.inner_item(name, props, each, path, fields, owner) for each in value]
        finally:
            self.first = inner.first or self.first
        if inner.first is not None:
            raise inner.first
        return made

    def inner_item(self, name: str, props: str, each: Any, path: str, fields: list[str], owner: str) -> Any:
        strings = name.endswith("OrStringArray")
        if each is None:
            return "" if strings else {}
        if strings and isinstance(each, str):
            return each
        if not strings and isinstance(each, dict):
            return self.struct(props, each, path, fields, "JSONSchemaProps")
        word = {str: "string", bool: "bool", dict: "object", list: "array"}.get(type(each), "number")
        raise self.mismatch(word, "string" if strings else "v1.JSONSchemaProps", owner, fields)

    def collection(
        self, schema: dict[str, Any], go_type: str, value: Any, path: str, fields: list[str], owner: str
    ) -> Any:
        inner = schema["items"] if isinstance(value, list) else schema["additionalProperties"]
        named = {
            "v1.ResourceList": "resource.Quantity", "v1.ExtraValue": "string", "v1.Verbs": "string",
            "v1.ValidationRules": "v1.ValidationRule", "v1.JSONSchemaDefinitions": "v1.JSONSchemaProps",
            "v1.JSONSchemaDependencies": "v1.JSONSchemaPropsOrStringArray",
        }  # fmt: skip
        item_type = named.get(go_type, go_type.partition("]")[2])

        def item(each: Any, place: str) -> Any:
            if each is None:
                return self.item_zero(inner)
            made = self.value(inner, item_type, each, place, fields, owner)
            return None if made is MISSING else made

        if isinstance(value, list):
            return [item(each, f"{path}[{i}]") for i, each in enumerate(value)]
        return {key: item(each, f"{path}.{key}") for key, each in value.items()}
