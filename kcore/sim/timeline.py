"""The simulated clock: what arrives when, what runs until when, who waits; the arrays and the steps on them.

Pods are numbered by *place*, their position in the trace. Pods that are alike to the scheduler and to the order of the
queue share a *class*; those of a class wait in one line, for where the first of them does not fit, none does. A class
whose first pod was refused is *blocked* until something happens that could help. Whoever can be tried is tried in order
of the queue's key (priority, length, or share), then of entry; nobody is while anything else is to happen at that moment.

Source: backend/queue/scheduling_queue.go and backoff_queue.go of Kubernetes 1.36, whose SchedulerPopFromBackoffQ lets an
idle scheduler take a pod before its backoff is over. A simulated scheduler takes no time and so is always idle.
kube-scheduler orders equal priorities by the latest attempt; here all that wait are attempted at one moment, so that the
order of entry stays.
"""

from __future__ import annotations

from typing import NamedTuple

from kcore.kernel import kernel
from kcore.scheduler.columns import F64, I32, I64, U8

# Timeline.status
COMING = 0
WAITING = 1
RUNNING = 2
COMPLETED = 3
DELETED = 4
UNTRIED = 5
"""It never enters the queue: gated, or nobody's to schedule."""
FAILED = 6
"""Its node was lost, or it was preempted, and it does not come back."""

# Timeline.clock
NOW = 0
ARRIVED = 1
"""Places below this one have arrived."""
SEQUENCE = 2
ENDINGS = 3
"""Entries of the heap of completions."""
READY = 4
"""Entries of the heap of classes to try."""
BLOCKED = 5
"""Entries of the list of blocked classes."""
WOKEN = 6
"""1 where blocked classes are to be looked at."""
INTERVAL_NEXT = 7
INTERVALS = 8
"""Intervals written down."""
RUNNING_COUNT = 9
WAITING_COUNT = 10
EVENTS = 11
ATTEMPTS = 12
PREEMPTED = 13
NODES_USED = 14
COMPLETED_COUNT = 15
BEYOND = 16
"""Blocked classes whose filters look beyond the node: a placement elsewhere may let them in."""
EVICTIONS = 17
"""Evictions written down."""
STRANDED_AT = 18
"""Touches when it was last found out what is stranded."""
HELD = 19
"""Class that was refused and holds back all others, where nobody may overtake; -1 for none."""
CLOCK_FIELDS = 20

# Timeline.option
INTERVAL_MS = 0
RETURNS = 1
"""1 where a preempted pod waits again."""
RESUMES = 2
"""1 where it goes on where it stopped."""
SHARED = 3
"""1 where the owner with the least dominant share comes first (DRF)."""
STRICT = 4
"""1 where nobody overtakes the first in the queue."""
PRIORITY_LEAST = 5
"""The lowest priority that any pod has: those of it preempt nobody."""
START_US = 6
"""Pods that start at 0 have this start, later than all that were there before."""
LOOKS = 7
"""1 where the loop is to stop as soon as anybody waits: node groups may grow."""
PREEMPTION = 8
"""1 where the profile preempts."""
RULED = 9
"""1 where an order of :mod:`kcore.sim.orders` decides who starts: nobody is tried in the loop."""
OPTIONS = 10

# columns of Timeline.interval, before one for every resource of what is allocated, what is stranded, and the capacity
AT = 0
ARRIVED_PODS = 1
WAITING_PODS = 2
RUNNING_PODS = 3
COMPLETED_PODS = 4
PREEMPTED_PODS = 5
USED_NODES = 6
INTERVAL_FIELDS = 7

NONE = -1
FOREVER = 1 << 62


