"""DynamicResources between decision and binding: allocations are written, claims reserved, devices waited for.

Source: plugins/dynamicresources/dynamicresources.go (PreEnqueue, PreBind, Unreserve, bindClaim) of Kubernetes 1.36.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec

from kcore.api.objects import Pod
from kcore.api.status import ApiError
from kcore.clock import Clock
from kcore.online.devices import CLAIMS
from kcore.scheduler.dynamic.catalog import FINALIZER, DeviceCatalog, allocation_of, uid_of
from kcore.scheduler.dynamic.plugin import NAME, ClaimReservation
from kcore.scheduler.dynamic.pod_claims import ClaimsMissing, claims_of, is_reserved_for
from kcore.scheduler.dynamic.readiness import (
    BINDING_TIMEOUT_S,
    BindingFailed,
    has_conditions,
    is_ready,
    is_timed_out,
)
from kcore.scheduler.host import Reservation
from kcore.scheduler.profile import Profile

TRIES_MAX: Final = 5  # of a write that others were faster than
RETRY_S: Final = 0.01
POLL_S: Final = 5.0  # between two looks at devices that are being prepared
CONFLICT: Final = 409

Object = dict[str, Any]
Note = Callable[[Object, str], None]

log: Final = logging.getLogger("kcore.scheduler")


class Writer(Protocol):
    """What of a client is used."""

    async def get(self, resource: str, name: str, namespace: str = "default") -> Object:
        """The object."""

    async def update(self, obj: Object, *, resource: str = "", subresource: str = "") -> Object:
        """The object as the server has it now."""

    async def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str = "default",
        *,
        type: str = "merge",  # noqa: A002 - the client's name
        subresource: str = "",
    ) -> Object:
        """The same."""


class NotBindable(Exception):
    """The pod's claims are not its own; the text is upstream's."""


class ClaimBinder:
    """The plugin's part in binding, for pods with claims. ``waits`` hears of pods whose devices are being prepared."""

    name = NAME
    is_parallel = True

    def __init__(self, client: Writer, catalog: DeviceCatalog, clock: Clock, waits: Note) -> None:
        self._client = client
        self._catalog = catalog
        self._clock = clock
        self._waits = waits
        self._kept: dict[str, ClaimReservation] = {}
        catalog.is_published_at_once = False
        catalog.now_s, catalog.elapsed_s = clock.time_s, clock.monotonic_s

    def keep(self, pod: Object, reservations: tuple[Reservation, ...]) -> tuple[Reservation, ...]:
        """Of what has been set aside for the pod devices are kept here; what is not about devices is left."""
        for one in reservations:
            if isinstance(one, ClaimReservation):
                self._kept[pod["metadata"]["uid"]] = one
        return tuple(one for one in reservations if not isinstance(one, ClaimReservation))

    def gate(self, pod: Object, profile: Profile | None) -> str:
        """The plugin's name where the pod's claims are not all there, so that there is no use in trying. Source: PreEnqueue."""
        if not pod["spec"].get("resourceClaims") or profile is None or NAME not in profile.pre_enqueue:
            return ""
        try:
            self._claims(pod)
        except ClaimsMissing:
            return NAME
        return ""

    def _claims(self, pod: Object) -> list[Object]:
        if not pod["spec"].get("resourceClaims"):
            return []
        return claims_of(msgspec.convert(pod, Pod), self._catalog)

    def concerns(self, pod: Object) -> bool:
        """Whether it has claims."""
        return bool(pod["spec"].get("resourceClaims"))

    async def pre_bind(self, pod: Object, node: str) -> None:
        """The pod's claims are allocated, reserved for it, and their devices ready; or NotBindable."""
        uid = pod["metadata"]["uid"]
        kept = self._kept.get(uid)
        allocations = {} if kept is None else {uid_of(claim): given for claim, given in kept.allocated}
        try:
            claims = self._claims(pod)
        except ClaimsMissing as missing:
            raise NotBindable(str(missing)) from None
        for index, claim in enumerate(claims):
            if not is_reserved_for(claim, uid):
                claims[index] = await self._bind(pod, claim, allocations.get(uid_of(claim)))
        if any(has_conditions(claim) for claim in claims):
            self._waits(pod, node)
            await self._ready(pod)

    def post_bind(self, pod: Object, node: str) -> None:
        """What was set aside is the pod's."""
        self._kept.pop(pod["metadata"]["uid"], None)

    async def unreserve(self, pod: Object, node: str) -> None:
        """What was set aside is free, and no claim is reserved for the pod; what was allocated stays so."""
        uid = pod["metadata"]["uid"]
        kept = self._kept.pop(uid, None)
        if kept is not None:
            kept.undo()
        try:
            claims = self._claims(pod)
        except ClaimsMissing:
            return
        for claim in claims:
            if allocation_of(claim) is None or not is_reserved_for(claim, uid):
                continue
            patch = {
                "metadata": {"uid": claim["metadata"]["uid"]},
                "status": {"reservedFor": [{"$patch": "delete", "uid": uid}]},
            }
            try:
                await self._client.patch(
                    CLAIMS, claim["metadata"]["name"], patch, claim["metadata"]["namespace"], type="strategic",
                    subresource="status",
                )  # fmt: skip
            except (ApiError, OSError) as error:
                log.error("unreserve %s: %s", _shown(claim), error)

    # -- one claim --------------------------------------------------------------------------------------------------
    async def _bind(self, pod: Object, claim: Object, allocation: Object | None) -> Object:
        """The claim as it is once it is the pod's, too; written again where others were faster."""
        shown = _shown(claim)
        for left in range(TRIES_MAX - 1, -1, -1):
            try:
                bound = await self._written(pod, claim, allocation)
            except ApiError as error:
                if error.code != CONFLICT or not left:
                    verb = "allocation and reservation" if allocation is not None else "reservation"
                    raise NotBindable(f"add {verb} to claim {shown}: {error}") from error
            else:
                meta = bound["metadata"]
                self._catalog.put_claim(meta["namespace"], meta["name"], bound)
                return bound
            await self._clock.sleep(RETRY_S)
            claim = await self._fresh(claim)
        raise AssertionError("the last try raises")

    async def _fresh(self, claim: Object) -> Object:
        metadata = claim["metadata"]
        try:
            return await self._client.get(CLAIMS, metadata["name"], metadata["namespace"])
        except ApiError as error:
            raise NotBindable(f"get updated claim {_shown(claim)} after conflict: {error}") from error

    async def _written(self, pod: Object, claim: Object, allocation: Object | None) -> Object:
        shown = _shown(claim)
        if claim["metadata"].get("deletionTimestamp"):
            raise NotBindable(f"claim {shown} got deleted in the meantime")
        if allocation is not None:
            if allocation_of(claim) is not None:
                raise NotBindable(f"claim {shown} got allocated elsewhere in the meantime")
            claim = await self._with_finalizer(claim)
        status = {**(claim.get("status") or {})}
        given = allocation if allocation is not None else allocation_of(claim)
        if given is None:
            raise NotBindable(f"claim {shown} got deallocated elsewhere in the meantime")
        if not given.get("allocationTimestamp"):
            now = datetime.fromtimestamp(self._clock.time_s(), UTC)
            given = {**given, "allocationTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        meta = pod["metadata"]
        consumer = {"resource": "pods", "name": meta["name"], "uid": meta["uid"]}
        status |= {"allocation": given, "reservedFor": [*(status.get("reservedFor") or ()), consumer]}
        return await self._client.update({**claim, "status": status}, resource=CLAIMS, subresource="status")

    async def _with_finalizer(self, claim: Object) -> Object:
        metadata = claim["metadata"]
        finalizers = metadata.get("finalizers") or []
        if FINALIZER in finalizers:
            return claim
        obj = {**claim, "metadata": {**metadata, "finalizers": [*finalizers, FINALIZER]}}
        try:
            return await self._client.update(obj, resource=CLAIMS)
        except ApiError as error:
            if error.code == CONFLICT:
                raise
            raise NotBindable(f"add finalizer to claim {_shown(claim)}: {error}") from error

    async def _ready(self, pod: Object) -> None:
        """Drivers have prepared all devices; NotBindable where they cannot, or take too long."""
        give_up_s = self._clock.monotonic_s() + BINDING_TIMEOUT_S
        while True:
            try:
                claims = self._claims(pod)
                waiting = next((claim for claim in claims if not is_ready(claim)), None)
            except (BindingFailed, ClaimsMissing) as error:
                raise NotBindable(str(error)) from None
            if waiting is None:
                return
            if is_timed_out(waiting, self._clock.time_s(), BINDING_TIMEOUT_S):
                raise NotBindable(f"device binding timeout: claim={waiting['metadata']['name']}")
            if self._clock.monotonic_s() >= give_up_s:
                raise NotBindable("device binding timeout: context deadline exceeded")
            await self._clock.sleep(POLL_S)

    # -- claims that keep a pod from its nodes -------------------------------------------------------------------------
    async def deallocate(self, claim: Object) -> None:
        """The claim is free for another try. Source: PostFilter."""
        status = {
            name: value
            for name, value in (claim.get("status") or {}).items()
            if name not in ("allocation", "reservedFor", "devices")
        }
        try:
            await self._client.update({**claim, "status": status}, resource=CLAIMS, subresource="status")
        except (ApiError, OSError) as error:
            log.error("deallocate %s: %s", _shown(claim), error)


def _shown(claim: Object) -> str:
    metadata = claim["metadata"]
    return f"{metadata.get('namespace')}/{metadata['name']}"
