"""etcd's keys as a sequential object, for the check of histories: what each answer says must fit one order.

A state is ``(revision, registers)``. The store's revision is only known from below, since other parts of the history
raise it too; every answer that gives one must be at least that, and a write's greater. A register is None (no such key)
or ``(value, create_revision, mod_revision, version, lease)``. A write of unknown outcome has an unknown revision: it
stands negated, as the least it can be, until an answer shows the key.

Transactions and ranges may touch several keys: these then are one part. Serializable reads do not belong here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import cast

from kcore.store.kv import (
    FROM_KEY,
    Compare,
    DeleteOp,
    DeleteResult,
    KeyValue,
    Op,
    PutOp,
    PutResult,
    RangeOp,
    RangeResult,
    Relation,
    Result,
    Target,
    TxnOp,
    TxnResult,
)
from tests.simulation.history import Operation

Register = tuple[bytes, int, int, int, int]
Registers = tuple[tuple[bytes, Register | None], ...]
State = tuple[int, Registers]


def keys_of(request: Op, known: Sequence[bytes]) -> set[bytes]:
    """The keys that the request names, and those of ``known`` inside its ranges."""
    if isinstance(request, TxnOp):
        found = {compare.key for compare in request.compares}
        for inner in (*request.success, *request.failure):
            found |= keys_of(inner, known)
        return found
    end = getattr(request, "end", None)
    if end is None:
        return {request.key}
    return {key for key in known if key >= request.key and (end == FROM_KEY or key < end)}


class Etcd:
    """The model of one history."""

    def __init__(self) -> None:
        self._revealed: dict[
            int, int
        ] = {}  # id of an operation of unknown outcome -> its revision, which others saw
        self._taken: set[int] = set()  # revisions of writes that have a result or were seen
        self._end = 2  # the first revision above all of them
        self._gaps: list[int] = []  # revisions between them, for those that nobody saw
        self._unseen: dict[int, Hashable] = {}  # the same -> what it is but for the values that nobody saw

    def parts(self, operations: Iterable[Operation]) -> Iterator[tuple[Hashable, Sequence[Operation]]]:
        """Operations grouped by the keys that they share, directly or through others; parts named by their keys."""
        operations = list(operations)
        known = sorted({key for operation in operations for key in keys_of(operation.request, ())})
        above: dict[bytes, bytes] = {key: key for key in known}

        def root(key: bytes) -> bytes:
            while above[key] != key:
                above[key] = above[above[key]]
                key = above[key]
            return key

        touched = [sorted(keys_of(operation.request, known)) for operation in operations]
        for keys in touched:
            for key in keys[1:]:
                above[root(key)] = root(keys[0])
        groups: dict[bytes, list[Operation]] = {}
        for operation, keys in zip(operations, touched, strict=True):
            if keys:
                groups.setdefault(root(keys[0]), []).append(operation)
        members: dict[bytes, list[bytes]] = {}
        for key in known:
            members.setdefault(root(key), []).append(key)
        for group in groups.values():
            self._reveal(group)
        self._end = max(self._taken, default=1) + 1
        self._gaps = [revision for revision in range(2, self._end) if revision not in self._taken]
        for name, group in groups.items():
            yield tuple(members[name]), group

    def _reveal(self, operations: Sequence[Operation]) -> None:
        """Finds the revisions of writes of unknown outcome whose values others saw; a value must be of one write."""
        writers: dict[bytes, int] = {}
        for operation in operations:
            for value in _values(operation.request):
                writers[value] = writers.get(value, 0) + 1
        unique = {value for value, count in writers.items() if count == 1 and value}
        shown: dict[bytes, int] = {}
        for operation in operations:
            shown.update(_compared(operation.request))
        for operation in operations:
            if operation.result is not None:
                shown.update((kv.value, kv.mod_revision) for kv in _kvs(operation.result))
        for operation in operations:
            if _took_revision(operation):
                self._taken.add(_revision(operation))
            if operation.result is None:
                unseen = set()
                for value in unique.intersection(_values(operation.request)):
                    if revision := shown.get(value):
                        self._revealed[id(operation)] = revision
                        self._taken.add(revision)
                    elif value not in shown:
                        unseen.add(value)
                self._unseen[id(operation)] = _shape(operation.request, unseen)

    def _free(self, least: int) -> int:
        """The least revision above ``least`` that a write can have which nobody saw."""
        place = bisect_right(self._gaps, least)
        return self._gaps[place] if place < len(self._gaps) else max(least + 1, self._end)

    def rank(self, operation: Operation) -> int:
        """The revision, where it is known."""
        if operation.result is None:
            return self._revealed.get(id(operation), 0)
        return operation.result.revision

    def room(self, state: Hashable, rank: int) -> bool:
        """Whether a revision lies between that nobody is known to have taken."""
        return self._free(cast(State, state)[0]) <= rank

    def kind(self, operation: Operation) -> Hashable:
        """The request but for values that nobody saw."""
        return self._unseen[id(operation)]

    def initial(self, part: Hashable) -> State:
        """No key is there, at revision 1."""
        return 1, tuple((key, None) for key in cast(tuple[bytes, ...], part))

    def step(self, state: Hashable, operation: Operation) -> Iterator[State]:
        """The states that the operation may leave; more than one where it is unknown what it saw."""
        least, registers = cast(State, state)
        request, result = operation.request, operation.result
        for branch in _branches(request, result, dict(registers), self._taken):
            writes = _writes(branch, dict(registers))
            if result is None:
                revision = self._revealed.get(id(operation), -self._free(least)) if writes else -least
                if 0 < revision <= least:
                    continue
            else:
                revision = result.revision
                if revision < least + writes:
                    continue
            after = dict(registers)
            seen = None if result is None else _seen(request, result)
            if _run(branch, seen, after, revision):
                yield abs(revision), tuple((key, after[key]) for key, _ in registers)


def _values(request: Op) -> Iterator[bytes]:
    """The values that the request may write."""
    if isinstance(request, PutOp):
        yield request.value
    elif isinstance(request, TxnOp):
        for inner in (*request.success, *request.failure):
            yield from _values(inner)


def _compared(request: Op) -> dict[bytes, int]:
    """Values that the request compares with: they count as seen, though it is not known at which revision."""
    if not isinstance(request, TxnOp):
        return {}
    return {compare.operand: 0 for compare in request.compares if isinstance(compare.operand, bytes)}


def _kvs(result: Result) -> Iterator[KeyValue]:
    """The keys that the result shows with their values."""
    if isinstance(result, RangeResult):
        yield from (kv for kv in result.kvs if kv.value)
    elif isinstance(result, PutResult):
        if result.previous is not None:
            yield result.previous
    elif isinstance(result, DeleteResult):
        yield from result.previous
    else:
        for inner in result.results:
            yield from _kvs(inner)


def _shape(request: Op, unseen: set[bytes]) -> Hashable:
    """The request with all values of ``unseen`` made one."""
    if isinstance(request, PutOp):
        return request._replace(value=b"") if request.value in unseen else request
    if isinstance(request, TxnOp):
        return (
            tuple(request.compares),
            tuple(_shape(inner, unseen) for inner in request.success),
            tuple(_shape(inner, unseen) for inner in request.failure),
        )
    return request


def _branches(
    request: Op, result: Result | None, registers: dict[bytes, Register | None], taken: set[int]
) -> Iterator[Sequence[Op]]:
    """The operations that the request may come to."""
    if not isinstance(request, TxnOp):
        yield (request,)
        return
    holds: bool | None = True
    for compare in request.compares:
        held = _holds(compare, registers[compare.key], taken)
        if held is False:
            holds = False
            break
        if held is None:
            holds = None
    for taken, branch in ((True, request.success), (False, request.failure)):
        if holds is not (not taken) and (result is None or cast(TxnResult, result).succeeded == taken):
            yield branch


def _holds(compare: Compare, register: Register | None, taken: set[int]) -> bool | None:
    """Whether the comparison holds; None where it depends on a revision that is not known."""
    value, create, mod, version, lease = register or (b"", 0, 0, 0, 0)
    actual: int | bytes = {
        Target.VERSION: version,
        Target.CREATE: create,
        Target.MOD: mod,
        Target.VALUE: value,
        Target.LEASE: lease,
    }[compare.target]
    if compare.target == Target.VALUE and register is None:
        return False  # etcd: a key that is not there has no value to compare
    if isinstance(actual, int) and actual < 0:
        if compare.relation != Relation.EQUAL:
            return None
        # a revision that is not known is none of those that somebody saw
        return False if compare.operand in taken or cast(int, compare.operand) < -actual else None
    operand = compare.operand
    if compare.relation == Relation.EQUAL:
        return actual == operand
    if compare.relation == Relation.NOT_EQUAL:
        return actual != operand
    if compare.relation == Relation.GREATER:
        return actual > operand  # type: ignore[operator]
    return actual < operand  # type: ignore[operator]


def _writes(branch: Sequence[Op], registers: dict[bytes, Register | None]) -> bool:
    """Whether the operations change anything, and so take a revision."""
    return any(
        isinstance(op, PutOp)
        or (isinstance(op, DeleteOp) and any(registers[key] for key in keys_of(op, sorted(registers))))
        for op in branch
    )


def _seen(request: Op, result: Result) -> Sequence[Result]:
    """The results of the operations of the branch that was taken."""
    return cast(TxnResult, result).results if isinstance(request, TxnOp) else (result,)


def _run(
    branch: Sequence[Op],
    seen: Sequence[Result] | None,
    registers: dict[bytes, Register | None],
    revision: int,
) -> bool:
    """Does the operations on the registers; False where a result says other than what the registers do."""
    if seen is not None and len(seen) != len(branch):
        return False
    for number, op in enumerate(branch):
        result = None if seen is None else seen[number]
        if isinstance(op, RangeOp):
            if result is not None and not _ranged(op, cast(RangeResult, result), registers):
                return False
        elif isinstance(op, PutOp):
            if not _put(op, cast(PutResult | None, result), registers, revision):
                return False
        elif isinstance(op, DeleteOp):
            if not _deleted(op, cast(DeleteResult | None, result), registers):
                return False
        else:
            raise TypeError(f"the model knows no nested transactions: {op}")
    return True


def _ranged(op: RangeOp, result: RangeResult, registers: dict[bytes, Register | None]) -> bool:
    """Whether the range shows the registers; what it shows of unknown revisions is known from then on."""
    keys = sorted(key for key in keys_of(op, sorted(registers)) if registers[key])
    if result.count != len(keys):
        return False
    if op.count_only:
        return True
    shown = keys[: op.limit] if op.limit else keys
    return len(result.kvs) == len(shown) and all(
        kv.key == key and _shown(kv, registers, values=not op.keys_only)
        for key, kv in zip(shown, result.kvs, strict=True)
    )


def _shown(kv: KeyValue, registers: dict[bytes, Register | None], *, values: bool = True) -> bool:
    """Whether ``kv`` is the key's register; takes revisions over that were not known."""
    register = registers[kv.key]
    if register is None:
        return False
    value, create, mod, version, lease = register
    if (values and kv.value != value) or kv.version != version or kv.lease != lease:
        return False
    if not (_may_be(create, kv.create_revision) and _may_be(mod, kv.mod_revision)):
        return False
    if version == 1 and kv.create_revision != kv.mod_revision:
        return False
    registers[kv.key] = (value, kv.create_revision, kv.mod_revision, version, lease)
    return True


