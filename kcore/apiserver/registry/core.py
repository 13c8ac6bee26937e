"""What every verb works with: the store, admission, the catalog, the clock, and what is known of each row."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from kcore.api.rows import GroupVersionKind, Row
from kcore.api.safe_names import ALPHABET
from kcore.api.status import ApiError, conflict
from kcore.api.strategy import Context, Strategy
from kcore.apiserver.operation import Object, Operation, Result
from kcore.apiserver.registry import shared
from kcore.apiserver.registry.computed import Source
from kcore.apiserver.registry.metadata import NAME_SUFFIX_LENGTH
from kcore.apiserver.registry.owning import Updates
from kcore.apiserver.registry.remembered import Remembered
from kcore.apiserver.registry.seams import Admission, Catalog, ManagedFields, ObjectStore
from kcore.apiserver.registry.stored_form import decode, dumps, encode, loads, splice
from kcore_native.cacher.naming import LABEL, Places
from kcore_native.http.head import uuid_text

CLOCK_TEXT: Final = "%Y-%m-%dT%H:%M:%SZ"
PAIRS: Final = tuple(one + other for one in ALPHABET for other in ALPHABET)
assert NAME_SUFFIX_LENGTH == 5  # two pairs and one


class Transaction(Protocol):
    """What was reserved beside the object; kept where the object is stored, given back where it is not."""

    async def commit(self) -> None: ...
    async def revert(self) -> None: ...


class Chance(Protocol):
    """Where uids and the ends of generated names come from."""

    def uid(self) -> str: ...
    def suffix(self) -> str: ...


class SystemChance:
    """From the operating system's generator, many at a time."""

    BATCH_BYTES: Final = 4096

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def _take(self, count: int) -> bytes:
        at = self._at
        if at + count > len(self._pool):
            self._pool = os.urandom(self.BATCH_BYTES)
            at = 0
        self._at = at + count
        return self._pool[at : at + count]

    def uid(self) -> str:
        """A random UUID (version 4)."""
        at = self._at
        if at + 16 > len(self._pool):
            self._pool = os.urandom(self.BATCH_BYTES)
            at = 0
        self._at = at + 16
        return uuid_text(self._pool, at)

    def suffix(self) -> str:
        """Five letters and digits that spell nothing."""
        number, last = divmod(int.from_bytes(self._take(8), "big"), len(ALPHABET))
        number, middle = divmod(number, len(PAIRS))
        return PAIRS[number % len(PAIRS)] + PAIRS[middle] + ALPHABET[last]


async def reserves_nothing(*_: Any) -> None:
    """Nothing is reserved."""


def always(*_: Any) -> bool:
    """True."""
    return True


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a resource does beside storing its object. None: nothing.

    ``begin_create``: (op, obj); ``begin_update``: (op, obj, old); ``after_delete``: (op, obj).
    ``ends_by_update``: whether an update that leaves no finalizer may delete the object.
    """

    begin_create: Callable[[Operation, Object], Awaitable[Transaction | None]] | None = None
    begin_update: Callable[[Operation, Object, Object], Awaitable[Transaction | None]] | None = None
    after_delete: Callable[[Operation, Object], Awaitable[None]] | None = None
    ends_by_update: Callable[[Object], bool] = always


NO_HOOKS: Final = Hooks()


NAME_ALONE: Final = Places((("metadata.name", LABEL),))


def places_of(strategy: Strategy) -> Places:
    """Where the name and the free texts of a new object stand in its body."""
    forms = {"metadata.name": LABEL, **{each.at: each.form for each in strategy.free_texts}}
    return Places([*forms.items()]) if strategy.free_texts else NAME_ALONE


@dataclass(slots=True)
class Kind:
    """What the registry knows of a row. ``stored`` is the api version in the store; ``converts``: it is another.

    ``node`` and ``stored_node`` are the schemas of the row's version and of the stored one.
    ``in_other_version``: an object of this row's version in another, with that version's node, None where that is not
    served; None itself for a kind of one version.
    """

    row: Row
    strategy: Strategy
    node: Any
    stored_node: Any
    stored: str
    converts: bool
    hooks: Hooks
    returns_deleted: bool
    collects_garbage: bool
    in_other_version: Callable[[Object, str], tuple[Object, Any] | None] | None = None
    places: Places = NAME_ALONE  # what is cut out of the body of a create
    owned: Remembered = field(default_factory=dict)
    field_sets: shared.FieldSets = field(default_factory=shared.FieldSets)
    updates: Updates = field(default_factory=Updates)

    def encode(self, obj: Object) -> bytes:
        """The stored form of an object in the storage version, which loses its resourceVersion."""
        return encode(obj, self.stored, self.row.kind, self.stored_node)

    def decode(self, data: bytes, revision: int) -> Object:
        """A fresh dict of the stored object, in the storage version."""
        return decode(data, revision, self.stored_node)

    def read(self, data: bytes, revision: int, *, is_going: bool = False) -> Object:
        """The stored object for a write, in the storage version: to be changed no deeper than its own metadata.

        ``is_going``: to be deleted, and its managed fields to be looked at by nobody.
        """
        return shared.read(data, revision, self.stored_node, self.field_sets, is_going=is_going)

    def encode_changed(
        self,
        obj: Object,
        kept: Collection[str],
        data: bytes,
        added: Mapping[str, Object] = shared.NOTHING,
    ) -> bytes:
        """As ``encode``, the members ``kept`` being those of the stored object ``data``, with what was ``added`` to them."""
        return shared.encode(
            obj, kept, data, self.stored, self.row.kind, self.stored_node, self.field_sets, added
        )

    def default_changed(self, obj: Object, old: Object | None) -> None:
        """The object holds its defaults; those of what it shares with ``old`` are there."""
        strategy = self.strategy
        if old is None or strategy.default_changed is None:
            strategy.default(obj)
        else:
            strategy.default_changed(obj, old)

    def answer(self, data: bytes, revision: int) -> bytes:
        """The stored object as a client of this row's version gets it."""
        body = splice(data, revision)
        return self.converted(body) if self.converts else body

    def converted(self, body: bytes) -> bytes:
        """The bytes of an object in the storage version, in this row's version."""
        obj = loads(body)
        self.stored_node.drop_nulls(obj)
        obj = self.in_version(obj)
        self.node.write_nulls(obj)
        return dumps(obj)

    def from_version(self, obj: Object) -> Object:
        """An object of this row's version in the storage version; changed in place."""
        return self._in(obj, self.stored)

    def in_version(self, obj: Object) -> Object:
        """An object of the storage version in this row's version; changed in place."""
        return self._in(obj, self.row.api_version)

    def _in(self, obj: Object, api_version: str) -> Object:
        if self.strategy.convert is not None:
            self.strategy.convert(obj, api_version)
        obj["apiVersion"] = api_version
        return obj


