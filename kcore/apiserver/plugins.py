"""Which admission plugins are on, in upstream's order.

Source: pkg/kubeapiserver/options/plugins.go of Kubernetes 1.36. ``RoleEscalation`` is ours: what upstream's storage of
roles does, a plugin does here, and it cannot be turned off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kcore.api.errors import InputError
from kcore.apiserver.admission import Plugin
from kcore.apiserver.admission.certificates import (
    certificate_approval,
    certificate_signing,
    certificate_subject_restriction,
    cluster_trust_bundle_attest,
)
from kcore.apiserver.admission.classes import (
    default_ingress_class,
    default_storage_class,
    persistent_volume_claim_resize,
    storage_object_in_use_protection,
)
from kcore.apiserver.admission.escalation import role_escalation
from kcore.apiserver.admission.lifecycle import namespace_lifecycle
from kcore.apiserver.admission.limit_ranger import limit_ranger
from kcore.apiserver.admission.nodes import (
    default_toleration_seconds,
    pod_topology_labels,
    taint_nodes_by_condition,
)
from kcore.apiserver.admission.priority import priority
from kcore.apiserver.admission.runtime_class import runtime_class
from kcore.apiserver.admission.service_account import service_account
from kcore.apiserver.authz.bindings import Bindings
from kcore.apiserver.authz.contract import Authorizer
from kcore.apiserver.view import View

# upstream's, in its order; those that are not made below have no effect
ORDER: Final = (
    "AlwaysAdmit", "NamespaceAutoProvision", "NamespaceLifecycle", "NamespaceExists",
    "LimitPodHardAntiAffinityTopology", "LimitRanger", "ServiceAccount", "NodeRestriction", "TaintNodesByCondition",
    "AlwaysPullImages", "ImagePolicyWebhook", "PodSecurity", "PodNodeSelector", "Priority",
    "DefaultTolerationSeconds", "PodTolerationRestriction", "EventRateLimit", "ExtendedResourceToleration",
    "DefaultStorageClass", "StorageObjectInUseProtection", "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize", "RuntimeClass", "CertificateApproval", "CertificateSigning",
    "ClusterTrustBundleAttest", "CertificateSubjectRestriction", "DefaultIngressClass", "PodTopologyLabels",
    "NodeDeclaredFeatureValidator", "DenyServiceExternalIPs", "MutatingAdmissionPolicy", "MutatingAdmissionWebhook",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook", "ResourceQuota", "AlwaysDeny",
)  # fmt: skip


def ordered(
    view: View, authorizer: Authorizer, suffix: Callable[[], str], *, on: Sequence[str] = (), off: Sequence[str] = ()
) -> list[Plugin]:
    """The plugins that are on by default, with those turned on and without those turned off."""
    for flag, names in (("--enable-admission-plugins", on), ("--disable-admission-plugins", off)):
        for name in names:
            if name not in ORDER:
                raise InputError(f"admission plugin {name} is unknown", field=flag, expected=", ".join(ORDER))
    makers: dict[str, Callable[[], Plugin]] = {
        "NamespaceLifecycle": lambda: namespace_lifecycle(view),
        "LimitRanger": lambda: limit_ranger(view),
        "ServiceAccount": lambda: service_account(view, suffix),
        "TaintNodesByCondition": taint_nodes_by_condition,
        "Priority": lambda: priority(view),
        "DefaultTolerationSeconds": default_toleration_seconds,
        "DefaultStorageClass": lambda: default_storage_class(view),
        "StorageObjectInUseProtection": storage_object_in_use_protection,
        "PersistentVolumeClaimResize": lambda: persistent_volume_claim_resize(view),
        "RuntimeClass": lambda: runtime_class(view),
        "CertificateApproval": lambda: certificate_approval(authorizer),
        "CertificateSigning": lambda: certificate_signing(authorizer),
        "ClusterTrustBundleAttest": lambda: cluster_trust_bundle_attest(authorizer),
        "CertificateSubjectRestriction": certificate_subject_restriction,
        "DefaultIngressClass": lambda: default_ingress_class(view),
        "PodTopologyLabels": lambda: pod_topology_labels(view),
    }
    found = [makers[name]() for name in ORDER if name in makers and name not in off]
    return [role_escalation(Bindings(view), authorizer), *found]
