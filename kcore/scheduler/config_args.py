"""The arguments of the in-tree plugins: what ``profiles[].pluginConfig[].args`` says, defaulted and validated.

:func:`read_args` takes one entry's args and gives the value that a Profile holds, for the engine.
Source: pkg/scheduler/apis/config/v1/defaults.go, validation/validation_pluginargs.go, component-helpers'
nodeaffinity and apimachinery's label rules of Kubernetes 1.36, with its default feature gates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from kcore.api import objects
from kcore.api.errors import InputError
from kcore.scheduler import config_schema as schema
from kcore.scheduler.profile import (
    BalancedAllocationArgs,
    DefaultPreemptionArgs,
    InterPodAffinityArgs,
    NodeAffinityArgs,
    NodeResourcesFitArgs,
    PodTopologySpreadArgs,
    ResourceSpec,
    ScoringStrategy,
    VolumeBindingArgs,
)

HARD_POD_AFFINITY_WEIGHT_MAX = 100
RESOURCE_WEIGHT_MAX = 100
SHAPE_SCORE_MAX = 10
UTILIZATION_MAX = 100
LABEL_NAME_LENGTH_MAX = 63
LABEL_PREFIX_LENGTH_MAX = 253
BINDING_TIMEOUT_NS_MIN = 10**9

_STRATEGIES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
_SELECTOR_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_FIELD_OPERATORS = ("In", "NotIn")
_SPREAD_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")

_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_LABEL_NAME_REMEDY = (
    "a qualified name such as nvidia.com/gpu: [prefix/]name, letters, digits, '-', '_' and '.'"
)


def read_args(plugin: str, raw: object) -> tuple[str | None, object]:
    """The Profile field that holds the plugin's arguments, and its value; (None, None) where none is kept.

    ``raw`` may be None (all defaults). Raises InputError whose field starts at ``args``.
    """
    reader = _READERS.get(plugin)
    if reader is None:
        return None, None
    kind = f"{plugin}Args"
    args = schema.decode({} if raw is None else raw, reader.type, "args")
    _require(not args.kind or args.kind == kind, f'is "{args.kind}"', "args.kind", kind)
    version = args.api_version
    _require(
        not version or version == schema.API_VERSION, f'is "{version}"', "args.apiVersion", schema.API_VERSION
    )
    try:
        return reader.profile_field, reader.read(args)
    except InputError as error:
        raise error.at(field="args") from None


def _reject(problem: str, field: str, expected: str) -> NoReturn:
    raise InputError(problem, field=field, expected=expected)


def _require(holds: bool, problem: str, field: str, expected: str) -> None:
    if not holds:
        _reject(problem, field, expected)


def _range(value: int, field: str, low: int, high: int | None = None) -> int:
    bounds = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
    _require(value >= low and (high is None or value <= high), f"is {value}", field, bounds)
    return value


def _default_preemption(args: schema.DefaultPreemptionArgs) -> DefaultPreemptionArgs:
    default = DefaultPreemptionArgs()
    percentage = args.min_candidate_nodes_percentage
    absolute = args.min_candidate_nodes_absolute
    percentage = default.min_candidate_nodes_percentage if percentage is None else percentage
    absolute = default.min_candidate_nodes_absolute if absolute is None else absolute
    _range(percentage, "minCandidateNodesPercentage", 0, 100)
    _range(absolute, "minCandidateNodesAbsolute", 0)
    both_zero = percentage == 0 and absolute == 0
    _require(
        not both_zero,
        "is 0, and so is minCandidateNodesAbsolute",
        "minCandidateNodesPercentage",
        "at least one of the two above 0",
    )
    return DefaultPreemptionArgs(percentage, absolute)


def _inter_pod_affinity(args: schema.InterPodAffinityArgs) -> InterPodAffinityArgs:
    weight = args.hard_pod_affinity_weight
    weight = InterPodAffinityArgs().hard_pod_affinity_weight if weight is None else weight
    _range(weight, "hardPodAffinityWeight", 0, HARD_POD_AFFINITY_WEIGHT_MAX)
    return InterPodAffinityArgs(weight, bool(args.ignore_preferred_terms_of_existing_pods))


def _resources(specs: Sequence[schema.ResourceSpec] | None) -> tuple[ResourceSpec, ...]:
    """The list with weight 0 or absent as 1; cpu and memory where it is empty."""
    if not specs:
        return BalancedAllocationArgs().resources
    return tuple(ResourceSpec(spec.name or "", spec.weight or 1) for spec in specs)


def _balanced_allocation(args: schema.NodeResourcesBalancedAllocationArgs) -> BalancedAllocationArgs:
    resources = _resources(args.resources)
    seen: set[str] = set()
    for index, resource in enumerate(resources):
        place = f"resources[{index}]"
        _require(
            resource.name not in seen,
            f'"{resource.name}" is there twice',
            f"{place}.name",
            "each resource once",
        )
        seen.add(resource.name)
        _require(resource.weight == 1, f"is {resource.weight}", f"{place}.weight", "1")
    return BalancedAllocationArgs(resources)


def _node_resources_fit(args: schema.NodeResourcesFitArgs) -> NodeResourcesFitArgs:
    for index, name in enumerate(args.ignored_resources or ()):
        _label_name(name, f"ignoredResources[{index}]")
    for index, group in enumerate(args.ignored_resource_groups or ()):
        place = f"ignoredResourceGroups[{index}]"
        _require("/" not in group, f'"{group}" contains "/"', place, "a group alone, such as nvidia.com")
        _label_name(group, place)
    strategy = ScoringStrategy()
    if args.scoring_strategy is not None:
        try:
            strategy = _scoring_strategy(args.scoring_strategy)
        except InputError as error:
            raise error.at(field="scoringStrategy") from None
    return NodeResourcesFitArgs(
        frozenset(args.ignored_resources or ()), frozenset(args.ignored_resource_groups or ()), strategy
    )


def _scoring_strategy(strategy: schema.ScoringStrategy) -> ScoringStrategy:
    kind = strategy.type or ""
    _one_of(kind, "type", _STRATEGIES)
    resources = _resources(strategy.resources)
    for index, resource in enumerate(resources):
        _range(resource.weight, f"resources[{index}].weight", 1, RESOURCE_WEIGHT_MAX)
    ratio = strategy.requested_to_capacity_ratio
    if kind != "RequestedToCapacityRatio":
        _require(
            ratio is None,
            f"is set while the type is {kind}",
            "requestedToCapacityRatio",
            "no such field, or type RequestedToCapacityRatio",
        )
        return ScoringStrategy(kind, resources)
    if ratio is None:
        _reject("is missing", "requestedToCapacityRatio", "a shape, as the type is RequestedToCapacityRatio")
    return ScoringStrategy(kind, resources, _shape(ratio.shape or (), "requestedToCapacityRatio.shape"))


def _shape(points: Sequence[schema.UtilizationShapePoint], field: str) -> tuple[tuple[int, int], ...]:
    _require(len(points) > 0, "is empty", field, "at least one point")
    shape = tuple((point.utilization or 0, point.score or 0) for point in points)
    for index, (utilization, score) in enumerate(shape):
        place = f"{field}[{index}]"
        if index and utilization <= shape[index - 1][0]:
            _reject(
                f"is {utilization} after {shape[index - 1][0]}",
                f"{place}.utilization",
                "points sorted by increasing utilization",
            )
        _range(utilization, f"{place}.utilization", 0, UTILIZATION_MAX)
        _range(score, f"{place}.score", 0, SHAPE_SCORE_MAX)
    return shape


def _pod_topology_spread(args: schema.PodTopologySpreadArgs) -> PodTopologySpreadArgs:
    defaulting = args.defaulting_type or "System"
    constraints = args.default_constraints or []
    _one_of(defaulting, "defaultingType", ("System", "List"))
    if defaulting == "System" and constraints:
        _reject('is "System" while defaultConstraints are given', "defaultingType", "List")
    seen: set[tuple[str, str]] = set()
    for index, constraint in enumerate(constraints):
        place = f"defaultConstraints[{index}]"
        key, action = constraint.topology_key or "", constraint.when_unsatisfiable or ""
        _range(constraint.max_skew or 0, f"{place}.maxSkew", 1)
        _label_name(key, f"{place}.topologyKey")
        _one_of(action, f"{place}.whenUnsatisfiable", _SPREAD_ACTIONS)
        _require(
            constraint.label_selector is None,
            "is set",
            f"{place}.labelSelector",
            "no selector: it is deduced for each pod",
        )
        _require(
            (key, action) not in seen,
            f"repeats {key}, {action}",
            place,
            "each topologyKey and whenUnsatisfiable once",
        )
        seen.add((key, action))
    return PodTopologySpreadArgs(defaulting == "System", tuple(_spread_constraint(c) for c in constraints))


def _spread_constraint(constraint: schema.TopologySpreadConstraint) -> objects.TopologySpreadConstraint:
    return objects.TopologySpreadConstraint(
        max_skew=constraint.max_skew or 0,
        topology_key=constraint.topology_key or "",
        when_unsatisfiable=constraint.when_unsatisfiable or "",
        min_domains=constraint.min_domains,
        node_affinity_policy=constraint.node_affinity_policy,
        node_taints_policy=constraint.node_taints_policy,
        match_label_keys=constraint.match_label_keys,
    )


def _node_affinity(args: schema.NodeAffinityArgs) -> NodeAffinityArgs:
    affinity = args.added_affinity
    if affinity is None:
        return NodeAffinityArgs()
    required: objects.NodeSelector | None = None
    if affinity.required is not None:
        place = "addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        terms = affinity.required.node_selector_terms or []
        required = objects.NodeSelector(
            node_selector_terms=[_term(term, f"{place}[{index}]") for index, term in enumerate(terms)]
        )
    preferred: list[objects.PreferredSchedulingTerm] = []
    for index, choice in enumerate(affinity.preferred or ()):
        place = f"addedAffinity.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference"
        weight, preference = choice.weight or 0, choice.preference or schema.NodeSelectorTerm()
        # Upstream leaves a term of weight 0 unread, right or wrong.
        term = _term(preference, place) if weight else objects.NodeSelectorTerm()
        preferred.append(objects.PreferredSchedulingTerm(weight=weight, preference=term))
    return NodeAffinityArgs(required, tuple(preferred))


def _term(term: schema.NodeSelectorTerm, field: str) -> objects.NodeSelectorTerm:
    expressions = [
        _expression(requirement, f"{field}.matchExpressions[{index}]")
        for index, requirement in enumerate(term.match_expressions or ())
    ]
    fields = [
        _field_requirement(requirement, f"{field}.matchFields[{index}]")
        for index, requirement in enumerate(term.match_fields or ())
    ]
    return objects.NodeSelectorTerm(match_expressions=expressions or None, match_fields=fields or None)


def _expression(requirement: schema.NodeSelectorRequirement, field: str) -> objects.NodeSelectorRequirement:
    key, operator, values = requirement.key or "", requirement.operator or "", requirement.values or []
    place = f"{field}.values"
    _one_of(operator, f"{field}.operator", _SELECTOR_OPERATORS)
    _label_name(key, f"{field}.key")
    if operator in ("In", "NotIn"):
        _require(len(values) > 0, "is empty", place, f"at least one value for {operator}")
    elif operator in ("Exists", "DoesNotExist"):
        _require(not values, "is not empty", place, f"no values for {operator}")
    else:
        _require(len(values) == 1, f"has {len(values)} values", place, f"one integer for {operator}")
        _require(_is_int64(values[0]), f'is "{values[0]}"', f"{place}[0]", f"an integer for {operator}")
    for index, value in enumerate(values):
        is_label_value = not value or (len(value) <= LABEL_NAME_LENGTH_MAX and _LABEL_NAME.fullmatch(value))
        _require(bool(is_label_value), f'is "{value}"', f"{place}[{index}]", "a valid label value")
    return objects.NodeSelectorRequirement(key=key, operator=operator, values=values or None)


def _field_requirement(
    requirement: schema.NodeSelectorRequirement, field: str
) -> objects.NodeSelectorRequirement:
    operator, values = requirement.operator or "", requirement.values or []
    _one_of(operator, f"{field}.operator", _FIELD_OPERATORS)
    _require(len(values) == 1, f"has {len(values)} values", f"{field}.values", "exactly one value")
    return objects.NodeSelectorRequirement(key=requirement.key or "", operator=operator, values=values)


def _volume_binding(args: schema.VolumeBindingArgs) -> VolumeBindingArgs:
    seconds = args.bind_timeout_seconds
    seconds = VolumeBindingArgs().bind_timeout_seconds if seconds is None else seconds
    _range(seconds, "bindTimeoutSeconds", 0)
    _require(
        args.shape is None,
        "is set",
        "shape",
        "no shape: the feature gate StorageCapacityScoring is off in 1.36",
    )
    return VolumeBindingArgs(seconds)


def _dynamic_resources(args: schema.DynamicResourcesArgs) -> None:
    if args.filter_timeout is not None:
        _require(args.filter_timeout.ns >= 0, "is negative", "filterTimeout", "0s or more")
    if args.binding_timeout is not None:
        _require(
            args.binding_timeout.ns >= BINDING_TIMEOUT_NS_MIN,
            "is too short",
            "bindingTimeout",
            "at least 1s",
        )


def _one_of(value: str, field: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        problem = f'is "{value}"' if value else "is missing or empty"
        _reject(problem, field, f"one of {', '.join(allowed)}")


def _label_name(name: str, field: str) -> None:
    """Kubernetes' qualified name, which is what label keys and resource names are."""
    prefix, slash, local = name.rpartition("/")
    prefix_valid = not slash or (
        len(prefix) <= LABEL_PREFIX_LENGTH_MAX and _DNS_SUBDOMAIN.fullmatch(prefix) is not None
    )
    local_valid = len(local) <= LABEL_NAME_LENGTH_MAX and _LABEL_NAME.fullmatch(local) is not None
    problem = f'is "{name}"' if name else "is missing or empty"
    _require(prefix_valid and local_valid, problem, field, _LABEL_NAME_REMEDY)


