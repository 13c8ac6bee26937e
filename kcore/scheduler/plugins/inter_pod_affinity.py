"""InterPodAffinity: required and preferred affinity and anti-affinity between pods, in both directions.

Every term is a ledger row and a topology key: rows of pods that a term of the incoming pod matches, and rows of pods
that own a term which matches the incoming pod. Source: plugins/interpodaffinity of Kubernetes 1.36.
"""

from __future__ import annotations

import numpy as np

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


@count_terms.over_arrays("node_count")
def count_terms_arrays(term, first, last, domain, domain_count, ledger, node_count, counts):
    """As :func:`count_terms`."""
    everything = 0
    for index in range(first, last):
        values = domain[term[index, TOPOLOGY], :node_count]
        labelled = values >= 0
        pods = ledger[term[index, ROW], :node_count][labelled]
        size = int(domain_count[term[index, TOPOLOGY]])
        # sums of pods are exact as doubles
        counts[index - first, :size] = np.bincount(values[labelled], weights=pods, minlength=size)
        everything += int(pods.sum(dtype=np.int64))
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


@affinity_filter.over_arrays("verdict")
def affinity_filter_arrays(term, first, last, domain, counts, first_of_kind, start, verdict):
    """As :func:`affinity_filter`."""
    for index in range(first, last):
        values = domain[term[index, TOPOLOGY], start : start + len(verdict)]
        passes = values >= 0
        if not first_of_kind:
            passes &= counts[index - first][np.maximum(values, 0)] > 0
        verdict[(verdict == 0) & ~passes] = REJECT_POD_AFFINITY


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


@anti_affinity_filter.over_arrays("verdict")
def anti_affinity_filter_arrays(term, first, last, domain, counts, code, start, verdict):
    """As :func:`anti_affinity_filter`."""
    for index in range(first, last):
        values = domain[term[index, TOPOLOGY], start : start + len(verdict)]
        met = (values >= 0) & (counts[index - first][np.maximum(values, 0)] > 0)
        verdict[(verdict == 0) & met] = code


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


@preference_score.over_arrays("node_count")
def preference_score_arrays(term, first, last, domain, domain_count, ledger, node_count, counts, raw):
    """As :func:`preference_score`."""
    if first == last or not count_terms(term, first, last, domain, domain_count, ledger, node_count, counts):
        return 0
    raw[:node_count] = 0
    for index in range(first, last):
        values = domain[term[index, TOPOLOGY], :node_count]
        sums = counts[index - first][np.maximum(values, 0)]
        raw[:node_count] += np.where(values >= 0, term[index, WEIGHT] * sums, 0)
    return 1
