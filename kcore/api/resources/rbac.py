"""Rows of rbac.authorization.k8s.io, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.rows import Row

GROUP: Final = "rbac.authorization.k8s.io"
SCHEMA: Final = "io.k8s.api.rbac."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        "clusterrolebinding",
        False,
        "clusterrolebindings",
        SCHEMA + "v1.ClusterRoleBinding",
    ),
    Row(
        GROUP,
        "v1",
        "ClusterRole",
        "clusterroles",
        "clusterrole",
        False,
        "clusterroles",
        SCHEMA + "v1.ClusterRole",
    ),
    Row(
        GROUP,
        "v1",
        "RoleBinding",
        "rolebindings",
        "rolebinding",
        True,
        "rolebindings",
        SCHEMA + "v1.RoleBinding",
    ),
    Row(GROUP, "v1", "Role", "roles", "role", True, "roles", SCHEMA + "v1.Role"),
)
