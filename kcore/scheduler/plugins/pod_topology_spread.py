"""PodTopologySpread: hard constraints filter, soft ones score; counts come from ledger rows.

A constraint counts the pods that its selector matches per topology domain, over the nodes that its inclusion
policies admit. Source: plugins/podtopologyspread of Kubernetes 1.36.
"""

from __future__ import annotations

import math

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

# columns of spread_least
LEAST = 0
LEAST_DOMAIN = 1
SECOND_LEAST = 2
DOMAINS = 3

NO_COUNT = 1 << 31
ABSENT = -(1 << 40)
"""In ``spread``: no eligible node has the domain. Counts themselves may go below 0 while victims are tried."""


@kernel
def has_all_topologies(domain, constraint, first, last, node):
    """Tell whether the node has every topology label of ``constraint[first:last]``."""
    for index in range(first, last):
        if domain[constraint[index, TOPOLOGY], node] < 0:
            return False
    return True


@kernel
def count_hard(
    constraint, first, last, alive, domain, domain_count, ledger, selected, taint_set, tolerates, node_count,
    spread, least, eligible,
):  # fmt: skip
    """Count matching pods per domain for each hard constraint into ``spread[constraint, domain]`` (or ABSENT)."""
    for index in range(first, last):
        row = index - first
        for value in range(domain_count[constraint[index, TOPOLOGY]]):
            spread[row, value] = ABSENT
    for node in range(node_count):
        whole = alive[node] != 0 and has_all_topologies(domain, constraint, first, last, node)
        tainted = (tolerates[taint_set[node]] & 1) != 0
        for index in range(first, last):
            row = index - first
            admitted = (
                whole
                and (constraint[index, HONOR_AFFINITY] == 0 or selected[node] != 0)
                and (constraint[index, HONOR_TAINTS] == 0 or not tainted)
            )
            eligible[row, node] = 1 if admitted else 0
            if admitted:
                value = domain[constraint[index, TOPOLOGY], node]
                if spread[row, value] == ABSENT:
                    spread[row, value] = 0
                spread[row, value] += ledger[constraint[index, ROW], node]
    for index in range(first, last):
        find_least(spread[index - first], domain_count[constraint[index, TOPOLOGY]], least[index - first])


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


@kernel
def spread_filter(constraint, first, last, domain, spread, least, start, stop, verdict):
    """Reject nodes where one more pod would exceed a constraint's skew, and those without its label.

    The global minimum is taken as if only the node's own domain had changed since :func:`count_hard`, which holds
    in a full pass (nothing has) and while victims of that one node are being tried.
    """
    for node in range(start, stop):
        if verdict[node] != 0:
            continue
        for index in range(first, last):
            row = index - first
            value = domain[constraint[index, TOPOLOGY], node]
            if value < 0:
                verdict[node] = REJECT_SPREAD_LABEL
                break
            count = spread[row, value]
            lowest = least[row, SECOND_LEAST] if value == least[row, LEAST_DOMAIN] else least[row, LEAST]
            if count == ABSENT:
                count = 0
            else:
                lowest = min(lowest, count)
            if least[row, DOMAINS] < constraint[index, MIN_DOMAINS]:
                lowest = 0
            if count + constraint[index, SELF_MATCH] - lowest > constraint[index, MAX_SKEW]:
                verdict[node] = REJECT_SPREAD
                break


@kernel
def soft_score(
    constraint, first, last, require_all, alive, domain, domain_count, ledger, selected, taint_set, tolerates,
    verdict, node_count, soft, number, raw,
):  # fmt: skip
    """Score each feasible node by the pods that match around it; -1 marks nodes that lack a required label.

    ``soft[constraint, domain]`` holds counts by domain; slot ``domain_count`` stands for "no label", which upstream
    keeps under the empty value.
    """
    feasible_count = 0
    ignored_count = 0
    for index in range(first, last):
        for value in range(domain_count[constraint[index, TOPOLOGY]] + 1):
            soft[index - first, value] = -1
    for node in range(node_count):
        raw[node] = 0
        if verdict[node] != 0:
            continue
        feasible_count += 1
        if require_all and not has_all_topologies(domain, constraint, first, last, node):
            ignored_count += 1
            raw[node] = -1
            continue
        for index in range(first, last):
            topology = constraint[index, TOPOLOGY]
            value = domain[topology, node]
            soft[index - first, value if value >= 0 else domain_count[topology]] = 0
    for node in range(node_count):
        if alive[node] == 0 or (require_all and not has_all_topologies(domain, constraint, first, last, node)):
            continue
        tainted = (tolerates[taint_set[node]] & 1) != 0
        for index in range(first, last):
            row = constraint[index, ROW]
            if (
                constraint[index, IS_HOSTNAME] != 0
                or (constraint[index, HONOR_AFFINITY] != 0 and selected[node] == 0)
                or (constraint[index, HONOR_TAINTS] != 0 and tainted)
            ):
                continue
            topology = constraint[index, TOPOLOGY]
            value = domain[topology, node]
            slot = value if value >= 0 else domain_count[topology]
            if soft[index - first, slot] >= 0:
                soft[index - first, slot] += ledger[row, node]
    add_soft_counts(
        constraint, first, last, domain, domain_count, ledger, verdict, node_count,
        feasible_count - ignored_count, soft, number[0], raw,
    )  # fmt: skip


@kernel
def add_soft_counts(
    constraint, first, last, domain, domain_count, ledger, verdict, node_count, hostname_size, soft, number, raw
):
    """Turn counts into raw scores: round(sum over constraints of count * log(domains + 2) + max skew - 1)."""
    for node in range(node_count):
        number[node] = 0.0
    for index in range(first, last):
        topology = constraint[index, TOPOLOGY]
        row = constraint[index, ROW]
        size = 0
        for value in range(domain_count[topology] + 1):
            if soft[index - first, value] >= 0:
                size += 1
        if constraint[index, IS_HOSTNAME] != 0:
            size = hostname_size
        factor = math.log(float(size + 2))
        slack = float(constraint[index, MAX_SKEW] - 1)
        for node in range(node_count):
            value = domain[topology, node]
            if verdict[node] != 0 or value < 0:
                continue
            if constraint[index, IS_HOSTNAME] != 0:
                count = ledger[row, node]
            else:
                count = max(soft[index - first, value], 0)
            number[node] += count * factor + slack
    for node in range(node_count):
        if verdict[node] == 0 and raw[node] == 0:
            raw[node] = round_half_away(number[node])


@kernel
def add_soft_normalized(verdict, raw, weight, count, total):
    """Add weight * (100 * (max + min - raw) / max): fewer matching pods score higher; ignored nodes score 0."""
    first = True
    least = 0
    most = 0
    for node in range(count):
        if verdict[node] == 0 and raw[node] >= 0:
            if first:
                least = raw[node]
                first = False
            least = min(least, raw[node])
            most = max(most, raw[node])
    for node in range(count):
        if verdict[node] == 0 and raw[node] >= 0:
            if most == 0:
                total[node] += weight * MAX_NODE_SCORE
            else:
                total[node] += weight * divide(MAX_NODE_SCORE * (most + least - raw[node]), most)
