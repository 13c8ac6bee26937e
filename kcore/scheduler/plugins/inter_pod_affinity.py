"""InterPodAffinity: required and preferred affinity and anti-affinity between pods, in both directions.

Every term is a ledger row and a topology key: rows of pods that a term of the incoming pod matches, and rows of pods
that own a term which matches the incoming pod. Source: plugins/interpodaffinity of Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import (
    REJECT_EXISTING_ANTI_AFFINITY,
    REJECT_POD_AFFINITY,
    REJECT_POD_ANTI_AFFINITY,
)

# columns of a term
ROW = 0
TOPOLOGY = 1
WEIGHT = 2


@kernel
def count_terms(term, first, last, alive, domain, domain_count, ledger, node_count, counts):
    """Sum each term's ledger row per topology domain into ``counts[term, domain]``; return the sum of all."""
    everything = 0
    for index in range(first, last):
        row = term[index, ROW]
        topology = term[index, TOPOLOGY]
        for value in range(domain_count[topology]):
            counts[index - first, value] = 0
        for node in range(node_count):
            value = domain[topology, node]
            if value >= 0 and alive[node] != 0:
                counts[index - first, value] += ledger[row, node]
                everything += ledger[row, node]
    return everything


@kernel
def any_term_counts(term, first, last, domain, counts, node):
    """Tell whether some term has matching pods in the node's domain."""
    for index in range(first, last):
        value = domain[term[index, TOPOLOGY], node]
        if value >= 0 and counts[index - first, value] > 0:
            return True
    return False


@kernel
def satisfies_affinity(term, first, last, domain, counts, first_of_kind, node):
    """Tell whether the node's domains hold matching pods for every required term.

    ``first_of_kind`` says that no pod anywhere matches and the pod matches its own terms: then any node with all the
    topology labels will do.
    """
    exist = True
    for index in range(first, last):
        value = domain[term[index, TOPOLOGY], node]
        if value < 0:
            return False
        if counts[index - first, value] <= 0:
            exist = False
    return exist or first_of_kind


@kernel
def affinity_filter(
    affinity, anti_affinity, existing, first, domain, affinity_counts, anti_counts, existing_counts, first_of_kind,
    start, stop, verdict,
):  # fmt: skip
    """Reject by the pod's affinity, then its anti-affinity, then the anti-affinity of pods already there.

    ``first[0:6]`` are the bounds of the three runs of terms.
    """
    for node in range(start, stop):
        if verdict[node] != 0:
            continue
        if not satisfies_affinity(affinity, first[0], first[1], domain, affinity_counts, first_of_kind, node):
            verdict[node] = REJECT_POD_AFFINITY
        elif any_term_counts(anti_affinity, first[2], first[3], domain, anti_counts, node):
            verdict[node] = REJECT_POD_ANTI_AFFINITY
        elif any_term_counts(existing, first[4], first[5], domain, existing_counts, node):
            verdict[node] = REJECT_EXISTING_ANTI_AFFINITY


@kernel
def preference_score(
    term, first, last, alive, domain, domain_count, ledger, verdict, node_count, counts, raw
):
    """Sum weight * matching pods over the terms whose domain the node shares; return 0 if no term matched a pod."""
    if first == last:
        return 0
    matched = count_terms(term, first, last, alive, domain, domain_count, ledger, node_count, counts)
    if matched == 0:
        return 0
    for node in range(node_count):
        raw[node] = 0
    for index in range(first, last):
        topology = term[index, TOPOLOGY]
        weight = term[index, WEIGHT]
        for node in range(node_count):
            value = domain[topology, node]
            if value >= 0:
                raw[node] += weight * counts[index - first, value]
    return 1
