"""A short name for a pod template, to tell the replica sets (or revisions) of a workload apart.

Upstream hashes Go's printed form of the struct (pkg/util/hash, pkg/controller ComputeHash); what counts is that equal
templates have equal hashes and that a collision count changes it. This one hashes the template as canonical JSON.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
FNV_OFFSET: Final = 0x811C9DC5
FNV_PRIME: Final = 0x01000193
MASK: Final = 0xFFFFFFFF


def template_hash(template: Any, collision_count: int | None = None) -> str:
    """FNV-1a, 32 bits, of the template and the collision count, in letters that make no words."""
    data = orjson.dumps(template, option=orjson.OPT_SORT_KEYS)
    if collision_count is not None:
        data += collision_count.to_bytes(8, "little")
    number = FNV_OFFSET
    for byte in data:
        number = ((number ^ byte) * FNV_PRIME) & MASK
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in str(number))
