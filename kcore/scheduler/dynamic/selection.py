"""Which nodes a slice, a device or an allocation is for.

Source: component-helpers/scheduling/corev1/nodeaffinity and structured/internal/incubating/pools_incubating.go
(NodeMatches) of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kcore.api.selectors import Requirement
from kcore.scheduler.dynamic.objects import Selection

Object = Mapping[str, Any]


class NodeView(NamedTuple):
    """A node as selections see it."""

    name: str
    labels: Mapping[str, str]


def is_selected(selection: Selection, node: NodeView) -> bool:
    """Whether the slice or device is for the node: by its name, as all are, or by a selector."""
    if selection.node_name:
        return selection.node_name == node.name
    if selection.all_nodes:
        return True
    return selection.selector is not None and selector_matches(selection.selector, node)


def selector_matches(selector: Object, node: NodeView) -> bool:
    """Whether any term of a node selector matches; a term that says nothing matches no node."""
    for term in selector.get("nodeSelectorTerms") or ():
        expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
        if not expressions and not fields:
            continue
        if _matches(expressions, node.labels) and _matches(fields, {"metadata.name": node.name}):
            return True
    return False


def _matches(requirements: Sequence[Object], labels: Mapping[str, str]) -> bool:
    return all(
        Requirement(one["key"], one["operator"], tuple(one.get("values") or ())).matches(labels)
        for one in requirements
    )
