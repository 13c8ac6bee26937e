"""DELETE: at once, gracefully, or as far as finalizers allow.

Sources, Kubernetes 1.36: apiserver pkg/endpoints/handlers/delete.go, pkg/registry/generic/registry/store.go (Delete),
pkg/registry/rest/delete.go, pkg/registry/core/namespace/storage/storage.go, pkg/registry/batch/job/storage/storage.go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from kcore.api.kinds.metadata import FOREGROUND, ORPHAN
from kcore.api.status import conflict, not_found, server_timeout, success
from kcore.apiserver.operation import DELETE, Object, Operation, Result
from kcore.apiserver.registry.core import CLOCK_TEXT, Core, Kind
from kcore.apiserver.registry.options import validate_delete_options
from kcore.apiserver.registry.shared import ALL_BUT_METADATA, HEAD
from kcore.apiserver.registry.updating import RETRY_SECONDS, SWAPS_MAX

EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001
TIMES_MAX: Final = 256  # texts of times that are remembered
ORPHAN_POLICY: Final = "Orphan"
FOREGROUND_POLICY: Final = "Foreground"
JOB_KEEPS_PODS: Final = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or "
    "set propagationPolicy=Orphan to suppress this warning"
)


# told before anything is written: the stored form of the object before and after, whether it is then removed, and whether
# the object itself is the answer
Learn = Callable[[bytes, bytes, bool, bool], None]


class Outcome:
    """What a deletion came to: ``obj`` is the object as it was last, ``deleted`` whether it is gone.

    ``data`` is its stored form, its resourceVersion apart.
    """

    __slots__ = ("data", "deleted", "obj", "returned")

    def __init__(self, obj: Object, data: bytes, deleted: bool, *, returned: bool) -> None:
        self.obj = obj
        self.data = data
        self.deleted = deleted
        self.returned = returned  # the object itself is the answer, not a Status


async def delete(core: Core, op: Operation, options: Object) -> Result:
    """The object is gone or on its way; 200 with the object or a Status, 202 where upstream says so."""
    validate_delete_options(options)
    op.verb = DELETE
    op.delete_options = options
    op.options.dry_run = op.options.dry_run or bool(options.get("dryRun"))
    if core.delete_plans is None:
        return await delete_by(core, op, options)
    made: Result = await core.delete_plans.delete(core, op, options)
    return made


async def delete_by(core: Core, op: Operation, options: Object, learn: Learn | None = None) -> Result:
    """The same by the general path."""
    kind = core.kind(op.row)
    outcome = await delete_object(core, kind, op, dict(options), learn=learn)
    code = 202 if not outcome.deleted and options.get("orphanDependents") is False else 200
    return Result(code, answer(kind, op, outcome))


def answer(kind: Kind, op: Operation, outcome: Outcome) -> bytes | Object:
    """The object where its resource returns it or where it lives on, else a Status."""
    obj, row = outcome.obj, op.row
    if outcome.returned or kind.returns_deleted:
        return kind.answer(outcome.data, int(obj["metadata"].get("resourceVersion", "0")))
    metadata = obj["metadata"]
    return success(row.group, row.plural, metadata["name"], metadata.get("uid", ""))


async def delete_object(
    core: Core,
    kind: Kind,
    op: Operation,
    options: Object,
    *,
    admits: bool = True,
    learn: Learn | None = None,
) -> Outcome:
    """The object is deleted as the options say; they are changed as the strategy decides."""
    row = op.row
    namespace = op.namespace if row.namespaced else ""
    if row.kind == "Job" and row.group == "batch" and by_default(options):
        op.warn(JOB_KEEPS_PODS)
    marked: _Deletion | None = None  # the attempt that could not remove it
    for _ in range(SWAPS_MAX):
        stored = await core.store.get(row, namespace, op.name)
        if stored is None:
            if marked is not None:
                return Outcome(marked.live, marked.value, True, returned=False)
            raise not_found(row.group, row.plural, op.name)
        live = kind.read(stored.value, stored.revision, is_going=True)
        attempt = _Deletion(core, kind, op, namespace, options, live, stored.value, stored.revision, admits)
        attempt.learn = learn
        outcome = await attempt.run()
        if outcome is not None:
            return outcome
        if attempt.marked:
            marked = attempt
    raise server_timeout(row.group, row.plural, "delete", RETRY_SECONDS)


def by_default(options: Object) -> bool:
    """True where the options do not say what becomes of dependents."""
    return options.get("orphanDependents") is None and options.get("propagationPolicy") is None


class _Deletion:
    """One attempt on one state of the object."""

    def __init__(
        self,
        core: Core,
        kind: Kind,
        op: Operation,
        namespace: str,
        options: Object,
        live: Object,
        value: bytes,
        revision: int,
        admits: bool,
    ) -> None:
        self.core, self.kind, self.op, self.namespace = core, kind, op, namespace
        self.options, self.live, self.value = options, live, value
        self.revision, self.admits = revision, admits
        self.kept: Collection[str] = ALL_BUT_METADATA
        self.marked = False  # its grace of zero is stored, what remains is to remove it
        self.learn: Learn | None = None

    async def run(self) -> Outcome | None:
        """The outcome; None where another changed the object meanwhile."""
        live, kind = self.live, self.kind
        metadata = live["metadata"]
        if kind.row.plural == "namespaces" and not kind.row.group:
            done = await self._namespace()
            if not isinstance(done, bool):
                return done
        self._check_preconditions()
        if self._pending():
            self._tell(self.value, removes=False, returned=False)
            return Outcome(live, self.value, False, returned=False)
        if self.admits:
            await self._admit()
        graceful = self._before_delete()
        finalizers = self._finalizers()
        if not graceful and not finalizers:
            self._tell(self.value, removes=True, returned=False)
            return await self._remove(self.revision)
        if finalizers:
            metadata["finalizers"] = finalizers
        else:
            metadata.pop("finalizers", None)
        if not graceful:
            self._mark_as_deleting()
        data = kind.encode_changed(live, self.kept, self.value)
        stays = bool(finalizers) or self.options["gracePeriodSeconds"] > 0
        self._tell(data, removes=not stays, returned=stays)
        written = await self._write(data)
        if written is None:
            return None
        metadata["resourceVersion"] = str(written)
        if stays:
            return Outcome(live, self.value, False, returned=True)
        if self.op.options.dry_run:
            return Outcome(live, self.value, True, returned=True)
        self.marked = True
        return await self._remove(written)

    async def _admit(self) -> None:
        core, op = self.core, self.op
        now = core.now()
        await core.admission.mutate(op, None, self.live, now=now)
        await core.admission.validate(op, None, self.live, now=now)

    def _pending(self) -> bool:
        """A graceful deletion is under way, and this one would not shorten it."""
        metadata = self.live["metadata"]
        left = metadata.get("deletionGracePeriodSeconds")
        if self.kind.strategy.grace_seconds is None or not metadata.get("deletionTimestamp") or not left:
            return False
        grace = self.options.get("gracePeriodSeconds")
        return grace is None or (1 if grace < 0 else grace) >= (1 if left < 0 else left)

    def _before_delete(self) -> bool:
        """Whether the deletion is graceful; the metadata says then until when (rest.BeforeDelete)."""
        options, metadata, op = self.options, self.live["metadata"], self.op
        grace = options.get("gracePeriodSeconds")
        if grace is not None and grace < 0:
            grace = options["gracePeriodSeconds"] = 1
        if (metadata.get("deletionGracePeriodSeconds") or 0) < 0:
            metadata["deletionGracePeriodSeconds"] = 1
        grace_seconds = self.kind.strategy.grace_seconds
        if grace_seconds is None:
            return False
        if metadata.get("deletionTimestamp"):
            return self._shorten(grace, metadata)
        period = grace_seconds(self.live, grace)
        if period is None:
            return False
        options["gracePeriodSeconds"] = period
        now = int(self.core.now_seconds())
        metadata["deletionTimestamp"] = time.strftime(CLOCK_TEXT, time.gmtime(now + period))
        metadata["deletionGracePeriodSeconds"] = period
        if (metadata.get("generation") or 0) > 0:
            metadata["generation"] += 1
        op.delete_options = options
        return True

    def _shorten(self, grace: int | None, metadata: Object) -> bool:
        """A deletion under way is shortened; without a grace of its own it ends now."""
        left = metadata.get("deletionGracePeriodSeconds")
        if not left or grace is None:
            return False
        now = int(self.core.now_seconds())
        end = seconds_of(metadata["deletionTimestamp"]) - left + grace
        if end < now:
            end = now
            if grace:
                grace = 1
        metadata["deletionTimestamp"] = time.strftime(CLOCK_TEXT, time.gmtime(end))
        metadata["deletionGracePeriodSeconds"] = self.options["gracePeriodSeconds"] = grace
        return True

    def _check_preconditions(self) -> None:
        """409 where the object is another, or in another version, than the request takes it for."""
        wanted = self.options.get("preconditions")
        if not wanted:
            return
        metadata, row = self.live["metadata"], self.op.row
        uid, version = wanted.get("uid"), wanted.get("resourceVersion")
        if uid is not None and uid != (found := metadata.get("uid", "")):
            why = (
                f"the UID in the precondition ({uid}) does not match the UID in record ({found}). "
                "The object might have been deleted and then recreated"
            )
            raise conflict(row.group, row.kind, self.op.name, why)
        if version is not None and version != (found := metadata["resourceVersion"]):
            why = (
                f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
                f"({found}). The object might have been modified"
            )
            raise conflict(row.group, row.kind, self.op.name, why)

    def _finalizers(self) -> list[str]:
        """The finalizers with those that the garbage collector is asked for by."""
        current = list(self.live["metadata"].get("finalizers") or ())
        if not self.kind.collects_garbage:
            return current
        orphan, foreground = _wanted(self.options, current, self.kind.strategy.default_propagation)
        if orphan == (ORPHAN in current) and foreground == (FOREGROUND in current):
            return current
        kept = [name for name in current if name not in (ORPHAN, FOREGROUND)]
        if orphan:
            kept.append(ORPHAN)
        if foreground:
            kept.append(FOREGROUND)
        return kept

    def _mark_as_deleting(self) -> None:
        metadata = self.live["metadata"]
        now = int(self.core.now_seconds())
        since = metadata.get("deletionTimestamp")
        if not since and (metadata.get("generation") or 0) > 0:
            metadata["generation"] += 1
        if not since or seconds_of(since) > now:
            metadata["deletionTimestamp"] = time.strftime(CLOCK_TEXT, time.gmtime(now))
        metadata["deletionGracePeriodSeconds"] = 0

    def _tell(self, data: bytes, *, removes: bool, returned: bool) -> None:
        if self.learn is not None:
            self.learn(self.value, data, removes, returned)

    async def _write(self, data: bytes) -> int | None:
        """The revision of the object as it is now, None where another was faster."""
        op = self.op
        if op.options.dry_run or data == self.value:  # on its way already, and nothing else was asked for
            self.value = data
            return self.revision
        written = await self.core.store.replace(op.row, self.namespace, op.name, data, self.revision)
        if written is not None:
            self.value = data
        return written

    async def _remove(self, revision: int) -> Outcome | None:
        live, op = self.live, self.op
        if op.options.dry_run:
            live["metadata"]["resourceVersion"] = str(revision)
            return Outcome(live, self.value, True, returned=False)
        removed = await self.core.store.remove(op.row, self.namespace, op.name, revision)
        if removed is None:
            return None
        live["metadata"]["resourceVersion"] = str(removed)
        if self.kind.hooks.after_delete is not None:
            await self.kind.hooks.after_delete(op, live)
        return Outcome(live, self.value, True, returned=False)

    async def _namespace(self) -> Outcome | bool | None:
        """A namespace is Terminating first; False: its deletion is an ordinary one."""
        live, options, op = self.live, self.options, self.op
        metadata = live["metadata"]
        wanted: dict[str, Any] = options.setdefault("preconditions", None) or {}
        options["preconditions"] = wanted
        uid, version = metadata.get("uid", ""), wanted.get("resourceVersion")
        if wanted.setdefault("uid", uid) != uid:
            why = f"Precondition failed: UID in precondition: {wanted['uid']}, UID in object meta: {uid}"
            raise conflict("", "namespaces", op.name, why)
        if version is not None and version != (found := metadata["resourceVersion"]):
            why = f"Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {found}"
            raise conflict("", "namespaces", op.name, why)
        if metadata.get("deletionTimestamp"):
            if (live.get("spec") or {}).get("finalizers"):
                return Outcome(live, self.value, False, returned=True)
            return False
        if self.admits:
            await self._admit()
        metadata["deletionTimestamp"] = self.core.now()
        live.setdefault("status", {})["phase"] = "Terminating"
        self.kept = [name for name in live if name not in (*HEAD, "status")]
        current = list(metadata.get("finalizers") or ())
        for name, wish in zip((ORPHAN, FOREGROUND), _namespace_wishes(options, current), strict=True):
            if wish and name not in current:
                current.append(name)
            elif not wish and name in current:
                current.remove(name)
        if current:
            metadata["finalizers"] = current
        else:
            metadata.pop("finalizers", None)
        written = await self._write(self.kind.encode_changed(live, self.kept, self.value))
        if written is None:
            return None
        metadata["resourceVersion"] = str(written)
        return Outcome(live, self.value, False, returned=True)


def _wanted(options: Object, finalizers: list[str], default: str) -> tuple[bool, bool]:
    """Whether dependents are to be orphaned, and whether they are to go first."""
    if (orphan := options.get("orphanDependents")) is not None:
        return bool(orphan), False
    if (policy := options.get("propagationPolicy")) is not None:
        return policy == ORPHAN_POLICY, policy == FOREGROUND_POLICY
    for name in finalizers:
        if name == ORPHAN:
            return True, False
        if name == FOREGROUND:
            return False, True
    return default == ORPHAN, False


def _namespace_wishes(options: Object, finalizers: list[str]) -> tuple[bool, bool]:
    if (orphan := options.get("orphanDependents")) is not None:
        return bool(orphan), not orphan
    if (policy := options.get("propagationPolicy")) is not None:
        return policy == ORPHAN_POLICY, policy == FOREGROUND_POLICY
    return ORPHAN in finalizers, FOREGROUND in finalizers


@lru_cache(maxsize=TIMES_MAX)
def seconds_of(text: str) -> int:
    """The time of an RFC 3339 text in whole seconds."""
    return (datetime.fromisoformat(text[:19]) - EPOCH) // timedelta(seconds=1)
