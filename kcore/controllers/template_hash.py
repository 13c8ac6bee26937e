"""A short name for a pod template, to tell the replica sets (or revisions) of a workload apart.

Upstream hashes Go's printed form of the struct (pkg/util/hash, pkg/controller ComputeHash); what counts is that equal
templates have equal hashes and that a collision count changes it. This one hashes the template as canonical JSON.
"""

from __future__ import annotations

from typing import Any

import orjson

from kcore.api.safe_names import fnv1a, letters


def template_hash(template: Any, collision_count: int | None = None) -> str:
    """FNV-1a, 32 bits, of the template and the collision count, in letters that make no words."""
    data = orjson.dumps(template, option=orjson.OPT_SORT_KEYS)
    if collision_count is not None:
        data += collision_count.to_bytes(8, "little")
    return letters(fnv1a(data))