def _is_int64(text: str) -> bool:
    return bool(_INTEGER.fullmatch(text)) and -(2**63) <= int(text) < 2**63


class _Reader(NamedTuple):
    """How one plugin's args are read, and the Profile field that keeps them (None: nothing in a run reads them)."""

    type: type[schema.PluginArgs]
    read: Callable[[Any], object]
    profile_field: str | None


_READERS: Mapping[str, _Reader] = {
    "DefaultPreemption": _Reader(schema.DefaultPreemptionArgs, _default_preemption, "preemption"),
    "InterPodAffinity": _Reader(schema.InterPodAffinityArgs, _inter_pod_affinity, "inter_pod_affinity"),
    "NodeAffinity": _Reader(schema.NodeAffinityArgs, _node_affinity, "node_affinity"),
    "NodeResourcesBalancedAllocation": _Reader(
        schema.NodeResourcesBalancedAllocationArgs, _balanced_allocation, "balanced"
    ),
    "NodeResourcesFit": _Reader(schema.NodeResourcesFitArgs, _node_resources_fit, "fit"),
    "PodTopologySpread": _Reader(schema.PodTopologySpreadArgs, _pod_topology_spread, "topology_spread"),
    "VolumeBinding": _Reader(schema.VolumeBindingArgs, _volume_binding, "volume_binding"),
    "DynamicResources": _Reader(schema.DynamicResourcesArgs, _dynamic_resources, None),
}
