"""One object, written by several managers: for tests of server-side apply."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from kcore.api.apply import managed_fields
from kcore.api.status import ApiError
from tests.api.schema_nodes import ANY, NUMBER, STRING, Node, a_list, a_map, a_set, keyed, struct

ITEM = struct(name=STRING, value=NUMBER, other=STRING)
THING = struct(
    apiVersion=STRING, kind=STRING, metadata=struct(name=STRING, uid=STRING, labels=a_map(STRING), annotations=a_map(STRING),
    managedFields=a_list(ANY)), numeric=NUMBER, string=STRING, bool=Node("boolean"), items=keyed(ITEM, "name"),
    tags=a_set(), free=ANY, color=struct("atomic", r=NUMBER, g=NUMBER), steps=a_list(STRING),
    nested=struct(inner=struct(x=NUMBER, y=NUMBER)), labels=a_map(STRING),
)  # fmt: skip


class World:
    """One object, written by several, a second a write."""

    def __init__(
        self, node: Any = THING, kind: str = "Thing", api_version: str = "v1", **options: Any
    ) -> None:
        self.node, self.kind, self.api_version, self.options = node, kind, api_version, options
        self.live: dict[str, Any] | None = None
        self.second = 0

    def _with_type(self, obj: dict[str, Any]) -> dict[str, Any]:
        return {"apiVersion": self.api_version, "kind": self.kind, **copy.deepcopy(obj)}

    def _common(self) -> dict[str, Any]:
        self.second += 1
        return {
            "api_version": self.api_version, "now": f"2026-01-01T00:00:{self.second:02}Z", "node": self.node, **self.options
        }  # fmt: skip

    def _store(self, obj: dict[str, Any]) -> None:
        obj = orjson.loads(orjson.dumps(obj))
        obj.setdefault("metadata", {})["uid"] = "1"
        self.live = obj

    def apply(self, manager: str, obj: dict[str, Any], force: bool = False) -> World:
        before = orjson.dumps(self.live)
        made = managed_fields.apply(
            self.live, self._with_type(obj), manager=manager, force=force, kind=self.kind, **self._common()
        )
        assert orjson.dumps(self.live) == before
        self._store(made)
        return self

    def update(self, manager: str, obj: dict[str, Any], **more: Any) -> World:
        """The whole object is as given, but for its managed fields."""
        new = self._with_type(obj)
        new.setdefault("metadata", {})
        if self.live is not None:
            new["metadata"].setdefault("uid", "1")
            if "managedFields" in self.live["metadata"]:
                new["metadata"].setdefault(
                    "managedFields", copy.deepcopy(self.live["metadata"]["managedFields"])
                )
        managed_fields.update(self.live, new, manager=manager, **{**self._common(), **more})
        self._store(new)
        return self

    def has(self) -> dict[str, Any]:
        assert self.live is not None
        return {k: v for k, v in self.live.items() if k not in ("apiVersion", "kind", "metadata")}

    def entries(self) -> list[dict[str, Any]]:
        assert self.live is not None
        return list(self.live["metadata"].get("managedFields", []))

    def owners(self) -> dict[str, Any]:
        return {f"{each['manager']}/{each['operation']}": each["fieldsV1"] for each in self.entries()}


def conflict_of(world: World, manager: str, obj: dict[str, Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        world.apply(manager, obj)
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    return caught.value
