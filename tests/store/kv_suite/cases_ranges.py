"""Ranges with every option, at present and past revisions."""

from __future__ import annotations

from typing import Any

from kcore.store.kv import FROM_KEY, SortOrder, SortTarget, prefix_end
from tests.store.kv_suite.recorder import Case, Recorder

ASCEND, DESCEND = SortOrder.ASCEND, SortOrder.DESCEND


async def some_keys(t: Recorder) -> None:
    """Seven keys of different age, version and value; one more that was deleted. Revisions @1 to @12."""
    store = t.store
    for key, value in (
        (b"b", b"5"),
        (b"a", b"7"),
        (b"d", b"1"),
        (b"c", b"9"),
        (b"gone", b"x"),
        (b"a/1", b"3"),
    ):
        await store.put(key, value)
    await store.put(b"d", b"8")
    await store.put(b"b", b"2")
    await store.delete_range(b"gone")
    await store.put(b"a/2", b"4")
    await store.put(b"d", b"6")
    await store.put(b"e", b"")


# Each row: name -> key, end, options. A revision in the options counts from the beginning.
RANGES: dict[str, tuple[bytes, bytes | None, dict[str, Any]]] = {
    "one_key": (b"a", None, {}),
    "a_key_that_is_not_there": (b"nothing", None, {}),
    "a_key_that_was_deleted": (b"gone", None, {}),
    "an_empty_end_is_one_key": (b"a", b"", {}),
    "an_interval": (b"a", b"c", {}),
    "an_interval_ends_before_its_end": (b"b", b"d", {}),
    "an_interval_without_keys": (b"x", b"y", {}),
    "an_inverted_interval": (b"d", b"a", {}),
    "an_interval_of_nothing": (b"b", b"b", {}),
    "a_prefix": (b"a/", prefix_end(b"a/"), {}),
    "from_a_key_on": (b"c", FROM_KEY, {}),
    "all_keys": (FROM_KEY, FROM_KEY, {}),
    "limited": (FROM_KEY, FROM_KEY, {"limit": 3}),
    "limited_to_all": (FROM_KEY, FROM_KEY, {"limit": 7}),
    "limited_beyond_all": (FROM_KEY, FROM_KEY, {"limit": 8}),
    "limited_to_less_than_none": (FROM_KEY, FROM_KEY, {"limit": -1}),
    "keys_only": (FROM_KEY, FROM_KEY, {"keys_only": True}),
    "count_only": (FROM_KEY, FROM_KEY, {"count_only": True}),
    "count_only_of_one": (b"a", None, {"count_only": True}),
    "count_only_limited": (FROM_KEY, FROM_KEY, {"count_only": True, "limit": 2}),
    "serializable": (b"a", b"c", {"serializable": True}),
    "sorted_by_key_down": (FROM_KEY, FROM_KEY, {"sort_order": DESCEND}),
    "sorted_by_key_up": (FROM_KEY, FROM_KEY, {"sort_order": ASCEND}),
    "sorted_by_version_up": (FROM_KEY, FROM_KEY, {"sort_order": ASCEND, "sort_target": SortTarget.VERSION}),
    "sorted_by_version_down": (FROM_KEY, FROM_KEY, {"sort_order": DESCEND, "sort_target": SortTarget.VERSION, "limit": 2}),
    "sorted_by_create_up": (FROM_KEY, FROM_KEY, {"sort_order": ASCEND, "sort_target": SortTarget.CREATE}),
    "sorted_by_create_down": (FROM_KEY, FROM_KEY, {"sort_order": DESCEND, "sort_target": SortTarget.CREATE}),
    "sorted_by_mod_up": (FROM_KEY, FROM_KEY, {"sort_order": ASCEND, "sort_target": SortTarget.MOD}),
    "sorted_by_mod_down": (FROM_KEY, FROM_KEY, {"sort_order": DESCEND, "sort_target": SortTarget.MOD}),
    "sorted_by_value_up": (FROM_KEY, FROM_KEY, {"sort_order": ASCEND, "sort_target": SortTarget.VALUE}),
    "sorted_by_value_down": (FROM_KEY, FROM_KEY, {"sort_order": DESCEND, "sort_target": SortTarget.VALUE}),
    "unsorted_by_value_is_sorted_up": (FROM_KEY, FROM_KEY, {"sort_target": SortTarget.VALUE}),
    "unsorted_by_mod_is_sorted_up": (FROM_KEY, FROM_KEY, {"sort_target": SortTarget.MOD, "limit": 3}),
    "sorted_then_limited": (FROM_KEY, FROM_KEY, {"sort_order": DESCEND, "sort_target": SortTarget.MOD, "limit": 2}),
    "sorted_by_value_keys_only": (FROM_KEY, FROM_KEY, {"sort_order": DESCEND, "sort_target": SortTarget.VALUE, "keys_only": True}),
    "sorted_by_something_unknown": (FROM_KEY, FROM_KEY, {"sort_order": ASCEND, "sort_target": 9}),
    "sorted_in_an_unknown_order": (FROM_KEY, FROM_KEY, {"sort_order": 7}),
    "min_mod": (FROM_KEY, FROM_KEY, {"min_mod_revision": 7}),
    "max_mod": (FROM_KEY, FROM_KEY, {"max_mod_revision": 7}),
    "min_and_max_mod": (FROM_KEY, FROM_KEY, {"min_mod_revision": 4, "max_mod_revision": 8}),
    "min_create": (FROM_KEY, FROM_KEY, {"min_create_revision": 4}),
    "max_create": (FROM_KEY, FROM_KEY, {"max_create_revision": 3}),
    "min_create_and_max_mod": (FROM_KEY, FROM_KEY, {"min_create_revision": 2, "max_mod_revision": 6}),
    "filtered_and_limited": (FROM_KEY, FROM_KEY, {"min_mod_revision": 3, "limit": 2}),
    "filtered_to_just_the_limit": (FROM_KEY, FROM_KEY, {"min_mod_revision": 10, "limit": 3}),
    "filtered_and_counted": (FROM_KEY, FROM_KEY, {"min_mod_revision": 7, "count_only": True}),
    "filtered_and_sorted": (FROM_KEY, FROM_KEY, {"max_create_revision": 4, "sort_order": DESCEND, "sort_target": SortTarget.VERSION}),
    "filtered_to_nothing": (FROM_KEY, FROM_KEY, {"min_mod_revision": 100}),
    "at_a_past_revision": (FROM_KEY, FROM_KEY, {"revision": 5}),
    "at_a_past_revision_limited": (FROM_KEY, FROM_KEY, {"revision": 5, "limit": 2}),
    "at_a_past_revision_counted": (FROM_KEY, FROM_KEY, {"revision": 6, "count_only": True}),
    "at_a_past_revision_sorted": (FROM_KEY, FROM_KEY, {"revision": 7, "sort_order": DESCEND, "sort_target": SortTarget.MOD}),
    "before_the_first": (FROM_KEY, FROM_KEY, {"revision": 0}),
    "at_the_beginning": (b"a", b"z", {"revision": "now"}),
    "one_key_before_it_was": (b"e", None, {"revision": 11}),
    "one_key_when_it_was": (b"gone", None, {"revision": 8}),
    "one_key_when_it_was_no_more": (b"gone", None, {"revision": 9}),
    "one_key_in_an_older_version": (b"d", None, {"revision": 7}),
    "at_the_present_revision_by_number": (b"d", None, {"revision": 12}),
    "at_a_future_revision": (b"a", None, {"revision": 13}),
    "at_a_future_revision_counted": (FROM_KEY, FROM_KEY, {"revision": 1000, "count_only": True}),
    "at_a_negative_revision": (b"a", None, {"revision": "negative"}),
    "without_a_key": (b"", None, {}),
    "without_a_key_but_an_end": (b"", b"b", {}),
    "of_the_least_key": (b"\0", None, {}),
    "an_end_of_two_zeros": (b"a", b"\0\0", {}),
    "serializable_at_a_past_revision": (FROM_KEY, FROM_KEY, {"revision": 3, "serializable": True, "keys_only": True}),
}  # fmt: skip

