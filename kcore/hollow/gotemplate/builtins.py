"""The functions of the language itself. Source: text/template funcs.go, fmt's verbs."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote_plus

from kcore.hollow.gotemplate.errors import TemplateError
from kcore.hollow.gotemplate.values import equal, float_text, inner, kind_name, less, truth

WIDTH_MAX: Final = 10_000  # of one verb of printf
_VERB: Final = re.compile(r"%([-+# 0]*)(\d+)?(?:\.(\d+)?)?([a-zA-Z%])")


def go_quote(text: str) -> str:
    """strconv.Quote: in double quotes, what is not printable escaped."""
    parts = []
    for letter in text:
        if letter in '"\\':
            parts.append("\\" + letter)
        elif letter in _ESCAPED:
            parts.append(_ESCAPED[letter])
        elif letter.isprintable():
            parts.append(letter)
        elif ord(letter) < 0x80:
            parts.append(f"\\x{ord(letter):02x}")
        else:
            parts.append(f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}")
    return f'"{"".join(parts)}"'


_ESCAPED: Final = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    return any(equal(first, other) for other in others)


def _le(first: Any, second: Any) -> bool:
    return less(first, second) or equal(first, second)


def _index(value: Any, *keys: Any) -> Any:
    if value is None:
        raise TemplateError("index of untyped nil")
    for key in keys:
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise TemplateError(f"value has type {kind_name(key)}; should be string")
            value = value.get(key)
        elif isinstance(value, list | tuple | str):
            if not isinstance(key, int) or isinstance(key, bool):
                raise TemplateError(f"cannot index slice/array with type {kind_name(key)}")
            if not 0 <= key < len(value):
                raise TemplateError(f"index out of range: {key}")
            value = value[key] if not isinstance(value, str) else value.encode()[key]
        elif value is None:
            raise TemplateError("index of nil pointer")
        else:
            raise TemplateError(f"can't index item of type {kind_name(value)}")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    if not isinstance(value, list | tuple | str):
        raise TemplateError(f"can't slice item of type {kind_name(value)}")
    if len(bounds) > 2 + (not isinstance(value, str)):
        raise TemplateError(f"too many slice indexes: {len(bounds)}")
    start, end = [*bounds, 0][0], [*bounds[:2], *[len(value)] * 2][1]
    if not 0 <= start <= len(value) or not 0 <= end <= len(value):
        raise TemplateError(f"index out of range: {end if 0 <= start <= len(value) else start}")
    if start > end:
        raise TemplateError(f"invalid slice index: {start} > {end}")
    return value[start:end]


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list | tuple | dict):
        return len(value)
    raise TemplateError("len of nil pointer" if value is None else f"len of type {kind_name(value)}")


def sprint(*values: Any) -> str:
    """fmt.Sprint: a space between operands of which neither is a string."""
    parts: list[str] = []
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            parts.append(" ")
        parts.append(inner(value))
    return "".join(parts)


def sprintln(*values: Any) -> str:
    """fmt.Sprintln."""
    return " ".join(map(inner, values)) + "\n"


def sprintf(form: str, *values: Any) -> str:
    """fmt.Sprintf for JSON's values; what a verb cannot print is said as Go says it."""
    rest = list(values)

    def replaced(found: re.Match[str]) -> str:
        flags, width, precision, verb = found[1], int(found[2] or 0), found[3], found[4]
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        if width > WIDTH_MAX or int(precision or 0) > WIDTH_MAX:
            raise TemplateError(f"printf pads to {WIDTH_MAX} characters at most")
        text = _verb(verb, flags, None if "." not in found[0] else int(precision or 0), rest.pop(0))
        if "-" in flags:
            return text.ljust(width)
        if "0" in flags and verb not in "sqvT":
            return text.zfill(width)
        return text.rjust(width)

    text = _VERB.sub(replaced, form)
    if rest:
        text += "%!(EXTRA " + ", ".join(f"{kind_name(each)}={inner(each)}" for each in rest) + ")"
    return text


def _verb(verb: str, flags: str, precision: int | None, value: Any) -> str:
    make = _VERBS.get(verb)
    if verb == "T":
        return "<nil>" if value is None else kind_name(value)
    if verb == "v":
        return inner(value)
    if make is None or value is None or not isinstance(value, make[0]) or _is_odd(verb, value):
        return f"%!{verb}(<nil>)" if value is None else f"%!{verb}({kind_name(value)}={inner(value)})"
    text = make[1](value, precision)
    return f"+{text}" if "+" in flags and verb in "dfeg" and not text.startswith("-") else text


def _is_odd(verb: str, value: Any) -> bool:
    return isinstance(value, bool) and verb != "t"


def _cut(value: Any, precision: int | None) -> str:
    text = inner(value)
    return text if precision is None else text[:precision]


def _exponent(value: float, precision: int | None) -> str:
    return f"{value:.{6 if precision is None else precision}e}"


_VERBS: Final[Mapping[str, tuple[Any, Callable[[Any, int | None], str]]]] = {
    "s": ((str, list, tuple, dict), _cut),
    "q": ((str,), lambda value, _: go_quote(value)),
    "t": ((bool,), lambda value, _: inner(value)),
    "d": ((int,), lambda value, _: str(value)),
    "x": ((int, str), lambda value, _: f"{value:x}" if isinstance(value, int) else value.encode().hex()),
    "X": ((int, str), lambda v, _: f"{v:X}" if isinstance(v, int) else v.encode().hex().upper()),
    "o": ((int,), lambda value, _: f"{value:o}"),
    "b": ((int,), lambda value, _: f"{value:b}"),
    "c": ((int,), lambda value, _: chr(value)),
    "f": ((float,), lambda value, precision: f"{value:.{6 if precision is None else precision}f}"),
    "e": ((float,), _exponent),
    "g": ((float,), lambda v, precision: float_text(v) if precision is None else f"{v:.{precision or 1}g}"),
}


def _call(function: Any, *values: Any) -> Any:
    raise TemplateError(f"call of {kind_name(function)}, which is no function")


def _js(*values: Any) -> str:
    text = json.dumps(sprint(*values))[1:-1]
    for letter, code in (
        ("<", "\\u003C"),
        (">", "\\u003E"),
        ("&", "\\u0026"),
        ("'", "\\'"),
        ("=", "\\u003D"),
    ):
        text = text.replace(letter, code)
    return text


BUILTINS: Final[Mapping[str, Callable[..., Any]]] = {
    "call": _call,
    "eq": _eq,
    "ge": lambda first, second: not less(first, second),
    "gt": lambda first, second: not _le(first, second),
    "html": lambda *values: (
        html.escape(sprint(*values)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    ),
    "index": _index,
    "js": _js,
    "le": _le,
    "len": _len,
    "lt": less,
    "ne": lambda first, second: not equal(first, second),
    "not": lambda value: not truth(value),
    "print": sprint,
    "printf": sprintf,
    "println": sprintln,
    "slice": _slice,
    "urlquery": lambda *values: quote_plus(sprint(*values)),
}
