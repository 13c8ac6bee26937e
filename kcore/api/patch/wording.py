"""Values and types as Go prints them in errors of patches, and the errors themselves."""

from __future__ import annotations

from typing import Any, Final

from kcore.api.status import ApiError
from kcore_native.fieldset.merge import shown

REJECTED: Final = "the server rejected our request due to an error in our request"

# JSON's kinds in the words of encoding/json
JSON_KINDS: Final = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
}
GO_TYPES: Final = {
    dict: "map[string]interface {}", list: "[]interface {}", str: "string", bool: "bool", int: "int64",
    float: "float64", type(None): "%!s(<nil>)",
}  # fmt: skip

__all__ = ["GO_TYPES", "JSON_KINDS", "REJECTED", "go_type", "plain_error", "rejected", "shown"]


def go_type(value: Any) -> str:
    """The Go type that the decoded value has."""
    return GO_TYPES[type(value)]


def rejected() -> ApiError:
    """422 for a patch that cannot be applied to the object as it is; upstream does not say why."""
    return ApiError(422, "Invalid", REJECTED, {})


def plain_error(message: str) -> ApiError:
    """500 without a reason, which is what upstream makes of an error that it has no status for."""
    return ApiError(500, "", message)
