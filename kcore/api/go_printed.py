"""Objects as Go prints their structs for a hash: every field in the struct's order, with its type, set or not.

What is printed is what a controller holds that got the object as protobuf: empty lists and maps are nil. The order and the
names of fields are those of the protobuf table, their types those of the schema. Times that are set are printed as they are
written, which Go does not; templates of pods have none. Source: k8s.io/utils dump (ForHash) and go-spew format.go
(``%#v``) of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import orjson

from kcore.api import schema
from kcore.api.go_quantity import parsed
from kcore.api.protobuf.table import Field, messages
from kcore.api.quantity import canonical

Render = Callable[[Any], str]  # a value that is there, without its type

NIL: Final = "<nil>"
ZERO_TIME: Final = "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"
NO_AMOUNT: Final = "i:(resource.int64Amount){value:(int64)0 scale:(resource.Scale)0}"
META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1"
WORD_BITS: Final = 64


class Part(NamedTuple):
    """A field: what stands before its value, how that is printed, and what stands for none.

    ``name`` is empty for an embedded struct, whose fields are the object's own.
    """

    name: str
    head: str
    render: Render
    absent: str


def printed(message: str, obj: Mapping[str, Any]) -> str:
    """The object, of the message by that name (``core.v1.PodTemplateSpec``), as ``dump.ForHash`` prints it."""
    return f"({_go_name(message)}){_struct(message)(obj)}"


def _go_name(message: str) -> str:
    return ".".join(message.split(".")[-2:])


@cache
def _struct(message: str, outer: str = "") -> Render:
    """How a struct is printed; ``outer`` is the definition that has the fields of an embedded one."""
    package, _, short = message.rpartition(".")
    definition = outer or f"{META if package == 'meta.v1' else f'io.k8s.api.{package}'}.{short}"
    types = {each[0]: each[1] for each in schema.load().definitions.go_fields(definition) or ()}
    parts = [_part(field, definition, types) for field in messages()[message].fields]

    def render(obj: Mapping[str, Any]) -> str:
        made = []
        for name, head, of, absent in parts:
            if not name:
                made.append(head + of(obj))
                continue
            value = obj.get(name)
            made.append(head + (absent if value is None else of(value)))
        return "{" + " ".join(made) + "}"

    return render


def _part(field: Field, definition: str, types: Mapping[str, str]) -> Part:
    if field.inline:
        return Part("", f"{field.go_name}:({_go_name(field.type)})", _struct(field.type, definition), "")
    head = f"{field.go_name}:({types[field.name]})"
    if field.map:
        return Part(field.name, head, _map(_late(field.type)), NIL)
    if field.repeated:
        return Part(field.name, head, _list(_late(field.type)), NIL)
    if field.pointer:
        return Part(field.name, head, _late(field.type), NIL)
    return Part(field.name, head, _value(field.type), _zero(field.type))


def _late(kind: str) -> Render:
    """As ``_value``, which is asked when there is one: structs may lead to themselves."""

    def render(value: Any) -> str:
        return _value(kind)(value)

    return render if kind in messages() else _value(kind)


def _value(kind: str) -> Render:
    return _struct(kind) if kind in messages() else _SPECIAL.get(kind, str)


def _zero(kind: str) -> str:
    """Of a type whose values are never nil."""
    if kind in messages():
        return _struct(kind)({})
    return _ZEROS.get(kind, "0")


def _list(element: Render) -> Render:
    def render(values: Sequence[Any]) -> str:
        return f"[{' '.join(map(element, values))}]" if values else NIL

    return render


def _map(element: Render) -> Render:
    def render(values: Mapping[str, Any]) -> str:
        pairs = (f"{name}:{element(values[name])}" for name in sorted(values))
        return f"map[{' '.join(pairs)}]" if values else NIL

    return render


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _quantity(value: str | int | float) -> str:
    made = parsed(canonical(value))
    if made.is_big:
        words, left = [], abs(made.value)
        while left:
            words.append(str(left & ((1 << WORD_BITS) - 1)))
            left >>= WORD_BITS
        absolute = f"[{' '.join(words)}]" if words else NIL
        number = f"{{neg:(bool){_boolean(made.value < 0)} abs:(big.nat){absolute}}}"
        amount = NO_AMOUNT
        exact = f"(*inf.Dec){{unscaled:(big.Int){number} scale:(inf.Scale){made.scale}}}"
    else:
        amount = f"i:(resource.int64Amount){{value:(int64){made.value} scale:(resource.Scale){made.scale}}}"
        exact = f"(*inf.Dec){NIL}"
    return (
        f"{{{amount} d:(resource.infDecAmount){{Dec:{exact}}} s:(string){made.text} "
        f"Format:(resource.Format){made.form}}}"
    )


def _int_or_string(value: int | str) -> str:
    kind, number, text = (1, 0, value) if isinstance(value, str) else (0, value, "")
    return f"{{Type:(intstr.Type){kind} IntVal:(int32){number} StrVal:(string){text}}}"


def _raw(value: Any) -> str:
    return f"{{Raw:([]uint8)[{' '.join(map(str, orjson.dumps(value)))}]}}"


_SPECIAL: Final[Mapping[str, Render]] = {
    "bool": _boolean, "Quantity": _quantity, "IntOrString": _int_or_string, "FieldsV1": _raw,
}  # fmt: skip
_ZEROS: Final[Mapping[str, str]] = {
    "string": "", "bool": "false", "Time": ZERO_TIME, "MicroTime": ZERO_TIME, "Quantity": _quantity("0"),
    "IntOrString": _int_or_string(0),
}  # fmt: skip
