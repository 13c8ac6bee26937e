"""Patches that repeat: what a kubelet says of one pod it says of the next, of another pod at another time.

The stored object and the patch are read as one text without the values that are the object's own: times, addresses,
networks, uids, the ids of containers, its name and its node's (``kcore_native.cacher.skeleton``). Equal skeletons have
equal values in the same places, and times and addresses in the same order. An update moves such values about, asks whether two are
equal and which is earlier; a kind of which that is true says so (``Strategy.moves_values``). So two patches of one
skeleton come out alike but for the values, each of which stands in both results where it stood in one.

The first patches of a skeleton go through everything. Where the third came out as the second says, the next is those
bytes with other values in them. What admission saw of the cluster is looked at again each time, as for creates (``plans``).

A patch that says which version the object has is one of that skeleton without it, where the object has that version.

There is no plan where anything else might count: a dry run, a warning, a plugin that waits or is not ``traceable``, or
that asked for something by a value's name; a result with a time, an address or a uid that was not there before; fields
that are sorted by such a value and by something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from kcore.api.status import ApiError
from kcore.apiserver.operation import UPDATE, Object, Operation, Result, Written
from kcore.apiserver.registry.core import Core, Kind
from kcore.apiserver.registry.learned import (
    BYTES_MAX,
    DOCUMENT_BYTES_MAX,
    ENTRIES_MAX,
    ONCE_MAX,
    Never,
    compared,
    known_of,
)
from kcore.apiserver.registry.managers import manager_of
from kcore.apiserver.registry.metadata import is_too_large
from kcore.apiserver.registry.seams import Stored
from kcore.apiserver.registry.shelf import Key, Shelf, Sight, StampedView
from kcore.apiserver.registry.stored_form import loads, splice
from kcore.apiserver.registry.updating import Write, write
from kcore.apiserver.tracing import Read, Trace
from kcore.apiserver.user import UserInfo
from kcore_native.cacher.skeleton import Form, is_address, pieces_of, skeleton

VERSION: Final = b"resourceVersion"
FROM: Final = b'"from"'
JSON_PATCH: Final = "application/json-patch+json"
MERGES: Final = ("application/merge-patch+json", "application/strategic-merge-patch+json")
VERSION_MEMBER: Final = re.compile(rb'"resourceVersion":"([1-9][0-9]{0,18})"')
SWAPS_MAX: Final = 3  # attempts by plan against other writers


class UpdatePlan:
    """How a patch comes out: ``form`` is the object then, None where it stays as it is. See ``Learned``."""

    __slots__ = ("attempts", "form", "is_sure", "kind", "sight", "size", "used", "user", "values")

    def __init__(
        self, kind: Kind, user: UserInfo, form: Form | None, size: int, sight: Sight, values: list[bytes]
    ) -> None:
        self.kind = kind
        self.user = user
        self.form = form
        self.size = size
        self.sight = sight
        self.values = values
        self.is_sure = False
        self.attempts = 0
        self.used = False

    def outcome(self, stored: bytes, values: list[bytes]) -> bytes:
        """The stored form of that object after the patch."""
        return stored if self.form is None else self.form.filled(values)


class UpdatePlans:
    """See the module. ``planned_count``: the patches that were made by plan."""

    def __init__(self, view: StampedView) -> None:
        self._view = view
        self.shelf: Shelf[UpdatePlan | Never] = Shelf(ENTRIES_MAX, BYTES_MAX, ONCE_MAX)
        self.planned_count = 0

    async def patch(
        self, core: Core, op: Operation, form: str, body: bytes, change: Callable[[], Write]
    ) -> Result:
        """As ``updating.write`` of the change that ``change`` makes of the patch ``body`` of that form."""
        kind = core.kind(op.row)
        asked = demand_of(form, body)
        if asked is None or not may_be_planned(kind, op):
            return await write(core, change())
        namespace = op.namespace if op.row.namespaced else ""
        manager, options = manager_of(op.options), op.options
        words = (op.user.name.encode(), manager.encode(), namespace.encode(), op.subresource.encode())
        for _ in range(SWAPS_MAX):
            stored = await core.store.get(op.row, namespace, op.name)
            if stored is None or len(stored.value) > DOCUMENT_BYTES_MAX:
                break
            if asked.revision and asked.revision != stored.revision:
                break
            now = core.now()
            found = skeleton(stored.value, asked.text, now.encode(), words)
            if found is None:
                break
            key = (
                found[0], id(kind), op.subresource, form, namespace, op.user.name, manager, options.field_validation,
                options.force,
            )  # fmt: skip
            plan = known_of(self.shelf, key, kind, op.user, self._view)
            if not isinstance(plan, UpdatePlan) or not plan.is_sure:
                return await write(core, self._learning(change(), now, key, plan, stored, found[1]))
            try:
                result = await self._planned(core, op, plan, stored, found[1])
            except ApiError as error:
                if not is_too_large(error):
                    raise
                break
            if result is not None:
                return result
        return await write(core, change())

    async def _planned(
        self, core: Core, op: Operation, plan: UpdatePlan, stored: Stored, values: list[bytes]
    ) -> Result | None:
        """The object is written as the plan says; None where another was faster."""
        data = plan.outcome(stored.value, values)
        revision: int | None = stored.revision
        if plan.form is not None:
            namespace = op.namespace if op.row.namespaced else ""
            revision = await core.store.replace(op.row, namespace, op.name, data, stored.revision)
        if revision is None:
            return None
        op.verb = UPDATE
        self.planned_count += 1
        return Written(200, data, revision, splice)

    def _learning(
        self,
        change: Write,
        now: str,
        key: Key,
        plan: UpdatePlan | Never | None,
        stored: Stored,
        values: list[bytes],
    ) -> Write:
        """The change for the general path; what comes out may be the beginning of a plan."""
        if isinstance(plan, Never) or (plan is None and self.shelf.is_new(key)) or change.now != now:
            return change
        op, kind, trace = change.op, change.kind, Trace()

        def learn(before: bytes, after: bytes) -> None:
            if before == stored.value and change.owns and not op.warnings and not op.annotations:
                made = plan_of(kind, op.user, before, after, values, trace)
                compared(
                    self.shelf, key, made or Never(kind, op.user),
                    lambda plan: plan.outcome(before, values) == after, self._view,
                )  # fmt: skip

        op.trace, change.learn = trace, learn
        return change


def may_be_planned(kind: Kind, op: Operation) -> bool:
    """The kind says of such an update that it moves values, and nothing is asked beside."""
    return (
        op.subresource in kind.strategy.moves_values
        and not kind.converts
        and kind.hooks.begin_update is None
        and not op.options.dry_run
        and not op.warnings
    )


class Demand(NamedTuple):
    """A patch without the revision that the object is to have; 0: any."""

    text: bytes
    revision: int


def demand_of(form: str, body: bytes) -> Demand | None:
    """What is asked; None where it is much, where parts of the object are copied, or where a version may mean more."""
    if len(body) > DOCUMENT_BYTES_MAX or (form == JSON_PATCH and FROM in body):
        return None
    if VERSION not in body:
        return Demand(body, 0)
    found = VERSION_MEMBER.search(body)
    if form not in MERGES or found is None or body.count(VERSION) != 1:
        return None
    return Demand(body[: found.start(1)] + body[found.end(1) :], int(found[1]))


def plan_of(
    kind: Kind, user: UserInfo, before: bytes, after: bytes, values: list[bytes], trace: Trace
) -> UpdatePlan | None:
    """The plan of which that is an outcome; None where there is none."""
    if not trace.follows or trace.drawn or not after or names_value(trace.reads, values):
        return None
    form = None
    if after != before:
        pieces = pieces_of(after, values, {})
        if pieces is None or is_sorted_by_value(loads(after), values):
            return None
        form = Form(pieces)
    return UpdatePlan(kind, user, form, len(after) if form else 0, Sight(trace.reads), values)


def names_value(reads: Iterable[Read], values: Iterable[bytes]) -> bool:
    """True where something was asked for by a value's name."""
    names = {value.decode() for value in values}
    return any(argument in names for read in reads for argument in read.arguments)


