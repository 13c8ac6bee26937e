"""Where objects come from: manifests, cluster dumps, tables and live clusters, all as one ClusterObjects.

``read`` takes files, ``decode_objects`` parsed objects, ``from_kubeconfig`` a live cluster; ``validate`` checks what
several of them gave together. Loads neither tables, numbers nor YAML until a file needs them.
"""

from __future__ import annotations

from kcore.sources.check import validate, validate_read
from kcore.sources.configuration import read_configuration
from kcore.sources.kinds import KINDS
from kcore.sources.live import from_kubeconfig
from kcore.sources.reading import SourceObjects, TraceLoader, decode_objects, read

__all__ = [
    "KINDS",
    "SourceObjects",
    "TraceLoader",
    "decode_objects",
    "from_kubeconfig",
    "read",
    "read_configuration",
    "validate",
    "validate_read",
]
