"""Rows of authentication.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.rows import Row

GROUP: Final = "authentication.k8s.io"
SCHEMA: Final = "io.k8s.api.authentication."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "SelfSubjectReview",
        "selfsubjectreviews",
        "selfsubjectreview",
        False,
        "",
        SCHEMA + "v1.SelfSubjectReview",
        verbs=("create",),
    ),
    Row(
        GROUP,
        "v1",
        "TokenReview",
        "tokenreviews",
        "tokenreview",
        False,
        "",
        SCHEMA + "v1.TokenReview",
        verbs=("create",),
    ),
)
