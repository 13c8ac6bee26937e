"""The nodes' leases: made once, then renewed by the smallest write there is. Source: kubelet pkg/kubelet/util/nodelease.go."""

from __future__ import annotations

import logging
from typing import Final

import orjson

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.hollow.actions import Renew
from kcore.hollow.times import micro_time_text

NAMESPACE: Final = "kube-node-lease"
API_VERSION: Final = "coordination.k8s.io/v1"
AGAIN: Final = frozenset({429, 500, 503, 504})  # codes that are about the server, not about what it was asked

log: Final = logging.getLogger("kcore.hollow")


class Leases:
    """Leases of the nodes' names, each held by its node as a kubelet's is."""

    def __init__(self, client: AsyncClient, seconds: int) -> None:
        self._client = client
        self._seconds = seconds
        self._held: set[str] = set()
        self.renewals = 0

    async def renew(self, wanted: Renew, now_ms: int) -> Renew:
        """Each of them says that its node lives; those of which the server did not hear, to be tried again soon."""
        left: list[tuple[str, str]] = []
        now = micro_time_text(now_ms)
        body = orjson.dumps({"spec": {"renewTime": now}})
        for name, uid in zip(wanted.names, wanted.uids, strict=True):
            try:
                if name in self._held:
                    await self._patch(name, body)
                else:
                    await self._make(name, uid, now)
                self.renewals += 1
            except ApiError as error:
                if error.code == 404:
                    self._held.discard(name)
                elif error.code in AGAIN:
                    left.append((name, uid))
                log.info("lease of %s: %s", name, error)
            except OSError as error:
                left.append((name, uid))
                log.info("lease of %s: %s", name, error)
        return Renew(tuple(name for name, _ in left), tuple(uid for _, uid in left))

    async def _patch(self, name: str, body: bytes) -> None:
        await self._client.patch(
            "leases", name, body, NAMESPACE, type="merge", api_version=API_VERSION, answered=False
        )

    async def _make(self, name: str, uid: str, now: str) -> None:
        spec = {"holderIdentity": name, "leaseDurationSeconds": self._seconds, "renewTime": now}
        owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
        metadata = {"name": name, "namespace": NAMESPACE, **({"ownerReferences": [owner]} if uid else {})}
        lease = {"apiVersion": API_VERSION, "kind": "Lease", "metadata": metadata, "spec": spec}
        try:
            await self._client.create(lease, answered=False)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            await self._patch(name, orjson.dumps({"spec": spec}))
        self._held.add(name)
