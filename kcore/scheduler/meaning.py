"""What of an object changes the meaning of others: selectors that look elsewhere, pods that are going."""

from __future__ import annotations

from kcore.api.objects import ClusterObjects, Pod
from kcore.api.selectors import from_label_selector


def changes_meaning(objects: ClusterObjects) -> bool:
    """Whether selectors of namespaces or of services may mean other pods with these objects than without."""
    return bool(
        objects.namespaces
        or objects.services
        or objects.replication_controllers
        or objects.replica_sets
        or objects.stateful_sets
    )


def terminating_by_preemption(pod: Pod) -> bool:
    """Whether the scheduler has preempted it."""
    for condition in pod.status.conditions or ():
        if condition.type == "DisruptionTarget":
            return condition.status == "True" and condition.reason == "PreemptionByScheduler"
    return False


def selector_keys(pod: Pod) -> set[str]:
    """Every label key that the pod's own selectors and matchLabelKeys read."""
    keys: set[str] = set()
    for constraint in pod.spec.topology_spread_constraints or ():
        keys.update(constraint.match_label_keys or ())
        keys |= from_label_selector(constraint.label_selector, "spec.topologySpreadConstraints").label_keys()
    affinity = pod.spec.affinity
    for side in (affinity.pod_affinity, affinity.pod_anti_affinity) if affinity else ():
        if side is None:
            continue
        for term in [*(side.required or ()), *(one.pod_affinity_term for one in side.preferred or ())]:
            keys |= from_label_selector(term.label_selector, "spec.affinity").label_keys()
    return keys
