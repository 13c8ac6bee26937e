"""Whether a toleration lets a pod onto a tainted node; core/v1 Toleration.ToleratesTaint of Kubernetes 1.36.

The operators Gt and Lt never match: their feature gate is off by default.
"""

from __future__ import annotations

from kcore.api.objects import Toleration


def tolerates(toleration: Toleration, key: str, value: str, effect: str) -> bool:
    """Tell whether the toleration covers a taint of that key, value and effect."""
    if toleration.effect and toleration.effect != effect:
        return False
    if toleration.key and toleration.key != key:
        return False
    return toleration.operator == "Exists" or (
        toleration.operator in ("", "Equal") and toleration.value == value
    )
