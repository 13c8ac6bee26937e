"""The cache over a store elsewhere: fresh by progress marks, and whole after that store was killed and came back."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from kcore.apiserver.cacher import Cacher
from kcore.apiserver.storage import Storage
from kcore.store import remote
from tests.apiserver.stores import NODE, POD, create
from tests.apiserver.test_cacher import names, query, read, seen
from tests.store.etcd.test_daemon import Daemon


async def tell(daemon: Daemon, directory: Path) -> None:
    kv = await remote.connect([daemon.url])
    again = daemon
    try:
        storage = Storage(kv)
        async with Cacher(storage) as cacher:
            await cacher.start(POD, NODE)
            first = await create(storage, POD, "a")
            assert names(await cacher.list(POD, "", query(""))) == ["a"]
            other = (await kv.put(b"/elsewhere", b"x")).revision
            assert (await cacher.list(POD, "", query(""))).resource_version == str(other)
            stream = await cacher.watch(POD, "", query(f"resourceVersion={first}", watch=True))
            await asyncio.to_thread(daemon.stop, signal.SIGKILL)
            again = await asyncio.to_thread(
                Daemon,
                directory,
                f"--listen-client-urls={daemon.url}",
                f"--advertise-client-urls={daemon.url}",
            )
            last = await create(storage, POD, "b")
            assert seen(await read(stream, 1)) == [("ADDED", "b", last)]
            assert names(await cacher.list(POD, "", query(""))) == ["a", "b"]
    finally:
        await kv.close()
        again.stop()


@pytest.mark.slow
def test_a_store_elsewhere_may_be_killed(tmp_path: Path) -> None:
    asyncio.run(tell(Daemon(tmp_path), tmp_path))
