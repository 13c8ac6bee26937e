"""The loop of a simulation: time goes on to the next event, and whoever waits is tried, until something needs the caller.

One kernel, so that a million jobs do not return to Python a million times. Who gets which node is decided by the same
kernels as in a batch (``place_range``), one pod at a time.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.accounts import unbind
from kcore.scheduler.incremental.columns import FILTERS_DOMAINS, SIMPLE, VIEW
from kcore.scheduler.incremental.groups import count_pod, touch
from kcore.scheduler.incremental.local import has_room
from kcore.scheduler.incremental.placing import DONE, place_range
from kcore.scheduler.incremental.refusing import FIRST_VICTIM, LAST_VICTIM, LOGGED, PREEMPTS
from kcore.sim.timeline import (
    ARRIVED,
    ARRIVED_PODS,
    AT,
    ATTEMPTS,
    BEYOND,
    BLOCKED,
    COMING,
    COMPLETED,
    COMPLETED_COUNT,
    COMPLETED_PODS,
    EVENTS,
    EVICTIONS,
    FAILED,
    FOREVER,
    HELD,
    INTERVAL_FIELDS,
    INTERVAL_MS,
    INTERVAL_NEXT,
    INTERVALS,
    LOOKS,
    NODES_USED,
    NONE,
    NOW,
    PREEMPTED,
    PREEMPTED_PODS,
    PREEMPTION,
    PRIORITY_LEAST,
    READY,
    RESUMES,
    RETURNS,
    RUNNING,
    RUNNING_COUNT,
    RUNNING_PODS,
    START_US,
    STRANDED_AT,
    STRICT,
    USED_NODES,
    WAITING,
    WAITING_COUNT,
    WAITING_PODS,
    WOKEN,
    block,
    comes_before,
    find_share,
    join_line,
    leave_line,
    make_ready,
    next_ending,
    pop_ending,
    pop_ready,
    push_ending,
    set_aside,
    unblock,
)

REACHED = 100
"""Why the loop stopped: the time was reached."""
STEPPED = 101
"""The number of events was."""
FULL_INTERVALS = 102
"""No more intervals can be written down."""
FULL_EVICTIONS = 103
"""No more evictions can be."""
FOREIGN = -3
"""Row of a pod that the caller decides for: its profile has users' plugins."""


@kernel
def stranded(nodes, resource, timeline):
    """How much of a resource lies free on nodes where a typical pod does not fit: it is in fragments."""
    lost = 0
    for node in range(nodes.slots[0]):
        free = nodes.allocatable[resource, node] - nodes.requested[resource, node]
        if nodes.alive[node] == 0 or free <= 0:
            continue
        fits = nodes.pod_count[node] < nodes.pods_allowed[node]
        for row in range(timeline.typical.shape[0]):
            # a typical pod that asks for this resource also asks for CPU and memory
            wanted = timeline.typical[row] if row == resource or row < 2 else 0
            fits = fits and (
                wanted == 0 or wanted <= nodes.allocatable[row, node] - nodes.requested[row, node]
            )
        lost += 0 if fits else free
    return lost


@kernel
def write_interval(nodes, touched, timeline, at):
    """Write down how things stand at a time."""
    clock = timeline.clock
    index = clock[INTERVALS]
    row = timeline.interval[index]
    clock[INTERVALS] += 1
    same = index > 0 and clock[STRANDED_AT] == touched.sequence[0]
    clock[STRANDED_AT] = touched.sequence[0]
    row[AT], row[ARRIVED_PODS], row[WAITING_PODS] = at, clock[ARRIVED], clock[WAITING_COUNT]
    row[RUNNING_PODS], row[COMPLETED_PODS] = clock[RUNNING_COUNT], clock[COMPLETED_COUNT]
    row[PREEMPTED_PODS], row[USED_NODES] = clock[PREEMPTED], clock[NODES_USED]
    resources = timeline.allocated.shape[0]
    for resource in range(resources):
        row[INTERVAL_FIELDS + resource] = timeline.allocated[resource]
        column = INTERVAL_FIELDS + resources + resource
        row[column] = timeline.interval[index - 1, column] if same else stranded(nodes, resource, timeline)
        row[column + resources] = timeline.capacity[resource]


