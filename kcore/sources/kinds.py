"""Every kind that an input may hold, by API group: read, passed over, or refused with a word on where it belongs."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct, field

from kcore.api.admission import RuntimeClass
from kcore.api.objects import (
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    Labels,
    LabelSelector,
    Namespace,
    Node,
    ObjectMeta,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodDisruptionBudget,
    PodSpec,
    PriorityClass,
    Service,
    StorageClass,
    VolumeAttachment,
)


class _Object(Struct, rename="camel", gc=False, kw_only=True, omit_defaults=True):
    """The Struct options of kcore.api.objects."""


class PodTemplate(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: PodSpec = field(default_factory=PodSpec)


class Ordinals(_Object):
    start: int = 0


class ClaimTemplate(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)


class WorkloadSpec(_Object):
    """What the specs of Deployment, ReplicaSet, StatefulSet and DaemonSet say of their pods."""

    replicas: int | None = None
    selector: LabelSelector | None = None
    template: PodTemplate = field(default_factory=PodTemplate)
    ordinals: Ordinals | None = None
    volume_claim_templates: list[ClaimTemplate] | None = None


class Workload(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: WorkloadSpec = field(default_factory=WorkloadSpec)


class ReplicationControllerSpec(_Object):
    replicas: int | None = None
    selector: Labels | None = None
    template: PodTemplate | None = None


class ReplicationControllerWorkload(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: ReplicationControllerSpec = field(default_factory=ReplicationControllerSpec)


class JobSpec(_Object):
    parallelism: int | None = None
    completions: int | None = None
    completion_mode: str | None = None
    suspend: bool | None = None
    template: PodTemplate = field(default_factory=PodTemplate)


class JobStatus(_Object):
    succeeded: int | None = None
    completion_time: str | None = None
    conditions: list[dict[str, Any]] | None = None


class Job(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: JobSpec = field(default_factory=JobSpec)
    status: JobStatus = field(default_factory=JobStatus)


class JobTemplate(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: JobSpec = field(default_factory=JobSpec)


class CronJobSpec(_Object):
    suspend: bool | None = None
    job_template: JobTemplate = field(default_factory=JobTemplate)


class CronJob(_Object):
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
    spec: CronJobSpec = field(default_factory=CronJobSpec)


class Kind(NamedTuple):
    """A kind that is read: its API group, name and the Struct it is decoded to."""

    group: str
    name: str
    type: type[Struct]


KINDS = (
    Kind("", "Pod", Pod),
    Kind("", "Node", Node),
    Kind("", "Namespace", Namespace),
    Kind("", "Service", Service),
    Kind("", "ReplicationController", ReplicationControllerWorkload),
    Kind("apps", "ReplicaSet", Workload),
    Kind("apps", "StatefulSet", Workload),
    Kind("apps", "Deployment", Workload),
    Kind("apps", "DaemonSet", Workload),
    Kind("batch", "Job", Job),
    Kind("batch", "CronJob", CronJob),
    Kind("policy", "PodDisruptionBudget", PodDisruptionBudget),
    Kind("scheduling.k8s.io", "PriorityClass", PriorityClass),
    Kind("node.k8s.io", "RuntimeClass", RuntimeClass),
    Kind("", "PersistentVolume", PersistentVolume),
    Kind("", "PersistentVolumeClaim", PersistentVolumeClaim),
    Kind("storage.k8s.io", "StorageClass", StorageClass),
    Kind("storage.k8s.io", "CSINode", CSINode),
    Kind("storage.k8s.io", "CSIDriver", CSIDriver),
    Kind("storage.k8s.io", "CSIStorageCapacity", CSIStorageCapacity),
    Kind("storage.k8s.io", "VolumeAttachment", VolumeAttachment),
)

# Kinds that are kept as they are, and the field of ClusterObjects that holds them.
STORAGE_KINDS = (
    ("PersistentVolume", "persistent_volumes"),
    ("PersistentVolumeClaim", "persistent_volume_claims"),
    ("StorageClass", "storage_classes"),
    ("CSINode", "csi_nodes"),
    ("CSIDriver", "csi_drivers"),
    ("CSIStorageCapacity", "csi_storage_capacities"),
    ("VolumeAttachment", "volume_attachments"),
)

CLUSTER_SCOPED = frozenset({
    "Node", "Namespace", "PriorityClass", "RuntimeClass", "PersistentVolume", "StorageClass", "CSINode", "CSIDriver",
    "VolumeAttachment",
})  # fmt: skip

# Group, then kinds that hold nothing a scheduling run reads here. Source: discovery of Kubernetes 1.36.
PASSED_OVER = (
    (
        "",
        (
            "Binding ComponentStatus ConfigMap Endpoints Event LimitRange PodTemplate "
            "ResourceQuota Secret ServiceAccount Status"
        ),
    ),
    (
        "admissionregistration.k8s.io",
        (
            "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration ValidatingAdmissionPolicy "
            "ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration"
        ),
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("apps", "ControllerRevision"),
    ("authentication.k8s.io", "SelfSubjectReview TokenReview"),
    (
        "authorization.k8s.io",
        "LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview",
    ),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("certificates.k8s.io", "CertificateSigningRequest ClusterTrustBundle PodCertificateRequest"),
    ("coordination.k8s.io", "Lease LeaseCandidate"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("events.k8s.io", "Event"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema PriorityLevelConfiguration"),
    ("internal.apiserver.k8s.io", "StorageVersion"),
    ("metrics.k8s.io", "NodeMetrics PodMetrics"),
    ("networking.k8s.io", "IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR"),
    ("rbac.authorization.k8s.io", "ClusterRole ClusterRoleBinding Role RoleBinding"),
    (
        "resource.k8s.io",
        "DeviceClass DeviceTaintRule ResourceClaim ResourceClaimTemplate ResourcePoolStatusRequest ResourceSlice",
    ),
    ("scheduling.k8s.io", "PodGroup Workload"),
    ("storage.k8s.io", "VolumeAttributesClass"),
    ("storagemigration.k8s.io", "StorageVersionMigration"),
)

# Group, kind, and what to do with it instead.
MISPLACED = (
    ("kubescheduler.config.k8s.io", "KubeSchedulerConfiguration", "pass it by --config"),
    (
        "kustomize.config.k8s.io",
        "Kustomization",
        "render it first: kubectl kustomize DIR, and pass the output by -f -",
    ),
    (
        "kustomize.config.k8s.io",
        "Component",
        "render it first: kubectl kustomize DIR, and pass the output by -f -",
    ),
    ("", "Config", "this is a kubeconfig: pass it by --from-kubeconfig"),
)

KIND_BY_KEY = {(kind.group, kind.name): kind for kind in KINDS}
KIND_BY_NAME = {kind.name: kind for kind in KINDS}
PASSED_OVER_KEYS = frozenset((group, name) for group, names in PASSED_OVER for name in names.split())
ADVICE_BY_KEY = {(group, name): advice for group, name, advice in MISPLACED}


def api_group(api_version: str) -> str:
    """The group part of an apiVersion; the core group is the empty text."""
    group, slash, _ = api_version.partition("/")
    return group if slash else ""
