"""A KubeSchedulerConfiguration, read as kube-scheduler reads it: strictly, then defaulted, validated and expanded.

Parsed YAML or JSON comes in from the sources; a SchedulerConfiguration goes to the engine. Sibling files hold the
file's types (``config_schema``), the plugins and their order (``config_plugins``), their arguments (``config_args``).
Source: pkg/scheduler/apis/config/v1/defaults.go and validation/validation.go of Kubernetes 1.36.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kcore.api.errors import InputError, NotSupportedError
from kcore.scheduler import config_schema as schema
from kcore.scheduler.config_args import read_args
from kcore.scheduler.config_extenders import read_extenders
from kcore.scheduler.config_plugins import (
    ALL,
    DEFAULT_MULTI_POINT,
    EXTENSION_POINTS,
    IN_TREE,
    MULTI_POINT,
    REMOVED,
    Enabled,
    PluginLists,
    Registry,
    expand,
    merge,
    score_weights,
)
from kcore.scheduler.profile import Profile, SchedulerConfiguration

DEFAULT_SCHEDULER_NAME = "default-scheduler"
THIRD_PARTY_POINTS = (
    "filter",
    "score",
    "preEnqueue",
    "queueSort",
    "reserve",
    "permit",
    "preBind",
    "postBind",
)

_SECOND_NS = 10**9
_LEASE_DURATION_NS = 15 * _SECOND_NS
_RENEW_DEADLINE_NS = 10 * _SECOND_NS
_RETRY_PERIOD_NS = 2 * _SECOND_NS
_POD_INITIAL_BACKOFF_SECONDS = 1
_POD_MAX_BACKOFF_SECONDS = 10


def default_configuration() -> SchedulerConfiguration:
    """One profile, default-scheduler, with the default plugins of Kubernetes 1.36 and its default feature gates."""
    return load_configuration(None)


def load_configuration(
    document: Mapping[str, Any] | None,
    *,
    third_party: Mapping[str, frozenset[str]] = {},
    takes_extenders: bool = False,
) -> SchedulerConfiguration:
    """What ``document``, a parsed kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration, says; None: the defaults.

    ``third_party`` names the plugins that are not Kubernetes' own, with the extension points they implement. Raises InputError naming the first wrong field by its full path, NotSupportedError for
    extenders unless the caller ``takes_extenders``.
    """
    registry = _registry(third_party)
    if document is None:
        document = {"apiVersion": schema.API_VERSION, "kind": schema.KIND}
    _check_type(document)
    configuration = schema.decode(document, schema.KubeSchedulerConfiguration)
    _check_process_settings(configuration)
    if configuration.extenders and not takes_extenders:
        raise NotSupportedError("extenders: extenders are not supported yet (expected no entries)")
    specs = configuration.profiles or [schema.KubeSchedulerProfile()]
    lists = [
        _plugin_lists(spec.plugins, f"profiles[{index}].plugins", registry)
        for index, spec in enumerate(specs)
    ]
    names = _scheduler_names(specs)
    profiles = tuple(
        _profile(f"profiles[{index}]", names[index], specs[index], lists[index], registry)
        for index in range(len(specs))
    )
    _check_common_queue_sort(specs, lists)
    extenders = read_extenders(configuration.extenders or [])
    return SchedulerConfiguration(profiles, configuration.percentage_of_nodes_to_score, extenders)


def _registry(third_party: Mapping[str, frozenset[str]]) -> Registry:
    for name, points in third_party.items():
        if name in IN_TREE or name == ALL or not name:
            raise InputError(
                f'a plugin cannot be called "{name}"', expected="a name that Kubernetes does not use"
            )
        if not points or not points <= {*THIRD_PARTY_POINTS}:
            what = ", ".join(sorted(points)) or "nothing"
            raise InputError(
                f'plugin "{name}" implements {what}', expected=f"some of {', '.join(THIRD_PARTY_POINTS)}"
            )
    return {**IN_TREE, **third_party}


def _check_type(document: object) -> None:
    """Raises unless the document says that it is a v1 KubeSchedulerConfiguration."""
    if not isinstance(document, Mapping):
        raise InputError(f"a {schema.KIND} is not a mapping", expected="apiVersion, kind, profiles and so on")
    version, kind = document.get("apiVersion"), document.get("kind")
    if version != schema.API_VERSION:
        problem = f'is "{version}"' if version else "is missing"
        if re.fullmatch(rf"{re.escape(schema.API_GROUP)}/v1(alpha|beta)[0-9]+", str(version)):
            problem += ", which Kubernetes no longer serves"
        raise InputError(problem, field="apiVersion", expected=schema.API_VERSION)
    if kind != schema.KIND:
        raise InputError(f'is "{kind}"' if kind else "is missing", field="kind", expected=schema.KIND)


def _require(holds: bool, problem: str, field: str, expected: str) -> None:
    if not holds:
        raise InputError(problem, field=field, expected=expected)


def _check_percentage(percentage: int | None, field: str) -> None:
    valid = percentage is None or 0 <= percentage <= 100
    _require(valid, f"is {percentage}", field, "an integer from 0 to 100")


def _check_process_settings(configuration: schema.KubeSchedulerConfiguration) -> None:
    """Validate what concerns the process rather than a decision; an offline run has no use for it."""
    parallelism = configuration.parallelism
    _require(parallelism is None or parallelism > 0, f"is {parallelism}", "parallelism", "an integer above 0")
    client = configuration.client_connection
    if client is not None and (client.burst or 0) < 0:
        raise InputError(f"is {client.burst}", field="clientConnection.burst", expected="0 or more")
    if configuration.leader_election is not None:
        _check_leader_election(configuration.leader_election)
    _check_percentage(configuration.percentage_of_nodes_to_score, "percentageOfNodesToScore")
    initial, longest = configuration.pod_initial_backoff_seconds, configuration.pod_max_backoff_seconds
    initial = _POD_INITIAL_BACKOFF_SECONDS if initial is None else initial
    longest = _POD_MAX_BACKOFF_SECONDS if longest is None else longest
    _require(initial > 0, f"is {initial}", "podInitialBackoffSeconds", "an integer above 0")
    _require(
        longest >= initial,
        f"is {longest}",
        "podMaxBackoffSeconds",
        f"at least podInitialBackoffSeconds, {initial}",
    )


def _check_leader_election(election: schema.LeaderElection) -> None:
    if election.leader_elect is False:
        return

    def nanoseconds(duration: schema.Duration | None, default: int) -> int:
        return (duration.ns if duration else 0) or default

    lease = nanoseconds(election.lease_duration, _LEASE_DURATION_NS)
    renew = nanoseconds(election.renew_deadline, _RENEW_DEADLINE_NS)
    retry = nanoseconds(election.retry_period, _RETRY_PERIOD_NS)
    for value, name in ((lease, "leaseDuration"), (renew, "renewDeadline"), (retry, "retryPeriod")):
        _require(value > 0, "is negative", f"leaderElection.{name}", "a duration above 0s")
    _require(
        lease > renew,
        f"is {lease / _SECOND_NS:g}s",
        "leaderElection.leaseDuration",
        f"more than renewDeadline, {renew / _SECOND_NS:g}s",
    )
    lock = election.resource_lock or "leases"
    _require(lock == "leases", f'is "{lock}"', "leaderElection.resourceLock", "leases")


def _scheduler_names(specs: Sequence[schema.KubeSchedulerProfile]) -> list[str]:
    """The profiles' names; only a profile that is alone may leave it out."""
    if len(specs) == 1 and specs[0].scheduler_name is None:
        return [DEFAULT_SCHEDULER_NAME]
    names: list[str] = []
    for index, spec in enumerate(specs):
        name, field = spec.scheduler_name or "", f"profiles[{index}].schedulerName"
        _require(bool(name), "is missing or empty", field, "a name of its own for each profile")
        if name in names:
            first = f"profiles[{names.index(name)}]"
            raise InputError(
                f'"{name}" is the name of {first} too', field=field, expected="a name of its own"
            )
        names.append(name)
    return names


