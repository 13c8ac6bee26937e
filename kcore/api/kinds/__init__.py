"""What each kind does beyond its schema, one file a kind or family: defaults, validation, resets, warnings."""

from __future__ import annotations

from typing import Final

from kcore.api.kinds.apps import CONTROLLER_REVISION, DAEMON_SET, DEPLOYMENT, REPLICA_SET
from kcore.api.kinds.autoscaling import HORIZONTAL_POD_AUTOSCALER
from kcore.api.kinds.core_workloads import POD_TEMPLATE, REPLICATION_CONTROLLER
from kcore.api.kinds.cron_jobs import CRON_JOB
from kcore.api.kinds.disruption import POD_DISRUPTION_BUDGET
from kcore.api.kinds.jobs import JOB
from kcore.api.kinds.pods import POD
from kcore.api.kinds.stateful_sets import STATEFUL_SET
from kcore.api.strategy import Strategy

Row = tuple[tuple[str, str], Strategy]

WORKLOADS: Final[tuple[Row, ...]] = (
    (("", "Pod"), POD),
    (("", "PodTemplate"), POD_TEMPLATE),
    (("", "ReplicationController"), REPLICATION_CONTROLLER),
    (("apps", "ControllerRevision"), CONTROLLER_REVISION),
    (("apps", "DaemonSet"), DAEMON_SET),
    (("apps", "Deployment"), DEPLOYMENT),
    (("apps", "ReplicaSet"), REPLICA_SET),
    (("apps", "StatefulSet"), STATEFUL_SET),
    (("autoscaling", "HorizontalPodAutoscaler"), HORIZONTAL_POD_AUTOSCALER),
    (("batch", "CronJob"), CRON_JOB),
    (("batch", "Job"), JOB),
    (("policy", "PodDisruptionBudget"), POD_DISRUPTION_BUDGET),
)

STRATEGIES: Final[dict[tuple[str, str], Strategy]] = dict(WORKLOADS)
