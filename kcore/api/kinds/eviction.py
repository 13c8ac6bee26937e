"""Whether a pod may be evicted, and what of its disruption budget that takes.

Source, Kubernetes 1.36: pkg/registry/core/pod/storage/eviction.go, component-helpers pdb. The order: a pod that
``ignores_budgets`` is deleted; else, of the budgets ``covering`` it, more than one is an error, none lets it go, and one
lets it go where the pod ``is_free`` of it or ``take`` does not raise. Before it is deleted the pod is ``mark_evicted``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kcore.api.kinds.templates import selector_matches
from kcore.api.status import ApiError, forbidden

Object = dict[str, Any]

DISRUPTED_PODS_MAX: Final = 2000
PROCESSING_SECONDS: Final = 10
SEVERAL_BUDGETS: Final = (
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
)
_REFUSED: Final = "Cannot evict pod as it would violate the pod's disruption budget."


def _phase(pod: Mapping[str, Any]) -> str:
    return (pod.get("status") or {}).get("phase") or ""


def ignores_budgets(pod: Mapping[str, Any]) -> bool:
    """True for a pod that is over, has not begun, or is being deleted."""
    return _phase(pod) in ("Succeeded", "Failed", "Pending") or "deletionTimestamp" in pod["metadata"]


def enforces_version(pod: Mapping[str, Any]) -> bool:
    """True where the deletion must find the pod as it was looked at (shouldEnforceResourceVersion)."""
    return _phase(pod) not in ("Succeeded", "Failed") and "deletionTimestamp" not in pod["metadata"]


def covering(pod: Mapping[str, Any], budgets: Iterable[Object]) -> list[Object]:
    """The budgets of the pod's namespace whose selector selects it; no selector selects nothing."""
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    return [
        each
        for each in budgets
        if each["metadata"].get("namespace") == metadata.get("namespace")
        and selector_matches((each.get("spec") or {}).get("selector"), labels)
    ]


def is_free(pod: Mapping[str, Any], budget: Mapping[str, Any]) -> bool:
    """True for a pod that is not ready, where the budget loses nothing by it; it must still be so when it is deleted."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    if any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions):
        return False
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy") or 0
    return bool((status.get("currentHealthy") or 0) >= desired > 0)


def _refused(cause: str, retry_after_seconds: int = 0) -> ApiError:
    details: Object = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    if retry_after_seconds:
        details["retryAfterSeconds"] = retry_after_seconds
    return ApiError(429, "TooManyRequests", _REFUSED, details)


def still_processed(budget_name: str) -> ApiError:
    """429: the budget's controller has not caught up, or the pod changed meanwhile."""
    cause = f"The disruption budget {budget_name} is still being processed by the server."
    return _refused(cause, PROCESSING_SECONDS)


def take(budget: Object, pod_name: str, now: str, dry_run: bool = False) -> None:
    """One disruption less is allowed, and the pod is noted; ApiError 429 or 403 where none is (checkAndDecrement)."""
    name = budget["metadata"].get("name") or ""
    status = budget.setdefault("status", {})
    allowed = status.get("disruptionsAllowed") or 0
    if (status.get("observedGeneration") or 0) < (budget["metadata"].get("generation") or 0):
        raise still_processed(name)
    if allowed < 0:
        raise forbidden("policy", "poddisruptionbudget", name, "pdb disruptions allowed is negative")
    if len(status.get("disruptedPods") or ()) > DISRUPTED_PODS_MAX:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise forbidden("policy", "poddisruptionbudget", name, why)
    if allowed == 0:
        raise _refused(_why(name, status))
    status["disruptionsAllowed"] = allowed - 1
    if allowed == 1:
        _note_exhausted(status, budget["metadata"].get("generation") or 0, now)
    if not dry_run:
        status.setdefault("disruptedPods", {})[pod_name] = now


def _why(name: str, status: Mapping[str, Any]) -> str:
    condition: Mapping[str, Any] = next(
        (each for each in status.get("conditions") or () if each.get("type") == "DisruptionAllowed"), {}
    )
    said = condition.get("message") if condition.get("status") == "False" else ""
    reason = condition.get("reason") or ""
    healthy, desired = status.get("currentHealthy") or 0, status.get("desiredHealthy") or 0
    currently = f"The disruption budget {name} does not allow evicting pods currently"
    if said and reason == "SyncFailed":
        return f"{currently} because it failed sync: {said}"
    if healthy <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
    return f"{currently} ({reason}): {said}" if said else currently


def _note_exhausted(status: Object, generation: int, now: str) -> None:
    made = {"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": ""}
    conditions = status.setdefault("conditions", [])
    for condition in conditions:
        if condition.get("type") == "DisruptionAllowed":
            changed = condition.get("status") != "False"
            condition |= made | {"observedGeneration": generation}
            if changed:
                condition["lastTransitionTime"] = now
            return
    conditions.append({**made, "observedGeneration": generation, "lastTransitionTime": now})


def mark_evicted(pod: Object, now: str) -> None:
    """The pod says that it is the target of a disruption, and of which."""
    made = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    conditions = pod.setdefault("status", {}).setdefault("conditions", [])
    for condition in conditions:
        if condition.get("type") == "DisruptionTarget":
            if condition.get("status") != "True":
                condition["lastTransitionTime"] = now
            condition |= made
            return
    conditions.append({**made, "lastTransitionTime": now})
