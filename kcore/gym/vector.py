"""Many episodes over one cluster, all stepped in one kernel call: gymnasium's vector environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from kcore.api.errors import InputError
from kcore.gym.environment import Source, cluster_of, spaces
from kcore.gym.episodes import Episodes
from kcore.gym.rewards import Reward

Observations = dict[str, np.ndarray]


class PlacementVectorEnv(gymnasium.vector.VectorEnv[Observations, np.ndarray, np.ndarray]):
    """``num_envs`` episodes of :class:`kcore.gym.PlacementEnv` over one cluster, equal to as many in a SyncVectorEnv.

    Observations, actions, rewards and infos have the episode's axis first. An episode that has ended begins anew in the
    next step, whose action it ignores (gymnasium's ``NEXT_STEP``). A reward that is a Python function is called
    for each episode; all else is one call into the kernels.

    Args:
        source: as of PlacementEnv, but no function of a seed.
        num_envs: how many episodes.
        others: as of PlacementEnv.

    Raises:
        InputError: anything wrong with the arguments; nothing to place.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium's own form
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "render_modes": [],
    }

    def __init__(
        self,
        source: Source,
        num_envs: int,
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
        if num_envs < 1:
            raise InputError(f"{num_envs} episodes are none", field="num_envs", expected="1 or more")
        if callable(source):
            raise InputError(
                "a factory makes a cluster for each episode",
                field="source",
                expected="one cluster for all, or gymnasium.vector.SyncVectorEnv over PlacementEnv",
            )
        self.num_envs = num_envs
        self._first_seed = seed
        self._episodes = Episodes(
            cluster_of(source), num_envs, action=action, reward=reward, order=order, infeasible=infeasible,
            penalty=penalty, max_steps=max_steps, tie_break=tie_break, config=config, profile=profile,
            compiled=compiled,
        )  # fmt: skip
        self.single_observation_space, self.single_action_space = spaces(self._episodes)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._randoms: list[np.random.Generator] = [np.random.default_rng() for _ in range(num_envs)]
        self._ended = np.zeros(num_envs, dtype=bool)
        self._begun = False

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin all episodes; episode ``i`` gets the seed ``seed + i``, or ``seed[i]``."""
        if seed is None and self._first_seed is not None:
            seed = self._first_seed
        self._first_seed = None
        if seed is None:
            seeds: list[int | None] = [None] * self.num_envs
        elif isinstance(seed, int | np.integer):
            seeds = [int(seed) + one for one in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise InputError(
                f"{len(seeds)} seeds for {self.num_envs} episodes", field="seed", expected="one for each"
            )
        for episode, one in enumerate(seeds):
            if one is not None:
                self._randoms[episode], _ = gymnasium.utils.seeding.np_random(one)
            self._episodes.reset(episode, self._randoms[episode])
        self._episodes.play()
        self._ended[:] = False
        self._begun = True
        return self._episodes.observation(), self._infos()

    def step(
        self, actions: np.ndarray
    ) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take a step in every episode, or begin it anew where it had ended.

        Raises:
            InputError: an action is outside the action space, or nothing has begun.
        """
        if not self._begun:
            raise InputError("no episode is under way", field="step", expected="a call of reset before it")
        episodes = self._episodes
        given = np.asarray(actions)
        if given.shape != self.action_space.shape:
            raise InputError(
                f"actions have the shape {given.shape}",
                field="actions",
                expected=str(self.action_space.shape),
            )
        for episode in np.flatnonzero(self._ended).tolist():
            episodes.reset(episode, self._randoms[episode])
        episodes.play(given)
        rewards, terminated, truncated = (
            episodes.rewards.copy(), episodes.terminated.copy(), episodes.truncated.copy()
        )  # fmt: skip
        self._ended = terminated | truncated
        return episodes.observation(), rewards, terminated, truncated, self._infos()

    def _infos(self) -> dict[str, Any]:
        infos: dict[str, Any] = self._episodes.figures()
        for name in list(infos):
            infos[f"_{name}"] = np.ones(self.num_envs, dtype=bool)
        return infos

    # -- more than gymnasium asks for

    def action_masks(self) -> np.ndarray:
        """``bool[episode, node]``: where the pods whose turn it is fit."""
        return np.stack([self._episodes.mask(one) for one in range(self.num_envs)]).astype(bool)

    @property
    def node_names(self) -> list[str]:
        """The nodes, in the order of actions."""
        return self._episodes.node_names

    @property
    def resources(self) -> list[str]:
        """The resources, in the order of the observation's rows; the last is ``pods``."""
        return self._episodes.resources

    @property
    def score_plugins(self) -> list[str]:
        """The score plugins, in the order of the action ``weights``."""
        return self._episodes.score_plugins

    @property
    def default_action(self) -> np.ndarray:
        """``float32[plugin]``: the weights with which the engine decides as the profile does, for one episode."""
        shares = self._episodes.default_weights / self._episodes.weight_max
        found: np.ndarray = shares.astype(np.float32)
        return found

    def placements(self, episode: int) -> dict[str, str | None]:
        """The node of every pod of an episode whose turn has come, by ``namespace/name``."""
        return self._episodes.placements(episode)
