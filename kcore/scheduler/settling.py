"""Pods that were placed before GPUs were shared get their devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kcore.kernel import Kernel
from kcore.scheduler.devices import crowded
from kcore.scheduler.plugins.gpu_share import settle_devices
from kcore.scheduler.state import State


def settle(state: State, run: Callable[[Kernel], Callable[..., Any]]) -> None:
    """Give GPU devices to all pods on nodes that ask for some and have none, the tightest first.

    Raises:
        InputError: a node has not enough of them for its pods.
    """
    if not state.requests.has_gpus:
        return
    world = state.world()
    bound = np.flatnonzero(state.pods.node[: state.pods.count] >= 0).astype(np.int32)
    row, node = run(settle_devices)(world.nodes, world.pods, world.requests, bound)
    if node >= 0:
        pod = f"{state.namespace(row)}/{state.pods.name(row)}" if row >= 0 else ""
        raise crowded(state.nodes.name(node), pod)
