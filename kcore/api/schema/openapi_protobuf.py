"""OpenAPI documents as gnostic's protobuf messages, which client-go and kubectl ask for.

The messages' description, made by the build from ``openapi_v*.proto``, says what a document's members become:
a member is the field of its name in snake case; an object of free names is a list of ``Named...``; what begins with
``x-`` is an extension whose value is YAML text (JSON is that); a choice is what fits.

Source: gnostic-models openapiv2 and openapiv3; kube-openapi pkg/handler and pkg/handler3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

# What clients accept, and the content type of the answer: the first is no media type (RFC 2045), so never sent back.
V2_ACCEPTED: Final = (
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
)
V2_TYPE: Final = V2_ACCEPTED[1]
V3_ACCEPTED: Final = (
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
)
V3_TYPE: Final = V3_ACCEPTED[1]

Document = dict[str, Any]
Fill = Callable[[Any, Any], None]  # a message, and the document that it is to hold


@cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    built = (files("kcore.api.schema") / "messages.binpb").read_bytes()
    made = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(built).file:
        made.Add(file)
    return made


def encode(document: Document) -> bytes:
    """The document, of version 2 or 3, as the message ``Document`` of its version."""
    from google.protobuf import message_factory

    package = "openapi.v2" if "swagger" in document else "openapi.v3"
    descriptor = _pool().FindMessageTypeByName(f"{package}.Document")
    message = message_factory.GetMessageClass(descriptor)()
    _filler(package, "Document")(message, document)
    encoded: bytes = message.SerializeToString()
    return encoded


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), name.replace("$", "_"))


def _any(message: Any, value: Any) -> None:
    message.yaml = orjson.dumps(value).decode()


def _boolean_or(field: str, inner: Fill) -> Fill:
    def fill(message: Any, value: Any) -> None:
        if isinstance(value, bool):
            message.boolean = value
        else:
            inner(getattr(message, field), value)

    return fill


def _default(message: Any, value: Any) -> None:
    """Of a scalar; other defaults have no message, as upstream's."""
    if isinstance(value, bool):
        message.boolean = value
    elif isinstance(value, int | float):
        message.number = value
    elif isinstance(value, str):
        message.string = value
    else:
        message.SetInParent()


def _strings(message: Any, value: Any) -> None:
    message.value.extend([value] if isinstance(value, str) else value)


@cache
def _filler(package: str, name: str) -> Fill:
    """What fills messages of that name."""
    if name == "Any":
        return _any
    if name == "DefaultType":
        return _default
    if name in ("TypeItem", "StringArray"):
        return _strings
    if name == "AdditionalPropertiesItem":
        field, inner = (
            ("schema", "Schema") if package.endswith("v2") else ("schema_or_reference", "SchemaOrReference")
        )
        return _boolean_or(field, _later(package, inner))
    descriptor = _pool().FindMessageTypeByName(f"{package}.{name}")
    if descriptor.oneofs:
        return _choice(package, descriptor)
    named = [
        field
        for field in descriptor.fields
        if field.message_type and field.message_type.name.startswith("Named")
    ]
    plain = [field for field in named if field.name not in ("specification_extension", "vendor_extension")]
    if plain and len(named) >= len(descriptor.fields) - 1:
        return _names(package, plain[0])
    return _members(package, descriptor)


def _later(package: str, name: str) -> Fill:
    """``_filler`` found at first use, since messages refer to themselves."""

    def fill(message: Any, value: Any) -> None:
        _filler(package, name)(message, value)

    return fill


def _names(package: str, field: Any) -> Fill:
    """An object of free names."""
    kind = field.message_type.fields_by_name["value"].message_type
    inner = _later(package, kind.name)
    list_name = field.name

    def fill(message: Any, value: Document) -> None:
        entries = getattr(message, list_name)
        message.SetInParent()
        for name, each in value.items():
            entry = entries.add()
            entry.name = name
            inner(entry.value, each)

    return fill


def _choice(package: str, descriptor: Any) -> Fill:
    """One of several messages: a reference, a body, a query or path parameter, or the other one that there is."""
    inner = {
        field.name: _later(package, field.message_type.name)
        for field in descriptor.fields
        if field.message_type
    }
    plain = next(iter(inner))
    if descriptor.name == "SecurityDefinitionsItem":
        plain = "api_key_security"

    def fill(message: Any, value: Document) -> None:
        chosen = plain
        if "$ref" in value and ("reference" in inner or "json_reference" in inner):
            chosen = "reference" if "reference" in inner else "json_reference"
        elif "non_body_parameter" in inner and value["in"] != "body":
            chosen = "non_body_parameter"
        elif "query_parameter_sub_schema" in inner:
            chosen = f"{value['in']}_parameter_sub_schema"
        part = getattr(message, chosen)
        part.SetInParent()
        inner[chosen](part, value)

    return fill


def _members(package: str, descriptor: Any) -> Fill:
    """An object whose members are known."""
    fields = {field.name: field for field in descriptor.fields}
    inner = {
        name: _later(package, field.message_type.name)
        for name, field in fields.items()
        if field.message_type is not None
    }
    repeated = {name for name, field in fields.items() if field.is_repeated}
    extension = "specification_extension" if "specification_extension" in fields else "vendor_extension"
    known: dict[str, str] = {}

    def fill(message: Any, value: Document) -> None:
        if descriptor.name == "ItemsItem":
            name = next(iter(fields))
            inner[name](getattr(message, name).add(), value)
            return
        for key, each in value.items():
            name = known.get(key) or known.setdefault(key, _snake(key))
            if key.startswith("x-"):
                entry = getattr(message, extension).add()
                entry.name = key
                _any(entry.value, each)
            elif name not in inner:
                if name in repeated:
                    getattr(message, name).extend(each)
                else:
                    setattr(message, name, each)
            elif name in repeated:
                target = getattr(message, name)
                for one in each:
                    inner[name](target.add(), one)
            else:
                inner[name](getattr(message, name), each)

    return fill
