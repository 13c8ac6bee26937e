"""PodTopologySpread: hard constraints filter, soft ones score; counts come from ledger rows.

A constraint counts the pods that its selector matches per topology domain, over the nodes that its inclusion
policies admit. Source: plugins/podtopologyspread of Kubernetes 1.36.
"""

from __future__ import annotations

import math

import numpy as np

from kcore.kernel import kernel
from kcore.scheduler.codes import MAX_NODE_SCORE, REJECT_SPREAD, REJECT_SPREAD_LABEL
from kcore.scheduler.plugins.arithmetic import divide, round_half_away

# columns of a constraint
ROW = 0
"""Ledger row of the pods that the selector matches (an empty selector's row counts none, see ledger.py)."""
TOPOLOGY = 1
MAX_SKEW = 2
MIN_DOMAINS = 3
HONOR_AFFINITY = 4
HONOR_TAINTS = 5
SELF_MATCH = 6
IS_HOSTNAME = 3
"""Takes the place of MIN_DOMAINS in soft constraints."""

NO_SCORE = 1 << 62

# columns of spread_least
LEAST = 0
LEAST_DOMAIN = 1
SECOND_LEAST = 2
DOMAINS = 3

NO_COUNT = 1 << 31
ABSENT = -(1 << 40)
"""In ``spread``: no eligible node has the domain. Counts themselves may go below 0 while victims are tried."""


@kernel
def mark_complete(domain, constraint, first, last, node_count, complete):
    """Set ``complete[node]`` to 1 where the node has every topology label of ``constraint[first:last]``.

    Dead slots have none.
    """
    for node in range(node_count):
        complete[node] = 1
    for index in range(first, last):
        values = domain[constraint[index, TOPOLOGY]]
        for node in range(node_count):
            complete[node] = complete[node] if values[node] >= 0 else 0


@mark_complete.over_arrays("node_count")
def mark_complete_arrays(domain, constraint, first, last, node_count, complete):
    """As :func:`mark_complete`."""
    labels = domain[constraint[first:last, TOPOLOGY], :node_count]
    complete[:node_count] = (labels >= 0).all(axis=0)


@kernel
def mark_admitted(
    constraint,
    index,
    honor_affinity,
    honor_taints,
    selected,
    taint_set,
    tolerates,
    complete,
    node_count,
    admitted,
):
    """Set ``admitted[node]`` to 1 where a complete node also passes the constraint's inclusion policies."""
    if constraint[index, honor_affinity] != 0:
        for node in range(node_count):
            admitted[node] = complete[node] & selected[node]
    else:
        for node in range(node_count):
            admitted[node] = complete[node]
    if constraint[index, honor_taints] != 0:
        for node in range(node_count):
            admitted[node] = admitted[node] if (tolerates[taint_set[node]] & 1) == 0 else 0


@mark_admitted.over_arrays("node_count")
def mark_admitted_arrays(
    constraint, index, honor_affinity, honor_taints, selected, taint_set, tolerates, complete, node_count, admitted
):  # fmt: skip
    """As :func:`mark_admitted`."""
    admitted[:node_count] = complete[:node_count]
    if constraint[index, honor_affinity] != 0:
        admitted[:node_count] &= selected[:node_count]
    if constraint[index, honor_taints] != 0:
        admitted[:node_count][tolerates[taint_set[:node_count]] & 1 != 0] = 0


