"""Runs controllers: watches, queues, writes, tries again. All their I/O is here."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from kcore.api import status
from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.informer import SharedInformers, sparing
from kcore.client.queue import Observer, ShutDown, WorkQueue
from kcore.client.recorder import EventRecorder
from kcore.client.store import Change, key_of
from kcore.clock import REAL, Clock, SteadyTime
from kcore.controllers.contract import (
    Action,
    Controller,
    Create,
    Delete,
    DeleteAll,
    Discover,
    Failed,
    FollowsAll,
    Key,
    Later,
    Object,
    Outcome,
    Patch,
    Read,
    ReadAll,
    Steps,
    Tell,
    Update,
    Wake,
)
from kcore.controllers.everything import Everything, served
from kcore.controllers.seen import Sights, Write, version_of
from kcore.controllers.view import InformerView

log: Final = logging.getLogger("kcore.controllers")


class Driver:
    """One process' controllers over one set of informers, from ``start`` to ``stop``.

    ``observe``: who counts what happens to the keys of a controller by that name; ``workers``: how many of them are
    worked on at once, where that is not to be the controller's own number.
    """

    def __init__(
        self,
        client: AsyncClient,
        controllers: Sequence[Controller],
        *,
        informers: SharedInformers | None = None,
        recorder: Callable[[str], EventRecorder] | None = None,
        clock: Clock = REAL,
        observe: Callable[[str], Observer | None] = lambda name: None,
        workers: Mapping[str, int] | None = None,
    ) -> None:
        self._informers = informers if informers is not None else sparing(client, clock)
        self._owns_informers = informers is None
        self._clock = clock
        self._time = SteadyTime(clock)
        self._client = client
        self.workers = workers or {}
        self.view = InformerView(self._informers)
        self._sights = Sights(clock)
        make = (
            recorder
            if recorder is not None
            else lambda component: EventRecorder(client, component, clock=clock)
        )
        self._everything = Everything(client, self.view, self._clock)
        self._recorders = {
            component: make(component) for component in {each.component for each in controllers}
        }
        self._loops = [
            Loop(self, controller, self._recorders[controller.component], observe(controller.name))
            for controller in controllers
        ]

    @property
    def loops(self) -> Sequence[Loop]:
        """Each controller's."""
        return self._loops

    async def start(self) -> None:
        """Every controller works, once all that they watch has been listed."""
        self.view.follow(loop.controller for loop in self._loops)
        for loop in self._loops:
            for watched in loop.controller.watches:
                informer = self.view.informer(watched.resource)
                assert informer is not None
                self._sights.follow(informer)
        for recorder in self._recorders.values():
            recorder.start()
        self._informers.start()
        await self._informers.synced()
        for loop in self._loops:
            if isinstance(loop.controller, FollowsAll):
                self._everything.follow(loop.controller, loop.add_all)
        await self._everything.start()
        for loop in self._loops:
            loop.start()

    async def stop(self) -> None:
        """Nobody works any more; rounds that were under way have been broken off between two writes."""
        await self._everything.stop()
        await asyncio.gather(*(loop.stop() for loop in self._loops))
        for recorder in self._recorders.values():
            await recorder.stop()
        if self._owns_informers:
            await self._informers.stop()

    def now_ms(self) -> int:
        """The time, for a round."""
        return int(self._time.time_s() * 1000)

    # -- writes -----------------------------------------------------------------------------------------------------
    async def perform(
        self, actions: Sequence[Action], recorder: EventRecorder, written: list[Write]
    ) -> list[Outcome]:
        """What became of each; what was written is added to ``written``."""
        if len(actions) == 1:
            return [await self._one(actions[0], recorder, written)]
        outcomes: list[Outcome] = []
        for outcome in await self._client.together([self._one(each, recorder, written) for each in actions]):
            if isinstance(outcome, BaseException) and not isinstance(outcome, ApiError):
                raise outcome
            outcomes.append(outcome)
        return outcomes

    async def _one(self, action: Action, recorder: EventRecorder, written: list[Write]) -> Outcome:
        if type(action) is Tell:
            recorder.event(action.about, action.type, action.reason, action.message)
            return None
        if type(action) is Wake:
            return None
        try:
            answer = await self._asked(action)
        except ApiError as error:
            return error
        except OSError as error:  # raised, it would leave behind the writes that go on beside it: nobody would wait for them
            return status.unavailable(str(error) or type(error).__name__)
        self._note(action, answer, written)
        return answer

    async def _asked(self, action: Action) -> Object:
        client = self._client
        match action:
            case Create():
                if action.subresource:
                    return await client.create(
                        action.obj, resource=action.resource, name=action.name, subresource=action.subresource
                    )
                return await client.create(action.obj, answered=action.answered)
            case Update():
                if action.subresource:
                    return await client.update(
                        action.obj, resource=action.resource, subresource=action.subresource
                    )
                return await client.update(action.obj)
            case Patch():
                return await client.patch(
                    action.resource, action.name, action.body, action.namespace,
                    type=action.kind, subresource=action.subresource, force=action.force, field_manager=action.manager,
                )  # fmt: skip
            case Delete():
                conditions = {"uid": action.uid, "resourceVersion": action.version}
                return await client.delete(
                    action.resource, action.name, action.namespace,
                    grace_period_seconds=action.grace_seconds, propagation_policy=action.propagation or "",
                    preconditions={name: value for name, value in conditions.items() if value}, answered=False,
                )  # fmt: skip
            case Read():
                return await client.get(
                    action.resource, action.name, action.namespace, subresource=action.subresource
                )
            case ReadAll():
                return await client.list(
                    action.resource, action.namespace, label_selector=action.label_selector
                )
            case DeleteAll():
                return await client.delete_collection(
                    action.resource, action.namespace, propagation_policy=action.propagation
                )
            case Discover():
                await client.discover()
                return {"resources": [each for each in served(client) if each.is_preferred]}
            case _:
                raise TypeError(f"{action!r} is not an action")

    def _note(self, action: Action, answer: Object, written: list[Write]) -> None:
        if isinstance(action, Delete):
            informer = self.view.informer(action.resource)
            if informer is not None and action.uid:
                key = f"{action.namespace}/{action.name}" if action.namespace else action.name
                written.append(Write(informer, key, action.uid, 0))
        elif isinstance(action, Create | Update | Patch):
            informer = self.view.informer(action.resource)
            if informer is not None and "metadata" in answer and answer["metadata"].get("uid"):
                metadata = answer["metadata"]
                written.append(Write(informer, key_of(answer), metadata["uid"], version_of(answer)))

    async def seen(self, written: Sequence[Write]) -> None:
        """The view shows all that."""
        if written:
            await self._sights.wait(written)


