"""InterPodAffinity: required and preferred affinity and anti-affinity between pods, in both directions.

Every term is a ledger row and a topology key: rows of pods that a term of the incoming pod matches, and rows of pods
that own a term which matches the incoming pod. Source: plugins/interpodaffinity of Kubernetes 1.36.
"""

from __future__ import annotations

from kcore.kernel import kernel
from kcore.scheduler.codes import REJECT_POD_AFFINITY

# columns of a term
ROW = 0
TOPOLOGY = 1
WEIGHT = 2


@kernel
def count_terms(term, first, last, domain, domain_count, ledger, node_count, counts):
    """Sum each term's ledger row per topology domain into ``counts[term, domain]``; return the sum of all."""
    everything = 0
    for index in range(first, last):
        pods = ledger[term[index, ROW]]
        values = domain[term[index, TOPOLOGY]]
        sums = counts[index - first]
        for value in range(domain_count[term[index, TOPOLOGY]]):
            sums[value] = 0
        for node in range(node_count):
            value = values[node]
            if value >= 0:
                sums[value] += pods[node]
                everything += pods[node]
    return everything


@kernel
def affinity_filter(term, first, last, domain, counts, first_of_kind, start, verdict):
    """Reject nodes that lack a required term's label, or matching pods in the term's domain.

    ``first_of_kind`` says that no pod anywhere matches and the pod matches its own terms: then any node with all the
    labels will do. ``verdict`` is the slice of the nodes from ``start`` on.
    """
    for index in range(first, last):
        values = domain[term[index, TOPOLOGY]][start:]
        sums = counts[index - first]
        for node in range(verdict.shape[0]):
            value = values[node]
            alone = (sums[max(value, 0)] <= 0) & (not first_of_kind)
            passes = (verdict[node] != 0) | ((value >= 0) & (not alone))
            verdict[node] = verdict[node] if passes else REJECT_POD_AFFINITY


@kernel
def anti_affinity_filter(term, first, last, domain, counts, code, start, verdict):
    """Reject nodes with a matching pod in the domain of some term, as ``code``."""
    for index in range(first, last):
        values = domain[term[index, TOPOLOGY]][start:]
        sums = counts[index - first]
        for node in range(verdict.shape[0]):
            value = values[node]
            met = (value >= 0) & (sums[max(value, 0)] > 0)
            passes = (verdict[node] != 0) | (not met)
            verdict[node] = verdict[node] if passes else code


@kernel
def preference_score(term, first, last, domain, domain_count, ledger, node_count, counts, raw):
    """Sum weight * matching pods over the terms whose domain the node shares; return 0 if no term matched a pod."""
    if first == last:
        return 0
    matched = count_terms(term, first, last, domain, domain_count, ledger, node_count, counts)
    if matched == 0:
        return 0
    for node in range(node_count):
        raw[node] = 0
    for index in range(first, last):
        values = domain[term[index, TOPOLOGY]]
        sums = counts[index - first]
        weight = term[index, WEIGHT]
        for node in range(node_count):
            raw[node] += weight * sums[values[node]] if values[node] >= 0 else 0
    return 1
