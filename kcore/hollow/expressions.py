"""What a stage asks of an object: jq queries, CEL programs, and requirements on what they find.

Source: kwok pkg/utils/expression. jq is asked only for what is more than a path; a query that fails finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kcore.api.errors import InputError
from kcore.api.quantity import parse_quantity
from kcore.hollow.paths import compile_path

Query = Callable[[Any], list[Any]]
Condition = Callable[[Any], bool]
OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")
NANO: Final = 1_000_000_000  # of a quantity's unit
QUERY_VALUES_MAX: Final = 100_000  # that one jq query may yield of one object


def compile_query(text: str) -> Query:
    """The values that the jq expression yields of an object, without null; InputError where it is no jq."""
    path = compile_path(text)
    return path if path is not None else compile_jq(text)


def compile_jq(text: str) -> Query:
    """The same by jq itself."""
    try:
        import jq
    except ImportError:
        raise InputError(
            f"{text!r} is more than a path, and the package jq is not installed", expected="pip install jq"
        ) from None
    try:
        program = jq.compile(text)
    except ValueError as error:
        said = str(error).partition(", line")[0].removeprefix("jq: error: ").partition(" at <top-level>")[0]
        raise InputError(f"{text!r} is no jq: {said}", expected="an expression like .status.phase") from None

    def values(obj: Any) -> list[Any]:
        found: list[Any] = []
        try:
            for value in program.input_value(obj):
                if value is not None:
                    found.append(value)
                if len(found) >= QUERY_VALUES_MAX:
                    break
        except ValueError:
            return []
        return found

    return values


def compile_cel(text: str) -> Callable[[Any], Any]:
    """What the CEL expression says of an object, which it calls ``self``; InputError where it is no CEL.

    None where it fails: a field that is asked for and not there.
    """
    program = cel_program(text, ("self",))
    return lambda obj: program({"self": obj})


def cel_program(text: str, names: Sequence[str]) -> Callable[[Mapping[str, Any]], Any]:
    """What the CEL expression says of values of those names, None where it fails. Quantity(TEXT) is a number there."""
    try:
        from cel_expr_python import cel
    except ImportError:
        raise InputError(
            "a CEL expression needs the package cel-expr-python, which is not installed",
            expected="pip install 'kcore[cel]'",
        ) from None
    quantity = cel.FunctionDecl(
        "Quantity",
        [
            cel.Overload(
                "quantity_of", cel.Type.DOUBLE, [cel.Type.STRING], False, lambda q: parse_quantity(q) / NANO
            )
        ],
    )
    try:
        extension = cel.CelExtension("kcore", [quantity])
        program = cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN), extensions=[extension]).compile(
            text
        )
    except Exception as error:  # noqa: BLE001 - the library raises what it likes
        said = str(error).partition("\n")[0]
        raise InputError(
            f"{text!r} is no CEL: {said}", expected=f"an expression over {', '.join(names)}"
        ) from None

    def value(values: Mapping[str, Any]) -> Any:
        try:
            found = program.eval(data=values)
        except Exception:  # noqa: BLE001 - the same
            return None
        return found.plain_value() if found.type() != cel.Type.ERROR else None

    return value


def requirement(key: str, operator: str, values: Sequence[str]) -> Condition:
    """Whether what the query finds is as the operator asks; InputError where the three do not fit."""
    try:
        query = compile_query(key)
    except InputError as error:
        raise error.at(field="key") from None
    if operator not in OPERATORS:
        raise InputError(
            f"operator {operator!r} is not supported",
            field="operator",
            expected=f"one of {', '.join(OPERATORS)}",
        )
    if operator in ("Exists", "DoesNotExist"):
        if values:
            raise InputError(f"{operator} takes no values", field="values", expected="none")
        wanted = operator == "Exists"
        return lambda obj: bool(query(obj)) is wanted
    if not values:
        raise InputError(f"{operator} needs values", field="values", expected="at least one")
    known, sought = frozenset(values), operator == "In"
    return lambda obj: any(_plain(each) in known for each in query(obj)) is sought


def _plain(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None