@kernel
def count_hard(
    constraint, first, last, domain, domain_count, ledger, selected, taint_set, tolerates, node_count, complete,
    spread, least, eligible,
):  # fmt: skip
    """Count matching pods per domain for each hard constraint into ``spread[constraint, domain]`` (or ABSENT)."""
    mark_complete(domain, constraint, first, last, node_count, complete)
    for index in range(first, last):
        admitted = eligible[index - first]
        mark_admitted(
            constraint, index, HONOR_AFFINITY, HONOR_TAINTS, selected, taint_set, tolerates, complete, node_count,
            admitted,
        )  # fmt: skip
        sums = spread[index - first]
        for value in range(domain_count[constraint[index, TOPOLOGY]]):
            sums[value] = ABSENT
        pods = ledger[constraint[index, ROW]]
        values = domain[constraint[index, TOPOLOGY]]
        for node in range(node_count):
            if admitted[node] != 0:
                value = values[node]
                sums[value] = pods[node] + (0 if sums[value] == ABSENT else sums[value])
        find_least(sums, domain_count[constraint[index, TOPOLOGY]], least[index - first])


@count_hard.over_arrays("node_count")
def count_hard_arrays(
    constraint, first, last, domain, domain_count, ledger, selected, taint_set, tolerates, node_count, complete,
    spread, least, eligible,
):  # fmt: skip
    """As :func:`count_hard`."""
    mark_complete(domain, constraint, first, last, node_count, complete)
    for index in range(first, last):
        admitted = eligible[index - first]
        mark_admitted(
            constraint, index, HONOR_AFFINITY, HONOR_TAINTS, selected, taint_set, tolerates, complete, node_count,
            admitted,
        )  # fmt: skip
        counted = np.flatnonzero(admitted[:node_count])
        values = domain[constraint[index, TOPOLOGY], counted]
        size = int(domain_count[constraint[index, TOPOLOGY]])
        # sums of pods are exact as doubles
        pods = np.bincount(values, weights=ledger[constraint[index, ROW], counted], minlength=size)
        present = np.bincount(values, minlength=size) > 0
        spread[index - first, :size] = np.where(present, pods, ABSENT)
        find_least(spread[index - first], size, least[index - first])


@kernel
def find_least(spread, domain_count, least):
    """Put the least count, its domain, the least of the others and the number of domains into ``least``."""
    least[LEAST] = NO_COUNT
    least[LEAST_DOMAIN] = -1
    least[SECOND_LEAST] = NO_COUNT
    least[DOMAINS] = 0
    for value in range(domain_count):
        count = spread[value]
        if count == ABSENT:
            continue
        least[DOMAINS] += 1
        if count < least[LEAST]:
            least[SECOND_LEAST] = least[LEAST]
            least[LEAST] = count
            least[LEAST_DOMAIN] = value
        elif count < least[SECOND_LEAST]:
            least[SECOND_LEAST] = count


@find_least.over_arrays("domain_count")
def find_least_arrays(spread, domain_count, least):
    """As :func:`find_least`."""
    present = np.flatnonzero(spread[:domain_count] != ABSENT)
    least[:] = (NO_COUNT, -1, NO_COUNT, len(present))
    if len(present):
        counts = spread[present]
        place = int(counts.argmin())
        least[LEAST], least[LEAST_DOMAIN] = counts[place], present[place]
        least[SECOND_LEAST] = np.delete(counts, place).min(initial=NO_COUNT)


@kernel
def spread_filter(constraint, first, last, domain, spread, least, start, verdict):
    """Reject nodes where one more pod would exceed a constraint's skew, and those without its label.

    The global minimum is taken as if only the node's own domain had changed since :func:`count_hard`, which holds
    in a full pass (nothing has) and while victims of that one node are being tried. ``verdict`` is the slice of the
    nodes from ``start`` on.
    """
    for index in range(first, last):
        row = index - first
        values = domain[constraint[index, TOPOLOGY]][start:]
        sums = spread[row]
        scarce = least[row, DOMAINS] < constraint[index, MIN_DOMAINS]
        own = constraint[index, SELF_MATCH]
        for node in range(verdict.shape[0]):
            value = max(values[node], 0)
            others = least[row, SECOND_LEAST] if value == least[row, LEAST_DOMAIN] else least[row, LEAST]
            absent = sums[value] == ABSENT
            count = 0 if absent else sums[value]
            lowest = others if absent else min(others, count)
            skew = count + own - (0 if scarce else lowest)
            code = REJECT_SPREAD if skew > constraint[index, MAX_SKEW] else 0
            code = code if values[node] >= 0 else REJECT_SPREAD_LABEL
            verdict[node] = verdict[node] if verdict[node] != 0 else code


