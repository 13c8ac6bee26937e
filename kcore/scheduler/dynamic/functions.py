"""What Kubernetes adds to CEL for selectors of devices: quantities, versions, sets, lists and regular expressions.

Sources, Kubernetes 1.36: apiserver/pkg/cel/library (quantity.go, semverlib.go, lists.go, regex.go), cel-go ext/sets.go.
"""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from kcore.api.errors import InputError
from kcore.api.quantity import INT64_MAX, INT64_MIN, NANO_PER_UNIT, parse_quantity
from kcore.scheduler.dynamic.versions import Version, parse_tolerant, parse_version

QUANTITY: Final = "kubernetes.Quantity"
SEMVER: Final = "kubernetes.Semver"
DEVICE: Final = "kubernetes.DRADevice"
_NOT_A_QUANTITY: Final = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


class Types:
    """The message classes that stand for Kubernetes' own types in CEL, and what makes their values."""

    def __init__(self) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

        self.pool = descriptor_pool.DescriptorPool()
        self.pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
        file = descriptor_pb2.FileDescriptorProto(
            name="kcore/devices.proto",
            package="kubernetes",
            syntax="proto3",
            dependency=["google/protobuf/struct.proto"],
        )
        field = descriptor_pb2.FieldDescriptorProto
        for name in ("Quantity", "Semver"):
            file.message_type.add(name=name).field.add(
                name="value", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL
            )
        device = file.message_type.add(name="DRADevice")
        for number, (name, kind) in enumerate(
            (("driver", field.TYPE_STRING), ("allowMultipleAllocations", field.TYPE_BOOL)), 1
        ):
            device.field.add(name=name, number=number, type=kind, label=field.LABEL_OPTIONAL)
        for number, name in enumerate(("attributes", "capacity"), 3):
            entry = device.nested_type.add(name=f"{name.capitalize()}Entry")
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
            entry.field.add(
                name="value", number=2, type=field.TYPE_MESSAGE, label=field.LABEL_OPTIONAL,
                type_name=".google.protobuf.Struct",
            )  # fmt: skip
            device.field.add(
                name=name, number=number, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED,
                type_name=f".{DEVICE}.{entry.name}",
            )  # fmt: skip
        self.pool.AddSerializedFile(file.SerializeToString())
        make = message_factory.GetMessageClass
        self._quantity = make(self.pool.FindMessageTypeByName(QUANTITY))
        self._semver = make(self.pool.FindMessageTypeByName(SEMVER))

    def quantity(self, nanos: int) -> Any:
        """The value that CEL has for an amount; equal amounts are equal values."""
        return self._quantity(value=str(nanos))

    def plain(self, value: Any) -> Any:
        """What such a value stands for: nano-units, or a version."""
        if not isinstance(value, (self._quantity, self._semver)):
            raise ValueError("no such overload")
        return int(value.value) if value.DESCRIPTOR.name == "Quantity" else parse_version(value.value)

    def semver(self, version: Version) -> Any:
        """The value that CEL has for a version."""
        before = ".".join(str(number) if not kind else name for kind, number, name in version.before)
        text = f"{version.major}.{version.minor}.{version.patch}{'-' if before else ''}{before}"
        return self._semver(value=text)


def _nanos(text: str) -> int:
    try:
        return parse_quantity(text)
    except InputError:
        raise ValueError(_NOT_A_QUANTITY) from None


