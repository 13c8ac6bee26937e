"""Deletions that repeat: pods of one template are deleted alike, as their patches come out alike (``update_plans``).

Beyond moving values a deletion reckons with times: it ends its object ``seconds`` from now, or at once where its end, as
much earlier as the grace is shorter, has come (rest.BeforeDelete). Both are in the plan.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Final, NamedTuple

from kcore.api.status import ApiError, success
from kcore.apiserver.operation import Object, Operation, Result
from kcore.apiserver.registry.core import CLOCK_TEXT, Core, Kind
from kcore.apiserver.registry.deleting import Learn, delete_by, seconds_of
from kcore.apiserver.registry.learned import (
    BYTES_MAX,
    DOCUMENT_BYTES_MAX,
    ENTRIES_MAX,
    ONCE_MAX,
    Never,
    compared,
    known_of,
)
from kcore.apiserver.registry.metadata import is_too_large
from kcore.apiserver.registry.seams import Stored
from kcore.apiserver.registry.shelf import Key, Shelf, Sight, StampedView
from kcore.apiserver.registry.stored_form import dumps, loads, splice
from kcore.apiserver.registry.update_plans import VERSION, is_sorted_by_value, names_value
from kcore.apiserver.tracing import Trace
from kcore.apiserver.user import UserInfo
from kcore_native.cacher.members import spans
from kcore_native.cacher.skeleton import Form, pieces_of, skeleton

ENDS_MAX: Final = 64  # texts of times that are remembered


class Ended(NamedTuple):
    """Until when the object of a deletion has been going, and goes on. None: not said.

    ``place`` is where the new one begins in the stored form.
    """

    old: str | None
    new: str | None
    place: int


class DeletePlan:
    """How a deletion comes out: ``form`` is the object while it is going, None where it stays as it is.

    See ``Learned``. ``seconds``: it goes on for so long; ``shortened``: which value its end was, and by how many seconds it comes
    earlier, so that it has come.
    """

    __slots__ = (
        "attempts", "form", "is_sure", "kind", "removes", "returned", "seconds", "shortened", "sight", "size", "used",
        "user", "values",
    )  # fmt: skip

    def __init__(self, kind: Kind, user: UserInfo, values: list[bytes], sight: Sight) -> None:
        self.kind = kind
        self.user = user
        self.values = values
        self.sight = sight
        self.form: Form | None = None
        self.seconds: int | None = None
        self.shortened: tuple[int, int] | None = None
        self.removes = self.returned = self.is_sure = self.used = False
        self.attempts = self.size = 0

    def outcome(self, stored: bytes, values: list[bytes], second: int) -> bytes | None:
        """The stored form of that object while it is going; None where the plan is not for it."""
        if self.shortened is not None:
            place, seconds = self.shortened
            if seconds_of(values[place].decode()) + seconds > second:
                return None
        if self.form is None:
            return stored
        return self.form.filled(values if self.seconds is None else [*values, _end(second + self.seconds)])


@lru_cache(maxsize=ENDS_MAX)
def _end(second: int) -> bytes:
    return time.strftime(CLOCK_TEXT, time.gmtime(second)).encode()


class DeletePlans:
    """See the module. ``planned_count``: the deletions that were made by plan."""

    def __init__(self, view: StampedView) -> None:
        self._view = view
        self.shelf: Shelf[DeletePlan | Never] = Shelf(ENTRIES_MAX, BYTES_MAX, ONCE_MAX)
        self.planned_count = 0

    async def delete(self, core: Core, op: Operation, options: Object) -> Result:
        """As ``deleting.delete_by``."""
        kind = core.kind(op.row)
        body = dumps(options)
        if VERSION in body or not may_be_planned(kind, op):
            return await delete_by(core, op, options)
        namespace = op.namespace if op.row.namespaced else ""
        stored = await core.store.get(op.row, namespace, op.name)
        if stored is None or len(stored.value) > DOCUMENT_BYTES_MAX:
            return await delete_by(core, op, options)
        second, now = int(core.now_seconds()), core.now()
        words = (op.user.name.encode(), namespace.encode())
        found = skeleton(stored.value, body, now.encode(), words)
        if found is None or seconds_of(now) != second:
            return await delete_by(core, op, options)
        key = (found[0], id(kind), namespace, op.user.name)
        plan = known_of(self.shelf, key, kind, op.user, self._view)
        if not isinstance(plan, DeletePlan) or not plan.is_sure:
            learn = self._learning(core, op, options, now, key, plan, stored, found[1])
            return await delete_by(core, op, options, learn)
        data = plan.outcome(stored.value, found[1], second)
        made = None if data is None else await self._planned(core, op, options, plan, stored, data)
        return made if made is not None else await delete_by(core, op, options)

    async def _planned(
        self, core: Core, op: Operation, options: Object, plan: DeletePlan, stored: Stored, data: bytes
    ) -> Result | None:
        """The object is gone or going as the plan says; None where another was faster."""
        row, namespace = op.row, op.namespace if op.row.namespaced else ""
        revision: int | None = stored.revision
        if data != stored.value:
            try:
                revision = await core.store.replace(row, namespace, op.name, data, stored.revision)
            except ApiError as error:
                if not is_too_large(error):
                    raise
                return None
        if revision is None:
            return None
        marked = revision
        if plan.removes:
            revision = await core.store.remove(row, namespace, op.name, revision)
            if revision is None:
                if data == stored.value:
                    return None
                if await core.store.get(row, namespace, op.name) is not None:
                    return await delete_by(core, op, {**options, "gracePeriodSeconds": 0})
                revision = marked
        self.planned_count += 1
        code = 202 if not plan.removes and options.get("orphanDependents") is False else 200
        if plan.returned or plan.kind.returns_deleted:
            return Result(code, splice(data, revision))
        return Result(code, success(row.group, row.plural, op.name, _uid(data)))

    def _learning(
        self, core: Core, op: Operation, options: Object, now: str, key: Key, plan: DeletePlan | Never | None,
        stored: Stored, values: list[bytes],
    ) -> Learn | None:  # fmt: skip
        """Who looks at what comes out; None: nobody."""
        if isinstance(plan, Never) or (plan is None and self.shelf.is_new(key)):
            return None
        kind, trace = core.kind(op.row), Trace()
        op.trace = trace

        def learn(before: bytes, after: bytes, removes: bool, returned: bool) -> None:
            if before != stored.value or op.warnings or op.annotations or core.now() != now:
                return
            made = plan_of(kind, op.user, before, after, options, now, values, trace)
            if made is not None:
                made.removes, made.returned = removes, returned

            def agrees(plan: DeletePlan) -> bool:
                ends_alike = (plan.removes, plan.returned) == (removes, returned)
                return ends_alike and plan.outcome(before, values, seconds_of(now)) == after

            compared(self.shelf, key, made or Never(kind, op.user), agrees, self._view)

        return learn


def may_be_planned(kind: Kind, op: Operation) -> bool:
    """Nothing is done beside, and nobody is warned."""
    is_namespace = not kind.row.group and kind.row.plural == "namespaces"
    return not (
        is_namespace
        or kind.converts
        or kind.hooks.after_delete
        or op.options.dry_run
        or op.warnings
        or op.subresource
    )


def plan_of(
    kind: Kind, user: UserInfo, before: bytes, after: bytes, options: Object, now: str, values: list[bytes],
    trace: Trace,
) -> DeletePlan | None:  # fmt: skip
    """The plan of which that is an outcome; None where there is none."""
    if not trace.follows or trace.drawn or names_value(trace.reads, values):
        return None
    plan = DeletePlan(kind, user, values, Sight(trace.reads))
    if after == before:
        return plan
    ended = ends_of(before, after)
    if ended is None or ended.new is None or is_sorted_by_value(loads(after), values):
        return None
    given = {}
    if ended.old is None:
        plan.seconds = seconds_of(ended.new) - seconds_of(now)
        given[ended.place] = len(values)
    elif ended.old != ended.new:
        left = loads(before)["metadata"].get("deletionGracePeriodSeconds")
        grace = options.get("gracePeriodSeconds")
        if ended.new != now:
            return None
        if left and grace is not None:
            shorter = (1 if grace < 0 else grace) - (1 if left < 0 else left)
            plan.shortened = values.index(ended.old.encode()), shorter
    pieces = pieces_of(after, values, given)
    if pieces is None:
        return None
    plan.form, plan.size = Form(pieces), len(after)
    return plan


def ends_of(before: bytes, after: bytes) -> Ended | None:
    """When the object's deletion ends, before and after; None where that is not found."""
    texts: list[str | None] = []
    place = -1
    for value in (before, after):
        about = spans(value)
        metadata = spans(value, about["metadata"][0]) if about is not None else None
        if metadata is None:
            return None
        found = metadata.get("deletionTimestamp")
        texts.append(None if found is None else value[found[0] + 1 : found[1] - 1].decode())
        place = -1 if found is None else found[0] + 1
    return Ended(texts[0], texts[1], place)


def _uid(value: bytes) -> str:
    about = spans(value)
    metadata = spans(value, about["metadata"][0]) if about is not None else None
    if metadata is None or "uid" not in metadata:
        return ""
    uid: str = loads(value[slice(*metadata["uid"])])
    return uid
