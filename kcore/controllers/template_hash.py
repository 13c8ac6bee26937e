"""A short name for a pod template, to tell the replica sets (or revisions) of a workload apart: upstream's.

So a controller that takes over from another finds its replica sets by the names that it would give them. Source:
pkg/controller/controller_utils.go (ComputeHash), pkg/util/hash of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Final

from kcore.api.go_printed import printed
from kcore.api.safe_names import fnv1a, letters
from kcore.controllers.contract import Object

COUNT_BYTES: Final = 8  # of which Go fills four


def template_hash(template: Object, collision_count: int | None = None) -> str:
    """FNV-1a, 32 bits, of the template as Go prints it and of the collision count, in letters that make no words."""
    data = printed("core.v1.PodTemplateSpec", template).encode()
    if collision_count is not None:
        data += collision_count.to_bytes(COUNT_BYTES, "little")
    return letters(fnv1a(data))
