"""What ``/configz`` answers: the configuration with every default in its place, as kube-scheduler shows it.

Source: cmd/kube-scheduler/app/server.go (Run), pkg/scheduler/apis/config/v1/defaults.go and default_plugins.go of
Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kcore.online.permits import go_duration
from kcore.online.settings import SECOND_NS, ProcessSettings
from kcore.scheduler import config_schema as schema
from kcore.scheduler.config_plugins import (
    DEFAULT_MULTI_POINT,
    EXTENSION_POINTS,
    MULTI_POINT,
    Enabled,
    PluginLists,
    merge,
)

Object = dict[str, Any]

PARALLELISM: Final = 16
RESOURCES: Final = ({"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1})
ARGS: Final[Mapping[str, Object]] = {
    "DefaultPreemption": {"minCandidateNodesPercentage": 10, "minCandidateNodesAbsolute": 100},
    "DynamicResources": {"filterTimeout": "10s", "bindingTimeout": "10m0s"},
    "InterPodAffinity": {"hardPodAffinityWeight": 1, "ignorePreferredTermsOfExistingPods": False},
    "NodeAffinity": {},
    "NodeResourcesBalancedAllocation": {"resources": [*RESOURCES]},
    "NodeResourcesFit": {"scoringStrategy": {"type": "LeastAllocated", "resources": [*RESOURCES]}},
    "PodTopologySpread": {"defaultingType": "System"},
    "VolumeBinding": {"bindTimeoutSeconds": 600},
}
"""The arguments of plugins that have some, as they are where the file does not say."""


def shown(document: Mapping[str, Any] | None, process: ProcessSettings) -> Object:
    """The document, which ``load_configuration`` has checked (None: nothing was said), with its defaults.

    ``process`` is what file and flags together say. Keys are not shown.
    """
    given: Mapping[str, Any] = document or {}
    connection = given.get("clientConnection") or {}
    election = process.election
    profiling = given.get("enableProfiling") is not False
    contention = given.get("enableContentionProfiling")
    made: Object = {
        "kind": schema.KIND, "apiVersion": schema.API_VERSION,
        "parallelism": given.get("parallelism") or PARALLELISM,
        "leaderElection": {
            "leaderElect": election.is_on, "leaseDuration": _seconds(election.lease_seconds),
            "renewDeadline": _seconds(election.renew_deadline_seconds), "retryPeriod": _seconds(election.retry_seconds),
            "resourceLock": "leases", "resourceName": election.name, "resourceNamespace": election.namespace,
        },
        "clientConnection": {
            "kubeconfig": process.kubeconfig, "acceptContentTypes": connection.get("acceptContentTypes") or "",
            "contentType": connection.get("contentType") or "application/vnd.kubernetes.protobuf",
            "qps": process.qps, "burst": process.burst,
        },
        "enableProfiling": profiling, "enableContentionProfiling": profiling if contention is None else contention,
        "percentageOfNodesToScore": given.get("percentageOfNodesToScore") or 0,
        "podInitialBackoffSeconds": process.initial_backoff_seconds,
        "podMaxBackoffSeconds": process.max_backoff_seconds,
        "profiles": [_profile(one) for one in given.get("profiles") or [{}]],
    }  # fmt: skip
    if given.get("extenders"):
        made["extenders"] = [_extender(one) for one in given["extenders"]]
    return made


def _seconds(seconds: float) -> str:
    return go_duration(round(seconds * SECOND_NS))


def _profile(given: Mapping[str, Any]) -> Object:
    sets = given.get("plugins") or {}
    plugins = {
        point: _set(
            merge(DEFAULT_MULTI_POINT if point == MULTI_POINT else PluginLists(), _lists(sets.get(point)))
        )
        for point in (*EXTENSION_POINTS, MULTI_POINT)
    }
    made: Object = {"schedulerName": given.get("schedulerName") or "default-scheduler"}
    if given.get("percentageOfNodesToScore") is not None:
        made["percentageOfNodesToScore"] = given["percentageOfNodesToScore"]
    return {**made, "plugins": plugins, "pluginConfig": _arguments(given.get("pluginConfig") or (), plugins)}


def _lists(given: Mapping[str, Any] | None) -> PluginLists:
    found = given or {}
    return PluginLists(
        tuple(Enabled(one["name"], one.get("weight") or 0) for one in found.get("enabled") or ()),
        tuple(one["name"] for one in found.get("disabled") or ()),
    )


def _set(lists: PluginLists) -> Object:
    made: Object = {}
    if lists.enabled:
        made["enabled"] = [{"name": one.name, "weight": one.weight} for one in lists.enabled]
    if lists.disabled:
        made["disabled"] = [{"name": name, "weight": 0} for name in lists.disabled]
    return made


def _arguments(given: Sequence[Mapping[str, Any]], plugins: Mapping[str, Object]) -> list[Object]:
    """Those of the plugins that are enabled, by name, with their defaults."""
    entries = {entry["name"]: dict(entry.get("args") or {}) for entry in given}
    enabled = {plugin["name"] for one in plugins.values() for plugin in one.get("enabled") or ()}
    found = {name: entries.get(name, {}) for name in enabled if name in ARGS or name in entries}
    made = []
    for name, args in sorted(found.items()):
        if name not in ARGS:
            made.append({"name": name, "args": args})
            continue
        kind = {"kind": f"{name}Args", "apiVersion": schema.API_VERSION}
        made.append({"name": name, "args": {**kind, **_completed(name, args), **kind}})
    return made


def _completed(name: str, args: Object) -> Object:
    """The arguments with their defaults; a resource without a weight weighs 1."""
    made = {**ARGS[name], **{key: value for key, value in args.items() if value is not None}}
    if name == "NodeResourcesFit":
        strategy = {"type": "LeastAllocated", **made["scoringStrategy"]}
        made["scoringStrategy"] = {**strategy, "resources": _weighed(strategy.get("resources") or RESOURCES)}
    elif name == "NodeResourcesBalancedAllocation":
        made["resources"] = _weighed(made["resources"] or RESOURCES)
    return made


def _weighed(resources: Sequence[Mapping[str, Any]]) -> list[Object]:
    return [{"name": one["name"], "weight": one.get("weight") or 1} for one in resources]


def _extender(given: Mapping[str, Any]) -> Object:
    made = {key: value for key, value in given.items() if value}
    timeout = schema.decode({"extenders": [dict(given)]}, schema.KubeSchedulerConfiguration).extenders
    assert timeout is not None
    made["httpTimeout"] = go_duration(timeout[0].http_timeout.ns) if timeout[0].http_timeout else "5s"
    if "tlsConfig" in made:
        made["tlsConfig"] = {
            key: value for key, value in made["tlsConfig"].items() if key != "keyData" and value
        }
    return made
