"""Transactions: comparisons, branches, nesting, what they refuse."""

from __future__ import annotations

import asyncio

from kcore.store.kv import FROM_KEY, Compare, DeleteOp, PutOp, RangeOp, Relation, SortOrder, Target, TxnOp
from tests.store.kv_suite.recorder import Case, Recorder

YES, NO = [PutOp(b"yes", b"")], [PutOp(b"no", b"")]
OPS_MAX = 128


def comparisons(
    target: Target, operands: tuple[int | bytes, ...], *keys: bytes, revisions: bool = False
) -> Case:
    """The case that asks every relation of the target to each operand and key."""

    async def case(t: Recorder) -> None:
        await t.lease_grant(60, 21)
        await t.put(b"k", b"m")
        await t.put(b"k", b"n", lease=21)
        for key in keys:
            for operand in operands:
                for relation in Relation:
                    value = t.at(operand) if revisions and isinstance(operand, int) else operand
                    await t.txn([Compare(target, relation, key, value)])

    return case


async def no_comparisons_succeed(t: Recorder) -> None:
    await t.txn()
    await t.txn([], YES, NO)
    await t.range(FROM_KEY, FROM_KEY)


async def all_comparisons_must_hold(t: Recorder) -> None:
    await t.put(b"a", b"1")
    good = Compare(Target.VALUE, Relation.EQUAL, b"a", b"1")
    bad = Compare(Target.VALUE, Relation.EQUAL, b"a", b"2")
    await t.txn([good, good], YES, NO)
    await t.txn([good, bad], YES, NO)
    await t.txn([bad, good], YES, NO)


async def comparisons_of_a_range(t: Recorder) -> None:
    for key, value in ((b"a", b"1"), (b"b", b"1"), (b"c", b"2")):
        await t.put(key, value)
    for end, relation in (
        (b"c", Relation.EQUAL),
        (b"d", Relation.EQUAL),
        (b"d", Relation.LESS),
        (FROM_KEY, Relation.NOT_EQUAL),
    ):
        await t.txn([Compare(Target.VALUE, relation, b"a", b"1", end)])
    await t.txn([Compare(Target.VERSION, Relation.EQUAL, b"x", 1, b"z")])
    await t.txn([Compare(Target.VERSION, Relation.EQUAL, b"x", 0, b"z")])
    await t.txn([Compare(Target.VALUE, Relation.EQUAL, b"x", b"", b"z")])
    await t.txn([Compare(Target.VERSION, Relation.GREATER, b"a", 0, FROM_KEY)])
    await t.txn([Compare(Target.VERSION, Relation.EQUAL, b"b", 1, b"a")])


async def a_missing_key_is_zero_but_has_no_value(t: Recorder) -> None:
    for target in (Target.VERSION, Target.CREATE, Target.MOD, Target.LEASE):
        await t.txn([Compare(target, Relation.EQUAL, b"missing", 0)])
        await t.txn([Compare(target, Relation.LESS, b"missing", 1)])
    for relation in Relation:
        await t.txn([Compare(Target.VALUE, relation, b"missing", b"")])
        await t.txn([Compare(Target.VALUE, relation, b"missing", b"x")])


async def one_revision_for_all(t: Recorder) -> None:
    await t.txn([], [PutOp(b"a", b"1"), PutOp(b"b", b"2"), DeleteOp(b"c"), PutOp(b"d", b"3")])
    await t.range(FROM_KEY, FROM_KEY)


async def no_revision_where_nothing_changes(t: Recorder) -> None:
    await t.put(b"a", b"1")
    await t.txn([], [RangeOp(b"a"), DeleteOp(b"nothing"), RangeOp(b"a", count_only=True)])
    await t.txn([], [DeleteOp(b"x", b"z")])
    await t.put(b"a", b"2")


async def a_range_sees_what_came_before_it(t: Recorder) -> None:
    await t.put(b"a", b"0")
    await t.txn([], [RangeOp(b"a"), PutOp(b"a", b"1"), RangeOp(b"a"), DeleteOp(b"a"), RangeOp(b"a")])
    await t.txn(
        [],
        [
            PutOp(b"b", b"1"),
            RangeOp(b"a", b"z"),
            PutOp(b"c", b"2", prev_kv=True),
            RangeOp(b"a", b"z", limit=1),
        ],
    )


