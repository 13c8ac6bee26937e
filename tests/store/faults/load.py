"""Clients of a real cluster: each asks one member after another, and records what it did and saw."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from kcore.store.errors import StoreError
from kcore.store.etcd import messages
from kcore.store.kv import Compare, DeleteOp, Op, PutOp, RangeOp, Relation, Target, TxnOp
from kcore.store.remote.channel import Credentials, Limits, surely_not_done
from kcore.store.remote.client import MAINTENANCE_PATH, Remote
from tests.simulation.history import History
from tests.store.faults.cluster import Cluster, Node

TIMEOUT_S = 1.5
PAUSE_S_MAX = 0.03
DEACTIVATE = 2


def client_of(node: Node) -> Remote:
    """A client of that member alone, which tries nothing twice."""
    limits = Limits(timeout_s=TIMEOUT_S, attempts_max=1)
    return Remote([node.endpoint], Credentials(), limits)


class Load:
    """One history: of some keys, for some time."""

    def __init__(
        self, cluster: Cluster, chance: random.Random, prefix: bytes, clients: int = 6, keys: int = 4
    ) -> None:
        self.cluster = cluster
        self.chance = chance
        self.clients = clients
        self.keys = [prefix + b"%d" % number for number in range(keys)]
        self.history = History()
        self.answered = 0
        self._moment = 0
        self._values = 0
        self._seen: dict[bytes, int] = {}
        self._remotes: dict[str, Remote] = {}

    def _remote(self, node: Node) -> Remote:
        if node.name not in self._remotes:
            self._remotes[node.name] = client_of(node)
        return self._remotes[node.name]

    def _tick(self) -> int:
        self._moment += 1
        return self._moment

    def _request(self) -> Op:
        chance = self.chance
        key = chance.choice(self.keys)
        self._values += 1
        value = b"%s=%d" % (key, self._values)
        kind = chance.random()
        if kind < 0.4:
            return PutOp(key, value)
        if kind < 0.7:
            return RangeOp(key)
        if kind < 0.78:
            return DeleteOp(key)
        compare = Compare(Target.MOD, Relation.EQUAL, key, self._seen.get(key, 0))
        return TxnOp((compare,), (PutOp(key, value),), (RangeOp(key),))

    async def ask(self, number: int, node: Node, request: Op) -> bool:
        """One operation of the history; True where it was answered."""
        operation = self.history.calls(number, self._tick(), request, self.cluster.nodes.index(node))
        remote = self._remote(node)
        result: Any
        try:
            if isinstance(request, PutOp):
                result = await remote.put(request.key, request.value)
            elif isinstance(request, RangeOp):
                result = await remote.range(request.key)
            elif isinstance(request, DeleteOp):
                result = await remote.delete_range(request.key)
            else:
                assert isinstance(request, TxnOp)
                result = await remote.txn(request.compares, request.success, request.failure)
        except StoreError as error:
            if isinstance(request, RangeOp) or surely_not_done(error):
                self.history.refused(operation)
            return False
        self.history.returns(operation, self._tick(), result)
        self.answered += 1
        if isinstance(request, PutOp):
            self._seen[request.key] = result.revision
        elif isinstance(request, RangeOp):
            for kv in result.kvs:
                self._seen[kv.key] = kv.mod_revision
        return True

    async def run(self, seconds: float) -> None:
        """All clients ask for so long."""
        until = asyncio.get_running_loop().time() + seconds

        async def client(number: int) -> None:
            while asyncio.get_running_loop().time() < until:
                node = self.chance.choice(self.cluster.nodes)
                await self.ask(number, node, self._request())
                await asyncio.sleep(self.chance.random() * PAUSE_S_MAX)

        async with asyncio.TaskGroup() as group:
            for number in range(self.clients):
                group.create_task(client(number))

    async def read_all(self, seconds_max: float = 60.0) -> None:
        """Every member has answered a read of every key; raises AssertionError where one does not in time."""
        until = asyncio.get_running_loop().time() + seconds_max
        for node in self.cluster.nodes:
            for key in self.keys:
                while not await self.ask(1_000, node, RangeOp(key)):
                    assert (died := node.died()) == "", died
                    assert asyncio.get_running_loop().time() < until, f"{node.name} does not answer"
                    await asyncio.sleep(0.1)

    async def disarm(self, seconds_max: float = 60.0) -> None:
        """No alarm is raised any more, and writes are taken."""
        until = asyncio.get_running_loop().time() + seconds_max
        probe = self.keys[0] + b"-probe"
        while True:
            try:
                remote = self._remote(self.cluster.nodes[0])
                for found in (await remote._call(MAINTENANCE_PATH + "Alarm", messages.AlarmRequest())).alarms:
                    request = messages.AlarmRequest(
                        action=DEACTIVATE, memberID=found.memberID, alarm=found.alarm
                    )
                    await remote._call(MAINTENANCE_PATH + "Alarm", request)
                for node in self.cluster.nodes:
                    await self._remote(node).put(probe, b"")
                return
            except StoreError as error:
                for node in self.cluster.nodes:
                    assert (died := node.died()) == "", died
                if asyncio.get_running_loop().time() >= until:
                    raise AssertionError("the cluster takes no writes") from error
                await asyncio.sleep(0.1)

    async def close(self) -> None:
        """No connection is left."""
        for remote in self._remotes.values():
            await remote.close()
