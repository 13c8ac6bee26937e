"""Simulation and studies: traces replayed on a simulated clock, many runs gathered into one table, figures drawn from it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kcore.sim.autoscaling import NodeGroup
    from kcore.sim.events import Event
    from kcore.sim.outcome import SimulationResult
    from kcore.sim.simulation import Simulation

__all__ = ["Event", "NodeGroup", "Simulation", "SimulationResult"]

_HOMES = {
    "Event": "kcore.sim.events",
    "NodeGroup": "kcore.sim.autoscaling",
    "Simulation": "kcore.sim.simulation",
    "SimulationResult": "kcore.sim.outcome",
}


def __getattr__(name: str) -> Any:
    """Import the module that a public name lives in when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
