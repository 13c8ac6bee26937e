"""The judge of histories is right on histories whose verdict is known, and on small ones agrees with its slow twin."""

from __future__ import annotations

import random

import pytest

from kcore.store.kv import (
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
from tests.naive import linearizable as naive
from tests.simulation.history import History, Operation
from tests.simulation.linearizable import Undecided, violation
from tests.simulation.model import Etcd, out_of_order

pytestmark = pytest.mark.differential

K = b"k"


def kv(value: bytes, create: int, mod: int, version: int, key: bytes = K) -> KeyValue:
    return KeyValue(key, value, create, mod, version)


def read(revision: int, *kvs: KeyValue) -> RangeResult:
    return RangeResult(revision, list(kvs), len(kvs))


def history(*rows: tuple[int, int | None, Op, Result | None]) -> list[Operation]:
    return [
        Operation(client, call, request, returned, result)
        for client, (call, returned, request, result) in enumerate(rows)
    ]


def cas(mod: int, value: bytes) -> TxnOp:
    compare = Compare(Target.MOD, Relation.EQUAL, K, mod)
    return TxnOp((compare,), (PutOp(K, value),), (RangeOp(K),))


GOOD = {
    "one after the other": history(
        (1, 2, PutOp(K, b"a"), PutResult(2)),
        (3, 4, RangeOp(K), read(2, kv(b"a", 2, 2, 1))),
        (5, 6, DeleteOp(K), DeleteResult(3, 1, [])),
        (7, 8, RangeOp(K), read(3)),
    ),
    "a read beside a write sees it or not": history(
        (1, 10, PutOp(K, b"a"), PutResult(2)),
        (2, 4, RangeOp(K), read(1)),
        (5, 6, RangeOp(K), read(2, kv(b"a", 2, 2, 1))),
    ),
    "a lost write happens much later": history(
        (1, None, PutOp(K, b"a"), None),
        (2, 3, RangeOp(K), read(1)),
        (4, 5, PutOp(K, b"b"), PutResult(2)),
        (6, 7, RangeOp(K), read(2, kv(b"b", 2, 2, 1))),
        (8, 9, RangeOp(K), read(3, kv(b"a", 2, 3, 2))),
    ),
    "a lost write is seen by its version only": history(
        (1, None, PutOp(K, b"a"), None),
        (2, 3, PutOp(K, b"b"), PutResult(3)),
        (4, 5, RangeOp(K), read(3, kv(b"b", 2, 3, 2))),
    ),
    "one of two compare-and-swaps wins": history(
        (1, 9, cas(0, b"a"), TxnResult(2, True, [PutResult(2)])),
        (2, 8, cas(0, b"b"), TxnResult(2, False, [read(2, kv(b"a", 2, 2, 1))])),
    ),
    "writes of other keys come between": history(
        (1, 2, PutOp(K, b"a"), PutResult(20)),
        (3, 4, RangeOp(K), read(31, kv(b"a", 20, 20, 1))),
    ),
}
BAD = {
    "a stale read": history(
        (1, 2, PutOp(K, b"a"), PutResult(2)),
        (3, 4, PutOp(K, b"b"), PutResult(3)),
        (5, 6, RangeOp(K), read(3, kv(b"a", 2, 2, 1))),
    ),
    "a stale read that is honest about its revision": history(
        (1, 2, PutOp(K, b"a"), PutResult(2)),
        (3, 4, PutOp(K, b"b"), PutResult(3)),
        (5, 6, RangeOp(K), read(2, kv(b"a", 2, 2, 1))),
    ),
    "an acknowledged write is lost": history(
        (1, 2, PutOp(K, b"a"), PutResult(2)),
        (3, 4, RangeOp(K), read(2)),
    ),
    "new and then old": history(
        (1, 20, PutOp(K, b"a"), PutResult(2)),
        (2, 4, RangeOp(K), read(2, kv(b"a", 2, 2, 1))),
        (5, 6, RangeOp(K), read(2)),
    ),
    "a lost write happens twice": history(
        (1, None, PutOp(K, b"a"), None),
        (2, 3, RangeOp(K), read(2, kv(b"a", 2, 2, 1))),
        (4, 5, PutOp(K, b"b"), PutResult(3)),
        (6, 7, RangeOp(K), read(4, kv(b"a", 2, 4, 3))),
    ),
    "both compare-and-swaps win": history(
        (1, 9, cas(0, b"a"), TxnResult(2, True, [PutResult(2)])),
        (2, 8, cas(0, b"b"), TxnResult(3, True, [PutResult(3)])),
    ),
    "a value from nowhere": history((1, 2, RangeOp(K), read(2, kv(b"a", 2, 2, 1)))),
    "a write before it was asked for": history(
        (1, 2, RangeOp(K), read(2, kv(b"a", 2, 2, 1))),
        (3, 4, PutOp(K, b"a"), PutResult(2)),
    ),
    "a delete that says there was nothing": history(
        (1, 2, PutOp(K, b"a"), PutResult(2)),
        (3, 4, DeleteOp(K), DeleteResult(2, 0, [])),
    ),
    "a write that was applied twice": history(
        (1, 2, PutOp(K, b"a"), PutResult(2)),
        (3, 4, RangeOp(K), read(3, kv(b"a", 2, 3, 2))),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_histories_pass(name: str) -> None:
    assert violation(GOOD[name], Etcd()) is None
    assert naive.linearizable(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_bad_histories_are_refused(name: str) -> None:
    assert violation(BAD[name], Etcd()) is not None
    assert not naive.linearizable(BAD[name])


def test_keys_of_one_transaction_are_judged_together() -> None:
    both = TxnOp((), (PutOp(b"a", b"1"), PutOp(b"b", b"1")))
    see = TxnOp((), (RangeOp(b"a"), RangeOp(b"b")))
    wrote = (1, 9, both, TxnResult(2, True, [PutResult(2), PutResult(2)]))
    half = TxnResult(2, True, [read(2, kv(b"1", 2, 2, 1, b"a")), read(2)])
    whole = TxnResult(2, True, [read(2, kv(b"1", 2, 2, 1, b"a")), read(2, kv(b"1", 2, 2, 1, b"b"))])
    assert violation(history(wrote, (2, 3, see, whole)), Etcd()) is None
    found = violation(history(wrote, (2, 3, see, half)), Etcd())
    assert found is not None
    assert found.part == (b"a", b"b")
    assert "nothing explains" in str(found)


def test_revisions_go_with_the_clock_across_keys() -> None:
    other = PutOp(b"other", b"x")
    assert out_of_order(history((1, 2, PutOp(K, b"a"), PutResult(5)), (3, 4, other, PutResult(6)))) == ""
    assert "older than" in out_of_order(
        history((1, 2, PutOp(K, b"a"), PutResult(5)), (3, 4, other, PutResult(4)))
    )
    assert "two writes" in out_of_order(
        history((1, 9, PutOp(K, b"a"), PutResult(5)), (3, 4, other, PutResult(5)))
    )
    assert "older than" in out_of_order(
        history((1, 2, PutOp(K, b"a"), PutResult(5)), (3, 4, RangeOp(b"other"), read(4)))
    )


def test_a_search_that_is_given_up_says_so() -> None:
    with pytest.raises(Undecided):
        violation(made(3, 60, clients=6, keys=1), Etcd(), steps_max=5)


class _Client:
    """One client of ``made``: its request in flight, and the answer once the store has seen it."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.result: Result | None = None
        self.reached = False


def made(seed: int, count: int, *, clients: int, keys: int, lost: float = 0.05) -> list[Operation]:
    """A linearizable history of a store that is asked in random order; some answers, or requests, are lost."""
    chance = random.Random(seed)
    store: naive.Store = {}
    recorded = History()
    busy: dict[int, _Client] = {}
    revision, moment, asked = 1, 0, 0
    while asked < count or busy:
        moment += 1
        number = chance.randrange(clients)
        client = busy.get(number)
        if client is None:
            if asked == count:
                continue
            asked += 1
            key = b"%d" % chance.randrange(keys)
            at = store.get(key)
            mod = at.mod_revision if at and chance.random() < 0.8 else 0
            swap = TxnOp(
                (Compare(Target.MOD, Relation.EQUAL, key, mod),),
                (PutOp(key, b"v%d" % asked),),
                (RangeOp(key),),
            )
            request = chance.choice(
                (
                    PutOp(key, b"v%d" % asked),
                    PutOp(key, b"v%d" % asked, prev_kv=True),
                    RangeOp(key),
                    DeleteOp(key),
                    swap,
                )
            )
            busy[number] = _Client(recorded.calls(number, moment, request))
        elif not client.reached:
            client.reached = True
            is_lost = chance.random() < lost
            if not is_lost or chance.random() < 0.5:
                trial = dict(store)
                _, wrote = naive.done(client.operation.request, trial, revision)
                revision += wrote
                client.result, _ = naive.done(client.operation.request, store, revision)
            if is_lost:
                del busy[number]
        else:
            assert client.result is not None
            recorded.returns(client.operation, moment, client.result)
            del busy[number]
    return list(recorded)


@pytest.mark.parametrize(("count", "clients", "keys"), [(10_000, 10, 10), (10_000, 50, 100), (3_000, 30, 1)])
def test_long_histories_are_judged(count: int, clients: int, keys: int) -> None:
    recorded = made(1, count, clients=clients, keys=keys, lost=0.01)
    assert violation(recorded, Etcd()) is None
    assert out_of_order(recorded) == ""


@pytest.mark.parametrize("block", range(10))
def test_agrees_with_trying_every_order(block: int) -> None:
    verdicts = set()
    for seed in range(block * 60, block * 60 + 60):
        chance = random.Random(seed)
        operations = made(seed, 7, clients=3, keys=1, lost=0.2)
        assert violation(operations, Etcd()) is None
        spoil(operations, chance)
        expected = naive.linearizable(operations)
        assert (violation(operations, Etcd()) is None) == expected, "\n".join(map(str, operations))
        verdicts.add(expected)
    assert verdicts == {True, False}


def spoil(operations: list[Operation], chance: random.Random) -> None:
    """Changes an answer a little, swaps two, moves a moment, or makes an outcome unknown."""
    answered = [operation for operation in operations if operation.result is not None]
    for _ in range(chance.randrange(1, 3)):
        if not answered:
            return
        one, other = chance.choice(answered), chance.choice(answered)
        kind = chance.randrange(4)
        if kind == 0 and one.result is not None:
            one.result = shifted(one.result, chance.choice((-1, 1)))
        elif kind == 1 and one.request == other.request:
            one.result, other.result = other.result, one.result
        elif kind == 2 and one.returned is not None:
            one.call = max(0, one.call - chance.randrange(4))
            one.returned += chance.randrange(4)
        elif kind == 3:
            one.returned = one.result = None
            answered.remove(one)


def shifted(result: Result, by: int) -> Result:
    """The answer of another revision."""
    revision = max(1, result.revision + by)
    if isinstance(result, TxnResult):
        return TxnResult(revision, result.succeeded, [shifted(inner, by) for inner in result.results])
    if isinstance(result, RangeResult):
        return RangeResult(revision, result.kvs, result.count, result.more)
    if isinstance(result, DeleteResult):
        return DeleteResult(revision, result.deleted, result.previous)
    return PutResult(revision, result.previous)
