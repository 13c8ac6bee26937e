"""Finished jobs are deleted some time after, where they ask for it.

Source: pkg/controller/ttlafterfinished of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from kcore.api.status import ApiError
from kcore.controllers.contract import (
    Controller,
    Delete,
    Failed,
    Key,
    Object,
    Read,
    Steps,
    View,
    Watched,
    must,
)
from kcore.controllers.job_round import RESOURCE
from kcore.controllers.times import ms_of


class TTLAfterFinished(Controller):
    """``ttl-after-finished-controller``."""

    name: ClassVar = "ttl-after-finished-controller"
    aliases: ClassVar = ("ttl-after-finished",)
    component: ClassVar = "ttl-after-finished-controller"
    workers: ClassVar[int] = 5

    @property
    def watches(self) -> Sequence[Watched]:
        """Jobs."""
        return (Watched(RESOURCE, _keys),)

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """The job is deleted if its time has come, as a fresh look says too."""
        job = view.get(RESOURCE, *key)
        left_ms = None if job is None else _left_ms(job, now_ms)
        if left_ms is None or left_ms > 0:
            return left_ms
        (fresh,) = yield [Read(RESOURCE, *key)]
        if isinstance(fresh, ApiError):
            if fresh.code == 404:
                return None
            raise Failed(str(fresh)) from fresh
        assert isinstance(fresh, dict)
        left_ms = _left_ms(fresh, now_ms)
        if left_ms is None or left_ms > 0:
            return left_ms
        yield from must(Delete(RESOURCE, *key, uid=fresh["metadata"]["uid"], propagation="Foreground"))
        return None


def _keys(old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
    if new is not None and _left_ms(new, 0) is not None:
        yield Key(new["metadata"]["namespace"], new["metadata"]["name"])


def _left_ms(job: Object, now_ms: int) -> int | None:
    """How long it may stay; None where for ever, or where it goes already."""
    seconds = job["spec"].get("ttlSecondsAfterFinished")
    if seconds is None or "deletionTimestamp" in job["metadata"]:
        return None
    for found in (job.get("status") or {}).get("conditions") or ():
        if found["type"] in ("Complete", "Failed") and found["status"] == "True":
            finished_ms = ms_of(found.get("lastTransitionTime"))
            return None if finished_ms is None else finished_ms + seconds * 1000 - now_ms
    return None