def _plugin_lists(plugins: schema.Plugins | None, field: str, registry: Registry) -> dict[str, PluginLists]:
    """The profile's plugin sets by extension point and multiPoint, checked; every point has an entry."""
    sets: dict[str, schema.PluginSet | None] = {}
    if plugins is not None:
        sets = {
            name: getattr(plugins, attribute)
            for attribute, name in zip(
                plugins.__struct_fields__, plugins.__struct_encode_fields__, strict=True
            )
        }
    return {
        point: _checked_lists(point, sets.get(point) or schema.PluginSet(), f"{field}.{point}", registry)
        for point in (*EXTENSION_POINTS, MULTI_POINT)
    }


def _checked_lists(point: str, plugins: schema.PluginSet, field: str, registry: Registry) -> PluginLists:
    enabled: list[Enabled] = []
    for index, plugin in enumerate(plugins.enabled or ()):
        name, place = plugin.name or "", f"{field}.enabled[{index}].name"
        _check_known(name, place, registry, point)
        if point not in (*registry[name], MULTI_POINT):
            points = ", ".join(other for other in EXTENSION_POINTS if other in registry[name])
            raise InputError(
                f'plugin "{name}" does not implement {point}', field=place, expected=f"{name} at {points}"
            )
        if any(name == earlier.name for earlier in enabled):
            raise InputError(f'plugin "{name}" is enabled twice', field=place, expected="each plugin once")
        enabled.append(Enabled(name, plugin.weight or 0))
    disabled: list[str] = []
    for index, plugin in enumerate(plugins.disabled or ()):
        name = plugin.name or ""
        if name != ALL and name not in REMOVED:  # files that outlived a plugin still switch it off
            _check_known(name, f"{field}.disabled[{index}].name", registry)
        disabled.append(name)
    return PluginLists(tuple(enabled), tuple(disabled))


