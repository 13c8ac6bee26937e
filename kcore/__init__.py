"""The Python face of kcore: few names, loaded on first use.

``import kcore`` loads no kernels, tables or plots; each name below imports its module when it is first asked for
(PEP 562), so a program pays only for what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kcore import gym
    from kcore.api.errors import InputError, KcoreError, NotSupportedError
    from kcore.cluster import Cluster
    from kcore.controlplane import ControlPlane
    from kcore.scheduler.plugins.contract import NodeView, PodView, filter_plugin, plugin, score_plugin
    from kcore.scheduler.plugins.lifecycle import Reject, Wait
    from kcore.scheduler.result import Result
    from kcore.sim.simulation import Simulation

__version__ = "0.1.0"

__all__ = [
    "Cluster",
    "ControlPlane",
    "InputError",
    "KcoreError",
    "NodeView",
    "NotSupportedError",
    "PodView",
    "Reject",
    "Result",
    "Simulation",
    "Wait",
    "__version__",
    "filter_plugin",
    "gym",
    "plugin",
    "score_plugin",
]

_HOMES = {
    "Cluster": "kcore.cluster",
    "ControlPlane": "kcore.controlplane",
    "InputError": "kcore.api.errors",
    "KcoreError": "kcore.api.errors",
    "NodeView": "kcore.scheduler.plugins.contract",
    "NotSupportedError": "kcore.api.errors",
    "PodView": "kcore.scheduler.plugins.contract",
    "Reject": "kcore.scheduler.plugins.lifecycle",
    "Result": "kcore.scheduler.result",
    "Simulation": "kcore.sim.simulation",
    "Wait": "kcore.scheduler.plugins.lifecycle",
    "filter_plugin": "kcore.scheduler.plugins.contract",
    "gym": "kcore.gym",
    "plugin": "kcore.scheduler.plugins.contract",
    "score_plugin": "kcore.scheduler.plugins.contract",
}


def __getattr__(name: str) -> Any:
    """Import the module that a public name lives in, and keep the name here from then on."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(home)
    value = module if home == f"{__name__}.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not, besides what the module holds."""
    return sorted({*globals(), *__all__})
