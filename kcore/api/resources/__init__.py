"""The rows of every built-in resource, one file for each group; groups and versions in discovery's order.

Source: discovery answers of Kubernetes 1.36; storage folders of its test/integration/etcd/data.go; selectable fields of
pkg/apis/*/conversion.go.
"""

from __future__ import annotations

from typing import Final

from kcore.api.resources import (
    admissionregistration,
    apiextensions,
    apiregistration,
    apps,
    authentication,
    authorization,
    autoscaling,
    batch,
    certificates,
    coordination,
    core,
    discovery,
    events,
    flowcontrol,
    networking,
    node,
    policy,
    rbac,
    resource,
    scheduling,
    storage,
)
from kcore.api.rows import Row

ROWS: Final[tuple[Row, ...]] = (
    *core.ROWS,
    *apiregistration.ROWS,
    *apps.ROWS,
    *events.ROWS,
    *authentication.ROWS,
    *authorization.ROWS,
    *autoscaling.ROWS,
    *batch.ROWS,
    *certificates.ROWS,
    *networking.ROWS,
    *policy.ROWS,
    *rbac.ROWS,
    *storage.ROWS,
    *admissionregistration.ROWS,
    *apiextensions.ROWS,
    *scheduling.ROWS,
    *coordination.ROWS,
    *node.ROWS,
    *discovery.ROWS,
    *resource.ROWS,
    *flowcontrol.ROWS,
)