@spread_filter.over_arrays("verdict")
def spread_filter_arrays(constraint, first, last, domain, spread, least, start, verdict):
    """As :func:`spread_filter`."""
    for row, index in enumerate(range(first, last)):
        values = domain[constraint[index, TOPOLOGY], start : start + len(verdict)]
        value = np.maximum(values, 0)
        lowest, scarce = least[row], least[row, DOMAINS] < constraint[index, MIN_DOMAINS]
        others = np.where(value == lowest[LEAST_DOMAIN], lowest[SECOND_LEAST], lowest[LEAST])
        count = spread[row][value]
        absent = count == ABSENT
        count[absent] = 0
        skew = count + constraint[index, SELF_MATCH]
        if not scarce:
            skew -= np.where(absent, others, np.minimum(others, count))
        code = np.where(skew > constraint[index, MAX_SKEW], REJECT_SPREAD, 0)
        code[values < 0] = REJECT_SPREAD_LABEL
        verdict[:] = np.where(verdict != 0, verdict, code)


@kernel
def soft_score(
    constraint, first, last, require_all, domain, domain_count, ledger, selected, taint_set, tolerates, verdict,
    node_count, complete, admitted, soft, present, number, raw,
):  # fmt: skip
    """Score each feasible node by the pods that match around it; -1 marks nodes that lack a required label.

    ``soft[constraint, domain]`` counts by domain, of those that some feasible node shares (``present``); slot
    ``domain_count`` stands for "no label", which upstream keeps under the empty value.
    """
    if require_all:
        mark_complete(domain, constraint, first, last, node_count, complete)
    else:
        for node in range(node_count):
            complete[node] = 1
    scored = 0
    for node in range(node_count):
        scored += 1 if (verdict[node] == 0) & (complete[node] != 0) else 0
        number[node] = 0.0
    for index in range(first, last):
        topology = constraint[index, TOPOLOGY]
        pods = ledger[constraint[index, ROW]]
        values = domain[topology]
        slack = float(constraint[index, MAX_SKEW] - 1)
        if constraint[index, IS_HOSTNAME] != 0:
            factor = math.log(float(scored + 2))
            for node in range(node_count):
                number[node] += pods[node] * factor + slack if values[node] >= 0 else 0.0
            continue
        mark_admitted(
            constraint, index, HONOR_AFFINITY, HONOR_TAINTS, selected, taint_set, tolerates, complete, node_count,
            admitted,
        )  # fmt: skip
        sums, shared = soft[index - first], present[index - first]
        size = count_soft(
            values, pods, admitted, complete, verdict, domain_count[topology], node_count, sums, shared
        )
        factor = math.log(float(size + 2))
        for node in range(node_count):
            number[node] += sums[max(values[node], 0)] * factor + slack if values[node] >= 0 else 0.0
    for node in range(node_count):
        raw[node] = round_half_away(number[node]) if complete[node] != 0 else -1


