"""Profiles with users' plugins: the same cycle, one pod at a time, with their kernels asked after the in-tree ones.

Which nodes are feasible does not depend on the order of filters; of a node that both kinds reject the reason is the
in-tree plugin's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kcore.scheduler import codes
from kcore.scheduler.cycle import count_feasible
from kcore.scheduler.plugins.contract import NodeView, Normalize, PodView, ThirdParty, registered
from kcore.scheduler.plugins.normalize import add_default_normalized, add_min_max_normalized
from kcore.scheduler.preemption import (
    NO_VICTIMS,
    STILL_REJECTED,
    fits_node,
    shift,
    sort_by_importance,
    violates_budget,
)
from kcore.scheduler.profile import Profile
from kcore.scheduler.reasons import UNRESOLVABLE, UNSCHEDULABLE, Rejection

if TYPE_CHECKING:
    from kcore.kernel import Kernel
    from kcore.scheduler.columns import Scratch, Settings
    from kcore.scheduler.state import State, World


class Host(Protocol):
    """What the extension asks of the engine that it belongs to."""

    state: State

    def run(self, kernel: Kernel) -> Callable[..., Any]:
        """The form of a kernel to call."""

    def scratch(self, world: World) -> Scratch:
        """The working memory of the cycle."""

    def settings_of(self, row: int) -> Settings:
        """The numbers of the profile that schedules a pod."""


class Extension:
    """The users' plugins of one profile, bound to an engine."""

    def __init__(self, engine: Host, profile: Profile) -> None:
        self._engine = engine
        known = registered()
        self.filters = [known[name]["filter"] for name in profile.filters if "filter" in known.get(name, {})]
        self.scores = [
            (known[name]["score"], weight)
            for name, weight in zip(profile.scores, profile.weights, strict=True)
            if "score" in known.get(name, {})
        ]
        self._parameters = {
            plugin.name: plugin.parameter_values(profile.plugin_args.get(plugin.name))
            for plugin in [*self.filters, *(one for one, _ in self.scores)]
        }
        self.rejections = {
            codes.REJECT_THIRD_PARTY + index: Rejection(
                plugin.name, UNSCHEDULABLE if plugin.resolvable else UNRESOLVABLE, (plugin.reason,)
            )
            for index, plugin in enumerate(self.filters)
        }

    def __bool__(self) -> bool:
        return bool(self.filters or self.scores)

    def reserve(self) -> None:
        """Give the resources and labels that the plugins declare their rows."""
        nodes = self._engine.state.nodes
        for plugin in [*self.filters, *(one for one, _ in self.scores)]:
            for name in plugin.resources:
                nodes.resource_row(name)
            for key in plugin.labels:
                nodes.label_row(key)

    # -- one plugin

    def _views(self, plugin: ThirdParty, row: int) -> tuple[PodView, NodeView]:
        state = self._engine.state
        world = state.world()
        request = int(world.pods.request[row])
        slots = int(world.nodes.slots[0])
        rows = np.array([state.nodes.resource_row(name) for name in plugin.resources], dtype=np.int64)
        amount = world.requests.amount[request]
        label_rows = [state.nodes.label_row(key) for key in plugin.labels]
        label = np.ascontiguousarray(world.nodes.label[label_rows, :slots]).reshape(len(label_rows), slots)
        known = (label >= 0) & (world.nodes.is_number[label] != 0)
        label_number = np.where(known, world.nodes.number[label].astype(np.float64), np.nan)
        pod = PodView(
            amount, world.requests.nonzero[request], int(world.pods.priority[row]), amount[rows].copy()
        )
        nodes = world.nodes
        view = NodeView(
            np.ascontiguousarray(nodes.allocatable[:, :slots]), np.ascontiguousarray(nodes.requested[:, :slots]),
            np.ascontiguousarray(nodes.nonzero[:, :slots]), nodes.pods_allowed[:slots], nodes.pod_count[:slots],
            rows, label, label_number, self._parameters[plugin.name],
        )  # fmt: skip
        return pod, view

    def _ask(self, plugin: ThirdParty, row: int, out: np.ndarray) -> np.ndarray:
        pod, nodes = self._views(plugin, row)
        self._engine.run(plugin.kernel)(pod, nodes, out)
        return out

    # -- the cycle

    def filter(self, row: int, verdict: np.ndarray) -> int:
        """Ask the users' filters about the nodes that passed so far; return how many are left."""
        world = self._engine.state.world()
        slots = int(world.nodes.slots[0])
        for index, plugin in enumerate(self.filters):
            out = self._ask(plugin, row, np.zeros(slots, dtype=np.uint8))
            rejected = (verdict[:slots] == codes.PASS) & (out != 0)
            verdict[:slots][rejected] = codes.REJECT_THIRD_PARTY + index
        self._refilter_nominated(row, verdict)
        return int(self._engine.run(count_feasible)(verdict, slots))

    def _refilter_nominated(self, row: int, verdict: np.ndarray) -> None:
        """Nodes with nominated pods must pass with these pods on them, too."""
        state = self._engine.state
        for slot in {int(state.pods.nominated[other]) for other in state.nominated}:
            if slot >= 0 and verdict[slot] == codes.PASS and not self.fits(row, slot):
                continue

    def raw(self, plugin: ThirdParty, row: int) -> np.ndarray:
        """A score plugin's raw scores by node slot."""
        slots = int(self._engine.state.world().nodes.slots[0])
        return self._ask(plugin, row, np.zeros(slots, dtype=np.int64))

    def add_score(self, plugin: ThirdParty, weight: int, row: int, scratch: Any) -> np.ndarray:
        """Add one plugin's weighted, normalized scores to ``scratch.total``; return the raw ones."""
        raw = self.raw(plugin, row)
        slots = len(raw)
        if plugin.normalize is Normalize.NONE:
            scratch.total[:slots] += weight * raw
        elif plugin.normalize is Normalize.MIN_MAX:
            self._engine.run(add_min_max_normalized)(scratch.verdict, raw, weight, slots, scratch.total)
        else:
            reverse = plugin.normalize is Normalize.REVERSE
            self._engine.run(add_default_normalized)(
                scratch.verdict, raw, reverse, weight, slots, scratch.total
            )
        return raw

    # -- preemption

    def fits(self, row: int, slot: int) -> bool:
        """Tell whether the pod passes all filters on one node, with and without the pods nominated to it."""
        engine, state = self._engine, self._engine.state
        world, scratch = state.world(), engine.scratch(state.world())
        settings = engine.settings_of(row)
        nominated = np.array(state.nominated, dtype=np.int32)
        if not engine.run(fits_node)(
            world.nodes,
            world.pods,
            world.demands,
            world.requests,
            settings,
            row,
            slot,
            nominated,
            True,
            scratch,
        ):
            return False
        others = [
            other
            for other in state.nominated
            if other != row
            and state.pods.nominated[other] == slot
            and state.pods.priority[other] >= state.pods.priority[row]
        ]
        demand = int(world.pods.demand[row])
        ledger = world.nodes.ledger[:, slot].copy()
        for sign in (1, -1) if others else ():
            for other in others:
                engine.run(shift)(
                    world.nodes, world.pods, world.demands, world.requests, demand, other, slot, sign, scratch
                )
            if sign == 1 and not self._passes(row, slot, scratch.verdict):
                for other in others:
                    engine.run(shift)(
                        world.nodes,
                        world.pods,
                        world.demands,
                        world.requests,
                        demand,
                        other,
                        slot,
                        -1,
                        scratch,
                    )
                world.nodes.ledger[:, slot] = ledger
                return False
        world.nodes.ledger[:, slot] = ledger
        return self._passes(row, slot, scratch.verdict)

    def _passes(self, row: int, slot: int, verdict: np.ndarray) -> bool:
        slots = int(self._engine.state.world().nodes.slots[0])
        for index, plugin in enumerate(self.filters):
            if self._ask(plugin, row, np.zeros(slots, dtype=np.uint8))[slot]:
                verdict[slot] = codes.REJECT_THIRD_PARTY + index
                return False
        return True

    def dry_run(
        self, nodes: Any, pods: Any, demands: Any, requests: Any, settings: Any, row: int, order: np.ndarray,
        wanted: int, nominated: np.ndarray, allowed: np.ndarray, left: np.ndarray, scratch: Any,
        victims: np.ndarray, violating: np.ndarray, candidate: np.ndarray, bounds: np.ndarray, outcome: np.ndarray,
    ) -> int:  # fmt: skip
        """The same as the kernel ``dry_run``, with the users' filters asked as well."""
        found = clean = 0
        for index, slot in enumerate(order.tolist()):
            chosen, violations = self._select_victims(row, slot, allowed)
            if isinstance(chosen, int):
                outcome[index] = chosen
                continue
            outcome[index] = len(chosen)
            if not chosen:
                continue
            candidate[found] = (slot, violations)
            bounds[found + 1] = bounds[found] + len(chosen)
            victims[bounds[found] : bounds[found + 1]] = chosen
            found += 1
            clean += violations == 0
            if clean and found >= wanted:
                break
        return found

    def _select_victims(self, row: int, slot: int, allowed: np.ndarray) -> tuple[int | list[int], int]:
        engine, state = self._engine, self._engine.state
        world, scratch = state.world(), engine.scratch(state.world())
        demand = int(world.pods.demand[row])

        def move(pod: int, sign: int) -> None:
            engine.run(shift)(
                world.nodes, world.pods, world.demands, world.requests, demand, pod, slot, sign, scratch
            )

        lower = [one for one in state.pods_on(slot) if state.pods.priority[one] < state.pods.priority[row]]
        if not lower:
            return NO_VICTIMS, 0
        potential = np.array(lower, dtype=np.int32)
        ledger = world.nodes.ledger[:, slot].copy()
        engine.run(sort_by_importance)(world.pods, potential, 0, len(potential))
        for pod in potential:
            move(int(pod), -1)
        if not self.fits(row, slot):
            for pod in potential:
                move(int(pod), 1)
            world.nodes.ledger[:, slot] = ledger
            return STILL_REJECTED, 0
        left = allowed.copy()
        violating = [bool(engine.run(violates_budget)(world.pods, int(pod), left)) for pod in potential]
        evicted: set[int] = set()
        for first in (True, False):
            for pod, violates in zip(potential.tolist(), violating, strict=True):
                if violates is first:
                    move(pod, 1)
                    if not self.fits(row, slot):
                        move(pod, -1)
                        evicted.add(pod)
        for pod in evicted:
            move(pod, 1)
        world.nodes.ledger[:, slot] = ledger
        chosen = [pod for pod in potential.tolist() if pod in evicted]
        return chosen, sum(
            pod in evicted and bad for pod, bad in zip(potential.tolist(), violating, strict=True)
        )
