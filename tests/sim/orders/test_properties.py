"""What the orders promise, whatever the trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcore.sim import Simulation
from kcore.sim import timeline as names
from kcore.sim.orders import easy
from kcore.sim.orders.conservative import Conservative
from kcore.sim.orders.ground import Ground
from tests.sim.orders.small import Case, cases, happened

pytestmark = pytest.mark.differential

ORDERS = ("fifo", "sjf", "drf", "queue", "easy", "conservative", "srtf", "las")
SHORT = {"thresholds": "5ms,20ms"}


def first_start(simulation: Simulation, unit: int) -> int:
    """When the unit's first pod started."""
    driver = simulation._driver
    assert driver is not None
    return int(simulation.timeline.first_start[driver.ground.fleet.first[unit]])


@settings(max_examples=50)
@given(cases(exact=True, alike=True, priorities=False))
def test_easy_never_delays_the_head_beyond_its_reservation(case: Case) -> None:
    told: dict[int, int] = {}
    reserve = easy.reserve

    def listening(ground: Ground, unit: int) -> easy.Shadow | None:
        shadow = reserve(ground, unit)
        if shadow is not None:
            told.setdefault(unit, shadow.at)
        return shadow

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(easy, "reserve", listening)
        simulation = case.simulation("easy")
        simulation.run()
    for unit, at in told.items():
        assert first_start(simulation, unit) <= at


@settings(max_examples=50)
@given(cases(exact=True))
def test_conservative_keeps_every_promise(case: Case) -> None:
    told: dict[int, int] = {}
    simulation = case.simulation("conservative", "least")
    while not simulation.is_over and simulation.now_ms < 10_000:
        before = simulation.now_ms, int(simulation.timeline.clock[names.EVENTS])
        simulation.step()
        driver = simulation._driver
        assert driver is not None and isinstance(driver.discipline, Conservative)
        for unit, begin in driver.discipline.begin.items():
            told.setdefault(unit, begin)
        if before == (simulation.now_ms, int(simulation.timeline.clock[names.EVENTS])):
            break
    for unit, at in told.items():
        start = first_start(simulation, unit)
        assert at == names.FOREVER or 0 <= start <= at


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30)), min_size=1, max_size=10))
def test_srtf_completes_no_later_than_fifo_on_one_machine(jobs: list[tuple[int, int]]) -> None:
    from tests.naive.orders.clock import Pod

    ordered = sorted(jobs)
    start = ordered[0][0]
    pods = [Pod(at, at, 4, 1, submit - start, work, -1) for at, (submit, work) in enumerate(ordered)]
    case = Case([(4, 4, 110)], pods, False)
    means = [case.simulation(order).run().summary["jct_ms_mean"] for order in ("srtf", "fifo")]
    assert means[0] is not None and means[1] is not None
    assert means[0] <= means[1]


@settings(max_examples=60)
@given(cases(), st.sampled_from(ORDERS), st.booleans())
def test_gangs_never_start_in_part(case: Case, order: str, loses_a_node: bool) -> None:
    scenario: list[dict[str, Any]] = []
    if loses_a_node:
        scenario = [
            {"at": 5, "kind": "fail-node", "name": "node-0"},
            {"at": 12, "kind": "add-node", "name": "node-0"},
        ]
    simulation = case.simulation(order, scenario=scenario, **SHORT)
    unit = np.array([one.unit if case.gang else one.index for one in case.pods])
    for _ in range(500):
        simulation.step()
        status = simulation.timeline.status
        for one in np.unique(unit):
            ours = set(status[unit == one].tolist())
            assert not {names.RUNNING, names.WAITING} <= ours
        nodes = simulation.state.world().nodes
        assert (nodes.requested <= nodes.allocatable).all() and (nodes.pod_count <= nodes.pods_allowed).all()
        if simulation.is_over:
            break
    fits = [max(cpu for cpu, _, _ in case.nodes) for _ in case.pods]
    assert simulation.is_over and len(fits) == len(happened(simulation))


@settings(max_examples=60)
@given(cases(), st.sampled_from(ORDERS), st.integers(1, 12))
def test_a_fork_has_the_same_future(case: Case, order: str, events: int) -> None:
    whole = case.simulation(order, "least", **SHORT)
    whole.run()
    forked = case.simulation(order, "least", **SHORT)
    forked.step(events)
    other = forked.fork()
    other.run()
    assert happened(other) == happened(whole)
    forked.run()
    assert happened(forked) == happened(whole)


@settings(max_examples=30)
@given(cases(gangs=False, priorities=False), st.sampled_from(ORDERS))
def test_nothing_runs_longer_than_its_estimate_where_it_is_killed(case: Case, order: str) -> None:
    result = case.simulation(order, overrun="kill", **SHORT).run()
    table = result.placements
    killed = 0
    for index, status, wait, completion in zip(
        *(table[name].to_pylist() for name in ("name", "status", "wait_ms", "completion_ms")), strict=True
    ):
        pod = case.pods[int(index[4:])]
        if status in ("completed", "killed"):
            limit = pod.estimate if pod.estimate >= 0 else pod.work
            assert completion - wait == min(pod.work, limit)
            assert (status == "killed") == (pod.work > limit)
        killed += status == "killed"
    assert result.summary["killed"] == killed