@kernel
def go_to(nodes, touched, timeline, at):
    """Let time pass until ``at``; False where there is no room for another interval."""
    clock = timeline.clock
    while clock[INTERVAL_NEXT] <= at:
        if clock[INTERVALS] == timeline.interval.shape[0]:
            return False
        write_interval(nodes, touched, timeline, clock[INTERVAL_NEXT])
        clock[INTERVAL_NEXT] += timeline.option[INTERVAL_MS]
    passed = at - clock[NOW]
    if passed > 0:
        resources = timeline.allocated.shape[0]
        for row in range(resources):
            timeline.area[row] += float(passed) * timeline.allocated[row]
            timeline.capacity_area[row] += float(passed) * timeline.capacity[row]
        timeline.area[resources] += float(passed) * clock[NODES_USED]
        timeline.area[resources + 2] += float(passed) * clock[WAITING_COUNT]
        clock[NOW] = at
    return True


@kernel
def charge(nodes, pods, requests, timeline, place, pod, node, sign):
    """Add what the pod uses (sign 1) to the totals, or take it away (-1); call it while it is on the node.

    ``place`` is -1 for a pod that was there before the simulation, which is nobody's.
    """
    amount = requests.amount[pods.request[pod]]
    now = timeline.clock[NOW]
    for row in range(amount.shape[0]):
        timeline.allocated[row] += sign * amount[row]
    if place >= 0:
        owner = timeline.owner[place]
        for row in range(amount.shape[0]):
            timeline.owner_allocated[owner, row] += sign * amount[row]
        timeline.owner_area[owner] += timeline.owner_share[owner] * float(now - timeline.owner_since[owner])
        timeline.owner_share[owner], timeline.owner_since[owner] = find_share(timeline, owner), now
        timeline.clock[RUNNING_COUNT] += sign
    if nodes.pod_count[node] == 1:
        timeline.clock[NODES_USED] += sign
    cpu = nodes.allocatable[0, node]
    if cpu > 0:
        # the integral of CPU shares, for energy: from now to the end, less what a later change takes back
        share = float(amount[0]) / float(cpu)
        timeline.area[timeline.allocated.shape[0] + 1] -= sign * share * float(now)


@kernel
def start_pod(nodes, pods, requests, timeline, place, pod, node):
    """The pod, which is on the node now, begins to run."""
    now = timeline.clock[NOW]
    timeline.status[place] = RUNNING
    timeline.start[place] = now
    if timeline.first_start[place] < 0:
        timeline.first_start[place] = now
    timeline.run[place] += 1
    timeline.home[place] = timeline.number[node]
    pods.start[pod] = timeline.option[START_US] + now * 1_000
    charge(nodes, pods, requests, timeline, place, pod, node, 1)
    if timeline.left[place] >= 0:
        push_ending(timeline, now + timeline.left[place], place)


@kernel
def leave_node(nodes, pods, requests, timeline, place, pod, status):
    """A running pod is on no node any more; what could not run may run now."""
    charge(nodes, pods, requests, timeline, place, pod, pods.node[pod], -1)
    unbind(nodes, pods, requests, pod)
    timeline.status[place] = status
    timeline.end[place] = timeline.clock[NOW]
    timeline.clock[COMPLETED_COUNT] += 1 if status == COMPLETED else 0
    timeline.clock[WOKEN] = 1


@kernel
def stop_pod(nodes, pods, requests, counters, touched, timeline, place, pod, status):
    """Take a running pod off its node, and tell those who decide."""
    node = pods.node[pod]
    leave_node(nodes, pods, requests, timeline, place, pod, status)
    count_pod(nodes, pods, counters, pod, node, -1)
    touch(touched, node)


@kernel
def give_back(timeline, place, lost):
    """A pod that was preempted, or whose node was lost (1), has been taken off it: it waits again, or is gone."""
    now = timeline.clock[NOW]
    entry = timeline.eviction[timeline.clock[EVICTIONS]]
    timeline.clock[EVICTIONS] += 1
    entry[0], entry[1], entry[2], entry[3], entry[4] = (
        now,
        place,
        timeline.home[place],
        timeline.start[place],
        lost,
    )
    timeline.evicted[place] += 1
    timeline.clock[PREEMPTED] += 1 - lost
    if timeline.option[RESUMES] != 0 and timeline.left[place] >= 0:
        timeline.left[place] -= now - timeline.start[place]
    elif timeline.left[place] >= 0:
        timeline.left[place] = timeline.work[place]
    if timeline.option[RETURNS] != 0:
        timeline.start[place] = -1
        join_line(timeline, place)
    else:
        timeline.status[place] = FAILED
        timeline.end[place] = now


