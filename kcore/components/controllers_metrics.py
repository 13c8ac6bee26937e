"""What the controller manager's ``/metrics`` says, under upstream's names, stability levels and help texts.

Source: component-base metrics/prometheus/controllers, component-base metrics/prometheus/workqueue and
clientgo/leaderelection of Kubernetes 1.36.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

from kcore.client.leases import LeaderElector
from kcore.controllers.driver import Driver

MANAGER = "kube-controller-manager"
LEADING = (
    "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' is "
    "the string used to identify the lease. Please make sure to group by name."
)


def metrics_page(elector: LeaderElector | None, driver: Driver | None) -> bytes:
    """All of it as Prometheus reads it; ``driver`` is None where another leads."""
    return "".join(f"{line}\n" for line in _lines(elector, driver)).encode()


def _lines(elector: LeaderElector | None, driver: Driver | None) -> Iterator[str]:
    if elector is not None:
        rows = [(f'{{name="{MANAGER}"}}', float(elector.is_leader))]
        yield from _family("leader_election_master_status", "gauge", f"[ALPHA] {LEADING}", rows)
    if driver is not None:
        names = [loop.controller.name for loop in driver.loops]
        rows = [(f'{{manager="{MANAGER}",name="{name}"}}', 1.0) for name in names]
        text = "[ALPHA] Indicates where instances of a controller are currently running"
        yield from _family("running_managed_controllers", "gauge", text, rows)
        rows = [(f'{{name="{loop.controller.name}"}}', float(len(loop.queue))) for loop in driver.loops]
        yield from _family("workqueue_depth", "gauge", "[ALPHA] Current depth of workqueue", rows)
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