async def a_range_at_a_past_revision(t: Recorder) -> None:
    await t.put(b"a", b"0")
    await t.put(b"a", b"1")
    await t.txn([], [PutOp(b"a", b"2"), RangeOp(b"a", revision=t.at(1)), RangeOp(b"a", revision=t.at(2))])
    await t.txn([], [PutOp(b"a", b"3"), RangeOp(b"a", revision=t.at(9))])
    await t.get(b"a")


async def ranges_have_their_options(t: Recorder) -> None:
    for key in (b"a", b"b", b"c"):
        await t.put(key, key)
    await t.txn(
        [],
        [
            RangeOp(b"a", b"z", limit=2), RangeOp(b"a", b"z", sort_order=SortOrder.DESCEND), RangeOp(b"a", b"z", keys_only=True),
            RangeOp(b"a", b"z", count_only=True), RangeOp(b"a", b"z", min_mod_revision=t.at(2)),
        ],
    )  # fmt: skip


async def puts_answer_the_previous(t: Recorder) -> None:
    await t.put(b"a", b"0")
    await t.txn([], [PutOp(b"a", b"1", prev_kv=True), PutOp(b"b", b"1", prev_kv=True)])
    await t.txn([], [DeleteOp(b"a", b"c", prev_kv=True)])


async def deletes_and_puts_of_different_keys(t: Recorder) -> None:
    for key in (b"a", b"b", b"c"):
        await t.put(key, key)
    await t.txn([], [DeleteOp(b"a", b"c"), PutOp(b"c", b"new"), PutOp(b"d", b"")])
    await t.range(FROM_KEY, FROM_KEY)


async def a_key_twice(t: Recorder) -> None:
    await t.txn([], [PutOp(b"a", b"1"), PutOp(b"a", b"2")])
    await t.txn([], [], [PutOp(b"a", b"1"), PutOp(b"a", b"2")])
    await t.txn([], [PutOp(b"a", b"1")], [PutOp(b"a", b"2")])
    await t.txn([], [PutOp(b"b", b"1"), DeleteOp(b"a", b"c")])
    await t.txn([], [DeleteOp(b"a", b"c"), PutOp(b"b", b"1")])
    await t.txn([], [DeleteOp(b"b"), PutOp(b"b", b"1")])
    await t.txn([], [DeleteOp(b"a", FROM_KEY), PutOp(b"z", b"1")])
    await t.txn([], [DeleteOp(b"a", b"c"), DeleteOp(b"b", b"d")])
    await t.txn([], [PutOp(b"a", b"1"), TxnOp([], [PutOp(b"a", b"2")])])
    await t.txn([], [TxnOp([], [PutOp(b"q", b"2")]), TxnOp([], [DeleteOp(b"q")])])
    await t.txn([], [TxnOp([], [PutOp(b"r", b"1")], [PutOp(b"r", b"2")])])
    await t.txn([], [TxnOp([], [PutOp(b"s", b"1")]), TxnOp([], [PutOp(b"s", b"2")])])
    await t.txn([], [PutOp(b"t", b"1"), RangeOp(b"t")])
    await t.range(FROM_KEY, FROM_KEY)


async def too_many_operations(t: Recorder) -> None:
    await t.txn([], [PutOp(b"%03d" % number, b"") for number in range(OPS_MAX)])
    await t.txn([], [PutOp(b"%03d" % number, b"") for number in range(OPS_MAX + 1)])
    await t.txn([], [], [RangeOp(b"a")] * (OPS_MAX + 1))
    await t.txn([Compare(Target.VERSION, Relation.EQUAL, b"x", 0)] * (OPS_MAX + 1))
    await t.txn([], [TxnOp([], [RangeOp(b"a")] * (OPS_MAX + 1))])
    await t.txn([], [TxnOp([], [RangeOp(b"a")] * 100), TxnOp([], [RangeOp(b"a")] * 100)])
    await t.range(FROM_KEY, FROM_KEY, count_only=True)


