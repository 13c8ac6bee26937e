"""One row for each resource that is served: routes, discovery, OpenAPI, RBAC names and tables follow from it.

A row is the same for a built-in kind and for a custom one. The rows of the built-in kinds are in
``kcore.api.resources``, what a kind does beyond its schema in ``kcore.api.kinds``, its table in ``kcore.api.tables``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

READ_VERBS: Final = ("get", "list", "watch")
ALL_VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class GroupVersionKind(NamedTuple):
    """``group`` is empty for core."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """As in an object: ``v1`` or ``apps/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def of(cls, api_version: str, kind: str) -> GroupVersionKind:
        """The kind that an object names."""
        group, _, version = api_version.rpartition("/")
        return cls(group, version, kind)


@dataclass(frozen=True, slots=True)
class Subresource:
    """``kind`` is what it takes and gives where that is not the resource's own kind (Scale, Binding, Eviction)."""

    name: str
    verbs: tuple[str, ...]
    kind: GroupVersionKind | None = None
    connects: bool = False  # log, exec, proxy: the answer is not an object


@dataclass(frozen=True, slots=True)
class Row:
    """One resource in one version.

    ``fields``: selectable fields beside ``metadata.name`` and ``metadata.namespace``, as dotted paths.
    ``storage``: its folder below ``/registry/`` (upstream's: ``minions`` for nodes); empty: nothing is stored.
    ``storage_version``: the version that the store holds; other versions are converted. ``storage_group``: where the
    store holds it under another group (events), None: its own.
    ``schema``: its name in the OpenAPI document (``io.k8s.api.core.v1.Pod``).
    ``answers_with_deleted``: a deletion answers with the object, not with a Status (ReturnDeletedObject of its store).
    ``deprecated``: the warning that goes with every answer (APILifecycleDeprecated of its type).
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    storage: str
    schema: str
    verbs: tuple[str, ...] = ALL_VERBS
    storage_version: str = "v1"
    storage_group: str | None = None
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    subresources: tuple[Subresource, ...] = ()
    list_kind: str = ""
    answers_with_deleted: bool = False
    deprecated: str = ""

    @property
    def gvk(self) -> GroupVersionKind:
        """The kind of its objects."""
        return GroupVersionKind(self.group, self.version, self.kind)

    @property
    def api_version(self) -> str:
        """As in its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def storage_api_version(self) -> str:
        """As in the objects that the store holds."""
        group = self.group if self.storage_group is None else self.storage_group
        return f"{group}/{self.storage_version}" if group else self.storage_version

    @property
    def list_kind_name(self) -> str:
        """The kind of its lists."""
        return self.list_kind or f"{self.kind}List"

    def subresource(self, name: str) -> Subresource | None:
        """The subresource of that name, None where it has none."""
        return next((each for each in self.subresources if each.name == name), None)
