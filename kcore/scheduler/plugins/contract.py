"""What a plugin is to the engine, and how users add their own.

A plugin says at which points it acts, what can make its answers change (:class:`Depends`), how its raw scores are
normalized, and which cluster events may wake a pod that it rejected. The in-tree plugins are the tuple
:data:`IN_TREE`; their kernels stand in the files beside this one and are put together in ``cycle.py``. Users'
plugins are Python functions over columns, compiled by Numba, registered by the decorators below or by an entry
point in the group ``kcore.plugins``.

The declarations are what an incremental engine needs: see ``docs/design/0002-plugin-contract.md``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, TypeVar

import numpy as np

from kcore.api.errors import InputError
from kcore.kernel import Kernel
from kcore.scheduler import codes
from kcore.scheduler.columns import F64, I32, I64
from kcore.scheduler.config_plugins import IN_TREE as UPSTREAM
from kcore.scheduler.plugins.lifecycle import CyclePlugin
from kcore.scheduler.plugins.policies import DEFAULT, POLICIES

T = TypeVar("T")


class Depends(Enum):
    """What of the cluster an answer about a node is computed from, and so what makes it change."""

    STATIC = "static"
    """The node's own object and the pod's class: changes only when a node changes."""
    NODE = "node"
    """Also the pods on that node: binding a pod changes the answer for the chosen node alone."""
    DOMAIN = "domain"
    """Also the pods in the node's topology domains: it changes for all nodes of the chosen node's domains."""
    CLUSTER = "cluster"
    """Anything: only a full pass is exact."""


class Normalize(Enum):
    """How raw scores become 0..100 over the feasible nodes: the one global step of scoring."""

    NONE = "none"
    """They are 0..100 already."""
    DEFAULT = "default"
    """100 * raw / max."""
    REVERSE = "reverse"
    """100 - 100 * raw / max."""
    MIN_MAX = "minmax"
    """100 * (raw - min) / (max - min)."""
    SPREAD = "spread"
    """100 * (max + min - raw) / max (PodTopologySpread)."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An in-tree plugin: its number in kernels and what the engine may rely on."""

    name: str
    number: int
    filter: Depends | None = None
    score: Depends | None = None
    normalize: Normalize = Normalize.NONE
    events: tuple[str, ...] = ()
    """Cluster events that may make a pod schedulable that this plugin rejected, by upstream's names."""


IN_TREE = (
    Plugin(
        "NodeUnschedulable",
        codes.NODE_UNSCHEDULABLE,
        Depends.STATIC,
        events=("Node/Add", "Node/UpdateNodeTaint"),
    ),
    Plugin("NodeName", codes.NODE_NAME, Depends.STATIC, events=("Node/Add",)),
    Plugin(
        "TaintToleration",
        codes.TAINT_TOLERATION,
        Depends.STATIC,
        Depends.STATIC,
        Normalize.REVERSE,
        ("Node/Add", "Node/UpdateNodeTaint", "Pod/UpdatePodToleration"),
    ),
    Plugin(
        "NodeAffinity",
        codes.NODE_AFFINITY,
        Depends.STATIC,
        Depends.STATIC,
        Normalize.DEFAULT,
        ("Node/Add", "Node/UpdateNodeLabel"),
    ),
    Plugin("NodePorts", codes.NODE_PORTS, Depends.NODE, events=("Pod/Delete", "Node/Add")),
    Plugin(
        "NodeResourcesFit",
        codes.NODE_RESOURCES_FIT,
        Depends.NODE,
        Depends.NODE,
        events=("Pod/Delete", "Pod/UpdatePodScaleDown", "Node/Add", "Node/UpdateNodeAllocatable"),
    ),
    Plugin(
        "PodTopologySpread",
        codes.POD_TOPOLOGY_SPREAD,
        Depends.DOMAIN,
        Depends.DOMAIN,
        Normalize.SPREAD,
        ("Pod/Add", "Pod/UpdatePodLabel", "Pod/Delete", "Node/Add", "Node/Delete", "Node/UpdateNodeLabel"),
    ),
    Plugin(
        "InterPodAffinity",
        codes.INTER_POD_AFFINITY,
        Depends.DOMAIN,
        Depends.DOMAIN,
        Normalize.MIN_MAX,
        ("Pod/Add", "Pod/UpdatePodLabel", "Pod/Delete", "Node/Add", "Node/UpdateNodeLabel"),
    ),
    Plugin("NodeResourcesBalancedAllocation", codes.BALANCED_ALLOCATION, score=Depends.NODE),
    Plugin("ImageLocality", codes.IMAGE_LOCALITY, score=Depends.STATIC),
)


