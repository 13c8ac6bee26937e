"""Which resource claims a pod uses, and whose they are.

Source: dynamic-resource-allocation resourceclaim/claim.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable

from kcore.controllers.contract import Object


def claim_of(pod: Object, entry: Object) -> str | None:
    """The name of the entry's claim; "" where none is needed, None where it is still to be made. Source: Name."""
    if entry.get("resourceClaimName") is not None:
        name: str = entry["resourceClaimName"]
        return name
    for status in (pod.get("status") or {}).get("resourceClaimStatuses") or ():
        if status["name"] == entry["name"]:
            return status.get("resourceClaimName") or ""
    return None


def entries(pod: Object) -> list[Object]:
    """What the pod asks for, each by a name of its own."""
    return pod["spec"].get("resourceClaims") or []


def by_claim(pod: Object) -> Iterable[str]:
    """Index: ``NAMESPACE/NAME`` of each resource claim that the pod uses."""
    namespace = pod["metadata"]["namespace"]
    return {f"{namespace}/{name}" for entry in entries(pod) if (name := claim_of(pod, entry))}


def owning_pod(claim: Object) -> Object | None:
    """The reference to the pod that the claim was made for."""
    for reference in claim["metadata"].get("ownerReferences") or ():
        if reference.get("controller") and reference["apiVersion"] == "v1" and reference["kind"] == "Pod":
            found: Object = reference
            return found
    return None


def stranger(pod: Object, claim: Object) -> str:
    """That the claim was not made for the pod, as upstream says it; "" where it was. Source: IsForPod."""
    if (owning_pod(claim) or {}).get("uid") == pod["metadata"]["uid"]:
        return ""
    told, metadata = claim["metadata"], pod["metadata"]
    return (
        f"ResourceClaim {told['namespace']}/{told['name']} was not created for pod {metadata['namespace']}/"
        f"{metadata['name']} (pod is not owner)"
    )
