"""What the incremental engine keeps between pods, as arrays; ``docs/design/0004`` says why it is exact.

A *view* is what a demand asks of nodes, with everything that placements cannot change worked out. A *shape* is a
view with a request and a priority: pods of one shape are alike to the scheduler. The nodes of a shape fall into
*groups*: those with the same domains, the same counts of pods, the same raw scores of whatever is normalized. Nodes
of one group differ by their *local score* alone, so each group keeps a tournament tree over it.
"""

from __future__ import annotations

from typing import NamedTuple

from kcore.references import by_reference
from kcore.scheduler.columns import F64, I32, I64, U8, Ragged

# columns of Views.fixed
DEMAND = 0
FIT_WEIGHT = 1
"""Weights are 0 where the plugin does not score the pod."""
BALANCED_WEIGHT = 2
TAINT_WEIGHT = 3
AFFINITY_WEIGHT = 4
SOFT_WEIGHT = 5
PREFERENCE_WEIGHT = 6
CONSTANT = 7
"""What every feasible node scores all the same."""
COMPLETE = 8
"""Column of a group that tells whether soft spreading scores it; -1 where there is none."""
TAINT = 9
AFFINITY = 10
"""Columns of a group with the raw scores of TaintToleration and NodeAffinity, -1."""
PREFERENCE = 11
"""Column of a group with what one-node topologies add to InterPodAffinity's raw score, -1."""
STATIC_COLUMNS = 12
COLUMNS = 13
FILTERS_FIT = 14
FIRST_GROUP = 15
"""Row of the view's first static group in ``static_*``."""
STATIC_GROUPS = 16
FILTERS_DOMAINS = 17
"""1 where a filter looks beyond the node, so that what nominated pods bring cannot be judged at their node."""
SELF = 18
"""1 where the pod matches all of its own required affinity terms."""
SIMPLE = 19
"""1 where groups neither filter nor score: only the local score decides."""
FILTERS_GPU = 20
"""1 where GPU devices are shared."""
POLICY = 21
"""1 where a policy scores."""
VIEW_FIELDS = 22

# kinds of Views.term
HARD_DOMAIN = 0
HARD_SINGLE = 1
SOFT_DOMAIN = 2
SOFT_HOSTNAME = 3
SOFT_SINGLE = 4
AFFINITY_DOMAIN = 5
AFFINITY_SINGLE = 6
ANTI_DOMAIN = 7
PREFERENCE_DOMAIN = 8
PREFERENCE_SINGLE = 9

# columns of Views.term
KIND = 0
COUNTER = 1
"""Counter of the term's pods."""
DOMAIN = 2
"""Column of a group with its domain; of a one-node topology 0, or -1 without the label."""
COUNT = 3
"""Column of a group with the pods on each of its nodes (one-node topologies)."""
LIMIT = 4
"""Max skew of spreading; weight of a preference."""
DOMAINS_MIN = 5
OWN = 6
"""1 where the pod counts itself."""
ELIGIBLE = 7
"""Column of a group that tells whether a hard constraint counts it."""
DOMAINS = 8
"""Number of domains that a hard constraint counts."""
TERM_FIELDS = 9

# columns of Views.dynamic
TARGET = 0
OPERATION = 1
ROW = 2
WEIGHT = 3
TOPOLOGY = 4
"""Topology whose label the node must have, -1 none."""
ADMITTED = 5
"""Row of Counters.mask that the node must be in, -1 none."""
DYNAMIC_FIELDS = 6

ADD = 0
ALL_POSITIVE = 1


@by_reference
class Views(NamedTuple):
    """One row a demand in use; a static group is a set of nodes that no placement tells apart but for counts."""

    of_demand: I32  # [demand] its view, -1 none
    fixed: I64  # [view, field]
    allowed: U8  # [view, node] 1 where no filter that placements cannot change rejects the node
    addend: I32  # [view, node] weighted score that placements cannot change
    group: I32  # [view, node] static group, -1 where the node can never matter
    leaf: I32  # [view, node] place among the nodes of its static group, by rank
    node_at: I32  # [view, place] nodes by static group and leaf
    static_offset: I64  # [static group] its first place in ``node_at``
    static_size: I64  # [static group] leaves of its trees, whole cache lines
    static_places: I64  # [static group] places of such a tree
    static_value: I32  # [static group, column]
    term: Ragged  # [view] -> TERM_FIELDS
    dynamic: Ragged  # [view] -> DYNAMIC_FIELDS
    empty: Ragged  # [view] -> (ledger row, topology): rows that must be 0 on the node, as ports


@by_reference
class Counters(NamedTuple):
    """Pods of a ledger row per topology domain, over the nodes of a mask; kept up to date by every placement."""

    of_row: Ragged  # [ledger row] -> (counter,)
    fixed: I64  # [counter, 4] topology, mask or -1, first domain in ``pods`` or -1 (one-node), domains
    total: I64  # [counter] pods in all domains
    pods: I64  # [domain of a counter]
    present: U8  # [domain of a counter] 1 where the mask has a node of the domain
    mask: U8  # [mask, node]


# columns of Shapes.fixed
VIEW = 0
REQUEST = 1
PRIORITY = 2
CURSOR = 3
"""Touches up to this one have been seen."""
FIRST = 4
"""First of the shape's groups."""
GROUPS = 5
GROUPS_MAX = 6
TREE = 7
"""First free place of the shape's trees."""
TREE_STOP = 8
HEADS = 9
"""First entry of the shape in ``head``: by static group the first group."""
TURN = 10
"""Touches before its latest turn."""
SHAPE_FIELDS = 11


@by_reference
class Shapes(NamedTuple):
    """One row a shape that is kept."""

    fixed: I64  # [shape, field]
    group: I32  # [shape, node] the node's group, -1
    head: I32  # [static group of a shape] its first group, -1
    value: I32  # [group, column], and after the view's last column the static group
    size: I64  # [group] nodes in it, feasible or not
    feasible: I64  # [group] nodes in it that pass the filters that look at the node alone
    following: I32  # [group] next group of the same static group, -1
    tree_start: I64  # [group] its tree: ``tree[start]`` is the best local score, -1 for none
    tree: I32  # [place]


@by_reference
class Touched(NamedTuple):
    """Nodes that placements have changed, in order: what a shape has to look at again when its turn comes."""

    sequence: I64  # [1] touches so far
    ring: I32  # [power of two] the latest ones
    last: I64  # [node] its latest touch
    promised: U8  # [node] 1 where a pod is nominated to it


@by_reference
class Choice(NamedTuple):
    """Working memory of the choice among groups."""

    value: I32  # [column] the node's own values
    passes: U8  # [group]
    raw: I64  # [2, group] of soft spreading, of InterPodAffinity
    least: I64  # [term]
    factor: F64  # [term] log(size + 2) of a soft constraint
    seen: I64  # [domain of a counter] the choice that saw it last
    mark: I64  # [2] number of this choice; why placing stopped
    amount: I64  # [resource] requests of pods that are nominated to the node
    tied: U8  # [node]
    shape: I64  # [shape field] of a pod whose shape is not kept
    total: I32  # [node] local scores of a scan
    some: I32  # [node and one] the nodes that a shape has to look at again
    gpu_left: I64  # [device] of a node, kept while pods are tried that are nominated to it
