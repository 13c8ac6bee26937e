"""The narrow view of Kubernetes objects that scheduling needs.

Every type is a msgspec Struct: ``msgspec.json.decode(data, type=Pod)`` reads only these fields and skips
the rest, ``msgspec.convert(mapping, Pod)`` does the same for parsed YAML. JSON ``null`` is accepted wherever
Go writes one. Field names are the API's in snake case. Source: Kubernetes 1.36 core/v1, apps/v1, policy/v1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Quantity = str | int | float
Labels = dict[str, str]


class _Object(Struct, rename="camel", gc=False, kw_only=True, omit_defaults=True):
    """Struct options shared by all the types below (no cycles, hence gc=False)."""


class OwnerReference(_Object):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Annotations(_Object):
    """The annotations that a scheduler plugin reads (GPU sharing, in Alibaba's convention); all others are skipped."""

    gpu_milli: str | None = field(default=None, name="alibabacloud.com/gpu-milli")
    gpu_count: str | None = field(default=None, name="alibabacloud.com/gpu-count")
    gpu_card_model: str | None = field(default=None, name="alibabacloud.com/gpu-card-model")
    gpu_index: str | None = field(default=None, name="alibabacloud.com/gpu-index")


class ObjectMeta(_Object):
    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: Labels | None = None
    annotations: Annotations | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    owner_references: list[OwnerReference] | None = None


class LabelSelectorRequirement(_Object):
    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class LabelSelector(_Object):
    match_labels: Labels | None = None
    match_expressions: list[LabelSelectorRequirement] | None = None


class NodeSelectorRequirement(_Object):
    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class NodeSelectorTerm(_Object):
    match_expressions: list[NodeSelectorRequirement] | None = None
    match_fields: list[NodeSelectorRequirement] | None = None


class NodeSelector(_Object):
    node_selector_terms: list[NodeSelectorTerm] | None = None


class PreferredSchedulingTerm(_Object):
    weight: int = 0
    preference: NodeSelectorTerm = field(default_factory=NodeSelectorTerm)


class NodeAffinity(_Object):
    required: NodeSelector | None = field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")
    preferred: list[PreferredSchedulingTerm] | None = field(
        default=None, name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class PodAffinityTerm(_Object):
    topology_key: str = ""
    label_selector: LabelSelector | None = None
    namespaces: list[str] | None = None
    namespace_selector: LabelSelector | None = None
    match_label_keys: list[str] | None = None
    mismatch_label_keys: list[str] | None = None


class WeightedPodAffinityTerm(_Object):
    weight: int = 0
    pod_affinity_term: PodAffinityTerm = field(default_factory=PodAffinityTerm)


class PodAffinity(_Object):
    """Both podAffinity and podAntiAffinity."""

    required: list[PodAffinityTerm] | None = field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: list[WeightedPodAffinityTerm] | None = field(
        default=None, name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(_Object):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Toleration(_Object):
    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class TopologySpreadConstraint(_Object):
    max_skew: int = 0
    topology_key: str = ""
    when_unsatisfiable: str = ""
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None
    match_label_keys: list[str] | None = None


class Resources(_Object):
    requests: dict[str, Quantity] | None = None
    limits: dict[str, Quantity] | None = None
    claims: list[dict[str, Any]] | None = None


class ContainerPort(_Object):
    container_port: int = 0
    host_port: int = 0
    host_ip: str = field(default="", name="hostIP")
    protocol: str = ""


class Container(_Object):
    name: str = ""
    image: str = ""
    resources: Resources | None = None
    ports: list[ContainerPort] | None = None
    restart_policy: str | None = None


class SchedulingGate(_Object):
    name: str = ""


class Volume(_Object):
    """A volume of a pod: only the sources that a scheduler plugin looks at; all others are skipped."""

    name: str = ""
    persistent_volume_claim: dict[str, Any] | None = None
    ephemeral: dict[str, Any] | None = None
    csi: dict[str, Any] | None = None
    gce_persistent_disk: dict[str, Any] | None = None
    aws_elastic_block_store: dict[str, Any] | None = None
    azure_disk: dict[str, Any] | None = None
    portworx_volume: dict[str, Any] | None = None
    iscsi: dict[str, Any] | None = None
    rbd: dict[str, Any] | None = None
    cinder: dict[str, Any] | None = None
    image: dict[str, Any] | None = None


class PodSpec(_Object):
    node_name: str = ""
    scheduler_name: str = ""
    priority: int | None = None
    priority_class_name: str = ""
    preemption_policy: str | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    overhead: dict[str, Quantity] | None = None
    resources: Resources | None = None
    node_selector: Labels | None = None
    affinity: Affinity | None = None
    tolerations: list[Toleration] | None = None
    topology_spread_constraints: list[TopologySpreadConstraint] | None = None
    scheduling_gates: list[SchedulingGate] | None = None
    host_network: bool | None = None
    volumes: list[Volume] | None = None
    resource_claims: list[dict[str, Any]] | None = None
    runtime_class_name: str | None = None


class PodCondition(_Object):
    type: str = ""
    status: str = ""
    reason: str | None = None


class ContainerStatus(_Object):
    name: str = ""
    resources: Resources | None = None
    allocated_resources: dict[str, Quantity] | None = None


class PodStatus(_Object):
    phase: str = ""
    start_time: str | None = None
    nominated_node_name: str = ""
    conditions: list[PodCondition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    resources: Resources | None = None
    allocated_resources: dict[str, Quantity] | None = None


class Pod(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: PodSpec = field(default_factory=PodSpec)
    status: PodStatus = field(default_factory=PodStatus)


class Taint(_Object):
    key: str = ""
    value: str = ""
    effect: str = ""


class NodeSpec(_Object):
    unschedulable: bool | None = None
    taints: list[Taint] | None = None


class ContainerImage(_Object):
    names: list[str] | None = None
    size_bytes: int = 0


class NodeStatus(_Object):
    capacity: dict[str, Quantity] | None = None
    allocatable: dict[str, Quantity] | None = None
    images: list[ContainerImage] | None = None


class Node(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: NodeSpec = field(default_factory=NodeSpec)
    status: NodeStatus = field(default_factory=NodeStatus)


class Namespace(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)


class ServiceSpec(_Object):
    selector: Labels | None = None


class Service(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: ServiceSpec = field(default_factory=ServiceSpec)


class ReplicationController(_Object):
    """Only its plain-label selector counts here, like a Service's."""

    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: ServiceSpec = field(default_factory=ServiceSpec)


class SelectorSpec(_Object):
    selector: LabelSelector | None = None


class ReplicaSet(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: SelectorSpec = field(default_factory=SelectorSpec)


class StatefulSet(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: SelectorSpec = field(default_factory=SelectorSpec)


class PodDisruptionBudgetStatus(_Object):
    disruptions_allowed: int = 0
    disrupted_pods: dict[str, Any] | None = None


class PodDisruptionBudget(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: SelectorSpec = field(default_factory=SelectorSpec)
    status: PodDisruptionBudgetStatus = field(default_factory=PodDisruptionBudgetStatus)


class PriorityClass(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    value: int = 0
    global_default: bool | None = None
    preemption_policy: str | None = None


class PodColumns(Struct, gc=False, kw_only=True):
    """Many pods as columns: rows share exemplars, numbers stay in the arrays of the table that was read.

    Row ``i`` is a pod equal to ``exemplars[exemplar[i]]`` (whose namespace, labels and spec count) except for the
    columns below, which hold where present. ``requests`` replaces what the exemplar's containers ask for: milli-units
    for ``cpu``, base units (bytes, counts) for the others, already summed over the pod. With ``requests``,
    ``gpu_count`` devices with ``gpu_milli`` of each replace what the exemplar's annotations say, but for the card model.
    """

    exemplars: list[Pod]
    exemplar: np.ndarray  # int32[pod]
    names: pa.StringArray | list[str]  # [pod]
    requests: dict[str, np.ndarray] | None = None  # resource name -> int64[pod]
    priority: np.ndarray | None = None  # int32[pod]
    node_names: list[str] | None = None  # the distinct values of ``node``
    node: np.ndarray | None = None  # int32[pod], index into node_names, -1 while pending
    start_time_ms: np.ndarray | None = None  # int64[pod]
    gpu_count: np.ndarray | None = None  # int64[pod] devices
    gpu_milli: np.ndarray | None = None  # int64[pod] of each, 1 to 1000
    origin: str = ""  # the file


class StorageMeta(_Object):
    """The metadata of the objects that volumes are made of; here annotations count."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: Labels | None = None
    annotations: Labels | None = None
    deletion_timestamp: str | None = None
    owner_references: list[OwnerReference] | None = None


class ClaimReference(_Object):
    namespace: str = ""
    name: str = ""
    uid: str = ""


class VolumeNodeAffinity(_Object):
    required: NodeSelector | None = None


class PersistentVolumeSpec(_Object):
    """Of the sources of a volume, CSI and those that CSI drivers have taken over."""

    capacity: dict[str, Quantity] | None = None
    access_modes: list[str] | None = None
    claim_ref: ClaimReference | None = None
    storage_class_name: str = ""
    volume_mode: str | None = None
    volume_attributes_class_name: str | None = None
    node_affinity: VolumeNodeAffinity | None = None
    csi: dict[str, Any] | None = None
    aws_elastic_block_store: dict[str, Any] | None = None
    gce_persistent_disk: dict[str, Any] | None = None
    azure_disk: dict[str, Any] | None = None
    azure_file: dict[str, Any] | None = None
    cinder: dict[str, Any] | None = None
    portworx_volume: dict[str, Any] | None = None
    vsphere_volume: dict[str, Any] | None = None


class StoragePhase(_Object):
    phase: str = ""


class PersistentVolume(_Object):
    metadata: StorageMeta = field(default_factory=StorageMeta)
    spec: PersistentVolumeSpec = field(default_factory=PersistentVolumeSpec)
    status: StoragePhase = field(default_factory=StoragePhase)


class PersistentVolumeClaimSpec(_Object):
    access_modes: list[str] | None = None
    selector: LabelSelector | None = None
    resources: Resources | None = None
    volume_name: str = ""
    storage_class_name: str | None = None
    volume_mode: str | None = None
    volume_attributes_class_name: str | None = None


class PersistentVolumeClaim(_Object):
    metadata: StorageMeta = field(default_factory=StorageMeta)
    spec: PersistentVolumeClaimSpec = field(default_factory=PersistentVolumeClaimSpec)
    status: StoragePhase = field(default_factory=StoragePhase)


class TopologyRequirement(_Object):
    key: str = ""
    values: list[str] | None = None


class TopologyTerm(_Object):
    match_label_expressions: list[TopologyRequirement] | None = None


class StorageClass(_Object):
    metadata: StorageMeta = field(default_factory=StorageMeta)
    provisioner: str = ""
    volume_binding_mode: str | None = None
    allowed_topologies: list[TopologyTerm] | None = None


class VolumeResources(_Object):
    count: int | None = None


class NodeDriver(_Object):
    name: str = ""
    allocatable: VolumeResources | None = None


class CSINodeSpec(_Object):
    drivers: list[NodeDriver] | None = None


class CSINode(_Object):
    metadata: StorageMeta = field(default_factory=StorageMeta)
    spec: CSINodeSpec = field(default_factory=CSINodeSpec)


class CSIDriverSpec(_Object):
    storage_capacity: bool | None = None


class CSIDriver(_Object):
    metadata: StorageMeta = field(default_factory=StorageMeta)
    spec: CSIDriverSpec = field(default_factory=CSIDriverSpec)


class CSIStorageCapacity(_Object):
    metadata: StorageMeta = field(default_factory=StorageMeta)
    node_topology: LabelSelector | None = None
    storage_class_name: str = ""
    capacity: Quantity | None = None
    maximum_volume_size: Quantity | None = None


class AttachedVolume(_Object):
    persistent_volume_name: str | None = None


class VolumeAttachmentSpec(_Object):
    attacher: str = ""
    node_name: str = ""
    source: AttachedVolume = field(default_factory=AttachedVolume)


class VolumeAttachment(_Object):
    metadata: StorageMeta = field(default_factory=StorageMeta)
    spec: VolumeAttachmentSpec = field(default_factory=VolumeAttachmentSpec)


class ClusterObjects(Struct, gc=False, kw_only=True):
    """Everything that a scheduling run is told about the cluster, decoded, in file order.

    ``pods`` holds bound and pending pods together; ``origins`` says where each pod and node came from,
    parallel to ``pods`` and ``nodes``, as ``(file, document)``, for error messages. Rows of ``pod_columns`` count as
    coming after ``pods``.
    """

    nodes: list[Node] = field(default_factory=list)
    node_origins: list[tuple[str, str]] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    pod_origins: list[tuple[str, str]] = field(default_factory=list)
    namespaces: list[Namespace] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    replication_controllers: list[ReplicationController] = field(default_factory=list)
    replica_sets: list[ReplicaSet] = field(default_factory=list)
    stateful_sets: list[StatefulSet] = field(default_factory=list)
    pdbs: list[PodDisruptionBudget] = field(default_factory=list)
    priority_classes: list[PriorityClass] = field(default_factory=list)
    pod_columns: list[PodColumns] = field(default_factory=list)
    persistent_volumes: list[PersistentVolume] = field(default_factory=list)
    persistent_volume_claims: list[PersistentVolumeClaim] = field(default_factory=list)
    storage_classes: list[StorageClass] = field(default_factory=list)
    csi_nodes: list[CSINode] = field(default_factory=list)
    csi_drivers: list[CSIDriver] = field(default_factory=list)
    csi_storage_capacities: list[CSIStorageCapacity] = field(default_factory=list)
    volume_attachments: list[VolumeAttachment] = field(default_factory=list)