OURS = (
    Plugin(
        "GpuShare",
        codes.GPU_SHARE,
        Depends.NODE,
        events=("Pod/Delete", "Node/Add", "Node/UpdateNodeLabel", "Node/UpdateNodeAllocatable"),
    ),
    *(Plugin(policy.name, policy.number, score=Depends.NODE) for policy in POLICIES),
)
"""Plugins that Kubernetes does not have: GPU sharing and the placing policies."""
OUR_POINTS = {
    plugin.name: frozenset(
        point for point, depends in (("filter", plugin.filter), ("score", plugin.score)) if depends
    )
    for plugin in OURS
}


class PodView(NamedTuple):
    """The pod that a user's plugin is asked about."""

    requests: I64  # [resource] in the order of NodeView's rows: milli-CPU, bytes, counts
    nonzero: I64  # [2] CPU and memory with the scheduler's defaults
    priority: int
    wanted: I64  # [declared resource] what it asks of the plugin's ``resources``


class NodeView(NamedTuple):
    """The nodes, as columns; the node axis is last. Rows 0, 1, 2 are CPU, memory and ephemeral storage."""

    allocatable: I64  # [resource, node]
    requested: I64  # [resource, node]
    nonzero: I64  # [2, node]
    pods_allowed: I64  # [node]
    pod_count: I64  # [node]
    rows: I64  # [declared resource] row of each of the plugin's ``resources``
    label: I32  # [declared label, node] value number, -1 absent; equal values have equal numbers
    label_number: F64  # [declared label, node] the value read as an integer, NaN where it is none
    parameters: F64  # [declared parameter]


PluginFunction = Callable[[PodView, NodeView, Any], None]


@dataclass(frozen=True, slots=True)
class ThirdParty:
    """A user's plugin at one extension point."""

    name: str
    point: str
    kernel: Kernel
    depends: Depends
    normalize: Normalize = Normalize.NONE
    reason: str = ""
    resolvable: bool = True
    resources: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    parameters: tuple[tuple[str, float], ...] = ()

    def parameter_values(self, args: Any) -> np.ndarray:
        """The parameters under ``pluginConfig`` arguments (a mapping or None), in declared order.

        Raises:
            InputError: an argument that the plugin does not declare, or one that is not a number.
        """
        given = {key: value for key, value in (args or {}).items() if key not in ("apiVersion", "kind")}
        known = dict(self.parameters)
        # one plugin may be two functions, one for each point, and a class, with different parameters
        both = _parameters_of(self.name)
        for key, value in given.items():
            field = f"pluginConfig[name={self.name}].args.{key}"
            if key not in known and key not in both:
                names = ", ".join(sorted(both | set(known))) or "none"
                raise InputError(
                    f"{self.name} has no parameter {key!r}", field=field, expected=f"one of: {names}"
                )
            if key in known and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise InputError(f"{value!r} is not a number", field=field, expected="a number")
        return np.array([float(given.get(key, default)) for key, default in known.items()], dtype=np.float64)

    @property
    def function(self) -> Callable[..., Any]:
        """The user's function."""
        function: Callable[..., Any] = self.kernel.__wrapped__
        return function

    def __call__(self, pod: PodView, nodes: NodeView, out: Any) -> None:
        """Run the function in the interpreter, as a test does."""
        self.kernel(pod, nodes, out)


_registered: dict[str, dict[str, ThirdParty | CyclePlugin]] = {}


def registered() -> dict[str, dict[str, ThirdParty | CyclePlugin]]:
    """Every user's plugin by name and extension point, entry points included.

    Raises:
        InputError: an entry point cannot be loaded.
    """
    _load_entry_points()
    return _registered


def find(name: str, point: str) -> ThirdParty | None:
    """The user's plugin of that name at that point; entry points are loaded only for names that are unknown."""
    if name in UPSTREAM or name in OUR_POINTS:
        return None
    known = _registered if name in _registered else registered()
    plugin = known.get(name, {}).get(point)
    return plugin if isinstance(plugin, ThirdParty) else None


def find_class(name: str) -> CyclePlugin | None:
    """The user's class of that name; entry points are loaded only for names that are unknown."""
    if name in UPSTREAM or name in OUR_POINTS:
        return None
    known = _registered if name in _registered else registered()
    return next((one for one in known.get(name, {}).values() if isinstance(one, CyclePlugin)), None)


def made(plugin: CyclePlugin, scheduler: Any, args: Any) -> Any:
    """One object of the class; see :meth:`CyclePlugin.made`."""
    return plugin.made(scheduler, args, _parameters_of(plugin.name))


def own_points() -> dict[str, frozenset[str]]:
    """The plugins that a configuration may name beside Kubernetes' own, with their extension points."""
    return {**OUR_POINTS, **{name: frozenset(points) for name, points in registered().items()}}


