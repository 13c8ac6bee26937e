"""The queue against its twin: whatever happens in whatever order, both have every pod in the same place."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kcore.online.events import Event
from kcore.online.queue import SchedulingQueue
from tests.naive.scheduling_queue import Queue

PLUGINS = ("NodeResourcesFit", "NodeAffinity", "TaintToleration", "InterPodAffinity", "NodeName")
EVENTS = (
    Event.NODE_ADD, Event.NODE_LABEL, Event.NODE_TAINT, Event.POD_GONE, Event.POD_LABEL, Event.NODE_IMAGES,
    Event.NODE_ADD | Event.POD_SCALED_DOWN, Event.NODE_DELETE,
)  # fmt: skip
STEPS_MS = (0, 1, 10, 250, 999, 1_000, 1_700, 5_000, 31_000, 200_000)


def pod(name: str, draw: random.Random) -> dict[str, Any]:
    spec: dict[str, Any] = {"priority": draw.choice((0, 0, 0, 5, 9))}
    if draw.random() < 0.2:
        spec["schedulingGates"] = [{"name": "x"}]
    if draw.random() < 0.3:
        spec["tolerations"] = [{"operator": "Exists"}]
    return {"metadata": {"name": name}, "spec": spec}


class Both:
    """The queue and its twin, which are asked the same."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        initial_ms, max_ms = self.draw.choice(((1_000, 10_000), (500, 3_000), (7_000, 60_000)))
        self.queue = SchedulingQueue(initial_backoff_ms=initial_ms, max_backoff_ms=max_ms)
        self.twin = Queue(initial_ms, max_ms)
        self.now_ms = 0

    def put(self, name: str) -> None:
        obj = pod(name, self.draw)
        known = self.queue.get(name)
        if known is not None:  # neither priority nor gates come later
            obj["spec"]["priority"] = known.obj["spec"]["priority"]
            if not known.obj["spec"].get("schedulingGates"):
                obj["spec"].pop("schedulingGates", None)
        self.queue.put(name, obj, self.now_ms)
        self.twin.put(name, obj, self.now_ms)

    def pop(self) -> None:
        count = self.draw.choice((1, 2, 5))
        popped = [one.key for one in self.queue.pop(count, self.now_ms)]
        assert popped == self.twin.pop(count, self.now_ms)

    def answer(self) -> None:
        flying = [one for one in self.queue.waiting() if one.place == "in flight"]
        if not flying:
            return
        known = self.draw.choice(flying)
        if self.draw.random() < 0.25:
            self.queue.failed(known, self.now_ms)
            self.twin.failed(known.key, self.now_ms)
            return
        plugins = set(self.draw.sample(PLUGINS, self.draw.choice((1, 2))))
        self.queue.unschedulable(known, plugins, self.now_ms)
        self.twin.unschedulable(known.key, plugins, self.now_ms)

    def happen(self) -> None:
        event = self.draw.choice(EVENTS)
        self.queue.happened(event, self.now_ms)
        self.twin.happened(event, self.now_ms)

    def delete(self, name: str) -> None:
        self.queue.delete(name)
        self.twin.delete(name)

    def activate(self, name: str) -> None:
        self.queue.activate(name, self.now_ms)
        self.twin.activate(name)

    def step(self) -> None:
        self.now_ms += self.draw.choice(STEPS_MS)
        name = f"p{self.draw.randrange(8)}"
        what = self.draw.random()
        if what < 0.2:
            self.put(name)
        elif what < 0.45:
            self.pop()
        elif what < 0.75:
            self.answer()
        elif what < 0.92:
            self.happen()
        elif what < 0.96:
            self.activate(name)
        else:
            self.delete(name)

    def check(self) -> None:
        there = {one.key: one.place for one in self.queue.waiting()}
        assert there == {key: one.place for key, one in self.twin.pods.items()}
        for place, count in self.queue.counts.items():
            assert count == len(self.twin.at(place)), place
        if not self.queue.counts["in flight"]:
            assert self.queue.kept_count == 0
        due_ms = self.queue.next_ms()
        pausing = [self.twin.expiry(one) + 1_000 for one in self.twin.at("backoff")]
        assert not pausing or (due_ms is not None and due_ms <= min(pausing))


@pytest.mark.differential
@pytest.mark.parametrize("seed", range(30))
def test_the_queue_is_what_its_twin_is(seed: int) -> None:
    both = Both(seed)
    for _ in range(150):
        both.step()
        both.check()
