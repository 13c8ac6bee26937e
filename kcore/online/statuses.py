"""What the scheduler says of pods: in their status, and in events.

Source: pkg/scheduler/schedule_one.go (handleSchedulingFailure, updatePod) of Kubernetes 1.36.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from kcore.api.status import ApiError
from kcore.client.asynchronous import AsyncClient
from kcore.client.series import SeriesRecorder
from kcore.clock import Clock
from kcore.online.writing import condition_patch, nominated_of, truncated

Object = dict[str, Any]

log: Final = logging.getLogger("kcore.scheduler")


class Statuses:
    """Those that one scheduler writes."""

    def __init__(
        self, client: AsyncClient, clock: Clock, recorder_of: Callable[[Object], SeriesRecorder]
    ) -> None:
        self._client = client
        self._clock = clock
        self._recorder_of = recorder_of

    def note(self, pod: Object, message: str) -> None:
        """An event says why the pod has no node."""
        self._recorder_of(pod).event(pod, "Warning", "FailedScheduling", "Scheduling", truncated(message))

    async def waits(self, pod: Object, reason: str, node: str | None) -> None:
        """The pod's status says why it waits, and where for (None: as before)."""
        await self.patch(pod, condition_patch(pod, "Unschedulable", reason, node, self._clock.time_s()))

    async def failed(
        self, pod: Object, message: str, *, is_rejected: bool = False, nominated: str = ""
    ) -> None:
        """Status and an event say what went wrong; a nomination (``nominated``: just written) is taken back."""
        self.note(pod, message)
        if nominated:
            pod = {**pod, "status": {**(pod.get("status") or {}), "nominatedNodeName": nominated}}
        reason = "Unschedulable" if is_rejected else "SchedulerError"
        await self.patch(pod, condition_patch(pod, reason, message, "", self._clock.time_s()))

    async def nominate(self, pod: Object, node: str) -> None:
        """The pod's status says where it is about to go."""
        if nominated_of(pod) != node:
            await self.patch(pod, {"status": {"nominatedNodeName": node}})

    async def patch(self, pod: Object, patch: Object | None) -> None:
        """The pod's status is so now, or that it could not be written is in the log."""
        if patch is None:
            return
        metadata = pod["metadata"]
        try:
            await self._client.patch(
                "pods", metadata["name"], patch, metadata["namespace"], type="strategic", subresource="status",
                answered=False,
            )  # fmt: skip
        except (ApiError, OSError) as error:
            if not (isinstance(error, ApiError) and error.code == 404):
                log.error("status of %s/%s: %s", metadata["namespace"], metadata["name"], error)