async def without_a_key(t: Recorder) -> None:
    await t.txn([Compare(Target.VERSION, Relation.EQUAL, b"", 0)])
    for op in (
        RangeOp(b""),
        PutOp(b"", b"1"),
        DeleteOp(b""),
        RangeOp(b"", b"z"),
        TxnOp([], [PutOp(b"", b"")]),
    ):
        await t.txn([], [op])
        await t.txn([], [], [op])
    await t.txn([], [PutOp(b"a", b""), TxnOp([Compare(Target.VERSION, Relation.EQUAL, b"", 0)])])


async def nothing_is_done_where_one_part_is_refused(t: Recorder) -> None:
    await t.txn([], [PutOp(b"a", b"1"), PutOp(b"b", b"1", lease=999)])
    await t.txn([], [PutOp(b"a", b"1"), PutOp(b"b", b"", ignore_value=True)])
    await t.txn([], [PutOp(b"a", b"1"), PutOp(b"b", b"", ignore_lease=True)])
    await t.txn([], [PutOp(b"a", b"1"), RangeOp(b"a", revision=t.at(50))])
    await t.txn([], [PutOp(b"a", b"1"), PutOp(b"b", b"x", ignore_value=True)])
    await t.txn([], [PutOp(b"a", b"1"), TxnOp([], [PutOp(b"b", b"", lease=999)])])
    await t.range(FROM_KEY, FROM_KEY)
    await t.put(b"after", b"")


async def the_branch_not_taken_may_be_impossible(t: Recorder) -> None:
    await t.txn([], [PutOp(b"a", b"1")], [PutOp(b"b", b"1", lease=999)])
    await t.txn([], [PutOp(b"a", b"1")], [RangeOp(b"b", revision=t.at(100))])
    await t.txn([], [PutOp(b"a", b"2")], [PutOp(b"b", b"", ignore_value=True)])
    await t.range(FROM_KEY, FROM_KEY)


async def ignoring_value_and_lease(t: Recorder) -> None:
    await t.lease_grant(60, 31)
    await t.put(b"a", b"1", lease=31)
    await t.txn([], [PutOp(b"a", b"", ignore_value=True), RangeOp(b"a")])
    await t.put(b"a", b"1", lease=31)
    await t.txn([], [PutOp(b"a", b"2", ignore_lease=True), RangeOp(b"a")])
    await t.txn([], [PutOp(b"n", b"2"), TxnOp([], [PutOp(b"a", b"", ignore_value=True, ignore_lease=True)])])
    await t.range(FROM_KEY, FROM_KEY)


async def nested(t: Recorder) -> None:
    inner = TxnOp(
        [Compare(Target.VALUE, Relation.EQUAL, b"a", b"0")],
        [PutOp(b"b", b"then"), RangeOp(b"a")],
        [PutOp(b"b", b"else"), RangeOp(b"a")],
    )
    await t.put(b"a", b"0")
    await t.txn([], [inner, RangeOp(b"b")])
    await t.put(b"a", b"1")
    await t.txn([], [inner, RangeOp(b"b"), DeleteOp(b"c")])
    await t.txn(
        [Compare(Target.VERSION, Relation.EQUAL, b"zz", 5)],
        [],
        [TxnOp([], [TxnOp([], [PutOp(b"deep", b"1")])])],
    )
    await t.range(FROM_KEY, FROM_KEY)


async def a_nested_comparison_sees_the_state_before_the_whole(t: Recorder) -> None:
    was = Compare(Target.VALUE, Relation.EQUAL, b"a", b"0")
    await t.put(b"a", b"0")
    await t.txn([], [PutOp(b"a", b"1"), TxnOp([was], [PutOp(b"b", b"before")], [PutOp(b"b", b"after")])])
    await t.range(FROM_KEY, FROM_KEY)


async def nested_without_change_has_no_revision(t: Recorder) -> None:
    await t.put(b"a", b"0")
    await t.txn([], [TxnOp([], [RangeOp(b"a"), TxnOp()])])
    await t.txn([], [TxnOp(), TxnOp([], [TxnOp()])])
    await t.put(b"a", b"1")


