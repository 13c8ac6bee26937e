"""Objects as a ``meta.k8s.io/v1`` Table, and as their metadata alone.

Source: apiserver pkg/endpoints/handlers/response.go, pkg/registry/rest/table.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from kcore.api import status as faults
from kcore.api.field import quoted
from kcore.api.rows import Row
from kcore.api.tables import cluster, metrics, network, pods, volumes, workloads
from kcore.api.tables.cells import Object, name, part
from kcore.api.tables.columns import DEFAULT, Column, columns
from kcore_native.rfc3339 import seconds_of

META: Final = "meta.k8s.io/v1"
INCLUDE_OBJECT: Final = ("None", "Metadata", "Object")
INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"
NO_TIME: Final = "0001-01-01T00:00:00Z"

Cells = Callable[[Object, float], list[Any]]


@dataclass(frozen=True, slots=True)
class Table:
    """How a kind is shown: ``cells`` of an object at a time in seconds since 1970, ``conditions`` of its row.

    ``order``: the rows of a list are sorted by it.
    """

    columns: tuple[Column, ...]
    cells: Cells
    conditions: Callable[[Object], list[dict[str, str]] | None] | None = None
    order: Callable[[Object], Any] | None = None


def _name_and_creation(obj: Object, now: float) -> list[Any]:
    created = part(obj, "metadata").get("creationTimestamp")
    return [name(obj), created if seconds_of(created) is not None else NO_TIME]


CELLS: Final[Mapping[tuple[str, str], Cells]] = {
    ("", "PodTemplate"): workloads.pod_template,
    ("", "ReplicationController"): workloads.replication_controller,
    ("", "Service"): network.service,
    ("", "Endpoints"): network.endpoints,
    ("", "Node"): cluster.node,
    ("", "Event"): cluster.event,
    ("", "Namespace"): cluster.namespace,
    ("", "Secret"): volumes.secret,
    ("", "ServiceAccount"): cluster.name_and_age,
    ("", "PersistentVolume"): volumes.persistent_volume,
    ("", "PersistentVolumeClaim"): volumes.persistent_volume_claim,
    ("", "ComponentStatus"): cluster.component_status,
    ("", "ConfigMap"): volumes.config_map,
    ("", "ResourceQuota"): cluster.resource_quota,
    ("policy", "PodDisruptionBudget"): workloads.pod_disruption_budget,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "ControllerRevision"): workloads.controller_revision,
    ("batch", "Job"): workloads.job,
    ("batch", "CronJob"): workloads.cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): workloads.horizontal_pod_autoscaler,
    ("autoscaling", "Scale"): workloads.scale,
    ("networking.k8s.io", "Ingress"): network.ingress,
    ("networking.k8s.io", "IngressClass"): network.ingress_class,
    ("networking.k8s.io", "NetworkPolicy"): network.network_policy,
    ("networking.k8s.io", "ServiceCIDR"): network.service_cidr,
    ("networking.k8s.io", "IPAddress"): network.ip_address,
    ("discovery.k8s.io", "EndpointSlice"): network.endpoint_slice,
    ("rbac.authorization.k8s.io", "RoleBinding"): cluster.role_binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): cluster.role_binding,
    ("certificates.k8s.io", "CertificateSigningRequest"): cluster.certificate_signing_request,
    ("coordination.k8s.io", "Lease"): cluster.lease,
    ("storage.k8s.io", "StorageClass"): volumes.storage_class,
    ("storage.k8s.io", "VolumeAttributesClass"): volumes.volume_attributes_class,
    ("storage.k8s.io", "VolumeAttachment"): volumes.volume_attachment,
    ("storage.k8s.io", "CSINode"): volumes.csi_node,
    ("storage.k8s.io", "CSIDriver"): volumes.csi_driver,
    ("scheduling.k8s.io", "PriorityClass"): cluster.priority_class,
    ("node.k8s.io", "RuntimeClass"): cluster.runtime_class,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): cluster.webhook_configuration,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): cluster.webhook_configuration,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): cluster.validating_admission_policy,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): cluster.admission_policy_binding,
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): cluster.mutating_admission_policy,
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): cluster.admission_policy_binding,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): cluster.priority_level_configuration,
    ("resource.k8s.io", "DeviceClass"): cluster.name_and_age,
    ("resource.k8s.io", "ResourceClaim"): cluster.resource_claim,
    ("resource.k8s.io", "ResourceClaimTemplate"): cluster.name_and_age,
    ("resource.k8s.io", "ResourceSlice"): cluster.resource_slice,
    ("apiregistration.k8s.io", "APIService"): cluster.api_service,
    ("metrics.k8s.io", "NodeMetrics"): metrics.node_metrics,
    ("metrics.k8s.io", "PodMetrics"): metrics.pod_metrics,
    ("", "Status"): cluster.status,
}


def _tables() -> dict[tuple[str, str], Table]:
    shown = columns()
    made = {kind: Table(shown[kind], cells) for kind, cells in CELLS.items()}
    made["", "Pod"] = Table(shown["", "Pod"], pods.pod, pods.conditions)
    made["events.k8s.io", "Event"] = made["", "Event"]
    schemas = ("flowcontrol.apiserver.k8s.io", "FlowSchema")
    made[schemas] = Table(shown[schemas], cluster.flow_schema, order=cluster.flow_schema_order)
    return made


TABLES: Final[Mapping[tuple[str, str], Table]] = _tables()
DEFAULT_TABLE: Final = Table(columns()[DEFAULT], _name_and_creation)


def of_kind(group: str, kind: str) -> Table:
    """The kind's own table, or that of name and creation time."""
    return TABLES.get((group, kind), DEFAULT_TABLE)