Special = Callable[[Any, Operation, Object], Awaitable[Result]]


@dataclass(slots=True)
class Core:
    """``now_seconds``: the clock. ``creates``: POSTs that store nothing here, by group, plural and subresource."""

    store: ObjectStore
    catalog: Catalog
    admission: Admission
    managed_fields: ManagedFields
    cacher: Any = None
    now_seconds: Callable[[], float] = time.time
    chance: Chance = field(default_factory=SystemChance)
    hooks: Mapping[tuple[str, str], Hooks] = field(default_factory=dict)
    creates: dict[tuple[str, str, str], Special] = field(default_factory=dict)
    tokens: Any = None  # kcore.apiserver.registry.issuing.TokenIssuer
    computed: dict[tuple[str, str], Source] = field(
        default_factory=dict
    )  # by group and plural: what nobody stores
    kinds: dict[int, Kind] = field(default_factory=dict)
    plans: Any = None  # kcore.apiserver.registry.plans.Plans
    update_plans: Any = None  # kcore.apiserver.registry.update_plans.UpdatePlans
    delete_plans: Any = None  # kcore.apiserver.registry.delete_plans.DeletePlans
    binding_plans: Any = None  # kcore.apiserver.registry.binding_plans.BindingPlans
    _second: int = 0
    _text: str = ""

    def now(self) -> str:
        """The time in RFC 3339, whole seconds, as in an object."""
        second = int(self.now_seconds())
        if second != self._second:
            self._second = second
            self._text = time.strftime(CLOCK_TEXT, time.gmtime(second))
        return self._text

    def kind(self, row: Row) -> Kind:
        """What is known of the row; found once."""
        known = self.kinds.get(id(row))
        if known is None or known.row is not row:
            known = self.kinds[id(row)] = self._kind(row)
        return known

    def forget(self, row: Row) -> None:
        """The row is looked up anew: a custom resource changed."""
        self.kinds.pop(id(row), None)

    def _kind(self, row: Row) -> Kind:
        stored = row.storage_api_version
        events = row.kind == "Event" and row.group in ("", "events.k8s.io")
        strategy = self.catalog.strategy(row)
        return Kind(
            row=row,
            strategy=strategy,
            node=self.catalog.node(row),
            stored_node=self._stored_node(row),
            stored=stored,
            converts=stored != row.api_version,
            hooks=self.hooks.get((row.group, row.plural), NO_HOOKS),
            returns_deleted=row.answers_with_deleted,
            collects_garbage=not events,
            in_other_version=self._versions(row),
            places=places_of(strategy),
        )

    def _stored_node(self, row: Row) -> Any:
        group, _, version = row.storage_api_version.rpartition("/")
        kept = self.catalog.by_kind(GroupVersionKind(group, version, row.kind))
        return self.catalog.node(kept if kept is not None else row)

    def _versions(self, row: Row) -> Callable[[Object, str], tuple[Object, Any] | None] | None:
        """How managed fields see an object that clients of several versions write."""
        found = [each for each in self.catalog.rows if (each.storage, each.kind) == (row.storage, row.kind)]
        others = {each.api_version: each for each in found}
        if len(others) < 2:
            return None
        own = row.storage_api_version

        def in_version(obj: Object, api_version: str) -> tuple[Object, Any] | None:
            other = others.get(api_version)
            if other is None:
                return None
            kind = self.kind(other)
            made = loads(dumps(obj))
            if made.get("apiVersion", row.api_version) != own:
                made = self.kind(row).from_version(made)
            return kind.in_version(made) if kind.converts else made, kind.node

        return in_version

    def context(self, op: Operation, now: str) -> Context:
        """What a strategy may know of the request."""
        user = op.user
        return Context(now, op.namespace, user.name, user.groups, op.options.dry_run, user.uid, user.extra)


def precondition_conflict(row: Row, namespace: str, name: str, text: str, plural: str = "") -> ApiError:
    """409 with the store's own words (storage.NewInvalidObjError); ``plural`` where the object is not the row's."""
    folder = plural or row.storage
    key = f"/registry/{folder}/{namespace}/{name}" if row.namespaced else f"/registry/{folder}/{name}"
    why = f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {text}"
    return conflict(row.group, plural or row.plural, name, why)
