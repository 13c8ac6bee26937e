"""The three patches that are documents: JSON patch, JSON merge patch, strategic merge patch.

None changes its arguments; a result shares with them what did not change. Source: apiserver
pkg/endpoints/handlers/patch.go of Kubernetes 1.36, which says what a client is told.
"""

from kcore.api.patch.merging import merge_patch
from kcore.api.patch.operations import OPERATIONS_MAX, json_patch, json_patch_faults
from kcore.api.patch.strategic import strategic_merge

__all__ = ["OPERATIONS_MAX", "json_patch", "json_patch_faults", "merge_patch", "strategic_merge"]
