"""Which plugins there are, in which order they run, and which of them are on.

Source: pkg/kubeapiserver/options/plugins.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kcore.api.errors import InputError
from kcore.apiserver.admission import certificates, classes, nodes
from kcore.apiserver.admission.chain import Admission
from kcore.apiserver.admission.contract import Plugin
from kcore.apiserver.admission.escalation import role_escalation
from kcore.apiserver.admission.lifecycle import namespace_lifecycle
from kcore.apiserver.admission.limit_ranger import limit_ranger
from kcore.apiserver.admission.owner_references import KindOf, owner_references_permission_enforcement
from kcore.apiserver.admission.pod_resize import pod_resize_validator
from kcore.apiserver.admission.pod_security import pod_security
from kcore.apiserver.admission.priority import priority
from kcore.apiserver.admission.quota import resource_quota
from kcore.apiserver.admission.runtime_class import runtime_class
from kcore.apiserver.admission.service_account import service_account
from kcore.apiserver.admission.simple import (
    always_admit,
    always_deny,
    always_pull_images,
    deny_service_external_ips,
    extended_resource_toleration,
    limit_pod_hard_anti_affinity_topology,
    namespace_exists,
)
from kcore.apiserver.authz.bindings import Bindings
from kcore.apiserver.authz.contract import Authorizer
from kcore.apiserver.tracing import Tracing
from kcore.apiserver.view import View, Writer

ORDER: Final = (
    "AlwaysAdmit", "NamespaceAutoProvision", "NamespaceLifecycle", "NamespaceExists",
    "LimitPodHardAntiAffinityTopology", "LimitRanger", "ServiceAccount", "NodeRestriction", "TaintNodesByCondition",
    "AlwaysPullImages", "ImagePolicyWebhook", "PodSecurity", "PodNodeSelector", "Priority",
    "DefaultTolerationSeconds", "PodTolerationRestriction", "EventRateLimit", "ExtendedResourceToleration",
    "DefaultStorageClass", "StorageObjectInUseProtection", "PodGroupProtection",
    "OwnerReferencesPermissionEnforcement", "PersistentVolumeClaimResize", "RuntimeClass", "CertificateApproval",
    "CertificateSigning", "ClusterTrustBundleAttest", "CertificateSubjectRestriction", "DefaultIngressClass",
    "DenyServiceExternalIPs", "PodTopologyLabels", "PodGroupWorkloadExists", "NodeDeclaredFeatureValidator",
    "JobValidation", "PodResizeValidator", "MutatingAdmissionPolicy", "MutatingAdmissionWebhook",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook", "ResourceQuota", "AlwaysDeny",
)  # fmt: skip
DEFAULT_ON: Final = frozenset({
    "NamespaceLifecycle", "LimitRanger", "ServiceAccount", "TaintNodesByCondition", "PodSecurity", "Priority",
    "DefaultTolerationSeconds", "DefaultStorageClass", "StorageObjectInUseProtection", "PodGroupProtection",
    "PersistentVolumeClaimResize", "RuntimeClass", "CertificateApproval", "CertificateSigning",
    "ClusterTrustBundleAttest", "CertificateSubjectRestriction", "DefaultIngressClass", "PodTopologyLabels",
    "PodGroupWorkloadExists", "NodeDeclaredFeatureValidator", "JobValidation", "PodResizeValidator",
    "MutatingAdmissionPolicy", "MutatingAdmissionWebhook", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook", "ResourceQuota",
})  # fmt: skip
# On by default, and only at work behind a feature gate that is off by default or where a part beside this package
# brings them (webhooks, policies): that they are not made here is no error.
FROM_ELSEWHERE: Final = frozenset({
    "PodGroupProtection", "ClusterTrustBundleAttest", "PodGroupWorkloadExists", "NodeDeclaredFeatureValidator",
    "JobValidation", "MutatingAdmissionPolicy", "MutatingAdmissionWebhook", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What plugins look at and work with. ``suffix`` makes the random end of a generated name.

    ``view`` and ``suffix`` tell ``tracing`` what they are asked, where that is to be known.
    """

    view: View
    writer: Writer
    authorizer: Authorizer
    bindings: Bindings
    suffix: Callable[[], str]
    kind_of: KindOf
    not_ready_toleration_s: int = nodes.TOLERATION_SECONDS
    unreachable_toleration_s: int = nodes.TOLERATION_SECONDS
    tracing: Tracing = field(default_factory=Tracing)


