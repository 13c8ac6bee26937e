"""EASY backfill."""

from __future__ import annotations

from collections.abc import Callable

from tests.naive.orders.clock import Pod, Room, Simulator, has_room, lay_out, take


def reservation(sim: Simulator, unit: int) -> int | None:
    """The earliest expected end of a running pod at which the unit fits."""
    ends = {pod.expected_end(sim.now) for pod in sim.pods if pod.status == "running"}
    for at in sorted(ends):
        if lay_out(then(sim, at), sim.of(unit, "waiting")) is not None:
            return at
    return None


def then(sim: Simulator, at: int) -> Room:
    """What is free at a time to come, of pods that run now."""
    return sim.room(without=lambda pod: pod.status == "running" and pod.expected_end(sim.now) <= at)


def decide(sim: Simulator, told: dict[int, list[int]] | None = None) -> None:
    """``told[unit]`` gets every reservation that the unit is given."""
    queue = sim.queue()
    while queue:
        head = queue.pop(0)
        if sim.try_start(head):
            continue
        at = reservation(sim, head)
        if at is None:
            continue
        if told is not None:
            told.setdefault(head, []).append(at)
        backfill(sim, head, at, queue)
        return


def backfill(sim: Simulator, head: int, at: int, queue: list[int]) -> None:
    """Whoever ends by then may start anywhere, the others only where the head still fits."""
    pods = sim.of(head, "waiting")
    held: list[tuple[Pod, int]] = []
    if len({pod.kind for pod in pods}) > 1:
        # of different pods the places stay as they were planned
        nodes = lay_out(then(sim, at), pods)
        assert nodes is not None
        held = list(zip(pods, nodes, strict=True))
    for unit in queue:
        if sim.now + sim.length_of(unit) <= at:
            sim.try_start(unit)
        else:
            sim.try_start(unit, beside(sim, pods, held, at))


def beside(
    sim: Simulator, head: list[Pod], held: list[tuple[Pod, int]], at: int
) -> Callable[[Pod, int], bool]:
    """Whether the head still fits at that time if the pod is on the node."""

    def allowed(pod: Pod, node: int) -> bool:
        free = then(sim, at)
        for other, its in held:
            take(free, other, its)
        if not has_room(free[node], pod):
            return False
        take(free, pod, node)
        return bool(held) or lay_out(free, head) is not None

    return allowed
