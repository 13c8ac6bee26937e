"""Episodes over one cluster, stepped together: what environments of one and of many share.

Knows nothing of gymnasium. The cluster is read once; an episode has copies of what placements change, so that
beginning anew copies a few arrays, and neither the cluster nor other episodes notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kcore import kernel
from kcore.api.errors import InputError
from kcore.cluster import Cluster
from kcore.gym import stepping
from kcore.gym.rewards import Columns, Reward, coefficients, typical_requests
from kcore.gym.stepping import Aim, Copies, Lens
from kcore.scheduler import settings as plugin_numbers
from kcore.scheduler.decisions import Decisions
from kcore.scheduler.engine import Options
from kcore.scheduler.settings import make_scratch, shares_gpus

if TYPE_CHECKING:
    from kcore.scheduler.engine import Engine
    from kcore.scheduler.profile import Profile

INTERPRETED_MAX = 500
"""Pods times (nodes + 1) up to which ``compiled=None`` leaves the kernels to the interpreter."""
WEIGHT_MAX = 100
"""The weight of a score plugin that the action 1.0 stands for."""

CHOICES = {
    "action": ("node", "weights"),
    "order": ("queue", "file", "random"),
    "infeasible": ("end", "refuse"),
    "tie_break": ("first", "random"),
}


def check_choice(name: str, value: str) -> None:
    """InputError unless the value is one of the argument's choices."""
    if value not in CHOICES[name]:
        raise InputError(f"{value!r} is not a choice", field=name, expected=" or ".join(CHOICES[name]))


