"""Pods that fit nowhere, one after another: why, and whom to evict, without trying untouched nodes again.

What preemption finds on a node depends on the node alone where no filter of the pod looks beyond it. So the outcome
of a trial stands until the node is touched; of the best node the victims are found once more. Twins: ``dry_run`` of
``preemption.py`` and ``preempt`` of ``eviction.py``, which ask every node for every pod.
"""

from __future__ import annotations

from typing import NamedTuple

from kcore.kernel import kernel
from kcore.scheduler.codes import DETAIL_UNRESOLVABLE, REJECT_FIT
from kcore.scheduler.columns import I32, I64, U8
from kcore.scheduler.cycle import bind, unbind
from kcore.scheduler.incremental.groups import count_pod, touch
from kcore.scheduler.preemption import NO_VICTIMS, STILL_REJECTED, filter_cluster, select_victims

PRIORITY_OFFSET = 1 << 31
"""Added to every victim's priority in the sum, so that negative ones do not make more victims look better."""

# places of a tally: verdict codes, then the bits of ``detail`` of nodes without room, then these
FIT_BITS = 256
NO_VICTIMS_TALLY = FIT_BITS + 64
CANDIDATES_TALLY = NO_VICTIMS_TALLY + 1
TALLY = CANDIDATES_TALLY + 1

# columns of Refusals.log
POSITION = 0
RECORD = 1
CHOSEN = 2
FIRST_VICTIM = 3
LAST_VICTIM = 4
VIOLATIONS = 5
LOG_FIELDS = 6

# columns of Refusals.option
PERCENTAGE = 0
ABSOLUTE = 1
PREEMPTS = 2
EVICTS = 3
CACHEABLE = 4
"""1 where a trial stands until the node is touched."""
OPTIONS = 5


class Trials(NamedTuple):
    """What preemption found on each node for a shape, as of touch ``seen``."""

    seen: I64  # [shape, node] -1 never tried
    outcome: I32  # [shape, node] number of victims, NO_VICTIMS or STILL_REJECTED
    violations: I32  # [shape, node]
    top: I32  # [shape, node] highest priority of a victim
    total: I64  # [shape, node] sum of priorities
    earliest: I64  # [shape, node] first start among the victims of the highest priority
    verdict: U8  # [shape, node] why the pod is rejected all the same
    detail: I64  # [shape, node]


class Refusals(NamedTuple):
    """How to refuse, and what came of it."""

    by_rank: I32  # [place] the nodes in order of name
    helps: U8  # [verdict] 1 where evicting pods might help
    option: I64  # [OPTIONS]
    tally: I64  # [2, TALLY] nodes by reason: of the filters, of preemption
    record: I64  # [record, 2, TALLY] tallies that differ from the ones before
    log: I64  # [refusal, LOG_FIELDS]
    victims: I32  # [victim]
    trial_victims: I32  # [pod of a node]
    violating: U8  # [pod of a node]
    budget_allowed: I64  # [budget]
    budget_left: I64  # [budget]


@kernel
def add_detail(tally, detail, count):
    """Count nodes without room under each resource that lacks."""
    bits = detail & ~DETAIL_UNRESOLVABLE
    place = FIT_BITS
    while bits != 0:
        if bits & 1 != 0:
            tally[place] += count
        bits >>= 1
        place += 1


@kernel
def tally_verdicts(verdict, detail, helps, node_count, tally):
    """Count the nodes by reason; return how many of them evictions might help."""
    for place in range(tally.shape[0]):
        tally[place] = 0
    resolvable = 0
    last, run = 0, 0
    for node in range(node_count):
        code = verdict[node]
        if code != REJECT_FIT:
            tally[code] += 1
            resolvable += helps[code]
            continue
        bits = detail[node]
        resolvable += 1 if bits & DETAIL_UNRESOLVABLE == 0 else 0
        if bits != last:
            add_detail(tally, last, run)
            last, run = bits, 0
        run += 1
    add_detail(tally, last, run)
    tally[CANDIDATES_TALLY] = resolvable
    return resolvable


