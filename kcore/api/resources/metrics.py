"""Rows of metrics.k8s.io, which metrics-server serves beside kube-apiserver, or whoever else knows what pods use.

They are not among the built-in rows: a server has them where somebody in its process tells what they hold.
Source: k8s.io/metrics pkg/apis/metrics/v1beta1 and metrics-server pkg/api.
"""

from __future__ import annotations

from typing import Final

from kcore.api.rows import Row

GROUP: Final = "metrics.k8s.io"
VERSION: Final = "v1beta1"
SCHEMA: Final = "io.k8s.metrics.pkg.apis.metrics.v1beta1."
VERBS: Final = ("get", "list")

NODES: Final = Row(
    GROUP,
    VERSION,
    "NodeMetrics",
    "nodes",
    "",
    False,
    "",
    SCHEMA + "NodeMetrics",
    verbs=VERBS,
    storage_version=VERSION,
)
PODS: Final = Row(
    GROUP,
    VERSION,
    "PodMetrics",
    "pods",
    "",
    True,
    "",
    SCHEMA + "PodMetrics",
    verbs=VERBS,
    storage_version=VERSION,
)
ROWS: Final = (NODES, PODS)
