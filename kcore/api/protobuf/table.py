"""The table of messages, ``messages.txt``, as values: what the codec is built from, and the schema's zero values."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pkgutil import get_data
from typing import Final, NamedTuple

from kcore.api.rows import GroupVersionKind

# kinds of apimachinery that every group version has
IN_EVERY_GROUP: Final = frozenset(
    {
        "CreateOptions",
        "DeleteOptions",
        "GetOptions",
        "ListOptions",
        "PatchOptions",
        "UpdateOptions",
        "WatchEvent",
    }
)

# types that are no message of the table: scalars, and messages with a form of their own in JSON
SCALARS: Final = frozenset({"bool", "bytes", "double", "int32", "int64", "string"})
SPECIAL: Final = frozenset(
    {"FieldsV1", "IntOrString", "JSON", "MicroTime", "Quantity", "RawExtension", "Time"}
)


class Field(NamedTuple):
    """One field. ``type`` is a scalar, a special type or the full name of a message; of a map or list, its values'.

    ``pointer``: absent differs from zero. ``items``: each value (or the field itself) is a message around a list.
    ``omitempty`` and ``omitzero`` as Go's json tags have them: the zero value is not written. ``inline``: the fields
    stand in the JSON object of the parent.
    """

    number: int
    name: str
    go_name: str
    type: str
    pointer: bool = False
    repeated: bool = False
    map: bool = False
    items: bool = False
    omitempty: bool = False
    omitzero: bool = False
    inline: bool = False


class Message(NamedTuple):
    """One message: ``name`` as ``core.v1.Pod``, its kind in the group versions named, fields in the Go struct's order."""

    name: str
    group_versions: tuple[str, ...]
    fields: tuple[Field, ...]

    @property
    def package(self) -> str:
        """``core.v1``."""
        return self.name.rpartition(".")[0]

    @property
    def short_name(self) -> str:
        """``Pod``, as Go's errors say it."""
        return self.name.rpartition(".")[2]


@cache
def _type(package: str, text: str) -> tuple[str, bool, bool, bool, bool]:
    """The type's name, and whether it is a pointer, repeated, a map, and around a list."""
    pointer = text.startswith("*")
    text = text.removeprefix("*")
    maps = text.startswith("map[string]")
    text = text.removeprefix("map[string]")
    items = text.startswith("items[]")
    text = text.removeprefix("items[]")
    repeated = text.startswith("[]")
    text = text.removeprefix("[]")
    if text not in SCALARS and text not in SPECIAL and "." not in text:
        text = f"{package}.{text}"
    return text, pointer, repeated, maps, items


def _field(package: str, line: str) -> Field:
    number, name, text, *options = line.split()
    go_name = name[:1].upper() + name[1:]
    if options and options[-1].startswith("go="):
        go_name = options[-1][3:]
    return Field(
        int(number), name, go_name, *_type(package, text),
        "omitempty" in options, "omitzero" in options, "inline" in options,
    )  # fmt: skip


def parse(text: str) -> Iterator[Message]:
    """The messages of a table, in its order."""
    head: list[str] = []
    fields: list[Field] = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith(" "):
            fields.append(_field(head[0].rpartition(".")[0], line))
            continue
        if head:
            yield Message(head[0], tuple(head[1:]), tuple(fields))
        head, fields = line.split(), []
    if head:
        yield Message(head[0], tuple(head[1:]), tuple(fields))


@cache
def messages() -> dict[str, Message]:
    """Every message by its name (``core.v1.Pod``)."""
    text = (get_data("kcore.api.protobuf", "messages.txt") or b"").decode()
    return {message.name: message for message in parse(text)}


@cache
def kinds() -> dict[GroupVersionKind, str]:
    """The message of each kind."""
    found = {}
    group_versions = {"v1"}
    for message in messages().values():
        for api_version in message.group_versions:
            found[GroupVersionKind.of(api_version, message.short_name)] = message.name
            group_versions.add(api_version)
    for api_version in group_versions:
        for kind in IN_EVERY_GROUP:
            found[GroupVersionKind.of(api_version, kind)] = f"meta.v1.{kind}"
    return found