async def create_if_absent(t: Recorder) -> None:
    absent = [Compare(Target.CREATE, Relation.EQUAL, b"lock", 0)]
    for owner in (b"one", b"two"):
        await t.txn(absent, [PutOp(b"lock", owner)], [RangeOp(b"lock")])
    await t.delete_range(b"lock")
    await t.txn(absent, [PutOp(b"lock", b"three")], [RangeOp(b"lock")])


async def change_if_unchanged(t: Recorder) -> None:
    await t.put(b"k", b"1")
    await t.txn([Compare(Target.MOD, Relation.EQUAL, b"k", t.at(1))], [PutOp(b"k", b"2")], [RangeOp(b"k")])
    await t.txn([Compare(Target.MOD, Relation.EQUAL, b"k", t.at(1))], [PutOp(b"k", b"3")], [RangeOp(b"k")])
    await t.txn([Compare(Target.MOD, Relation.EQUAL, b"k", t.at(2))], [DeleteOp(b"k")], [RangeOp(b"k")])


async def increments_at_once_lose_nothing(t: Recorder) -> None:
    await t.put(b"counter", b"0")

    async def add(times: int) -> None:
        for _ in range(times):
            while True:
                found = await t.store.get(b"counter")
                done = await t.store.txn(
                    [Compare(Target.MOD, Relation.EQUAL, b"counter", found.mod_revision)],
                    [PutOp(b"counter", b"%d" % (int(found.value) + 1))],
                )
                if done.succeeded:
                    break

    await asyncio.gather(*(add(5) for _ in range(8)))
    await t.get(b"counter")


async def a_large_transaction(t: Recorder) -> None:
    await t.txn([], [PutOp(b"big/%03d" % number, b"x" * 10_000) for number in range(100)])
    await t.range(b"big/", b"big0", count_only=True)
    await t.txn([], [PutOp(b"big/%03d" % number, b"x" * 16_000) for number in range(100)])
    await t.range(b"big/", b"big0", limit=1)
    await t.txn([], [DeleteOp(b"big/", b"big0"), RangeOp(b"big/", b"big0")])


async def leases_in_a_transaction(t: Recorder) -> None:
    await t.lease_grant(60, 41)
    await t.txn([], [PutOp(b"a", b"", lease=41), PutOp(b"b", b"", lease=41)])
    await t.txn([Compare(Target.LEASE, Relation.EQUAL, b"a", 41)], [PutOp(b"a", b"")])
    await t.lease_time_to_live(41, keys=True)
    await t.lease_revoke(41)
    await t.range(FROM_KEY, FROM_KEY)


CASES: dict[str, Case] = {
    "txn_compares_versions": comparisons(Target.VERSION, (0, 1, 2, 3), b"k", b"none"),
    "txn_compares_create_revisions": comparisons(Target.CREATE, (1, 2), b"k", revisions=True),
    "txn_compares_mod_revisions": comparisons(Target.MOD, (1, 2, 3), b"k", revisions=True),
    "txn_compares_values": comparisons(Target.VALUE, (b"", b"m", b"n", b"n\0", b"o"), b"k"),
    "txn_compares_leases": comparisons(Target.LEASE, (0, 20, 21, 22), b"k", b"none"),
    **{
        f"txn_{case.__name__}": case
        for case in (
            no_comparisons_succeed, all_comparisons_must_hold, comparisons_of_a_range,
            a_missing_key_is_zero_but_has_no_value, one_revision_for_all, no_revision_where_nothing_changes,
            a_range_sees_what_came_before_it, a_range_at_a_past_revision, ranges_have_their_options,
            puts_answer_the_previous, deletes_and_puts_of_different_keys, a_key_twice, too_many_operations,
            without_a_key, nothing_is_done_where_one_part_is_refused, the_branch_not_taken_may_be_impossible,
            ignoring_value_and_lease, nested, a_nested_comparison_sees_the_state_before_the_whole,
            nested_without_change_has_no_revision, create_if_absent, change_if_unchanged,
            increments_at_once_lose_nothing, a_large_transaction, leases_in_a_transaction,
        )
    },
}  # fmt: skip
