"""Bindings that repeat: a scheduler sends one after the other, which differ in the pod, its uid and the node.

A Binding that says no more than those three is not decoded where an equal one has come through everything before:
it was right, admission let it be as it was, and would see the same now. What admission asked of the node by its name is
asked of the node that is named now, and has to be answered as before (``PodTopologyLabels``: a node with a zone is
another matter, as its pods are labelled). Of the pod no more is looked at than ``binding.spliced`` does.

There is no plan where anything else might count: a dry run, a warning, a plugin that waits or is not ``traceable``, a
Binding with labels, annotations or a resourceVersion, a pod that is bound, gated or on its way out, another body than
JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kcore.apiserver.operation import CREATE, Object, Operation, Result
from kcore.apiserver.registry.binding import bind_pod, bound_at_once
from kcore.apiserver.registry.core import Core, Kind
from kcore.apiserver.registry.learned import BYTES_MAX, ENTRIES_MAX, ONCE_MAX, Never, known_of
from kcore.apiserver.registry.shelf import Key, Shelf, Sight, StampedView
from kcore.apiserver.tracing import Read, Trace
from kcore.apiserver.user import UserInfo
from kcore_native.cacher.naming import SUBDOMAIN, TEXT, Places

PLACES: Final = Places((("metadata.name", SUBDOMAIN), ("metadata.uid", TEXT), ("target.name", SUBDOMAIN)))
BODY_BYTES_MAX: Final = 4 << 10  # larger ones say more
BY_VALUE: Final = "labels"  # the question of a view whose answer is told by what it is
SAID: Final = frozenset({"name", "namespace", "uid"})  # of the metadata of a Binding that says no more


class BindingPlan:
    """A Binding of that kind is right, and admitted as it is; ``asked`` was asked of its node. See ``learned.Known``."""

    __slots__ = ("asked", "kind", "sight", "size", "used", "user")

    def __init__(self, kind: Kind, user: UserInfo, reads: Sequence[Read], node: str) -> None:
        self.kind = kind
        self.user = user
        self.asked = [(read, read.arguments.index(node)) for read in reads if node in read.arguments]
        self.sight = Sight(read for read in reads if node not in read.arguments)
        self.size = 0
        self.used = False

    def admits(self, view: StampedView, node: str) -> bool:
        """Admission would be told of that node what it was told of the other."""
        for read, at in self.asked:
            arguments = (*read.arguments[:at], node, *read.arguments[at + 1 :])
            if getattr(view, read.method)(*arguments) != read.answer:
                return False
        return True


class BindingPlans:
    """See the module. ``planned_count``: the bindings that were made by plan."""

    def __init__(self, view: StampedView) -> None:
        self._view = view
        self.shelf: Shelf[BindingPlan | Never] = Shelf(ENTRIES_MAX, BYTES_MAX, ONCE_MAX)
        self.planned_count = 0

    async def bind(
        self, core: Core, op: Operation, form: str, body: bytes, read: Callable[[], Object]
    ) -> Result:
        """As ``binding.bind_pod`` of the Binding that ``read`` makes of the body."""
        kind = core.kind(op.row)
        if op.options.dry_run or op.warnings or len(body) > BODY_BYTES_MAX:
            return await bind_pod(core, op, read())
        found = PLACES.cut(body)
        if found is None:
            return await bind_pod(core, op, read())
        rest, (name, uid, node) = found
        if not node or name.decode() != op.name:
            return await bind_pod(core, op, read())
        key = (rest, form, op.namespace, op.user.name, op.options.field_validation)
        plan = known_of(self.shelf, key, kind, op.user, self._view)
        if not isinstance(plan, BindingPlan):
            return await self._learned(core, op, key, node.decode(), read, is_new=plan is None)
        if plan.admits(self._view, node.decode()):
            op.verb = CREATE
            result = await bound_at_once(core, op, kind, uid, node)
            if result is not None:
                self.planned_count += 1
                return result
        return await bind_pod(core, op, read())

    async def _learned(
        self, core: Core, op: Operation, key: Key, node: str, read: Callable[[], Object], *, is_new: bool
    ) -> Result:
        """By the general path; how it went may be the beginning of a plan."""
        binding = read()
        if not is_new or self.shelf.is_new(key) or not _says_no_more(binding):
            return await bind_pod(core, op, binding)
        trace = op.trace = Trace()
        result = await bind_pod(core, op, binding)
        if op.warnings or op.annotations or not trace.follows or trace.drawn or not _says_no_more(binding):
            return result  # and is looked at anew the next time
        kind = core.kind(op.row)
        own = {op.name, binding["metadata"].get("uid", "")}
        if any(
            not own.isdisjoint(read.arguments)
            or read.arguments.count(node) > 1
            or (node in read.arguments and read.method != BY_VALUE)
            for read in trace.reads
        ):
            self.shelf.keep(key, Never(kind, op.user))
            return result
        plan = BindingPlan(kind, op.user, trace.reads, node)
        if plan.sight.is_the_same(self._view) and plan.admits(self._view, node):
            self.shelf.keep(key, plan)
        return result


def _says_no_more(binding: Object) -> bool:
    metadata = binding.get("metadata")
    return isinstance(metadata, dict) and metadata.keys() <= SAID
