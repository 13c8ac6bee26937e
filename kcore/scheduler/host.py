"""In-tree plugins that look at objects and not at columns (claims, volumes, devices): what they are to the cycle.

Pods that such a plugin has something to say about are rare. They are decided one at a time, by the full pass, with these
plugins asked from Python in the place that the profile's order gives them; all other pods never meet them.
Source: kube-scheduler framework/interface.go of Kubernetes 1.36 (PreFilter, PreFilterExtensions, Filter, Score, Reserve).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np

from kcore.api.objects import Pod
from kcore.scheduler.nodes import NodeTable
from kcore.scheduler.pods import PodTable
from kcore.scheduler.reasons import UNRESOLVABLE, Rejection


class Turned(Exception):
    """A plugin's PreFilter turns the pod down for all nodes, whatever is evicted; the text is the status's message."""


class CycleError(Exception):
    """A plugin answered Error where it should have answered a verdict: the pod is not unschedulable, its cycle failed."""


class Refused(NamedTuple):
    """Nodes that one plugin rejects for the same reasons."""

    slots: np.ndarray  # int64[..]
    rejection: Rejection


class Tables(Protocol):
    """What of the scheduler's state the cycle of such a pod reads."""

    nodes: NodeTable
    pods: PodTable
    hosted: dict[int, Pod]
    """The pods that have volumes or devices which a plugin looks at, by row in ascending order."""


class Occupants:
    """Which of the pods with volumes or devices are on which nodes, those on trial put on and taken off."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._rows = np.fromiter(tables.hosted, dtype=np.int64, count=len(tables.hosted))
        self._moved: list[tuple[int, int]] = []

    def pod(self, row: int) -> Pod | None:
        """The pod in a row; None where it has neither volumes nor devices."""
        return self._tables.hosted.get(row)

    def move(self, row: int, slot: int, sign: int) -> None:
        """Let the pod be on the node (sign 1) or on none (-1) until told otherwise."""
        self._moved.append((row, slot if sign > 0 else -1))

    def settle(self) -> None:
        """Everybody is where the state has them."""
        self._moved.clear()

    def placed(self, slots: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Rows, and the slots they are on; of all nodes or of those given. Rows ascend."""
        where = self._tables.pods.node[self._rows].astype(np.int64)
        for row, slot in self._moved:
            where[np.searchsorted(self._rows, row)] = slot
        here = where >= 0
        if slots is not None:
            here &= np.isin(where, slots)
        return self._rows[here], where[here]


class Reservation:
    """What a plugin's Reserve has set aside for a pod on its node. It can be taken back, and set aside again."""

    plugin = ""

    def undo(self) -> None:
        """It is as before Reserve. Source: Unreserve."""

    def redo(self) -> None:
        """It is as after Reserve."""


class HostFilter:
    """What a plugin's PreFilter found out of one pod, and its later steps in the same cycle. Everything passes here."""

    plugin = ""

    def shift(self, other: Pod, slot: int, sign: int) -> None:
        """Another pod was put on the node (sign 1) or taken off (-1). Source: AddPod and RemovePod."""

    def filter(self, slots: np.ndarray) -> Iterable[Refused]:
        """The nodes among ``slots`` that the pod does not fit on; each in one of the answers at most."""
        return ()

    def score(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Raw and normalized scores ``int64[..]`` of the feasible nodes in ``slots``; None where Score is skipped."""
        return None

    def reserve(self, slot: int) -> Reservation | None:
        """Set aside what the pod is to get on the node it goes to; CycleError where that fails."""
        return None


class HostPlugin(Protocol):
    """A plugin, made once for a state."""

    name: str

    def begin(self, row: int, pod: Pod, occupants: Occupants) -> HostFilter | None:
        """PreFilter: None to be skipped in this cycle.

        Raises:
            Turned: the pod fits on no node.
            CycleError: the plugin fails.
        """


def refused_all(plugin: str, message: str) -> Rejection:
    """The status of every node where a PreFilter turned the pod down."""
    return Rejection(plugin, UNRESOLVABLE, (message,))
