"""Cached objects as dicts, decoded once and shared: what guards ask of the cluster without waiting.

Whoever gets one never changes it. A row is in memory after ``start``; before that nothing is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from kcore.api.rows import Row
from kcore.apiserver.cacher import Cacher
from kcore.apiserver.storage import Stored
from kcore.apiserver.view import labels_of
from kcore_native.collector import Sharing

Object = dict[str, Any]
DECODED_MAX: Final = 20_000  # objects that are kept decoded; more begin anew


class CacheView:
    """Rows are named by group and plural."""

    def __init__(self, cacher: Cacher, rows: Iterable[Row]) -> None:
        self._cacher = cacher
        self._rows: dict[tuple[str, str], Row] = {}
        for row in rows:
            self.add(row)
        self._decoded: dict[tuple[str, str, str], tuple[int, Object]] = {}
        self._sharing = Sharing()  # nodes are alike: of each that pods are bound to, a twelfth is its own
        # what was looked up since the row's last change, by group, plural, namespace and name ("" for all)
        self._found: dict[tuple[str, str, str, str], tuple[tuple[int, int], Any]] = {}

    def add(self, row: Row) -> None:
        """The row can be asked for; of several versions the stored one counts."""
        if row.storage and ((row.group, row.plural) not in self._rows or row.version == row.storage_version):
            self._rows[row.group, row.plural] = row

    async def start(self, *names: tuple[str, str]) -> None:
        """Those rows, by group and plural, are in memory."""
        await self._cacher.start(*(self._rows[name] for name in names))

    def _object(self, row: Row, namespace: str, name: str, stored: Stored) -> Object:
        key = (row.storage, namespace, name)
        kept = self._decoded.get(key)
        if kept is not None and kept[0] == stored.revision:
            return kept[1]
        made: Object = self._sharing.shared(stored.object())
        if len(self._decoded) >= DECODED_MAX:
            self._decoded.clear()
        self._decoded[key] = (stored.revision, made)
        return made

    def get(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        """The object, None where there is none; ``namespace`` is empty for a cluster-scoped one."""
        row = self._rows[group, plural]
        key, change = (group, plural, namespace, name), self._cacher.stamp(row)
        kept = self._found.get(key)
        if kept is not None and kept[0] == change:
            found: Object | None = kept[1]
            return found
        stored = self._cacher.peek(row, namespace, name)
        made = None if stored is None else self._object(row, namespace, name, stored)
        self._keep(key, change, made)
        return made

    def _keep(self, key: tuple[str, str, str, str], change: tuple[int, int], found: Any) -> None:
        if change[0]:  # 0: the row is not in memory yet
            if len(self._found) >= DECODED_MAX:
                self._found.clear()
            self._found[key] = (change, found)

    def folder(self, group: str, plural: str) -> str:
        """By which ``stamps`` names the row: its place in the store."""
        return self._rows[group, plural].storage

    def stamps(self, folders: Iterable[str]) -> list[tuple[int, int]]:
        """For each row another one after every change to any object of it; (0, 0) where it is not in memory."""
        return self._cacher.stamps(folders)

    def list(self, group: str, plural: str, namespace: str = "") -> list[Object]:
        """All objects, of the namespace where one is given, in the order of their keys."""
        row = self._rows[group, plural]
        key, change = (group, plural, namespace, ""), self._cacher.stamp(row)
        kept = self._found.get(key)
        if kept is None or kept[0] != change:
            found = [
                self._object(row, space, name, stored)
                for space, name, stored in self._cacher.peek_all(row, namespace)
            ]
            self._keep(key, change, found)
        else:
            found = kept[1]
        return list(found)

    def labels(
        self, group: str, plural: str, namespace: str, name: str, *keys: str
    ) -> tuple[str | None, ...]:
        """The values of those labels, None for each that the object has not."""
        return labels_of(self.get(group, plural, namespace, name), keys)

    def revision(self, group: str, plural: str) -> int:
        """The revision of the last change to any object of the row."""
        return self._cacher.last_change(self._rows[group, plural])

    def follow(self, group: str, plural: str, changed: Callable[[str, str, Object | None], None]) -> None:
        """``changed`` was called for every object that there is, and is called for every change from now on."""
        row = self._rows[group, plural]

        def told(namespace: str, name: str, stored: Stored | None) -> None:
            if stored is None:
                self._decoded.pop((row.storage, namespace, name), None)
                changed(namespace, name, None)
            else:
                changed(namespace, name, self._object(row, namespace, name, stored))

        self._cacher.follow(row, told)

    async def live(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        """The object as the store has it now."""
        stored = await self._cacher.storage.get(self._rows[group, plural], namespace, name)
        return None if stored is None else stored.object()
