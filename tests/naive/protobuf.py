"""Kubernetes protobuf the slow way: a message is first taken apart into (number, wire type, value), then read by the table.

Follows what generated.pb.go and encoding/json say, one rule after another. Times, quantities and maps by the standard
library; nothing of ``kcore_native.protobuf``. It knows neither limits nor the texts of errors: bad input is ValueError.
"""

from __future__ import annotations

import base64
import json
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from kcore.api.protobuf.table import Field, Message, messages
from kcore_native.quantity_text import canonical

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Part = tuple[int, int, Any]


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift >= 64:
            raise ValueError("varint")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at


def parts(data: bytes) -> list[Part]:
    """Every field of a message, unread."""
    found: list[Part] = []
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        value: Any
        if wire_type == 0:
            value, at = varint(data, at)
        elif wire_type == 1:
            value, at = data[at : at + 8], at + 8
        elif wire_type == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        elif wire_type == 5:
            value, at = data[at : at + 4], at + 4
        else:
            raise ValueError("wire type")
        if at > len(data) or number == 0:
            raise ValueError("short")
        found.append((number, wire_type, value))
    return found


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def time_text(data: bytes, micro: bool) -> str | None:
    if not data:
        return None
    found = {number: value for number, _, value in parts(data)}
    seconds = signed(found.get(1, 0), 64)
    nanos = signed(found.get(2, 0), 32) if micro else 0
    if seconds == -62135596800 and nanos == 0:
        return None
    when = EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    text = when.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{text}.{when.microsecond:06d}Z" if micro else f"{text}Z"


def raw_json(data: bytes) -> Any:
    raws = [value for number, _, value in parts(data) if number == 1]
    return json.loads(raws[-1]) if raws and raws[-1] else None


def value_of(kind: str, value: Any) -> Any:
    """One value of a type."""
    if kind == "bool":
        return value != 0
    if kind in ("int32", "int64"):
        return signed(value, 32 if kind == "int32" else 64)
    if kind == "double":
        number = struct.unpack("<d", value)[0]
        return int(number) if number == int(number) and abs(number) < 2**53 else number
    if kind == "string":
        return value.decode()
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind in ("Time", "MicroTime"):
        return time_text(value, kind == "MicroTime")
    if kind == "Quantity":
        texts = [each for number, _, each in parts(value) if number == 1]
        return canonical(texts[-1].decode()) if texts else "0"
    if kind == "IntOrString":
        found = {number: each for number, _, each in parts(value)}
        return found.get(3, b"").decode() if found.get(1) else signed(found.get(2, 0), 32)
    if kind in ("RawExtension", "FieldsV1", "JSON"):
        return raw_json(value)
    return decode(kind, value)


def zero(field: Field) -> Any:
    """The field's zero value in JSON."""
    if field.pointer or field.repeated or field.map or field.items:
        return None
    if field.type in messages():
        return decode(field.type, b"")
    return {
        "bool": False, "int32": 0, "int64": 0, "double": 0, "string": "", "Quantity": "0", "IntOrString": 0,
    }.get(field.type)  # fmt: skip


def strings(data: bytes) -> list[str]:
    return [value.decode() for number, _, value in parts(data) if number == 1]


def field_value(field: Field, values: list[tuple[int, Any]]) -> Any:
    """All occurrences of a field as one value."""
    if field.map:
        found = {}
        for _, entry in values:
            inside = {number: value for number, _, value in parts(entry)}
            value = inside.get(2, b"")
            found[inside.get(1, b"").decode()] = (
                strings(value) if field.items else value_of(field.type, value)
            )
        return found
    if field.items:
        return [text for _, value in values for text in strings(value)]
    if field.repeated:
        return [value_of(field.type, value) for _, value in values]
    if field.type in messages():
        return decode(field.type, b"".join(value for _, value in values))  # messages merge
    return value_of(field.type, values[-1][1])


def union(message: Message, found: dict[str, Any]) -> Any:
    if message.short_name == "JSONSchemaPropsOrBool":
        return found["schema"] if found.get("schema") is not None else found["allows"]
    return found.get("jsonSchemas") or found.get("property") or found.get("schema")


def decode(name: str, data: bytes) -> Any:
    """The JSON form of a message."""
    message = messages()[name]
    found: dict[str, Any] = {}
    given = parts(data)
    for field in message.fields:
        values = [(wire_type, value) for number, wire_type, value in given if number == field.number]
        if field.inline:
            found |= decode(field.type, b"".join(value for _, value in values))
            continue
        value = field_value(field, values) if values else zero(field)
        is_struct = field.type in messages() or field.type in (
            "Quantity", "IntOrString", "RawExtension", "Time", "MicroTime",
        )  # fmt: skip
        plural = field.repeated or field.map or field.items
        if field.pointer or (plural and field.omitempty):
            stands = (bool(values) and (not plural or bool(value))) or (not field.omitempty)
        else:
            stands = not (field.omitempty and not is_struct and not value) or (plural and not field.omitempty)
            stands = stands and not (field.omitzero and value is None)
        if stands:
            found[field.name] = value
    return union(message, found) if message.short_name.startswith("JSONSchemaPropsOr") else found
