"""JSON patch, RFC 6902, as Kubernetes applies it.

Source: gopkg.in/evanphx/json-patch.v4, patch.go. Where it leaves the RFC, clients see it, so a library that keeps to
the RFC does not do: ``replace`` of an absent member adds it, ``copy`` of one adds null, ``test`` of one for null
holds, indices may be negative, and integers are not equal to floats.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import orjson

from kcore.api.field import quoted
from kcore.api.patch.wording import JSON_KINDS, rejected
from kcore.api.status import ApiError, bad_request, entity_too_large

OPERATIONS_MAX: Final = 10_000  # of one patch
COPIED_BYTES_MAX: Final = 3 << 20  # by all ``copy`` of one patch: upstream's JSONPatchMaxCopyBytes

Object = dict[str, Any]
Container = dict[str, Any] | list[Any]

INDEX: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
MEMBERS: Final = {"op": "string", "path": "string", "from": "string", "value": ""}


class _Inapplicable(Exception):
    """The operation cannot be done; clients are not told why."""


def json_patch(obj: Object, patch: Any) -> Object:
    """The object as the operations make it; ApiError 422 where one fails, 400 for what is no patch, 413 for too many."""
    check_form(patch)
    operations = patch or []
    if len(operations) > OPERATIONS_MAX:
        raise entity_too_large(
            f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {len(operations)}"
        )
    document: Any = obj
    copied_bytes = 0
    try:
        for operation in operations:
            if operation and operation.get("op") == "copy":
                copied_bytes += len(orjson.dumps(_found(document, _pointer(operation, "from"))))
                if copied_bytes > COPIED_BYTES_MAX:
                    raise _Inapplicable
            document = _applied(document, operation or {})
    except _Inapplicable:
        raise rejected() from None
    if not isinstance(document, dict):
        raise rejected()
    return document


def check_form(patch: Any) -> None:
    """ApiError 400 where it is no list of operations of strings, in the words of Go's decoder."""
    if patch is None:
        return
    if not isinstance(patch, list):
        raise _cannot_unmarshal(patch, "value of type []handlers.jsonPatchOp")
    for operation in patch:
        if operation is None:
            continue
        if not isinstance(operation, dict):
            raise _cannot_unmarshal(operation, "value of type handlers.jsonPatchOp")
        for name in ("op", "path", "from"):
            value = operation.get(name)
            if value is not None and not isinstance(value, str):
                raise _cannot_unmarshal(value, f"struct field jsonPatchOp.{name} of type string")


def _cannot_unmarshal(value: Any, into: str) -> ApiError:
    kind = JSON_KINDS[type(value)]
    return bad_request(f"error decoding patch: json: cannot unmarshal {kind} into Go {into}")


def json_patch_faults(patch: Any) -> list[str]:
    """Members of operations that are none, for strict field validation."""
    return [
        f"json patch unknown field {quoted(f'[{index}].{name}')}"
        for index, operation in enumerate(patch or ())
        for name in operation or ()
        if name not in MEMBERS
    ]


def _applied(document: Any, operation: Object) -> Any:
    kind = _KINDS.get(operation.get("op") or "unknown")
    if kind is None:
        raise _Inapplicable
    return kind(document, operation)


def _pointer(operation: Object, name: str = "path") -> str:
    path = operation.get(name)
    if path is None:
        raise _Inapplicable
    return str(path)


def _tokens(path: str) -> list[str]:
    """The steps to a value; at least one."""
    parts = path.split("/")
    if len(parts) < 2:
        raise _Inapplicable
    return [_unescaped(part) for part in parts[1:]]


def _unescaped(part: str) -> str:
    return re.sub("~[01]", lambda match: "~" if match[0] == "~0" else "/", part) if "~" in part else part


def _index(token: str) -> int:
    if INDEX.fullmatch(token) is None:
        raise _Inapplicable
    return int(token)


def _get(container: Container, token: str) -> Any:
    """The value; None for an absent member as for null."""
    if isinstance(container, dict):
        return container.get(token)
    index = _index(token)
    if not -len(container) <= index < len(container):
        raise _Inapplicable
    return container[index]


def _changed(document: Any, path: str, change: Callable[[Container, str], None]) -> Any:
    """The document with the change made in the container that the path's last step is in; containers are copied."""
    *parents, last = _tokens(path)
    if not isinstance(document, dict | list):
        raise _Inapplicable
    root: Container = {**document} if isinstance(document, dict) else [*document]
    container = root
    for token in parents:
        below = _get(container, token)
        if not isinstance(below, dict | list):
            raise _Inapplicable
        copied: Container = {**below} if isinstance(below, dict) else [*below]
        if isinstance(container, dict):
            container[token] = copied
        else:
            container[_index(token)] = copied
        container = copied
    change(container, last)
    return root


def _found(document: Any, path: str) -> Any:
    container = document
    *parents, last = _tokens(path)
    for token in parents:
        if not isinstance(container, dict | list):
            raise _Inapplicable
        container = _get(container, token)
    if not isinstance(container, dict | list):
        raise _Inapplicable
    return _get(container, last)


def _added(document: Any, path: str, value: Any) -> Any:
    def change(container: Container, token: str) -> None:
        if isinstance(container, dict):
            container[token] = value
        elif token == "-":
            container.append(value)
        else:
            index, length = _index(token), len(container) + 1
            if not -length <= index < length:
                raise _Inapplicable
            container.insert(index + length if index < 0 else index, value)

    return _changed(document, path, change)


def _removed(document: Any, path: str) -> Any:
    def change(container: Container, token: str) -> None:
        if isinstance(container, dict):
            if token not in container:
                raise _Inapplicable
            del container[token]
        else:
            _get(container, token)
            del container[_index(token)]

    return _changed(document, path, change)


def _add(document: Any, operation: Object) -> Any:
    return _added(document, _pointer(operation), operation.get("value"))


def _remove(document: Any, operation: Object) -> Any:
    return _removed(document, _pointer(operation))


def _replace(document: Any, operation: Object) -> Any:
    path, value = _pointer(operation), operation.get("value")
    if path == "":
        if not isinstance(value, dict | list):
            raise _Inapplicable
        return value

    def change(container: Container, token: str) -> None:
        if isinstance(container, dict):
            container[token] = value
        else:
            _get(container, token)
            container[_index(token)] = value

    return _changed(document, path, change)


def _move(document: Any, operation: Object) -> Any:
    origin = _pointer(operation, "from")
    value = _found(document, origin)
    return _added(_removed(document, origin), _pointer(operation), value)


def _copy(document: Any, operation: Object) -> Any:
    return _added(document, _pointer(operation), _found(document, _pointer(operation, "from")))


def _test(document: Any, operation: Object) -> Any:
    path = _pointer(operation)
    found = document if path == "" else _found(document, path)
    if not _same(found, operation.get("value")):
        raise _Inapplicable
    return document


def _same(left: Any, right: Any) -> bool:
    """Equal as documents: numbers as they are written."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(value, right[key]) for key, value in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


_KINDS: Final[dict[str, Callable[[Any, Object], Any]]] = {
    "add": _add, "remove": _remove, "replace": _replace, "move": _move, "copy": _copy, "test": _test,
}  # fmt: skip
