"""The functions of sprig that need neither clock, chance nor files. Source: Masterminds/sprig v3 functions.go.

What draws at random or reads the time is brought by each rendering (``kcore.hollow.functions``).
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from kcore.hollow.gotemplate.builtins import go_quote
from kcore.hollow.gotemplate.errors import TemplateError
from kcore.hollow.gotemplate.values import inner, kind_name, truth

ELEMENTS_MAX: Final = 1_000_000  # of a list, or characters of a text, that a function may make


def whole(value: Any) -> int:
    """cast.ToInt64: the whole number in a number or text, 0 where there is none."""
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            return int(value, 10) if value.lstrip("+-").isdigit() else 0
    if isinstance(value, bool | int | float):
        return int(value)
    return 0


def real(value: Any) -> float:
    """cast.ToFloat64."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def text_of(value: Any) -> str:
    """sprig's strval."""
    return value if isinstance(value, str) else inner(value)


def _bounded(size: int) -> int:
    if size > ELEMENTS_MAX:
        raise TemplateError(f"more than {ELEMENTS_MAX} elements")
    return size


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(
            "invalid value; expected string"
            if value is None
            else f"wrong type for value; expected string; got {kind_name(value)}"
        )
    return value


def _on_text(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """The function for that many texts; TemplateError for anything else."""

    def checked(*values: Any) -> Any:
        if len(values) != count:
            raise TemplateError(f"wrong number of args: want {count} got {len(values)}")
        return function(*map(_string, values))

    return checked


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise TemplateError(f"{kind_name(value)} is no list")
    return list(value)


def _strings(value: Any) -> list[str]:
    if value is None:
        return []
    return (
        [text_of(each) for each in value if each is not None]
        if isinstance(value, list | tuple)
        else [text_of(value)]
    )


def _pairs(*values: Any) -> dict[str, Any]:
    padded = [*values, ""] if len(values) % 2 else list(values)
    return {text_of(key): value for key, value in zip(padded[::2], padded[1::2], strict=True)}


def _get(found: Any, key: str) -> Any:
    return found.get(key, "") if isinstance(found, dict) else ""


def _set(found: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    found[key] = value
    return found


def _unset(found: dict[str, Any], key: str) -> dict[str, Any]:
    found.pop(key, None)
    return found


def _dig(*values: Any) -> Any:
    *keys, default, found = values
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            return default
        found = found[key]
    return found


def _merge(target: dict[str, Any], *sources: dict[str, Any]) -> dict[str, Any]:
    for source in sources:
        for key, value in source.items():
            if isinstance(value, dict) and isinstance(target.get(key), dict):
                _merge(target[key], value)
            elif not truth(target.get(key)):
                target[key] = value
    return target


def _unique(values: Any) -> list[Any]:
    found: list[Any] = []
    for each in _list(values):
        if each not in found:
            found.append(each)
    return found


def _until(end: Any) -> list[int]:
    count = whole(end)
    return _steps(0, count, 1 if count >= 0 else -1)


def _steps(start: Any, stop: Any, step: Any) -> list[int]:
    if not whole(step):
        return []
    steps = range(whole(start), whole(stop), whole(step))
    _bounded(len(steps))
    return list(steps)


def _divided(first: Any, second: Any) -> int:
    a, b = whole(first), whole(second)
    if not b:
        raise TemplateError("runtime error: integer divide by zero")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _modulo(first: Any, second: Any) -> int:
    return whole(first) - _divided(first, second) * whole(second)


def _product(*values: Any) -> int:
    return math.prod(map(whole, values))


def _rounded(value: Any, places: Any, at: float = 0.5) -> float:
    power = 10.0 ** whole(places)
    scaled = real(value) * power
    whole_part = math.floor(scaled)
    return (whole_part + 1 if scaled - whole_part >= at else whole_part) / power


def _indented(spaces: Any, value: Any) -> str:
    pad = " " * _bounded(whole(spaces))
    return pad + _string(value).replace("\n", "\n" + pad)


def _cut(start: Any, end: Any, value: Any) -> str:
    text, a, b = _string(value), whole(start), whole(end)
    if a < 0:
        return text[: max(b, 0)]
    return text[a:] if b < 0 or b > len(text) else text[a:b]


def _truncated(count: Any, value: Any) -> str:
    size, text = whole(count), _string(value)
    return text[size:] if size < 0 and len(text) + size > 0 else text if size < 0 else text[:size]


def _repeated(count: Any, value: Any) -> str:
    text = _string(value)
    _bounded(max(whole(count), 0) * max(len(text), 1))
    return text * whole(count)


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode(errors="replace")
    except ValueError as error:
        return str(error)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _from_json(value: Any) -> Any:
    try:
        return orjson.loads(_string(value))
    except orjson.JSONDecodeError:
        return None


def _failed(message: Any) -> Any:
    raise TemplateError(text_of(message))


def _kind(value: Any) -> str:
    name = kind_name(value)
    return {"nil": "invalid", "map[string]interface {}": "map", "[]interface {}": "slice"}.get(name, name)


def _quoted(*values: Any) -> str:
    return " ".join(go_quote(text_of(each)) for each in values if each is not None)


def _single_quoted(*values: Any) -> str:
    return " ".join(f"'{text_of(each)}'" for each in values if each is not None)


SPRIG: Final[Mapping[str, Callable[..., Any]]] = {
    # defaults
    "default": lambda default, value=None: value if truth(value) else default,
    "empty": lambda value: not truth(value),
    "coalesce": lambda *values: next((each for each in values if truth(each)), None),
    "all": lambda *values: all(map(truth, values)),
    "any": lambda *values: any(map(truth, values)),
    "ternary": lambda yes, no, condition: yes if condition else no,
    "fail": _failed,
    # texts
    "quote": _quoted,
    "squote": _single_quoted,
    "toString": text_of,
    "toStrings": _strings,
    "upper": _on_text(str.upper, 1),
    "lower": _on_text(str.lower, 1),
    "title": _on_text(str.title, 1),
    "trim": _on_text(str.strip, 1),
    "trimAll": _on_text(lambda cut, text: text.strip(cut), 2),
    "trimSuffix": _on_text(lambda end, text: text.removesuffix(end), 2),
    "trimPrefix": _on_text(lambda start, text: text.removeprefix(start), 2),
    "nospace": _on_text(lambda text: "".join(text.split()), 1),
    "contains": _on_text(lambda part, text: part in text, 2),
    "hasPrefix": _on_text(lambda start, text: text.startswith(start), 2),
    "hasSuffix": _on_text(lambda end, text: text.endswith(end), 2),
    "replace": _on_text(lambda old, new, text: text.replace(old, new), 3),
    "repeat": _repeated,
    "substr": _cut,
    "trunc": _truncated,
    "indent": _indented,
    "nindent": lambda spaces, value: "\n" + _indented(spaces, value),
    "cat": lambda *values: " ".join(text_of(each) for each in values if each is not None),
    "join": lambda mark, values: _string(mark).join(_strings(values)),
    "splitList": _on_text(lambda mark, text: text.split(mark), 2),
    "split": _on_text(lambda mark, text: {f"_{i}": part for i, part in enumerate(text.split(mark))}, 2),
    "sortAlpha": lambda values: sorted(_strings(values)),
    "b64enc": _on_text(lambda text: base64.b64encode(text.encode()).decode(), 1),
    "b64dec": _on_text(_decoded, 1),
    "sha1sum": _on_text(lambda text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), 1),
    "sha256sum": _on_text(lambda text: hashlib.sha256(text.encode()).hexdigest(), 1),
    "regexMatch": _on_text(lambda pattern, text: re.search(pattern, text) is not None, 2),
    "regexFind": _on_text(lambda pattern, text: (re.search(pattern, text) or [""])[0], 2),
    "regexReplaceAllLiteral": _on_text(lambda pattern, text, by: re.sub(pattern, lambda _: by, text), 3),
    # numbers
    "int": whole,
    "int64": whole,
    "float64": real,
    "atoi": _on_text(lambda text: int(text) if text.lstrip("+-").isdigit() else 0, 1),
    "add": lambda *values: sum(map(whole, values)),
    "add1": lambda value: whole(value) + 1,
    "sub": lambda first, second: whole(first) - whole(second),
    "mul": _product,
    "div": _divided,
    "mod": _modulo,
    "max": lambda *values: max(map(whole, values)),
    "min": lambda *values: min(map(whole, values)),
    "ceil": lambda value: float(math.ceil(real(value))),
    "floor": lambda value: float(math.floor(real(value))),
    "round": _rounded,
    "until": _until,
    "untilStep": _steps,
    # lists
    "list": lambda *values: list(values),
    "tuple": lambda *values: list(values),
    "first": lambda values: next(iter(_list(values)), None),
    "last": lambda values: next(reversed(_list(values)), None),
    "rest": lambda values: _list(values)[1:],
    "initial": lambda values: _list(values)[:-1],
    "append": lambda values, value: [*_list(values), value],
    "prepend": lambda values, value: [value, *_list(values)],
    "concat": lambda *values: [each for some in values for each in _list(some)],
    "reverse": lambda values: _list(values)[::-1],
    "uniq": _unique,
    "without": lambda values, *gone: [each for each in _list(values) if each not in gone],
    "has": lambda value, values: values is not None and value in _list(values),
    "compact": lambda values: [each for each in _list(values) if truth(each)],
    # maps
    "dict": _pairs,
    "get": _get,
    "set": _set,
    "unset": _unset,
    "hasKey": lambda found, key: isinstance(found, dict) and key in found,
    "keys": lambda *maps: [key for found in maps for key in found],
    "values": lambda found: list(found.values()),
    "pluck": lambda key, *maps: [found[key] for found in maps if key in found],
    "pick": lambda found, *names: {key: value for key, value in found.items() if key in names},
    "omit": lambda found, *names: {key: value for key, value in found.items() if key not in names},
    "dig": _dig,
    "merge": _merge,
    # kinds and JSON
    "kindOf": _kind,
    "kindIs": lambda kind, value: _kind(value) == kind,
    "typeOf": kind_name,
    "toJson": _json,
    "mustToJson": _json,
    "fromJson": _from_json,
}