REVISIONS = ("revision", "min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision")


def case_of(key: bytes, end: bytes | None, options: dict[str, Any]) -> Case:
    """The case that asks for that range of ``some_keys``."""

    async def case(t: Recorder) -> None:
        await some_keys(t)
        made: dict[str, Any] = {}
        for name, value in options.items():
            if name in REVISIONS and isinstance(value, str):
                value = -1 if value == "negative" else t.at(12)
            elif name in REVISIONS and value:
                value = t.at(value)
            made[name] = value
        await t.range(key, end, **made)

    return case


async def get_is_a_range_of_one(t: Recorder) -> None:
    await t.put(b"k", b"v")
    await t.put(b"k", b"w")
    await t.get(b"k")
    await t.get(b"k", revision=t.at(1))
    await t.get(b"k", serializable=True)
    await t.get(b"other")
    await t.get(b"")


async def keys_are_ordered_as_bytes(t: Recorder) -> None:
    for key in (
        b"\xff",
        b"\xff\xff",
        b"a\0",
        b"a",
        b"a\xff",
        b"B",
        b"\x80",
        "ä".encode(),
        "日本".encode(),
        b"\0\0",
        b"\x01",
    ):
        await t.put(key, b"")
    await t.range(FROM_KEY, FROM_KEY, keys_only=True)
    await t.range(b"a", prefix_end(b"a"))
    await t.range(b"\xff", prefix_end(b"\xff"))
    await t.range(b"\xff\xff", FROM_KEY)
    await t.range("日".encode(), prefix_end("日".encode()))
    await t.range(b"a\0", b"a\xff")


async def pages_by_limit_and_last_key(t: Recorder) -> None:
    for number in range(25):
        await t.store.put(b"page/%02d" % number, b"%d" % number)
    start, at = b"page/", t.at(25)
    for _ in range(4):
        found = await t.range(start, b"page0", limit=7, revision=at)
        start = found.kvs[-1].key + b"\0"
        await t.store.put(b"page/%02d" % 99, b"written between the pages")


async def a_range_of_many_keys(t: Recorder) -> None:
    for number in range(300):
        await t.store.put(b"many/%05d" % (number * 7919 % 300), b"value %d" % number)
    found = await t.store.range(b"many/", b"many0")
    t.note(
        f"{found.count} {len(found.kvs)} {[kv.key for kv in found.kvs] == sorted(kv.key for kv in found.kvs)}"
    )
    await t.range(b"many/00295", b"many0")
    await t.range(b"many/", b"many0", limit=2, sort_order=DESCEND)
    await t.range(b"many/", b"many0", limit=2, sort_order=DESCEND, sort_target=SortTarget.VALUE)
    await t.range(b"many/", b"many0", count_only=True, revision=t.at(150))


CASES: dict[str, Case] = {
    **{f"range_{name}": case_of(*row) for name, row in RANGES.items()},
    "range_get_is_a_range_of_one": get_is_a_range_of_one,
    "range_keys_are_ordered_as_bytes": keys_are_ordered_as_bytes,
    "range_pages_by_limit_and_last_key": pages_by_limit_and_last_key,
    "range_of_many_keys": a_range_of_many_keys,
}
