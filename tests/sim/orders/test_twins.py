"""Every order does what its slow twin does, on random small traces."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.naive.orders import conservative, easy, preemptive, sorted_queue
from tests.naive.orders.clock import Pod
from tests.sim.orders.small import SCORES, Case, cases, expected, happened

pytestmark = pytest.mark.differential

scores = st.sampled_from(sorted(SCORES))
THRESHOLDS = [5, 20]


@settings(max_examples=60)
@given(cases(), scores, st.sampled_from(["fifo", "queue", "sjf"]), st.booleans())
def test_sorted_queues_with_gangs(case: Case, score: str, order: str, strict: bool) -> None:
    if not case.gang or len({one.unit for one in case.pods}) == len(case.pods):
        return
    simulation = case.simulation(order, score, strict=strict)
    simulation.run()
    twin = case.twin(score)
    twin.run(lambda: sorted_queue.decide(twin, order, strict))
    assert happened(simulation) == expected(twin)


@settings(max_examples=100)
@given(cases(), scores)
def test_easy_backfill(case: Case, score: str) -> None:
    simulation = case.simulation("easy", score)
    simulation.run()
    twin = case.twin(score)
    twin.run(lambda: easy.decide(twin))
    assert happened(simulation) == expected(twin)


@settings(max_examples=100)
@given(cases(), scores)
def test_conservative_backfill(case: Case, score: str) -> None:
    simulation = case.simulation("conservative", score)
    simulation.run()
    twin = case.twin(score)
    book = conservative.Book(twin)
    twin.run(book.decide, book.timer)
    assert happened(simulation) == expected(twin)


def test_a_gang_that_had_room_at_no_time_asks_again_when_somebody_has_ended() -> None:
    sizes = [(1, 1, 0)] * 6 + [(3, 1, 0), (2, 2, 1), (2, 2, 1)] + [(1, 1, 0)] * 6 + [(2, 1, 2), (1, 1, 1)]
    units = [0, 0, 0, 0, 1, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6]
    pods = [
        Pod(index, unit, cpu, memory, 0, work, -1, 0)
        for index, (unit, (cpu, memory, work)) in enumerate(zip(units, sizes, strict=True))
    ]
    case = Case([(4, 3, 2), (5, 3, 2)], pods, gang=True)
    simulation = case.simulation("conservative")
    simulation.run()
    twin = case.twin()
    book = conservative.Book(twin)
    twin.run(book.decide, book.timer)
    assert happened(simulation) == expected(twin)
    assert happened(simulation)[6] == ("completed", "node-1", 1, 1, 1, 0), (
        "it lies beside the last unit's pod"
    )


@settings(max_examples=80)
@given(cases(), scores, st.booleans())
def test_shortest_remaining_time_first(case: Case, score: str, resume: bool) -> None:
    simulation = case.simulation("srtf", score, preempted="resume" if resume else "restart")
    simulation.run()
    twin = case.twin(score, resume)
    twin.run(functools.partial(preemptive.decide, twin, functools.partial(preemptive.remaining, twin)))
    assert happened(simulation) == expected(twin)


@settings(max_examples=80)
@given(cases(), scores)
def test_least_attained_service(case: Case, score: str) -> None:
    simulation = case.simulation("las", score, thresholds=THRESHOLDS)
    simulation.run()
    twin = case.twin(score)
    key = functools.partial(preemptive.service, twin, thresholds=THRESHOLDS)
    twin.run(functools.partial(preemptive.decide, twin, key), lambda: preemptive.next_fall(twin, THRESHOLDS))
    assert happened(simulation) == expected(twin)
