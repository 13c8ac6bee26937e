"""Reinforcement learning over the engine: environments in gymnasium's form, one step a pending pod.

``kcore.gym.PlacementEnv`` is one episode at a time, ``kcore.gym.PlacementVectorEnv`` many in one call. gymnasium is
imported when one of them is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kcore.api.errors import InputError

if TYPE_CHECKING:
    from kcore.gym.environment import PlacementEnv
    from kcore.gym.rewards import REWARDS, Columns
    from kcore.gym.vector import PlacementVectorEnv

__all__ = ["REWARDS", "Columns", "PlacementEnv", "PlacementVectorEnv"]

_HOMES = {
    "Columns": "kcore.gym.rewards",
    "PlacementEnv": "kcore.gym.environment",
    "PlacementVectorEnv": "kcore.gym.vector",
    "REWARDS": "kcore.gym.rewards",
}


def __getattr__(name: str) -> Any:
    """Import the module that a public name lives in; InputError where gymnasium is not installed."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name != "gymnasium":
            raise
        raise InputError(
            "gymnasium is not installed", field=f"kcore.gym.{name}", expected="pip install 'kcore[gym]'"
        ) from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not, besides what the module holds."""
    return sorted({*globals(), *__all__})
