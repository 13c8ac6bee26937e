"""Rows of apps, in discovery's order."""

from __future__ import annotations

from typing import Final

from kcore.api.resources.subresources import SCALE, STATUS
from kcore.api.rows import Row

GROUP: Final = "apps"
SCHEMA: Final = "io.k8s.api.apps."

ROWS: Final = (
    Row(
        GROUP,
        "v1",
        "ControllerRevision",
        "controllerrevisions",
        "controllerrevision",
        True,
        "controllerrevisions",
        SCHEMA + "v1.ControllerRevision",
    ),
    Row(
        GROUP,
        "v1",
        "DaemonSet",
        "daemonsets",
        "daemonset",
        True,
        "daemonsets",
        SCHEMA + "v1.DaemonSet",
        short_names=("ds",),
        categories=("all",),
        subresources=(STATUS,),
    ),
    Row(
        GROUP,
        "v1",
        "Deployment",
        "deployments",
        "deployment",
        True,
        "deployments",
        SCHEMA + "v1.Deployment",
        short_names=("deploy",),
        categories=("all",),
        subresources=(SCALE, STATUS),
    ),
    Row(
        GROUP,
        "v1",
        "ReplicaSet",
        "replicasets",
        "replicaset",
        True,
        "replicasets",
        SCHEMA + "v1.ReplicaSet",
        short_names=("rs",),
        categories=("all",),
        subresources=(SCALE, STATUS),
    ),
    Row(
        GROUP,
        "v1",
        "StatefulSet",
        "statefulsets",
        "statefulset",
        True,
        "statefulsets",
        SCHEMA + "v1.StatefulSet",
        short_names=("sts",),
        categories=("all",),
        subresources=(SCALE, STATUS),
    ),
)
