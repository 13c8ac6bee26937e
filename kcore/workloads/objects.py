"""Templates become many objects: nodes in turn, pods as columns that share one exemplar."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from kcore import sources
from kcore.api.errors import InputError
from kcore.api.objects import ClusterObjects, PodColumns
from kcore.traces.names import numbered
from kcore.workloads.format import Op, beside, one_document

HOSTNAME = "kubernetes.io/hostname"

DEFAULT_NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"generateName": "node-"},
    "status": {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"}},
}
"""What createNodes makes without a template."""


class Templates:
    """The templates that one file's operations name, read once; names that are made up never repeat."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._read: dict[str, dict[str, Any]] = {}
        self._made = 0

    def find(self, relative: str) -> dict[str, Any]:
        """A template as a plain object."""
        if relative not in self._read:
            self._read[relative] = one_document(beside(self._path, relative), dict, "one Kubernetes object")
        return self._read[relative]

    def name(self, template: dict[str, Any], index: int) -> str:
        """The template's own name, or its prefix with a number."""
        metadata = template.get("metadata") or {}
        if metadata.get("name"):
            return str(metadata["name"]) + (f"-{index}" if index else "")
        self._made += 1
        return f"{metadata.get('generateName') or 'object-'}{self._made:07d}"

    def nodes(self, op: Op, count: int) -> ClusterObjects:
        """``count`` nodes with the labels that the operation prepares, and their own name as hostname."""
        template = self.find(op.node_template_path) if op.node_template_path else DEFAULT_NODE
        made = []
        for index in range(count):
            node = copy.deepcopy(template)
            name = self.name(template, index)
            metadata = node.setdefault("metadata", {})
            metadata["name"] = name
            labels = metadata.setdefault("labels", {})
            labels.setdefault(HOSTNAME, name)
            if op.label_node_prepare_strategy is not None:
                values = op.label_node_prepare_strategy.label_values
                labels[op.label_node_prepare_strategy.label_key] = values[index % len(values)]
            if op.unique_node_label_strategy is not None:
                labels[op.unique_node_label_strategy.label_key] = name
            if op.node_allocatable_strategy is not None:
                amounts = op.node_allocatable_strategy.node_allocatable
                node.setdefault("status", {}).setdefault("allocatable", {}).update(amounts)
            made.append(node)
        return sources.decode_objects(made, origin=op.node_template_path or "createNodes")

    def any_object(self, relative: str, namespace: str | None) -> ClusterObjects:
        """One object of any kind."""
        made = copy.deepcopy(self.find(relative))
        metadata = made.setdefault("metadata", {})
        metadata["name"] = self.name(made, 0)
        if namespace is not None:
            metadata["namespace"] = namespace
        return sources.decode_objects([made], origin=relative)

    def namespaces(self, op: Op, count: int) -> ClusterObjects:
        """``prefix-0`` and so on, with the labels of the template."""
        template = self.find(op.namespace_template_path) if op.namespace_template_path else {}
        made = []
        for index in range(count):
            metadata = {**(template.get("metadata") or {}), "name": f"{op.prefix}-{index}"}
            metadata.pop("generateName", None)
            made.append({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return sources.decode_objects(made, origin="createNamespaces")

    def pods(
        self, kinds: list[tuple[str, str]], kind: np.ndarray, known: ClusterObjects | None = None
    ) -> ClusterObjects:
        """Pods in the order of ``kind[pod]``, an index into ``kinds``: template and namespace of each kind."""
        exemplars = []
        for relative, namespace in kinds:
            given = copy.deepcopy(self.find(relative))
            given["metadata"] = {**(given.get("metadata") or {}), "name": "exemplar", "namespace": namespace}
            found = sources.decode_objects([given], origin=relative, known=known)
            if len(found.pods) != 1:
                raise InputError("is no Pod", file=beside(self._path, relative), expected="one Pod")
            exemplars.append(found.pods[0])
        self._made += 1
        columns = PodColumns(
            exemplars=exemplars,
            exemplar=kind.astype(np.int32),
            names=numbered(f"pod-{self._made}-", len(kind)),
            origin=kinds[0][0],
        )
        return ClusterObjects(pod_columns=[columns])
