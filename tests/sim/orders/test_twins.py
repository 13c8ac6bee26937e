"""Every order does what its slow twin does, on random small traces."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.naive.orders import conservative, easy, preemptive, sorted_queue
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
