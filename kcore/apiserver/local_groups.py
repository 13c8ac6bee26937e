"""Groups of which somebody in the server's process tells what they hold: rows, an APIService, a role to read them.

A group is served as an aggregated server's would be, but here: its APIService names no service and is Local, as those
of kube-apiserver's own groups are. Source: kube-aggregator pkg/controllers/autoregister of Kubernetes 1.36.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from kcore.api.rows import Row
from kcore.api.status import ApiError
from kcore.apiserver.bootstrap.policy import AGGREGATION_LABEL_PREFIX
from kcore.apiserver.cache_view import CacheView
from kcore.apiserver.registry.computed import Source
from kcore.apiserver.view import Writer

Object = dict[str, Any]

API_SERVICES: Final = ("apiregistration.k8s.io", "apiservices")
MANAGED_LABEL: Final = "kube-aggregator.kubernetes.io/automanaged"
ON_START: Final = "onstart"
GROUP_PRIORITY: Final = 100  # metrics-server's, and that of its version
READERS: Final = ("admin", "edit", "view")  # the roles that read it too


class LocalGroup(NamedTuple):
    """One group in one version: where the objects of each row come from, and the role whose holders may read them."""

    group: str
    version: str
    sources: Mapping[Row, Source]
    reader: str

    @property
    def name(self) -> str:
        """Of its APIService."""
        return f"{self.version}.{self.group}"


def objects_of(group: LocalGroup) -> list[Object]:
    """What says in the cluster that the group is served."""
    return [
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": group.name, "labels": {MANAGED_LABEL: ON_START}},
            "spec": {
                "group": group.group, "version": group.version,
                "groupPriorityMinimum": GROUP_PRIORITY, "versionPriority": GROUP_PRIORITY,
            },
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {
                "name": group.reader,
                "labels": {f"{AGGREGATION_LABEL_PREFIX}{role}": "true" for role in READERS},
            },
            "rules": [
                {
                    "apiGroups": [group.group],
                    "resources": sorted(row.plural for row in group.sources),
                    "verbs": ["get", "list", "watch"],
                }
            ],
        },
    ]  # fmt: skip


async def forget_others(view: CacheView, catalog: Any, writer: Writer) -> None:
    """Of groups that an earlier process served, and nobody serves now, no APIService is left."""
    await view.start(API_SERVICES)
    served = {(row.group, row.version) for row in catalog.rows}
    for each in view.list(*API_SERVICES):
        spec, labels = each["spec"], each["metadata"].get("labels") or {}
        is_local = spec.get("service") is None and labels.get(MANAGED_LABEL) == ON_START
        if is_local and (spec["group"], spec["version"]) not in served:
            await forget(each["metadata"]["name"], writer)


async def forget(name: str, writer: Writer) -> None:
    """There is no APIService of that name; the role stays, whoever changed it."""
    with contextlib.suppress(ApiError):
        await writer.delete(*API_SERVICES, "", name)
