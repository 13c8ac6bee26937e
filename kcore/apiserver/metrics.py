"""What ``/metrics`` says, under upstream's names, with its stability levels and help texts.

Every label is one of a few: what a client makes up (paths, methods, resources that are not) is never a label, so that
nobody can make this grow.

Source: apiserver pkg/endpoints/metrics/metrics.go, pkg/storage/etcd3/metrics, component-base of Kubernetes 1.36.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from kcore.api.rows import Row
from kcore.apiserver.request import RequestInfo

KIND: Final = b"text/plain; version=0.0.4; charset=utf-8"
DURATIONS: Final = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip

SIZES: Final = tuple(1000 * 10**power for power in range(7))
REPORTED: Final = {
    "get": "GET", "list": "LIST", "watch": "WATCH", "create": "POST", "update": "PUT", "patch": "PATCH",
    "delete": "DELETE", "deletecollection": "DELETE", "head": "GET", "post": "POST", "put": "PUT",
}  # fmt: skip
CONNECTS: Final = frozenset({"log", "exec", "proxy", "attach", "portforward"})
OTHER: Final = "other"  # a method that is none of HTTP's
WATCH: Final = "WATCH"

Labels = tuple[str, ...]
Storing = tuple[str, str, str]  # operation, group, resource


class Family(NamedTuple):
    """One metric: its Prometheus type, upstream's stability level ("" none) and help, and its labels."""

    kind: str
    stability: str
    help: str
    labels: tuple[str, ...] = ()


WHERE: Final = ("group", "version", "resource", "subresource", "scope", "component")
FAMILIES: Final = {
    "apiserver_request_total": Family(
        "counter", "STABLE",
        "Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.",
        ("verb", "dry_run", *WHERE, "code"),
    ),
    "apiserver_request_duration_seconds": Family(
        "histogram", "STABLE",
        "Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.",
        ("verb", "dry_run", *WHERE),
    ),
    "apiserver_response_sizes": Family(
        "histogram", "STABLE",
        "Response size distribution in bytes for each group, version, verb, resource, subresource, scope and component.",
        ("verb", *WHERE),
    ),
    "apiserver_current_inflight_requests": Family(
        "gauge", "STABLE",
        "Maximal number of currently used inflight request limit of this apiserver per request kind in last second.",
        ("request_kind",),
    ),
    "apiserver_longrunning_requests": Family(
        "gauge", "STABLE",
        "Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not all requests are tracked this way.",
        ("verb", *WHERE),
    ),
    "apiserver_watch_events_total": Family(
        "counter", "ALPHA", "Number of events sent in watch clients", ("group", "version", "resource")
    ),
    "apiserver_request_terminations_total": Family(
        "counter", "ALPHA", "Number of requests which apiserver terminated in self-defense.",
        ("verb", *WHERE, "code"),
    ),
    "apiserver_storage_objects": Family(
        "gauge", "STABLE",
        "(Deprecated since 1.34.0) [DEPRECATED, consider using apiserver_resource_objects instead] Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be -1.",
        ("resource",),
    ),
    "apiserver_resource_objects": Family(
        "gauge", "ALPHA",
        "Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be -1.",
        ("group", "resource"),
    ),
    "etcd_request_duration_seconds": Family(
        "histogram", "ALPHA", "Etcd request latency in seconds for each operation and object type.",
        ("operation", "group", "resource"),
    ),
    "etcd_requests_total": Family(
        "counter", "ALPHA", "Etcd request counts for each operation and object type.",
        ("operation", "group", "resource"),
    ),
    "etcd_request_errors_total": Family(
        "counter", "ALPHA", "Etcd failed request counts for each operation and object type.",
        ("operation", "group", "resource"),
    ),
    "kubernetes_build_info": Family(
        "gauge", "BETA",
        "A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree state, build date, Go version, and compiler from which Kubernetes was built, and platform on which it is running.",
        (
            "major", "minor", "git_version", "git_commit", "git_tree_state", "build_date", "go_version", "compiler",
            "platform",
        ),
    ),
    "process_cpu_seconds_total": Family("counter", "", "Total user and system CPU time spent in seconds."),
    "process_max_fds": Family("gauge", "", "Maximum number of open file descriptors."),
    "process_open_fds": Family("gauge", "", "Number of open file descriptors."),
    "process_resident_memory_bytes": Family("gauge", "", "Resident memory size in bytes."),
    "process_virtual_memory_bytes": Family("gauge", "", "Virtual memory size in bytes."),
    "process_start_time_seconds": Family(
        "gauge", "ALPHA", "Start time of the process since unix epoch in seconds."
    ),
}  # fmt: skip


