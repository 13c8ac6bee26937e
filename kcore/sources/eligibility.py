"""On which nodes the DaemonSet controller creates a pod: nodeShouldRunDaemonPod of Kubernetes 1.36."""

from __future__ import annotations

from collections.abc import Mapping

from kcore.api import tolerations
from kcore.api.objects import Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration

REFUSING_EFFECTS = ("NoSchedule", "NoExecute")


def may_run(spec: PodSpec, node: Node) -> bool:
    """True where node name, node selector, required node affinity and taints let the pod's spec in."""
    labels = node.metadata.labels or {}
    if spec.node_name and spec.node_name != node.metadata.name:
        return False
    if any(labels.get(key) != value for key, value in (spec.node_selector or {}).items()):
        return False
    affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    if affinity is not None and affinity.required is not None:
        terms = affinity.required.node_selector_terms or ()
        if not any(term_matches(term, labels, node.metadata.name) for term in terms):
            return False
    tolerations = spec.tolerations or []
    return all(
        any(tolerates(toleration, taint) for toleration in tolerations)
        for taint in node.spec.taints or ()
        if taint.effect in REFUSING_EFFECTS
    )


def term_matches(term: NodeSelectorTerm, labels: Mapping[str, str], name: str) -> bool:
    """True where all of a term's expressions and fields hold; an empty term matches nothing."""
    expressions, fields = term.match_expressions or [], term.match_fields or []
    if not expressions and not fields:
        return False
    named = {"metadata.name": name}
    return all(holds(each, labels) for each in expressions) and all(holds(each, named) for each in fields)


def holds(requirement: NodeSelectorRequirement, labels: Mapping[str, str]) -> bool:
    """True where the labels meet one requirement of a node selector; an unknown operator never holds."""
    value = labels.get(requirement.key)
    values = requirement.values or []
    if requirement.operator == "In":
        return value is not None and value in values
    if requirement.operator == "NotIn":
        return value is None or value not in values
    if requirement.operator == "Exists":
        return value is not None
    if requirement.operator == "DoesNotExist":
        return value is None
    if requirement.operator in ("Gt", "Lt") and value is not None and len(values) == 1:
        try:
            have, bound = int(value), int(values[0])
        except ValueError:
            return False
        return have > bound if requirement.operator == "Gt" else have < bound
    return False


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """True where the toleration lets a pod onto a node with the taint."""
    return tolerations.tolerates(toleration, taint.key, taint.value, taint.effect)
