"""Which claims of volumes a pod uses, those made for its ephemeral volumes included.

Source: pkg/controller/volume/common, component-helpers storage/ephemeral of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kcore.controllers.contract import Object
from kcore.controllers.owners import controller_of

STATUSES: Final = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def claim_name(pod: Object, volume: Object) -> str:
    """The name of the volume's claim; "" where it has none."""
    if volume.get("persistentVolumeClaim"):
        name: str = volume["persistentVolumeClaim"]["claimName"]
        return name
    return f"{pod['metadata']['name']}-{volume['name']}" if "ephemeral" in volume else ""


def by_claim(pod: Object) -> Iterable[str]:
    """Index: ``NAMESPACE/NAME`` of each claim that the pod uses."""
    namespace = pod["metadata"]["namespace"]
    names = {claim_name(pod, volume) for volume in pod["spec"].get("volumes") or ()}
    return [f"{namespace}/{name}" for name in names if name]


def stranger(pod: Object, claim: Object) -> str:
    """That the claim is not the pod's own, as upstream says it; "" where it is. Source: VolumeIsForPod."""
    told, metadata = claim["metadata"], pod["metadata"]
    if (controller_of(claim) or {}).get("uid") == metadata["uid"]:
        return ""
    return (
        f"PVC {told['namespace']}/{told['name']} was not created for pod {metadata['namespace']}/{metadata['name']} "
        "(pod is not owner)"
    )


def is_terminated(pod: Object) -> bool:
    """No container of it runs nor will. Source: volume/util IsPodTerminated."""
    status = pod.get("status") or {}
    if status.get("phase") in ("Failed", "Succeeded"):
        return True
    if "deletionTimestamp" not in pod["metadata"]:
        return False
    return not any(
        "terminated" not in (each.get("state") or {}) and "waiting" not in (each.get("state") or {})
        for name in STATUSES
        for each in status.get(name) or ()
    )
