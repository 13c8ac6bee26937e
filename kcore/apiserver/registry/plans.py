"""Creates that repeat: most objects are made from a template, and differ in nothing but their name.

Events differ also in whom they are about, in what they say, and when (``Strategy.free_texts``).

The first creates of a template go through everything. Where the second and the third came out alike but for name, uid,
times, free texts and the random end of the token volume's name, the next is those bytes with other values in them:
nothing is decoded, defaulted, converted, admitted, validated or encoded. Of the first no more is kept than that it was
there. What decides how a create comes out is the key (the body without the name and the free texts, who asks, how and
where), what admission saw of the cluster, which is looked at again each time, and chance.

There is no plan where anything else might count: a dry run, a warning, an allocation, a plugin that waits (for the store,
a quota, a webhook) or is not ``traceable``, a name or a text of another form, a kind of which ``Strategy.only_named``
does not say that nothing depends on such a name. A quota is counted by a plugin that waits, and so each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kcore.api.status import ApiError
from kcore.apiserver.operation import CREATE, Object, Operation, Result, Written
from kcore.apiserver.registry import creating
from kcore.apiserver.registry.core import Core, Kind
from kcore.apiserver.registry.learned import Never, known_of
from kcore.apiserver.registry.managers import manager_of
from kcore.apiserver.registry.metadata import generate_name, is_too_large
from kcore.apiserver.registry.pieces import Pieces, Places, Undecided, Unlike, Values, pieces_of
from kcore.apiserver.registry.shelf import Key, Shelf, Sight, StampedView
from kcore.apiserver.registry.stored_form import loads
from kcore.apiserver.tracing import Trace
from kcore.apiserver.user import UserInfo, is_label
from kcore_native.cacher.naming import without_name_protobuf
from kcore_native.cacher.skeleton import Form

ENTRIES_MAX: Final = 512  # templates that are known at one time; what was not used for longest is forgotten
BYTES_MAX: Final = 4 << 20  # of their keys and objects together
ONCE_MAX: Final = 4096  # templates that were seen once
BODY_BYTES_MAX: Final = 64 << 10  # larger ones are made anew each time
ATTEMPTS_MAX: Final = 3  # to find two creates alike, before it is taken that there are none

JSON: Final = "json"
LOCAL: Final = "local"  # JSON of a caller in this process, read by other rules than a request's
PROTOBUF: Final = "protobuf"


class Sample:
    """A create as the general path made it. ``texts`` were cut out of the body: the name ("" was generated) and others."""

    __slots__ = (
        "attempts",
        "kind",
        "now",
        "sight",
        "size",
        "stored",
        "texts",
        "trace",
        "used",
        "user",
        "waits",
    )

    def __init__(
        self, kind: Kind, user: UserInfo, texts: Sequence[bytes], now: str, trace: Trace, stored: bytes
    ) -> None:
        self.kind = kind
        self.user = user
        self.texts = texts
        self.now = now
        self.trace = trace
        self.sight = Sight(())  # the next may see something else
        self.stored = stored
        self.size = len(stored)
        self.attempts = 0
        self.waits = False  # for one that is made at another time
        self.used = False

    def taken_apart(self) -> tuple[Object, Values]:
        """The stored object, and what belongs to it alone."""
        obj = loads(self.stored)
        metadata = obj["metadata"]
        given = tuple(loads(b'"%s"' % text) for text in self.texts[1:])
        return obj, Values(metadata["name"], metadata["uid"], self.now, tuple(self.trace.drawn), given)

    def values(self) -> list[bytes]:
        """The same as they stand in JSON, in the order of ``Values``."""
        own = self.taken_apart()[1]._replace(given=())
        return [*(value.encode() for value in own.in_order()), *self.texts[1:]]


class Plan:
    """How a create comes out. ``base`` is what names are generated from; ``sight`` is what admission saw."""

    __slots__ = ("base", "drawn_count", "form", "kind", "sight", "size", "used", "user")

    def __init__(self, sample: Sample, pieces: Pieces, base: str) -> None:
        self.kind = sample.kind
        self.user = sample.user
        self.form = Form(pieces)
        self.base = base
        self.drawn_count = len(sample.trace.drawn)
        self.sight = Sight(sample.trace.reads)
        self.size = sample.size
        self.used = False


class Plans:
    """See the module. ``planned_count``: the creates that were made by plan."""

    def __init__(self, view: StampedView) -> None:
        self._view = view
        self.shelf: Shelf[Sample | Plan | Never] = Shelf(ENTRIES_MAX, BYTES_MAX, ONCE_MAX)
        self.planned_count = 0

    def __len__(self) -> int:
        return len(self.shelf)

    async def create(
        self, core: Core, op: Operation, form: str, body: bytes, read: Callable[[], Object]
    ) -> Result:
        """As ``creating.create`` of the object that ``read`` makes of the body."""
        kind = core.kind(op.row)
        options = op.options
        if not _may_be_planned(kind, op) or len(body) > BODY_BYTES_MAX:
            return await creating.create(core, op, read())
        found = without_name_protobuf(body) if form == PROTOBUF else kind.places.cut(body)
        if found is None:
            return await creating.create(core, op, read())
        rest, texts = found
        key = (
            rest, id(kind), op.namespace, op.user.name, manager_of(options), options.field_validation, form, not texts[0],
        )  # fmt: skip
        entry = known_of(self.shelf, key, kind, op.user, self._view)
        if isinstance(entry, Plan):
            result = await self._planned(core, op, entry, texts)
            return result if result is not None else await creating.create(core, op, read())
        if isinstance(entry, Never) or (entry is None and self.shelf.is_new(key)):
            return await creating.create(core, op, read())
        return await self._learned(core, op, key, texts, read)

    async def _planned(self, core: Core, op: Operation, plan: Plan, texts: Sequence[bytes]) -> Result | None:
        """The object is stored; None where the general path has to see to it. ApiError 409."""
        chance = core.chance
        now = core.now()
        drawn = [chance.suffix().encode() for _ in range(plan.drawn_count)]
        uid = chance.uid()
        name = texts[0].decode()
        generated = not name
        if generated:
            name = generate_name(plan.base, chance.suffix())
        row, namespace = op.row, op.namespace if op.row.namespaced else ""
        data = plan.form.filled([name.encode(), uid.encode(), now.encode(), *drawn, *texts[1:]])
        try:
            revision = await core.store.create(row, namespace, name, data)
        except ApiError as error:
            if not is_too_large(error):
                raise
            return None
        if revision is None:
            if generated:
                return None  # it tries further names
            op.verb, op.name = CREATE, name
            raise await creating.taken(core, op, namespace, name, generated=False)
        op.verb, op.name = CREATE, name
        self.planned_count += 1
        return Written(201, data, revision, plan.kind.answer)

    async def _learned(
        self, core: Core, op: Operation, key: Key, texts: Sequence[bytes], read: Callable[[], Object]
    ) -> Result:
        """By the general path; what came out may be the beginning of a plan."""
        kind = core.kind(op.row)
        now = core.now()
        obj = read()
        owned = "managedFields" in (obj.get("metadata") or ())
        trace = op.trace = Trace()
        result = await creating.create(core, op, obj)
        if owned or op.warnings or op.annotations or not trace.follows or not isinstance(result, Written):
            return result  # and is looked at anew the next time
        if now == core.now():  # else which of the two seconds counts is not known
            self._compared(key, Sample(kind, op.user, texts, now, trace, result.stored))
        return result

    def _compared(self, key: Key, sample: Sample) -> None:
        """The sample, and one before it where there is one, is what is known of the key."""
        before = self.shelf.get(key)
        if before is None:
            self.shelf.keep(key, sample)
        if not isinstance(before, Sample) or (before.waits and before.now == sample.now):
            return
        made: Sample | Plan | Never
        try:
            made = _plan_of(before, sample)
        except Undecided:
            before.waits = True
            return
        except Unlike:
            sample.attempts = before.attempts + 1
            made = sample if sample.attempts < ATTEMPTS_MAX else Never(sample.kind, sample.user)
        else:
            if not made.sight.is_the_same(self._view):
                made = sample
        self.shelf.keep(key, made)


def _may_be_planned(kind: Kind, op: Operation) -> bool:
    return (
        kind.strategy.only_named is not None
        and kind.hooks.begin_create is None
        and not op.subresource
        and not op.name
        and not op.options.dry_run
        and not op.warnings
    )


def _plan_of(one: Sample, other: Sample) -> Plan:
    """The plan of which both are outcomes; Unlike, Undecided."""
    (first, its), (second, others) = one.taken_apart(), other.taken_apart()
    for sample, values in ((one, its), (other, others)):
        name = sample.texts[0].decode()
        if name != values.name if name else not is_label(values.name):
            raise Unlike
    only_named = other.kind.strategy.only_named
    if only_named is None or not only_named(second):
        raise Unlike
    base = "" if other.texts[0] else second["metadata"].get("generateName", "")
    plan = Plan(other, pieces_of(first, second, its, others, _places(other)), base)
    for sample in (one, other):
        if plan.form.filled(sample.values()) != sample.stored:
            raise Unlike
    return plan


def _places(sample: Sample) -> Places:
    """Where its free texts stand in the stored object."""
    stored = {each.at: each.stored for each in sample.kind.strategy.free_texts}
    given = zip(sample.kind.places.paths[1:], sample.texts[1:], strict=False)  # a body in protobuf gives none
    return {tuple(stored[path].split(".")): which for which, (path, text) in enumerate(given) if text}
