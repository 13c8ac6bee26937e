"""Operations and chains for the tests of admission."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from kcore.api.rows import Row
from kcore.apiserver.admission import Admission
from kcore.apiserver.admission.order import Surroundings, admission
from kcore.apiserver.authz.bindings import Bindings
from kcore.apiserver.authz.modes import AlwaysAllow
from kcore.apiserver.operation import Operation, Options
from kcore.apiserver.user import UserInfo
from tests.apiserver.view import PLURALS, Cluster, named

NOW = "2026-01-01T00:00:00Z"
CLUSTER_SCOPED = {
    "Namespace",
    "Node",
    "PriorityClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "PersistentVolume",
}
MORE = {
    "Ingress": "ingresses", "PersistentVolumeClaim": "persistentvolumeclaims", "PersistentVolume": "persistentvolumes",
    "CertificateSigningRequest": "certificatesigningrequests", "Deployment": "deployments",
}  # fmt: skip


def row_of(obj: dict[str, Any]) -> Row:
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = obj["kind"]
    plural = (PLURALS | MORE)[kind]
    return Row(group, version, kind, plural, kind.lower(), kind not in CLUSTER_SCOPED, plural, "")


def operation(
    obj: dict[str, Any], user: str = "joe", subresource: str = "", *, dry_run: bool = False
) -> Operation:
    metadata = obj["metadata"]
    return Operation(
        row_of(obj), metadata.get("namespace", ""), metadata.get("name", ""), subresource, "", UserInfo(user),
        Options(dry_run=dry_run),
    )  # fmt: skip


def chain(cluster: Cluster, authorizer: Any = None, **flags: Any) -> Admission:
    around = Surroundings(
        cluster, cluster, authorizer or AlwaysAllow(), Bindings(), lambda: "abcde", lambda version, kind: None
    )
    return admission(around, **flags)


def admit(
    made: Admission, obj: dict[str, Any] | None, old: dict[str, Any] | None = None, **asked: Any
) -> dict[str, Any]:
    """The object as it is after both phases; the old one is seen not to have changed."""
    obj = copy.deepcopy(obj)
    before = copy.deepcopy(old)
    op = operation(obj or old or {}, **asked)

    async def both() -> None:
        await made.mutate(op, obj, old, now=NOW)
        await made.validate(op, obj, old, now=NOW)

    asyncio.run(both())
    assert old == before
    return obj or {}


def pod(name: str = "p", namespace: str = "one", containers: Any = None, **spec: Any) -> dict[str, Any]:
    containers = containers if containers is not None else [{"name": "c", "image": "i"}]
    return named("v1", "Pod", name, namespace, spec={"containers": containers, **spec})


def ready_cluster(*objects: dict[str, Any]) -> Cluster:
    """A namespace with its account, and whatever is given."""
    return Cluster([
        named("v1", "Namespace", "one", status={"phase": "Active"}),
        named("v1", "ServiceAccount", "default", "one"),
        *objects,
    ])  # fmt: skip
