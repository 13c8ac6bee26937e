"""Profiles with users' plugins: the same cycle, one pod at a time, with their kernels asked after the in-tree ones.

Which nodes are feasible does not depend on the order of filters; of a node that both kinds reject the reason is the
in-tree plugin's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kcore.api.errors import InputError
from kcore.kernel import compile_for
from kcore.scheduler import codes
from kcore.scheduler.cycle import count_feasible
from kcore.scheduler.host import CycleError
from kcore.scheduler.plugins.contract import NodeView, Normalize, PodView, ThirdParty, find
from kcore.scheduler.plugins.gpu_share import SHARES, promise_devices
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
    from kcore.scheduler.host_cycle import HostCycle
    from kcore.scheduler.state import State, World

_NOBODY = np.zeros(0, dtype=np.int32)
_UNASKED = (codes.OUTSIDE, codes.NOT_TRIED, codes.DEAD)
_ERROR_CHARS_MAX = 300
"""So much of an exception's text is shown for a user's function that fails."""


class Host(Protocol):
    """What the extension asks of the engine that it belongs to."""

    state: State
    cycle: HostCycle | None
    """The plugins on objects that are asked about the pod that is being decided, where there are any."""

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
        self.filters = [one for name in profile.filters if (one := find(name, "filter")) is not None]
        self.scores = [
            (one, weight)
            for name, weight in zip(profile.scores, profile.weights, strict=True)
            if (one := find(name, "score")) is not None
        ]
        self._parameters = {
            (plugin.name, plugin.point): plugin.parameter_values(profile.plugin_args.get(plugin.name))
            for plugin in [*self.filters, *(one for one, _ in self.scores)]
        }
        self.rejections = {
            codes.REJECT_THIRD_PARTY + index: Rejection(
                plugin.name, UNSCHEDULABLE if plugin.resolvable else UNRESOLVABLE, (plugin.reason,)
            )
            for index, plugin in enumerate(self.filters)
        }

        self._label_columns: dict[tuple[str, str], tuple[World, np.ndarray, np.ndarray]] = {}

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
        label, label_number = self._labels(plugin, world)
        pod = PodView(
            amount, world.requests.nonzero[request], int(world.pods.priority[row]), amount[rows].copy()
        )
        nodes = world.nodes
        view = NodeView(
            np.ascontiguousarray(nodes.allocatable[:, :slots]), np.ascontiguousarray(nodes.requested[:, :slots]),
            np.ascontiguousarray(nodes.nonzero[:, :slots]), nodes.pods_allowed[:slots], nodes.pod_count[:slots],
            rows, label, label_number, self._parameters[plugin.name, plugin.point],
        )  # fmt: skip
        return pod, view

    def _labels(self, plugin: ThirdParty, world: World) -> tuple[np.ndarray, np.ndarray]:
        known = self._label_columns.get((plugin.name, plugin.point))
        if known is None or known[0] is not world:
            nodes, slots = world.nodes, int(world.nodes.slots[0])
            rows = [self._engine.state.nodes.label_row(key) for key in plugin.labels]
            label = np.ascontiguousarray(nodes.label[rows, :slots]).reshape(len(rows), slots)
            is_number = (label >= 0) & (nodes.is_number[label] != 0)
            number = np.where(is_number, nodes.number[label].astype(np.float64), np.nan)
            known = self._label_columns[plugin.name, plugin.point] = (world, label, number)
        return known[1], known[2]

    def _ask(self, plugin: ThirdParty, row: int, out: np.ndarray) -> np.ndarray:
        pod, nodes = self._views(plugin, row)
        try:
            self._engine.run(plugin.kernel)(pod, nodes, out)
        except Exception as error:
            raise self._failed(plugin, error) from error
        return out

    def _failed(self, plugin: ThirdParty, error: Exception) -> InputError:
        """A user's function that does not compile or raises is the user's to mend."""
        text = " ".join(str(error).split())[:_ERROR_CHARS_MAX]
        return InputError(
            f"failed with {type(error).__name__}: {text}", field=f"plugin {plugin.name} ({plugin.point})"
        )

    def warm(self, row: int) -> None:
        """Compile the users' functions for the arrays that they will be given."""
        slots = int(self._engine.state.world().nodes.slots[0])
        for plugin in [*self.filters, *(one for one, _ in self.scores)]:
            dtype = np.uint8 if plugin.point == "filter" else np.int64
            try:
                compile_for(plugin.kernel, *self._views(plugin, row), np.zeros(slots, dtype=dtype))
            except Exception as error:
                raise self._failed(plugin, error) from error

    # -- the cycle

    def filter(self, row: int, verdict: np.ndarray) -> int:
        """Ask plugins on objects about the nodes, then users' filters about those that pass; return how many are left."""
        world = self._engine.state.world()
        slots = int(world.nodes.slots[0])
        cycle = self._engine.cycle
        if cycle is not None and cycle.turned is not None:
            cycle.judge(np.flatnonzero(verdict[:slots] != codes.DEAD), verdict)
            return 0
        if cycle is not None:
            cycle.judge(np.flatnonzero(~np.isin(verdict[:slots], _UNASKED)), verdict)
        for index, plugin in enumerate(self.filters):
            out = self._ask(plugin, row, np.zeros(slots, dtype=np.uint8))
            rejected = (verdict[:slots] == codes.PASS) & (out != 0)
            verdict[:slots][rejected] = codes.REJECT_THIRD_PARTY + index
        self._refilter_nominated(row, verdict)
        return int(self._engine.run(count_feasible)(verdict, slots))

    def _refilter_nominated(self, row: int, verdict: np.ndarray) -> None:
        """Nodes with nominated pods must pass with these pods on them, too."""
        state = self._engine.state
        for slot in {int(state.pods.nominated[other]) for other in state.nominated.tolist()}:
            if slot < 0 or verdict[slot] in _UNASKED:
                continue
            if verdict[slot] == codes.PASS or self._engine.cycle is not None:
                self.fits(row, slot)

    def raw(self, plugin: ThirdParty, row: int) -> np.ndarray:
        """A score plugin's raw scores by node slot."""
        slots = int(self._engine.state.world().nodes.slots[0])
        return self._ask(plugin, row, np.zeros(slots, dtype=np.int64))

    def add_score(self, plugin: ThirdParty, weight: int, row: int, scratch: Any) -> np.ndarray:
        """Add one plugin's weighted, normalized scores to ``scratch.total``; return the raw ones."""
        raw = self.raw(plugin, row)
        slots = len(raw)
        self._check_scores(plugin, raw[scratch.verdict[:slots] == codes.PASS])
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

    def _check_scores(self, plugin: ThirdParty, raw: np.ndarray) -> None:
        """Refuse scores that the plugin's normalization cannot bring to 0..100, as upstream does."""
        least, most = (int(raw.min()), int(raw.max())) if len(raw) else (0, 0)
        if plugin.normalize is Normalize.NONE and (least < 0 or most > codes.MAX_NODE_SCORE):
            wrong = least if least < 0 else most
            expected = 'scores in the range of [0, 100], or another normalize than "none"'
        elif plugin.normalize in (Normalize.DEFAULT, Normalize.REVERSE) and least < 0:
            wrong, expected = least, f'raw scores of 0 or more under normalize="{plugin.normalize.value}"'
        else:
            return
        raise InputError(
            f"returned the score {wrong}", field=f"plugin {plugin.name} (score)", expected=expected
        )

    # -- preemption

    def fits(self, row: int, slot: int) -> bool:
        """Tell whether the pod passes all filters on one node, with and without the pods nominated to it.

        The verdict that is left in scratch says why not.
        """
        engine, state = self._engine, self._engine.state
        world, settings = state.world(), engine.settings_of(row)
        others = [
            other
            for other in state.nominated.tolist()
            if other != row
            and state.pods.nominated[other] == slot
            and state.pods.priority[other] >= state.pods.priority[row]
        ]
        if others:
            ledger, devices = world.nodes.ledger[:, slot].copy(), world.nodes.gpu_left[:, slot].copy()
            for other in others:
                self._move(row, other, slot, 1)
                if settings.gpu[SHARES] != 0:
                    engine.run(promise_devices)(world.nodes, world.requests, world.pods.request[other], slot)
            try:
                passes = self._passes(row, slot, settings)
            finally:
                for other in others:
                    self._move(row, other, slot, -1)
                world.nodes.ledger[:, slot] = ledger
                world.nodes.gpu_left[:, slot] = devices
            if not passes:
                return False
        return self._passes(row, slot, settings)

    def _move(self, row: int, other: int, slot: int, sign: int) -> None:
        """Put another pod on the node (sign 1) or take it off (-1), as the pod ``row`` sees it."""
        world = self._engine.state.world()
        self._engine.run(shift)(
            world.nodes, world.pods, world.demands, world.requests, int(world.pods.demand[row]), other, slot, sign,
            self._engine.scratch(world),
        )  # fmt: skip
        if self._engine.cycle is not None:
            self._engine.cycle.shift(other, slot, sign)

    def _passes(self, row: int, slot: int, settings: Settings) -> bool:
        """Whether the node passes as it is now."""
        world = self._engine.state.world()
        scratch = self._engine.scratch(world)
        verdict = scratch.verdict
        self._engine.run(fits_node)(
            world.nodes, world.pods, world.demands, world.requests, settings, row, slot, _NOBODY, True, scratch
        )  # fmt: skip
        if self._engine.cycle is not None:
            self._engine.cycle.judge(np.array([slot]), verdict)
        if verdict[slot] != codes.PASS:
            return False
        slots = int(world.nodes.slots[0])
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
        """The same as the kernel ``dry_run``, with users' filters and plugins on objects asked as well.

        A node on which one of these fails is no candidate; CycleError where that leaves none.
        """
        found = clean = 0
        failed: dict[str, None] = {}
        for index, slot in enumerate(order.tolist()):
            try:
                chosen, violations = self._select_victims(row, slot, allowed)
            except CycleError as error:
                failed[str(error)] = None
                continue
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
        if failed and not found:
            raise CycleError(next(iter(failed)) if len(failed) == 1 else f"[{', '.join(failed)}]")
        return found

    def _select_victims(self, row: int, slot: int, allowed: np.ndarray) -> tuple[int | list[int], int]:
        engine, state = self._engine, self._engine.state
        world = state.world()
        lower = [one for one in state.pods_on(slot) if state.pods.priority[one] < state.pods.priority[row]]
        if not lower:
            return NO_VICTIMS, 0
        potential = np.array(lower, dtype=np.int32)
        ledger = world.nodes.ledger[:, slot].copy()
        engine.run(sort_by_importance)(world.pods, potential, 0, len(potential))
        left = allowed.copy()
        violating = [bool(engine.run(violates_budget)(world.pods, int(pod), left)) for pod in potential]
        evicted = dict(zip(potential.tolist(), violating, strict=True))
        for pod in evicted:
            self._move(row, pod, slot, -1)
        try:
            if not self.fits(row, slot):
                return STILL_REJECTED, 0
            kept = self._reprieve(row, slot, evicted)
        finally:
            # whatever happened, the node is left as it was found
            for pod in evicted:
                self._move(row, pod, slot, 1)
            world.nodes.ledger[:, slot] = ledger
            if engine.cycle is not None:
                engine.cycle.settle()
        chosen = [pod for pod in potential.tolist() if pod not in kept]
        return chosen, sum(
            bad for pod, bad in zip(potential.tolist(), violating, strict=True) if pod not in kept
        )

    def _reprieve(self, row: int, slot: int, evicted: dict[int, bool]) -> set[int]:
        """Put back whom the pod fits beside, those whose eviction violates a budget first; take them off ``evicted``."""
        kept: set[int] = set()
        for first in (True, False):
            for pod in [pod for pod, violates in evicted.items() if violates is first]:
                self._move(row, pod, slot, 1)
                fits = False
                try:
                    fits = self.fits(row, slot)
                finally:
                    if not fits:
                        self._move(row, pod, slot, -1)
                if fits:
                    kept.add(pod)
                    del evicted[pod]
        return kept
