"""Writes ``recorded.txt`` from a real etcd: ``python -m tests.store.kv_suite.record PATH_OF_ETCD``."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from kcore.store import remote
from tests.store.kv_suite.cases import CASES, RECORDED
from tests.store.kv_suite.recorder import transcript
from tests.store.kv_suite.servers import one_member


async def record(endpoint: str) -> str:
    """The text of the file."""
    store = await remote.connect([endpoint])
    version = (await store.status()).version
    found = [f"What etcd {version} answers. Made by tests/store/kv_suite/record.py; never edited by hand."]
    for name, case in CASES.items():
        found += ["", f"== {name}", *await transcript(store, case)]
    await store.close()
    return "\n".join(found) + "\n"


def main(etcd: str) -> None:
    """Starts that etcd, runs all cases, writes the file."""
    with tempfile.TemporaryDirectory() as folder, one_member([etcd], Path(folder)) as endpoint:
        RECORDED.write_text(asyncio.run(record(endpoint)))


if __name__ == "__main__":
    main(sys.argv[1])
