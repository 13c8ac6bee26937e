"""What was decided for a queue of pods."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kcore.scheduler.eviction import Candidate
from kcore.scheduler.host import Reservation


@dataclass(slots=True)
class Decisions:
    """What was decided, by position in ``rows`` (the pods in the order in which they were tried)."""

    rows: np.ndarray  # int32[position]
    node: np.ndarray  # int32[position] slot, -1 not placed
    score: np.ndarray  # int64[position]
    reason: dict[int, str] = field(default_factory=dict)
    rejectors: dict[int, frozenset[str]] = field(default_factory=dict)
    """The plugins that rejected the pods that have a reason; who says that there are no nodes is called NoNodes."""
    untried: set[int] = field(default_factory=set)
    """Positions of pods that never entered the queue (gated, not supported, no profile)."""
    denied: set[int] = field(default_factory=set)
    """Positions of pods whose nomination was taken back because preemption cannot help."""
    preemptions: dict[int, Candidate] = field(default_factory=dict)
    """What preemption chose for pods that fitted nowhere."""
    failed: set[int] = field(default_factory=set)
    """Positions of pods whose cycle failed, which is no verdict on them; ``reason`` says how."""
    reservations: dict[int, tuple[Reservation, ...]] = field(default_factory=dict)
    """What plugins on objects have set aside for pods that were placed."""
