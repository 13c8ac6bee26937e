"""What happens to the keys of each controller's queue, counted and told by upstream's names.

Source: component-base metrics/prometheus/workqueue, client-go util/workqueue/metrics.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from kcore.clock import REAL
from kcore.online.metrics import Histogram

BOUNDS: Final = tuple(1e-8 * 10**power for power in range(10))

UNFINISHED: Final = (
    "How many seconds of work has done that is in progress and hasn't been observed by work_duration. Large values "
    "indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which this increases."
)

# of controllers whose queue upstream calls otherwise than by their name without "-controller" and with underscores
QUEUES: Final[Mapping[str, str]] = {
    "bootstrap-signer-controller": "bootstrap_signer_queue",
    "certificatesigningrequest-approving-controller": "certificate",
    "certificatesigningrequest-signing-controller": "certificate_signing",
    "clusterrole-aggregation-controller": "ClusterRoleAggregator",
    "device-taint-eviction-controller": "device-taint-eviction-controller",
    "endpointslice-controller": "endpoint_slice",
    "endpointslice-mirroring-controller": "endpoint_slice_mirroring",
    "endpoints-controller": "endpoint",
    "garbage-collector-controller": "garbage_collector_attempt_to_delete",
    "horizontal-pod-autoscaler-controller": "horizontalpodautoscaler",
    "node-lifecycle-controller": "node_lifecycle_controller",
    "persistentvolume-attach-detach-controller": "pvcs",
    "persistentvolume-binder-controller": "claims",
    "persistentvolume-expander-controller": "volume_expand",
    "persistentvolume-protection-controller": "pvprotection",
    "persistentvolumeclaim-protection-controller": "pvcprotection",
    "pod-garbage-collector-controller": "orphaned_pods_nodes",
    "replicationcontroller-controller": "replicationmanager",
    "resourceclaim-controller": "resource_claim",
    "resourcequota-controller": "resourcequota_primary",
    "root-ca-certificate-publisher-controller": "root_ca_cert_publisher",
    "service-cidr-controller": "ipaddresses",
    "serviceaccount-token-controller": "serviceaccount_tokens_service",
    "taint-eviction-controller": "noexec_taint_pod",
    "ttl-after-finished-controller": "ttl_jobs_to_delete",
    "ttl-controller": "ttlcontroller",
    "volumeattributesclass-protection-controller": "vacprotection",
}


def queue_of(controller: str) -> str:
    """What the queue of the controller by that name is called."""
    return QUEUES.get(controller) or controller.removesuffix("-controller").replace("-", "_")


class QueueMetrics:
    """Of one queue."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._waiting: dict[Any, float] = {}  # key: since when
        self._working: dict[Any, float] = {}
        self.adds = self.retries = 0
        self.waits, self.works = Histogram(BOUNDS), Histogram(BOUNDS)

    def restart(self) -> None:
        """Nothing waits, and nobody works; the counts go on."""
        self._waiting.clear()
        self._working.clear()

    def added(self, key: Any) -> None:
        """The key waits."""
        self.adds += 1
        self._waiting.setdefault(key, self._now_s())

    def taken(self, key: Any) -> None:
        """Somebody works on the key."""
        now_s = self._working[key] = self._now_s()
        self.waits.observe(now_s - self._waiting.pop(key, now_s))

    def done(self, key: Any) -> None:
        """Nobody does any more."""
        now_s = self._now_s()
        self.works.observe(now_s - self._working.pop(key, now_s))

    def delayed(self) -> None:
        """A key is to wait for a time."""
        self.retries += 1

    @property
    def depth(self) -> int:
        """Keys that nobody has taken since they were added."""
        return len(self._waiting)

    @property
    def ages_s(self) -> Sequence[float]:
        """How long each key is being worked on."""
        now_s = self._now_s()
        return [now_s - since for since in self._working.values()]


class Queues:
    """Of all controllers that have run in this process."""

    def __init__(self, now_s: Callable[[], float] = REAL.monotonic_s) -> None:
        self._now_s = now_s
        self._queues: dict[str, QueueMetrics] = {}

    def of(self, controller: str) -> QueueMetrics:
        """The one of the controller by that name; what waited in an earlier queue of it is forgotten."""
        queue = self._queues.get(queue_of(controller))
        if queue is None:
            queue = self._queues[queue_of(controller)] = QueueMetrics(self._now_s)
        queue.restart()
        return queue

    def lines(self) -> Iterator[str]:
        """All of it as Prometheus reads it."""
        for name, kind, text, value in _FAMILIES:
            yield f"# HELP workqueue_{name} [BETA] {text}"
            yield f"# TYPE workqueue_{name} {kind}"
            for queue, metrics in sorted(self._queues.items()):
                found = value(metrics)
                if isinstance(found, Histogram):
                    yield from _buckets(f"workqueue_{name}", queue, found)
                else:
                    yield f'workqueue_{name}{{name="{queue}"}} {found:.15g}'


def _buckets(name: str, queue: str, found: Histogram) -> Iterator[str]:
    count = 0
    for bound, number in zip((*found.bounds, float("inf")), found.counts, strict=True):
        count += number
        text = "+Inf" if bound == float("inf") else f"{bound:.15g}"
        yield f'{name}_bucket{{name="{queue}",le="{text}"}} {count}'
    yield f'{name}_sum{{name="{queue}"}} {found.total:.15g}'
    yield f'{name}_count{{name="{queue}"}} {count}'


_FAMILIES: Final[Sequence[tuple[str, str, str, Callable[[QueueMetrics], float | Histogram]]]] = (
    ("adds_total", "counter", "Total number of adds handled by workqueue", lambda each: each.adds),
    ("depth", "gauge", "Current depth of workqueue", lambda each: each.depth),
    (
        "longest_running_processor_seconds", "gauge",
        "How many seconds has the longest running processor for workqueue been running.",
        lambda each: max(each.ages_s, default=0.0),
    ),
    (
        "queue_duration_seconds", "histogram",
        "How long in seconds an item stays in workqueue before being requested.", lambda each: each.waits,
    ),
    ("retries_total", "counter", "Total number of retries handled by workqueue", lambda each: each.retries),
    ("unfinished_work_seconds", "gauge", UNFINISHED, lambda each: sum(each.ages_s)),
    (
        "work_duration_seconds", "histogram", "How long in seconds processing an item from workqueue takes.",
        lambda each: each.works,
    ),
)  # fmt: skip
