"""Benchmark workloads in the format of upstream's scheduler_perf: reading, choosing and running them in-process.

Format: kubernetes/kubernetes test/integration/scheduler_perf (performance-config.yaml).
"""

from __future__ import annotations

from kcore.workloads.catalogue import Chosen, choose, shipped, unsupported
from kcore.workloads.measure import measure
from kcore.workloads.runner import Overrides, run

__all__ = ["Chosen", "Overrides", "choose", "measure", "run", "shipped", "unsupported"]