class Timeline(NamedTuple):
    """Everything of a simulation that is not the cluster."""

    clock: I64  # [CLOCK_FIELDS]
    option: I64  # [OPTIONS]
    submit: I64  # [place] ms, ascending
    work: I64  # [place] ms it runs in all, -1 for ever
    left: I64  # [place] ms it has yet to run
    status: U8  # [place]
    start: I64  # [place] ms of its latest start, -1; also where it was preempted and waits
    first_start: I64  # [place] ms, -1
    end: I64  # [place] ms it completed, was deleted or failed, -1
    waited: I64  # [place] ms it has waited in all, before its latest wait
    since: I64  # [place] ms its latest wait began
    attempts: I32  # [place] times it was tried
    evicted: I32  # [place] times it was preempted or lost its node
    home: I32  # [place] number of the node of its latest start, -1
    number: I32  # [node] the node's number: slots are used again, numbers are not
    run: I32  # [place] number of its latest start, by which stale completions are told
    key: I64  # [place] what the queue is ordered by: the smallest first
    sequence: I64  # [place] order of entry
    of_class: I32  # [place]
    owner: I32  # [place]
    following: I32  # [place] the next of its class in line
    ending_at: I64  # [entry of a heap] ms
    ending: I32  # [entry] place
    ending_run: I32  # [entry] its run
    head: I32  # [class] first in line, -1
    tail: I32  # [class] last in line
    seen: I64  # [class] touches before that
    is_ready: U8  # [class] it is in the heap
    is_blocked: U8  # [class] it is in the list: 1, or 2 where its filters look beyond the node
    ready: I32  # [entry of a heap] class
    blocked: I32  # [entry of a list] class
    place_of: I32  # [pod] its place, -1
    allocated: I64  # [resource] of running pods and of those that were there before
    area: F64  # [resource + 3] integral over ms: of that, of nodes in use, of CPU shares of nodes, of waiting pods
    owner_allocated: I64  # [owner, resource]
    owner_share: F64  # [owner] its dominant share
    owner_since: I64  # [owner] ms since when
    owner_area: F64  # [owner] integral of that over ms, up to then
    capacity: I64  # [resource] of all nodes
    capacity_area: F64  # [resource] integral over ms of that
    typical: I64  # [resource] what a pod asks for that asks for it: the median
    interval: I64  # [interval, field]
    eviction: I64  # [eviction, 5] ms, place, number of the node, ms it had started, 1 where its node was lost


@kernel
def push_ending(timeline, at, place):
    """Note when the pod will have completed."""
    if timeline.clock[ENDINGS] == timeline.ending.shape[0]:
        drop_stale(timeline)
    put_ending(timeline, timeline.clock[ENDINGS], at, place, timeline.run[place])
    timeline.clock[ENDINGS] += 1


@kernel
def drop_stale(timeline):
    """Take entries of runs that were cut short off the heap of completions, which is full; a running pod has one entry."""
    at_heap, heap, runs = timeline.ending_at, timeline.ending, timeline.ending_run
    kept = 0
    for index in range(timeline.clock[ENDINGS]):
        at, place, run = at_heap[index], heap[index], runs[index]
        if timeline.status[place] == RUNNING and timeline.run[place] == run:
            put_ending(timeline, kept, at, place, run)
            kept += 1
    timeline.clock[ENDINGS] = kept


@kernel
def put_ending(timeline, index, at, place, run):
    """Put an entry into the heap of completions, which has ``index`` of them."""
    at_heap, heap, runs = timeline.ending_at, timeline.ending, timeline.ending_run
    while index > 0:
        parent = (index - 1) >> 1
        if at_heap[parent] <= at:
            break
        at_heap[index], heap[index], runs[index] = at_heap[parent], heap[parent], runs[parent]
        index = parent
    at_heap[index], heap[index], runs[index] = at, place, run


@kernel
def pop_ending(timeline):
    """Drop the earliest entry of the heap of completions."""
    clock = timeline.clock
    clock[ENDINGS] -= 1
    count = clock[ENDINGS]
    at_heap, heap, runs = timeline.ending_at, timeline.ending, timeline.ending_run
    at, place, run = at_heap[count], heap[count], runs[count]
    index = 0
    while 2 * index + 1 < count:
        child = 2 * index + 1
        if child + 1 < count and at_heap[child + 1] < at_heap[child]:
            child += 1
        if at_heap[child] >= at:
            break
        at_heap[index], heap[index], runs[index] = at_heap[child], heap[child], runs[child]
        index = child
    at_heap[index], heap[index], runs[index] = at, place, run


@kernel
def next_ending(timeline):
    """When the next running pod completes, stale entries dropped; FOREVER for never."""
    clock = timeline.clock
    while clock[ENDINGS] > 0:
        place = timeline.ending[0]
        if timeline.status[place] == RUNNING and timeline.run[place] == timeline.ending_run[0]:
            return timeline.ending_at[0]
        pop_ending(timeline)
    return FOREVER


@kernel
def find_share(timeline, owner):
    """The owner's largest share of any resource (Ghodsi et al., Dominant Resource Fairness, NSDI 2011)."""
    most = 0.0
    for row in range(timeline.capacity.shape[0]):
        if timeline.capacity[row] > 0:
            most = max(most, timeline.owner_allocated[owner, row] / timeline.capacity[row])
    return most