def is_sorted_by_value(obj: Object, values: Iterable[bytes]) -> bool:
    """True where another value might stand in another place among the owned fields.

    Siblings that differ in one address alone stand in the order of those, which the skeleton has.
    """
    known = {value.decode() for value in values}
    return any(
        _sorts_by_value(entry.get("fieldsV1"), known) for entry in obj["metadata"].get("managedFields") or ()
    )


def _sorts_by_value(fields: Any, known: set[str]) -> bool:
    if not isinstance(fields, dict):
        return False
    items = [name for name in fields if name[:2] in ("k:", "v:")]
    if len(items) > 1:
        masked = [_masked(loads(name[2:]), known) for name in items]
        if any(each[1] for each in masked) and not all(each == masked[0] and each[2] for each in masked):
            return True
    return any(_sorts_by_value(each, known) for each in fields.values())


def _masked(item: Any, known: set[str]) -> tuple[Any, int, bool]:
    """The key or value without the values in it, how many they are, and whether it is one address."""
    if isinstance(item, dict):
        parts = {name: _masked(each, known) for name, each in item.items()}
        count = sum(each[1] for each in parts.values())
        return parts, count, count == 1 and all(each[2] or not each[1] for each in parts.values())
    if not isinstance(item, str) or item not in known:
        return item, 0, False
    return "", 1, is_address(item.encode())