@kernel
def is_candidate(verdict, detail, helps):
    """Tell whether evicting pods might help on a node with this verdict."""
    if verdict == REJECT_FIT:
        return detail & DETAIL_UNRESOLVABLE == 0
    return helps[verdict] != 0


@kernel
def try_node(
    nodes, pods, demands, requests, settings, pod, node, nominated, scratch, trials, row, touched, refusals
):
    """Find out, or remember, what preemption could do on the node."""
    if refusals.option[CACHEABLE] != 0 and trials.seen[row, node] >= touched.last[node]:
        return
    victims = refusals.trial_victims
    count, violations = select_victims(
        nodes, pods, demands, requests, settings, pod, node, nominated, refusals.budget_allowed,
        refusals.budget_left, scratch, victims, refusals.violating, 0,
    )  # fmt: skip
    trials.seen[row, node] = touched.sequence[0]
    trials.outcome[row, node] = count
    trials.violations[row, node] = violations
    if count == STILL_REJECTED:
        trials.verdict[row, node] = scratch.verdict[node]
        trials.detail[row, node] = scratch.detail[node]
    if count <= 0:
        return
    top = pods.priority[victims[0]]
    total = 0
    earliest = pods.start[victims[0]]
    for index in range(count):
        victim = victims[index]
        total += int(pods.priority[victim]) + PRIORITY_OFFSET
        if pods.priority[victim] == top:
            earliest = min(earliest, pods.start[victim])
    trials.top[row, node] = top
    trials.total[row, node] = total
    trials.earliest[row, node] = earliest


@kernel
def is_better(trials, row, node, other):
    """Fewest budget violations, lowest top priority, lowest sum, fewest victims, latest start of the top ones."""
    if trials.violations[row, node] != trials.violations[row, other]:
        return trials.violations[row, node] < trials.violations[row, other]
    if trials.top[row, node] != trials.top[row, other]:
        return trials.top[row, node] < trials.top[row, other]
    if trials.total[row, node] != trials.total[row, other]:
        return trials.total[row, node] < trials.total[row, other]
    if trials.outcome[row, node] != trials.outcome[row, other]:
        return trials.outcome[row, node] < trials.outcome[row, other]
    return trials.earliest[row, node] > trials.earliest[row, other]