def _check_known(name: str, field: str, registry: Registry, point: str = MULTI_POINT) -> None:
    """Raises unless there is such a plugin; suggests one for the point."""
    if name in registry:
        return
    if name in REMOVED:
        raise InputError(f'plugin "{name}" was removed from Kubernetes', field=field, expected=REMOVED[name])
    known = [plugin for plugin, points in registry.items() if point == MULTI_POINT or point in points]
    problem = f'there is no plugin "{name}"' if name else "is missing or empty"
    raise InputError(
        problem, field=field, expected=schema.suggestion(name, known) if known else "no plugin here"
    )


def _profile(
    field: str,
    scheduler_name: str,
    spec: schema.KubeSchedulerProfile,
    lists: Mapping[str, PluginLists],
    registry: Registry,
) -> Profile:
    _check_percentage(spec.percentage_of_nodes_to_score, f"{field}.percentageOfNodesToScore")
    arguments = _plugin_arguments(spec.plugin_config or (), f"{field}.pluginConfig", registry)
    multi_point = merge(DEFAULT_MULTI_POINT, lists[MULTI_POINT])
    running = {point: expand(point, lists[point], multi_point, registry) for point in EXTENSION_POINTS}
    for point, usual in (("queueSort", "PrioritySort"), ("bind", "DefaultBinder")):
        _require(
            bool(running[point]), "no plugin is enabled", f"{field}.plugins.{point}", f"one, such as {usual}"
        )
    _require(
        len(running["queueSort"]) == 1,
        f"has {' and '.join(running['queueSort'])}", f"{field}.plugins.queueSort", "one plugin that sorts the queue",
    )  # fmt: skip
    return Profile(
        scheduler_name=scheduler_name,
        pre_filters=running["preFilter"],
        filters=running["filter"],
        post_filters=running["postFilter"],
        pre_scores=running["preScore"],
        scores=running["score"],
        weights=score_weights(running["score"], lists["score"], multi_point),
        pre_enqueue=running["preEnqueue"],
        queue_sort=running["queueSort"][0],
        reserves=running["reserve"],
        permits=running["permit"],
        pre_binds=running["preBind"],
        post_binds=running["postBind"],
        percentage_of_nodes_to_score=spec.percentage_of_nodes_to_score,
        **arguments,
    )


def _plugin_arguments(
    entries: Sequence[schema.PluginConfig], field: str, registry: Registry
) -> dict[str, Any]:
    """The Profile fields that pluginConfig sets."""
    arguments: dict[str, Any] = {"plugin_args": {}}
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        place, name = f"{field}[{index}]", entry.name or ""
        _check_known(name, f"{place}.name", registry)
        _require(name not in seen, f'"{name}" is configured twice', f"{place}.name", "each plugin once")
        seen.add(name)
        if name not in IN_TREE:
            if entry.args is not None:
                arguments["plugin_args"][name] = entry.args
            continue
        try:
            target, value = read_args(name, entry.args)
        except InputError as error:
            raise error.at(field=place) from None
        if target is not None:
            arguments[target] = value
    return arguments


def _check_common_queue_sort(
    specs: Sequence[schema.KubeSchedulerProfile], lists: Sequence[Mapping[str, PluginLists]]
) -> None:
    """Raises unless all profiles sort the one queue alike, in their lists and in the sort plugin's arguments."""

    def arguments(spec: schema.KubeSchedulerProfile) -> Any:
        return next((entry.args for entry in spec.plugin_config or () if entry.name == "PrioritySort"), None)

    for index in range(1, len(specs)):
        same_lists = lists[index]["queueSort"] == lists[0]["queueSort"]
        _require(
            same_lists,
            "differs from profiles[0]",
            f"profiles[{index}].plugins.queueSort",
            "the same for all profiles",
        )
        same_arguments = arguments(specs[index]) == arguments(specs[0])
        _require(
            same_arguments,
            "PrioritySort's args differ from profiles[0]",
            f"profiles[{index}].pluginConfig",
            "the same for all profiles",
        )
