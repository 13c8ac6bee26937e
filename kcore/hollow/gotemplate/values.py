"""Go's truth, order and printing of JSON's values. Source: text/template exec.go and funcs.go, fmt's %v."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final

from kcore.hollow.gotemplate.errors import TemplateError

NO_VALUE: Final = "<no value>"
EXPONENT_FROM: Final = 21  # fmt prints larger powers of ten with an exponent


def truth(value: Any) -> bool:
    """Whether ``if`` takes its first branch: not null, not zero, not empty."""
    return bool(value)


def kind_name(value: Any) -> str:
    """Go's word for the value's type."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float64"
    return "map[string]interface {}" if isinstance(value, dict) else "[]interface {}"


def _class(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"  # JSON has one kind of number
    return "string" if isinstance(value, str) else ""


def equal(first: Any, second: Any) -> bool:
    """Go's ``eq`` of two; TemplateError where their kinds cannot be compared."""
    one, other = _class(first), _class(second)
    if one != other:
        if first is not None and second is not None:
            raise TemplateError("incompatible types for comparison")
        return False
    if not one and first is not None and second is not None:
        raise TemplateError(f"non-comparable type {shown(first)}: {kind_name(first)}")
    return bool(first == second)


def less(first: Any, second: Any) -> bool:
    """Go's ``lt``; TemplateError where there is no order."""
    one, other = _class(first), _class(second)
    if not one or not other or one == "bool" == other:
        raise TemplateError("invalid type for comparison")
    if one != other:
        raise TemplateError("incompatible types for comparison")
    return bool(first < second)


def shown(value: Any) -> str:
    """The value as ``{{ . }}`` prints it."""
    if isinstance(value, str):
        return value
    if value is None:
        return NO_VALUE
    return inner(value)


def inner(value: Any) -> str:
    """The value as fmt's %v prints it, within a list or map as well."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{inner(value[key])}" for key in sorted(value)) + "]"
    return "[" + " ".join(inner(each) for each in value) + "]"


def float_text(value: float) -> str:
    """Go's shortest form of a float64: %v, which is %g with exponents from 21 on."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, minus = "".join(map(str, digits)), "-" if sign else ""
    assert isinstance(exponent, int), "infinity and NaN are answered above"
    point = len(text) + exponent  # digits before the decimal point
    if text == "0":
        return minus + text
    if not -4 <= point - 1 < EXPONENT_FROM:
        scale = point - 1
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        return f"{minus}{text[0]}{fraction}e{'-' if scale < 0 else '+'}{abs(scale):02d}"
    if point <= 0:
        return f"{minus}0.{'0' * -point}{text}"
    if exponent >= 0:
        return minus + text + "0" * exponent
    return f"{minus}{text[:point]}.{text[point:]}"