@soft_score.over_arrays("node_count")
def soft_score_arrays(
    constraint, first, last, require_all, domain, domain_count, ledger, selected, taint_set, tolerates, verdict,
    node_count, complete, admitted, soft, present, number, raw,
):  # fmt: skip
    """As :func:`soft_score`."""
    complete[:node_count] = 1
    if require_all:
        mark_complete(domain, constraint, first, last, node_count, complete)
    whole = complete[:node_count] != 0
    scored = int(np.count_nonzero(whole & (verdict[:node_count] == 0)))
    sums = number[:node_count]
    sums[:] = 0.0
    for index in range(first, last):
        topology = constraint[index, TOPOLOGY]
        pods = ledger[constraint[index, ROW]]
        values = domain[topology]
        slack = float(constraint[index, MAX_SKEW] - 1)
        if constraint[index, IS_HOSTNAME] != 0:
            size, counts = scored, pods[:node_count]
        else:
            mark_admitted(
                constraint, index, HONOR_AFFINITY, HONOR_TAINTS, selected, taint_set, tolerates, complete,
                node_count, admitted,
            )  # fmt: skip
            by_domain = soft[index - first]
            size = count_soft(
                values, pods, admitted, complete, verdict, domain_count[topology], node_count, by_domain,
                present[index - first],
            )  # fmt: skip
            counts = by_domain[np.maximum(values[:node_count], 0)]
        factor = math.log(float(size + 2))
        sums += np.where(values[:node_count] >= 0, counts * factor + slack, 0.0)
    rounded = sums.astype(np.int64)
    rounded += sums - rounded >= 0.5
    raw[:node_count] = np.where(whole, rounded, -1)


@kernel
def count_soft(values, pods, admitted, complete, verdict, domain_count, node_count, sums, shared):
    """Count pods by domain over the admitted nodes; return how many domains feasible, complete nodes share."""
    for value in range(domain_count + 1):
        sums[value] = 0
        shared[value] = 0
    for node in range(node_count):
        value = values[node] if values[node] >= 0 else domain_count
        sums[value] += pods[node] * admitted[node]
        shared[value] |= (verdict[node] == 0) & (complete[node] != 0)
    size = 0
    for value in range(domain_count + 1):
        size += shared[value]
        sums[value] = sums[value] if shared[value] != 0 else 0
    return size


@count_soft.over_arrays("node_count")
def count_soft_arrays(values, pods, admitted, complete, verdict, domain_count, node_count, sums, shared):
    """As :func:`count_soft`."""
    size = int(domain_count) + 1
    value = np.where(values[:node_count] >= 0, values[:node_count], domain_count)
    counted = pods[:node_count] * admitted[:node_count]
    feasible = (verdict[:node_count] == 0) & (complete[:node_count] != 0)
    share = np.bincount(value[feasible], minlength=size) > 0
    # sums of pods are exact as doubles
    sums[:size] = np.where(share, np.bincount(value, weights=counted, minlength=size), 0)
    shared[:size] = share
    return int(np.count_nonzero(share))


@kernel
def add_soft_normalized(verdict, raw, weight, count, total):
    """Add weight * (100 * (max + min - raw) / max): fewer matching pods score higher; ignored nodes score 0."""
    least = NO_SCORE
    most = 0
    for node in range(count):
        counts = (verdict[node] == 0) & (raw[node] >= 0)
        least = min(least, raw[node] if counts else NO_SCORE)
        most = max(most, raw[node] if counts else 0)
    if most == 0:
        for node in range(count):
            total[node] += weight * MAX_NODE_SCORE if raw[node] >= 0 else 0
        return
    for node in range(count):
        # raw scores of infeasible nodes may lie outside; their totals are never read
        kept = min(max(raw[node], least), most)
        score = divide(MAX_NODE_SCORE * (most + least - kept), most)
        total[node] += weight * score if raw[node] >= 0 else 0


@add_soft_normalized.over_arrays("count")
def add_soft_normalized_arrays(verdict, raw, weight, count, total):
    """As :func:`add_soft_normalized`."""
    scores = raw[:count]
    has_score = scores >= 0
    counts = has_score & (verdict[:count] == 0)
    least = scores.min(initial=NO_SCORE, where=counts)
    most = scores.max(initial=0, where=counts)
    if most == 0:
        total[:count] += np.where(has_score, weight * MAX_NODE_SCORE, 0)
        return
    kept = np.minimum(np.maximum(scores, least), most)
    normal = MAX_NODE_SCORE * (most + least - kept) // most
    total[:count] += np.where(has_score, weight * normal, 0)
