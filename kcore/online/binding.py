"""The way of a pod to the node that was chosen for it: reserve, permit, pre-bind, bind, post-bind, and back where one fails.

A plugin is any object with a ``name`` and some of these methods, each called with the pod and the name of its node, each
plain or async:

``reserve``, ``permit``
    in the scheduling cycle, before the next pod is looked at; ``permit`` may answer :class:`Wait`;
``pre_bind``
    beside the scheduling of others, before the binding is written; it may take its time;
``post_bind``
    once the binding is written;
``unreserve``
    whatever has gone wrong from ``reserve`` on, in reverse order; also where ``reserve`` itself was not reached.

They answer None (go on) or :class:`Reject`; what they raise is an error, the pod is tried again. ``concerns(pod)``, where
there is such a method, says whether the plugin has any part in the binding of that pod: others cost nothing. A plugin with
``is_parallel`` true runs its ``pre_bind`` beside those of its neighbours in the list that are so, too.

Source: pkg/scheduler/schedule_one.go (prepareForBindingCycle, bindingCycle), framework/runtime/framework.go and
pods_in_prebind_map.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from kcore.api.status import ApiError
from kcore.clock import Clock, within
from kcore.online.metrics import Metrics
from kcore.online.permits import WaitingPods
from kcore.scheduler import reasons
from kcore.scheduler.plugins.lifecycle import Reject, Wait
from kcore.scheduler.profile import Profile

ANSWER_SECONDS_MAX: Final = (
    60.0  # that an async reserve or permit may take: no other pod is scheduled meanwhile
)

Object = dict[str, Any]
Nominate = Callable[[Object, str], Awaitable[None]]

log: Final = logging.getLogger("kcore.scheduler")


class NotBound(Exception):
    """The pod does not get to its node. ``plugin``: who rejected it, so that it waits for that one's events."""

    def __init__(self, message: str, plugin: str = "", *, is_rejected: bool = False) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.is_rejected = is_rejected


def rejected(plugin: str, reason: str) -> NotBound:
    """A rejection in the words of a FitError: the one node that was chosen does not do."""
    return NotBound(reasons.sentence(1, {reason: 1}), plugin, is_rejected=True)


class Named(Protocol):
    """A plugin; see the module for what it may have besides."""

    @property
    def name(self) -> str:
        """As profiles name it."""


class BindingPlugins:
    """The plugins of one profile that have a part in binding, in the profile's order."""

    def __init__(self, profile: Profile, plugins: Mapping[str, Named]) -> None:
        def those(names: Iterable[str], *points: str) -> tuple[Named, ...]:
            found = (plugins[name] for name in names if name in plugins)
            return tuple(one for one in found if any(hasattr(one, point) for point in points))

        self.profile = profile.scheduler_name
        self.reserve = those(profile.reserves, "reserve", "unreserve")
        self.permit = those(profile.permits, "permit")
        self.pre_bind = those(profile.pre_binds, "pre_bind")
        self.post_bind = those(profile.post_binds, "post_bind")
        self._any = tuple({id(one): one for one in (*self.reserve, *self.permit, *self.pre_bind, *self.post_bind)}.values())  # fmt: skip
        self._first = tuple(one for one in self.reserve if hasattr(one, "reserve")) + self.permit

    def __bool__(self) -> bool:
        return bool(self._any)

    @property
    def decides(self) -> bool:
        """Whether one of them may be asked before the next pod may be looked at."""
        return bool(self._first)

    def concern(self, pod: Object) -> bool:
        """Whether one of them has a part in the binding of the pod."""
        return any(concerns(one, pod) for one in self._any)

    def decide(self, pod: Object) -> bool:
        """Whether one of them is asked before the next pod may be looked at."""
        return any(concerns(one, pod) for one in self._first)


def concerns(plugin: Named, pod: Object) -> bool:
    """Whether the plugin has a part in the binding of the pod; one that fails to say is asked later, where that counts."""
    asked = getattr(plugin, "concerns", None)
    if asked is None:
        return True
    try:
        return bool(asked(pod))
    except (Exception, SystemExit):
        log.exception(
            "plugin %s does not say whether it concerns %s", plugin.name, pod["metadata"].get("name")
        )
        return True