@kernel
def take_victims(nodes, pods, requests, timeline, refusals, node):
    """What preemption has taken off the node, for the pod that is there now, is charged no more and waits again."""
    entry = refusals.log[refusals.used[LOGGED] - 1]
    for index in range(entry[FIRST_VICTIM], entry[LAST_VICTIM]):
        pod = refusals.victims[index]
        place = timeline.place_of[pod]
        # it is off the node already, with the preemptor on it
        shared = nodes.pod_count[node]
        nodes.pod_count[node] = 2
        charge(nodes, pods, requests, timeline, place, pod, node, -1)
        nodes.pod_count[node] = shared
        if place >= 0:
            give_back(timeline, place, 0)
    timeline.clock[WOKEN] = 1


@kernel
def outranks(pods, timeline, pod):
    """Tell whether any pod may have a lower priority."""
    return pods.priority[pod] > timeline.option[PRIORITY_LEAST]


@kernel
def may_fit(nodes, pods, requests, settings, views, shapes, touched, timeline, one, pod, row):
    """Tell whether the pod could fit after what happened since its class was refused; False only where it cannot."""
    if timeline.option[PREEMPTION] != 0 and outranks(pods, timeline, pod):
        return True
    view = shapes.fixed[row, VIEW] if row >= 0 else views.of_demand[pods.demand[pod]]
    if view < 0 or views.fixed[view, SIMPLE] == 0 or views.fixed[view, FILTERS_DOMAINS] != 0:
        return True
    amount = requests.amount[pods.request[pod]]
    size = touched.ring.shape[0]
    first = timeline.seen[one] + 1
    if touched.sequence[0] - first >= size:
        return True
    for step in range(first, touched.sequence[0] + 1):
        node = touched.ring[step & (size - 1)]
        if views.allowed[view, node] != 0 and has_room(nodes, amount, settings.fit_ignored, node, amount, 0):
            return True
    return False


@kernel
def wake(nodes, pods, requests, settings, views, shapes, touched, timeline, row_of, queue):
    """Let those blocked classes be tried again that what happened may have helped."""
    clock, blocked = timeline.clock, timeline.blocked
    clock[WOKEN] = 0
    clock[HELD] = NONE
    kept = 0
    for index in range(clock[BLOCKED]):
        one = blocked[index]
        place = first_waiting(timeline, one)
        if place >= 0 and timeline.option[STRICT] == 0 and not may_fit(
            nodes, pods, requests, settings, views, shapes, touched, timeline, one, queue[place], row_of[place],
        ):  # fmt: skip
            timeline.seen[one] = touched.sequence[0]
            blocked[kept] = one
            kept += 1
            continue
        unblock(timeline, one)
    clock[BLOCKED] = kept


@kernel
def first_waiting(timeline, one):
    """The first of the class that still waits; those deleted meanwhile leave its line. -1 for none."""
    place = timeline.head[one]
    while place >= 0 and timeline.status[place] != WAITING:
        timeline.head[one] = timeline.following[place]
        place = timeline.head[one]
    return place


@kernel
def pass_event(nodes, pods, requests, counters, touched, timeline, queue, until):
    """Go to the next arrival or completion that is not after ``until`` and let it happen; DONE, or why not."""
    clock = timeline.clock
    arriving = timeline.submit[clock[ARRIVED]] if clock[ARRIVED] < timeline.submit.shape[0] else FOREVER
    ending = next_ending(timeline)
    at = min(arriving, ending)
    if at > until or at == FOREVER:
        # nothing happens any more before that; without a next event time stands still
        if until < FOREVER and not go_to(nodes, touched, timeline, until):
            return FULL_INTERVALS
        return REACHED
    if not go_to(nodes, touched, timeline, at):
        return FULL_INTERVALS
    clock[EVENTS] += 1
    if ending <= arriving:
        place = timeline.ending[0]
        pop_ending(timeline)
        stop_pod(nodes, pods, requests, counters, touched, timeline, place, queue[place], COMPLETED)
        return DONE
    place = clock[ARRIVED]
    clock[ARRIVED] += 1
    if timeline.status[place] == COMING:
        join_line(timeline, place)
    return DONE


@kernel
def is_same_moment(timeline):
    """Tell whether more is to happen at this very moment: all of it comes before anyone is tried."""
    now, place = timeline.clock[NOW], timeline.clock[ARRIVED]
    arrives = place < timeline.submit.shape[0] and timeline.submit[place] <= now
    return arrives or next_ending(timeline) <= now


