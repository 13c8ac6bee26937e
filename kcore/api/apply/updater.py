"""Ownership after a write: who loses what, what an applier takes along when it lets go, who is in its way.

Source: structured-merge-diff v6, merge/update.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kcore.api.apply.entries import FieldSet, Owned, Owner
from kcore_native.fieldset import merge, sets, walk
from kcore_native.fieldset.shape import Shape, shape_of

Object = dict[str, Any]
# An object in another version, with that version's schema node; None where that version is not served.
Convert = Callable[[Object, str], "tuple[Object, Any] | None"]
Path = tuple[str, ...]


class Typed(NamedTuple):
    """An object of one version with its shape."""

    value: Object
    shape: Shape
    api_version: str


class Conflicts(Exception):
    """Others own fields that an apply would change: owner and path of each."""

    def __init__(self, found: list[tuple[Owner, Path]]) -> None:
        super().__init__()
        self.found = found


@dataclass(frozen=True, slots=True)
class Updater:
    """``ignored`` are the fields that nobody owns through this resource, by version."""

    ignored: Mapping[str, FieldSet]
    convert: Convert | None = None

    def update(
        self,
        live: Typed,
        new: Typed,
        owners: dict[Owner, Owned],
        known: walk.Comparison | None = None,
    ) -> FieldSet:
        """What the writer of ``new`` changed, and now owns; ``owners`` (the others) lose it."""
        self.reconcile(live, owners)
        comparison = self._disown(live, new, owners, None, force=True, known=known)
        return self.filtered(comparison.changed, new.api_version)

    def apply(
        self, live: Typed, config: Typed, owners: dict[Owner, Owned], applier: Owner, *, force: bool
    ) -> Object:
        """The object with the applied configuration in it; ``owners`` are brought up to date. Raises Conflicts."""
        self.reconcile(live, owners)
        merged = Typed(merge.merge(live.shape, live.value, config.value), live.shape, live.api_version)
        last = owners.get(applier)
        own = self.filtered(walk.to_set(config.shape, config.value), config.api_version)
        owners[applier] = Owned(own, config.api_version, True)
        new = self._prune(merged, owners, applier, last)
        self._disown(live, new, owners, applier, force=force)
        return new.value

    def reconcile(self, live: Typed, owners: dict[Owner, Owned]) -> None:
        """The sets are as the schema of today has them; owners in versions that are gone, are gone."""
        for who, owned in list(owners.items()):
            typed = self._as(live, owned.api_version)
            if typed is None:
                del owners[who]
                continue
            fields = walk.reconciled(typed.shape, owned.fields)
            if fields is not owned.fields:
                owners[who] = owned._replace(fields=fields)

    def _as(self, typed: Typed, api_version: str) -> Typed | None:
        if typed.api_version == api_version:
            return typed
        found = self.convert(typed.value, api_version) if self.convert is not None else None
        return None if found is None else Typed(found[0], shape_of(found[1]), api_version)

    def filtered(self, fields: FieldSet, api_version: str) -> FieldSet:
        """Without what is ignored in that version."""
        ignored = self.ignored.get(api_version)
        return sets.recursive_difference(fields, ignored) if ignored else fields

    def _compared(
        self, old: Typed, new: Typed, known: walk.Comparison | None = None
    ) -> tuple[FieldSet, FieldSet]:
        comparison = known or walk.Comparison(new.shape, old.value, new.value)
        version = new.api_version
        return self.filtered(comparison.changed, version), self.filtered(comparison.removed, version)

    def _disown(
        self,
        live: Typed,
        new: Typed,
        owners: dict[Owner, Owned],
        writer: Owner | None,
        *,
        force: bool,
        known: walk.Comparison | None = None,
    ) -> Changes:
        changes = Changes(*self._compared(live, new, known))
        versions = {new.api_version: changes}
        conflicts: dict[Owner, FieldSet] = {}
        removed: dict[Owner, FieldSet] = {}
        for who, owned in list(owners.items()):
            if who == writer:
                continue
            found = versions.get(owned.api_version)
            if found is None:
                old, other = self._as(live, owned.api_version), self._as(new, owned.api_version)
                if old is None or other is None:
                    del owners[who]
                    continue
                found = versions[owned.api_version] = Changes(*self._compared(old, other))
            if contested := sets.intersection(owned.fields, found.changed):
                conflicts[who] = contested
            if found.removed:
                removed[who] = found.removed
        if conflicts and not force:
            raise Conflicts(
                [
                    (who, path)
                    for who in sorted(conflicts, key=lambda each: each.identifier)
                    for path in sets.members(conflicts[who])
                ]
            )
        for lost in (conflicts, removed):
            for who, fields in lost.items():
                owned = owners[who]
                owners[who] = owned._replace(fields=sets.difference(owned.fields, fields))
        for who in [who for who, owned in owners.items() if not owned.fields]:
            del owners[who]
        return changes

    def _prune(self, merged: Typed, owners: dict[Owner, Owned], applier: Owner, last: Owned | None) -> Typed:
        """Without what the applier had applied before, has left out now, and nobody else owns."""
        if last is None or not last.fields:
            return merged
        converted = self._as(merged, last.api_version)
        if converted is None:
            return merged
        named = sets.ensure_named(last.fields, converted.shape)
        pruned: Typed | None = _without(converted, named)
        pruned = self._add_back_owned(converted, _certain(pruned), last.api_version, owners)
        pruned = self._add_back_dangling(converted, pruned, last)
        return _certain(self._as(pruned, owners[applier].api_version))

    def _add_back_owned(
        self, merged: Typed, pruned: Typed, version: str, owners: dict[Owner, Owned]
    ) -> Typed:
        """What others, or the applier still, claim to own."""
        by_version: dict[str, FieldSet] = {}
        for owned in owners.values():
            by_version[owned.api_version] = sets.union(by_version.get(owned.api_version, {}), owned.fields)
        # the pruned version first: a conversion may need fields that were pruned
        for each in sorted(by_version, key=lambda name: (name != version, name)):
            as_merged, as_pruned = self._as(merged, each), self._as(pruned, each)
            if as_merged is None or as_pruned is None:
                continue
            merged = as_merged
            all_fields, left = _named_fields(merged), _named_fields(as_pruned)
            kept = sets.union(left, sets.ensure_named(by_version[each], merged.shape))
            pruned = _without(merged, sets.difference(all_fields, kept))
        return pruned

    def _add_back_dangling(self, merged: Typed, pruned: Typed, last: Owned) -> Typed:
        """What nobody owns, and the applier did not own either."""
        converted = self._as(pruned, last.api_version)
        if converted is None:
            return merged
        gone = sets.difference(_named_fields(merged), _named_fields(converted))
        return _without(merged, sets.intersection(gone, sets.ensure_named(last.fields, merged.shape)))


class Changes(NamedTuple):
    """What a write added or modified, and what it removed."""

    changed: FieldSet
    removed: FieldSet


def _certain(typed: Typed | None) -> Typed:
    if typed is None:
        raise ValueError("the version of the request is not served")
    return typed


def _without(typed: Typed, fields: FieldSet) -> Typed:
    return typed._replace(value=merge.remove_items(typed.shape, typed.value, fields) or {})


def _named_fields(typed: Typed) -> FieldSet:
    return sets.ensure_named(walk.to_set(typed.shape, typed.value), typed.shape)
