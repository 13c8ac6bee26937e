"""Rounds of real faults: load, a fault in the midst of it, peace, and the judgement of the history."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

from tests.simulation.linearizable import violation
from tests.simulation.model import Etcd, out_of_order
from tests.store.faults.cluster import Cluster
from tests.store.faults.load import Load

BEFORE_S, FAULT_S_MIN, FAULT_S_MAX, AFTER_S = 0.4, 0.5, 2.5, 0.4


class Wrong(AssertionError):
    """A history that no store may have."""


def kill_one(cluster: Cluster, chance: random.Random) -> None:
    """kill -9 of one member."""
    chance.choice(cluster.nodes).kill()


def kill_all(cluster: Cluster, chance: random.Random) -> None:
    """kill -9 of all members at once."""
    for node in cluster.nodes:
        node.kill()


def stop_one(cluster: Cluster, chance: random.Random) -> None:
    """SIGSTOP of one member."""
    chance.choice(cluster.nodes).pause(on=True)


def cut_links(cluster: Cluster, chance: random.Random) -> None:
    """One member is alone, or some links are cut or stalled in one direction."""
    ids = [node.id for node in cluster.nodes]
    links = [(start, to) for start in ids for to in ids if start != to]
    if chance.random() < 0.5:
        lone = chance.choice(ids)
        chosen = {link for link in links if lone in link}
    else:
        chosen = set(chance.sample(links, chance.randint(1, 3)))
    if chance.random() < 0.5:
        cluster.links.set(chosen, set())
    else:
        cluster.links.set(set(), chosen)


def fill_disk(cluster: Cluster, chance: random.Random) -> None:
    """One member's files can grow no more."""
    chance.choice(cluster.nodes).limit_files(chance.choice((1, 4_096, 65_536)))


FAULTS: dict[str, Callable[[Cluster, random.Random], None]] = {
    "kill": kill_one,
    "kill all": kill_all,
    "stop": stop_one,
    "cut": cut_links,
    "full disk": fill_disk,
}


async def run(
    directory: Path,
    rounds: int,
    seed: int,
    *,
    only: tuple[str, ...] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """So many rounds on one cluster; raises Wrong with the fault and what is wrong.

    The clock is real: a seed repeats the faults, not the histories.
    """
    chance = random.Random(seed)
    names = list(only or FAULTS)
    cluster = Cluster(directory)
    await cluster.start()
    loads: list[tuple[str, Load]] = []
    try:
        for number in range(rounds):
            name = names[number % len(names)] if rounds <= len(names) else chance.choice(names)
            load = Load(cluster, chance, b"r%d/" % number)
            loads.append((f"round {number}: {name}", load))
            await _round(cluster, load, name, chance)
            _judge(f"round {number}: {name}", load)
            tell(f"round {number}: {name}: {load.answered} of {len(load.history)} answered")
        for title, load in loads:  # nothing of earlier rounds was lost later
            await load.read_all()
            _judge(title, load)
    finally:
        for _, load in loads:
            await load.close()
        await cluster.stop()


async def _round(cluster: Cluster, load: Load, name: str, chance: random.Random) -> None:
    await load.disarm()  # it is up
    seconds = chance.uniform(FAULT_S_MIN, FAULT_S_MAX)

    async def strike() -> None:
        await asyncio.sleep(BEFORE_S)
        FAULTS[name](cluster, chance)
        await asyncio.sleep(seconds)
        cluster.heal()

    await asyncio.gather(load.run(BEFORE_S + seconds + AFTER_S), strike())
    await load.disarm()
    await load.read_all()


def _judge(title: str, load: Load) -> None:
    if wrong := out_of_order(load.history):
        raise Wrong(f"{title}: {wrong}")
    if found := violation(load.history, Etcd()):
        raise Wrong(f"{title}: {found}")
