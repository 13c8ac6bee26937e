"""The metrics of kube-scheduler that this scheduler has, by upstream's names, types, labels, buckets and help texts.

Labels stand in the order in which Prometheus' text has them. Source: pkg/scheduler/metrics/metrics.go and
component-base/metrics/prometheus/clientgo/leaderelection of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Family(NamedTuple):
    """One metric: its Prometheus type, stability, help, the names of its labels, and a histogram's upper bounds."""

    kind: str
    stability: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


def exponential(start: float, factor: float, count: int) -> tuple[float, ...]:
    """Bounds that grow by a factor, as Go's arithmetic makes them (ExponentialBuckets)."""
    found = []
    for _ in range(count):
        found.append(start)
        start *= factor
    return tuple(found)


MILLISECONDS: Final = exponential(0.001, 2, 15)
TENTHS: Final = exponential(0.0001, 2, 12)
FINE: Final = exponential(0.00001, 1.5, 20)
LONG: Final = exponential(0.01, 2, 20)

FAMILIES: Final = {
    "leader_election_master_status": Family(
        "gauge", "ALPHA",
        "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' is the string used to identify the lease. Please make sure to group by name.",
        ("name",),
    ),
    "scheduler_cache_size": Family(
        "gauge", "ALPHA", "Number of nodes, pods, and assumed (bound) pods in the scheduler cache.", ("type",),
    ),
    "scheduler_event_handling_duration_seconds": Family(
        "histogram", "ALPHA", "Event handling latency in seconds.", ("event",), TENTHS,
    ),
    "scheduler_framework_extension_point_duration_seconds": Family(
        "histogram", "STABLE", "Latency for running all plugins of a specific extension point.",
        ("extension_point", "profile", "status"), TENTHS,
    ),
    "scheduler_goroutines": Family(
        "gauge", "BETA", "Number of running goroutines split by the work they do such as binding.", ("operation",),
    ),
    "scheduler_inflight_events": Family(
        "gauge", "ALPHA", "Number of events currently tracked in the scheduling queue.", ("event",),
    ),
    "scheduler_pending_pods": Family(
        "gauge", "STABLE",
        "Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' means number of pods in backoffQ; 'unschedulable' means number of pods in unschedulablePods that the scheduler attempted to schedule and failed; 'gated' is the number of unschedulable pods that the scheduler never attempted to schedule because they are gated.",
        ("queue",),
    ),
    "scheduler_permit_wait_duration_seconds": Family(
        "histogram", "BETA", "Duration of waiting on permit.", ("result",), MILLISECONDS,
    ),
    "scheduler_plugin_execution_duration_seconds": Family(
        "histogram", "ALPHA", "Duration for running a plugin at a specific extension point.",
        ("extension_point", "plugin", "status"), FINE,
    ),
    "scheduler_pod_scheduled_after_flush_total": Family(
        "counter", "ALPHA",
        "Number of pods that were successfully scheduled after being flushed from unschedulablePods due to timeout. This metric helps detect potential queueing hint misconfigurations or event handling issues.",
    ),
    "scheduler_pod_scheduling_attempts": Family(
        "histogram", "STABLE", "Number of attempts to successfully schedule a pod.", (), exponential(1, 2, 5),
    ),
    "scheduler_pod_scheduling_sli_duration_seconds": Family(
        "histogram", "BETA",
        "E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue and might involve multiple scheduling attempts.",
        ("attempts",), LONG,
    ),
    "scheduler_preemption_attempts_total": Family(
        "counter", "STABLE", "Total preemption attempts in the cluster till now",
    ),
    "scheduler_preemption_goroutines_duration_seconds": Family(
        "histogram", "ALPHA", "Duration in seconds for running goroutines for the preemption.", ("result",), LONG,
    ),
    "scheduler_preemption_goroutines_execution_total": Family(
        "counter", "ALPHA", "Number of preemption goroutines executed.", ("result",),
    ),
    "scheduler_preemption_victims": Family(
        "histogram", "STABLE", "Number of selected preemption victims", (), exponential(1, 2, 7),
    ),
    "scheduler_queue_incoming_pods_total": Family(
        "counter", "STABLE", "Number of pods added to scheduling queues by event and queue type.", ("event", "queue"),
    ),
    "scheduler_schedule_attempts_total": Family(
        "counter", "STABLE",
        "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an internal scheduler problem.",
        ("profile", "result"),
    ),
    "scheduler_scheduling_algorithm_duration_seconds": Family(
        "histogram", "ALPHA", "Scheduling algorithm latency in seconds", (), MILLISECONDS,
    ),
    "scheduler_scheduling_attempt_duration_seconds": Family(
        "histogram", "STABLE", "Scheduling attempt latency in seconds (scheduling algorithm + binding)",
        ("profile", "result"), MILLISECONDS,
    ),
    "scheduler_unschedulable_pods": Family(
        "gauge", "BETA",
        "The number of unschedulable pods broken down by plugin name. A pod will increment the gauge for all plugins that caused it to not schedule and so this metric have meaning only when broken down by plugin.",
        ("plugin", "profile"),
    ),
}  # fmt: skip
