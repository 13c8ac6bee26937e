"""What the controller manager's ``/metrics`` says, under upstream's names, stability levels and help texts.

Source: component-base metrics/prometheus/controllers, component-base metrics/prometheus/workqueue and
clientgo/leaderelection of Kubernetes 1.36.
"""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from kcore.client.leases import LeaderElector
from kcore.components.queue_metrics import Queues
from kcore.controllers.driver import Driver
from kcore.controllers.node_lifecycle import NodeLifecycle, zone_of
from kcore.controllers.pods import condition

MANAGER = "kube-controller-manager"
LEADING = (
    "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' is "
    "the string used to identify the lease. Please make sure to group by name."
)


def metrics_page(elector: LeaderElector | None, driver: Driver | None, queues: Queues) -> bytes:
    """All of it as Prometheus reads it; ``driver`` is None where another leads."""
    return "".join(f"{line}\n" for line in _lines(elector, driver, queues)).encode()


def _lines(elector: LeaderElector | None, driver: Driver | None, queues: Queues) -> Iterator[str]:
    if elector is not None:
        rows = [(f'{{name="{MANAGER}"}}', float(elector.is_leader))]
        yield from _family("leader_election_master_status", "gauge", f"[ALPHA] {LEADING}", rows)
    if driver is not None:
        names = [loop.controller.name for loop in driver.loops]
        rows = [(f'{{manager="{MANAGER}",name="{name}"}}', 1.0) for name in names]
        text = "[ALPHA] Indicates where instances of a controller are currently running"
        yield from _family("running_managed_controllers", "gauge", text, rows)
        yield from _nodes(driver)
    yield from queues.lines()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = usage.ru_utime + usage.ru_stime
    yield from _family(
        "process_cpu_seconds_total",
        "counter",
        "Total user and system CPU time spent in seconds.",
        [("", seconds)],
    )
    yield from _family(
        "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", [("", float(_resident()))]
    )


def _nodes(driver: Driver) -> Iterator[str]:
    """Of each zone how many nodes there are, and how many of them are well (pkg/controller/nodelifecycle/metrics.go)."""
    if not any(isinstance(loop.controller, NodeLifecycle) for loop in driver.loops):
        return
    sizes: Counter[str] = Counter()
    ill: Counter[str] = Counter()
    for node in driver.view.list("nodes"):
        zone = zone_of(node)
        ready = condition(node, "Ready")
        sizes[zone] += 1
        ill[zone] += ready is None or ready["status"] != "True"
    for name, text, values in (
        ("unhealthy_nodes_in_zone", "Gauge measuring number of not Ready Nodes per zones.", ill),
        ("zone_health", "Gauge measuring percentage of healthy nodes per zone.",
         {zone: 100.0 * (count - ill[zone]) / count for zone, count in sizes.items()}),
        ("zone_size", "Gauge measuring number of registered Nodes per zones.", sizes),
    ):  # fmt: skip
        rows = [(f'{{zone="{zone}"}}', float(values[zone])) for zone in sorted(sizes)]
        yield from _family(f"node_collector_{name}", "gauge", f"[ALPHA] {text}", rows)


def _family(name: str, kind: str, text: str, rows: Sequence[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in rows:
        yield f"{name}{labels} {value:.15g}"


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )
    except OSError:
        return 0