@kernel
def find_best(
    nodes, pods, demands, requests, settings, pod, nominated, scratch, trials, row, touched, refusals, draw,
    resolvable,
):  # fmt: skip
    """Try nodes in order of name, from where ``draw`` says, until there are enough candidates; return the best or -1."""
    option = refusals.option
    wanted = min(max(resolvable * option[PERCENTAGE] // 100, option[ABSOLUTE]), resolvable)
    first = int(max(draw, 0.0) * resolvable)
    best, found, clean, index = -1, 0, 0, 0
    tally = refusals.tally[1]
    for place in range(tally.shape[0]):
        tally[place] = 0
    places = refusals.by_rank.shape[0]
    for step in range(2 * places):
        if step == places:
            index = 0
        node = refusals.by_rank[step % places]
        if not is_candidate(scratch.verdict[node], scratch.detail[node], refusals.helps):
            continue
        index += 1
        if (index > first) != (step < places):
            continue
        verdict, detail = scratch.verdict[node], scratch.detail[node]
        try_node(
            nodes,
            pods,
            demands,
            requests,
            settings,
            pod,
            node,
            nominated,
            scratch,
            trials,
            row,
            touched,
            refusals,
        )
        outcome = trials.outcome[row, node]
        # the second sweep must see what the filters said
        scratch.verdict[node] = verdict
        scratch.detail[node] = detail
        if outcome == NO_VICTIMS:
            tally[NO_VICTIMS_TALLY] += 1
        elif outcome == STILL_REJECTED:
            if trials.verdict[row, node] == REJECT_FIT:
                add_detail(tally, trials.detail[row, node], 1)
            else:
                tally[trials.verdict[row, node]] += 1
        if outcome <= 0:
            continue
        found += 1
        clean += 1 if trials.violations[row, node] == 0 else 0
        if best < 0 or is_better(trials, row, node, best):
            best = node
        if clean > 0 and found >= wanted:
            break
    return best


@kernel
def keep_tallies(tallies, record, records):
    """Append the tallies to the records unless the latest one says the same; return how many there are."""
    same = records > 0
    for half in range(2):
        for place in range(TALLY):
            same = same and record[records - 1, half, place] == tallies[half, place]
    if same:
        return records
    for half in range(2):
        for place in range(TALLY):
            record[records, half, place] = tallies[half, place]
    return records + 1


@kernel
def evict(nodes, pods, requests, counters, touched, refusals, first, last, pod, node, nominated):
    """Take the victims off the node and put the pod there; nominations of lesser pods to it end."""
    for index in range(first, last):
        victim = refusals.victims[index]
        unbind(nodes, pods, requests, victim)
        count_pod(nodes, pods, counters, victim, node, -1)
    for index in range(nominated.shape[0]):
        other = nominated[index]
        if pods.nominated[other] == node and pods.priority[other] < pods.priority[pod]:
            pods.nominated[other] = -1
    bind(nodes, pods, requests, pod, node)
    count_pod(nodes, pods, counters, pod, node, 1)
    touch(touched, node)


@kernel
def note_refusal(entry, position, record, chosen, victims):
    """Write down a refusal; its victims, if any, will be added."""
    entry[POSITION], entry[RECORD], entry[CHOSEN] = position, record, chosen
    entry[FIRST_VICTIM], entry[LAST_VICTIM], entry[VIOLATIONS] = victims, victims, 0


@kernel
def refuse_range(
    nodes, pods, demands, requests, settings, counters, touched, queue, draws, number, nominated, scratch, trials,
    row, refusals, placed,
):  # fmt: skip
    """Refuse the first pod, whose verdicts are in scratch, and those of its shape after it that fit nowhere.

    Where preemption evicts, the pod takes the place of its victims. Returns how many were refused; ends early where
    the log, the records or the victims have no more room, or where a node was found that the caller is to promise to
    the pod.
    """
    log, option = refusals.log, refusals.option
    position, records, victims = 0, 0, 0
    changed = True
    while position < min(queue.shape[0], log.shape[0]) and number[position] == number[0]:
        pod = queue[position]
        if pods.nominated[pod] >= 0 or records >= refusals.record.shape[0]:
            break
        chosen = -1
        if changed:
            if position > 0 and (
                filter_cluster(nodes, pods, demands, requests, settings, pod, nominated, scratch) > 0
            ):
                break
            tallies, helps = refusals.tally, refusals.helps
            resolvable = tally_verdicts(scratch.verdict, scratch.detail, helps, nodes.slots[0], tallies[0])
            if option[PREEMPTS] != 0:
                chosen = find_best(
                    nodes, pods, demands, requests, settings, pod, nominated, scratch, trials, row, touched,
                    refusals, draws[position], resolvable,
                )  # fmt: skip
            if chosen >= 0:
                if victims + nodes.pod_count[chosen] > refusals.victims.shape[0]:
                    break
                tallies[1, :] = 0
            records = keep_tallies(tallies, refusals.record, records)
        entry = log[position]
        note_refusal(entry, position, records - 1, chosen, victims)
        position += 1
        changed = chosen >= 0
        if chosen < 0:
            continue
        count, violations = select_victims(
            nodes, pods, demands, requests, settings, pod, chosen, nominated, refusals.budget_allowed,
            refusals.budget_left, scratch, refusals.victims, refusals.violating, victims,
        )  # fmt: skip
        first, victims = victims, victims + count
        entry[LAST_VICTIM], entry[VIOLATIONS] = victims, violations
        if option[EVICTS] == 0:
            break
        evict(
            nodes, pods, requests, counters, touched, refusals, first, victims, pod, chosen, nominated
        )  # fmt: skip
        placed[position - 1] = chosen
    return position
