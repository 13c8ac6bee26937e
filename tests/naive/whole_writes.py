"""Writes that share nothing with the object that was there: all of it is decoded, copied, checked and encoded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any

from kcore.apiserver.operation import Object
from kcore.apiserver.registry.core import Core, Kind


class WholeKind(Kind):
    """A kind whose ``read`` and ``encode_changed`` know no shortcut."""

    def read(self, data: bytes, revision: int, *, is_going: bool = False) -> Object:
        return self.decode(data, revision)

    def encode_changed(
        self, obj: Object, kept: Collection[str], data: bytes, added: Mapping[str, Object] | None = None
    ) -> bytes:
        return self.encode(obj)

    def default_changed(self, obj: Object, old: Object | None) -> None:
        self.strategy.default(obj)


class WholeCore(Core):
    """A core of such kinds, whose strategies take no member for an old one's."""

    def _kind(self, row: Any) -> Kind:
        kind = super()._kind(row)
        known = {each.name: getattr(kind, each.name) for each in fields(Kind)}
        return WholeKind(**{**known, "strategy": replace(kind.strategy, shares=())})
