"""The embedded store: durable puts from many coroutines, in batches, linearizable gets, watch events.

``python -m bench.bench_store_embedded [--directory D] [--rounds N]`` prints a JSON line for each figure: the best and
the spread of the rounds. Options vary what is written; the disk is that of the directory.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

from kcore.store.embedded import Embedded
from kcore.store.kv import PutOp

VALUE = bytes(256)
KEYS = [b"/registry/pods/default/pod-%08d" % i for i in range(100_000)]

Figure = Callable[[Embedded], Awaitable[float]]


async def puts(store: Embedded, clients: int = 1_000, each: int = 100) -> float:
    """Puts a second from that many coroutines, each awaiting one after another."""

    async def client(number: int) -> None:
        put = store.put
        for i in range(each):
            await put(KEYS[(number * each + i) % len(KEYS)], VALUE)

    began = time.perf_counter()
    await asyncio.gather(*(client(i) for i in range(clients)))
    return clients * each / (time.perf_counter() - began)


async def batches(store: Embedded, clients: int = 100, each: int = 20, size: int = 100) -> float:
    """Puts a second in transactions of ``size``."""

    async def client(number: int) -> None:
        for i in range(each):
            first = (number * each + i) * size
            ops = [PutOp(KEYS[(first + j) % len(KEYS)], VALUE) for j in range(size)]
            await store.txn(success=ops)

    began = time.perf_counter()
    await asyncio.gather(*(client(i) for i in range(clients)))
    return clients * each * size / (time.perf_counter() - began)


async def one_put(store: Embedded, count: int = 500) -> float:
    """Puts a second from one coroutine."""
    began = time.perf_counter()
    for i in range(count):
        await store.put(KEYS[i], VALUE)
    return count / (time.perf_counter() - began)


async def gets(store: Embedded, count: int = 500_000) -> float:
    """Linearizable gets a second from one coroutine."""
    await store.put(KEYS[7], VALUE)
    get, key = store.get, KEYS[7]
    began = time.perf_counter()
    for _ in range(count):
        await get(key)
    return count / (time.perf_counter() - began)


async def ranges(store: Embedded, count: int = 200_000) -> float:
    """Linearizable ranges of one key a second from one coroutine."""
    await store.put(KEYS[7], VALUE)
    range_, key = store.range, KEYS[7]
    began = time.perf_counter()
    for _ in range(count):
        await range_(key)
    return count / (time.perf_counter() - began)


async def watch_events(store: Embedded, watchers: int = 100, revisions: int = 10_000) -> float:
    """Events a second to all watchers of a prefix, while they are written in batches (the writing is counted too)."""

    async def reader() -> int:
        watch = store.watch(b"/registry/", b"/registry0")
        seen = 0
        async for batch in watch:
            seen += len(batch.events)
            if seen >= revisions:
                watch.cancel()
                break
        return seen

    readers = [asyncio.ensure_future(reader()) for _ in range(watchers)]
    await asyncio.sleep(0)
    began = time.perf_counter()
    for first in range(0, revisions, 1000):
        await asyncio.gather(*(store.put(KEYS[first + i], VALUE) for i in range(1000)))
    seen = sum(await asyncio.gather(*readers))
    return seen / (time.perf_counter() - began)


FIGURES: dict[str, Figure] = {
    "puts_1000_coroutines": puts,
    "puts_batches_of_100": batches,
    "puts_1_coroutine": one_put,
    "gets_linearizable": gets,
    "ranges_linearizable": ranges,
    "watch_events_100_watchers": watch_events,
}


async def measure(name: str, directory: str | None, options: dict[str, Any]) -> float:
    """One round of one figure on a fresh store."""
    path = tempfile.mkdtemp(dir=directory)
    store = await Embedded.open(path, **options)
    try:
        return await FIGURES[name](store)
    finally:
        await store.close()
        shutil.rmtree(path)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", nargs="*", default=list(FIGURES))
    parser.add_argument("--directory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-fsync", action="store_true")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop")
    chosen = parser.parse_args()
    if chosen.loop == "uvloop":
        import uvloop

        run: Callable[..., float] = uvloop.run
    else:
        run = asyncio.run
    options = {"fsync": not chosen.no_fsync}
    found: dict[str, list[float]] = {name: [] for name in chosen.figures}
    for _ in range(chosen.rounds):
        for name in chosen.figures:
            found[name].append(run(measure(name, chosen.directory, options)))
    for name, rates in found.items():
        line = {"figure": name, "per_second": round(max(rates)), "median": round(statistics.median(rates))}
        print(json.dumps({**line, "worst": round(min(rates)), "rounds": len(rates), "loop": chosen.loop}))


if __name__ == "__main__":
    main()
