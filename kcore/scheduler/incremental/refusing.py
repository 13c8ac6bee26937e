"""Pods that fit nowhere: why, and whom to evict, without asking untouched nodes again.

What the filters say of a node, and what preemption finds there, depends on the node alone where no filter of the pod
looks beyond it. So both stand until the node is touched, and so do the tallies over all nodes, from which the sentence
of the refusal is made. Twins: ``filter_cluster`` and ``dry_run`` of ``preemption.py`` and ``preempt`` of
``eviction.py``, which ask every node for every pod.
"""

from __future__ import annotations

from typing import NamedTuple

from kcore.kernel import inner_kernel, kernel
from kcore.references import by_reference
from kcore.scheduler.accounts import unbind
from kcore.scheduler.codes import DETAIL_UNRESOLVABLE, REJECT_FIT
from kcore.scheduler.columns import I32, I64, U8
from kcore.scheduler.cycle import filter_range, prefilter
from kcore.scheduler.incremental.groups import count_pod, put_pod
from kcore.scheduler.preemption import NO_VICTIMS, STILL_REJECTED, fits_node, select_victims

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

# places of Refusals.used
LOGGED = 0
RECORDS = 1
VICTIMS = 2

# places of Refusals.option
PERCENTAGE = 0
ABSOLUTE = 1
PREEMPTS = 2
EVICTS = 3
OPTIONS = 4

RENEWED_SHARE = 8
"""Where more touches than the nodes divided by this were missed, all nodes are asked."""


@by_reference
class Trials(NamedTuple):
    """What is known of the nodes for shapes that were refused; of few shapes at a time, the oldest makes room."""

    row_of: I32  # [shape] its row, -1
    owner: I32  # [row] the shape, -1
    turn: I64  # [1] rows given away so far
    cursor: I64  # [row] touches up to this one have been seen; -1 nothing is known
    standing: U8  # [row] 1 where preemption finds no node, as the tallies say
    tally: I64  # [row, 2, TALLY] nodes by reason: of the filters, of preemption
    verdict: U8  # [row, node] of the filters
    detail: I64  # [row, node]
    seen: I64  # [row, node] the touch as of which preemption was tried there; -1 never
    outcome: I32  # [row, node] number of victims, NO_VICTIMS or STILL_REJECTED
    violations: I32  # [row, node]
    top: I32  # [row, node] highest priority of a victim
    total: I64  # [row, node] sum of priorities
    earliest: I64  # [row, node] first start among the victims of the highest priority
    still: U8  # [row, node] the verdict without any of the victims
    still_detail: I64  # [row, node]


@by_reference
class Refusals(NamedTuple):
    """How to refuse, and what came of it."""

    by_rank: I32  # [place] the nodes in order of name
    helps: U8  # [verdict] 1 where evicting pods might help
    never: U8  # [spec class] 1 where the pod's preemptionPolicy is Never
    option: I64  # [OPTIONS]
    used: I64  # [3] entries of log, records and victims that are filled
    record: I64  # [record, 2, TALLY] tallies that differ from the ones before
    log: I64  # [refusal, LOG_FIELDS]
    victims: I32  # [victim]
    trial_victims: I32  # [pod of a node]
    violating: U8  # [pod of a node]
    budget_allowed: I64  # [budget]
    budget_left: I64  # [budget]


@kernel
def has_space(refusals):
    """Tell whether one more refusal can be written down, whoever its victims are."""
    used = refusals.used
    return (
        used[LOGGED] < refusals.log.shape[0]
        and used[RECORDS] < refusals.record.shape[0]
        and used[VICTIMS] + refusals.trial_victims.shape[0] <= refusals.victims.shape[0]
    )


@kernel
def find_row(trials, number, stands):
    """The row of a shape; one that knows nothing where it has none. What does not stand shares row 0."""
    if not stands:
        return 0
    row = trials.row_of[number]
    if row >= 0:
        return row
    row = 1 + trials.turn[0] % (trials.owner.shape[0] - 1)
    trials.turn[0] += 1
    if trials.owner[row] >= 0:
        trials.row_of[trials.owner[row]] = -1
    trials.owner[row] = number
    trials.row_of[number] = row
    trials.cursor[row] = -1
    trials.standing[row] = 0
    for node in range(trials.seen.shape[1]):
        trials.seen[row, node] = -1
    for half in range(2):
        for place in range(TALLY):
            trials.tally[row, half, place] = 0
    return row


@kernel
def is_current(nodes, trials, touched, number):
    """Tell whether what is known of a shape can be brought up to date by asking the touched nodes."""
    row = trials.row_of[number]
    if row < 0 or trials.cursor[row] < 0:
        return False
    missed = touched.sequence[0] - trials.cursor[row]
    return missed <= nodes.slots[0] // RENEWED_SHARE and missed < touched.ring.shape[0]


