"""The store of keys alone: writes from entries, reads, fan-out of watches, memory, snapshots. No log, disk or network.

With ``--benchmark-enable`` a million keys of 256 bytes; otherwise a few, to see that it runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from bench.figures import ROOT, Figures, stopwatch
from kcore.store.machine import Machine
from kcore_native.mvcc import command
from kcore_native.mvcc.store import Store
from kcore_native.mvcc.watch import Watcher

KEYS = 1_000_000
VALUE_BYTES = 256
BATCH = 1_000  # requests of one entry
ROUNDS = 5
WATCHERS = 100
SPREAD = 7919  # keys come in another order than that of their names


def key(number: int) -> bytes:
    """A key as long as those of pods."""
    return b"/registry/pods/default/pod-%07d" % number


def entries(first: int, last: int, keys: int) -> list[bytes]:
    """Entries that put the keys by numbers first to last."""
    value = b"v" * VALUE_BYTES
    return [
        b"".join(
            command.put(i, key(i * SPREAD % keys), value) for i in range(start, min(start + BATCH, last))
        )
        for start in range(first, last, BATCH)
    ]


def filled(keys: int) -> Store:
    """A store of so many keys."""
    store = Store()
    for start in range(0, keys, 50 * BATCH):
        for entry in entries(start, min(start + 50 * BATCH, keys), keys):
            store.apply(entry, None, None)
    return store


def rate(figures: Figures, what: str, target: float | None, each: int, call: Callable[[], Any]) -> None:
    """So many a second, of ``each`` that one call does."""
    rounds = [each / max(stopwatch(call)[0], 1e-9) for _ in range(ROUNDS)]
    figures.add(what, rounds, "per second", target=target, more_is_better=True)


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest) -> Store:
    return filled(KEYS if request.config.getoption("--benchmark-enable") else 300)


def test_puts_applied_from_entries(figures: Figures) -> None:
    keys = 200_000 if figures.enabled else 300
    machine = Machine()
    indices = count(1)
    for what in ("puts of new keys", "puts over keys that are there"):
        payloads = entries(0, keys, keys)

        def apply(payloads: list[bytes] = payloads) -> None:
            for payload in payloads:
                machine.apply(next(indices), 1, payload)

        seconds, _ = stopwatch(apply)
        figures.add(what, [keys / seconds], "per second", target=500_000, more_is_better=True)
    assert machine.key_count == keys and machine.revision == 1 + 2 * keys


def test_reads(figures: Figures, store: Store) -> None:
    keys = store.key_count
    names = [key(i * 104_729 % keys) for i in range(min(keys, 200_000))]

    def gets() -> None:
        get = store.get
        for name in names:
            get(name)

    rate(figures, "gets", 1_000_000, len(names), gets)
    rate(figures, "point ranges", 500_000, len(names), lambda: [store.range(name) for name in names])
    rate(
        figures, "pages of 500 keys", None, 20,
        lambda: [store.range(b"/registry/", b"/registry0", 500) for _ in range(20)],
    )  # fmt: skip
    rate(
        figures, "counts of all keys", None, 100,
        lambda: [store.range(b"/registry/", b"/registry0", count_only=True) for _ in range(100)],
    )  # fmt: skip


def test_fan_out(figures: Figures) -> None:
    """Revisions to watchers of a prefix that wait, are woken once an entry, read, and wait again."""
    revisions = 10_000 if figures.enabled else 100
    rounds = []
    for _ in range(ROUNDS if figures.enabled else 1):
        store = Store()
        woken: list[Watcher] = []
        for _ in range(WATCHERS):
            store.watch(b"/registry/", b"/registry0", on_ready=woken.append)
        payloads = entries(0, revisions, 3_000)
        heard = 0

        def run(store: Store = store, woken: list[Watcher] = woken, payloads: list[bytes] = payloads) -> int:
            heard = 0
            for payload in payloads:
                store.apply(payload, None, None)
                ready, woken[:] = woken[:], []
                for watcher in ready:
                    while (batch := watcher.pending()) is not None:
                        heard += len(batch.events)
                    watcher.on_ready = woken.append
            return heard

        seconds, heard = stopwatch(run)
        assert heard == revisions * WATCHERS
        rounds.append(heard / seconds)
    figures.add("watch events to 100 watchers", rounds, "per second", target=1_000_000, more_is_better=True)


def test_snapshot_restore_compaction(figures: Figures, store: Store) -> None:
    seconds, chunks = stopwatch(lambda: list(store.snapshot()))
    size = sum(map(len, chunks))
    figures.add("snapshot", [size / seconds / 1e6], "MB/s", target=100, more_is_better=True)
    seconds, _ = stopwatch(Store().restore, chunks)
    figures.add("restore of a million keys", [seconds], "s", target=5)
    figures.add("restore", [size / seconds / 1e6], "MB/s", target=100, more_is_better=True)
    seconds, _ = stopwatch(store.hash_kv)
    figures.add("hash of a million keys", [seconds], "s")
    keys = store.key_count
    for entry in entries(0, keys // 10, keys):
        store.apply(entry, None, None)
    seconds, _ = stopwatch(store.compact, store.revision)
    figures.add("compaction of 100,000 revisions among a million keys", [seconds * 1e3], "ms")
    assert store.record_count == keys


PROBE = """
import json, sys
from bench.bench_store_mvcc import VALUE_BYTES, filled, key

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

keys = int(sys.argv[1])
before = resident()
store = filled(keys)
after = resident()
print(json.dumps({"peak": after, "beside": (after - before) / keys - VALUE_BYTES - len(key(0))}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_beside_the_data(figures: Figures) -> None:
    keys = KEYS if figures.enabled else 300
    run = subprocess.run(
        [sys.executable, "-c", PROBE, str(keys)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(run.stdout)
    figures.add("memory of a key beside name and value", [found["beside"]], "bytes", target=150)
    figures.add("process with a million keys", [found["peak"] / 2**20], "MiB", target=600)
