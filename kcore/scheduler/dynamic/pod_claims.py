"""The claims of a pod, and why it has to wait for them.

Sources, Kubernetes 1.36: dynamic-resource-allocation/resourceclaim/resourceclaim.go, plugins/dynamicresources
(foreachPodResourceClaim).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kcore.api.objects import Pod
from kcore.scheduler.dynamic.catalog import DeviceCatalog

Object = dict[str, Any]


class ClaimsMissing(Exception):
    """The pod's claims are not all there, in upstream's words."""


def claims_of(pod: Pod, catalog: DeviceCatalog) -> list[Object]:
    """The claims that the pod uses, in its order.

    Raises:
        ClaimsMissing: one is not there yet, on its way out, or another pod's.
    """
    found = []
    for reference in pod.spec.resource_claims or ():
        name, is_own = _name_of(pod, reference)
        if name is None:
            continue
        claim = catalog.claim(pod.metadata.namespace, name)
        if claim is None:
            raise ClaimsMissing("object not found")
        if claim["metadata"].get("deletionTimestamp"):
            raise ClaimsMissing(f'resourceclaim "{name}" is being deleted')
        if is_own and not _is_for(claim, pod):
            where = f"{pod.metadata.namespace}/{pod.metadata.name}"
            raise ClaimsMissing(
                f"ResourceClaim {pod.metadata.namespace}/{name} was not created for Pod {where} (Pod is not owner)"
            )
        found.append(claim)
    return found


def _name_of(pod: Pod, reference: Mapping[str, Any]) -> tuple[str | None, bool]:
    """The name of a claim, None where none is needed, and whether it has to be the pod's own."""
    where = f'pod "{pod.metadata.namespace}/{pod.metadata.name}"'
    if reference.get("resourceClaimName") is not None:
        return reference["resourceClaimName"], False
    if reference.get("resourceClaimTemplateName") is None:
        raise ClaimsMissing(
            f'{where}, spec.resourceClaim "{reference.get("name", "")}": none of the supported fields are set'
        )
    for status in pod.status.resource_claim_statuses or ():
        if status.get("name") == reference.get("name"):
            return status.get("resourceClaimName"), True
    raise ClaimsMissing(f"{where}: ResourceClaim not created yet")


def _is_for(claim: Object, pod: Pod) -> bool:
    return any(
        owner.get("controller") and (owner.get("uid") or "") == pod.metadata.uid
        for owner in claim["metadata"].get("ownerReferences") or ()
    )


def is_reserved_for(claim: Mapping[str, Any], uid: str) -> bool:
    """Whether the claim lists the pod among those that it is reserved for."""
    return any(one.get("uid") == uid for one in (claim.get("status") or {}).get("reservedFor") or ())
