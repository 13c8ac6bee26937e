"""How many bytes each part of a cluster in this process holds: what is reached from it, each object counted for the first that does.

``owners(running, components)`` goes through store, watch cache, informers and so on in that order. Of the store it asks how
much its versions take; all else is ``sys.getsizeof`` of what the garbage collector's references reach, rounded up as Python's
allocator does; what no part reaches are other objects. What Python does not know of (machine code, buffers of libraries, holes in the
heap) is in the process's size alone.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import types
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from kcore_native.cacher.table import Entry
from kcore_native.mvcc.values import Event, KeyValue

ALIGNED_BYTES = 16
ARRAY_BYTES = 112  # of an array beside its elements
BEYOND = (
    type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.FrameType,
    types.CoroutineType, types.GeneratorType, asyncio.Future, asyncio.AbstractEventLoop,
)  # fmt: skip
FOREIGN = ("asyncio", "uvloop", "logging", "weakref", "_contextvars", "ssl", "numba")
# classes that the collector does not look into, and what they hold
CLOSED: dict[type, tuple[str, ...]] = {
    Entry: ("key", "value", "labels", "fields"),
    KeyValue: ("key", "value"),
    Event: ("kv", "previous"),
}


class Walk:
    """Counts bytes by owner; nothing is counted twice, and ``gates`` are not gone through."""

    def __init__(self, gates: Iterable[Any]) -> None:
        self._gates = list(gates)
        self._gate_ids = frozenset(map(id, self._gates))
        self._seen = {*self._gate_ids}
        self._seen |= {id(self._seen), id(self)}
        self.bytes: Counter[str] = Counter()
        self.classes: dict[str, Counter[str]] = {}

    def add(self, owner: str, *roots: Any) -> None:
        """The roots, and all that they reach, are the owner's; of a gate, what it refers to."""
        classes = self.classes.setdefault(owner, Counter())
        waiting: list[Any] = []
        for root in roots:
            waiting += gc.get_referents(root) if id(root) in self._gate_ids else [root]
        while waiting:
            each = waiting.pop()
            kind = type(each)
            if id(each) in self._seen or isinstance(each, BEYOND) or kind.__module__.split(".")[0] in FOREIGN:
                continue
            self._seen.add(id(each))
            size = -(-_size(each) // ALIGNED_BYTES) * ALIGNED_BYTES
            self.bytes[owner] += size
            classes[kind.__qualname__] += size
            if isinstance(each, np.ndarray):
                waiting.append(each.base)
            if kind in CLOSED:
                waiting += [getattr(each, name) for name in CLOSED[kind]]
            elif kind not in (str, bytes, int, float, bool):
                waiting += gc.get_referents(each)


def _size(each: Any) -> int:
    if isinstance(each, np.ndarray) and each.base is None:
        return each.nbytes + ARRAY_BYTES
    return sys.getsizeof(each)


def owners(running: Any, components: Any) -> Walk:
    """The parts of a cluster: ``kcore.apiserver.driver.Running`` and ``kcore.components.assembly.Components``."""
    assembly = running.assembly
    replica, cacher = assembly.kv.replica, assembly.cacher
    member, machine, core = replica.member, replica.machine, assembly.registry.core
    caches = [each.cache for each in cacher._resources.values()]
    informers = components._informers
    known = list(informers._informers.values())
    started = dict(components._started)
    walk = Walk((
        running, assembly, assembly.kv, replica, member, machine, machine.store, cacher, *caches, assembly.registry, core,
        components, *components._calls, informers, *known, *(each._store for each in known), *started.values(),
    ))  # fmt: skip
    walk.bytes["store"] = machine.store.size_bytes
    walk.add("store's log", member.storage)
    walk.add("store", machine.store, machine, member, replica)
    walk.add("informers", *(each._store.objects for each in known), informers._sharing)
    walk.add("informers", *(each._store for each in known), *(each._unsettled for each in known))
    walk.add("watch cache", *caches, cacher)
    walk.add("API server", core, assembly.registry, assembly)
    for name, component in started.items():
        walk.add(name, component)
    walk.add("other objects", informers, *known, components, running, *gc.get_objects())
    return walk
