"""The engine's kernels as machine code, made beside the loop: from an empty cache that takes a minute and more.

Until then the interpreter decides, in batches that are small enough for leases to be renewed between them.
"""

from __future__ import annotations

import numpy as np

from kcore.api.objects import Container, Node, NodeStatus, ObjectMeta, Pod, PodSpec, Resources
from kcore.scheduler.engine import Engine, Options
from kcore.scheduler.profile import SchedulerConfiguration
from kcore.scheduler.state import State

FITTING_COUNT = 40  # more than enough for a shape to be kept


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
