"""What each kind does beyond its schema, one file a kind or family: defaults, validation, resets, warnings."""

from __future__ import annotations

from typing import Final

from kcore.api.kinds.admission_policies import (
    MUTATING_ADMISSION_POLICY,
    MUTATING_ADMISSION_POLICY_BINDING,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
)
from kcore.api.kinds.api_services import API_SERVICE
from kcore.api.kinds.apps import CONTROLLER_REVISION, DAEMON_SET, DEPLOYMENT, REPLICA_SET
from kcore.api.kinds.autoscaling import HORIZONTAL_POD_AUTOSCALER
from kcore.api.kinds.certificates import CERTIFICATE_SIGNING_REQUEST
from kcore.api.kinds.configuration import CONFIG_MAP, SECRET, SERVICE_ACCOUNT
from kcore.api.kinds.core_workloads import POD_TEMPLATE, REPLICATION_CONTROLLER
from kcore.api.kinds.cron_jobs import CRON_JOB
from kcore.api.kinds.custom_resources import CUSTOM_RESOURCE_DEFINITION
from kcore.api.kinds.device_claims import DEVICE_CLASS, RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE
from kcore.api.kinds.device_slices import RESOURCE_SLICE
from kcore.api.kinds.disruption import POD_DISRUPTION_BUDGET
from kcore.api.kinds.endpoints import ENDPOINT_SLICE, ENDPOINTS
from kcore.api.kinds.events import EVENT, STRICT_EVENT
from kcore.api.kinds.flow_control import FLOW_SCHEMA, PRIORITY_LEVEL_CONFIGURATION
from kcore.api.kinds.ingresses import INGRESS, INGRESS_CLASS
from kcore.api.kinds.jobs import JOB
from kcore.api.kinds.leases import LEASE
from kcore.api.kinds.namespaces import NAMESPACE
from kcore.api.kinds.networking import IP_ADDRESS, NETWORK_POLICY, SERVICE_CIDR
from kcore.api.kinds.nodes import NODE
from kcore.api.kinds.persistent_claims import PERSISTENT_VOLUME_CLAIM
from kcore.api.kinds.persistent_volumes import PERSISTENT_VOLUME
from kcore.api.kinds.pods import POD
from kcore.api.kinds.priority_classes import PRIORITY_CLASS
from kcore.api.kinds.quotas import LIMIT_RANGE, RESOURCE_QUOTA
from kcore.api.kinds.rbac import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from kcore.api.kinds.runtime_classes import RUNTIME_CLASS
from kcore.api.kinds.services import SERVICE
from kcore.api.kinds.stateful_sets import STATEFUL_SET
from kcore.api.kinds.storage import (
    CSI_DRIVER,
    CSI_NODE,
    CSI_STORAGE_CAPACITY,
    STORAGE_CLASS,
    VOLUME_ATTACHMENT,
    VOLUME_ATTRIBUTES_CLASS,
)
from kcore.api.kinds.webhooks import WEBHOOK_CONFIGURATION
from kcore.api.strategy import Strategy

Row = tuple[tuple[str, str], Strategy]

