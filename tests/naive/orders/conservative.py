"""Conservative backfill: a list of who is to be where from when until when."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.naive.orders.clock import FOREVER, Pod, Room, Simulator, lay_out


@dataclass
class Reservation:
    """A unit's nodes from ``begin`` to ``end``."""

    begin: int
    end: int
    nodes: list[tuple[Pod, int]] = field(default_factory=list)


@dataclass
class Book:
    """All reservations, by unit, and until when running pods were expected to be there."""

    sim: Simulator
    reserved: dict[int, Reservation] = field(default_factory=dict)
    until: dict[int, int] = field(default_factory=dict)  # by pod
    told: dict[int, int] = field(default_factory=dict)  # by unit: the first begin that it was told

    def timer(self) -> int:
        return min((one.begin for one in self.reserved.values()), default=FOREVER)

    # -- room in time

    def used(self) -> list[tuple[int, int, Pod, int]]:
        """(begin, end, pod, node) of all."""
        found = [
            (self.sim.now, self.until[pod.index], pod, pod.node)
            for pod in self.sim.pods
            if pod.status == "running" and pod.node is not None
        ]
        for one in self.reserved.values():
            found += [(one.begin, one.end, pod, node) for pod, node in one.nodes]
        return found

    def least(self, begin: int, end: int) -> Room:
        """The least that is free on each node at any moment from ``begin`` to ``end``."""
        used = self.used()
        moments = {begin} | {at for entry in used for at in entry[:2] if begin <= at < end}
        least = [list(one) for one in self.sim.capacity]
        for moment in moments:
            free = [list(one) for one in self.sim.capacity]
            for first, last, pod, node in used:
                if first <= moment < last:
                    free[node] = [free[node][0] - pod.cpu, free[node][1] - pod.memory, free[node][2] - 1]
            least = [
                [min(one, two) for one, two in zip(*pair, strict=True)]
                for pair in zip(least, free, strict=True)
            ]
        return least

    def earliest(self, unit: int, before: int) -> Reservation | None:
        pods, length = self.sim.of(unit, "waiting"), self.sim.length_of(unit)
        moments = {self.sim.now} | {at for entry in self.used() for at in entry[:2] if at > self.sim.now}
        for begin in sorted(one for one in moments if one < before):
            nodes = lay_out(self.least(begin, begin + length), pods)
            if nodes is not None:
                return Reservation(begin, begin + length, list(zip(pods, nodes, strict=True)))
        return None

    def reserve(self, unit: int) -> None:
        found = self.earliest(unit, FOREVER)
        self.reserved[unit] = found or Reservation(FOREVER, FOREVER)
        if found:
            self.told.setdefault(unit, found.begin)

    # -- decisions

    def decide(self) -> None:
        sim = self.sim
        running = [pod for pod in sim.pods if pod.status == "running"]
        ended = [pod for pod in sim.pods if pod.status == "ended" and pod.index in self.until]
        if any(self.until[pod.index] <= sim.now for pod in running):
            self.start_over(running)
        else:
            early = [pod for pod in ended if self.until[pod.index] > sim.now]
            for pod in ended:
                del self.until[pod.index]
            if early:
                self.compress()
        for unit in sim.queue():
            # one that had room at no time asks again when somebody has ended: pods may lie otherwise beside others
            if unit not in self.reserved or (ended and self.reserved[unit].begin >= FOREVER):
                self.reserve(unit)
        for unit in sim.queue():
            if self.reserved[unit].begin <= sim.now:
                self.start(unit)

    def start_over(self, running: list[Pod]) -> None:
        """Someone runs longer than was said: nothing that was planned holds."""
        self.reserved.clear()
        self.until = {pod.index: pod.expected_end(self.sim.now) for pod in running}

    def compress(self) -> None:
        for unit in self.sim.queue():
            kept = self.reserved.get(unit)
            if kept is None or kept.begin <= self.sim.now:
                continue
            del self.reserved[unit]
            self.reserved[unit] = self.earliest(unit, kept.begin) or kept

    def start(self, unit: int) -> None:
        sim = self.sim
        reservation = self.reserved.pop(unit)
        least = self.least(sim.now, reservation.end)

        def allowed(pod: Pod, node: int) -> bool:
            cpu, memory, pods = least[node]
            for other in sim.of(unit, "waiting"):
                if other.node == node:
                    cpu, memory, pods = cpu - other.cpu, memory - other.memory, pods - 1
            return cpu >= pod.cpu and memory >= pod.memory and pods >= 1

        started = sim.try_start(unit, allowed, [node for _, node in reservation.nodes])
        assert started, "what was reserved is there"
        for pod in sim.of(unit, "running"):
            self.until[pod.index] = pod.expected_end(sim.now)
