"""What a scheduling profile says, after defaulting and validation: plain values, no file formats.

:mod:`kcore.scheduler.config` makes these from a KubeSchedulerConfiguration; the engine reads only these.
Source: pkg/scheduler/apis/config/types*.go and v1/default_plugins.go of Kubernetes 1.36.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kcore.api.objects import NodeSelector, PreferredSchedulingTerm, TopologySpreadConstraint


@dataclass(frozen=True, slots=True)
class ResourceSpec:
    """A resource and its weight in a scoring strategy."""

    name: str
    weight: int


@dataclass(frozen=True, slots=True)
class ScoringStrategy:
    """``type`` is LeastAllocated, MostAllocated or RequestedToCapacityRatio; ``shape`` is (utilization, score 0..10)."""

    type: str = "LeastAllocated"
    resources: tuple[ResourceSpec, ...] = (ResourceSpec("cpu", 1), ResourceSpec("memory", 1))
    shape: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class NodeResourcesFitArgs:
    ignored_resources: frozenset[str] = frozenset()
    ignored_resource_groups: frozenset[str] = frozenset()
    scoring_strategy: ScoringStrategy = ScoringStrategy()


@dataclass(frozen=True, slots=True)
class BalancedAllocationArgs:
    resources: tuple[ResourceSpec, ...] = (ResourceSpec("cpu", 1), ResourceSpec("memory", 1))


@dataclass(frozen=True, slots=True)
class InterPodAffinityArgs:
    hard_pod_affinity_weight: int = 1
    ignore_preferred_terms_of_existing_pods: bool = False


@dataclass(frozen=True, slots=True)
class NodeAffinityArgs:
    """``added_required`` and ``added_preferred`` are pluginConfig's addedAffinity."""

    added_required: NodeSelector | None = None
    added_preferred: tuple[PreferredSchedulingTerm, ...] = ()


@dataclass(frozen=True, slots=True)
class PodTopologySpreadArgs:
    """``system_defaulted`` is defaultingType System; otherwise ``default_constraints`` is the List."""

    system_defaulted: bool = True
    default_constraints: tuple[TopologySpreadConstraint, ...] = ()


@dataclass(frozen=True, slots=True)
class DefaultPreemptionArgs:
    min_candidate_nodes_percentage: int = 10
    min_candidate_nodes_absolute: int = 100


@dataclass(frozen=True, slots=True)
class VolumeBindingArgs:
    bind_timeout_seconds: int = 600


@dataclass(frozen=True, slots=True)
class Profile:
    """One scheduler profile, fully expanded.

    ``filters``, ``scores``, ``post_filters``, ``reserves``, ``permits``, ``pre_binds`` and ``post_binds`` are plugin names
    in the order in which they run; ``weights`` is parallel to ``scores``. A plugin that is enabled at several extension points appears in each list.
    ``pre_filters`` and ``pre_scores`` tell which plugins' PreFilter/PreScore run (upstream lets them be disabled).
    ``plugin_args`` holds the arguments of third-party plugins by name. ``percentage_of_nodes_to_score`` is recorded
    only, None where the profile leaves it to the file.
    """

    scheduler_name: str
    pre_filters: tuple[str, ...]
    filters: tuple[str, ...]
    post_filters: tuple[str, ...]
    pre_scores: tuple[str, ...]
    scores: tuple[str, ...]
    weights: tuple[int, ...]
    pre_enqueue: tuple[str, ...] = ("SchedulingGates",)
    queue_sort: str = "PrioritySort"
    reserves: tuple[str, ...] = ()
    permits: tuple[str, ...] = ()
    pre_binds: tuple[str, ...] = ()
    post_binds: tuple[str, ...] = ()
    fit: NodeResourcesFitArgs = NodeResourcesFitArgs()
    balanced: BalancedAllocationArgs = BalancedAllocationArgs()
    inter_pod_affinity: InterPodAffinityArgs = InterPodAffinityArgs()
    node_affinity: NodeAffinityArgs = NodeAffinityArgs()
    topology_spread: PodTopologySpreadArgs = PodTopologySpreadArgs()
    preemption: DefaultPreemptionArgs = DefaultPreemptionArgs()
    volume_binding: VolumeBindingArgs = VolumeBindingArgs()
    plugin_args: dict[str, Any] = field(default_factory=dict)
    percentage_of_nodes_to_score: int | None = None


@dataclass(frozen=True, slots=True)
class ExtenderSettings:
    """One HTTP extender of a file; ``place`` is its path there. A verb that is empty is not asked for."""

    place: str
    url_prefix: str
    filter_verb: str = ""
    prioritize_verb: str = ""
    preempt_verb: str = ""
    bind_verb: str = ""
    weight: int = 0
    seconds_max: float = 0.0
    node_cache_capable: bool = False
    managed_resources: frozenset[str] = frozenset()
    is_ignorable: bool = False
    is_insecure: bool = False
    server_name: str = ""
    ca: bytes = b""
    ca_path: str = ""
    cert: bytes = b""
    key: bytes = b""
    cert_path: str = ""
    key_path: str = ""


@dataclass(frozen=True, slots=True)
class SchedulerConfiguration:
    """All profiles of a file; ``percentage_of_nodes_to_score`` is recorded only (every node is scored)."""

    profiles: tuple[Profile, ...]
    percentage_of_nodes_to_score: int | None = None
    extenders: tuple[ExtenderSettings, ...] = ()

    def profile(self, scheduler_name: str) -> Profile | None:
        """The profile of that name, or None."""
        for profile in self.profiles:
            if profile.scheduler_name == scheduler_name:
                return profile
        return None
