"""What the store keeps of the past: five minutes, compacted by whichever API server comes first.

Source: apiserver pkg/storage/etcd3/compact.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from kcore.store.errors import StoreError
from kcore.store.kv import KV, Compare, PutOp, RangeOp, RangeResult, Relation, Target

KEY: Final = b"compact_rev_key"  # its version counts the compactions, its value is the last one's revision
INTERVAL_SECONDS: Final = 300.0  # --etcd-compaction-interval


class Compactor:
    """Compacts what was there an interval ago; ``before`` is told the revision first."""

    def __init__(self, kv: KV, before: Callable[[int], None], interval_seconds: float = INTERVAL_SECONDS):
        self._kv = kv
        self._before = before
        self._interval_seconds = interval_seconds
        self._version = 0
        self._revision = 0
        self.compact_revision = 0

    async def run(self) -> None:
        """Compacts every interval, until cancelled; an interval of 0 never does."""
        while self._interval_seconds:
            await asyncio.sleep(self._interval_seconds)
            try:
                await self.compact()
            except StoreError:
                continue  # the next one is as good

    async def compact(self) -> None:
        """One compaction, unless another server made it; what is compacted is the revision of the time before."""
        revision = self._revision
        done = await self._kv.txn(
            (Compare(Target.VERSION, Relation.EQUAL, KEY, self._version),),
            (PutOp(KEY, str(revision).encode()),),
            (RangeOp(KEY),),
        )
        self._revision = done.revision
        if not done.succeeded:
            result = done.results[0]
            if isinstance(result, RangeResult) and (found := result.kvs):
                self._version = found[0].version
                if found[0].value.isdigit():
                    self.compact_revision = max(self.compact_revision, int(found[0].value))
            else:
                self._version = 0
            return
        self._version += 1
        if revision:
            self._before(revision)
            await self._kv.compact(revision)
            self.compact_revision = revision
