"""As whom a controller asks the server: by its service account in kube-system, which the role of its name is bound to.

Source: cmd/kube-controller-manager/app (NewClient of each controller) of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from kcore.controllers.contract import Controller

NAMESPACE: Final = "kube-system"
OWN: Final = ""  # no account: the controller manager's own client

# of controllers whose account is not named as they are
ACCOUNTS: Final[Mapping[str, str]] = {
    "bootstrap-signer-controller": "bootstrap-signer",
    "certificatesigningrequest-approving-controller": "certificate-controller",
    "certificatesigningrequest-cleaner-controller": "certificate-controller",
    "certificatesigningrequest-signing-controller": "certificate-controller",
    "daemonset-controller": "daemon-set-controller",
    "endpoints-controller": "endpoint-controller",
    "endpointslice-mirroring-controller": "endpointslicemirroring-controller",
    "garbage-collector-controller": "generic-garbage-collector",
    "horizontal-pod-autoscaler-controller": "horizontal-pod-autoscaler",
    "legacy-serviceaccount-token-cleaner-controller": "legacy-service-account-token-cleaner",
    "node-ipam-controller": "node-controller",
    "node-lifecycle-controller": "node-controller",
    "persistentvolume-attach-detach-controller": "attachdetach-controller",
    "persistentvolume-binder-controller": "persistent-volume-binder",
    "persistentvolume-expander-controller": "expand-controller",
    "persistentvolume-protection-controller": "pv-protection-controller",
    "persistentvolumeclaim-protection-controller": "pvc-protection-controller",
    "pod-garbage-collector-controller": "pod-garbage-collector",
    "replicationcontroller-controller": "replication-controller",
    "resourceclaim-controller": "resource-claim-controller",
    "root-ca-certificate-publisher-controller": "root-ca-cert-publisher",
    "service-cidr-controller": "service-cidrs-controller",
    "serviceaccount-controller": "service-account-controller",
    "serviceaccount-token-controller": OWN,
    "taint-eviction-controller": "node-controller",
    "token-cleaner-controller": "token-cleaner",
}


def account_of(controller: str) -> str:
    """The account of the controller by that name."""
    return ACCOUNTS.get(controller, controller)


def accounts_of(controllers: Iterable[Controller]) -> list[str]:
    """The accounts of the controllers, by name."""
    return sorted({account_of(each.name) for each in controllers} - {OWN})