@inner_kernel
def add_detail(tally, detail, count):
    """Count nodes without room under each resource that lacks."""
    bits = detail & ~DETAIL_UNRESOLVABLE
    place = FIT_BITS
    while bits != 0:
        if bits & 1 != 0:
            tally[place] += count
        bits >>= 1
        place += 1


@inner_kernel
def add_verdict(tally, verdict, detail, count):
    """Count nodes under the reason of a verdict."""
    if verdict == REJECT_FIT:
        add_detail(tally, detail, count)
    else:
        tally[verdict] += count


@inner_kernel
def add_outcome(trials, row, node, count):
    """Count a node under what preemption found there, if that was nothing."""
    tally = trials.tally[row, 1]
    outcome = trials.outcome[row, node]
    if outcome == NO_VICTIMS:
        tally[NO_VICTIMS_TALLY] += count
    elif outcome == STILL_REJECTED:
        add_verdict(tally, trials.still[row, node], trials.still_detail[row, node], count)


@kernel
def is_candidate(verdict, detail, helps):
    """Tell whether evicting pods might help on a node with this verdict."""
    if verdict == REJECT_FIT:
        return detail & DETAIL_UNRESOLVABLE == 0
    return helps[verdict] != 0


@inner_kernel
def keep_verdicts(nodes, trials, row, helps, scratch):
    """Take over the verdicts on all nodes and count them by reason."""
    tally = trials.tally[row, 0]
    for place in range(TALLY):
        tally[place] = 0
    last, run = 0, 0
    for node in range(nodes.slots[0]):
        code, bits = scratch.verdict[node], scratch.detail[node]
        trials.verdict[row, node] = code
        trials.detail[row, node] = bits
        tally[CANDIDATES_TALLY] += 1 if is_candidate(code, bits, helps) else 0
        if code != REJECT_FIT:
            tally[code] += 1
            continue
        if bits != last:
            add_detail(tally, last, run)
            last, run = bits, 0
        run += 1
    add_detail(tally, last, run)
    trials.standing[row] = 0


@inner_kernel
def renew_node(
    nodes, pods, demands, requests, settings, pod, node, nominated, scratch, trials, row, touched, refusals
):
    """Ask the filters about a touched node again, and preemption where it has found no node so far."""
    tally, helps = trials.tally[row, 0], refusals.helps
    was = is_candidate(trials.verdict[row, node], trials.detail[row, node], helps)
    add_verdict(tally, trials.verdict[row, node], trials.detail[row, node], -1)
    if was and trials.standing[row] != 0:
        add_outcome(trials, row, node, -1)
    if touched.promised[node] != 0:
        fits_node(nodes, pods, demands, requests, settings, pod, node, nominated, False, scratch)
    else:
        demand, request = pods.demand[pod], pods.request[pod]
        filter_range(nodes, demands, requests, settings, demand, request, node, node + 1, False, scratch)
    verdict, detail = scratch.verdict[node], scratch.detail[node]
    trials.verdict[row, node] = verdict
    trials.detail[row, node] = detail
    add_verdict(tally, verdict, detail, 1)
    now = is_candidate(verdict, detail, helps)
    tally[CANDIDATES_TALLY] += (1 if now else 0) - (1 if was else 0)
    if now and trials.standing[row] != 0:
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
            True,
        )
        if trials.outcome[row, node] > 0:
            trials.standing[row] = 0
        add_outcome(trials, row, node, 1)


