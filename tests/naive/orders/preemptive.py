"""Shortest remaining time first, and least attained service."""

from __future__ import annotations

from collections.abc import Callable

from tests.naive.orders.clock import FOREVER, Pod, Simulator, has_room, lay_out

Key = Callable[[int], tuple[int, int]]


def remaining(sim: Simulator, unit: int) -> tuple[int, int]:
    """What is left, as the estimate says."""
    left = 0
    for pod in sim.pods:
        if pod.unit == unit and pod.status in ("waiting", "running"):
            length = pod.estimate if pod.estimate >= 0 else pod.work
            done = pod.work - pod.left + (sim.now - pod.start if pod.status == "running" else 0)
            left = max(left, length - done)
    return left, 0


def attained(sim: Simulator, unit: int) -> int:
    """Milli-GPU-ms that the unit has had."""
    had = 0
    for pod in sim.pods:
        if pod.unit == unit:
            spans = [end - start for start, end, _ in pod.runs]
            spans += [sim.now - pod.start] if pod.status == "running" else []
            had += pod.gpu_milli * sum(spans)
    return had


def service(sim: Simulator, unit: int, thresholds: list[int]) -> tuple[int, int]:
    """Its queue, and when it started first."""
    first = next(pod for pod in sim.pods if pod.unit == unit)
    starts = [start for start, _, _ in first.runs] + ([first.start] if first.start >= 0 else [])
    passed = sum(attained(sim, unit) >= 1000 * one for one in thresholds)
    return passed, min(starts, default=FOREVER)


def next_fall(sim: Simulator, thresholds: list[int]) -> int:
    """When a running unit comes to its next threshold, if anyone waits."""
    if not sim.units("waiting"):
        return FOREVER
    times = [FOREVER]
    for unit in sim.units("running"):
        had, rate = attained(sim, unit), sum(pod.gpu_milli for pod in sim.of(unit, "running"))
        above = [1000 * one - had for one in thresholds if 1000 * one > had]
        times += [sim.now + -(-above[0] // rate)] if above else []
    return min(times)


def decide(sim: Simulator, key: Key) -> None:
    """In order of the key: start where there is room, else in place of those that come later."""
    done: set[int] = set()
    while True:
        waiting = [unit for unit in sim.units("waiting") if unit not in done]
        if not waiting:
            return
        unit = min(waiting, key=lambda one: (key(one), one))
        done.add(unit)
        if not sim.try_start(unit):
            done -= drive_out(sim, unit, key)


def drive_out(sim: Simulator, unit: int, key: Key) -> set[int]:
    """Take the room of units that come later, the last first; those of them that still fit beside it stay."""
    later = sorted(
        (one for one in sim.units("running") if key(one) > key(unit)), key=lambda one: (key(one), one)
    )[::-1]
    pods = sim.of(unit, "waiting")
    off: list[int] = []
    nodes = {pod: pod.node for pod in sim.pods}
    for victim in later:
        off.append(victim)
        if lay_out(sim.room(without=lambda pod: pod.unit in off), pods) is None:
            continue
        _take_off(sim, off)
        if not sim.try_start(unit):
            _put_back(sim, off, nodes)
            continue
        gone = [one for one in reversed(off) if not _fits_again(sim, one, nodes)]
        for one in gone:
            for pod in sim.of(one, "running"):
                pod.node = nodes[pod]
                sim.evict(pod)
        return set(gone)
    return set()


def _take_off(sim: Simulator, units: list[int]) -> None:
    for unit in units:
        for pod in sim.of(unit, "running"):
            pod.node = None


def _put_back(sim: Simulator, units: list[int], nodes: dict[Pod, int | None]) -> None:
    for unit in units:
        for pod in sim.of(unit, "running"):
            pod.node = nodes[pod]


def _fits_again(sim: Simulator, unit: int, nodes: dict[Pod, int | None]) -> bool:
    for pod in sim.of(unit, "running"):
        node = nodes[pod]
        assert node is not None
        if not has_room(sim.room()[node], pod):
            _take_off(sim, [unit])
            return False
        pod.node = node
    return True
