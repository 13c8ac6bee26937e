"""What a KubeSchedulerConfiguration says of the process rather than of decisions: connection, leadership, pauses.

Source: pkg/scheduler/apis/config/v1/defaults.go and cmd/kube-scheduler/app/options of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kcore.scheduler import config_schema as schema

SECOND_NS: Final = 1_000_000_000
LEASE_NAME: Final = "kube-scheduler"
LEASE_NAMESPACE: Final = "kube-system"


@dataclass(frozen=True, slots=True)
class Election:
    """How one of several schedulers comes to lead, with upstream's defaults."""

    is_on: bool = True
    lease_seconds: float = 15.0
    renew_deadline_seconds: float = 10.0
    retry_seconds: float = 2.0
    name: str = LEASE_NAME
    namespace: str = LEASE_NAMESPACE


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """``qps`` 0: nothing bounds the requests, which is what kcore does where no file and no flag bounds them."""

    election: Election = Election()
    kubeconfig: str = ""
    qps: float = 0.0
    burst: int = 100
    initial_backoff_seconds: int = 1
    max_backoff_seconds: int = 10


def process_settings(document: Mapping[str, Any]) -> ProcessSettings:
    """What the document says, which ``load_configuration`` has checked; the defaults for the rest."""
    from kcore.scheduler import config_schema as schema  # a command's --help does without

    found = schema.decode(document, schema.KubeSchedulerConfiguration)
    connection = found.client_connection or schema.ClientConnection()
    return ProcessSettings(
        election=_election(found.leader_election),
        kubeconfig=connection.kubeconfig or "",
        qps=max(connection.qps or 0.0, 0.0),
        burst=connection.burst or 100,
        initial_backoff_seconds=found.pod_initial_backoff_seconds or 1,
        max_backoff_seconds=found.pod_max_backoff_seconds or 10,
    )


def _election(given: schema.LeaderElection | None) -> Election:
    default = Election()
    if given is None:
        return default

    def seconds(duration: schema.Duration | None, otherwise: float) -> float:
        return duration.ns / SECOND_NS if duration is not None and duration.ns else otherwise

    return Election(
        is_on=given.leader_elect is not False,
        lease_seconds=seconds(given.lease_duration, default.lease_seconds),
        renew_deadline_seconds=seconds(given.renew_deadline, default.renew_deadline_seconds),
        retry_seconds=seconds(given.retry_period, default.retry_seconds),
        name=given.resource_name or default.name,
        namespace=given.resource_namespace or default.namespace,
    )