def _may_be(revision: int, shown: int) -> bool:
    """Whether a revision, perhaps known from below only, can be the one shown."""
    return shown == revision if revision >= 0 else shown >= -revision


def _put(op: PutOp, result: PutResult | None, registers: dict[bytes, Register | None], revision: int) -> bool:
    """Writes the register; False where the previous one was asked for and is another."""
    if result is not None and op.prev_kv:
        if (result.previous is None) != (registers[op.key] is None):
            return False
        if result.previous is not None and not _shown(result.previous, registers):
            return False
    before = registers[op.key]
    create, version = (before[1], before[3] + 1) if before else (revision, 1)
    registers[op.key] = (op.value, create, revision, version, op.lease)
    return True


def _deleted(op: DeleteOp, result: DeleteResult | None, registers: dict[bytes, Register | None]) -> bool:
    """Removes the registers; False where the result counts or shows others."""
    keys = sorted(key for key in keys_of(op, sorted(registers)) if registers[key])
    if result is not None:
        if result.deleted != len(keys):
            return False
        if op.prev_kv and not (
            [kv.key for kv in result.previous] == keys
            and all(_shown(kv, registers) for kv in result.previous)
        ):
            return False
    for key in keys:
        registers[key] = None
    return True


def out_of_order(history: Iterable[Operation]) -> str:
    """What of the revisions contradicts the clock, across all keys; empty where nothing does.

    A write's revision is its own, and greater than all that had been answered before it was called; a read's is at
    least that. (This is what a check key by key cannot see.)
    """
    answered = sorted(
        (
            operation
            for operation in history
            if operation.result is not None and operation.returned is not None
        ),
        key=lambda operation: operation.returned or 0,
    )
    called = sorted(answered, key=lambda operation: operation.call)
    latest: Operation | None = None
    writers: dict[int, Operation] = {}
    done = 0
    for operation in called:
        while done < len(answered) and (answered[done].returned or 0) < operation.call:
            if latest is None or _revision(answered[done]) > _revision(latest):
                latest = answered[done]
            done += 1
        wrote = _took_revision(operation)
        if latest is not None and _revision(operation) < _revision(latest) + wrote:
            return f"older than what was answered before it:\n  {latest}\n  {operation}"
        if wrote:
            if (other := writers.setdefault(_revision(operation), operation)) is not operation:
                return f"two writes of one revision:\n  {other}\n  {operation}"
    return ""


def _revision(operation: Operation) -> int:
    return operation.result.revision if operation.result is not None else 0


def _took_revision(operation: Operation) -> bool:
    """Whether the answer says that something was written."""
    if operation.result is None:
        return False
    results = _seen(operation.request, operation.result)
    return any(
        isinstance(one, PutResult) or (isinstance(one, DeleteResult) and one.deleted) for one in results
    )
