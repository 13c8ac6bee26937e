"""What plugins answer at the points around a binding: reserve, permit, pre-bind.

``None`` lets the pod go on. Source: staging kube-scheduler/framework/interface.go (Code) of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import NamedTuple


class Reject(NamedTuple):
    """The pod may not go to that node now, for this reason; no error, but what a filter would say."""

    reason: str


class Wait(NamedTuple):
    """A permit is not given yet: whoever gives it does so within that time, or the pod is rejected."""

    seconds: float


Answer = Reject | Wait | None
