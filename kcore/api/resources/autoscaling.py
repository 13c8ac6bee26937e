"""Rows of autoscaling, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import STATUS
from kcore.api.rows import Row

GROUP: Final = "autoscaling"
SCHEMA: Final = "io.k8s.api.autoscaling."

ROWS: Final = (
    Row(
        GROUP,
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        True,
        "horizontalpodautoscalers",
        SCHEMA + "v2.HorizontalPodAutoscaler",
        storage_version="v2",
        short_names=("hpa",),
        categories=("all",),
        subresources=(STATUS,),
    ),
    Row(
        GROUP,
        "v1",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
        True,
        "horizontalpodautoscalers",
        SCHEMA + "v1.HorizontalPodAutoscaler",
        storage_version="v2",
        short_names=("hpa",),
        categories=("all",),
        subresources=(STATUS,),
    ),
)