def partial_object_metadata(obj: Object, api_version: str = META) -> dict[str, Any]:
    """The object's metadata alone."""
    return {
        "kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": obj.get("metadata") or {},
    }  # fmt: skip


def partial_object_metadata_list(
    objects: Iterable[Object], list_meta: dict[str, Any] | None = None, api_version: str = META
) -> dict[str, Any]:
    """The metadata of the objects of a list; upstream leaves the items of an empty one null."""
    items = [partial_object_metadata(obj, api_version) for obj in objects]
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": api_version,
        "metadata": list_meta or {},
        "items": items or None,
    }


def _with_kind(row: Row, obj: Object) -> Object:
    return obj if "kind" in obj else {"kind": row.kind, "apiVersion": row.api_version, **obj}


def _ends_initial_events(obj: Object) -> bool:
    return bool(part(obj, "metadata", "annotations").get(INITIAL_EVENTS_END) == "true")


def _of_one(row: Row, objects: Sequence[Object]) -> Table | None:
    """The table of what a subresource gives (Scale); None where the object is of the resource's own kind."""
    kind = objects[0].get("kind", row.kind) if objects else row.kind
    if kind == row.kind:
        return None
    return of_kind(objects[0].get("apiVersion", "").rpartition("/")[0], kind)


def _definitions(shown: Table, headers: bool) -> list[dict[str, Any]] | None:
    return [column.definition() for column in shown.columns] if headers else None


def checked_include_object(include_object: str) -> str:
    """The value, Metadata where it is empty; ApiError 400 where it is none of the three."""
    if include_object and include_object not in INCLUDE_OBJECT:
        raise faults.bad_request(
            "Unable to convert to Table as requested: "
            f"includeObject: Invalid value: {quoted(include_object)}: must be 'Metadata', 'Object', 'None', or empty"
        )
    return include_object or "Metadata"


def _rows(
    row: Row, shown: Table, objects: Iterable[Object], now: float, include_object: str, api_version: str
) -> Iterator[dict[str, Any]]:
    """A TableRow for each object."""
    cells, conditions = shown.cells, shown.conditions
    for obj in objects:
        made: dict[str, Any] = {"cells": cells(obj, now)}
        if conditions is not None and (found := conditions(obj)) is not None:
            made["conditions"] = found
        if include_object == "Object":
            made["object"] = _with_kind(row, obj)
        elif include_object == "Metadata" or _ends_initial_events(obj):
            made["object"] = partial_object_metadata(obj, api_version)
        else:
            made["object"] = None
        yield made


def table(
    row: Row,
    objects: Iterable[Object],
    *,
    now: float,
    include_object: str = "Metadata",
    list_meta: dict[str, Any] | None = None,
    shown: Table | None = None,
    headers: bool = True,
    api_version: str = META,
) -> dict[str, Any]:
    """The objects as a Table; ApiError 400 for an ``include_object`` that is none of the three.

    ``now``: seconds since 1970. ``list_meta``: the list's metadata (resourceVersion, continue, remainingItemCount);
    without it the objects are one, and the version is its own. ``shown``: the table of a custom resource.
    ``headers``: False leaves out the columns, as in every event of a watch but the first.
    """
    include_object = checked_include_object(include_object)
    if list_meta is None:
        objects = list(objects)
        shown = shown or _of_one(row, objects)
        version = (objects[0].get("metadata") or {}).get("resourceVersion") if objects else None
        list_meta = {"resourceVersion": version} if version else {}
    shown = shown or of_kind(row.group, row.kind)
    if shown.order is not None:
        objects = sorted(objects, key=shown.order)
    rows = list(_rows(row, shown, objects, now, include_object, api_version))
    return {
        "kind": "Table",
        "apiVersion": api_version,
        "metadata": list_meta,
        "columnDefinitions": _definitions(shown, headers),
        # upstream's default convertor leaves the rows of an empty list null
        "rows": rows if rows or shown.cells is not _name_and_creation else None,
    }


def list_table_json(
    row: Row,
    items: Sequence[bytes],
    list_meta: dict[str, Any],
    *,
    now: float,
    include_object: str = "Metadata",
    shown: Table | None = None,
    api_version: str = META,
) -> bytes:
    """The Table of a list in JSON, from objects in JSON, equal to that of ``table``.

    One object is decoded at a time and forgotten with its row: of 10,000 pods at once the garbage collector would take
    longer than all the rest.
    """
    include_object = checked_include_object(include_object)
    shown = shown or of_kind(row.group, row.kind)
    objects: Iterable[Object] = map(orjson.loads, items)
    if shown.order is not None:
        objects = sorted(objects, key=shown.order)
    head: dict[str, Any] = {"kind": "Table", "apiVersion": api_version, "metadata": list_meta}
    head["columnDefinitions"] = _definitions(shown, True)
    if not items and shown.cells is _name_and_creation:
        return orjson.dumps(head | {"rows": None})
    rows = _rows(row, shown, objects, now, include_object, api_version)
    return b"".join((orjson.dumps(head)[:-1], b',"rows":[', b",".join(map(orjson.dumps, rows)), b"]}"))
