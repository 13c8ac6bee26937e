"""The ``kubescheduler.config.k8s.io/v1`` types, field by field, and :func:`decode`, which reads them strictly.

Parsed YAML or JSON goes in, Structs come out for :mod:`kcore.scheduler.config` and ``config_args`` to default and
validate. As in Go, ``null`` means absent. Source: k8s.io/kube-scheduler/config/v1/types*.go and
k8s.io/component-base/config/v1alpha1/types.go of Kubernetes 1.36.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct, field, inspect

from kcore.api.durations import duration_ns
from kcore.api.errors import InputError

API_GROUP = "kubescheduler.config.k8s.io"
API_VERSION = f"{API_GROUP}/v1"
KIND = "KubeSchedulerConfiguration"

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Duration:
    """A Go duration such as ``1m30s``, as ``ns`` nanoseconds."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        self.ns = ns


class _Strict(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, gc=False):
    """Struct options shared by all the types below."""


class Plugin(_Strict):
    name: str | None = None
    weight: Int32 | None = None


class PluginSet(_Strict):
    enabled: list[Plugin] | None = None
    disabled: list[Plugin] | None = None


class Plugins(_Strict):
    pre_enqueue: PluginSet | None = None
    queue_sort: PluginSet | None = None
    pre_filter: PluginSet | None = None
    filter: PluginSet | None = None
    post_filter: PluginSet | None = None
    pre_score: PluginSet | None = None
    score: PluginSet | None = None
    reserve: PluginSet | None = None
    permit: PluginSet | None = None
    pre_bind: PluginSet | None = None
    bind: PluginSet | None = None
    post_bind: PluginSet | None = None
    multi_point: PluginSet | None = None
    placement_generate: PluginSet | None = None
    placement_score: PluginSet | None = None


class PluginConfig(_Strict):
    """``args`` is decoded later, by the type that belongs to the plugin of that name."""

    name: str | None = None
    args: Any = None


class KubeSchedulerProfile(_Strict):
    scheduler_name: str | None = None
    percentage_of_nodes_to_score: Int32 | None = None
    plugins: Plugins | None = None
    plugin_config: list[PluginConfig] | None = None


class LeaderElection(_Strict):
    leader_elect: bool | None = None
    lease_duration: Duration | None = None
    renew_deadline: Duration | None = None
    retry_period: Duration | None = None
    resource_lock: str | None = None
    resource_name: str | None = None
    resource_namespace: str | None = None


class ClientConnection(_Strict):
    kubeconfig: str | None = None
    accept_content_types: str | None = None
    content_type: str | None = None
    qps: float | None = None
    burst: Int32 | None = None


class ExtenderTLSConfig(_Strict):
    insecure: bool | None = None
    server_name: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    ca_file: str | None = None
    cert_data: bytes | None = None
    key_data: bytes | None = None
    ca_data: bytes | None = None


class ExtenderManagedResource(_Strict):
    name: str | None = None
    ignored_by_scheduler: bool | None = None


class Extender(_Strict):
    url_prefix: str | None = None
    filter_verb: str | None = None
    preempt_verb: str | None = None
    prioritize_verb: str | None = None
    weight: Int64 | None = None
    bind_verb: str | None = None
    enable_https: bool | None = field(default=None, name="enableHTTPS")
    tls_config: ExtenderTLSConfig | None = None
    http_timeout: Duration | None = None
    node_cache_capable: bool | None = None
    managed_resources: list[ExtenderManagedResource] | None = None
    ignorable: bool | None = None


class KubeSchedulerConfiguration(_Strict):
    api_version: str | None = None
    kind: str | None = None
    parallelism: Int32 | None = None
    leader_election: LeaderElection | None = None
    client_connection: ClientConnection | None = None
    enable_profiling: bool | None = None
    enable_contention_profiling: bool | None = None
    percentage_of_nodes_to_score: Int32 | None = None
    pod_initial_backoff_seconds: Int64 | None = None
    pod_max_backoff_seconds: Int64 | None = None
    profiles: list[KubeSchedulerProfile] | None = None
    extenders: list[Extender] | None = None
    delay_cache_until_active: bool | None = None


class PluginArgs(_Strict):
    """What the arguments of every in-tree plugin may say of themselves."""

    api_version: str | None = None
    kind: str | None = None


class ResourceSpec(_Strict):
    name: str | None = None
    weight: Int64 | None = None


class UtilizationShapePoint(_Strict):
    utilization: Int32 | None = None
    score: Int32 | None = None


class RequestedToCapacityRatioParam(_Strict):
    shape: list[UtilizationShapePoint] | None = None


class ScoringStrategy(_Strict):
    type: str | None = None
    resources: list[ResourceSpec] | None = None
    requested_to_capacity_ratio: RequestedToCapacityRatioParam | None = None


class LabelSelectorRequirement(_Strict):
    key: str | None = None
    operator: str | None = None
    values: list[str] | None = None


class LabelSelector(_Strict):
    match_labels: dict[str, str] | None = None
    match_expressions: list[LabelSelectorRequirement] | None = None


