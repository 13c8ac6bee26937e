"""An environment in gymnasium's form: one step puts one pending pod on a node, with kube-scheduler's own filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from kcore.api.errors import InputError
from kcore.cluster import Cluster
from kcore.gym.episodes import Episodes
from kcore.gym.rewards import Reward

Objects = Iterable[Mapping[str, Any]]
Source = Cluster | str | Path | Objects
Factory = Callable[[int], Source]

SEED_MAX = 2**31 - 1
"""Factories get seeds up to this."""


def cluster_of(source: Source) -> Cluster:
    """The cluster itself, or the one at a path, in a ``synthetic:`` specification or of Kubernetes objects."""
    if isinstance(source, Cluster):
        return source
    if isinstance(source, str | Path):
        return Cluster.load(source)
    return Cluster.from_objects(source)


def spaces(episodes: Episodes) -> tuple[gymnasium.spaces.Dict, gymnasium.Space[Any]]:
    """The spaces of one episode's observations and actions."""
    resources, nodes = len(episodes.resources), len(episodes.node_names)

    def share(*shape: int) -> gymnasium.spaces.Box:
        return gymnasium.spaces.Box(0.0, 1.0, shape, np.float32)

    observation = gymnasium.spaces.Dict(
        {
            "action_mask": gymnasium.spaces.Box(0, 1, (nodes,), np.int8),
            "allocatable": share(resources, nodes),
            "left": share(1),
            "pod": share(resources),
            "requested": share(resources, nodes),
        }
    )
    if episodes.action == "node":
        return observation, gymnasium.spaces.Discrete(nodes)
    return observation, share(len(episodes.score_plugins))


