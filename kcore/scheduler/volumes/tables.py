"""What the volume plugins read of the scheduler's state."""

from __future__ import annotations

from typing import Protocol

from kcore.api.objects import Pod
from kcore.scheduler.nodes import NodeTable
from kcore.scheduler.pods import PodTable
from kcore.scheduler.volumes.storage import Storage


class StorageTables(Protocol):
    """The state of a scheduler whose pods have volumes."""

    nodes: NodeTable
    pods: PodTable
    hosted: dict[int, Pod]
    storage: Storage
