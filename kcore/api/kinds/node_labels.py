"""Labels of nodes that have been replaced. Source, Kubernetes 1.36: pkg/api/node/util.go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kcore.api.kinds.pod_warnings import DEPRECATED_LABELS

DEPRECATED_NODE_LABELS: Final = {
    **DEPRECATED_LABELS,
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}


def label_selector_warnings(selector: Mapping[str, Any] | None, path: str) -> list[str]:
    """GetWarningsForNodeSelector, which reads a label selector."""
    selector = selector or {}
    warnings = node_term_warnings(selector, path)
    return warnings + [
        f"{path}.matchLabels.{label}: {DEPRECATED_NODE_LABELS[label]}"
        for label in selector.get("matchLabels") or ()
        if label in DEPRECATED_NODE_LABELS
    ]


def node_term_warnings(term: Mapping[str, Any], path: str) -> list[str]:
    """GetWarningsForNodeSelectorTerm, values aside."""
    return [
        f"{path}.matchExpressions[{index}].key: {key} is {DEPRECATED_NODE_LABELS[key]}"
        for index, expression in enumerate(term.get("matchExpressions") or ())
        if (key := expression.get("key")) in DEPRECATED_NODE_LABELS
    ]
