"""All rows in one place, each joined with its schema, its strategy and its table.

Rows come and go at run time (custom resources, aggregated ones); what is made from rows is made anew when ``version``
has changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from kcore.api import schema
from kcore.api.resources import ROWS
from kcore.api.rows import GroupVersionKind, Row
from kcore.api.strategy import PLAIN, Strategy
from kcore_native.schema.node import Node


class Catalog:
    """Rows by route and by kind. ``rows`` is in discovery's order: groups as given, then versions, then names."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.version = 0
        self.rows: tuple[Row, ...] = ()
        self._by_route: dict[tuple[str, str, str], Row] = {}
        self._by_kind: dict[GroupVersionKind, Row] = {}
        self._strategies: dict[tuple[str, str], Strategy] = {}
        self._tables: dict[tuple[str, str], Any] = {}
        self._nodes: dict[tuple[str, str, str], Node] = {}
        self.add(rows)

    def add(
        self,
        rows: Iterable[Row],
        *,
        strategy: Strategy | None = None,
        table: Any = None,
        node: Node | None = None,
    ) -> None:
        """The rows are served; what is given stands for all of them and takes the place of what is built in."""
        added = tuple(rows)
        for row in added:
            route = (row.group, row.version, row.plural)
            if route in self._by_route:
                raise ValueError(f"{row.plural} of {row.api_version} is served already")
            self._by_route[route] = row
            self._by_kind.setdefault(row.gvk, row)
            if strategy is not None:
                self._strategies[row.group, row.kind] = strategy
            if table is not None:
                self._tables[row.group, row.kind] = table
            if node is not None:
                self._nodes[route] = node
        self.rows += added
        self.version += 1

    def remove(self, rows: Iterable[Row]) -> None:
        """The rows are no longer served."""
        gone = set(rows)
        for row in gone:
            route = (row.group, row.version, row.plural)
            del self._by_route[route]
            self._by_kind.pop(row.gvk, None)
            self._strategies.pop((row.group, row.kind), None)
            self._tables.pop((row.group, row.kind), None)
            self._nodes.pop(route, None)
        self.rows = tuple(row for row in self.rows if row not in gone)
        self.version += 1

    def row(self, group: str, version: str, plural: str) -> Row | None:
        """The row of that route, None where nothing is served there."""
        return self._by_route.get((group, version, plural))

    def by_kind(self, gvk: GroupVersionKind) -> Row | None:
        """The row whose objects are of that kind, None where none is served."""
        return self._by_kind.get(gvk)

    def strategy(self, row: Row) -> Strategy:
        """What the kind does beyond its schema; PLAIN where there is nothing."""
        key = (row.group, row.kind)
        found = self._strategies.get(key)
        if found is None:
            found = self._strategies[key] = _built_in("kcore.api.kinds", "STRATEGIES").get(key, PLAIN)
        return found

    def table(self, row: Row) -> Any:
        """The printer columns of the kind, None where those of any object do."""
        key = (row.group, row.kind)
        if key not in self._tables:
            self._tables[key] = _built_in("kcore.api.tables", "TABLES").get(key)
        return self._tables[key]

    def node(self, row: Row) -> Node:
        """The schema of its objects."""
        route = (row.group, row.version, row.plural)
        found = self._nodes.get(route)
        if found is None:
            found = self._nodes[route] = schema.load().node(row.schema)
        return found


def _built_in(module: str, name: str) -> dict[Any, Any]:
    """The table of that name; imported here, since kinds and tables know rows, and not before one is asked for."""
    from importlib import import_module

    found: dict[Any, Any] = getattr(import_module(module), name)
    return found


@cache
def builtin() -> Catalog:
    """All built-in rows. One for the process; who adds rows makes a Catalog of his own from ``ROWS``."""
    return Catalog(ROWS)
