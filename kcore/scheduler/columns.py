"""The arrays that kernels see, grouped by what they describe; the node axis is last.

Each group is a NamedTuple so that Numba takes it as one argument and Python prints its names. The tables that own
and grow these arrays are in ``nodes.py``, ``pods.py``, ``ledger.py`` and ``demand.py``; a group is a view of them,
made anew when a table has grown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kcore.references import by_reference

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]


@by_reference
class Ragged(NamedTuple):
    """Rows of different length: row ``i`` is ``item[ptr[i]:ptr[i + 1]]``, an item has named columns."""

    ptr: I32  # [row + 1]
    item: I64  # [item, field]


def ragged(rows: Iterable[Sequence[Sequence[int]]], field_count: int) -> Ragged:
    """Pack ``rows`` of items, each a sequence of ``field_count`` integers."""
    ptr = [0]
    items: list[Sequence[int]] = []
    for row in rows:
        items.extend(row)
        ptr.append(len(items))
    array = np.array(items, dtype=np.int64).reshape(len(items), field_count)
    return Ragged(np.array(ptr, dtype=np.int32), array)


@by_reference
class NodeColumns(NamedTuple):
    """State of the nodes; ``slots`` are in use, dead slots among them have ``alive`` 0."""

    slots: I64  # [1]: slots in use
    alive: U8  # [node]
    unschedulable: U8  # [node]
    rank: I32  # [node] position by name, for ties
    taint_set: I32  # [node] index into the vocabulary of taint sets
    allocatable: I64  # [resource, node] milli-CPU, bytes, counts
    requested: I64  # [resource, node]
    nonzero: I64  # [2, node] CPU and memory with defaults for what is not requested
    pair: F64  # [field, node] CPU and memory as doubles, see plugins/resource_pair.py
    paired: U8  # [2]: 1 where these are exact, 1 where every node has both
    pods_allowed: I64  # [node]
    pod_count: I64  # [node]
    label: I32  # [label key, node] value id, -1 absent; row 0 is the node's name
    domain: I32  # [topology key, node] dense domain id, -1 absent
    domain_count: I64  # [topology key]
    image: I64  # [image, node] bytes, scaled by spread; 0 absent
    image_most: I64  # [image] the same of a node that has it, 0 if none has
    first_pod: I32  # [node] head of the list of its pods, -1 none
    ledger: I32  # [row, node] counts of pods, see ledger.py
    number: I64  # [label value] its integer reading
    is_number: U8  # [label value]
    gpu_left: I64  # [device, node] milli that nobody uses
    gpu_count: I32  # [node] devices
    gpu_model: I32  # [node] model number, -1 none
    gpu_kind: I32  # [kind, node] pods by kind of request: 0 part of a device, n whole devices
    gpu_largest: I64  # [2] most CPU and most GPU milli of any node, 1 at least


@by_reference
class PodColumns(NamedTuple):
    """State of the pods; ``next`` and ``previous`` link the pods of a node."""

    spec_class: I32  # [pod]
    demand: I32  # [pod], -1 where not compiled for scheduling
    request: I32  # [pod] row of Requests
    node: I32  # [pod], -1 pending
    nominated: I32  # [pod] node that preemption has promised, -1 none
    priority: I32  # [pod]
    start: I64  # [pod] microseconds since the epoch
    next: I32  # [pod]
    previous: I32  # [pod]
    devices: I32  # [pod] bit mask of its GPU devices on its node
    contribution: Ragged  # [spec class] -> (ledger row, counted, shifted, is port), see ledger.py
    budget: Ragged  # [spec class] -> (disruption budget,)


@by_reference
class Requests(NamedTuple):
    """What distinct pods ask for."""

    amount: I64  # [request, resource]
    nonzero: I64  # [request, 2] CPU and memory with defaults for what is not requested
    exception: I32  # [request] row of ``score``, -1 where scoring reads ``nonzero`` and ``amount``
    score: I64  # [exception, resource]
    gpu: I64  # [request, 3] GPU devices, milli of each, row of ``gpu_allows``
    gpu_allows: (
        U8  # [set of models, model + 1] 1 where the model is allowed; column 0 for a node without a model
    )


@by_reference
class Demands(NamedTuple):
    """What distinct pods demand of nodes, compiled: one row per spec class and profile; fields are in demand.py."""

    fixed: I64  # [demand, field]
    tolerates: (
        I32  # [toleration set, taint set] 2 * intolerable soft taints + (1 if a hard taint is not tolerated)
    )
    names: Ragged  # [demand] -> (name id,)
    term: Ragged  # [selector program] -> (first requirement, last requirement + 1)
    requirement: I64  # [requirement, 5] label row, operator, first value, last value + 1, number
    value: I32  # [value] label value ids
    preferred: Ragged  # [demand] -> (selector program, weight)
    ports: Ragged  # [demand] -> (ledger row,)
    spread_hard: (
        Ragged  # [demand] -> (row, topology, max skew, min domains, honor affinity, honor taints, self)
    )
    spread_soft: Ragged  # [demand] -> (row, topology, is hostname, max skew, honor affinity, honor taints)
    affinity: Ragged  # [demand] -> (row, topology)
    anti_affinity: Ragged  # [demand] -> (row, topology)
    existing_anti_affinity: Ragged  # [demand] -> (row, topology)
    pod_preference: Ragged  # [demand] -> (row, topology, weight)
    images: Ragged  # [demand] -> (image row,)


@by_reference
class Settings(NamedTuple):
    """One profile as numbers."""

    filters: I64  # [filter plugin] in order
    scores: I64  # [score plugin] in order
    weights: I64  # [score plugin]
    fit_strategy: I64  # [1] 0 LeastAllocated, 1 MostAllocated, 2 RequestedToCapacityRatio
    fit_resources: I64  # [resource of the strategy, 3] row, weight, is scalar
    fit_shape: I64  # [point, 2] utilisation, score 0..100
    fit_ignored: U8  # [resource]
    balanced_resources: I64  # [resource, 3] row, weight, is scalar
    gpu: I64  # [2] 1 where GPU devices are shared; how a pod's devices are chosen, see gpu_share.py
    typical: (
        I64  # [typical pod, 4] milli-CPU, GPU devices, row of ``typical_allows``, of ``typical_milli`` or -1
    )
    typical_share: F64  # [typical pod] share of the workload
    typical_allows: U8  # [set of models, model + 1] as ``gpu_allows``
    typical_milli: I64  # [distinct milli] ascending
    fragments: F64  # [node] GPU milli that typical pods cannot use, as of the state in ``fragments_of``: memory of fgd
    fragments_of: I64  # [node, 2 + device] CPU left, model, GPU milli left by device; CPU -1: nothing known
    fragment_levels: I64  # [node, 4, distinct milli] devices by what they have left, see fgd.py


@by_reference
class Scratch(NamedTuple):
    """Working memory of one scheduling cycle; what a PreFilter finds stays here for Filter and preemption."""

    verdict: U8  # [node]
    detail: I64  # [node] reason bits of NodeResourcesFit
    selected: U8  # [node] 1 where the pod's node selector and required affinity match
    raw: I64  # [node] raw score of the plugin at work
    total: I64  # [node]
    number: F64  # [2, node]
    spread: I64  # [constraint, domain] matching pods, ABSENT where no eligible node has the domain
    spread_least: I64  # [constraint, 4] least count, its domain, second least, domains
    spread_eligible: U8  # [constraint, node]
    complete: U8  # [node] 1 where the node has every topology label of the constraints at work
    admitted: U8  # [node] 1 where it also passes the inclusion policies of one of them
    soft: I64  # [constraint, domain]
    soft_present: U8  # [constraint, domain] 1 where a feasible node has the domain
    affinity: I64  # [term, domain]
    anti_affinity: I64  # [term, domain]
    existing_anti_affinity: I64  # [term, domain]
    preference: I64  # [term, domain]
    column: I32  # [2, ledger row] a node's ledger, kept while pods are tried on it
    flag: I64  # [8] see the FLAG_ constants
    gpu_left: I64  # [device] of a node, kept while nominated pods are tried on it


FLAG_AFFINITY_TOTAL = 0
"""Pods that match all required affinity terms, counted once per term and labelled node."""
FLAG_AFFINITY_SKIPPED = 1
"""1 where InterPodAffinity's PreFilter had nothing to do, so its Filter does not run."""
