"""What is wrong with the OpenAPI schema of a custom resource.

Sources, Kubernetes 1.36: apiextensions-apiserver pkg/apiserver/schema/validation.go (structural schemas),
pkg/apis/apiextensions/validation/validation.go (ValidateCustomResourceDefinitionOpenAPISchema). Not here: whether a
default fits its own schema, and the rules in CEL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from kcore.api.field import FieldError, forbidden, invalid, not_supported, required

Schema = Mapping[str, Any]

TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
LIST_TYPES: Final = ("atomic", "set", "map")
MAP_TYPES: Final = ("atomic", "granular")
RULE_REASONS: Final = (
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
)
META_FIELDS: Final = ("metadata", "kind", "apiVersion")
PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
EMBEDDED: Final = "x-kubernetes-embedded-resource"
INT_OR_STRING: Final = "x-kubernetes-int-or-string"
LIST_TYPE: Final = "x-kubernetes-list-type"
LIST_KEYS: Final = "x-kubernetes-list-map-keys"
MAP_TYPE: Final = "x-kubernetes-map-type"
RULES: Final = "x-kubernetes-validations"
_INT_OR_STRING_TYPES: Final = [{"type": "integer"}, {"type": "string"}]
_LISTED: Final = ("allOf", "anyOf", "oneOf")
# Go's names of the fields that a root may have when there is a status subresource, and theirs in JSON
ROOT_FIELDS: Final = (
    "Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum",
    "MaxLength", "MinLength", "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items",
    "Properties", "ExternalDocs", "Example", "XPreserveUnknownFields", "XValidations",
)  # fmt: skip
_ROOT_NAMES: Final = frozenset(
    [name[0].lower() + name[1:] for name in ROOT_FIELDS if not name.startswith("X")] + [PRESERVE, RULES]
)
_WHERE: Final = {
    "root": "at the root", "item": "for specified array items", "field": "for specified object fields",
}  # fmt: skip
# what only the structural part of a schema may have, in upstream's order
_NOT_NESTED: Final = (
    (PRESERVE, "must be false to be structural"),
    (EMBEDDED, "must be false to be structural"),
    (INT_OR_STRING, "must be false to be structural"),
    (LIST_KEYS, "must be empty to be structural"),
    (LIST_TYPE, "must be undefined to be structural"),
    (MAP_TYPE, "must be undefined to be structural"),
    (RULES, "must be empty to be structural"),
)
_UNSUPPORTED: Final = (
    "id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref",
)  # fmt: skip


def validate_schema(schema: Schema, path: str, has_status: bool) -> list[FieldError]:
    """All that is wrong with ``openAPIV3Schema`` (validateCustomResourceDefinitionValidation)."""
    errors: list[FieldError] = []
    if has_status:
        errors += _validate_root(schema, path)
    if schema.get("nullable"):
        errors.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    errors += sorted(_structural(schema, "root", path), key=lambda error: error.text)
    _check(schema, path, errors, root=True)
    return errors


def _validate_root(schema: Schema, path: str) -> list[FieldError]:
    for name, value in schema.items():
        if name == "type":
            if value != "object":
                detail = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
                return [invalid(f"{path}.type", value, detail)]
        elif name not in _ROOT_NAMES and value not in (None, "", False, [], {}):
            detail = (
                f"only [{' '.join(ROOT_FIELDS)}] fields are allowed at the root of the schema if the status "
                "subresource is enabled"
            )
            return [invalid(path, dict(schema), detail)]
    return []


# Formats of strings, dashes left out; of numbers
STRING_FORMATS: Final = frozenset({
    "bsonobjectid", "uri", "email", "hostname", "ipv4", "ipv6", "cidr", "mac", "uuid", "uuid3", "uuid4", "uuid5",
    "isbn", "isbn10", "isbn13", "creditcard", "ssn", "hexcolor", "rgbcolor", "byte", "password", "date", "duration",
    "datetime", "k8sshortname", "k8slongname",
})  # fmt: skip
NUMBER_FORMATS: Final = {"integer": ("int32", "int64"), "number": ("float", "double")}


def unrecognized_formats(schema: Schema) -> list[str]:
    """The formats that mean nothing where they stand (GetUnrecognizedFormats)."""
    found = []
    if form := schema.get("format"):
        kind = schema.get("type") or "string"
        known = (
            form.replace("-", "") in STRING_FORMATS
            if kind == "string"
            else form in NUMBER_FORMATS.get(kind, ())
        )
        if not known:
            found.append(form)
    below = [_items(schema), schema.get("not"), schema.get("additionalProperties")]
    for name in _LISTED:
        below += schema.get(name) or ()
    below += (schema.get("properties") or {}).values()
    for each in below:
        if isinstance(each, dict):
            found += unrecognized_formats(each)
    return found


# Structural schemas


def _items(schema: Schema) -> Schema | None:
    items = schema.get("items")
    return items if isinstance(items, dict) else None


def _structural(schema: Schema, level: str, path: str) -> list[FieldError]:
    """validateStructuralInvariants."""
    errors: list[FieldError] = []
    get = schema.get
    kind, items, properties = get("type") or "", _items(schema), get("properties") or {}
    if kind == "array" and get("items") is None:
        errors.append(required(f"{path}.items", "must be specified"))
    if items is not None:
        errors += _structural(items, "item", f"{path}.items")
    for name, each in properties.items():
        errors += _structural(each, "field", f"{path}.properties[{name}]")
    additional = get("additionalProperties")
    if additional is not None:
        if level == "root":
            errors.append(forbidden(f"{path}.additionalProperties", "must not be used at the root"))
        if isinstance(additional, dict):
            errors += _structural(additional, "field", f"{path}.additionalProperties")
    embedded, preserves, either = get(EMBEDDED), get(PRESERVE), get(INT_OR_STRING)
    errors += [
        invalid(f"{path}.{name}", True, "must be false if x-kubernetes-int-or-string is true")
        for name in (PRESERVE, EMBEDDED)
        if either and get(name)
    ]
    errors += _values(schema, path, level)
    checked = level == "root" or bool(embedded)
    if embedded and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        at = f"{path}.type"
        errors.append(invalid(at, kind, detail) if kind else required(at, detail))
    elif not kind and not either and not preserves:
        errors.append(required(f"{path}.type", f"must not be empty {_WHERE[level]}"))
    if embedded and additional is not None:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        errors.append(forbidden(f"{path}.additionalProperties", detail))
    if level == "root" and kind and kind != "object":
        errors.append(invalid(f"{path}.type", kind, "must be object at the root"))
    if checked:
        errors += _validate_meta(properties, level, path)
    if embedded and not preserves and not properties:
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without "
            "x-kubernetes-preserve-unknown-fields"
        )
        errors.append(required(f"{path}.properties", detail))
    return errors + _complete(schema, path) if level == "root" else errors


def _validate_meta(properties: Schema, level: str, path: str) -> list[FieldError]:
    errors = []
    for name, kind in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
        if (each := properties.get(name)) is not None and each.get("type") != kind:
            at = f"{path}.properties[{name}].type"
            errors.append(invalid(at, each.get("type") or "", f"must be {kind}"))
    metadata = properties.get("metadata")
    if metadata is not None and level == "root":
        inner = set(metadata.get("properties") or ())
        rest = {
            name
            for name, value in metadata.items()
            if name not in ("type", "default", "properties") and value not in (None, "", False, [], {})
        }
        if rest or inner - {"name", "generateName"}:
            detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            errors.append(forbidden(f"{path}.properties[metadata]", detail))
    return errors


def _values(schema: Schema, path: str, level: str, skip_any: bool = False) -> list[FieldError]:
    """validateValueValidation: what stands below allOf, anyOf, oneOf and not."""
    errors: list[FieldError] = []
    any_of, all_of = schema.get("anyOf") or [], schema.get("allOf") or []
    if not skip_any and any_of != _INT_OR_STRING_TYPES:
        for index, each in enumerate(any_of):
            errors += _nested(each, f"{path}.anyOf[{index}]", level)
    for index, each in enumerate(all_of):
        first = index == 0 and (each.get("anyOf") or []) == _INT_OR_STRING_TYPES
        errors += _nested(each, f"{path}.allOf[{index}]", level, skip_any=first)
    for index, each in enumerate(schema.get("oneOf") or ()):
        errors += _nested(each, f"{path}.oneOf[{index}]", level)
    if (negated := schema.get("not")) is not None:
        errors += _nested(negated, f"{path}.not", level)
    if pattern := schema.get("pattern"):
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as fault:
            detail = f"must be a valid regular expression, but isn't: error parsing regexp: {fault}"
            errors.append(invalid(f"{path}.pattern", pattern, detail))
    return errors


def _nested(schema: Schema, path: str, level: str, skip_any: bool = False) -> list[FieldError]:
    """validateNestedValueValidation: values are narrowed, no structure is added."""
    errors = _values(schema, path, level, skip_any)
    get = schema.get
    if (items := _items(schema)) is not None:
        errors += _nested(items, f"{path}.items", level)
    for name, each in (get("properties") or {}).items():
        errors += _nested(each, f"{path}.properties[{name}]", "field")
    if get("type"):
        errors.append(forbidden(f"{path}.type", "must be empty to be structural"))
    if get("additionalProperties") is not None:
        detail = "must be undefined to be structural"
        errors.append(forbidden(f"{path}.additionalProperties", detail))
    if get("default") is not None:
        errors.append(forbidden(f"{path}.default", "must be undefined to be structural"))
    errors += [
        forbidden(f"{path}.{name}", "must be empty to be structural")
        for name in ("title", "description")
        if get(name)
    ]
    if get("nullable"):
        errors.append(forbidden(f"{path}.nullable", "must be false to be structural"))
    errors += [forbidden(f"{path}.{name}", detail) for name, detail in _NOT_NESTED if get(name)]
    if "metadata" in (get("properties") or {}):
        detail = "must not be specified in a nested context"
        errors.append(forbidden(f"{path}.properties[metadata]", detail))
    return errors


def _complete(schema: Schema, path: str) -> list[FieldError]:
    """What the root narrows must be there (validateStructuralCompleteness)."""
    errors: list[FieldError] = []
    _cover_parts(schema, schema, path, path, errors)
    return errors


def _cover_parts(nested: Schema, schema: Schema, source: str, path: str, errors: list[FieldError]) -> None:
    if (negated := nested.get("not")) is not None:
        _cover(negated, schema, f"{source}.not", path, errors)
    for name in _LISTED:
        for index, each in enumerate(nested.get(name) or ()):
            _cover(each, schema, f"{source}.{name}[{index}]", path, errors)


def _cover(nested: Schema, schema: Schema, source: str, path: str, errors: list[FieldError]) -> None:
    _cover_parts(nested, schema, source, path, errors)
    if (narrowed := _items(nested)) is not None:
        if (items := _items(schema)) is None:
            errors.append(required(f"{path}.items", f"because it is defined in {source}.items"))
        else:
            _cover(narrowed, items, f"{source}.items", f"{path}.items", errors)
    properties = schema.get("properties") or {}
    for name, each in (nested.get("properties") or {}).items():
        at, below = f"{path}.properties[{name}]", f"{source}.properties[{name}]"
        if name in properties:
            _cover(each, properties[name], below, at, errors)
        else:
            errors.append(required(at, f"because it is defined in {below}"))


# Whatever the schema's place


def _check(
    schema: Schema,
    path: str,
    errors: list[FieldError],
    *,
    root: bool = False,
    meta: bool = False,
    no_default: str = "",
) -> None:
    """ValidateCustomResourceDefinitionOpenAPISchema, with specStandardValidatorV3."""
    get = schema.get
    kind = get("type") or ""
    if kind and kind not in TYPES:
        errors.append(not_supported(f"{path}.type", kind, TYPES))
    if no_default and get("default") is not None:
        errors.append(forbidden(f"{path}.default", f"must not be set {no_default}"))
    errors += [forbidden(f"{path}.{name}", f"{name} is not supported") for name in _UNSUPPORTED if get(name)]
    if kind == "null":
        detail = "type cannot be set to null, use nullable as an alternative"
        errors.append(forbidden(f"{path}.type", detail))
    if isinstance(get("items"), list):
        errors.append(forbidden(f"{path}.items", "items must be a schema object and not an array"))
    if meta and get(EMBEDDED):
        errors.append(forbidden(f"{path}.{EMBEDDED}", "must not be used inside of resource meta"))
    if get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.append(forbidden(f"{path}.uniqueItems", detail))
    additional, properties = get("additionalProperties"), get("properties") or {}
    if additional is not None and properties and additional is not True:
        detail = "additionalProperties and properties are mutual exclusive"
        errors.append(forbidden(f"{path}.additionalProperties", detail))
    if isinstance(additional, dict):
        why = "inside additionalProperties applying to object metadata" if meta else no_default
        _check(additional, f"{path}.additionalProperties", errors, meta=meta, no_default=why)
    for name, each in properties.items():
        is_meta = (root or bool(get(EMBEDDED))) and name in META_FIELDS
        why = f"in top-level {name}" if is_meta and root else no_default
        _check(each, f"{path}.properties[{name}]", errors, meta=meta or is_meta, no_default=why)
    if (negated := get("not")) is not None:
        _check(negated, f"{path}.not", errors, meta=meta, no_default=no_default)
    for name in ("allOf", "oneOf", "anyOf"):
        for index, each in enumerate(get(name) or ()):
            _check(each, f"{path}.{name}[{index}]", errors, meta=meta, no_default=no_default)
    if (items := _items(schema)) is not None:
        _check(items, f"{path}.items", errors, meta=meta, no_default=no_default)
    _check_extensions(schema, path, errors)
    _check_rules(get(RULES) or (), path, errors)


def _check_extensions(schema: Schema, path: str, errors: list[FieldError]) -> None:
    get = schema.get
    kind, list_type, map_type, items = get("type") or "", get(LIST_TYPE), get(MAP_TYPE), _items(schema)
    if get(PRESERVE) is False:
        errors.append(invalid(f"{path}.{PRESERVE}", False, "must be true or undefined"))
    for given, needed, name in ((map_type, "object", MAP_TYPE), (list_type, "array", LIST_TYPE)):
        if given is not None and kind != needed:
            at, detail = f"{path}.type", f"must be {needed} if {name} is specified"
            errors.append(invalid(at, kind, detail) if kind else required(at, detail))
    if map_type is not None and map_type not in MAP_TYPES:
        errors.append(not_supported(f"{path}.{MAP_TYPE}", map_type, MAP_TYPES))
    if kind == "array" and list_type == "set" and items is not None:
        detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
        inner, shown = items.get("type"), items.get(LIST_TYPE)
        if inner == "array" and shown not in (None, "atomic"):
            errors.append(invalid(f"{path}.items.{LIST_TYPE}", shown, detail))
        elif inner == "object" and items.get(MAP_TYPE) != "atomic":
            errors.append(invalid(f"{path}.items.{MAP_TYPE}", shown, detail))
    if list_type is not None and list_type not in LIST_TYPES:
        errors.append(not_supported(f"{path}.{LIST_TYPE}", list_type, LIST_TYPES))
    keys = get(LIST_KEYS) or []
    if keys and list_type != "map":
        at, detail = f"{path}.{LIST_TYPE}", "must be map if x-kubernetes-list-map-keys is non-empty"
        errors.append(required(at, detail) if list_type is None else invalid(at, list_type, detail))
    if list_type == "map":
        _check_map(keys, items, path, errors)
    if list_type in ("set", "map") and items is not None:
        if items.get("nullable"):
            detail = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
            errors.append(forbidden(f"{path}.items.nullable", detail))
        if list_type == "map":
            _check_keys(keys, items, path, errors)


def _check_map(keys: list[str], items: Schema | None, path: str, errors: list[FieldError]) -> None:
    at = f"{path}.{LIST_KEYS}"
    if not keys:
        errors.append(required(at, "must not be empty if x-kubernetes-list-type is map"))
    if items is None:
        errors.append(required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map"))
        return
    kind = items.get("type") or ""
    if kind != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        errors.append(invalid(f"{path}.items.type", kind, detail))
        return
    properties = items.get("properties") or {}
    for index, key in enumerate(keys):
        if key not in properties:
            errors.append(invalid(at, keys, "entries must all be names of item properties"))
        elif properties[key].get("type") in ("array", "object"):
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            errors.append(invalid(f"{path}.items.properties[{key}].type", kind, detail))
        if key in keys[:index]:
            errors.append(invalid(at, keys, "must not contain duplicate entries"))


def _check_keys(keys: list[str], items: Schema, path: str, errors: list[FieldError]) -> None:
    """validateMapListKeysMapSet."""
    needed, why = items.get("required") or (), "this property is in x-kubernetes-list-map-keys, so it"
    for key in keys:
        if (each := (items.get("properties") or {}).get(key)) is None:
            continue
        at = f"{path}.items.properties[{key}]"
        if key not in needed and each.get("default") is None:
            detail = f"{why} must have a default or be a required property"
            errors.append(required(f"{at}.default", detail))
        if each.get("nullable"):
            errors.append(forbidden(f"{at}.nullable", f"{why} cannot be nullable"))


def _has_newline(text: str) -> bool:
    return "\n" in text or "\r" in text


def _check_rules(rules: Any, path: str, errors: list[FieldError]) -> None:
    for index, rule in enumerate(rules):
        at = f"{path}.{RULES}[{index}]"
        text, message = rule.get("rule") or "", rule.get("message") or ""
        expression, where = rule.get("messageExpression") or "", rule.get("fieldPath") or ""
        if not text.strip():
            errors.append(required(f"{at}.rule", "rule is not specified"))
        elif message and not message.strip():
            errors.append(invalid(f"{at}.message", message, "must be non-empty if specified"))
        elif _has_newline(message.strip()):
            errors.append(invalid(f"{at}.message", message, "must not contain line breaks"))
        elif _has_newline(text.strip()) and not message.strip():
            detail = "message must be specified if rule contains line breaks"
            errors.append(required(f"{at}.message", detail))
        if expression and not expression.strip():
            detail = "messageExpression must be non-empty if specified"
            errors.append(required(f"{at}.messageExpression", detail))
        reason = rule.get("reason")
        if reason is not None and reason not in RULE_REASONS:
            errors.append(not_supported(f"{at}.reason", reason, RULE_REASONS))
        if where and not where.strip():
            errors.append(invalid(f"{at}.fieldPath", where, "must be non-empty if specified"))
        if _has_newline(where):
            errors.append(invalid(f"{at}.fieldPath", where, "must not contain line breaks"))