@kernel
def renew(nodes, pods, demands, requests, settings, pod, nominated, scratch, trials, row, touched, refusals):
    """Ask again about the nodes that were touched since the shape was refused the last time."""
    prefilter(nodes, demands, settings, pods.demand[pod], scratch)
    ring = touched.ring
    for step in range(trials.cursor[row] + 1, touched.sequence[0] + 1):
        node = ring[step & (ring.shape[0] - 1)]
        # a node touched again later is looked at then
        if touched.last[node] == step:
            renew_node(
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


@inner_kernel
def try_node(
    nodes, pods, demands, requests, settings, pod, node, nominated, scratch, trials, row, touched, refusals, stands
):  # fmt: skip
    """Find out, or remember where that stands, what preemption could do on the node."""
    if stands and trials.seen[row, node] >= touched.last[node]:
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
        trials.still[row, node] = scratch.verdict[node]
        trials.still_detail[row, node] = scratch.detail[node]
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


@inner_kernel
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
    stands,
):  # fmt: skip
    """Try nodes in order of name, from where ``draw`` says, until there are enough candidates; return the best or -1."""
    option = refusals.option
    resolvable = trials.tally[row, 0, CANDIDATES_TALLY]
    wanted = min(max(resolvable * option[PERCENTAGE] // 100, option[ABSOLUTE]), resolvable)
    first = int(max(draw, 0.0) * resolvable)
    best, found, clean, index = -1, 0, 0, 0
    for place in range(TALLY):
        trials.tally[row, 1, place] = 0
    places = refusals.by_rank.shape[0]
    for step in range(2 * places):
        if step == places:
            index = 0
        node = refusals.by_rank[step % places]
        if not is_candidate(trials.verdict[row, node], trials.detail[row, node], refusals.helps):
            continue
        index += 1
        if (index > first) != (step < places):
            continue
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
            stands,
        )
        add_outcome(trials, row, node, 1)
        if trials.outcome[row, node] <= 0:
            continue
        found += 1
        clean += 1 if trials.violations[row, node] == 0 else 0
        if best < 0 or is_better(trials, row, node, best):
            best = node
        if clean > 0 and found >= wanted:
            break
    trials.standing[row] = 1 if best < 0 else 0
    return best


@kernel
def keep_tallies(tallies, refusals):
    """Append the tallies to the records unless the latest one says the same; return its number."""
    used, record = refusals.used, refusals.record
    latest = used[RECORDS] - 1
    same = latest >= 0
    for half in range(2):
        for place in range(TALLY):
            same = same and record[latest, half, place] == tallies[half, place]
    if same:
        return latest
    for half in range(2):
        for place in range(TALLY):
            record[latest + 1, half, place] = tallies[half, place]
    used[RECORDS] += 1
    return latest + 1


@kernel
def evict(
    nodes, pods, requests, settings, counters, touched, victims, first, last, pod, node, draw, nominated
):
    """Take the victims off the node and put the pod there; nominations of lesser pods to it end."""
    for index in range(first, last):
        victim = victims[index]
        unbind(nodes, pods, requests, victim)
        count_pod(nodes, pods, counters, victim, node, -1)
    for index in range(nominated.shape[0]):
        other = nominated[index]
        if pods.nominated[other] == node and pods.priority[other] < pods.priority[pod]:
            pods.nominated[other] = -1
    put_pod(nodes, pods, requests, settings, counters, touched, pod, node, draw)


@kernel
def refuse(
    nodes, pods, demands, requests, settings, counters, touched, pod, position, draw, number, asked, stands,
    nominated, scratch, trials, refusals,
):  # fmt: skip
    """Write down why the pod fits nowhere and whom preemption chose; return the node to evict them from, or -1.

    ``asked``: the verdicts on all nodes are in scratch. Otherwise what is known of the shape must be current.
    ``stands``: verdicts and trials stand until the node is touched. Where preemption evicts, it has been done.
    """
    row = find_row(trials, number, stands)
    if asked:
        keep_verdicts(nodes, trials, row, refusals.helps, scratch)
    else:
        renew(
            nodes, pods, demands, requests, settings, pod, nominated, scratch, trials, row, touched, refusals
        )  # fmt: skip
    trials.cursor[row] = touched.sequence[0] if stands else -1
    option, used = refusals.option, refusals.used
    chosen = -1
    preempts = option[PREEMPTS] != 0 and refusals.never[pods.spec_class[pod]] == 0
    if preempts and trials.standing[row] == 0:
        chosen = find_best(
            nodes, pods, demands, requests, settings, pod, nominated, scratch, trials, row, touched, refusals,
            draw, stands,
        )  # fmt: skip
    if chosen >= 0:
        # nobody asks what preemption found elsewhere
        trials.tally[row, 1, :] = 0
    entry = refusals.log[used[LOGGED]]
    used[LOGGED] += 1
    first = used[VICTIMS]
    entry[POSITION], entry[RECORD], entry[CHOSEN] = (
        position,
        keep_tallies(trials.tally[row], refusals),
        chosen,
    )
    entry[FIRST_VICTIM], entry[LAST_VICTIM], entry[VIOLATIONS] = first, first, 0
    if chosen < 0:
        return -1
    count, violations = select_victims(
        nodes, pods, demands, requests, settings, pod, chosen, nominated, refusals.budget_allowed,
        refusals.budget_left, scratch, refusals.victims, refusals.violating, first,
    )  # fmt: skip
    used[VICTIMS] += count
    entry[LAST_VICTIM], entry[VIOLATIONS] = first + count, violations
    if option[EVICTS] != 0:
        evict(
            nodes, pods, requests, settings, counters, touched, refusals.victims, first, first + count, pod,
            chosen, draw, nominated,
        )  # fmt: skip
    return chosen
