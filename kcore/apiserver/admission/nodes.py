"""What pods and nodes owe each other: tolerations of failing nodes, the taint of new nodes, labels of a node's place.

Sources: plugin/pkg/admission/{defaulttolerationseconds,nodetaint,podtopologylabels} of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Final

from kcore.api.admission import EVICTING_TAINTS, missing_evictions
from kcore.apiserver.admission.contract import CREATE, EVERY_SUBRESOURCE, UPDATE, Plugin, Request
from kcore.apiserver.view import View

TOLERATION_SECONDS: Final = 300
PODS: Final = frozenset({("", "pods")})
TOPOLOGY_LABELS: Final = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


def default_toleration_seconds(
    not_ready_s: int = TOLERATION_SECONDS, unreachable_s: int = TOLERATION_SECONDS
) -> Plugin:
    """Pods stay that long on nodes that are not ready or not reachable, unless they say otherwise."""
    seconds = dict(zip(EVICTING_TAINTS, (not_ready_s, unreachable_s), strict=True))

    def mutate(request: Request) -> None:
        assert request.obj is not None
        spec = request.obj["spec"]
        tolerations = spec.get("tolerations") or []
        missing = missing_evictions((each.get("key", ""), each.get("effect", "")) for each in tolerations)
        if missing:
            added = [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds[key]}
                for key in missing
            ]
            request.obj["spec"] = {**spec, "tolerations": [*tolerations, *added]}

    return Plugin(
        "DefaultTolerationSeconds",
        frozenset({CREATE, UPDATE}),
        PODS,
        mutate=mutate,
        traceable=True,
        keeps_shared=EVERY_SUBRESOURCE,
    )


def taint_nodes_by_condition() -> Plugin:
    """A new node is tainted as not ready until the node lifecycle controller has seen otherwise."""

    def mutate(request: Request) -> None:
        assert request.obj is not None
        spec = request.obj.setdefault("spec", {})
        taints = spec.get("taints") or []
        key, effect = EVICTING_TAINTS[0], "NoSchedule"
        if not any(each.get("key") == key and each.get("effect") == effect for each in taints):
            spec["taints"] = [*taints, {"key": key, "effect": effect}]

    return Plugin(
        "TaintNodesByCondition",
        frozenset({CREATE}),
        frozenset({("", "nodes")}),
        mutate=mutate,
        traceable=True,
    )


def pod_topology_labels(view: View) -> Plugin:
    """A pod gets its node's zone and region as labels when it is bound."""

    def mutate(request: Request) -> None:
        obj = request.obj
        assert obj is not None
        if request.op.subresource == "binding":
            target = obj.get("target") or {}
            node_name = target.get("name", "") if target.get("kind") == "Node" else ""
        else:
            node_name = obj["spec"].get("nodeName", "")
        found = view.labels("", "nodes", "", node_name, *TOPOLOGY_LABELS) if node_name else ()
        copied = {key: text for key, text in zip(TOPOLOGY_LABELS, found, strict=False) if text is not None}
        if copied:
            metadata = obj.setdefault("metadata", {})
            metadata["labels"] = {**(metadata.get("labels") or {}), **copied}

    return Plugin(
        "PodTopologyLabels",
        frozenset({CREATE}),
        PODS,
        frozenset({"", "binding"}),
        mutate=mutate,
        traceable=True,
    )
