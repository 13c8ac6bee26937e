"""The policy random: any feasible node, any device that does.

The baseline of Weng et al., "Beware of Fragmentation", USENIX ATC 2023. All nodes score 0 and ties are broken by draws
of the run's seed.
"""

from __future__ import annotations

from kcore.scheduler.codes import FIRST_POLICY
from kcore.scheduler.plugins.policies.policy import RANDOM, Policy

POLICY = Policy("random", FIRST_POLICY, RANDOM, "Weng et al., USENIX ATC 2023 (baseline)")