class TopologySpreadConstraint(_Strict):
    max_skew: Int32 | None = None
    topology_key: str | None = None
    when_unsatisfiable: str | None = None
    label_selector: LabelSelector | None = None
    min_domains: Int32 | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None
    match_label_keys: list[str] | None = None


class NodeSelectorRequirement(_Strict):
    key: str | None = None
    operator: str | None = None
    values: list[str] | None = None


class NodeSelectorTerm(_Strict):
    match_expressions: list[NodeSelectorRequirement] | None = None
    match_fields: list[NodeSelectorRequirement] | None = None


class NodeSelector(_Strict):
    node_selector_terms: list[NodeSelectorTerm] | None = None


class PreferredSchedulingTerm(_Strict):
    weight: Int32 | None = None
    preference: NodeSelectorTerm | None = None


class NodeAffinity(_Strict):
    required: NodeSelector | None = field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")
    preferred: list[PreferredSchedulingTerm] | None = field(
        default=None, name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class DefaultPreemptionArgs(PluginArgs):
    min_candidate_nodes_percentage: Int32 | None = None
    min_candidate_nodes_absolute: Int32 | None = None


class InterPodAffinityArgs(PluginArgs):
    hard_pod_affinity_weight: Int32 | None = None
    ignore_preferred_terms_of_existing_pods: bool | None = None


class NodeResourcesFitArgs(PluginArgs):
    ignored_resources: list[str] | None = None
    ignored_resource_groups: list[str] | None = None
    scoring_strategy: ScoringStrategy | None = None


class NodeResourcesBalancedAllocationArgs(PluginArgs):
    resources: list[ResourceSpec] | None = None


class PodTopologySpreadArgs(PluginArgs):
    default_constraints: list[TopologySpreadConstraint] | None = None
    defaulting_type: str | None = None


class NodeAffinityArgs(PluginArgs):
    added_affinity: NodeAffinity | None = None


class VolumeBindingArgs(PluginArgs):
    bind_timeout_seconds: Int64 | None = None
    shape: list[UtilizationShapePoint] | None = None


class DynamicResourcesArgs(PluginArgs):
    filter_timeout: Duration | None = None
    binding_timeout: Duration | None = None


T = TypeVar("T")

_DURATION_REMEDY = 'a duration such as "15s" or "1m30s"'

_MESSAGE = re.compile(r"(?P<problem>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_TYPE_NAMES = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "a boolean",
    "object": "a mapping",
    "array": "a list",
    "null": "null",
}


def decode(raw: object, kind: type[T], at: str | None = None) -> T:
    """``raw`` (parsed YAML or JSON) as a ``kind``; raises InputError naming the field, prefixed by ``at``."""
    try:
        return msgspec.convert(raw, kind, dec_hook=_decode_custom)
    except msgspec.ValidationError as error:
        raise _explain(str(error), kind).at(field=at) from None


def suggestion(name: str, known: list[str]) -> str:
    """The known name that ``name`` was probably meant to be, else all of them."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.75)
    return by_folded[close[0]] if close else f"one of {', '.join(known)}"


def _decode_custom(kind: type, raw: object) -> Duration:
    assert kind is Duration, kind
    ns = duration_ns(raw) if isinstance(raw, str) else None
    if ns is None:
        raise ValueError(f"not a duration: {raw!r}")
    return Duration(ns)


def _explain(message: str, kind: type) -> InputError:
    """msgspec's message, with its ``$.path``, as an error in the words of the file's author."""
    parts = _MESSAGE.fullmatch(message)
    assert parts is not None, message
    problem, path = parts["problem"], (parts["path"] or "").removeprefix(".")
    if parts["key"]:
        return InputError("a field name is not a string", field=path or None, expected="string keys")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", problem, re.DOTALL):
        name = unknown[1]
        place = f"{path}.{name}" if path else name
        known = _field_names(kind, path)
        return InputError(f'unknown field "{name}"', field=place, expected=suggestion(name, known))
    if wrong_type := re.fullmatch(r"Expected `(.*)`, got `(.*)`", problem):
        wanted = wrong_type[1].removesuffix(" | null")
        got = _TYPE_NAMES.get(wrong_type[2], f"a {wrong_type[2]}")
        return InputError(f"is {got}", field=path or None, expected=_TYPE_NAMES.get(wanted, wanted))
    if out_of_range := re.fullmatch(r"Expected `int` (.*)", problem):
        return InputError("is out of range", field=path or None, expected=f"an integer {out_of_range[1]}")
    remedy = _DURATION_REMEDY if problem.startswith("not a duration") else None
    return InputError(problem, field=path or None, expected=remedy)


def _field_names(kind: type, path: str) -> list[str]:
    """The fields that the type at ``path`` below ``kind`` has, by their names in files."""
    current = inspect.type_info(kind)
    for name in re.findall(r"[^.\[\]]+", path):
        assert isinstance(current, inspect.StructType | inspect.ListType), path
        if isinstance(current, inspect.ListType):
            current = current.item_type
        else:
            current = next(known.type for known in current.fields if known.encode_name == name)
        if isinstance(current, inspect.UnionType):
            current = next(option for option in current.types if not isinstance(option, inspect.NoneType))
    assert isinstance(current, inspect.StructType), path
    return [known.encode_name for known in current.fields]