def _parameters_of(name: str) -> set[str]:
    return {key for one in _registered.get(name, {}).values() for key, _ in one.parameters}


@functools.cache
def _load_entry_points() -> None:
    from importlib.metadata import entry_points

    for entry in entry_points(group="kcore.plugins"):
        try:
            entry.load()
        except Exception as error:
            problem = f"cannot be loaded: {type(error).__name__}: {error}"
            raise InputError(problem, field=f"entry point {entry.name} of kcore.plugins") from error


def _register(name: str, points: Sequence[str], plugin: ThirdParty | CyclePlugin) -> None:
    if not name or name == "*":
        raise ValueError(f"{name!r} cannot be the name of a plugin")
    if name in UPSTREAM:
        raise ValueError(f"{name} is the name of an in-tree plugin")
    if name in OUR_POINTS or name == DEFAULT:
        raise ValueError(f"{name} is the name of a policy or plugin of kcore")
    known = _registered.setdefault(name, {})
    for point in points:
        before = known.get(point)
        if before is not None and _home(before) != _home(plugin):
            raise ValueError(f"{name} is registered already, by {'.'.join(_home(before))}")
    for point in points:
        known[point] = plugin


def _home(plugin: ThirdParty | CyclePlugin) -> tuple[str, str]:
    return (plugin.function.__module__, plugin.function.__qualname__)


def plugin(name: str, *, events: Sequence[str] = ()) -> Callable[[type[T]], type[T]]:
    """Register a class whose methods are asked around the decision, by the scheduler online (``kcore scheduler``).

    Methods, any of them: ``pre_enqueue(pod)``, ``sort_key(pod)``, ``reserve(pod, node)`` and ``unreserve(pod, node)``,
    ``permit(pod, node)``, ``pre_bind(pod, node)``, ``post_bind(pod, node)``, and ``concerns(pod)``. See docs/plugins.md.

    Args:
        name: the name in a KubeSchedulerConfiguration, under the points of its methods or ``multiPoint``.
        events: what may change its mind about a pod that it rejected, by upstream's names ("Node/Add", "Pod/Delete");
            anything, where none is named.
    """

    def decorate(kind: type[T]) -> type[T]:
        made = CyclePlugin.of(name, kind, events)
        _register(name, sorted(made.points), made)
        kind.name = name  # type: ignore[attr-defined]
        return kind

    return decorate


def filter_plugin(
    name: str,
    *,
    reason: str,
    resolvable: bool = True,
    depends: str = "cluster",
    resources: Sequence[str] = (),
    labels: Sequence[str] = (),
    parameters: dict[str, float] | None = None,
) -> Callable[[PluginFunction], ThirdParty]:
    """Register ``function(pod, nodes, out)`` as a filter: it sets ``out[node] = 1`` for nodes to reject.

    Args:
        name: the name in a KubeSchedulerConfiguration, under ``plugins.filter`` or ``multiPoint``.
        reason: what the FitError sentence says of rejected nodes, e.g. "node(s) were too small".
        resolvable: whether evicting pods might help, so that preemption tries the node.
        depends: "static", "node", "domain" or "cluster", see :class:`Depends`; what is promised here an incremental
            engine will rely on, so the default is the one that promises nothing.
        resources: names of resources whose rows the function finds in ``nodes.rows``.
        labels: label keys whose columns it finds in ``nodes.label``.
        parameters: numbers with their defaults, set by pluginConfig, found in ``nodes.parameters``.
    """

    def decorate(function: PluginFunction) -> ThirdParty:
        made = ThirdParty(
            name, "filter", Kernel(function, cache=False), Depends(depends), Normalize.NONE, reason, resolvable,
            tuple(resources), tuple(labels), tuple((parameters or {}).items()),
        )  # fmt: skip
        _register(name, [made.point], made)
        return made

    return decorate


def score_plugin(
    name: str,
    *,
    normalize: str = "none",
    depends: str = "cluster",
    resources: Sequence[str] = (),
    labels: Sequence[str] = (),
    parameters: dict[str, float] | None = None,
) -> Callable[[PluginFunction], ThirdParty]:
    """Register ``function(pod, nodes, out)`` as a score: it sets ``out[node]``, an integer, for every node.

    ``normalize`` is "none" (scores are 0..100 already), "default", "reverse" or "minmax", see :class:`Normalize`;
    the other arguments are those of :func:`filter_plugin`.
    """

    def decorate(function: PluginFunction) -> ThirdParty:
        made = ThirdParty(
            name, "score", Kernel(function, cache=False), Depends(depends), Normalize(normalize), "", True,
            tuple(resources), tuple(labels), tuple((parameters or {}).items()),
        )  # fmt: skip
        _register(name, [made.point], made)
        return made

    return decorate