@kernel
def advance(
    nodes, pods, demands, requests, settings, views, counters, shapes, touched, choice, row_of, number, queue, draws,
    nominated, scratch, trials, refusals, placed, score, timeline, until, events_max,
):  # fmt: skip
    """Run until ``until`` (ms) or ``events_max`` events; return (place, why).

    ``why`` is REACHED, STEPPED, FULL_INTERVALS, or what ``place_range`` stops for, which concerns the pod at ``place``.
    """
    clock = timeline.clock
    stop_at = clock[EVENTS] + events_max
    while True:
        at_once = is_same_moment(timeline)
        if clock[WOKEN] != 0 and not at_once:
            wake(nodes, pods, requests, settings, views, shapes, touched, timeline, row_of, queue)
        if at_once or clock[READY] == 0:
            waits = timeline.option[LOOKS] != 0 and not at_once and clock[WAITING_COUNT] > 0
            if clock[EVENTS] >= stop_at or waits:
                return -1, STEPPED
            why = pass_event(nodes, pods, requests, counters, touched, timeline, queue, until)
            if why != DONE:
                return -1, why
            continue
        one = pop_ready(timeline)
        place = first_waiting(timeline, one)
        if place < 0:
            continue
        if clock[HELD] >= 0 and not comes_before(timeline, one, clock[HELD]):
            set_aside(timeline, one, False)
            hold_back(timeline)
            continue
        if row_of[place] == FOREIGN:
            make_ready(timeline, one)
            return place, FOREIGN
        if clock[EVICTIONS] + refusals.trial_victims.shape[0] > timeline.eviction.shape[0]:
            make_ready(timeline, one)
            return -1, FULL_EVICTIONS
        placed[place], score[place] = -1, 0
        bound = touched.sequence[0]
        # whoever has the lowest priority need not look for victims
        may_preempt = timeline.option[PREEMPTION] != 0 and outranks(pods, timeline, queue[place])
        refusals.option[PREEMPTS] = 1 if may_preempt else 0
        _, why = place_range(
            nodes, pods, demands, requests, settings, views, counters, shapes, touched, choice, row_of, number, queue,
            draws, place, place + 1, nominated, scratch, trials, refusals, placed, score,
        )  # fmt: skip
        if why != DONE:
            make_ready(timeline, one)
            return place, why
        conclude(
            nodes,
            pods,
            requests,
            views,
            shapes,
            touched,
            refusals,
            timeline,
            row_of,
            queue,
            placed,
            one,
            bound,
        )


@kernel
def looks_beyond(pods, views, shapes, row, pod):
    """Tell whether a filter of the pod may depend on other nodes."""
    view = shapes.fixed[row, VIEW] if row >= 0 else views.of_demand[pods.demand[pod]]
    return view < 0 or views.fixed[view, FILTERS_DOMAINS] != 0


@kernel
def conclude(
    nodes, pods, requests, views, shapes, touched, refusals, timeline, row_of, queue, placed, one, bound
):
    """The first pod of the class was tried at ``bound`` touches: it starts where it was placed, or the class is blocked."""
    clock = timeline.clock
    place = timeline.head[one]
    pod, node = queue[place], placed[place]
    clock[ATTEMPTS] += 1
    timeline.attempts[place] += 1
    if node < 0:
        block(timeline, one, touched.sequence[0], looks_beyond(pods, views, shapes, row_of[place], pod))
        if timeline.option[STRICT] != 0:
            clock[HELD] = one
            hold_back(timeline)
    else:
        leave_line(timeline, one)
        first_waiting(timeline, one)
        # a node that victims have left for the pod was in use before
        preempted = 1 if refusals.used[LOGGED] > 0 else 0
        nodes.pod_count[node] += preempted
        start_pod(nodes, pods, requests, timeline, place, pod, node)
        nodes.pod_count[node] -= preempted
        if preempted != 0:
            take_victims(nodes, pods, requests, timeline, refusals, node)
        make_ready(timeline, one)
        if clock[BEYOND] > 0 and timeline.option[STRICT] != 0:
            clock[WOKEN] = 1
        elif clock[BEYOND] > 0:
            wake_domains(timeline, bound)
    refusals.used[:] = 0


@kernel
def hold_back(timeline):
    """Nobody overtakes: all that could be tried waits until something happens."""
    clock = timeline.clock
    for index in range(clock[READY]):
        one = timeline.ready[index]
        timeline.is_ready[one] = 0
        set_aside(timeline, one, False)
    clock[READY] = 0


@kernel
def wake_domains(timeline, bound):
    """A pod was put somewhere: blocked classes whose filters count other pods may fit now."""
    clock, blocked = timeline.clock, timeline.blocked
    index = 0
    while index < clock[BLOCKED]:
        one = blocked[index]
        if timeline.is_blocked[one] != 2 or timeline.seen[one] > bound:
            index += 1
            continue
        clock[BLOCKED] -= 1
        blocked[index] = blocked[clock[BLOCKED]]
        first_waiting(timeline, one)
        unblock(timeline, one)
