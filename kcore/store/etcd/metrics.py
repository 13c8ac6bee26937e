"""/metrics: the text that Prometheus reads, under etcd's names, from the store's statistics and the port's counters."""

import os
import resource
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from kcore.store.etcd.rpc import CODE_NAMES
from kcore.store.etcd.server import Server
from kcore.store.etcd.services import Services
from kcore.store.face import Store
from kcore.store.histogram import Histogram

KIND: Final = b"text/plain; version=0.0.4; charset=utf-8"


class Metric(NamedTuple):
    """One series without labels; ``statistic`` is its name in ``Store.statistics``."""

    name: str
    kind: str
    statistic: str
    help: str


METRICS: Final = (
    Metric("etcd_server_has_leader", "gauge", "has_leader", "Whether or not a leader exists. 1 is existence, 0 is not."),
    Metric("etcd_server_is_leader", "gauge", "is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise."),
    Metric("etcd_server_is_learner", "gauge", "is_learner", "Whether or not this member is a learner. 1 if is, 0 otherwise."),
    Metric("etcd_server_leader_changes_seen_total", "counter", "leader_changes_seen", "The number of leader changes seen."),
    Metric("etcd_server_proposals_committed_total", "gauge", "proposals_committed", "The total number of consensus proposals committed."),
    Metric("etcd_server_proposals_applied_total", "gauge", "proposals_applied", "The total number of consensus proposals applied."),
    Metric("etcd_server_proposals_pending", "gauge", "proposals_pending", "The current number of pending proposals to commit."),
    Metric("etcd_server_proposals_failed_total", "counter", "proposals_failed", "The total number of failed proposals seen."),
    Metric("etcd_server_quota_backend_bytes", "gauge", "quota_bytes", "Current backend storage quota size in bytes."),
    Metric("etcd_debugging_server_lease_expired_total", "counter", "leases_expired", "The total number of expired leases."),
    Metric("etcd_mvcc_range_total", "counter", "ranges", "Total number of ranges seen by this member."),
    Metric("etcd_mvcc_put_total", "counter", "puts", "Total number of puts seen by this member."),
    Metric("etcd_mvcc_delete_total", "counter", "deletes", "Total number of deletes seen by this member."),
    Metric("etcd_mvcc_txn_total", "counter", "txns", "Total number of txns seen by this member."),
    Metric("etcd_debugging_mvcc_total_put_size_in_bytes", "gauge", "put_bytes", "The total size of put kv pairs seen by this member."),
    Metric("etcd_debugging_mvcc_keys_total", "gauge", "keys", "Total number of keys."),
    Metric("etcd_debugging_mvcc_current_revision", "gauge", "revision", "The current revision of store."),
    Metric("etcd_debugging_mvcc_compact_revision", "gauge", "compact_revision", "The revision of the last compaction in store."),
    Metric("etcd_mvcc_db_total_size_in_bytes", "gauge", "db_size_bytes", "Total size of the underlying database physically allocated in bytes."),
    Metric("etcd_mvcc_db_total_size_in_use_in_bytes", "gauge", "db_size_bytes", "Total size of the underlying database logically in use in bytes."),
    Metric("etcd_network_peer_sent_bytes_total", "counter", "peer_sent_bytes", "The total number of bytes sent to peers."),
    Metric("etcd_network_peer_received_bytes_total", "counter", "peer_received_bytes", "The total number of bytes received from peers."),
)  # fmt: skip

# name -> (name in ``Store.histograms``, help). What is a commit of etcd's backend is here the applying of a turn's
# entries to the state in memory: the time for which nothing else is answered.
HISTOGRAMS: Final = {
    "etcd_disk_wal_fsync_duration_seconds": ("fsync", "The latency distributions of fsync called by WAL."),
    "etcd_disk_backend_commit_duration_seconds": ("apply", "The latency distributions of commit called by backend."),
}  # fmt: skip


