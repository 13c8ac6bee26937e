"""How guards see stored objects: at once and without waiting, from the watch cache; and how they write.

The cache is at most a few milliseconds behind the store; where that would refuse what is right (a namespace made a
moment ago), a guard asks ``live``, which reads the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Object = dict[str, Any]
Changed = Callable[[str, str, Object | None], None]
"""Namespace, name, and the object as it is now; None: it is gone."""
Update = Callable[[Object], Object | None]
"""The object as it shall be, made of the one that is (which may be changed); None: it stays."""


WATCHED = (
    ("", "configmaps"), ("", "limitranges"), ("", "namespaces"), ("", "nodes"), ("", "resourcequotas"),
    ("", "serviceaccounts"), ("networking.k8s.io", "ingressclasses"), ("node.k8s.io", "runtimeclasses"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"), ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "rolebindings"), ("rbac.authorization.k8s.io", "roles"),
    ("scheduling.k8s.io", "priorityclasses"), ("storage.k8s.io", "storageclasses"),
)  # fmt: skip
"""What guards look at with every request: in memory before the first one is served."""


class View(Protocol):
    """Objects in their storage version; who gets one never changes it."""

    def get(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        """The object, None where there is none; ``namespace`` is empty for a cluster-scoped one."""
        ...

    def list(self, group: str, plural: str, namespace: str = "") -> Sequence[Object]:
        """All objects, of the namespace where one is given."""
        ...

    def labels(
        self, group: str, plural: str, namespace: str, name: str, *keys: str
    ) -> tuple[str | None, ...]:
        """The values of those labels, None for each that the object has not; one that is not there has none."""
        ...

    def revision(self, group: str, plural: str) -> int:
        """The revision of the last change to any object of the resource.

        What was derived from them still holds as long as this is the same.
        """
        ...

    def follow(self, group: str, plural: str, changed: Changed) -> None:
        """``changed`` was called for every object that there is, and is called for every change from now on."""
        ...

    async def live(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        """The object as the store has it now."""
        ...


def labels_of(obj: Object | None, keys: Sequence[str]) -> tuple[str | None, ...]:
    """See ``View.labels``."""
    labels = (obj["metadata"].get("labels") if obj is not None else None) or {}
    return tuple(map(labels.get, keys))


class Writer(Protocol):
    """Writes of the server itself, past authorization; errors are ApiError."""

    async def create(self, obj: Object) -> Object:
        """The object is stored through the registry: defaulted, validated, with uid; 409 where it is there."""
        ...

    async def update(self, group: str, plural: str, namespace: str, name: str, update: Update) -> Object:
        """The object is as ``update`` makes it, tried again as often as another write comes between; 404."""
        ...

    async def delete(self, group: str, plural: str, namespace: str, name: str) -> None:
        """The object is gone; one that was not there is no error."""
        ...

    async def update_status(
        self, group: str, plural: str, namespace: str, name: str, update: Update
    ) -> Object:
        """The same through the subresource ``status``."""
        ...