class Episodes:
    """``count`` episodes of placing a cluster's pending pods, each a copy of its own.

    The arguments are those of :class:`kcore.gym.PlacementEnv`.
    """

    def __init__(
        self,
        cluster: Cluster,
        count: int,
        *,
        action: str,
        reward: Reward,
        order: str,
        infeasible: str,
        penalty: float,
        max_steps: int | None,
        tie_break: str,
        config: Any,
        profile: str | None,
        compiled: bool | None,
    ) -> None:
        for name, value in {
            "action": action, "order": order, "infeasible": infeasible, "tie_break": tie_break
        }.items():  # fmt: skip
            check_choice(name, value)
        if max_steps is not None and max_steps < 1:
            raise InputError(f"{max_steps} steps are none", field="max_steps", expected="1 or more, or None")
        self.count = count
        self.action = action
        self.order = order
        self.infeasible = infeasible
        self.penalty = float(penalty)
        self.max_steps = max_steps
        self.tie_break = tie_break
        rows = cluster.pending_rows("file" if order == "file" else "queue")
        engine = cluster.engine(config=config, profile=profile, compiled=True)
        self._take(engine, rows, compiled)
        self.reward = reward if callable(reward) else None
        self._aim = self._make_aim(coefficients(reward))
        self._copies = self._make_copies()
        self._command = np.zeros(count, dtype=np.int64)
        self._outcome = np.zeros((count, 2), dtype=np.int64)
        self.rewards = np.zeros(count)
        self.terminated = np.zeros(count, dtype=bool)
        self.truncated = np.zeros(count, dtype=bool)
        self._steps = np.zeros(count, dtype=np.int64)
        self._passed = np.zeros(count, dtype=np.int64)
        self._placed = np.zeros(count, dtype=np.int64)

    # -- reading the cluster

    def _take(self, engine: Engine, rows: np.ndarray, compiled: bool | None) -> None:
        """Compile what the pods demand and keep views of what stays as it is."""
        state = engine.state
        decisions = Decisions(rows, np.zeros(0), np.zeros(0))
        runnable, profiles = engine.prepare(rows, decisions, Options(preemption="off", hosts=False))
        if not len(runnable):
            why = next(iter(decisions.reason.values()), "every pod has a node")
            raise InputError(f"there is no pod to place: {why}", expected="a cluster with pending pods")
        profiles = [one for one in profiles if len(one[1])]
        if len(profiles) > 1:
            names = ", ".join(one.scheduler_name for one, _ in profiles)
            raise InputError(f"the pods belong to several profiles: {names}", field="profile", expected="one")
        self.profile: Profile = profiles[0][0]
        if engine.extension(self.profile):
            raise InputError(
                f"profile {self.profile.scheduler_name} has users' plugins, which are asked pod by pod",
                field="config",
                expected="a profile of in-tree plugins",
            )
        if shares_gpus(self.profile):
            raise InputError(
                f"profile {self.profile.scheduler_name} shares GPU devices, which episodes do not keep apart",
                field="config",
                expected="a profile without GpuShare",
            )
        self._queue = rows[runnable]
        if compiled is None:
            compiled = len(self._queue) * (state.nodes.alive_count + 1) > INTERPRETED_MAX
        engine.compiled = compiled and kernel.JIT
        self._run = engine.run(stepping.step_nodes if self.action == "node" else stepping.step_weights)
        world = state.world()
        settings = engine.settings(self.profile)
        # what other runs over the same cluster may write is kept aside
        pods = world.pods._replace(demand=world.pods.demand.copy(), nominated=world.pods.nominated.copy())
        self._settings = settings._replace(weights=settings.weights.copy())
        self._nodes, self._pods, self._demands, self._requests = world._replace(pods=pods)
        self._scratch = make_scratch(world)
        self._base = tuple(
            getattr(world.nodes, name).copy()
            for name in ("requested", "nonzero", "pod_count", "ledger", "pair")
        )
        self._claims = state.nominated.copy()
        self._state = state
        self._read_lens(state.nodes.resources.values)
        numbers = {number: name for name, number in plugin_numbers.PLUGINS.items()}
        self.score_plugins: list[str] = [numbers[int(one)] for one in settings.scores]
        self.default_weights = settings.weights.copy()
        self.weight_max = max(WEIGHT_MAX, int(self.default_weights.max(initial=0)))

    def _read_lens(self, names: list[str]) -> None:
        """Choose the resources that are observed, and their units."""
        slot = np.array(sorted(self._state.nodes.index.values()), dtype=np.int64)
        self.node_names: list[str] = [self._state.nodes.name(one) for one in slot.tolist()]
        allocatable = self._nodes.allocatable[:, slot]
        asked = self._requests.amount[self._pods.request[self._queue]].max(axis=0)
        resource = np.flatnonzero(allocatable.any(axis=1) | (asked > 0))
        most = np.maximum(allocatable, self._base[0][:, slot]).max(axis=1)[resource]
        pods = max(int(self._nodes.pods_allowed[slot].max()), int(self._base[2][slot].max()))
        self.resources: list[str] = [*(names[row] for row in resource), "pods"]
        self.scale = np.maximum(np.append(most, pods), 1).astype(np.float64)
        capacity = allocatable[resource].sum(axis=1).astype(np.float64)
        self._lens = Lens(slot, resource.astype(np.int64), self.scale, capacity)
        amounts = np.vstack([allocatable[resource], self._nodes.pods_allowed[slot]])
        shown = (amounts / self.scale[:, np.newaxis]).astype(np.float32)
        self._allocatable = np.repeat(shown[np.newaxis], self.count, axis=0)  # [episode, resource, node]

    def _make_aim(self, coefficient: np.ndarray) -> Aim:
        request = self._pods.request[self._queue]
        return Aim(coefficient, *typical_requests(self._requests.amount, request))

    def _make_copies(self) -> Copies:
        count, pods, nodes = self.count, len(self._queue), len(self.node_names)
        requested, nonzero, pod_count, ledger, pair = (
            np.repeat(one[np.newaxis], count, axis=0) for one in self._base
        )
        return Copies(
            requested=requested,
            nonzero=nonzero,
            pair=pair,
            pod_count=pod_count,
            ledger=ledger,
            claim=np.repeat(self._claims[np.newaxis], count, axis=0),
            claim_count=np.zeros(count, dtype=np.int64),
            queue=np.repeat(self._queue[np.newaxis], count, axis=0),
            draw=np.full((count, pods), -1.0),
            position=np.zeros(count, dtype=np.int64),
            placed=np.full((count, pods), -1, dtype=np.int32),
            mask=np.zeros((count, nodes), dtype=np.int8),
            used=np.zeros((count, len(self.resources), nodes), dtype=np.float32),
            pod=np.zeros((count, len(self.resources)), dtype=np.float32),
        )

    # -- playing

    def reset(self, episode: int, random: np.random.Generator) -> None:
        """Make the episode ready to be begun by :meth:`play`; ``random`` draws the order and the ties."""
        copies = self._copies
        own: list[np.ndarray] = [
            copies.requested, copies.nonzero, copies.pod_count, copies.ledger, copies.pair
        ]  # fmt: skip
        for column, base in zip(own, self._base, strict=True):
            column[episode] = base
        copies.claim[episode] = self._claims
        copies.claim_count[episode] = len(self._claims)
        copies.queue[episode] = random.permutation(self._queue) if self.order == "random" else self._queue
        if self.tie_break == "random":
            copies.draw[episode] = random.random(len(self._queue))
        copies.position[episode] = 0
        copies.placed[episode] = -1
        self._command[episode] = stepping.START
        self._steps[episode] = 0
        self._passed[episode] = 0
        self._placed[episode] = 0
        self.terminated[episode] = False
        self.truncated[episode] = False

    def play(self, action: np.ndarray | None = None) -> None:
        """Begin the episodes that were reset; take a step in all others, unless ``action`` is None.

        ``action`` is ``int64[episode]`` nodes or ``float[episode, plugin]`` weights from 0 to 1.
        """
        command = self._command
        if action is not None:
            command[command != stepping.START] = stepping.STEP
        stepped = command == stepping.STEP
        given = self._checked(action)
        before = [self.columns(one) for one in range(self.count)] if self.reward and stepped.any() else []
        self._run(
            self._nodes, self._pods, self._demands, self._requests, self._settings, self._lens, self._aim, command,
            given, self._copies, self._scratch, self.rewards, self._outcome,
        )  # fmt: skip
        self._passed += np.where(command == stepping.REST, 0, self._outcome[:, 1])
        self._placed += stepped & (self._outcome[:, 0] >= 0)
        self._steps += stepped
        wrong = stepped & (self._outcome[:, 0] == stepping.INFEASIBLE)
        over = self._copies.position >= self._copies.queue.shape[1]
        self.rewards[wrong] = self.penalty
        self.terminated = stepped & (over | wrong if self.infeasible == "end" else over)
        if self.max_steps is not None:
            self.truncated = stepped & ~self.terminated & (self._steps >= self.max_steps)
        command[:] = stepping.REST
        if self.reward:
            for one in np.flatnonzero(stepped & ~wrong).tolist():
                self.rewards[one] = self.reward(before[one], self.columns(one), self.figures_of(one))

    def _checked(self, action: np.ndarray | None) -> np.ndarray:
        """The action as the kernel wants it; that of an episode which takes no step does not count."""
        resting = self._command != stepping.STEP
        if self.action == "node":
            if action is None:
                return np.zeros(self.count, dtype=np.int64)
            nodes = np.where(resting, 0, np.asarray(action, dtype=np.int64))
            outside = (nodes < 0) | (nodes >= len(self.node_names))
            if outside.any():
                raise InputError(
                    f"{int(nodes[outside][0])} is no node",
                    field="action",
                    expected=f"0 to {len(self.node_names) - 1}",
                )
            return nodes
        if action is None:
            return np.zeros((self.count, len(self.score_plugins)), dtype=np.int64)
        weights = np.where(resting[:, np.newaxis], 0.0, np.asarray(action, dtype=np.float64))
        if not (np.isfinite(weights) & (weights >= 0) & (weights <= 1)).all():
            raise InputError("a weight is outside its range", field="action", expected="numbers from 0 to 1")
        rounded: np.ndarray = np.rint(weights * self.weight_max).astype(np.int64)
        return rounded

    # -- what came of it

    def observation(self) -> dict[str, np.ndarray]:
        """What all episodes show now, the episode axis first; fresh arrays."""
        copies, total = self._copies, self._copies.queue.shape[1]
        return {
            "action_mask": copies.mask.copy(),
            "allocatable": self._allocatable.copy(),
            "left": ((total - copies.position) / total).astype(np.float32).reshape(self.count, 1),
            "pod": copies.pod.copy(),
            "requested": copies.used.copy(),
        }

    def mask(self, episode: int) -> np.ndarray:
        """``int8[node]``: 1 where the pod whose turn it is fits."""
        shown: np.ndarray = self._copies.mask[episode].copy()
        return shown

    def figures(self) -> dict[str, np.ndarray]:
        """Numbers of all episodes so far, as ``info`` has them; each ``[episode]``."""
        last = self._outcome[:, 0]
        return {
            "position": self._copies.position.copy(),
            "placed": self._placed.copy(),
            "unschedulable": self._passed.copy(),
            "node": np.maximum(last, -1),
            "infeasible": (last == stepping.INFEASIBLE) & (self._steps > 0),
        }

    def figures_of(self, episode: int) -> dict[str, int | bool]:
        """The same of one episode."""
        return {name: values[episode].item() for name, values in self.figures().items()}

    def columns(self, episode: int) -> Columns:
        """The episode's cluster as numbers; copies."""
        slot, resource = self._lens.slot, self._lens.resource
        return Columns(
            self._nodes.allocatable[resource][:, slot],
            self._copies.requested[episode][resource][:, slot],
            self._nodes.pods_allowed[slot],
            self._copies.pod_count[episode][slot],
        )

    def pod(self, episode: int) -> str | None:
        """The pod whose turn it is, ``namespace/name``; None when none is left."""
        position = int(self._copies.position[episode])
        if position >= self._copies.queue.shape[1]:
            return None
        return self._name(int(self._copies.queue[episode, position]))

    def placements(self, episode: int) -> dict[str, str | None]:
        """The node of every pod whose turn has come, by ``namespace/name``; None where it fitted nowhere."""
        position = int(self._copies.position[episode])
        rows = self._copies.queue[episode, :position].tolist()
        nodes = self._copies.placed[episode, :position].tolist()
        return {
            self._name(row): self.node_names[node] if node >= 0 else None
            for row, node in zip(rows, nodes, strict=True)
        }

    def _name(self, row: int) -> str:
        return f"{self._state.namespace(row)}/{self._state.pods.name(row)}"

    @property
    def pods(self) -> int:
        """How many pods an episode has to place."""
        return len(self._queue)
