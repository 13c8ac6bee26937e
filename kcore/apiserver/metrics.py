"""What ``/metrics`` says, under upstream's names.

Source: apiserver pkg/endpoints/metrics/metrics.go, component-base of Kubernetes 1.36.
"""

from __future__ import annotations

import os
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Final

from kcore.api.rows import Row
from kcore.apiserver.request import RequestInfo

KIND: Final = b"text/plain; version=0.0.4; charset=utf-8"
DURATIONS: Final = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip

_CODES: Final = {code: str(code) for code in range(100, 600)}

Labels = tuple[str, ...]


class Metrics:
    """Counts of one server. Methods are called on every request, hence plain dicts."""

    def __init__(self) -> None:
        self.started_s = time.time()
        self.requests: dict[Labels, int] = {}
        self.durations: dict[Labels, list[float]] = {}
        self.inflight = {"readOnly": 0, "mutating": 0}
        self.longrunning: dict[Labels, int] = {}
        self.dropped: dict[Labels, int] = {}
        self.watch_events: dict[Labels, int] = {}
        self.gauges: list[Callable[[], Mapping[tuple[str, str], float]]] = []

    def answered(self, info: RequestInfo, code: int, seconds: float, *, dry_run: bool = False) -> None:
        """One request is over."""
        verb = info.verb.upper()
        scope = (
            "" if not info.is_resource_request
            else "resource" if info.name
            else "namespace" if info.namespace
            else "cluster"
        )  # fmt: skip
        what = (info.api_group, info.resource, scope, info.subresource, verb, info.api_version)
        dry = "All" if dry_run else ""
        key = (*what, _CODES.get(code) or str(code), dry)
        self.requests[key] = self.requests.get(key, 0) + 1
        if verb == "WATCH":
            return
        histogram = self.durations.get(what)
        if histogram is None:
            histogram = self.durations[what] = [0.0] * (len(DURATIONS) + 2)
        histogram[bisect_left(DURATIONS, seconds)] += 1
        histogram[-1] += seconds

    def watch_began(self, row: Row) -> None:
        """A watch is open."""
        key = (row.group, row.plural, row.version)
        self.longrunning[key] = self.longrunning.get(key, 0) + 1

    def watch_ended(self, row: Row) -> None:
        """A watch is over."""
        self.longrunning[row.group, row.plural, row.version] -= 1

    def page(self, objects: Mapping[tuple[str, str], int]) -> bytes:
        """All of it as Prometheus reads it. ``objects``: how many there are by group and plural."""
        lines: list[str] = []
        _head(
            lines,
            "apiserver_request_total",
            "counter",
            "Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.",
        )
        for (group, resource, scope, sub, verb, version, code, dry), count in self.requests.items():
            said = _labels(
                code=code,
                component="apiserver",
                dry_run=dry,
                group=group,
                resource=resource,
                scope=scope,
                subresource=sub,
                verb=verb,
                version=version,
            )
            lines.append(f"apiserver_request_total{said} {count}")
        self._durations(lines)
        self._gauges(lines, objects)
        self._process(lines)
        return ("\n".join(lines) + "\n").encode()

    def _gauges(self, lines: list[str], objects: Mapping[tuple[str, str], int]) -> None:
        _head(
            lines,
            "apiserver_current_inflight_requests",
            "gauge",
            "Maximal number of currently used inflight request limit of this apiserver per request kind in last second.",
        )
        for kind, count in self.inflight.items():
            lines.append(f"apiserver_current_inflight_requests{_labels(request_kind=kind)} {count}")
        _head(
            lines,
            "apiserver_longrunning_requests",
            "gauge",
            "Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not all requests are tracked this way.",
        )
        for (group, resource, version), count in self.longrunning.items():
            said = _labels(
                component="apiserver",
                group=group,
                resource=resource,
                scope="cluster",
                subresource="",
                verb="WATCH",
                version=version,
            )
            lines.append(f"apiserver_longrunning_requests{said} {count}")
        _head(
            lines,
            "apiserver_dropped_requests_total",
            "counter",
            "Number of requests dropped with 'Try again later' response",
        )
        for (kind,), count in self.dropped.items():
            lines.append(f"apiserver_dropped_requests_total{_labels(request_kind=kind)} {count}")
        _head(
            lines,
            "apiserver_storage_objects",
            "gauge",
            "Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be -1.",
        )
        for (group, plural), count in objects.items():
            name = f"{plural}.{group}" if group else plural
            lines.append(f"apiserver_storage_objects{_labels(resource=name)} {count}")

    def _durations(self, lines: list[str]) -> None:
        name = "apiserver_request_duration_seconds"
        _head(
            lines,
            name,
            "histogram",
            "Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.",
        )
        for (group, resource, scope, sub, verb, version), histogram in self.durations.items():
            labels = {
                "component": "apiserver",
                "dry_run": "",
                "group": group,
                "resource": resource,
                "scope": scope,
                "subresource": sub,
                "verb": verb,
                "version": version,
            }
            total = 0
            for bound, count in zip((*DURATIONS, "+Inf"), histogram, strict=False):
                total += int(count)
                lines.append(f"{name}_bucket{_labels(**labels, le=str(bound))} {total}")
            lines.append(f"{name}_sum{_labels(**labels)} {histogram[-1]:.9g}")
            lines.append(f"{name}_count{_labels(**labels)} {total}")

    def _process(self, lines: list[str]) -> None:
        times = os.times()
        _head(
            lines, "process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds."
        )
        lines.append(f"process_cpu_seconds_total {times.user + times.system:.2f}")
        _head(
            lines,
            "process_start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
        )
        lines.append(f"process_start_time_seconds {self.started_s:.2f}")
        if sys.platform == "linux":
            with open("/proc/self/statm", encoding="ascii") as file:
                resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            _head(lines, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.")
            lines.append(f"process_resident_memory_bytes {resident}")


def _head(lines: list[str], name: str, kind: str, text: str) -> None:
    lines += (f"# HELP {name} [STABLE] {text}", f"# TYPE {name} {kind}")


def _labels(**labels: str) -> str:
    said = ",".join(
        f'{name}="{value}"' if value.isalnum() else f'{name}="{_escaped(value)}"'
        for name, value in labels.items()
    )
    return f"{{{said}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
