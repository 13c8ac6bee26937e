"""The objects of one resource in memory, by key and by indexes, and what each step changed.

Objects are shared with everybody who reads them: they must not be changed. An object that is there is replaced by its
next version, never edited.

Source: client-go tools/cache (thread_safe_store.go, delta_fifo.go, the_real_fifo.go).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from kcore.client.calls import Object

IndexFunction = Callable[[Object], Iterable[str]]

log: Final = logging.getLogger("kcore.client")


class Change(NamedTuple):
    """One step in an object's life.

    ``old`` None: it is new. ``new`` None: it is gone, ``old`` is its last state, which is the deletion's own where that
    was seen, else (``is_guess``: it was found missing, client-go's DeletedFinalStateUnknown) the last one known. Both the
    same object: a resync.
    """

    old: Object | None
    new: Object | None
    is_guess: bool = False


def key_of(obj: Object) -> str:
    """``namespace/name``, or the name alone (MetaNamespaceKeyFunc)."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    name: str = metadata["name"]
    return f"{namespace}/{name}" if namespace else name


def split_key(key: str) -> tuple[str, str]:
    """Namespace, empty where there is none, and name."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


class Store:
    """See the module. ``indexers`` give the values under which an object is found, by the index's name."""

    def __init__(self, indexers: Mapping[str, IndexFunction] | None = None) -> None:
        self.objects: dict[str, Object] = {}
        self._indexers = dict(indexers or {})
        self._indexes: dict[str, dict[str, dict[str, Object]]] = {name: {} for name in self._indexers}

    def add_index(self, name: str, function: IndexFunction) -> None:
        """A further index, filled from what is there; ValueError where that name has another function."""
        if name in self._indexers:
            if self._indexers[name] is not function:
                raise ValueError(f"there is an index {name!r} already")
            return
        self._indexers[name] = function
        index = self._indexes[name] = {}
        for key, obj in self.objects.items():
            for value in _values(name, function, obj):
                index.setdefault(value, {})[key] = obj

    def by_index(self, name: str, value: str) -> list[Object]:
        """The objects with that value; KeyError where there is no such index."""
        return list(self._indexes[name].get(value, {}).values())

    def keys_by_index(self, name: str, value: str) -> list[str]:
        """Their keys."""
        return list(self._indexes[name].get(value, ()))

    def index_values(self, name: str) -> list[str]:
        """The values that some object has."""
        return list(self._indexes[name])

    def replace(self, objects: Mapping[str, Object]) -> list[Change]:
        """These are all there are now; what is missing is gone, though nobody saw it go."""
        changes = [Change(old, None, True) for key, old in self.objects.items() if key not in objects]
        for change in changes:
            assert change.old is not None
            self._remove(key_of(change.old))
        for key, obj in objects.items():
            self.put(key, obj, changes)
        return changes

    def put(self, key: str, obj: Object, changes: list[Change]) -> None:
        """The object is there in this version; the step is added to ``changes``, none where it is the version known."""
        old = self.objects.get(key)
        if old is not None:
            was, now = old["metadata"], obj["metadata"]
            if was.get("uid") != now.get("uid"):  # gone and made anew, which nobody saw
                self._remove(key)
                changes.append(Change(old, None, True))
                old = None
            elif was.get("resourceVersion") == now.get("resourceVersion"):
                return
        self.objects[key] = obj
        if self._indexers:
            self._index(key, old, obj)
        changes.append(Change(old, obj))

    def delete(self, key: str, last: Object, changes: list[Change]) -> None:
        """The object is gone; ``last`` is its last state."""
        if key in self.objects:
            self._remove(key)
            changes.append(Change(last, None))

    def _remove(self, key: str) -> None:
        old = self.objects.pop(key)
        if self._indexers:
            self._index(key, old, None)

    def _index(self, key: str, old: Object | None, new: Object | None) -> None:
        for name, function in self._indexers.items():
            index = self._indexes[name]
            before = _values(name, function, old)
            after = _values(name, function, new)
            for value in before:
                if value not in after:
                    found = index[value]
                    del found[key]
                    if not found:
                        del index[value]
            if new is not None:
                for value in after:
                    index.setdefault(value, {})[key] = new


def _values(name: str, function: IndexFunction, obj: Object | None) -> set[str]:
    """The object's values in the index; none where the function fails, which is logged."""
    if obj is None:
        return set()
    try:
        return set(function(obj))
    except Exception:
        log.exception("the index %s failed", name)
        return set()