class Loop:
    """One controller's queue and the rounds over its keys."""

    def __init__(
        self, driver: Driver, controller: Controller, recorder: EventRecorder, observer: Observer | None
    ) -> None:
        self.controller = controller
        self._driver = driver
        self._recorder = recorder
        self.queue: WorkQueue[Key] = WorkQueue(clock=driver._clock, observer=observer)
        self._workers: list[asyncio.Task[None]] = []
        self._registrations: list[Callable[[], None]] = []

    def start(self) -> None:
        """It is told of all there is, and of every change."""
        view, controller = self._driver.view, self.controller
        for watched in controller.watches:
            informer = view.informer(watched.resource)
            assert informer is not None
            registration = informer.add_batch_listener(functools.partial(self._wake, watched.keys))
            self._registrations.append(registration.remove)
        self._add(controller.at_start(view, self._driver.now_ms()))
        self._workers = [
            asyncio.get_running_loop().create_task(self._work(), name=f"{controller.name} {number}")
            for number in range(self._driver.workers.get(controller.name) or controller.workers)
        ]

    async def stop(self) -> None:
        """No round runs."""
        for remove in self._registrations:
            remove()
        self.queue.shut_down()
        for worker in self._workers:
            worker.cancel()
        if self._workers:
            await asyncio.wait(self._workers)
        self._workers = []

    def _wake(self, keys: Callable[..., Iterable[Key | Later]], changes: Sequence[Change]) -> None:
        view = self._driver.view
        self.add_all(lambda old, new: keys(old, new, view), changes)

    def add_all(
        self, keys: Callable[[Object | None, Object | None], Iterable[Key | Later]], changes: Sequence[Change]
    ) -> None:
        """The keys of all the changes are to be looked at."""
        for change in changes:
            try:
                self._add(keys(change.old, change.new))
            except Exception:  # one object that nobody foresaw must not keep the others from being seen
                log.exception("%s: a change could not be read", self.controller.name)

    def _add(self, keys: Iterable[Key | Later]) -> None:
        for key in keys:
            if isinstance(key, Later):
                self.queue.add_after(key.key, key.after_ms / 1000)
            else:
                self.queue.add(key)

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except ShutDown:
                return
            try:
                await self._round(key)
            finally:
                self.queue.done(key)

    async def _round(self, key: Key) -> None:
        name = self.controller.name
        written: list[Write] = []
        try:
            again_ms = await self._steps(
                self.controller.reconcile(key, self._driver.view, self._driver.now_ms()), written
            )
        except Failed as error:
            log.info("%s: %s: %s", name, key, error)
            await self._driver.seen(written)
            self.queue.add_rate_limited(key)
            return
        except Exception:  # a controller that fails must not stop the others, nor itself for good
            log.exception("%s: %s", name, key)
            await self._driver.seen(written)
            self.queue.add_rate_limited(key)
            return
        await self._driver.seen(written)
        self.queue.forget(key)
        if again_ms is not None:
            self.queue.add_after(key, again_ms / 1000)

    async def _steps(self, steps: Steps, written: list[Write]) -> int | None:
        try:
            actions = next(steps)
            while True:
                for action in actions:
                    if type(action) is Wake:
                        self._add(action.keys)
                outcomes = await self._driver.perform(actions, self._recorder, written) if actions else []
                actions = steps.send(outcomes)
        except StopIteration as ended:
            again_ms: int | None = ended.value
            return again_ms
        finally:
            steps.close()
