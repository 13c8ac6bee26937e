"""The engine's kernels as machine code, made beside the loop: from an empty cache that takes a minute and more.

Until then the interpreter decides, in batches that are small enough for leases to be renewed between them. A process of
its own compiles, ``python -m kcore.online.compiling``, so that the loop does not share its interpreter meanwhile; what it
leaves in the cache is loaded within a second or two.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from typing import Final

import numpy as np

from kcore.api.objects import Container, Node, NodeStatus, ObjectMeta, Pod, PodSpec, Resources
from kcore.kernel import mark_cached
from kcore.scheduler.config import default_configuration
from kcore.scheduler.engine import Engine, Options
from kcore.scheduler.profile import SchedulerConfiguration
from kcore.scheduler.state import State

NICENESS: Final = 10
FITTING_COUNT = 40  # more than enough for a shape to be kept


log: Final = logging.getLogger("kcore.scheduler")


async def compile_beside() -> None:
    """The default profile's kernels are in the cache, if another process could do that; else nothing has changed."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        log.info("kernels are compiled in this process: %s", error)
        return
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()


def compile_kernels(configuration: SchedulerConfiguration) -> None:
    """Every kernel that scheduling needs is there: a small cluster was scheduled, with pods that fit nowhere and victims."""
    for profile in configuration.profiles:
        for way in ("incremental", "full"):
            state = State()
            for number in range(2):
                name = f"node-{number}"
                room: dict[str, str | int | float] | None = {"cpu": "20", "memory": "1Gi", "pods": "200"}
                meta = ObjectMeta(name=name, labels={"kubernetes.io/hostname": name})
                state.add_node(Node(metadata=meta, status=NodeStatus(capacity=room, allocatable=room)))
            engine = Engine(state, configuration, compiled=True)
            sizes = [("1", 0)] * FITTING_COUNT + [("1", 9)] * FITTING_COUNT + [("50", 0)] * FITTING_COUNT
            rows = [
                state.add_pod(_pod(f"pod-{number}", profile.scheduler_name, cpu, priority), pending=True)
                for number, (cpu, priority) in enumerate(sizes)
            ]
            for start in range(0, len(rows), FITTING_COUNT):
                part = np.array(rows[start : start + FITTING_COUNT], dtype=np.int32)
                engine.schedule(part, Options(engine=way, preemption="nominate"))
            state.remove_pod(rows[0])
            engine.warm()


def _pod(name: str, scheduler: str, cpu: str, priority: int) -> Pod:
    container = Container(name="c", image="x", resources=Resources(requests={"cpu": cpu}))
    spec = PodSpec(containers=[container], scheduler_name=scheduler, priority=priority)
    return Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


def _end_with_parent() -> None:
    """Whoever wanted the kernels is gone: standard input ends."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """The cache has the default profile's kernels."""
    os.nice(NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    compile_kernels(default_configuration())
    mark_cached()


if __name__ == "__main__":
    main()
