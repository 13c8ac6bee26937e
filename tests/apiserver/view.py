"""A view and a writer over a dict: what guards see in their tests, without a store."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from typing import Any

from kcore.api import status
from kcore.apiserver.view import Changed, Object, Update, labels_of

PLURALS = {
    "Namespace": "namespaces", "ServiceAccount": "serviceaccounts", "Pod": "pods", "Node": "nodes",
    "Secret": "secrets", "ConfigMap": "configmaps", "LimitRange": "limitranges", "ResourceQuota": "resourcequotas",
    "PriorityClass": "priorityclasses", "RuntimeClass": "runtimeclasses", "StorageClass": "storageclasses",
    "IngressClass": "ingressclasses", "ClusterRole": "clusterroles", "Role": "roles", "Service": "services",
    "ClusterRoleBinding": "clusterrolebindings", "RoleBinding": "rolebindings", "Endpoints": "endpoints",
    "EndpointSlice": "endpointslices", "FlowSchema": "flowschemas", "ServiceCIDR": "servicecidrs",
    "PriorityLevelConfiguration": "prioritylevelconfigurations",
}  # fmt: skip
Key = tuple[str, str, str, str]


def key_of(obj: Object) -> Key:
    """Group, plural, namespace, name."""
    metadata = obj["metadata"]
    group = obj["apiVersion"].rpartition("/")[0]
    return group, PLURALS[obj["kind"]], metadata.get("namespace", ""), metadata["name"]


class Cluster:
    """Both faces over one dict; ``hidden``: keys that the cache does not show yet though the store has them."""

    def __init__(self, objects: Iterable[Object] = ()) -> None:
        self.objects: dict[Key, Object] = {}
        self.hidden: set[Key] = set()
        self.followers: dict[tuple[str, str], list[Changed]] = {}
        self.writes: list[tuple[str, Key]] = []
        self.versions = itertools.count(1)
        for obj in objects:
            self.put(obj)

    def put(self, obj: Object) -> Object:
        """Stored as it is, with uid and version."""
        obj = copy.deepcopy(obj)
        key = key_of(obj)
        version = next(self.versions)
        obj["metadata"].setdefault("uid", f"uid-{key[3]}")
        obj["metadata"]["resourceVersion"] = str(version)
        self.objects[key] = obj
        for changed in self.followers.get(key[:2], ()):
            changed(key[2], key[3], obj)
        return obj

    def drop(self, key: Key) -> None:
        """Gone."""
        del self.objects[key]
        for changed in self.followers.get(key[:2], ()):
            changed(key[2], key[3], None)

    # View

    def get(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        key = (group, plural, namespace, name)
        return None if key in self.hidden else self.objects.get(key)

    def list(self, group: str, plural: str, namespace: str = "") -> list[Object]:
        return [
            obj
            for key, obj in self.objects.items()
            if key[:2] == (group, plural)
            and (not namespace or key[2] == namespace)
            and key not in self.hidden
        ]

    def labels(
        self, group: str, plural: str, namespace: str, name: str, *keys: str
    ) -> tuple[str | None, ...]:
        return labels_of(self.get(group, plural, namespace, name), keys)

    def revision(self, group: str, plural: str) -> int:
        return max((int(obj["metadata"]["resourceVersion"]) for obj in self.list(group, plural)), default=0)

    def follow(self, group: str, plural: str, changed: Changed) -> None:
        for key, obj in list(self.objects.items()):
            if key[:2] == (group, plural):
                changed(key[2], key[3], obj)
        self.followers.setdefault((group, plural), []).append(changed)

    async def live(self, group: str, plural: str, namespace: str, name: str) -> Object | None:
        return self.objects.get((group, plural, namespace, name))

    # Writer

    async def create(self, obj: Object) -> Object:
        key = key_of(obj)
        if key in self.objects:
            raise status.already_exists(key[0], key[1], key[3])
        self.writes.append(("create", key))
        return self.put(obj)

    async def update(self, group: str, plural: str, namespace: str, name: str, update: Update) -> Object:
        key = (group, plural, namespace, name)
        if key not in self.objects:
            raise status.not_found(group, plural, name)
        made = update(copy.deepcopy(self.objects[key]))
        if made is None:
            return self.objects[key]
        self.writes.append(("update", key))
        return self.put(made)

    async def update_status(
        self, group: str, plural: str, namespace: str, name: str, update: Update
    ) -> Object:
        return await self.update(group, plural, namespace, name, update)

    async def delete(self, group: str, plural: str, namespace: str, name: str) -> None:
        self.writes.append(("delete", (group, plural, namespace, name)))
        self.drop((group, plural, namespace, name))


def named(api_version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> Object:
    """An object."""
    metadata: Object = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata |= rest.pop("metadata", {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}
