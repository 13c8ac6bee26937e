"""Rows of policy, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import STATUS
from kcore.api.rows import Row

GROUP: Final = "policy"
SCHEMA: Final = "io.k8s.api.policy."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        "poddisruptionbudget",
        True,
        "poddisruptionbudgets",
        SCHEMA + "v1.PodDisruptionBudget",
        short_names=("pdb",),
        subresources=(STATUS,),
    ),
)