class Histogram:
    """Observations counted by the bounds below which they are."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


Counted = tuple[Labels, Labels | None, Histogram | None, Histogram | None]
"""The labels of a request and of its termination, its durations and sizes."""


class Metrics:
    """Counts of one server, ``build`` being what ``/version`` says. Methods are called on every request, hence dicts."""

    def __init__(self, build: Mapping[str, str]) -> None:
        self.started_s = time.time()
        self.requests: dict[Labels, int] = {}
        self.durations: dict[Labels, Histogram] = {}
        self.sizes: dict[Labels, Histogram] = {}
        self.inflight = {"readOnly": 0, "mutating": 0}
        self.longrunning: dict[Labels, int] = {}
        self.terminated: dict[Labels, int] = {}
        self.watch_events: dict[Labels, int] = {}
        self.storing: dict[Storing, Histogram] = {}
        self.failures: dict[Storing, int] = {}
        # what each kind of answer is counted by: as many as there are labels
        self._counted: dict[tuple[object, ...], Counted] = {}
        self.build = build

    def answered(
        self, info: RequestInfo, code: int, seconds: float, *, served: bool, dry_run: str = "", size: int = 0,
        applies: bool = False,
    ) -> None:  # fmt: skip
        """One request is over. ``served``: a row serves what it asked for, else its words are not repeated here."""
        where = (
            info.verb, info.api_group, info.api_version, info.resource, info.subresource, not info.name,
            not info.namespace, code, dry_run, served, applies,
        )  # fmt: skip
        counted = self._counted.get(where)
        if counted is None:
            counted = self._counters(self._what(info, served, applies), code, dry_run)
            if served:  # else its words are the client's
                self._counted[where] = counted
        key, terminated, durations, sizes = counted
        self.requests[key] += 1
        if terminated is not None:
            self.terminated[terminated] += 1
        if durations is not None:
            durations.observe(seconds)
        if sizes is not None:
            sizes.observe(size)

    def _counters(self, what: Labels, code: int, dry_run: str) -> Counted:
        """What an answer of that kind is counted by; all of it is there."""
        verb = what[0]
        key = (verb, dry_run, *what[1:], str(code))
        self.requests.setdefault(key, 0)
        terminated = None
        if code == 429 or code == 504:
            terminated = (*what, str(code))
            self.terminated.setdefault(terminated, 0)
        durations = sizes = None
        if verb != WATCH:
            durations = self.durations.setdefault(key[:-1], Histogram(DURATIONS))
            if verb == "GET" or verb == "LIST":
                sizes = self.sizes.setdefault(what, Histogram(SIZES))
        return key, terminated, durations, sizes

    def _what(self, info: RequestInfo, served: bool, applies: bool) -> Labels:
        """Verb, group, version, resource, subresource, scope, component."""
        verb = REPORTED.get(info.verb) or (info.verb.upper() if info.verb in ("patch", "options") else OTHER)
        if not served or not info.is_resource_request:
            return (verb, "", "", "", "", "", "apiserver")
        if applies:
            verb = "APPLY"
        elif info.subresource in CONNECTS:
            verb = "CONNECT"
        named = info.name or info.verb == "create"
        scope = "resource" if named else "namespace" if info.namespace else "cluster"
        return (
            verb, info.api_group, info.api_version, info.resource, info.subresource, scope, "apiserver",
        )  # fmt: skip

    def watch_began(self, row: Row, scope: str) -> None:
        """A watch is open."""
        key = (WATCH, row.group, row.version, row.plural, "", scope, "apiserver")
        self.longrunning[key] = self.longrunning.get(key, 0) + 1

    def watch_ended(self, row: Row, scope: str, event_count: int) -> None:
        """A watch is over, that many events after it began."""
        self.longrunning[WATCH, row.group, row.version, row.plural, "", scope, "apiserver"] -= 1
        key = (row.group, row.version, row.plural)
        self.watch_events[key] = self.watch_events.get(key, 0) + event_count

    def stored(self, operation: str, row: Row, seconds: float, failed: bool) -> None:
        """The store has answered."""
        key = (operation, row.group, row.plural)
        histogram = self.storing.get(key)
        if histogram is None:
            histogram = self.storing[key] = Histogram(DURATIONS)
        histogram.observe(seconds)
        if failed:
            self.failures[key] = self.failures.get(key, 0) + 1

    def page(
        self, objects: Mapping[tuple[str, str], int], watching: Iterable[tuple[Labels, int]] = ()
    ) -> bytes:
        """All of it as Prometheus reads it.

        ``objects``: how many there are by group and plural. ``watching``: group, version and resource of each open watch,
        and the events that it has sent.
        """
        events = dict(self.watch_events)
        for key, count in watching:
            events[key] = events.get(key, 0) + count
        lines: list[str] = []
        _values(lines, "apiserver_request_total", self.requests)
        _histograms(lines, "apiserver_request_duration_seconds", self.durations)
        _histograms(lines, "apiserver_response_sizes", self.sizes)
        inflight = {(kind,): count for kind, count in self.inflight.items()}
        _values(lines, "apiserver_current_inflight_requests", inflight)
        _values(lines, "apiserver_longrunning_requests", self.longrunning)
        _values(lines, "apiserver_watch_events_total", events)
        _values(lines, "apiserver_request_terminations_total", self.terminated)
        named = {
            (f"{plural}.{group}" if group else plural,): count for (group, plural), count in objects.items()
        }
        _values(lines, "apiserver_storage_objects", named)
        _values(lines, "apiserver_resource_objects", objects)
        _histograms(lines, "etcd_request_duration_seconds", self.storing)
        _values(lines, "etcd_requests_total", {key: sum(each.counts) for key, each in self.storing.items()})
        _values(lines, "etcd_request_errors_total", self.failures)
        build = tuple(self.build.get(name, "") for name in BUILD_NAMES)
        _values(lines, "kubernetes_build_info", {build: 1})
        for name, value in self._process():
            _values(lines, name, {(): value})
        return ("\n".join(lines) + "\n").encode()

    def _process(self) -> list[tuple[str, float]]:
        times = os.times()
        found: list[tuple[str, float]] = [("process_cpu_seconds_total", round(times.user + times.system, 2))]
        if sys.platform == "linux":
            with open("/proc/self/statm", encoding="ascii") as file:
                pages = [int(each) for each in file.read().split()[:2]]
            page_bytes = os.sysconf("SC_PAGE_SIZE")
            found += [
                ("process_max_fds", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
                ("process_open_fds", len(os.listdir("/proc/self/fd"))),
                ("process_resident_memory_bytes", pages[1] * page_bytes),
                ("process_virtual_memory_bytes", pages[0] * page_bytes),
            ]
        return [*found, ("process_start_time_seconds", round(self.started_s, 2))]


BUILD_NAMES: Final = (
    "major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform",
)  # fmt: skip


def _head(lines: list[str], name: str) -> Family:
    family = FAMILIES[name]
    said = f"[{family.stability}] {family.help}" if family.stability else family.help
    lines += (f"# HELP {name} {said}", f"# TYPE {name} {family.kind}")
    return family


def _values(lines: list[str], name: str, values: Mapping[Any, float]) -> None:
    """A metric without values is not there, as upstream's."""
    if not values:
        return
    family = _head(lines, name)
    for labels, value in values.items():
        lines.append(f"{name}{_labels(zip(family.labels, labels, strict=True))} {value}")


def _histograms(lines: list[str], name: str, values: Mapping[Any, Histogram]) -> None:
    if not values:
        return
    family = _head(lines, name)
    for labels, histogram in values.items():
        pairs = list(zip(family.labels, labels, strict=True))
        total = 0
        for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
            total += count
            text = bound if isinstance(bound, str) else f"{bound:g}"
            lines.append(f"{name}_bucket{_labels([*pairs, ('le', text)])} {total}")
        said = _labels(pairs)
        lines += (f"{name}_sum{said} {histogram.sum:.9g}", f"{name}_count{said} {total}")


def _labels(pairs: Iterable[tuple[str, str]]) -> str:
    """The labels in the order of their names, ``le`` last."""
    ordered = sorted(pairs, key=lambda pair: (pair[0] == "le", pair[0]))
    said = ",".join(f'{name}="{_escaped(value)}"' for name, value in ordered)
    return f"{{{said}}}" if said else ""


def _escaped(text: str) -> str:
    if text.isalnum():
        return text
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