class BindingCycle:
    """One pod on its way. ``enter`` is the scheduling cycle's part, ``prepare`` what stands before the binding."""

    def __init__(
        self, plugins: BindingPlugins, pod: Object, node: str, waiting: WaitingPods, clock: Clock, nominate: Nominate,
        metrics: Metrics,
    ) -> None:  # fmt: skip
        self.pod = pod
        self.node = node
        self.is_nominated = False
        self._plugins = plugins
        self._waiting = waiting
        self._clock = clock
        self._nominate = nominate
        self._metrics = metrics
        self._is_sampled = metrics.samples()
        self._pre_binding: asyncio.Task[None] | None = None
        self._is_prebound = False
        self._preempted = ""

    @contextlib.contextmanager
    def _timed(self, point: str) -> Iterator[None]:
        """How long all plugins of a point take is noted, and how that ends."""
        started_s, status = self._clock.monotonic_s(), "Success"
        try:
            yield
        except NotBound as error:
            status = "Unschedulable" if error.is_rejected else "Error"
            raise
        finally:
            took_s = self._clock.monotonic_s() - started_s
            self._metrics.ran(point, self._plugins.profile, status, took_s)

    def _concerned(self, plugins: Iterable[Named]) -> list[Named]:
        return [one for one in plugins if concerns(one, self.pod)]

    # -- the scheduling cycle ---------------------------------------------------------------------------------------
    async def enter(self) -> None:
        """Everything is reserved, and permits are given or waited for. NotBound where not; nothing is reserved then."""
        try:
            with self._timed("Reserve"):
                for plugin in self._concerned(self._plugins.reserve):
                    answer = await self._answer(plugin, "reserve", "Reserve", ANSWER_SECONDS_MAX)
                    if isinstance(answer, Reject):
                        raise rejected(plugin.name, answer.reason)
            with self._timed("Permit"):
                await self._permit()
        except NotBound:
            await self.unreserve()
            raise

    async def _permit(self) -> None:
        waits_s: dict[str, float] = {}
        for plugin in self._concerned(self._plugins.permit):
            answer = await self._answer(plugin, "permit", "Permit", ANSWER_SECONDS_MAX)
            if isinstance(answer, Reject):
                raise rejected(plugin.name, answer.reason)
            if isinstance(answer, Wait):
                waits_s[plugin.name] = answer.seconds
        if waits_s:
            self._waiting.add(self.pod, self.node, waits_s)

    async def unreserve(self) -> None:
        """What was reserved is free again."""
        with self._timed("Unreserve"):
            await self._told(reversed(self._concerned(self._plugins.reserve)), "unreserve", "Unreserve")

    async def _told(self, plugins: Iterable[Named], method: str, point: str) -> None:
        """They have heard of it; what they answer changes nothing."""
        for plugin in plugins:
            try:
                await self._answer(plugin, method, point, None)
            except NotBound as error:
                log.error("%s", error)

    # -- the binding cycle ------------------------------------------------------------------------------------------
    async def prepare(self, permitted: Callable[[], None]) -> None:
        """The pod may be bound: it has its permits (as is told), and all that must be so before is so. NotBound where not."""
        uid = self.pod["metadata"]["uid"]
        waiting = self._waiting.get(uid)
        pre_bind = self._concerned(self._plugins.pre_bind)
        if waiting is not None or pre_bind:
            # Others see where it is about to go: an autoscaler keeps the node.
            self.is_nominated = True
            await self._nominate(self.pod, self.node)
        if waiting is not None:
            started_s = self._clock.monotonic_s()
            try:
                outcome = await waiting.ended
            finally:
                self._waiting.remove(uid)
            result = "Success" if outcome.is_allowed else "Error" if outcome.is_preempted else "Unschedulable"
            self._metrics.observe(
                "permit_wait_duration_seconds", self._clock.monotonic_s() - started_s, result
            )
            if outcome.is_preempted:
                raise NotBound(f"waiting on permit for pod: {outcome.message}")
            if not outcome.is_allowed:
                raise rejected(outcome.plugin, outcome.message)
        permitted()
        if pre_bind:
            with self._timed("PreBind"):
                await self._pre_bind(pre_bind)

    async def _pre_bind(self, plugins: Sequence[Named]) -> None:
        self._pre_binding = asyncio.get_running_loop().create_task(self._run_pre_bind(plugins))
        try:
            await self._pre_binding
        except asyncio.CancelledError:
            if not self._preempted:
                self._pre_binding.cancel()
                raise
            raise NotBound(self._preempted) from None
        if self._preempted:
            raise NotBound(self._preempted)
        self._is_prebound = True

    async def _run_pre_bind(self, plugins: Sequence[Named]) -> None:
        beside: list[Named] = []
        for plugin in plugins:
            if getattr(plugin, "is_parallel", False):
                beside.append(plugin)
                continue
            await self._all(beside)
            beside = []
            await self._pre_bind_one(plugin)
        await self._all(beside)

    async def _all(self, plugins: Sequence[Named]) -> None:
        """All at once; the first that fails ends the others."""
        tasks = [asyncio.ensure_future(self._pre_bind_one(plugin)) for plugin in plugins]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _pre_bind_one(self, plugin: Named) -> None:
        try:
            answer = await self._answer(plugin, "pre_bind", "PreBind", None)
        except asyncio.CancelledError:
            if self._preempted:
                raise NotBound(f'running PreBind plugin "{plugin.name}": {self._preempted}') from None
            raise
        if isinstance(answer, Reject):
            raise NotBound(answer.reason, is_rejected=True)

    def preempt(self, plugin: str) -> bool:
        """The pod makes room before it has been bound, and is tried again; False where it is too late for that."""
        waiting = self._waiting.get(self.pod["metadata"]["uid"])
        if waiting is not None:
            return waiting.preempt(plugin, "preempted")
        if self._pre_binding is None or self._is_prebound or self._pre_binding.done():
            return False
        if not self._preempted:
            self._preempted = f"preempted by {plugin}"
            self._pre_binding.cancel()
        return True

    async def post_bind(self) -> None:
        """Plugins have heard that the pod is bound."""
        with self._timed("PostBind"):
            await self._told(self._concerned(self._plugins.post_bind), "post_bind", "PostBind")

    # -- one plugin -------------------------------------------------------------------------------------------------
    async def _answer(
        self, plugin: Named, method: str, point: str, seconds_max: float | None
    ) -> Reject | Wait | None:
        """What the plugin answers. NotBound, in upstream's words, where it raises or answers something else."""
        if not hasattr(plugin, method):
            return None
        if not self._is_sampled:
            return await self._asked(plugin, method, point, seconds_max)
        started_s, status = self._clock.monotonic_s(), "Error"
        try:
            answer = await self._asked(plugin, method, point, seconds_max)
            status = "Success" if answer is None else "Wait" if isinstance(answer, Wait) else "Unschedulable"
        finally:
            took_s = self._clock.monotonic_s() - started_s
            self._metrics.observe("plugin_execution_duration_seconds", took_s, point, plugin.name, status)
        return answer

    async def _asked(
        self, plugin: Named, method: str, point: str, seconds_max: float | None
    ) -> Reject | Wait | None:
        asked = getattr(plugin, method)
        try:
            answer = asked(self.pod, self.node)
            if inspect.isawaitable(answer):
                answer = await (
                    answer if seconds_max is None else within(self._clock, seconds_max, _whole(answer))
                )
        except NotBound:
            raise
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise self._failed(plugin, point, "cancelled") from None
        except TimeoutError as error:
            raise self._failed(plugin, point, str(error) or "context deadline exceeded") from None
        except (Exception, SystemExit) as error:
            if not isinstance(error, ApiError | OSError):
                log.exception("plugin %s failed at %s", plugin.name, point)
            raise self._failed(plugin, point, str(error) or type(error).__name__) from error
        if answer is None or isinstance(answer, Reject) or (method == "permit" and _is_wait(answer)):
            return answer  # type: ignore[no-any-return]
        expected = "None, Wait or Reject" if method == "permit" else "None or Reject"
        raise self._failed(plugin, point, f"answered {answer!r} (expected {expected})")

    def _failed(self, plugin: Named, point: str, text: str) -> NotBound:
        return NotBound(f'running {point} plugin "{plugin.name}": {text}')


def _is_wait(answer: Any) -> bool:
    return isinstance(answer, Wait) and isinstance(answer.seconds, int | float) and answer.seconds >= 0


async def _whole(answer: Awaitable[Any]) -> Any:
    return await answer
