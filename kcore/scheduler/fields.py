"""Columns of ``Demands.fixed``: what every demand has exactly one of."""

from __future__ import annotations

TOLERATION = 0
"""Row of ``Demands.tolerates``."""
ANY_HARD_TAINT = 1
"""Filled by the cycle's caller: 1 where some taint set is rejected by the toleration row."""
ANY_SOFT_TAINT = 2
TOLERATES_CORDON = 3
"""1 where the pod tolerates node.kubernetes.io/unschedulable:NoSchedule."""
NODE_NAME = 4
"""Value id of spec.nodeName, -1 none."""
SELECTOR = 5
"""Selector program of nodeSelector, -1 none."""
AFFINITY = 6
"""Selector program of the required node affinity, -1 none."""
ENFORCED = 7
"""Selector program of the profile's added affinity, -1 none."""
HAS_NAMES = 8
"""1 where matchFields restrict the node set (PreFilterResult)."""
SCORES_AFFINITY = 9
"""1 where NodeAffinity's PreScore does not skip."""
CONTAINERS = 10
SELF_AFFINITY = 11
"""1 where the pod matches all of its own required affinity terms."""
REQUIRE_ALL_TOPOLOGIES = 12
"""1 where soft spreading ignores nodes that lack a topology label (not under the system defaults)."""
SCORES_PODS = 13
"""1 where InterPodAffinity's PreScore looks at pods at all (ignorePreferredTermsOfExistingPods)."""
FIELD_COUNT = 14
