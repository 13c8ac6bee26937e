"""The selector that default spreading uses: deduced from the services and the controller of a pod.

Source: plugins/helper/spread.go (DefaultSelector) of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable

from kcore.api.objects import ClusterObjects, OwnerReference, Pod
from kcore.api.selectors import Selector, from_label_selector, from_labels


class Owners:
    """Services and pod controllers by namespace."""

    def __init__(self) -> None:
        self._services: dict[str, list[dict[str, str]]] = {}
        self._plain: dict[tuple[str, str], dict[str, str]] = {}
        self._selectors: dict[tuple[str, str, str], Selector] = {}

    def add(self, objects: ClusterObjects) -> None:
        """Take in the services and controllers of the input; of equal names the last counts."""
        for service in objects.services:
            # services without a selector match nothing
            if service.spec.selector:
                self._services.setdefault(service.metadata.namespace, []).append(service.spec.selector)
        for controller in objects.replication_controllers:
            meta = controller.metadata
            self._plain[meta.namespace, meta.name] = controller.spec.selector or {}
        for kind, found in (("ReplicaSet", objects.replica_sets), ("StatefulSet", objects.stateful_sets)):
            for one in found:
                selector = from_label_selector(one.spec.selector, "spec.selector")
                self._selectors[kind, one.metadata.namespace, one.metadata.name] = selector

    def label_keys(self) -> set[str]:
        """Every label key that these selectors read."""
        keys: set[str] = set()
        for services in self._services.values():
            for service in services:
                keys.update(service)
        for plain in self._plain.values():
            keys.update(plain)
        for selector in self._selectors.values():
            keys.update(selector.label_keys())
        return keys

    def default_selector(self, pod: Pod, namespace: str, labels: dict[str, str]) -> Selector:
        """The pod's default selector; empty where no service and no known controller has it."""
        merged: dict[str, str] = {}
        for service in self._services.get(namespace, ()):
            if all(labels.get(key) == value for key, value in service.items()):
                merged.update(service)
        owner = controller_of(pod.metadata.owner_references or ())
        if owner is None:
            return from_labels(merged)
        if (owner.api_version, owner.kind) == ("v1", "ReplicationController"):
            merged.update(self._plain.get((namespace, owner.name), {}))
            return from_labels(merged)
        selector = from_labels(merged)
        if owner.api_version == "apps/v1" and owner.kind in ("ReplicaSet", "StatefulSet"):
            other = self._selectors.get((owner.kind, namespace, owner.name))
            if other is not None and not other.nothing:
                selector = selector.plus(other.requirements)
        return selector


def controller_of(owners: Iterable[OwnerReference]) -> OwnerReference | None:
    """The owner reference that is marked as the controller."""
    return next((owner for owner in owners if owner.controller), None)
