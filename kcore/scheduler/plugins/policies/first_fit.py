"""The policy first_fit: the first feasible node by name, the first devices that do.

Source: Johnson, "Near-optimal bin packing algorithms", MIT 1973. All nodes score 0.
"""

from __future__ import annotations

from kcore.scheduler.codes import FIRST_POLICY
from kcore.scheduler.plugins.policies.policy import FOREMOST, Policy

POLICY = Policy("first_fit", FIRST_POLICY + 1, FOREMOST, "Johnson, MIT 1973")
