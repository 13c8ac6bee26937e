"""Pods put on nodes and taken off them between two events: to try something, or for good."""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.accounts import bind, unbind
from kcore.scheduler.incremental.groups import count_pod, touch
from kcore.scheduler.incremental.placing import DONE
from kcore.sim.loop import give_back, pass_event, start_pod, stop_pod
from kcore.sim.timeline import (
    ARRIVED,
    EVENTS,
    FAILED,
    NONE,
    NOW,
    WOKEN,
    leave_line,
    next_ending,
)

STEPPED = 101
TURN = 104
"""Why the clock stopped: something happened, and all of that moment has; it is for the order to decide."""


@kernel
def is_same_moment(timeline):
    """Tell whether another arrival or completion falls on this very moment."""
    clock = timeline.clock
    if clock[ARRIVED] < timeline.submit.shape[0] and timeline.submit[clock[ARRIVED]] <= clock[NOW]:
        return True
    return next_ending(timeline) <= clock[NOW]


@kernel
def run_until_turn(nodes, pods, requests, counters, touched, timeline, queue, until, events_max):
    """Let events happen until all of a moment have: TURN; or why not: STEPPED, REACHED, FULL_INTERVALS."""
    clock = timeline.clock
    stop_at = clock[EVENTS] + events_max
    while True:
        if clock[WOKEN] != 0 and not is_same_moment(timeline):
            clock[WOKEN] = 0
            return TURN
        if clock[EVENTS] >= stop_at:
            return STEPPED
        why = pass_event(nodes, pods, requests, counters, touched, timeline, queue, until)
        if why != DONE:
            return why


@kernel
def lay(nodes, pods, requests, counters, touched, queue, places, slots):
    """Put pods on nodes; the timeline does not know."""
    for index in range(places.shape[0]):
        pod = queue[places[index]]
        bind(nodes, pods, requests, pod, slots[index])
        count_pod(nodes, pods, counters, pod, slots[index], 1)
        touch(touched, slots[index])


@kernel
def lift(nodes, pods, requests, counters, touched, queue, places):
    """Take pods off their nodes; the timeline does not know."""
    for index in range(places.shape[0]):
        pod = queue[places[index]]
        node = pods.node[pod]
        unbind(nodes, pods, requests, pod)
        count_pod(nodes, pods, counters, pod, node, -1)
        touch(touched, node)


@kernel
def start_many(nodes, pods, requests, counters, touched, timeline, queue, places, slots):
    """Waiting pods, which are on no node yet, begin to run on these."""
    for index in range(places.shape[0]):
        place = places[index]
        pod = queue[place]
        bind(nodes, pods, requests, pod, slots[index])
        count_pod(nodes, pods, counters, pod, slots[index], 1)
        touch(touched, slots[index])
        leave_line(timeline, timeline.of_class[place])
        start_pod(nodes, pods, requests, timeline, place, pod, slots[index])


@kernel
def evict_many(nodes, pods, requests, counters, touched, timeline, queue, places):
    """Running pods are preempted: they wait again, or are gone."""
    for index in range(places.shape[0]):
        place = places[index]
        stop_pod(nodes, pods, requests, counters, touched, timeline, place, queue[place], FAILED)
        timeline.end[place] = NONE
        give_back(timeline, place, 0)
