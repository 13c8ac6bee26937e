"""One of several processes leads, by a Lease that it renews.

A candidate goes by its own clock and never by the times that others write: it counts from when it saw the lease
change. A leader that cannot renew within ``renew_deadline_seconds`` stops leading, before anyone else may begin after
``lease_seconds``. That is safe as long as clocks run at rates that differ by less than lease and deadline do; how much
they disagree does not matter.

Source: client-go tools/leaderelection (leaderelection.go, resourcelock/leaselock.go).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.calls import Object
from kcore.client.recorder import EventRecorder
from kcore.client.stamps import micro_time
from kcore.clock import REAL, Clock, within

LEASE_SECONDS: Final = 15.0
RENEW_DEADLINE_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 2.0
JITTER: Final = 1.2  # a candidate tries again after RETRY_SECONDS and up to this many times that more
RELEASED_SECONDS: Final = 1  # what a lease that was given back lasts

log: Final = logging.getLogger("kcore.client")


class LeaderElector:
    """See the module. ``identity`` must differ from process to process.

    ``release_on_cancel``: who stops gives the lease back, so that another need not wait for its end; by then what was
    led has ended. ``on_new_leader`` is called with each identity that is seen to lead, one's own also.
    """

    def __init__(
        self,
        client: AsyncClient,
        namespace: str,
        name: str,
        identity: str,
        *,
        lease_seconds: float = LEASE_SECONDS,
        renew_deadline_seconds: float = RENEW_DEADLINE_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        release_on_cancel: bool = True,
        labels: Mapping[str, str] | None = None,
        on_new_leader: Callable[[str], None] | None = None,
        recorder: EventRecorder | None = None,
        clock: Clock = REAL,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if lease_seconds <= renew_deadline_seconds:
            raise ValueError("leaseDuration must be greater than renewDeadline")
        if renew_deadline_seconds <= JITTER * retry_seconds:
            raise ValueError("renewDeadline must be greater than retryPeriod*JitterFactor")
        if retry_seconds <= 0:
            raise ValueError("retryPeriod must be greater than zero")
        if not identity:
            raise ValueError("Lock identity is empty")
        self._client = client
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._lease_seconds = lease_seconds
        self._deadline_seconds = renew_deadline_seconds
        self._retry_seconds = retry_seconds
        self._release_on_cancel = release_on_cancel
        self._labels = dict(labels or {})
        self._on_new_leader = on_new_leader
        self._recorder = recorder
        self._clock = clock
        self._chance = chance
        self._lease: Object = {}  # as the server last gave it
        self._observed: Object = {}  # the spec that was last seen or written
        self._observed_s = 0.0  # when, by one's own monotonic clock
        self._reported = ""

    @property
    def leader(self) -> str:
        """Who was last seen to lead; empty where nobody was."""
        return self._observed.get("holderIdentity") or ""

    @property
    def is_leader(self) -> bool:
        """Whether this one leads."""
        return self.leader == self.identity

    def is_healthy(self, tolerated_seconds: float = 0.0) -> bool:
        """False where it takes itself for the leader long after its lease ended (the health check ``leaderElection``)."""
        late_s = self._clock.monotonic_s() - self._observed_s
        return not self.is_leader or late_s <= self._lease_seconds + tolerated_seconds

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Waits until it leads, then runs ``lead``; returns once that has ended or leadership is lost.

        In the latter case, and where ``run`` is cancelled, ``lead`` is cancelled and has ended. What it raises is raised.
        """
        await self._acquire()
        work = asyncio.ensure_future(lead())
        renewal = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait((work, renewal), return_when=asyncio.FIRST_COMPLETED)
        finally:
            renewal.cancel()
            work.cancel()
            await asyncio.wait((work, renewal))
            self._say("stopped leading")
            if self._release_on_cancel:
                await self._release()
        if not work.cancelled():
            work.result()

    async def _acquire(self) -> None:
        log.info("attempting to acquire leader lease %s/%s", self._namespace, self._name)
        while not await self._tried(self._deadline_seconds):
            await self._clock.sleep(self._retry_seconds * (1.0 + JITTER * self._chance()))
        self._say("became leader")
        log.info("acquired lease %s/%s", self._namespace, self._name)

    async def _renew(self) -> None:
        """Returns once leadership is lost."""
        clock = self._clock
        while True:
            await clock.sleep(self._retry_seconds)
            deadline_s = clock.monotonic_s() + self._deadline_seconds
            while True:
                next_s = clock.monotonic_s() + self._retry_seconds
                if await self._tried(deadline_s - clock.monotonic_s()):
                    break
                if next_s >= deadline_s or clock.monotonic_s() >= deadline_s:
                    await clock.sleep(deadline_s - clock.monotonic_s())
                    log.error("failed to renew lease %s/%s", self._namespace, self._name)
                    return
                await clock.sleep(next_s - clock.monotonic_s())

    async def _tried(self, seconds: float) -> bool:
        """Whether the lease is this one's and fresh; False also where the server does not say so in time."""
        try:
            return await within(self._clock, seconds, self._try())
        except (ApiError, OSError, TimeoutError) as error:
            log.debug("lease %s/%s: %s", self._namespace, self._name, error or type(error).__name__)
            return False
        except Exception:
            log.exception("lease %s/%s", self._namespace, self._name)
            return False
        finally:
            if self.leader != self._reported:
                self._reported = self.leader
                if self._on_new_leader is not None and self.leader:
                    self._on_new_leader(self.leader)

    async def _try(self) -> bool:
        """Acquires or renews (tryAcquireOrRenew)."""
        now = micro_time(self._clock.time_s())
        spec: Object = {
            "holderIdentity": self.identity, "leaseDurationSeconds": int(self._lease_seconds),
            "acquireTime": now, "renewTime": now, "leaseTransitions": 0,
        }  # fmt: skip
        if self.is_leader and self._is_valid():
            try:
                await self._write({**spec, **_kept(self._observed)})
            except ApiError as error:
                log.debug("lease %s/%s was not renewed at once: %s", self._namespace, self._name, error)
            else:
                return True
        try:
            self._lease = await self._client.get(
                "leases", self._name, self._namespace, api_version="coordination.k8s.io/v1"
            )
        except ApiError as error:
            if error.code != 404:
                raise
            await self._create(spec)
            return True
        found = self._lease.get("spec") or {}
        if found != self._observed:
            self._observe(found)
        if found.get("holderIdentity") and self._is_valid() and not self.is_leader:
            return False
        if self.is_leader:
            spec |= _kept(found)
        else:
            spec["leaseTransitions"] = (found.get("leaseTransitions") or 0) + 1
        await self._write(spec)
        return True

    def _is_valid(self) -> bool:
        """Whether what was observed has not run out."""
        duration_s: float = self._observed.get("leaseDurationSeconds") or 0
        return self._observed_s + duration_s > self._clock.monotonic_s()

    def _observe(self, spec: Object) -> None:
        self._observed = spec
        self._observed_s = self._clock.monotonic_s()

    async def _create(self, spec: Object) -> None:
        metadata: Object = {"name": self._name, "namespace": self._namespace}
        if self._labels:
            metadata["labels"] = self._labels
        made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        self._lease = await self._client.create(made)
        self._observe(self._lease.get("spec") or spec)

    async def _write(self, spec: Object) -> None:
        metadata = dict(self._lease["metadata"])
        if self._labels:
            metadata["labels"] = {**(metadata.get("labels") or {}), **self._labels}
        self._lease = await self._client.update({**self._lease, "metadata": metadata, "spec": spec})
        self._observe(self._lease.get("spec") or spec)

    async def _release(self) -> None:
        """Gives the lease back where it is still this one's; a failure is logged, the lease then runs out by itself."""
        try:
            await within(self._clock, self._deadline_seconds, self._give_back())
        except (ApiError, OSError, TimeoutError) as error:
            log.error("failed to release lease %s/%s: %s", self._namespace, self._name, error)
        except RuntimeError as error:  # the server in this process has stopped
            log.info("failed to release lease %s/%s: %s", self._namespace, self._name, error)

    async def _give_back(self) -> None:
        if not self.is_leader:
            return
        self._lease = await self._client.get(
            "leases", self._name, self._namespace, api_version="coordination.k8s.io/v1"
        )
        found: dict[str, Any] = self._lease.get("spec") or {}
        if found.get("holderIdentity") != self.identity:
            self._observe(found)
            return
        now = micro_time(self._clock.time_s())
        await self._write({
            "holderIdentity": "", "leaseDurationSeconds": RELEASED_SECONDS, "acquireTime": now, "renewTime": now,
            "leaseTransitions": found.get("leaseTransitions") or 0,
        })  # fmt: skip

    def _say(self, what: str) -> None:
        if self._recorder is not None and self._lease:
            lease = {**self._lease, "apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
            self._recorder.event(lease, "Normal", "LeaderElection", f"{self.identity} {what}")


def _kept(spec: Mapping[str, Any]) -> Object:
    """What a renewal takes over."""
    kept: Object = {"leaseTransitions": spec.get("leaseTransitions") or 0}
    if spec.get("acquireTime"):
        kept["acquireTime"] = spec["acquireTime"]
    for name in ("strategy", "preferredHolder"):
        if spec.get(name):
            kept[name] = spec[name]
    return kept
