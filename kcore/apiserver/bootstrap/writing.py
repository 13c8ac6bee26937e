"""Writes what a cluster must have: everything that can be written at once is.

A second start finds all of it in the cache and writes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from kcore.api.status import ApiError
from kcore.apiserver.bootstrap.cluster import (
    ClusterSettings,
    extension_authentication,
    kubernetes_endpoints,
    kubernetes_service,
    namespaces,
    priority_classes,
    ready_service_cidr,
    service_cidr,
    token_tracking,
)
from kcore.apiserver.bootstrap.flow_control import flow_control
from kcore.apiserver.bootstrap.namespace_objects import objects_of
from kcore.apiserver.bootstrap.policy import policy
from kcore.apiserver.bootstrap.reconciling import is_of_another_role, reconciled
from kcore.apiserver.view import View, Writer

Object = dict[str, Any]

PLURALS: Final = {
    "Namespace": "namespaces", "PriorityClass": "priorityclasses", "ServiceCIDR": "servicecidrs",
    "Service": "services", "Endpoints": "endpoints", "EndpointSlice": "endpointslices",
    "ConfigMap": "configmaps", "ServiceAccount": "serviceaccounts", "ClusterRole": "clusterroles", "Role": "roles",
    "ClusterRoleBinding": "clusterrolebindings", "RoleBinding": "rolebindings", "FlowSchema": "flowschemas",
    "PriorityLevelConfiguration": "prioritylevelconfigurations", "APIService": "apiservices",
}  # fmt: skip


def resource_of(obj: Object) -> tuple[str, str, str, str]:
    """Group, plural, namespace and name of an object of the bootstrap."""
    group = obj["apiVersion"].rpartition("/")[0]
    metadata = obj["metadata"]
    return group, PLURALS[obj["kind"]], metadata.get("namespace", ""), metadata["name"]


async def bootstrap(
    settings: ClusterSettings, view: View, writer: Writer, *, now: Callable[[], str], root_ca: str = ""
) -> None:
    """All objects are there and as they must be. ApiError where the store refuses.

    ``root_ca``: the PEM that pods verify this server with; with it the system's namespaces get their account and
    config map at once.
    """
    await ensure(namespaces(), view, writer)
    of_namespaces = [each for ns in namespaces() for each in objects_of(ns["metadata"]["name"], root_ca)]
    await ensure(
        [
            *policy(),
            *flow_control(),
            *priority_classes(),
            service_cidr(settings),
            extension_authentication(settings),
            token_tracking(now()),
            *(of_namespaces if root_ca else ()),
        ],
        view,
        writer,
    )

    def ready(found: Object) -> Object | None:
        return ready_service_cidr(found, now())

    await writer.update_status("networking.k8s.io", "servicecidrs", "", "kubernetes", ready)
    await ensure([kubernetes_service(settings), *kubernetes_endpoints(settings)], view, writer)


async def ensure(wanted: Iterable[Object], view: View, writer: Writer) -> None:
    """Each object is there, brought together with the one that was."""
    await asyncio.gather(*(_ensure(each, view, writer) for each in wanted))


async def _ensure(wanted: Object, view: View, writer: Writer) -> None:
    group, plural, namespace, name = resource_of(wanted)
    found = view.get(group, plural, namespace, name)
    if found is None:
        try:
            await writer.create(wanted)
            return
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        found = await view.live(group, plural, namespace, name)
        if found is None:
            return  # gone in the meantime: somebody does not want it
    if is_of_another_role(found, wanted):
        await writer.delete(group, plural, namespace, name)
        await writer.create(wanted)
        return
    if reconciled(found, wanted) is not None:
        await writer.update(group, plural, namespace, name, lambda live: reconciled(live, wanted))
