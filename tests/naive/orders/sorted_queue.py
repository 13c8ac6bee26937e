"""Gangs in a sorted queue."""

from __future__ import annotations

from tests.naive.orders.clock import Simulator


def decide(sim: Simulator, order: str, strict: bool) -> None:
    """Each in its turn; whoever does not fit is passed over, or holds up the others."""

    def key(unit: int) -> tuple[int, ...]:
        pods = [pod for pod in sim.pods if pod.unit == unit]
        length = max(pod.estimate if pod.estimate >= 0 else pod.work for pod in pods)
        if order == "queue":
            return (-pods[0].priority, pods[0].queued)
        return (length, pods[0].queued) if order == "sjf" else (pods[0].queued,)

    for unit in sorted(sim.units("waiting"), key=key):
        if not sim.try_start(unit) and strict:
            return