WORKLOADS: Final[tuple[Row, ...]] = (
    (("", "Pod"), POD),
    (("", "PodTemplate"), POD_TEMPLATE),
    (("", "ReplicationController"), REPLICATION_CONTROLLER),
    (("apps", "ControllerRevision"), CONTROLLER_REVISION),
    (("apps", "DaemonSet"), DAEMON_SET),
    (("apps", "Deployment"), DEPLOYMENT),
    (("apps", "ReplicaSet"), REPLICA_SET),
    (("apps", "StatefulSet"), STATEFUL_SET),
    (("autoscaling", "HorizontalPodAutoscaler"), HORIZONTAL_POD_AUTOSCALER),
    (("batch", "CronJob"), CRON_JOB),
    (("batch", "Job"), JOB),
    (("policy", "PodDisruptionBudget"), POD_DISRUPTION_BUDGET),
)
CLUSTER: Final[tuple[Row, ...]] = (
    (("", "ConfigMap"), CONFIG_MAP),
    (("", "Endpoints"), ENDPOINTS),
    (("", "Event"), EVENT),
    (("", "LimitRange"), LIMIT_RANGE),
    (("", "Namespace"), NAMESPACE),
    (("", "Node"), NODE),
    (("", "PersistentVolume"), PERSISTENT_VOLUME),
    (("", "PersistentVolumeClaim"), PERSISTENT_VOLUME_CLAIM),
    (("", "ResourceQuota"), RESOURCE_QUOTA),
    (("", "Secret"), SECRET),
    (("", "Service"), SERVICE),
    (("", "ServiceAccount"), SERVICE_ACCOUNT),
    (("admissionregistration.k8s.io", "MutatingAdmissionPolicy"), MUTATING_ADMISSION_POLICY),
    (("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"), MUTATING_ADMISSION_POLICY_BINDING),
    (("admissionregistration.k8s.io", "MutatingWebhookConfiguration"), WEBHOOK_CONFIGURATION),
    (("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"), VALIDATING_ADMISSION_POLICY),
    (
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        VALIDATING_ADMISSION_POLICY_BINDING,
    ),
    (("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"), WEBHOOK_CONFIGURATION),
    (("apiextensions.k8s.io", "CustomResourceDefinition"), CUSTOM_RESOURCE_DEFINITION),
    (("apiregistration.k8s.io", "APIService"), API_SERVICE),
    (("certificates.k8s.io", "CertificateSigningRequest"), CERTIFICATE_SIGNING_REQUEST),
    (("coordination.k8s.io", "Lease"), LEASE),
    (("discovery.k8s.io", "EndpointSlice"), ENDPOINT_SLICE),
    (("events.k8s.io", "Event"), STRICT_EVENT),
    (("flowcontrol.apiserver.k8s.io", "FlowSchema"), FLOW_SCHEMA),
    (("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"), PRIORITY_LEVEL_CONFIGURATION),
    (("networking.k8s.io", "IPAddress"), IP_ADDRESS),
    (("networking.k8s.io", "Ingress"), INGRESS),
    (("networking.k8s.io", "IngressClass"), INGRESS_CLASS),
    (("networking.k8s.io", "NetworkPolicy"), NETWORK_POLICY),
    (("networking.k8s.io", "ServiceCIDR"), SERVICE_CIDR),
    (("node.k8s.io", "RuntimeClass"), RUNTIME_CLASS),
    (("rbac.authorization.k8s.io", "ClusterRole"), CLUSTER_ROLE),
    (("rbac.authorization.k8s.io", "ClusterRoleBinding"), CLUSTER_ROLE_BINDING),
    (("rbac.authorization.k8s.io", "Role"), ROLE),
    (("rbac.authorization.k8s.io", "RoleBinding"), ROLE_BINDING),
    (("resource.k8s.io", "DeviceClass"), DEVICE_CLASS),
    (("resource.k8s.io", "ResourceClaim"), RESOURCE_CLAIM),
    (("resource.k8s.io", "ResourceClaimTemplate"), RESOURCE_CLAIM_TEMPLATE),
    (("resource.k8s.io", "ResourceSlice"), RESOURCE_SLICE),
    (("scheduling.k8s.io", "PriorityClass"), PRIORITY_CLASS),
    (("storage.k8s.io", "CSIDriver"), CSI_DRIVER),
    (("storage.k8s.io", "CSINode"), CSI_NODE),
    (("storage.k8s.io", "CSIStorageCapacity"), CSI_STORAGE_CAPACITY),
    (("storage.k8s.io", "StorageClass"), STORAGE_CLASS),
    (("storage.k8s.io", "VolumeAttachment"), VOLUME_ATTACHMENT),
    (("storage.k8s.io", "VolumeAttributesClass"), VOLUME_ATTRIBUTES_CLASS),
)

STRATEGIES: Final[dict[tuple[str, str], Strategy]] = dict((*WORKLOADS, *CLUSTER))
