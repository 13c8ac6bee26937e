"""Users' classes in the scheduler online: one object for each profile that names the class, and what the queue asks of it.

Source: pkg/scheduler/framework/runtime/framework.go (NewFramework), backend/queue (runPreEnqueuePlugins) of Kubernetes
1.36.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from kcore.api.errors import InputError
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import SharedInformers
from kcore.clock import Clock
from kcore.online.events import BY_NAME, GATES, Event
from kcore.online.permits import WaitingPods
from kcore.online.queue import gate_of, rank_of
from kcore.scheduler.plugins.contract import find_class, made
from kcore.scheduler.plugins.lifecycle import Reject
from kcore.scheduler.profile import Profile, SchedulerConfiguration

DEFAULT_NAME: Final = "default-scheduler"

Object = dict[str, Any]

log: Final = logging.getLogger("kcore.scheduler")


class Handle:
    """What a plugin has of the scheduler: pods that wait for permits, the cluster as watches show it, and a client."""

    def __init__(
        self, client: AsyncClient, informers: SharedInformers, clock: Clock, waiting_pods: WaitingPods,
        activate: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self.client = client
        self.informers = informers
        self.clock = clock
        self.waiting_pods = waiting_pods
        self._activate = activate

    def activate(self, pod: Object) -> bool:
        """The pod is tried now, whatever it waits for; False where it does not wait."""
        return self._activate(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}")


class OwnPlugins:
    """The objects of all profiles, by profile and name."""

    def __init__(self, configuration: SchedulerConfiguration, handle: Handle) -> None:
        self.registered: dict[str, Event] = {}
        self._by_profile = {
            profile.scheduler_name: self._of(profile, handle) for profile in configuration.profiles
        }
        self._gates = {profile.scheduler_name: self._gating(profile) for profile in configuration.profiles}
        first = configuration.profiles[0]
        self._sorts = self._by_profile[first.scheduler_name].get(first.queue_sort)

    def of(self, profile: Profile) -> Mapping[str, Any]:
        """Those of one profile."""
        return self._by_profile[profile.scheduler_name]

    def _of(self, profile: Profile, handle: Handle) -> dict[str, Any]:
        names = (
            profile.queue_sort, *profile.pre_enqueue, *profile.reserves, *profile.permits, *profile.pre_binds,
            *profile.post_binds,
        )  # fmt: skip
        found: dict[str, Any] = {}
        for name in names:
            declared = find_class(name) if name not in found else None
            if declared is None:
                continue
            found[name] = made(declared, handle, profile.plugin_args.get(name))
            if declared.events:
                self.registered[name] = _events(name, declared.events)
        return found

    # -- what the queue asks ----------------------------------------------------------------------------------------
    def _gating(self, profile: Profile) -> tuple[bool, tuple[Any, ...]]:
        own = self._by_profile[profile.scheduler_name]
        gates = tuple(own[name] for name in profile.pre_enqueue if hasattr(own.get(name), "pre_enqueue"))
        return GATES in profile.pre_enqueue, gates

    def gate(self, pod: Object) -> str:
        """The plugin at preEnqueue that keeps the pod out of the queue; one that fails keeps it out, too."""
        by_gates, plugins = self._gates[pod["spec"].get("schedulerName", DEFAULT_NAME)]
        if by_gates and (found := gate_of(pod)):
            return found
        for plugin in plugins:
            try:
                answer = plugin.pre_enqueue(pod)
                if answer is not None and not isinstance(answer, Reject):
                    if inspect.iscoroutine(answer):
                        answer.close()
                    raise TypeError(f"answered {answer!r} (expected None or Reject)")
            except (Exception, SystemExit):
                log.exception("plugin %s failed at PreEnqueue for %s", plugin.name, pod["metadata"]["name"])
                return str(plugin.name)
            if answer is not None:
                return str(plugin.name)
        return ""

    @property
    def rank(self) -> Callable[[Object], float]:
        """The order in which pods are tried: the plugin's at queueSort, or PrioritySort's."""
        return rank_of if self._sorts is None else self._ranked

    def _ranked(self, pod: Object) -> float:
        """What the plugin says; pods for which it fails come last."""
        try:
            rank = float(self._sorts.sort_key(pod))  # type: ignore[union-attr]
            if math.isnan(rank):
                raise ValueError("answered NaN (expected a number)")
        except (Exception, SystemExit):
            log.exception("plugin %s failed at QueueSort for %s", self._sorts.name, pod["metadata"]["name"])  # type: ignore[union-attr]
            return math.inf
        return rank


def _events(name: str, given: tuple[str, ...]) -> Event:
    found = Event.NONE
    for one in given:
        if one not in BY_NAME:
            raise InputError(
                f'waits for "{one}"', field=f"plugin {name}", expected=f"one of {', '.join(BY_NAME)}"
            )
        found |= BY_NAME[one]
    return found
