"""Rows of batch, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import STATUS
from kcore.api.rows import Row

GROUP: Final = "batch"
SCHEMA: Final = "io.k8s.api.batch."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "CronJob",
        "cronjobs",
        "cronjob",
        True,
        "cronjobs",
        SCHEMA + "v1.CronJob",
        short_names=("cj",),
        categories=("all",),
        subresources=(STATUS,),
    ),
    Row(
        GROUP,
        "v1",
        "Job",
        "jobs",
        "job",
        True,
        "jobs",
        SCHEMA + "v1.Job",
        categories=("all",),
        fields=("status.successful",),
        subresources=(STATUS,),
    ),
)
