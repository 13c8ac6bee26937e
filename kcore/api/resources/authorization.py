"""Rows of authorization.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.rows import Row

GROUP: Final = "authorization.k8s.io"
SCHEMA: Final = "io.k8s.api.authorization."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        "localsubjectaccessreview",
        True,
        "",
        SCHEMA + "v1.LocalSubjectAccessReview",
        verbs=("create",),
    ),
    Row(
        GROUP,
        "v1",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        False,
        "",
        SCHEMA + "v1.SelfSubjectAccessReview",
        verbs=("create",),
    ),
    Row(
        GROUP,
        "v1",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        False,
        "",
        SCHEMA + "v1.SelfSubjectRulesReview",
        verbs=("create",),
    ),
    Row(
        GROUP,
        "v1",
        "SubjectAccessReview",
        "subjectaccessreviews",
        "subjectaccessreview",
        False,
        "",
        SCHEMA + "v1.SubjectAccessReview",
        verbs=("create",),
    ),
)
