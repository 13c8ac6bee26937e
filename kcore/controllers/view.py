"""The cluster as shared informers know it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kcore.client.informer import Informer, SharedInformers
from kcore.controllers.contract import Controller, Object

NAMESPACE = "namespace"


def by_namespace(obj: Object) -> Iterable[str]:
    """Index: the namespace."""
    return (obj["metadata"].get("namespace", ""),)


class InformerView:
    """``kcore.controllers.contract.View`` of the resources that some controller watches."""

    def __init__(self, informers: SharedInformers) -> None:
        self._informers = informers
        self._by_resource: dict[str, Informer] = {}

    def follow(self, controllers: Iterable[Controller]) -> None:
        """Everything that they watch, with the indexes that they ask for, is there to be seen."""
        for controller in controllers:
            for watched in controller.watches:
                self._by_resource[watched.resource] = self._informers.informer(
                    watched.resource, indexers={NAMESPACE: by_namespace, **watched.indexes}
                )

    @property
    def resources(self) -> Iterable[str]:
        """The names of what somebody watches."""
        return tuple(self._by_resource)

    def informer(self, resource: str) -> Informer | None:
        """The resource's informer; None where nobody watches it."""
        return self._by_resource.get(resource)

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        return self._by_resource[resource].get(f"{namespace}/{name}" if namespace else name)

    def list(self, resource: str, namespace: str = "") -> Sequence[Object]:
        """All of a namespace, or of the cluster."""
        informer = self._by_resource[resource]
        return informer.by_index(NAMESPACE, namespace) if namespace else informer.list()

    def by(self, resource: str, index: str, value: str) -> Sequence[Object]:
        """Those whose index has that value."""
        return self._by_resource[resource].by_index(index, value)
