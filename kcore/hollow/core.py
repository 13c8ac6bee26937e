"""Changes and the time become actions: every simulated object is in a stage, and the stage is over at a time.

``Core.step(now_ms, changes) -> actions`` has no I/O, clock or chance of its own: random numbers come from the seed. Of an
object it keeps only what a stage that is not over yet needs; an object in no stage costs nothing. While a ``Play`` is
under way nothing else happens to its object: what changes meanwhile is looked at when it is answered, and what the
object was before the answer is not looked at any more.

Source: kwok pkg/kwok/controllers/{pod,node,stage}_controller.go, whose workers and queues this replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

import orjson

from kcore.hollow.actions import (
    Action,
    Change,
    Changed,
    Done,
    Failed,
    Gone,
    Key,
    Listed,
    ListPods,
    Object,
    Play,
    Put,
    Refused,
    Remove,
    Renew,
    Send,
    Write,
    key_of,
)
from kcore.hollow.addresses import NoAddressLeft
from kcore.hollow.functions import Function, functions_of
from kcore.hollow.gotemplate.errors import TemplateError
from kcore.hollow.lifecycle import MS_NS, Lifecycle, delay_ns
from kcore.hollow.makers import MAKERS, Maker
from kcore.hollow.nodes import Nodes, addresses_of
from kcore.hollow.patches import encoded, finalizer_operations, patch_value, rendered
from kcore.hollow.readiness import READY_AGAIN, ready_again
from kcore.hollow.stage import (
    JSON,
    MERGE,
    NODE,
    POD,
    STRATEGIC,
    Apply,
    Delete,
    Event,
    Finalizers,
    Patch,
    ResourceRef,
    Stage,
)
from kcore.hollow.wheel import TimerWheel

BACKOFF_MS_MIN: Final = 1_000  # before what failed is tried again; doubles each time
BACKOFF_MS_MAX: Final = 32 * 60 * 1_000
BACKOFF_JITTER: Final = 0.2
ROW_MAX: Final = 100  # plays of an object in a row, each at once and upon nothing but the last one
ROW_PAUSE_MS: Final = 1_000  # before the next one of such a row
REMOVED_MS: Final = 1_000  # after which an object that should be gone is deleted once more
RENEW_FRACTION: Final = (
    0.5  # of its duration a lease is renewed after; a kubelet's 0.25 costs twice as much and shows nothing
)
RENEW_JITTER: Final = 0.04


class Waiting(NamedTuple):
    """An object in a stage that is not over, or whose sends are to be tried again."""

    stage: Stage
    due_ms: int
    version: str
    body: str  # the object
    asked: tuple[Any, ...] = ()  # what it says of its delay
    sends: tuple[Send, ...] = ()  # left over from a play that failed
    tries: int = 0
    row: int = 0


class Playing:
    """A play that is not answered yet. ``later`` is what the object became meanwhile; ``row``: see ROW_MAX."""

    __slots__ = ("addresses", "later", "obj", "play", "row", "stage", "tries", "version")

    def __init__(
        self, stage: Stage, play: Play, obj: Object, tries: int, addresses: Sequence[str], row: int
    ) -> None:
        self.stage = stage
        self.play = play
        self.obj = obj
        self.version = obj["metadata"].get("resourceVersion", "")
        self.tries = tries
        self.addresses = addresses
        self.row = row
        self.later: Object | None = None


class Core:
    """See the module. ``says_ready_again``: pods that somebody else calls unready are said to be what they are."""

    def __init__(
        self,
        lifecycles: Mapping[ResourceRef, Lifecycle],
        nodes: Nodes,
        *,
        seed: int = 0,
        started_ms: int = 0,
        lease_seconds: int = 40,
        makers: Mapping[str, Maker] = MAKERS,
        says_ready_again: bool = False,
    ) -> None:
        self._lifecycles = lifecycles
        self._nodes = nodes
        self._random = Random(seed)
        self._started_ms = started_ms
        self._lease_ms = lease_seconds * 1000
        self._makers = makers
        self._says_ready_again = says_ready_again
        self._now_ms = started_ms
        self._waiting: dict[Key, Waiting] = {}
        self._playing: dict[Key, Playing] = {}
        self._written: dict[
            Key, tuple[int, int]
        ] = {}  # the version of our own last write, until it is seen; the row
        self._endless: set[tuple[ResourceRef, str]] = (
            set()
        )  # stages of which rows that are too long have been told
        self._wheel: TimerWheel[Key] = TimerWheel()
        self._leases: TimerWheel[str] = TimerWheel(100)
        self._orphans: dict[str, dict[Key, Object]] = {}  # pods of nodes not seen yet
        self._unready: dict[str, dict[Key, str]] = {}  # pods to be ready again when their node is
        self._interrupted: dict[Key, Waiting] = {}  # the stages that such pods are in
        self._actions: list[Action] = []

    @property
    def waiting_count(self) -> int:
        """Objects in a stage that is not over."""
        return len(self._waiting)

    @property
    def playing_count(self) -> int:
        """Plays that are not answered."""
        return len(self._playing)

    @property
    def next_ms(self) -> int | None:
        """When there is something to do next if nothing changes."""
        times = [each for each in (self._wheel.next_ms, self._leases.next_ms) if each is not None]
        return min(times) if times else None

    def step(self, now_ms: int, changes: Iterable[Change] = ()) -> list[Action]:
        """What is to be done now. ``now_ms`` is since 1970; a clock that goes back only makes stages longer."""
        self._now_ms = now_ms
        self._actions = []
        for change in changes:
            _TAKES[type(change)](self, change)
        for key in self._wheel.due(now_ms):
            waiting = self._waiting.pop(key)
            if waiting.sends:
                self._send(key, waiting.stage, waiting.sends, orjson.loads(waiting.body), waiting.tries, ())
            else:
                self._play(key, waiting.stage, orjson.loads(waiting.body), waiting.tries, waiting.row)
        self._renew(now_ms)
        return self._actions

    def born(self, resource: ResourceRef, obj: Object, now_ms: int) -> Object:
        """The object as it may be created at once, in its first stage's state where that begins without delay."""
        lifecycle = self._lifecycles.get(resource)
        stage = lifecycle.match(obj, self._random) if lifecycle is not None else None
        if stage is None or delay_ns(stage, obj, now_ms * MS_NS, self._random) > 0 or len(stage.steps) != 1:
            return obj
        step = stage.steps[0]
        if not isinstance(step, Patch) or step.root != "status":
            return obj
        if (make := self._makers.get(step.template.text)) is not None:
            status = orjson.loads(make(obj, self._nodes, now_ms))["status"]
        else:
            name = obj["metadata"]["name"]
            functions = functions_of(self._nodes, self._random, now_ms, self._started_ms, name)
            status = patch_value(step, MERGE, obj, functions)["status"]
        return {**obj, "status": {**(obj.get("status") or {}), **status}} if isinstance(status, dict) else obj

    # -- changes

    def _changed(self, change: Changed) -> None:
        resource, obj = change
        key = key_of(resource, obj)
        if resource == NODE:
            known, was = self._nodes.knows(key.name), self._nodes.get(key.name)
            if not self._nodes.put(obj):
                self._forget(key)
                self._leases.cancel(key.name)
                self._orphans.pop(key.name, None)
                self._unready.pop(key.name, None)
                return
            if was is None:
                self._begin(key.name, known)
            if key.name in self._unready and self._is_ready(key.name):
                for pod, body in self._unready.pop(key.name).items():
                    self._look(pod, orjson.loads(body))
        elif resource == POD and not self._is_ours(key, obj):
            return
        self._look(key, obj)

    def _begin(self, node: str, known: bool) -> None:
        """The node is simulated from now on."""
        if self._lease_ms:
            self._leases.add(node, self._now_ms)
        if known:
            self._actions.append(ListPods(node))
        for key, pod in self._orphans.pop(node, {}).items():
            self._nodes.mark(pod)
            self._look(key, pod)

    def _is_ours(self, key: Key, pod: Object) -> bool:
        node = (pod.get("spec") or {}).get("nodeName")
        if not node:
            return False
        if self._nodes.get(node) is not None:
            self._nodes.mark(pod)
            return True
        if not self._nodes.knows(node):
            self._orphans.setdefault(node, {})[key] = pod
        return False

    def _look(self, key: Key, obj: Object) -> None:
        """The object's stage is chosen, unless it is being played or this is what it was before our last write."""
        playing = self._playing.get(key)
        if playing is not None:
            playing.later = obj
            return
        version, row = obj["metadata"].get("resourceVersion", ""), 0
        written = self._written.get(key)
        if written is not None:
            seen = number(version)
            if seen < written[0]:
                return
            row = written[1] if seen == written[0] else 0
            del self._written[key]
        self._choose(key, obj, version, row)

    def _choose(self, key: Key, obj: Object, version: str, row: int) -> None:
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.version == version:
            return
        if self._says_ready_again and key.resource == POD:
            if patch := ready_again(obj, self._now_ms):
                self._interrupt(key, obj, patch)
                return
            self._let_be(key, obj)
            waiting = self._interrupted.pop(key, waiting)
        lifecycle = self._lifecycles.get(key.resource)
        stage = lifecycle.match(obj, self._random) if lifecycle is not None else None
        if stage is None:
            self._forget(key)
            return
        asked = said_of_delay(stage, obj)
        if waiting is not None and waiting.stage is stage and waiting.asked == asked and not waiting.sends:
            due_ms = waiting.due_ms  # something else changed: the stage goes on
        else:
            due_ms = self._now_ms + -(-delay_ns(stage, obj, self._now_ms * MS_NS, self._random) // MS_NS)
            if is_being_removed(obj):
                due_ms = max(due_ms, self._now_ms + REMOVED_MS)
        if due_ms <= self._now_ms:
            if row < ROW_MAX:
                self._forget(key)
                self._play(key, stage, obj, 0, row)
                return
            due_ms = self._paused(key, stage)
        else:
            row = 0
        self._waiting[key] = Waiting(stage, due_ms, version, orjson.dumps(obj).decode(), asked, row=row)
        self._wheel.add(key, due_ms)

    def _paused(self, key: Key, stage: Stage) -> int:
        """When a stage that follows upon itself for ever, without a delay, is played again; the first time it is told."""
        if (key.resource, stage.name) not in self._endless:
            self._endless.add((key.resource, stage.name))
            why = f"follows upon itself without a delay, {ROW_MAX} times by now; from here on once a second"
            self._actions.append(Refused(key, stage.name, why))
        return self._now_ms + ROW_PAUSE_MS

    def _interrupt(self, key: Key, obj: Object, patch: bytes) -> None:
        """The pod is said to be what it is as soon as its node is ready; then the stage that it is in goes on."""
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.stage is not READY_AGAIN:
            self._interrupted[key] = waiting
        self._forget(key)
        node = obj["spec"]["nodeName"]
        if self._is_ready(node):
            self._let_be(key, obj)
            self._send(key, READY_AGAIN, (Write(patch, STRATEGIC, "status", ""),), obj, 0, ())
        else:
            self._unready.setdefault(node, {})[key] = orjson.dumps(obj).decode()

    def _resume(self, key: Key) -> None:
        """The stage that was interrupted goes on as it was."""
        waiting = self._interrupted.pop(key, None)
        if waiting is not None:
            self._waiting[key] = waiting
            self._wheel.add(key, waiting.due_ms)

    def _let_be(self, key: Key, pod: Object) -> None:
        """The pod does not wait for its node to be ready."""
        unready = self._unready.get((pod.get("spec") or {}).get("nodeName", ""))
        if unready is not None:
            unready.pop(key, None)

    def _is_ready(self, name: str) -> bool:
        node = self._nodes.get(name)
        return node is not None and node.is_ready

    def _forget(self, key: Key) -> None:
        if self._waiting.pop(key, None) is not None:
            self._wheel.cancel(key)

    def _gone(self, change: Gone) -> None:
        resource, obj = change
        key = key_of(resource, obj)
        self._forget(key)
        self._written.pop(key, None)
        self._interrupted.pop(key, None)
        playing = self._playing.get(key)
        if playing is not None:
            playing.later = None
        if resource == POD:
            self._let_be(key, obj)
            self._nodes.release(obj)
            waiting = self._orphans.get((obj.get("spec") or {}).get("nodeName", ""))
            if waiting is not None:
                waiting.pop(key, None)
        elif resource == NODE:
            self._nodes.drop(key.name)
            self._leases.cancel(key.name)
            self._unready.pop(key.name, None)

    def _listed(self, change: Listed) -> None:
        resource, objs = change
        there = {key_of(resource, obj) for obj in objs}
        for known in (self._waiting, self._written, self._interrupted):
            for key in [key for key in known if key.resource == resource and key not in there]:
                self._forget(key)
                self._written.pop(key, None)
                self._interrupted.pop(key, None)
        if resource == NODE:
            for name in [name for name in self._nodes.all_names() if Key(NODE, "", name) not in there]:
                self._nodes.drop(name)
                self._leases.cancel(name)
                self._unready.pop(name, None)
        elif resource == POD:
            self._orphans.clear()
            self._unready.clear()
            self._nodes.release_all()
            for playing in self._playing.values():
                self._nodes.mark(_with_addresses(playing))
        for obj in objs:
            self._changed(Changed(resource, obj))

    def _done(self, change: Done) -> None:
        playing = self._playing.pop(change.key, None)
        if playing is None:
            return
        obj, later = change.obj, playing.later
        version = (obj or {}).get("metadata", {}).get("resourceVersion", "")
        if later is not None and (seen := number(later["metadata"].get("resourceVersion", ""))) >= number(
            version
        ):
            if version and seen == number(version):
                self._written[change.key] = (seen, playing.row + 1)
            self._look(change.key, later)
            return
        if obj is None or version == playing.version:
            self._resume(change.key)
            return  # nothing of it changed, and no event will come
        self._written[change.key] = (number(version), playing.row + 1)
        if playing.stage.immediate:
            self._choose(change.key, obj, version, playing.row + 1)

    def _failed(self, change: Failed) -> None:
        playing = self._playing.pop(change.key, None)
        if playing is None:
            return
        key, stage = change.key, playing.stage
        if playing.later is not None:
            self._give_back(playing)
            self._look(key, playing.later)
        elif change.again:
            self._wait_again(key, stage, playing.obj, playing.play.sends[change.at :], playing.tries)
        else:
            self._give_back(playing)
            self._resume(key)

    def _give_back(self, playing: Playing) -> None:
        if playing.addresses:
            self._nodes.release(_with_addresses(playing))

    def _wait_again(self, key: Key, stage: Stage, obj: Object, sends: tuple[Send, ...], tries: int) -> None:
        delay_ms = min(BACKOFF_MS_MIN << min(tries, 30), BACKOFF_MS_MAX)
        due_ms = self._now_ms + int(delay_ms * (1 + BACKOFF_JITTER * self._random.random()))
        version = obj["metadata"].get("resourceVersion", "")
        self._waiting[key] = Waiting(stage, due_ms, version, orjson.dumps(obj).decode(), (), sends, tries + 1)
        self._wheel.add(key, due_ms)

    # -- playing

    def _play(self, key: Key, stage: Stage, obj: Object, tries: int, row: int) -> None:
        """The stage is over: its steps become what is to be sent."""
        world = _PodWorld(self._nodes, obj if key.resource == POD else None)
        try:
            sends = self._sends(key, stage, obj, world)
        except TemplateError as error:
            self._actions.append(Refused(key, stage.name, str(error)))
            return
        except NoAddressLeft as error:
            self._actions.append(Refused(key, stage.name, str(error)))
            self._wait_again(key, stage, obj, (), tries)
            return
        self._send(key, stage, sends, obj, tries, world.given, row)

    def _send(
        self, key: Key, stage: Stage, sends: tuple[Send, ...], obj: Object, tries: int, given: Sequence[str],
        row: int = 0,
    ) -> None:  # fmt: skip
        if sends:
            play = Play(key, obj["metadata"].get("uid", ""), stage.name, sends)
            self._playing[key] = Playing(stage, play, obj, tries, given, row)
            self._actions.append(play)

    def _sends(self, key: Key, stage: Stage, obj: Object, world: _PodWorld) -> tuple[Send, ...]:
        sends: list[Send] = []
        functions: dict[str, Function] | None = None
        for step in stage.steps:
            if isinstance(step, Event):
                sends.append(step)
            elif isinstance(step, Delete):
                sends.append(Remove())
            elif isinstance(step, Finalizers):
                operations = finalizer_operations(obj["metadata"].get("finalizers") or (), step)
                if operations:
                    sends.append(Write(encoded(operations), JSON, "", ""))
            elif isinstance(step, Patch) and (make := self._makers.get(step.template.text)) is not None:
                body = make(obj, world, self._now_ms)
                sends.append(Write(body, step.type or STRATEGIC, step.subresource, step.user))
            else:
                if functions is None:
                    node = key.name if key.resource == NODE else ""
                    functions = functions_of(world, self._random, self._now_ms, self._started_ms, node)
                sends.append(_templated(key, step, obj, functions))
        return tuple(sends)

    # -- leases

    def _renew(self, now_ms: int) -> None:
        names = [name for name in self._leases.due(now_ms) if self._nodes.get(name) is not None]
        if not names:
            return
        period_ms = self._lease_ms * RENEW_FRACTION
        for name in names:
            self._leases.add(
                name, now_ms + int(period_ms * (1 + RENEW_JITTER * (self._random.random() - 0.5)))
            )
        nodes = [self._nodes.get(name) for name in names]
        self._actions.append(
            Renew(tuple(names), tuple(node.uid if node is not None else "" for node in nodes))
        )


_TAKES: Final[Mapping[type[Any], Callable[[Core, Any], None]]] = {
    Changed: Core._changed, Gone: Core._gone, Listed: Core._listed, Done: Core._done, Failed: Core._failed,
}  # fmt: skip


class _PodWorld:
    """The world as the templates of one object see it; ``given`` are the addresses that were new."""

    def __init__(self, nodes: Nodes, pod: Object | None) -> None:
        self._nodes = nodes
        self._pod = pod
        self.version = nodes.version
        self.node_ips = nodes.node_ips
        self.node_port = nodes.node_port
        self.given: list[str] = []

    def pod_ips(self, node: str, host_network: bool, uid: str, name: str, namespace: str) -> Sequence[str]:
        """Those that the pod has, else new ones; the same however often a template asks."""
        if self._pod is not None and not host_network:
            known = addresses_of(self._pod) or self.given
            if known:
                return known
        made = self._nodes.pod_ips(node, host_network, uid, name, namespace)
        if not host_network and self._nodes.get(node) is not None:
            self.given = list(made)
        return made


def _with_addresses(playing: Playing) -> Object:
    """The pod as it will be with the addresses that it was given."""
    return {
        "spec": playing.obj.get("spec"),
        "status": {"podIPs": [{"ip": each} for each in playing.addresses]},
    }


def _templated(key: Key, step: Patch | Apply, obj: Object, functions: Mapping[str, Function]) -> Send:
    if isinstance(step, Apply):
        made = rendered(step.template, obj, functions)
        if not isinstance(made, dict) or not made.get("kind") or not made.get("apiVersion"):
            raise TemplateError("what is to be applied has no apiVersion and kind")
        if not isinstance(made.get("metadata"), dict) or not made["metadata"].get("name"):
            raise TemplateError("what is to be applied has no metadata.name")
        if key.namespace:
            made["metadata"].setdefault("namespace", key.namespace)
        return Put(made, step.type, step.subresource, step.user)
    kind = step.type or (STRATEGIC if key.resource in (NODE, POD) else MERGE)
    return Write(encoded(patch_value(step, kind, obj, functions)), kind, step.subresource, step.user)


def said_of_delay(stage: Stage, obj: Object) -> tuple[Any, ...]:
    """What the object itself says of how long the stage is; another answer is another delay."""
    return tuple(
        amount.find(obj)
        for amount in (stage.delay_ms, stage.jitter_ms)
        if amount is not None and amount.find is not None
    )


def is_being_removed(obj: Object) -> bool:
    """Whether the server takes the object away in the same breath, as it says in two events."""
    metadata = obj["metadata"]
    return metadata.get("deletionGracePeriodSeconds") == 0 and not metadata.get("finalizers")


def number(version: str) -> int:
    """A resourceVersion as the number that it is; 0 where it is none."""
    return int(version) if version.isdecimal() else 0
