"""What is wrong with a field of an object, in Kubernetes' words.

A path is a plain string, built only where something is descended into or reported: ``f"{path}.containers[{i}]"``.
Source: apimachinery pkg/util/validation/field of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import orjson

NOT_FOUND: Final = "FieldValueNotFound"
REQUIRED: Final = "FieldValueRequired"
DUPLICATE: Final = "FieldValueDuplicate"
INVALID: Final = "FieldValueInvalid"
NOT_SUPPORTED: Final = "FieldValueNotSupported"
FORBIDDEN: Final = "FieldValueForbidden"
TOO_LONG: Final = "FieldValueTooLong"
TOO_MANY: Final = "FieldValueTooMany"
TOO_FEW: Final = "FieldValueTooFew"
INTERNAL: Final = "InternalError"
TYPE_INVALID: Final = "FieldValueTypeInvalid"
TOO_SHORT: Final = "FieldValueTooShort"

WORDS: Final = {
    NOT_FOUND: "Not found",
    REQUIRED: "Required value",
    DUPLICATE: "Duplicate value",
    INVALID: "Invalid value",
    NOT_SUPPORTED: "Unsupported value",
    FORBIDDEN: "Forbidden",
    TOO_LONG: "Too long",
    TOO_MANY: "Too many",
    TOO_FEW: "Too few",
    INTERNAL: "Internal error",
    TYPE_INVALID: "Invalid value",
    TOO_SHORT: "Too short",
}
FAULTS_MAX: Final = 10_000  # where faults are as many as the square of what was given; the rest is not told
SHOW_NO_VALUE: Final = frozenset({REQUIRED, FORBIDDEN, TOO_LONG, TOO_SHORT, INTERNAL})


class _Omitted:
    """Stands for a value that the message does not show."""

    def __repr__(self) -> str:
        return "OMITTED"


OMITTED: Final = _Omitted()

_GO_ESCAPES: Final = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"',
}  # fmt: skip


def quoted(text: str) -> str:
    """The string as Go's ``%q`` prints it."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    parts = []
    for char in text:
        if (escape := _GO_ESCAPES.get(char)) is not None:
            parts.append(escape)
        elif char.isprintable():
            parts.append(char)
        elif (code := ord(char)) < 0x80:
            parts.append(f"\\x{code:02x}")
        elif code < 0x10000:
            parts.append(f"\\u{code:04x}")
        else:
            parts.append(f"\\U{code:08x}")
    return f'"{"".join(parts)}"'


class Struct(dict[str, Any]):
    """A struct of Go: shown with its fields in the order in which they stand, where a map is sorted."""


def go_json(value: Any) -> str:
    """The value as Go's json.Marshal writes it: compact, keys of maps sorted, ``<``, ``>`` and ``&`` escaped."""
    if isinstance(value, Struct):
        return f"{{{','.join(f'{go_json(name)}:{go_json(each)}' for name, each in value.items())}}}"
    if isinstance(value, list) and any(isinstance(each, Struct) for each in value):
        return f"[{','.join(map(go_json, value))}]"
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


class FieldError(NamedTuple):
    """One fault: ``type`` is the cause's machine-readable name, ``value`` what stands there."""

    type: str
    field: str
    value: Any
    detail: str = ""

    @property
    def body(self) -> str:
        """The message without the field's name."""
        words = WORDS[self.type]
        value = self.value
        if self.type in SHOW_NO_VALUE or value is OMITTED:
            text = words
        elif isinstance(value, str):
            text = f"{words}: {quoted(value)}"
        elif isinstance(value, bool):
            text = f"{words}: {'true' if value else 'false'}"
        else:
            text = f"{words}: {go_json(value)}"
        return f"{text}: {self.detail}" if self.detail else text

    @property
    def text(self) -> str:
        """The whole message."""
        return f"{self.field}: {self.body}"


def type_invalid(path: str, value: Any, detail: str) -> FieldError:
    """The value is not of the schema's type."""
    return FieldError(TYPE_INVALID, path, value, detail)


def not_found(path: str, value: Any) -> FieldError:
    """What the value names does not exist."""
    return FieldError(NOT_FOUND, path, value)


def required(path: str, detail: str = "") -> FieldError:
    """A value must be given."""
    return FieldError(REQUIRED, path, "", detail)


def duplicate(path: str, value: Any) -> FieldError:
    """The value must be unique and is there twice."""
    return FieldError(DUPLICATE, path, value)


def invalid(path: str, value: Any, detail: str = "") -> FieldError:
    """The value is malformed."""
    return FieldError(INVALID, path, value, detail)


def not_supported(path: str, value: Any, supported: Sequence[str]) -> FieldError:
    """The value is none of those that there are; they are listed in the order given."""
    detail = "supported values: " + ", ".join(map(quoted, supported)) if supported else ""
    return FieldError(NOT_SUPPORTED, path, value, detail)


def forbidden(path: str, detail: str = "") -> FieldError:
    """The value is well-formed and not permitted here."""
    return FieldError(FORBIDDEN, path, "", detail)


def too_long(path: str, bytes_max: int) -> FieldError:
    """The value has more bytes than allowed; it is not shown. A negative maximum is not named."""
    detail = (
        "value is too long"
        if bytes_max < 0
        else f"may not be more than {bytes_max} byte{'s'[: bytes_max != 1]}"
    )
    return FieldError(TOO_LONG, path, "<value omitted>", detail)


def too_long_characters(path: str, characters_max: int) -> FieldError:
    """The value has more characters than allowed; it is not shown."""
    if characters_max < 0:
        return FieldError(TOO_LONG, path, "<value omitted>", "value is too long")
    unit = "character" if characters_max == 1 else "characters"
    return FieldError(TOO_LONG, path, "<value omitted>", f"may not be more than {characters_max} {unit}")


def too_many(path: str, count: int, count_max: int) -> FieldError:
    """The list has too many items; a negative count or maximum is not named."""
    unit = "item" if count_max == 1 else "items"
    detail = f"must have at most {count_max} {unit}" if count_max >= 0 else "has too many items"
    return FieldError(TOO_MANY, path, count if count >= 0 else OMITTED, detail)


def too_few(path: str, count: int, count_min: int) -> FieldError:
    """The list has too few items; a negative count or minimum is not named."""
    unit = "item" if count_min == 1 else "items"
    detail = f"must have at least {count_min} {unit}" if count_min >= 0 else "has too few items"
    return FieldError(TOO_FEW, path, count if count >= 0 else OMITTED, detail)


def internal(path: str, detail: str) -> FieldError:
    """A fault that is not the user's."""
    return FieldError(INTERNAL, path, None, detail)


def aggregate(texts: Iterable[str]) -> str:
    """All messages as Go's Aggregate prints them: one bare, several in brackets, each once."""
    once = list(dict.fromkeys(texts))
    return once[0] if len(once) == 1 else f"[{', '.join(once)}]"
