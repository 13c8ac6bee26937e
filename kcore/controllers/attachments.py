"""Volumes of CSI drivers, who uses them where, and what nodes say of them.

Source: pkg/controller/volume/attachdetach/util, pkg/volume/csi, pkg/volume/util of Kubernetes 1.36.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kcore.controllers.contract import Object, View
from kcore.controllers.pod_claims import claim_name, is_terminated, stranger

CLAIMS: Final = "persistentvolumeclaims"
VOLUMES: Final = "persistentvolumes"
ATTACHMENTS: Final = "volumeattachments.storage.k8s.io"
DRIVERS: Final = "csidrivers.storage.k8s.io"
MANAGED: Final = "volumes.kubernetes.io/controller-managed-attach-detach"
OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
PREFIX: Final = "kubernetes.io/csi/"  # of a volume's name in a node's status
SHARED: Final = frozenset({"ReadWriteMany", "ReadOnlyMany"})
BACKOFF_MS_MIN: Final = 500  # goroutinemap/exponentialbackoff
BACKOFF_MS_MAX: Final = 122_000


@dataclass(slots=True)
class Attachment:
    """Of a volume to a node, which perhaps is not there yet or any more."""

    is_confirmed: bool = False
    is_leaving: bool = False
    since_ms: int | None = None  # nobody needs it
    began_ms: int | None = None  # its attacher was asked
    failures_count: int = 0
    retry_ms: int = 0

    @property
    def is_under_way(self) -> bool:
        """Its attacher has something to do."""
        return self.is_leaving or (self.began_ms is not None and not self.is_confirmed)

    def failed(self, now_ms: int) -> int:
        """After so many milliseconds it may be tried again; twice as many each time."""
        pause_ms = min(BACKOFF_MS_MIN << self.failures_count, BACKOFF_MS_MAX)
        self.failures_count = min(self.failures_count + 1, 16)
        self.retry_ms = now_ms + pause_ms
        self.began_ms = None
        return pause_ms


def handle_of(volume: Object) -> str:
    """``DRIVER^HANDLE``; empty where no CSI driver has it."""
    csi = volume["spec"].get("csi")
    return f"{csi['driver']}^{csi['volumeHandle']}" if csi else ""


def by_handle(volume: Object) -> Iterable[str]:
    """Index: DRIVER^HANDLE."""
    handle = handle_of(volume)
    return (handle,) if handle else ()


def by_driver(volume: Object) -> Iterable[str]:
    """Index: the CSI driver."""
    csi = volume["spec"].get("csi")
    return (csi["driver"],) if csi else ()


def attachment_name(handle: str, node: str) -> str:
    """The name of the VolumeAttachment (getAttachmentName)."""
    driver, _, name = handle.partition("^")
    return "csi-" + hashlib.sha256(f"{name}{driver}{node}".encode()).hexdigest()


def is_shared(volume: Object) -> bool:
    """Several nodes may have it at a time (IsMultiAttachAllowed)."""
    modes = volume["spec"].get("accessModes") or ()
    return not modes or not SHARED.isdisjoint(modes)


def wants(pod: Object) -> str:
    """The node where the pod's volumes are to be; empty: nowhere."""
    return "" if is_terminated(pod) else pod["spec"].get("nodeName") or ""


def users(volume: Object, view: View) -> dict[str, list[Object]]:
    """The pods that use the volume, by node."""
    reference = volume["spec"].get("claimRef") or {}
    namespace, name = reference.get("namespace", ""), reference.get("name", "")
    claim = view.get(CLAIMS, namespace, name) if name else None
    if (
        claim is None
        or claim["metadata"]["uid"] != reference.get("uid")
        or claim["spec"].get("volumeName") != volume["metadata"]["name"]
        or (claim.get("status") or {}).get("phase") != "Bound"
    ):
        return {}
    found: dict[str, list[Object]] = {}
    for pod in view.by("pods", "claim", f"{namespace}/{name}"):
        node = wants(pod)
        if node and any(_is_of(pod, each, claim) for each in pod["spec"].get("volumes") or ()):
            found.setdefault(node, []).append(pod)
    return found


def _is_of(pod: Object, volume: Object, claim: Object) -> bool:
    if claim_name(pod, volume) != claim["metadata"]["name"]:
        return False
    return "ephemeral" not in volume or not stranger(pod, claim)


def is_managed(node: Object) -> bool:
    """Its volumes are attached by the controller manager, not by itself."""
    return MANAGED in (node["metadata"].get("annotations") or {})


def is_out_of_service(node: Object) -> bool:
    """Somebody has said that it is off."""
    return any(taint["key"] == OUT_OF_SERVICE for taint in node["spec"].get("taints") or ())


def in_use(node: Object) -> Sequence[str]:
    """Volumes that the node says it has mounted, or is about to."""
    return tuple((node.get("status") or {}).get("volumesInUse") or ())


def reported(node: Object) -> Sequence[str]:
    """Volumes that the node's status says are attached."""
    return tuple(each["name"] for each in (node.get("status") or {}).get("volumesAttached") or ())


def fault_of(attachment: Object) -> str:
    """Why it does not come to be; empty where it may yet (verifyAttachmentStatus)."""
    if "deletionTimestamp" in attachment["metadata"]:
        return "volume attachment is being deleted"
    error = (attachment.get("status") or {}).get("attachError")
    return (error.get("message") or "") if error is not None else ""