def enabled_plugins(enable: Sequence[str] = (), disable: Sequence[str] = ()) -> tuple[str, ...]:
    """The names of the plugins that are on, in order. InputError for a name that there is not, or that is in both."""
    for flag, names in (("--enable-admission-plugins", enable), ("--disable-admission-plugins", disable)):
        for name in names:
            if name not in ORDER:
                raise InputError(f"unknown admission plugin {name!r}", field=flag, expected=", ".join(ORDER))
    if both := sorted(set(enable) & set(disable)):
        raise InputError(
            f"[{', '.join(both)}] in both enable-admission-plugins and disable-admission-plugins overlapped",
            field="--enable-admission-plugins",
        )
    on = (DEFAULT_ON | set(enable)) - set(disable)
    return tuple(name for name in ORDER if name in on)


def admission(
    around: Surroundings,
    *,
    enable: Sequence[str] = (),
    disable: Sequence[str] = (),
    others: Mapping[str, Plugin] | None = None,
) -> Admission:
    """The chain. ``others``: plugins by name that another part brings, in their places of the order.

    InputError for a plugin that is asked for and that nobody brings.
    """
    others = others or {}
    made: list[Plugin] = []
    for name in enabled_plugins(enable, disable):
        if name in others:
            made.append(others[name])
        elif name in _MAKERS:
            made.append(_MAKERS[name](around))
        elif name not in FROM_ELSEWHERE or name in enable:
            raise InputError(f"admission plugin {name} is not built in", field="--enable-admission-plugins")
    made.append(role_escalation(around.bindings, around.authorizer))
    return Admission(made, around.tracing)


_MAKERS: Final[dict[str, Callable[[Surroundings], Plugin]]] = {
    "AlwaysAdmit": lambda _: always_admit(),
    "AlwaysDeny": lambda _: always_deny(),
    "AlwaysPullImages": lambda _: always_pull_images(),
    "CertificateApproval": lambda around: certificates.certificate_approval(around.authorizer),
    "CertificateSigning": lambda around: certificates.certificate_signing(around.authorizer),
    "CertificateSubjectRestriction": lambda _: certificates.certificate_subject_restriction(),
    "DefaultIngressClass": lambda around: classes.default_ingress_class(around.view),
    "DefaultStorageClass": lambda around: classes.default_storage_class(around.view),
    "DefaultTolerationSeconds": lambda around: nodes.default_toleration_seconds(
        around.not_ready_toleration_s, around.unreachable_toleration_s
    ),
    "DenyServiceExternalIPs": lambda _: deny_service_external_ips(),
    "ExtendedResourceToleration": lambda _: extended_resource_toleration(),
    "LimitPodHardAntiAffinityTopology": lambda _: limit_pod_hard_anti_affinity_topology(),
    "LimitRanger": lambda around: limit_ranger(around.view),
    "NamespaceExists": lambda around: namespace_exists(around.view),
    "NamespaceLifecycle": lambda around: namespace_lifecycle(around.view),
    "OwnerReferencesPermissionEnforcement": lambda around: owner_references_permission_enforcement(
        around.authorizer, around.kind_of
    ),
    "PersistentVolumeClaimResize": lambda around: classes.persistent_volume_claim_resize(around.view),
    "PodResizeValidator": lambda around: pod_resize_validator(around.view),
    "PodSecurity": lambda around: pod_security(around.view),
    "PodTopologyLabels": lambda around: nodes.pod_topology_labels(around.view),
    "Priority": lambda around: priority(around.view),
    "ResourceQuota": lambda around: resource_quota(around.view, around.writer),
    "RuntimeClass": lambda around: runtime_class(around.view),
    "ServiceAccount": lambda around: service_account(around.view, around.suffix),
    "StorageObjectInUseProtection": lambda _: classes.storage_object_in_use_protection(),
    "TaintNodesByCondition": lambda _: nodes.taint_nodes_by_condition(),
}
