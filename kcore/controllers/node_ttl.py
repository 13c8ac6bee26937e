"""Every node is told for how long a kubelet may keep secrets and config maps, the longer the larger the cluster.

Source: pkg/controller/ttl of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, NamedTuple

from kcore.controllers.contract import Controller, Key, Later, Object, Patch, Steps, View, Watched, done

ANNOTATION: Final = "node.alpha.kubernetes.io/ttl"
SETTLE_MS: Final = (
    10_000  # nodes that come together are counted first, and written once, when they have work behind them
)


class Step(NamedTuple):
    """Above ``nodes_max`` nodes the next step holds, below ``nodes_min`` the one before."""

    nodes_min: int
    nodes_max: int
    ttl_seconds: int


STEPS: Final = (
    Step(0, 100, 0),
    Step(90, 500, 15),
    Step(450, 1_000, 30),
    Step(900, 2_000, 60),
    Step(1_800, (1 << 31) - 1, 300),
)


class NodeTtl(Controller):
    """``ttl-controller``."""

    name: ClassVar = "ttl-controller"
    aliases: ClassVar = ("ttl",)
    component: ClassVar = "ttl-controller"
    workers: ClassVar[int] = 5

    def __init__(self) -> None:
        self._step = 0

    @property
    def watches(self) -> Sequence[Watched]:
        """Nodes that come, or that say another time than is meant."""
        return (Watched("nodes", self._keys),)

    def _keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key | Later]:
        if new is None:
            return
        key = Key("", new["metadata"]["name"])
        if old is None:
            yield Later(key, SETTLE_MS)
        elif _said(new) != str(STEPS[self._step].ttl_seconds):
            yield key

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The node's annotation says what the size of the cluster asks for."""
        self._step = step_of(self._step, len(view.list("nodes")))
        node = view.get("nodes", "", key.name)
        seconds = str(STEPS[self._step].ttl_seconds)
        if node is not None and _said(node) != seconds:
            body = {"metadata": {"annotations": {ANNOTATION: seconds}}}
            done((yield [Patch("nodes", "", key.name, body, "strategic")]))
        return None


def step_of(step: int, count: int) -> int:
    """The step that holds for so many nodes where ``step`` held before."""
    while count > STEPS[step].nodes_max:
        step += 1
    while count < STEPS[step].nodes_min:
        step -= 1
    return step


def _said(node: Object) -> str | None:
    said: str | None = (node["metadata"].get("annotations") or {}).get(ANNOTATION)
    return said
