"""How many nodes are ready, and what phases pods are in, kept up with every change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from kcore.client.calls import Object
from kcore.client.informer import SharedInformers
from kcore.client.store import Change

READY: Final = "Ready"


class Counts(NamedTuple):
    """Of a moment."""

    nodes: int
    nodes_ready: int
    pods: Counter[str]  # by phase

    def __str__(self) -> str:
        """``nodes 5/5 ready  pods 10 running, 2 pending``."""
        phases = [f"{self.pods['Running']} running", f"{self.pods['Pending']} pending"]
        phases += [
            f"{count} {phase.lower()}"
            for phase, count in sorted(self.pods.items())
            if count and phase not in ("Running", "Pending")
        ]
        return f"nodes {self.nodes_ready}/{self.nodes} ready  pods {', '.join(phases)}"


class Tally:
    """Counts from ``start`` to ``stop``."""

    def __init__(self, informers: SharedInformers) -> None:
        self._informers = informers
        self._nodes = self._ready = 0
        self._pods: Counter[str] = Counter()

    def start(self) -> None:
        """Every change is counted."""
        nodes = self._informers.informer("nodes").add_batch_listener(self._of_nodes)
        pods = self._informers.informer("pods").add_batch_listener(self._of_pods)
        self._registrations = (nodes, pods)

    def stop(self) -> None:
        """Nothing is counted any more."""
        for registration in self._registrations:
            registration.remove()

    @property
    def counts(self) -> Counts:
        """Of this moment."""
        return Counts(self._nodes, self._ready, Counter(self._pods))

    def _of_nodes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            old, new = change.old, change.new
            self._nodes += (new is not None) - (old is not None)
            self._ready += _is_ready(new) - _is_ready(old)

    def _of_pods(self, changes: Sequence[Change]) -> None:
        for change in changes:
            old, new = change.old, change.new
            if old is not None:
                self._pods[_phase(old)] -= 1
            if new is not None:
                self._pods[_phase(new)] += 1


def _phase(pod: Object) -> str:
    phase: str = (pod.get("status") or {}).get("phase") or "Unknown"
    return phase


def _is_ready(node: Object | None) -> bool:
    conditions = ((node or {}).get("status") or {}).get("conditions") or ()
    return any(each["type"] == READY and each["status"] == "True" for each in conditions)
