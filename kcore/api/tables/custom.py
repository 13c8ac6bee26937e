"""Tables of custom resources, from the ``additionalPrinterColumns`` of their definition.

Source: apiextensions-apiserver pkg/registry/customresource/tableconvertor; of client-go's JSONPath what columns use:
fields, ``['quoted']``, ``\\.`` in a name, indices, ``[*]`` and filters of equality, ``[?(@.type=="Ready")]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from kcore.api.field import go_json, quoted
from kcore.api.tables.cells import Object, name, since
from kcore.api.tables.columns import DEFAULT, Column, columns
from kcore.api.tables.table import Table
from kcore_native.rfc3339 import seconds_of

STEP: Final = re.compile(
    r"""\.?\[\?\(\s*@(?P<filter>(?:\.[\w-]+)+)\s*(?P<operator>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|-?\d+|true|false)\s*\)\]"""
    r"""|\.?\[(?P<quote>['"])(?P<key>.+?)(?P=quote)\]"""
    r"""|\.?\[(?P<index>-?\d+|\*)\]"""
    r"""|\.(?P<field>(?:\\.|[^.\[\]\\\s])+)"""
)


class _Filter(NamedTuple):
    """Keeps the items whose field at ``path`` is (or is not) ``value``."""

    path: tuple[str, ...]
    equal: bool
    value: Any

    def keeps(self, item: Any) -> bool:
        for key in self.path:
            item = item.get(key) if isinstance(item, dict) else None
        return item is not None and (item == self.value) == self.equal


Step = str | int | _Filter | None  # None: every item


def _literal(text: str) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    return text == "true" if text in ("true", "false") else int(text)


def _step(match: re.Match[str]) -> Step:
    if match["filter"]:
        return _Filter(
            tuple(match["filter"].split(".")[1:]), match["operator"] == "==", _literal(match["value"])
        )
    if match["key"]:
        return match["key"]
    if match["index"]:
        return None if match["index"] == "*" else int(match["index"])
    return re.sub(r"\\(.)", r"\1", match["field"])


def parse_path(path: str) -> tuple[Step, ...]:
    """The steps of a JSONPath; ValueError where it is not of the simple kind that columns use."""
    steps, at = [], 0
    while at < len(path):
        match = STEP.match(path, at)
        if match is None or match.end() == at:
            raise ValueError(f"unrecognized column definition {quoted(path)}")
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def find(value: Any, steps: Sequence[Step]) -> list[Any]:
    """What stands at the path; nothing where a part of it is absent."""
    found = [value]
    for step in steps:
        if isinstance(step, str):
            found = [each[step] for each in found if isinstance(each, dict) and step in each]
        elif isinstance(step, int):
            found = [
                each[step] for each in found if isinstance(each, list) and -len(each) <= step < len(each)
            ]
        else:
            spread: list[Any] = []
            for each in found:
                items: Iterable[Any] = each if isinstance(each, list) else ()
                if isinstance(each, dict):
                    items = each.values()
                spread.extend(item for item in items if step is None or step.keeps(item))
            found = spread
    return found


def _text(value: Any, now: float) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return go_json(value) if isinstance(value, dict | list) else str(value)


def _integer(value: Any, now: float) -> Any:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(value: Any, now: float) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boolean(value: Any, now: float) -> Any:
    return value if isinstance(value, bool) else None


def _date(value: Any, now: float) -> Any:
    if not isinstance(value, str):
        return None
    if value in ("", "null"):
        return since(None, now)
    return "<invalid>" if seconds_of(value) is None else since(value, now)


FORMS: Final[dict[str, Callable[[Any, float], Any]]] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
}


def custom_table(printer_columns: Iterable[Object] | None) -> Table:
    """The table of a custom resource; ValueError for a path that is not understood.

    Without any columns the definition has that of the age, as upstream.
    """
    given = list(printer_columns or ())
    if not given:
        given = [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]
    own_name = columns()[DEFAULT][0]
    made = [own_name]
    readers: list[tuple[tuple[Step, ...], Callable[[Any, float], Any]]] = []
    for each in given:
        path, kind = each.get("jsonPath", ""), each.get("type", "")
        description = (
            each.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
        )
        made.append(
            Column(each.get("name", ""), kind, each.get("format", ""), description, each.get("priority", 0))
        )
        readers.append((parse_path(path), FORMS.get(kind, lambda value, now: None)))

    def cells(obj: Object, now: float) -> list[Any]:
        shown: list[Any] = [name(obj)]
        for steps, form in readers:
            values = find(obj, steps)
            shown.append(form(values[0], now) if values and values[0] is not None else None)
        return shown

    return Table(tuple(made), cells)