def _is_valid(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _compare(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)


def _integer(nanos: int) -> int | None:
    units, rest = divmod(nanos, NANO_PER_UNIT)
    return units if not rest and INT64_MIN <= units <= INT64_MAX else None


def _as_integer(nanos: int) -> int:
    found = _integer(nanos)
    if found is None:
        raise ValueError("cannot convert value to integer")
    return found


def _is_sorted(values: Sequence[Any]) -> bool:
    return all(one <= other for one, other in itertools.pairwise(values))


def _extreme(name: str, pick: Callable[[Sequence[Any]], Any]) -> Callable[[Sequence[Any]], Any]:
    def of(values: Sequence[Any]) -> Any:
        if not values:
            raise ValueError(f"{name} called on empty list")
        return pick(values)

    return of


def _index(values: Sequence[Any], wanted: Any, *, last: bool = False) -> int:
    order = range(len(values) - 1, -1, -1) if last else range(len(values))
    return next((index for index in order if values[index] == wanted), -1)


def _slice(values: Sequence[Any], start: int, stop: int) -> Sequence[Any]:
    if start < 0 or stop < 0:
        raise ValueError(f"cannot slice({start}, {stop}), negative indexes not supported")
    if start > stop:
        raise ValueError(
            f"cannot slice({start}, {stop}), start index must be less than or equal to end index"
        )
    if stop > len(values):
        raise ValueError(f"cannot slice({start}, {stop}), list is length {len(values)}")
    return values[start:stop]


def _distinct(values: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if not any(value == one for one in found):
            found.append(value)
    return found


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match.group(0) for match in re.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]


def _find(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    return match.group(0) if match else ""


Declared = dict[str, list[tuple[str, Any, list[Any], bool, Callable[..., Any]]]]
"""By name of the function, its overloads: identifier, result, parameters, whether it is a member, and what it does."""


def library(cel: Any, types: Types, *, to_run: bool) -> list[Any]:
    """The declarations of all functions, for an environment of cel-expr-python that checks expressions, or runs them.

    Running, the library takes functions of two quantities and of two versions for one and the same: one function is
    there for both, and of any two values.
    """
    kind = cel.Type
    declared = (
        _quantities(kind, types) | _versions(kind, types) | _comparisons(kind, types) | _sets(kind)
        | _lists(kind) | _patterns(kind)
    )  # fmt: skip
    if to_run:
        for name in _comparisons(kind, types):
            identifier, result, _, is_member, of = declared[name][0]
            declared[name] = [(identifier, result, [kind.DYN, kind.DYN], is_member, of)]
    return [
        cel.FunctionDecl(name, [cel.Overload(*one) for one in overloads])
        for name, overloads in declared.items()
    ]


def _quantities(kind: Any, types: Types) -> Declared:
    quantity, text, make = kind(QUANTITY), kind.STRING, types.quantity

    def both(of: Callable[[int, int], int]) -> Callable[[Any, Any], Any]:
        return lambda one, other: make(of(int(one.value), int(other.value)))

    return {
        "quantity": [("string_to_quantity", quantity, [text], False, lambda t: make(_nanos(t)))],
        "isQuantity": [("is_quantity_string", kind.BOOL, [text], False, lambda t: _is_valid(_nanos, t))],
        "sign": [("quantity_sign", kind.INT, [quantity], False, lambda q: _compare(int(q.value), 0))],
        "asInteger": [("quantity_get_int", kind.INT, [quantity], True, lambda q: _as_integer(int(q.value)))],
        "isInteger": [
            ("quantity_is_integer", kind.BOOL, [quantity], True, lambda q: _integer(int(q.value)) is not None)
        ],
        "asApproximateFloat": [
            ("quantity_get_float", kind.DOUBLE, [quantity], True, lambda q: int(q.value) / NANO_PER_UNIT)
        ],
        "add": [
            ("quantity_add", quantity, [quantity] * 2, True, both(lambda a, b: a + b)),
            ("quantity_add_int", quantity, [quantity, kind.INT], True,
             lambda q, n: make(int(q.value) + n * NANO_PER_UNIT)),
        ],
        "sub": [
            ("quantity_sub", quantity, [quantity] * 2, True, both(lambda a, b: a - b)),
            ("quantity_sub_int", quantity, [quantity, kind.INT], True,
             lambda q, n: make(int(q.value) - n * NANO_PER_UNIT)),
        ],
    }  # fmt: skip


def _versions(kind: Any, types: Types) -> Declared:
    semver, text, integer, make = kind(SEMVER), kind.STRING, kind.INT, types.semver
    return {
        "semver": [
            ("string_to_semver", semver, [text], False, lambda t: make(parse_version(t))),
            ("string_bool_to_semver", semver, [text, kind.BOOL], False,
             lambda t, tolerant: make(parse_tolerant(t) if tolerant else parse_version(t))),
        ],
        "isSemver": [
            ("is_semver_string", kind.BOOL, [text], False, lambda t: _is_valid(parse_version, t)),
            ("is_semver_string_bool", kind.BOOL, [text, kind.BOOL], False,
             lambda t, tolerant: _is_valid(parse_tolerant if tolerant else parse_version, t)),
        ],
        "major": [("semver_major", integer, [semver], True, lambda v: parse_version(v.value).major)],
        "minor": [("semver_minor", integer, [semver], True, lambda v: parse_version(v.value).minor)],
        "patch": [("semver_patch", integer, [semver], True, lambda v: parse_version(v.value).patch)],
    }  # fmt: skip


def _comparisons(kind: Any, types: Types) -> Declared:
    def either(of: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def of_values(one: Any, other: Any) -> Any:
            if type(one) is not type(other):
                raise ValueError("no such overload")
            return of(types.plain(one), types.plain(other))

        return of_values

    return {
        name: [
            (f"{of}_{suffix}", result, [kind(message)] * 2, True, either(compare))
            for of, message in (("quantity", QUANTITY), ("semver", SEMVER))
        ]
        for name, suffix, result, compare in (
            ("isGreaterThan", "is_greater_than", kind.BOOL, operator.gt),
            ("isLessThan", "is_less_than", kind.BOOL, operator.lt),
            ("compareTo", "compare_to", kind.INT, _compare),
        )
    }


def _sets(kind: Any) -> Declared:
    def contains(one: Sequence[Any], other: Sequence[Any]) -> bool:
        return all(each in one for each in other)

    two = [kind.List(kind.DYN)] * 2
    return {
        "sets.contains": [("list_sets_contains_list", kind.BOOL, two, False, contains)],
        "sets.equivalent": [
            (
                "list_sets_equivalent_list",
                kind.BOOL,
                two,
                False,
                lambda a, b: contains(a, b) and contains(b, a),
            )
        ],
        "sets.intersects": [
            ("list_sets_intersects_list", kind.BOOL, two, False, lambda a, b: any(x in b for x in a))
        ],
    }


def _lists(kind: Any) -> Declared:
    values, some, integer = kind.List(kind.DYN), kind.DYN, kind.INT
    return {
        "isSorted": [("list_is_sorted_bool", kind.BOOL, [values], True, _is_sorted)],
        "sum": [("list_sum", some, [values], True, sum)],
        "min": [("list_min", some, [values], True, _extreme("min", min))],
        "max": [("list_max", some, [values], True, _extreme("max", max))],
        "indexOf": [("list_index_of", integer, [values, some], True, _index)],
        "lastIndexOf": [
            ("list_last_index_of", integer, [values, some], True, lambda a, x: _index(a, x, last=True))
        ],
        "slice": [("list_slice", values, [values, integer, integer], True, _slice)],
        "distinct": [("list_distinct", values, [values], True, _distinct)],
        "sort": [("list_sort", values, [values], True, sorted)],
        "reverse": [("list_reverse", values, [values], True, lambda a: a[::-1])],
        "lists.range": [("lists_range", kind.List(integer), [integer], False, lambda n: list(range(n)))],
    }


def _patterns(kind: Any) -> Declared:
    text, texts = kind.STRING, kind.List(kind.STRING)
    return {
        "find": [("string_find_string", text, [text, text], True, _find)],
        "findAll": [
            ("string_find_all_string", texts, [text, text], True, _find_all),
            ("string_find_all_string_int", texts, [text, text, kind.INT], True, _find_all),
        ],
    }
