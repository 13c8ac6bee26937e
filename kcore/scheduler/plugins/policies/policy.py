"""What a placing policy is: a score for each feasible node, and a way to choose devices there."""

from __future__ import annotations

from typing import NamedTuple

# how a pod's devices are chosen among those that do; of equal ones the first
TIGHTEST = 0
"""Those with least left."""
LOOSEST = 1
"""Those with most left."""
FOREMOST = 2
"""The first."""
RANDOM = 3
"""Any, drawn."""
BY_FRAGMENTS = 4
"""The one that gave the node its score under fgd; whole devices as TIGHTEST."""


class Policy(NamedTuple):
    """A policy by its name: the number of its score in kernels, how it chooses devices, and whose idea it is."""

    name: str
    number: int
    devices: int
    source: str
