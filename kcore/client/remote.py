"""The client over HTTP: any cluster that a kubeconfig names, by the same ``AsyncClient`` as in process."""

from __future__ import annotations
from kcore.client.asynchronous import AsyncClient
from kcore.client.kubeconfig import Access
from kcore.clock import REAL, Clock


def connect(
    access: Access,
    *,
    field_manager: str = "kcore",
    user_agent: str = "kcore",
    qps: float = 0.0,
    burst: int = 0,
    clock: Clock = REAL,
) -> AsyncClient:
    """A client of that cluster; nothing is asked yet. ``async with`` it, or ``await client.close()``."""
    ...