@kernel
def comes_before(timeline, one, two):
    """Tell whether the first pod of class ``one`` is to be tried before that of class ``two``."""
    first, second = timeline.head[one], timeline.head[two]
    if timeline.option[SHARED] != 0 and timeline.owner[first] != timeline.owner[second]:
        ours, theirs = (
            timeline.owner_share[timeline.owner[first]],
            timeline.owner_share[timeline.owner[second]],
        )
        if ours != theirs:
            return ours < theirs
    if timeline.key[first] != timeline.key[second]:
        return timeline.key[first] < timeline.key[second]
    return timeline.sequence[first] < timeline.sequence[second]


@kernel
def sift_up(timeline, index):
    """Bring an entry of the heap of ready classes to its place, upward."""
    ready = timeline.ready
    one = ready[index]
    while index > 0:
        parent = (index - 1) >> 1
        if not comes_before(timeline, one, ready[parent]):
            break
        ready[index] = ready[parent]
        index = parent
    ready[index] = one


@kernel
def make_ready(timeline, one):
    """Let the class be tried, unless it waits for that already or nobody is in its line."""
    clock = timeline.clock
    if timeline.option[RULED] != 0:
        clock[WOKEN] = 1
        return
    if timeline.is_ready[one] != 0 or timeline.head[one] < 0:
        return
    timeline.is_ready[one] = 1
    timeline.ready[clock[READY]] = one
    clock[READY] += 1
    sift_up(timeline, clock[READY] - 1)


@kernel
def pop_ready(timeline):
    """Take the class whose first pod comes first."""
    clock, ready = timeline.clock, timeline.ready
    if timeline.option[SHARED] != 0:
        # shares move with every placement, so the heap's order is not to be trusted
        best = 0
        for index in range(1, clock[READY]):
            if comes_before(timeline, ready[index], ready[best]):
                best = index
        ready[0], ready[best] = ready[best], ready[0]
    taken = ready[0]
    timeline.is_ready[taken] = 0
    clock[READY] -= 1
    count = clock[READY]
    last = ready[count]
    index = 0
    while 2 * index + 1 < count:
        child = 2 * index + 1
        if child + 1 < count and comes_before(timeline, ready[child + 1], ready[child]):
            child += 1
        if not comes_before(timeline, ready[child], last):
            break
        ready[index] = ready[child]
        index = child
    ready[index] = last
    return taken


@kernel
def block(timeline, one, sequence, beyond):
    """The first pod of the class was refused at this number of touches; ``beyond``: a filter looks beyond the node."""
    timeline.seen[one] = sequence
    set_aside(timeline, one, beyond)


@kernel
def set_aside(timeline, one, beyond):
    """The class is not tried until something happens."""
    if timeline.is_blocked[one] == 0:
        timeline.is_blocked[one] = 2 if beyond else 1
        timeline.blocked[timeline.clock[BLOCKED]] = one
        timeline.clock[BLOCKED] += 1
        timeline.clock[BEYOND] += 1 if beyond else 0


@kernel
def unblock(timeline, one):
    """The class may be tried again; the caller takes it off the list."""
    timeline.clock[BEYOND] -= 1 if timeline.is_blocked[one] == 2 else 0
    timeline.is_blocked[one] = 0
    make_ready(timeline, one)


@kernel
def join_line(timeline, place):
    """The pod waits, last of its class; a class that is not blocked is to be tried."""
    clock = timeline.clock
    timeline.status[place] = WAITING
    timeline.since[place] = clock[NOW]
    timeline.sequence[place] = clock[SEQUENCE]
    clock[SEQUENCE] += 1
    clock[WAITING_COUNT] += 1
    one = timeline.of_class[place]
    timeline.following[place] = NONE
    if timeline.head[one] < 0:
        timeline.head[one] = place
    else:
        timeline.following[timeline.tail[one]] = place
    timeline.tail[one] = place
    if timeline.is_blocked[one] == 0:
        make_ready(timeline, one)


@kernel
def leave_line(timeline, one):
    """The first of the class stops waiting."""
    place = timeline.head[one]
    timeline.head[one] = timeline.following[place]
    timeline.following[place] = NONE
    timeline.waited[place] += timeline.clock[NOW] - timeline.since[place]
    timeline.clock[WAITING_COUNT] -= 1
    return place