class PlacementEnv(gymnasium.Env[dict[str, np.ndarray], Any]):
    """Places a cluster's pending pods one by one; an episode ends when every pod has had its turn.

    A pod that fits on no node when its turn comes is passed over without a step, as kube-scheduler leaves it
    pending; nothing is preempted. The cluster is not changed, whatever the episode does.

    Observation, a Dict of Boxes; the node axis is in the order of :attr:`node_names`, resources are
    :attr:`resources`, the last of them ``pods``; amounts are parts of the largest node's (:attr:`scale`):
        allocatable   float32[resource, node]
        requested     float32[resource, node], what the pods on the node ask for
        pod           float32[resource], what the pod whose turn it is asks for
        left          float32[1], the part of the queue that has not had its turn
        action_mask   int8[node], 1 where every filter of the profile lets the pod pass; at least one until the end

    Args:
        source: a Cluster, a path or ``synthetic:`` specification, Kubernetes objects; or a function of a seed that
            returns one of these, which is called for every episode (nodes and resources must stay as many).
        action: "node": Discrete, the node. "weights": Box of 0 to 1, a weight for each of :attr:`score_plugins`; the
            engine scores with them (1 is weight :attr:`weight_max`, rounded) and takes the best node.
        reward: a name of :data:`kcore.gym.REWARDS`, weights by name, or ``function(before, after, info) -> float``
            over :class:`kcore.gym.Columns`, called for every pod that was placed.
        max_steps: the episode is truncated after so many steps.
        seed: of the first :meth:`reset` that is given none.
        order: whose turn it is: "queue" (by priority, then arrival), "file", or "random", drawn anew every episode.
        infeasible: a node that the mask forbids "end"s the episode, or is "refuse"d: the pod's turn comes again.
        penalty: the reward of such a step.
        tie_break: among nodes that score alike, the "first" by name or one at "random".
        config: a KubeSchedulerConfiguration, a path or the document; users' plugins are not asked.
        profile: the profile for all pods, where the configuration has several.
        compiled: machine code or the interpreter; None for machine code where the problem is not tiny.

    Raises:
        InputError: anything wrong with the arguments; nothing to place.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium's own form

    def __init__(
        self,
        source: Source | Factory,
        *,
        action: str = "node",
        reward: Reward = "placed",
        max_steps: int | None = None,
        seed: int | None = None,
        order: str = "queue",
        infeasible: str = "end",
        penalty: float = -1.0,
        tie_break: str = "first",
        config: Any = None,
        profile: str | None = None,
        compiled: bool | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "action": action, "reward": reward, "order": order, "infeasible": infeasible, "penalty": penalty,
            "max_steps": max_steps, "tie_break": tie_break, "config": config, "profile": profile,
            "compiled": compiled,
        }  # fmt: skip
        self._factory = source if callable(source) else None
        self._first_seed = seed
        self._over = True
        self._episodes = self._make(source(0) if callable(source) else source)
        self.observation_space, self.action_space = spaces(self._episodes)

    def _make(self, source: Source) -> Episodes:
        return Episodes(cluster_of(source), 1, **self._options)

    # -- gymnasium

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin an episode: a few arrays are copied, the cluster is not read again (unless a factory makes it)."""
        if self._first_seed is not None:
            seed = self._first_seed if seed is None else seed
            self._first_seed = None
        super().reset(seed=seed)
        if self._factory is not None:
            self._replace(int(self.np_random.integers(SEED_MAX)))
        self._episodes.reset(0, self.np_random)
        self._episodes.play()
        self._over = False
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Place the pod whose turn it is; return observation, reward, terminated, truncated, info.

        ``info``: position (in the queue, of the pod whose turn it is), placed and unschedulable (so far), node (that
        got the pod, -1), infeasible (the node was none of the mask's).

        Raises:
            InputError: the action is outside the action space, or no episode has begun.
        """
        if self._over:
            raise InputError("no episode is under way", field="step", expected="a call of reset before it")
        episodes = self._episodes
        episodes.play(np.asarray(action)[np.newaxis])
        terminated, truncated = bool(episodes.terminated[0]), bool(episodes.truncated[0])
        self._over = terminated or truncated
        return self._observation(), float(episodes.rewards[0]), terminated, truncated, self._info()

    def _observation(self) -> dict[str, np.ndarray]:
        return {name: values[0] for name, values in self._episodes.observation().items()}

    def _info(self) -> dict[str, Any]:
        return dict(self._episodes.figures_of(0))

    def _replace(self, seed: int) -> None:
        """Take the factory's cluster of that seed, which must look like the first one."""
        assert self._factory is not None
        made = self._make(self._factory(seed))
        if spaces(made) != (self.observation_space, self.action_space) or (
            made.resources != self._episodes.resources
        ):
            raise InputError(
                f"the factory's cluster of seed {seed} has {len(made.node_names)} nodes and the resources "
                f"{', '.join(made.resources)}",
                field="source",
                expected=f"{len(self.node_names)} nodes and {', '.join(self.resources)}, as the first one",
            )
        self._episodes = made

    # -- more than gymnasium asks for

    def action_masks(self) -> np.ndarray:
        """``bool[node]``: the mask by the name under which maskable agents look for it."""
        found: np.ndarray = self._episodes.mask(0).astype(bool)
        return found

    @property
    def node_names(self) -> list[str]:
        """The nodes, in the order of actions."""
        return self._episodes.node_names

    @property
    def resources(self) -> list[str]:
        """The resources, in the order of the observation's rows; the last is ``pods``."""
        return self._episodes.resources

    @property
    def scale(self) -> np.ndarray:
        """``float64[resource]``: the amount that is shown as 1 (milli-CPU, bytes, counts)."""
        found: np.ndarray = self._episodes.scale
        return found

    @property
    def score_plugins(self) -> list[str]:
        """The score plugins, in the order of the action ``weights``."""
        return self._episodes.score_plugins

    @property
    def weight_max(self) -> int:
        """The weight that 1.0 stands for."""
        return self._episodes.weight_max

    @property
    def default_action(self) -> np.ndarray:
        """``float32[plugin]``: the action ``weights`` with which the engine decides as the profile does."""
        shares = self._episodes.default_weights / self._episodes.weight_max
        found: np.ndarray = shares.astype(np.float32)
        return found

    @property
    def pod(self) -> str | None:
        """The pod whose turn it is, ``namespace/name``; None at the end."""
        return self._episodes.pod(0)

    @property
    def pods(self) -> int:
        """How many pods have a turn in an episode."""
        return self._episodes.pods

    def placements(self) -> dict[str, str | None]:
        """The node of every pod whose turn has come, by ``namespace/name``; None where it fitted nowhere."""
        return self._episodes.placements(0)
