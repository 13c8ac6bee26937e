"""Leases that many objects share: those stored within a short time expire together.

Source: apiserver pkg/storage/etcd3/lease_manager.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
from typing import Final

from kcore.store.kv import KV

REUSE_SECONDS_MAX: Final = 60  # --lease-reuse-duration-seconds
REUSE_PERCENT: Final = 5  # of the time to live
OBJECTS_MAX: Final = 1000  # of one lease


class Leases:
    """Gives leases; one is kept, as all that ask want the same time to live."""

    def __init__(self, kv: KV) -> None:
        self._kv = kv
        self._lock = asyncio.Lock()
        self._lease = 0
        self._expires_at = 0.0
        self._count = 0

    async def get(self, ttl_seconds: int) -> int:
        """A lease that ends no sooner than in ``ttl_seconds``, and little later; raises StoreError."""
        if not self._lock.locked() and self._count < OBJECTS_MAX and self._lasts(ttl_seconds):
            self._count += 1
            return self._lease
        async with self._lock:
            now = asyncio.get_running_loop().time()
            reuse = _reuse_seconds(ttl_seconds)
            self._count += 1
            if self._count > OBJECTS_MAX or not self._lasts(ttl_seconds):
                granted = await self._kv.lease_grant(ttl_seconds + reuse)
                self._lease, self._expires_at, self._count = granted.id, now + ttl_seconds + reuse, 1
            return self._lease

    def _lasts(self, ttl_seconds: int) -> bool:
        """True where the lease that is kept ends neither too soon nor too late."""
        ends = asyncio.get_running_loop().time() + ttl_seconds
        return ends < self._expires_at < ends + _reuse_seconds(ttl_seconds)


def _reuse_seconds(ttl_seconds: int) -> int:
    return min(ttl_seconds * REUSE_PERCENT // 100, REUSE_SECONDS_MAX)