def sample(name: str, kind: str, text: str, rows: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """The lines of one series; rows are (labels in braces or nothing, value)."""
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in rows:
        yield f"{name}{labels} {value}"


def page(store: Store, services: Services, server: Server, health: dict[str, int], version: str) -> bytes:
    """The whole page."""
    statistics = store.statistics()
    lines: list[str] = []
    for metric in METRICS:
        if metric.statistic in statistics:
            lines += sample(metric.name, metric.kind, metric.help, [("", statistics[metric.statistic])])
    histograms = store.histograms()
    for name, (statistic, text) in HISTOGRAMS.items():
        if statistic in histograms:
            lines += distribution(name, text, histograms[statistic])
    rows: list[tuple[str, str, str, list[tuple[str, Any]]]] = [
        ("etcd_server_version", "gauge", "Which version is running. 1 for 'server_version' label with current version.", [(f'{{server_version="{version}"}}', 1)]),
        ("etcd_server_id", "gauge", "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.", [(f'{{server_id="{store.member_id:x}"}}', 1)]),
        ("etcd_server_health_success", "counter", "The total number of successful health checks", [("", health["true"])]),
        ("etcd_server_health_failures", "counter", "The total number of failed health checks", [("", health["false"])]),
        ("etcd_debugging_mvcc_watch_stream_total", "gauge", "Total number of watch streams.", [("", services.watches.stream_count)]),
        ("etcd_debugging_mvcc_watcher_total", "gauge", "Total number of watchers.", [("", services.watches.watch_count)]),
        ("etcd_network_client_grpc_received_bytes_total", "counter", "The total number of bytes received from grpc clients.", [("", server.listener.bytes_received)]),
        ("etcd_network_client_grpc_sent_bytes_total", "counter", "The total number of bytes sent to grpc clients.", [("", server.listener.bytes_sent)]),
        ("grpc_server_handled_total", "counter", "Total number of RPCs completed on the server, regardless of success or failure.", list(_handled(server))),
    ]  # fmt: skip
    for name, kind, text, values in rows:
        lines += sample(name, kind, text, values)
    lines += _process(server.started_s)
    return ("\n".join(lines) + "\n").encode()


def distribution(name: str, text: str, histogram: Histogram) -> Iterator[str]:
    """The lines of one histogram."""
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} histogram"
    for bound, count in histogram.buckets():
        yield f'{name}_bucket{{le="{bound}"}} {count}'
    yield f"{name}_sum {histogram.total}"
    yield f"{name}_count {histogram.count}"


def _handled(server: Server) -> Iterator[tuple[str, int]]:
    for (path, code), count in sorted(server.handled.items()):
        service, _, method = path.decode(errors="replace").strip("/").rpartition("/")
        kind = server.methods[path].kind
        labels = f'grpc_code="{CODE_NAMES[code]}",grpc_method="{method}",grpc_service="{service}",grpc_type="{kind}"'
        yield f"{{{labels}}}", count


def _process(started_s: float) -> Iterator[str]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    yield from sample(
        "process_cpu_seconds_total",
        "counter",
        "Total user and system CPU time spent in seconds.",
        [("", round(cpu, 2))],
    )
    yield from sample(
        "process_start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
        [("", round(started_s, 2))],
    )
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield from sample("process_max_fds", "gauge", "Maximum number of open file descriptors.", [("", limit)])
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            virtual, resident = file.read().split()[:2]
        pages = resource.getpagesize()
        yield from sample(
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory size in bytes.",
            [("", int(resident) * pages)],
        )
        yield from sample(
            "process_virtual_memory_bytes",
            "gauge",
            "Virtual memory size in bytes.",
            [("", int(virtual) * pages)],
        )
        descriptors = len(os.listdir("/proc/self/fd"))
        yield from sample(
            "process_open_fds", "gauge", "Number of open file descriptors.", [("", descriptors)]
        )
