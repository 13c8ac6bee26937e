"""What a controller is: what wakes it, what it sees, what it wants.

``reconcile(key, view, now_ms)`` is a generator without clock, chance or I/O. It yields lists of actions; the driver
performs those of a list at once, and sends back what became of each. When it ends, the key is done with; what it
returns says when to look again. A failure that it does not want to deal with it raises as ``Failed``, or lets the
driver raise for it (``done``), and the key comes again after a pause that grows.

The driver sees to what every controller would otherwise do for itself: a key is never reconciled twice at once, nor
before the view shows what the last round wrote (upstream's expectations and consistency stores).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from kcore.api.status import ApiError

Object = dict[str, Any]
SLOW_START: Final = 1  # the first batch of creates; each that succeeds as a whole doubles the next


class Key(NamedTuple):
    """What is reconciled, by its namespace ("" where it has none) and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Later(NamedTuple):
    """A key that is to be looked at after so long."""

    key: Key
    after_ms: int


@dataclass(frozen=True, slots=True)
class Create:
    """POST of an object, or of one to a subresource of the object ``name``.

    ``answered``: False where no more than the name of what was made is looked at (``kcore.client.calls.identity_of``).
    """

    resource: str
    obj: Object
    name: str = ""
    subresource: str = ""
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Update:
    """PUT; a conflict with another writer is a failure like others: the key comes again and sees what was written."""

    resource: str
    obj: Object
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Patch:
    """PATCH by a merge patch, a strategic merge patch, a JSON patch or server-side apply.

    An apply may be in the name of another ``manager``, and ``force`` takes what others own.
    """

    resource: str
    namespace: str
    name: str
    body: Any
    kind: str = "merge"
    subresource: str = ""
    manager: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE of the object with that uid, and no other of its name."""

    resource: str
    namespace: str
    name: str
    uid: str = ""
    propagation: str | None = None
    grace_seconds: int | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """GET past the view, where a moment ago is not good enough: before an adoption, say; or of a subresource."""

    resource: str
    namespace: str
    name: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class ReadAll:
    """GET of all of a resource in a namespace, or in the cluster: the outcome is the list."""

    resource: str
    namespace: str = ""
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class DeleteAll:
    """DELETE of all of a resource in a namespace."""

    resource: str
    namespace: str
    propagation: str = "Background"


@dataclass(frozen=True, slots=True)
class Discover:
    """What the server serves, in preferred versions: the outcome's ``resources`` are ``Served``."""


@dataclass(frozen=True, slots=True)
class Wake:
    """Keys that are to be looked at too; it never fails."""

    keys: Sequence[Key | Later]


