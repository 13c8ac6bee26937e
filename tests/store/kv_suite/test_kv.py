"""Every case on every store: the answers are those of a real etcd, line by line."""

from __future__ import annotations

import asyncio
import difflib
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kcore.store import remote
from tests.store.kv_suite.cases import CASES, recorded
from tests.store.kv_suite.recorder import Case, transcript
from tests.store.kv_suite.servers import etcd_binary, one_member, version_of

# Where etcd 3.4 (Debian's) differs from the recorded 3.6: case -> why it is left out there.
NOT_IN_3_4 = {
    "range_sorted_by_something_unknown": "etcd 3.4 panics",
    "range_sorted_in_an_unknown_order": "etcd 3.4 panics",
    "watch_from_a_negative_revision": "etcd 3.4 names a compacted revision below zero",
}
STORES = ("embedded", "daemon", "etcd")


@pytest.fixture(scope="module", params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """How to open the store: an asynchronous context manager that is entered once a case."""
    if request.param == "embedded":
        yield embedded
        return
    program = [etcd_binary()] if request.param == "etcd" else [sys.executable, "-m", "kcore", "etcd"]
    with one_member(program, tmp_path_factory.mktemp(request.param)) as endpoint:

        @asynccontextmanager
        async def client() -> AsyncIterator[Any]:
            store = await remote.connect([endpoint])
            try:
                yield store
            finally:
                await store.close()

        yield client


@asynccontextmanager
async def embedded() -> AsyncIterator[Any]:
    """A member in this process, in memory."""
    from kcore.store.embedded import Embedded

    store = await Embedded.open(None)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(scope="module")
def wanted() -> dict[str, list[str]]:
    """What a real etcd answered."""
    return recorded()


async def run(opened: Any, case: Case) -> list[str]:
    async with opened() as store:
        return await transcript(store, case)


@pytest.mark.parametrize("name", CASES)
def test_answers_as_etcd_does(
    name: str, opened: Any, wanted: dict[str, list[str]], request: pytest.FixtureRequest
) -> None:
    if (
        name in NOT_IN_3_4
        and request.node.callspec.params["opened"] == "etcd"
        and version_of(etcd_binary()) < (3, 5)
    ):
        pytest.skip(NOT_IN_3_4[name])
    lines = asyncio.run(run(opened, CASES[name]))
    difference = difflib.unified_diff(wanted[name], lines, "etcd", "this store", lineterm="", n=2)
    assert lines == wanted[name], "\n" + "\n".join(difference)


def test_every_case_is_recorded(wanted: dict[str, list[str]]) -> None:
    assert list(wanted) == list(CASES)
    assert all(wanted.values())
