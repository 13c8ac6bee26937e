"""Numbers that kernels and Python share: plugins, verdicts of a node, resource rows, limits.

Verdicts are the reasons of upstream's ``ErrReason*`` constants; the texts stand with the plugins.
"""

from __future__ import annotations

# resource rows
CPU = 0
MEMORY = 1

RESOURCES_MAX = 60
"""Resource rows that fit the reason bits of one int64 (see ``detail``)."""

QUANTITY_MAX = (2**63 - 1) // 100
"""Largest amount of a resource on a node or in a pod (base units, milli-CPU): 100 times it still fits int64."""

DOMAIN_NONE = -1
"""A node without the topology label."""

# in-tree plugins, in the order of the default profile
NODE_UNSCHEDULABLE = 0
NODE_NAME = 1
TAINT_TOLERATION = 2
NODE_AFFINITY = 3
NODE_PORTS = 4
NODE_RESOURCES_FIT = 5
POD_TOPOLOGY_SPREAD = 6
INTER_POD_AFFINITY = 7
BALANCED_ALLOCATION = 8
IMAGE_LOCALITY = 9

GPU_SHARE = 16
"""GPU sharing; the policies that score with it have the numbers in ``plugins/policies``, from FIRST_POLICY on."""
FIRST_POLICY = 32

# verdicts: why a node was rejected; 0 is "passes"
PASS = 0
REJECT_UNSCHEDULABLE = 1
REJECT_NODE_NAME = 2
REJECT_TAINT = 3
REJECT_AFFINITY = 4
REJECT_AFFINITY_ENFORCED = 5
REJECT_PORTS = 6
REJECT_FIT = 7
REJECT_SPREAD = 8
REJECT_SPREAD_LABEL = 9
REJECT_POD_AFFINITY = 10
REJECT_POD_ANTI_AFFINITY = 11
REJECT_EXISTING_ANTI_AFFINITY = 12
REJECT_GPU_MODEL = 13
REJECT_GPU_COUNT = 14
REJECT_GPU = 15
REJECT_THIRD_PARTY = 64
HOST_FIRST = 128
"""The first of the verdicts of plugins on objects, whose words are those of one cycle."""
HOST_LAST = 249
OUTSIDE = 250
"""Not in the node set that a PreFilter plugin asked for."""
NOT_TRIED = 251
"""The pod's nominated node fits, so no other was looked at."""
DEAD = 255
"""An empty slot of the node table, not a node."""

# bits of ``detail`` under REJECT_FIT: bit 0 too many pods, bit 1 + r insufficient resource row r
DETAIL_PODS = 1
DETAIL_UNRESOLVABLE = 1 << 62

MAX_NODE_SCORE = 100

GPU_MILLI = 1000
"""Of a whole device."""
GPU_DEVICES_MAX = 31
"""Devices of a node: the bits of a pod's ``devices``."""