class Served(NamedTuple):
    """A resource that the server serves. ``named``: ``deployments.apps``, as actions name it."""

    named: str
    group: str
    version: str
    plural: str
    kind: str
    is_namespaced: bool
    verbs: tuple[str, ...]
    is_preferred: bool = True  # the version is the one of its group that the server prefers

    @property
    def api_version(self) -> str:
        """As objects say it."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class Tell:
    """An event about the object; it never fails and is not waited for."""

    about: Object
    type: str
    reason: str
    message: str


Action = Create | Update | Patch | Delete | Read | ReadAll | DeleteAll | Discover | Tell | Wake


class Skipped(Exception):
    """What became of an action that was not tried, as one before it failed."""


Outcome = Object | ApiError | Skipped | None  # the object as written; what the server said; a told event
Steps = Generator[
    Sequence[Action], list[Outcome], int | None
]  # returns the milliseconds after which to look again


class Failed(Exception):
    """The key is to come again, after a pause that grows with each failure in a row."""


class Watched(NamedTuple):
    """Changes of a resource, and the keys that each concerns: of the old object, the new one, or both.

    ``indexes`` are the values by which the view is asked for these objects: name to function of an object.
    """

    resource: str
    keys: Callable[[Object | None, Object | None, View], Iterable[Key | Later]]
    indexes: Mapping[str, Callable[[Object], Iterable[str]]] = {}


class View(Protocol):
    """What the cluster was a moment ago. Objects are shared: they must not be changed."""

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """The object, or None."""

    def list(self, resource: str, namespace: str = "") -> Sequence[Object]:
        """All of a namespace, or of the cluster."""

    def by(self, resource: str, index: str, value: str) -> Sequence[Object]:
        """Those whose index has that value."""


class Controller(ABC):
    """One of kube-controller-manager's. ``name`` is upstream's in ``--controllers``."""

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    on_by_default: ClassVar[bool] = True
    component: ClassVar[str]  # who its events are from
    workers: ClassVar[int] = 50  # keys reconciled at once

    @property
    @abstractmethod
    def watches(self) -> Sequence[Watched]:
        """What wakes it, and all that its view shows."""

    @abstractmethod
    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """What is to be done for the key."""

    def at_start(self, view: View, now_ms: int) -> Iterable[Key | Later]:
        """Keys to look at when it starts, beside those of the objects there are: the one key of a periodic controller."""
        return ()


class FollowsAll(Controller):
    """A controller that follows the metadata of many resources, of those too that come to be served later."""

    @abstractmethod
    def serves(self, resources: Sequence[Served]) -> Iterable[Served]:
        """Those to follow of what the server serves now, in all versions; asked again whenever that may have changed."""

    @abstractmethod
    def followed(
        self, served: Served, old: Object | None, new: Object | None, view: View
    ) -> Iterable[Key | Later]:
        """The keys that a change concerns. Of the objects only the metadata are sure to be there."""


def done(outcomes: Iterable[Outcome], *, gone_is_fine: bool = True) -> None:
    """Raises Failed with the first failure; that an object is not there any more is none, if so said."""
    for outcome in outcomes:
        if isinstance(outcome, ApiError) and not (gone_is_fine and outcome.code == 404):
            raise Failed(str(outcome)) from outcome
        if isinstance(outcome, Skipped):
            raise Failed("not tried")


def slow_start(actions: Sequence[Action]) -> Generator[Sequence[Action], list[Outcome], list[Outcome]]:
    """Performs them in batches of 1, 2, 4, ...; after a batch in which one fails the others are skipped.

    So ten thousand pods that a quota forbids cost one refusal. Source: slowStartBatch of pkg/controller/replicaset.
    """
    outcomes: list[Outcome] = []
    size = SLOW_START
    while len(outcomes) < len(actions):
        got = yield actions[len(outcomes) : len(outcomes) + size]
        outcomes += got
        if any(isinstance(outcome, ApiError) for outcome in got):
            break
        size *= 2
    outcomes += [Skipped()] * (len(actions) - len(outcomes))
    return outcomes


def together(
    parts: Sequence[Generator[Sequence[Action], list[Outcome], Any]],
) -> Generator[Sequence[Action], list[Outcome], list[Any]]:
    """Goes through several series of steps at once; what each returned, or the Failed by which it ended."""
    ends: list[Any] = [None] * len(parts)
    answers: dict[int, list[Outcome] | None] = dict.fromkeys(range(len(parts)))
    while answers:
        asked: dict[int, Sequence[Action]] = {}
        for number, answer in answers.items():
            try:
                asked[number] = parts[number].send(answer)  # type: ignore[arg-type]
            except StopIteration as ended:
                ends[number] = ended.value
            except Failed as error:
                ends[number] = error
        outcomes = yield [action for actions in asked.values() for action in actions]
        answers, first = {}, 0
        for number, actions in asked.items():
            answers[number] = outcomes[first : first + len(actions)]
            first += len(actions)
    return ends


@dataclass(slots=True)
class Settings:
    """What the controllers are told at start: kube-controller-manager's flags that concern them."""

    root_ca: str = ""
    signing_certificate: bytes = b""
    signing_key: bytes = b""
    make_token: Callable[[str, str, str, str], str] | None = (
        None  # of a namespace, an account, its uid and a secret: the token for the secret
    )
    is_alone: bool = (
        False  # one API server, in this process: no other need hear of a change before one goes on
    )
    flags: Mapping[str, Any] = field(default_factory=dict)


def must(action: Action) -> Generator[Sequence[Action], list[Outcome], Object]:
    """Performs the one action and returns what it made; Failed where the server refuses."""
    (outcome,) = yield [action]
    if isinstance(outcome, ApiError):
        raise Failed(str(outcome)) from outcome
    assert isinstance(outcome, dict)
    return outcome
