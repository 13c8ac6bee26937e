"""Every controller of kube-controller-manager by its name, and which of them a ``--controllers`` list means.

Source: cmd/kube-controller-manager/names, app/controller_descriptor.go and controller-manager app/helper.go of
Kubernetes 1.36.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kcore.api.errors import InputError
from kcore.controllers import horizontal_autoscaler as autoscaler
from kcore.controllers.attach_detach import AttachDetach
from kcore.controllers.bootstrap_signer import BootstrapSigner
from kcore.controllers.bootstrap_tokens import TokenCleaner
from kcore.controllers.certificate_requests import FAULTS, TTL_SECONDS, Authority
from kcore.controllers.certificate_signing import CertificateApproving, CertificateCleaner, CertificateSigning
from kcore.controllers.cluster_role_aggregation import ClusterRoleAggregation
from kcore.controllers.contract import Controller, Settings
from kcore.controllers.cron_job import CronJob
from kcore.controllers.daemon_set import DaemonSet
from kcore.controllers.deployment import Deployment
from kcore.controllers.device_taint_eviction import DeviceTaintEviction
from kcore.controllers.disruption import Disruption
from kcore.controllers.endpoint_slice import EndpointSlice
from kcore.controllers.endpoint_slice_mirroring import EndpointSliceMirroring
from kcore.controllers.endpoints import Endpoints
from kcore.controllers.ephemeral_volume import EphemeralVolume
from kcore.controllers.garbage_collector import GarbageCollector
from kcore.controllers.horizontal_autoscaler import HorizontalAutoscaler
from kcore.controllers.horizontal_autoscaler_usage import Youth
from kcore.controllers.job import Job
from kcore.controllers.namespace import GRACE_MS, Namespace
from kcore.controllers.node_ipam import NodeIpam
from kcore.controllers.node_lifecycle import Limits, NodeLifecycle
from kcore.controllers.node_ttl import NodeTtl
from kcore.controllers.persistent_volume_binder import PersistentVolumeBinder
from kcore.controllers.persistent_volume_expander import PersistentVolumeExpander
from kcore.controllers.pod_gc import PodGC
from kcore.controllers.replica_set import ReplicaSet, ReplicationController
from kcore.controllers.resource_claim import ResourceClaim
from kcore.controllers.resource_quota import ResourceQuota
from kcore.controllers.service_account import RootCertificate, ServiceAccount
from kcore.controllers.service_account_tokens import LegacyTokenCleaner, ServiceAccountTokens
from kcore.controllers.service_cidr import ServiceCidr
from kcore.controllers.stateful_set import StatefulSet
from kcore.controllers.taint_eviction import TaintEviction
from kcore.controllers.ttl_after_finished import TTLAfterFinished
from kcore.controllers.volume_protection import AttributesClassProtection, ClaimProtection, VolumeProtection

EVERY: Final = "*"


class Entry(NamedTuple):
    """A controller, and how it is made; None where the settings leave it nothing to do."""

    type: type[Controller]
    make: Callable[[Settings], Controller | None]


def _namespace(settings: Settings) -> Controller:
    return Namespace(0 if settings.is_alone else GRACE_MS)


def _node_lifecycle(settings: Settings) -> Controller:
    flags = settings.flags
    if not flags:
        return NodeLifecycle()
    return NodeLifecycle(
        Limits(
            monitor_ms=round(flags["node-monitor-period"] * 1000),
            grace_ms=round(flags["node-monitor-grace-period"] * 1000),
            startup_grace_ms=round(flags["node-startup-grace-period"] * 1000),
            evictions_per_second=flags["node-eviction-rate"],
            secondary_evictions_per_second=flags["secondary-node-eviction-rate"],
            large_cluster_nodes=flags["large-cluster-size-threshold"],
            unhealthy_zone_threshold=flags["unhealthy-zone-threshold"],
        )
    )


def _root_certificate(settings: Settings) -> Controller | None:
    return RootCertificate(settings.root_ca) if settings.root_ca else None


def _endpoint_slice(settings: Settings) -> Controller:
    if "max-endpoints-per-slice" in settings.flags:
        return EndpointSlice(endpoints_max=settings.flags["max-endpoints-per-slice"])
    return EndpointSlice()


def _mirroring(settings: Settings) -> Controller:
    if "mirroring-max-endpoints-per-subset" in settings.flags:
        return EndpointSliceMirroring(endpoints_max=settings.flags["mirroring-max-endpoints-per-subset"])
    return EndpointSliceMirroring()


def _garbage_collector(settings: Settings) -> Controller | None:
    return GarbageCollector() if settings.flags.get("enable-garbage-collector", True) else None


def _autoscaler(settings: Settings) -> Controller:
    flags = settings.flags
    if not flags:
        return HorizontalAutoscaler()
    sync, stabilization, initialization, readiness = (
        round(flags[f"horizontal-pod-autoscaler-{name}"] * 1000)
        for name in ("sync-period", "downscale-stabilization", "cpu-initialization-period", "initial-readiness-delay")
    )  # fmt: skip
    limits = autoscaler.Limits(
        flags["horizontal-pod-autoscaler-tolerance"], stabilization, Youth(initialization, readiness)
    )
    return HorizontalAutoscaler(sync_ms=sync, limits=limits)


def _signing(settings: Settings) -> Controller | None:
    if not (settings.signing_certificate and settings.signing_key):
        return None
    authority = Authority(settings.signing_certificate, settings.signing_key)
    seconds = round(settings.flags.get("cluster-signing-duration", TTL_SECONDS))
    return CertificateSigning(dict.fromkeys(FAULTS, authority), seconds)


def _node_ipam(settings: Settings) -> Controller | None:
    flags = settings.flags
    if not flags.get("allocate-node-cidrs") or not flags.get("cluster-cidr"):
        return None
    clusters = [each.strip() for each in flags["cluster-cidr"].split(",")]
    bits = [
        flags["node-cidr-mask-size-ipv6" if ":" in each else "node-cidr-mask-size-ipv4"]
        or flags["node-cidr-mask-size"]
        for each in clusters
    ]
    services = [each.strip() for each in flags["service-cluster-ip-range"].split(",") if each.strip()]
    return NodeIpam(clusters, services, bits if all(bits) else ())


def _tokens(settings: Settings) -> Controller | None:
    if settings.make_token is None:
        return None
    return ServiceAccountTokens(settings.make_token, settings.root_ca)


def _token_cleaner(settings: Settings) -> Controller:
    seconds = settings.flags.get("legacy-service-account-token-clean-up-period")
    return LegacyTokenCleaner() if seconds is None else LegacyTokenCleaner(seconds / 86400)


def _binder(settings: Settings) -> Controller:
    sync_s = settings.flags.get("pvclaimbinder-sync-period")
    return PersistentVolumeBinder() if sync_s is None else PersistentVolumeBinder(round(sync_s * 1000))


def _quota(settings: Settings) -> Controller:
    recount_s = settings.flags.get("resource-quota-sync-period")
    return ResourceQuota() if recount_s is None else ResourceQuota(round(recount_s * 1000))


def _pod_gc(settings: Settings) -> Controller:
    ended = settings.flags.get("terminated-pod-gc-threshold")
    return PodGC() if ended is None else PodGC(ended)


def _attach_detach(settings: Settings) -> Controller:
    return AttachDetach(forces=not settings.flags.get("disable-force-detach-on-timeout", False))


ENTRIES: Final = (
    Entry(AttachDetach, _attach_detach),
    Entry(AttributesClassProtection, lambda settings: AttributesClassProtection()),
    Entry(BootstrapSigner, lambda settings: BootstrapSigner()),
    Entry(CertificateApproving, lambda settings: CertificateApproving()),
    Entry(CertificateCleaner, lambda settings: CertificateCleaner()),
    Entry(CertificateSigning, _signing),
    Entry(ClaimProtection, lambda settings: ClaimProtection()),
    Entry(ClusterRoleAggregation, lambda settings: ClusterRoleAggregation()),
    Entry(CronJob, lambda settings: CronJob()),
    Entry(DaemonSet, lambda settings: DaemonSet()),
    Entry(Deployment, lambda settings: Deployment()),
    Entry(DeviceTaintEviction, lambda settings: DeviceTaintEviction()),
    Entry(Disruption, lambda settings: Disruption()),
    Entry(EndpointSlice, _endpoint_slice),
    Entry(EndpointSliceMirroring, _mirroring),
    Entry(Endpoints, lambda settings: Endpoints()),
    Entry(EphemeralVolume, lambda settings: EphemeralVolume()),
    Entry(GarbageCollector, _garbage_collector),
    Entry(HorizontalAutoscaler, _autoscaler),
    Entry(Job, lambda settings: Job()),
    Entry(Namespace, _namespace),
    Entry(LegacyTokenCleaner, _token_cleaner),
    Entry(NodeIpam, _node_ipam),
    Entry(NodeLifecycle, _node_lifecycle),
    Entry(NodeTtl, lambda settings: NodeTtl()),
    Entry(PersistentVolumeBinder, _binder),
    Entry(PersistentVolumeExpander, lambda settings: PersistentVolumeExpander()),
    Entry(PodGC, _pod_gc),
    Entry(ReplicaSet, lambda settings: ReplicaSet()),
    Entry(ReplicationController, lambda settings: ReplicationController()),
    Entry(ResourceClaim, lambda settings: ResourceClaim()),
    Entry(ResourceQuota, _quota),
    Entry(RootCertificate, _root_certificate),
    Entry(ServiceAccount, lambda settings: ServiceAccount()),
    Entry(ServiceAccountTokens, _tokens),
    Entry(ServiceCidr, lambda settings: ServiceCidr()),
    Entry(StatefulSet, lambda settings: StatefulSet()),
    Entry(TTLAfterFinished, lambda settings: TTLAfterFinished()),
    Entry(TaintEviction, lambda settings: TaintEviction()),
    Entry(TokenCleaner, lambda settings: TokenCleaner()),
    Entry(VolumeProtection, lambda settings: VolumeProtection()),
)

# Upstream's names and their older ones. Those without an entry above are known, so that a manifest written for
# kube-controller-manager starts kcore, and do nothing.
UPSTREAM: Final[Mapping[str, tuple[str, ...]]] = {
    "serviceaccount-token-controller": ("serviceaccount-token",),
    "endpoints-controller": ("endpoint",),
    "endpointslice-controller": ("endpointslice",),
    "endpointslice-mirroring-controller": ("endpointslicemirroring",),
    "replicationcontroller-controller": ("replicationcontroller",),
    "pod-garbage-collector-controller": ("podgc",),
    "resourcequota-controller": ("resourcequota",),
    "namespace-controller": ("namespace",),
    "serviceaccount-controller": ("serviceaccount",),
    "garbage-collector-controller": ("garbagecollector",),
    "daemonset-controller": ("daemonset",),
    "job-controller": ("job",),
    "deployment-controller": ("deployment",),
    "replicaset-controller": ("replicaset",),
    "horizontal-pod-autoscaler-controller": ("horizontalpodautoscaling",),
    "disruption-controller": ("disruption",),
    "statefulset-controller": ("statefulset",),
    "cronjob-controller": ("cronjob",),
    "certificatesigningrequest-signing-controller": ("csrsigning",),
    "certificatesigningrequest-approving-controller": ("csrapproving",),
    "certificatesigningrequest-cleaner-controller": ("csrcleaner",),
    "podcertificaterequest-cleaner-controller": (),
    "ttl-controller": ("ttl",),
    "bootstrap-signer-controller": ("bootstrapsigner",),
    "token-cleaner-controller": ("tokencleaner",),
    "node-ipam-controller": ("nodeipam",),
    "node-lifecycle-controller": ("nodelifecycle",),
    "taint-eviction-controller": (),
    "device-taint-eviction-controller": (),
    "persistentvolume-binder-controller": ("persistentvolume-binder",),
    "persistentvolume-attach-detach-controller": ("attachdetach",),
    "persistentvolume-expander-controller": ("persistentvolume-expander",),
    "clusterrole-aggregation-controller": ("clusterrole-aggregation",),
    "persistentvolumeclaim-protection-controller": ("pvc-protection",),
    "persistentvolume-protection-controller": ("pv-protection",),
    "podgroup-protection-controller": (),
    "ttl-after-finished-controller": ("ttl-after-finished",),
    "root-ca-certificate-publisher-controller": ("root-ca-cert-publisher",),
    "kube-apiserver-serving-clustertrustbundle-publisher-controller": (),
    "ephemeral-volume-controller": ("ephemeral-volume",),
    "storageversion-garbage-collector-controller": ("storage-version-gc",),
    "resourceclaim-controller": ("resource-claim-controller",),
    "resourcepoolstatusrequest-controller": (),
    "legacy-serviceaccount-token-cleaner-controller": ("legacy-service-account-token-cleaner",),
    "validatingadmissionpolicy-status-controller": (),
    "volumeattributesclass-protection-controller": (),
    "service-cidr-controller": (),
    "storage-version-migrator-controller": ("svm",),
    "selinux-warning-controller": (),
    "service-lb-controller": ("service",),
    "node-route-controller": ("route",),
    "cloud-node-lifecycle-controller": ("cloud-node-lifecycle",),
}
CLOUD: Final = "it belongs to a cloud controller manager, and kube-controller-manager leaves it out too"
WHY_NOT: Final = {
    "podcertificaterequest-cleaner-controller": "PodCertificateRequests are not served",
    "podgroup-protection-controller": "PodGroups are not served (alpha upstream, off by default)",
    "kube-apiserver-serving-clustertrustbundle-publisher-controller": "ClusterTrustBundles are not served",
    "storageversion-garbage-collector-controller": "StorageVersions are not served (alpha upstream, off by default)",
    "resourcepoolstatusrequest-controller": "ResourcePoolStatusRequests are not served (alpha upstream, off by default)",
    "validatingadmissionpolicy-status-controller": "nobody checks the types of expressions here",
    "storage-version-migrator-controller": "StorageVersionMigrations are not served",
    "selinux-warning-controller": "simulated nodes have no SELinux (off by default upstream)",
    "service-lb-controller": CLOUD,
    "node-route-controller": CLOUD,
    "cloud-node-lifecycle-controller": CLOUD,
}  # fmt: skip
ALIASES: Final = {alias: name for name, aliases in UPSTREAM.items() for alias in aliases}


def is_enabled(name: str, is_on_by_default: bool, listed: Sequence[str]) -> bool:
    """Whether the list means it: the first that names it says so, then ``*`` does for those that are on by default."""
    for each in listed:
        if each == name:
            return True
        if each == f"-{name}":
            return False
    return EVERY in listed and is_on_by_default


def canonical(listed: Iterable[str], field: str = "--controllers") -> tuple[str, ...]:
    """The list by today's names; InputError for one that is nobody's."""
    made = []
    for each in listed:
        sign, name = ("-", each[1:]) if each.startswith("-") else ("", each)
        name = ALIASES.get(name, name)
        if name != EVERY and name not in UPSTREAM:
            near = difflib.get_close_matches(name, [*UPSTREAM, *ALIASES], 1)
            raise InputError(
                f'"{name}" is not in the list of known controllers', field=field,
                expected=near[0] if near else f"{EVERY}, or names such as {ENTRIES[0].type.name}, a - before those that are not to run",
            )  # fmt: skip
        made.append(sign + name)
    return tuple(made)


def make(settings: Settings, listed: Sequence[str] = (EVERY,)) -> list[Controller]:
    """The controllers that the list means."""
    named = canonical(listed)
    chosen = []
    for entry in ENTRIES:
        if is_enabled(entry.type.name, entry.type.on_by_default, named):
            controller = entry.make(settings)
            if controller is not None:
                chosen.append(controller)
    return chosen


def missing(listed: Sequence[str]) -> list[str]:
    """Those that the list names one by one and that are not here."""
    here = {entry.type.name for entry in ENTRIES}
    return [name for name in canonical(listed) if name in UPSTREAM and name not in here]
