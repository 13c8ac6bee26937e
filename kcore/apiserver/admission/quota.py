"""ResourceQuota: what a namespace may use together. Usage is written to the quota's status before the object is stored.

The requests of a namespace are decided one after the other, as many as wait in one go, and each quota is written once
for them all. Source: apiserver pkg/admission/plugin/resourcequota/{admission,controller}.go of Kubernetes 1.36.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Final, NamedTuple

from kcore.api import status
from kcore.api.quota_usage import (
    ZERO,
    Evaluator,
    Usage,
    evaluator_of,
    is_terminating,
    selectors_of,
    used_of,
)
from kcore.api.status import ApiError
from kcore.apiserver.admission.contract import (
    ALL,
    CREATE,
    EVERY_SUBRESOURCE,
    UPDATE,
    Object,
    Plugin,
    Request,
    refused,
)
from kcore.apiserver.view import View, Writer

PLURAL: Final = "resourcequotas"
TRIES_MAX: Final = 3
UNCOUNTED: Final = frozenset({
    ("", "bindings"), ("", "componentstatuses"), ("", "events"), ("events.k8s.io", "events"),
    ("authentication.k8s.io", "tokenreviews"), ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"), ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"), ("authorization.k8s.io", "selfsubjectrulesreviews"),
})  # fmt: skip


class _Stale(Exception):
    """The quota was written in the meantime."""


class _Waiting(NamedTuple):
    """One request that waits for its decision."""

    request: Request
    evaluator: Evaluator
    decided: asyncio.Future[None]


def resource_quota(view: View, writer: Writer) -> Plugin:
    """The plugin over the quotas of the view."""
    decisions = Decisions(view, writer)

    def validate(request: Request) -> Awaitable[None] | None:
        op = request.op
        row = op.row
        if not op.namespace or row.plural == "namespaces":
            return None
        if not view.list("", PLURAL, op.namespace):
            return None
        if (row.group, row.plural) in UNCOUNTED or not _is_counted(request):
            return None
        return decisions.decide(request, evaluator_of(row.group, row.plural))

    return Plugin(
        "ResourceQuota",
        frozenset({CREATE, UPDATE}),
        ALL,
        EVERY_SUBRESOURCE,
        validate=validate,
        traceable=True,
    )


def _is_counted(request: Request) -> bool:
    """Whether this operation changes what the object uses (Evaluator.Handles)."""
    row, subresource, verb = request.op.row, request.op.subresource, request.verb
    if row.group or row.plural not in ("pods", "services", "persistentvolumeclaims"):
        is_claim = (row.group, row.plural) == ("resource.k8s.io", "resourceclaims")
        return not subresource and (verb == CREATE or (is_claim and verb == UPDATE))
    if row.plural == "pods":
        if subresource == "resize":
            return verb == UPDATE
        if subresource:
            return False
        if verb == CREATE:
            return True
        assert request.obj is not None and request.old is not None
        return is_terminating(request.obj) != is_terminating(request.old)
    if row.plural == "persistentvolumeclaims" and subresource == "status":
        new, old = ((each or {}).get("status") or {} for each in (request.obj, request.old))
        return any(
            new.get(key) != old.get(key)
            for key in ("allocatedResources", "currentVolumeAttributesClassName", "modifyVolumeStatus")
        )
    return not subresource


class Decisions:
    """Invariant: one batch a namespace is being decided at a time; ``written`` is at least as new as what was read."""

    def __init__(self, view: View, writer: Writer) -> None:
        self._view = view
        self._writer = writer
        self._waiting: dict[str, list[_Waiting]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._written: dict[tuple[str, str], Object] = {}

    async def decide(self, request: Request, evaluator: Evaluator) -> None:
        """The usage is written down; ApiError where a quota refuses it."""
        namespace = request.op.namespace
        waiting = _Waiting(request, evaluator, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(namespace, []).append(waiting)
        if namespace not in self._tasks:
            self._tasks[namespace] = asyncio.create_task(self._work(namespace))
        await waiting.decided

    async def _work(self, namespace: str) -> None:
        batch: list[_Waiting] = []
        try:
            while batch := self._waiting.pop(namespace, []):
                await self._decide_batch(self._quotas(namespace), batch, TRIES_MAX)
        except Exception as error:  # noqa: BLE001 - each of the waiting is told
            for each in [*batch, *self._waiting.pop(namespace, [])]:
                if not each.decided.done():
                    each.decided.set_exception(error)
        finally:
            del self._tasks[namespace]

    def _quotas(self, namespace: str) -> list[Object]:
        """The quotas of the namespace, each as new as it is known here."""
        found = []
        for quota in self._view.list("", PLURAL, namespace):
            key = (namespace, quota["metadata"]["name"])
            mine = self._written.get(key)
            if mine is not None and mine["metadata"].get("uid") == quota["metadata"].get("uid"):
                if _version(mine) > _version(quota):
                    quota = mine
                else:
                    del self._written[key]
            found.append(quota)
        return sorted(found, key=lambda each: str(each["metadata"]["name"]))

    async def _decide_batch(self, quotas: list[Object], batch: list[_Waiting], tries: int) -> None:
        """Each request is decided in turn; what they use together is written, and decided anew where that failed."""
        used = [used_of(quota) for quota in quotas]
        accepted: list[_Waiting] = []
        for waiting in batch:
            try:
                after = check(waiting.request, waiting.evaluator, quotas, used)
            except ApiError as error:
                waiting.decided.set_exception(error)
                continue
            if waiting.request.dry_run or after == used:
                waiting.decided.set_result(None)
                continue
            used = after
            accepted.append(waiting)
        if not accepted:
            return
        stale: list[str] = []
        fault: ApiError | None = None
        for quota, after_all in zip(quotas, used, strict=True):
            if after_all == used_of(quota):
                continue
            try:
                await self._write(quota, after_all)
            except _Stale:
                stale.append(quota["metadata"]["name"])
            except ApiError as error:
                if error.code != 404:  # a quota that is gone limits nothing
                    fault = error
        if fault is None and stale and tries > 1:
            # those that were written stay so, as upstream has it: what they count too much the controller corrects
            namespace = quotas[0]["metadata"]["namespace"]
            fresh = [await self._view.live("", PLURAL, namespace, name) for name in stale]
            await self._decide_batch([each for each in fresh if each is not None], accepted, tries - 1)
            return
        if stale and fault is None:
            fault = status.conflict(
                "",
                PLURAL,
                stale[0],
                "the object has been modified; please apply your changes to the latest version and try again",
            )
        for waiting in accepted:
            if fault is not None:
                waiting.decided.set_exception(fault)
            else:
                waiting.decided.set_result(None)

    async def _write(self, quota: Object, used: Usage) -> None:
        metadata = quota["metadata"]
        version = metadata.get("resourceVersion")
        texts = {name: amount.text for name, amount in used.items()}

        def update(live: Object) -> Object:
            if live["metadata"].get("resourceVersion") != version:
                raise _Stale
            return {**live, "status": {**(live.get("status") or {}), "used": texts}}

        namespace, name = metadata["namespace"], metadata["name"]
        self._written[namespace, name] = await self._writer.update_status("", PLURAL, namespace, name, update)


def _version(quota: Object) -> int:
    return int(quota["metadata"].get("resourceVersion") or 0)


def check(request: Request, evaluator: Evaluator, quotas: list[Object], used: list[Usage]) -> list[Usage]:
    """The usage of each quota with the request's added; ApiError 403 where one of them refuses (CheckRequest)."""
    new = request.obj
    assert new is not None
    interesting: list[int] = []
    for index, quota in enumerate(quotas):
        hard = (quota.get("status") or {}).get("hard") or {}
        resources = evaluator.matching(hard)
        if not resources or not _in_scopes(evaluator, quota, new):
            continue
        name = quota["metadata"]["name"]
        if (fault := evaluator.constraint(resources, new)) is not None:
            raise refused(request, f"failed quota: {name}: {fault}")
        if any(each not in used[index] for each in resources):
            raise refused(request, f"status unknown for quota: {name}, resources: {','.join(resources)}")
        interesting.append(index)
    if not interesting:
        return used
    usage = evaluator.usage(new, request.now)
    if negative := sorted(name for name, amount in usage.items() if amount.nanos < 0):
        raise refused(request, f"quota usage is negative for resource(s): {','.join(negative)}")
    before = evaluator.usage(request.old, request.now) if request.old is not None else {}
    made = list(used)
    for index in interesting:
        quota = quotas[index]
        delta = usage
        if request.old is not None and _in_scopes(evaluator, quota, request.old):
            delta = _less(usage, before)
        made[index] = _added(request, quota, used[index], delta)
    return made


def _in_scopes(evaluator: Evaluator, quota: Object, obj: Object) -> bool:
    return all(evaluator.in_scope(selector, obj) for selector in selectors_of(quota))


def _less(usage: Usage, before: Usage) -> Usage:
    """The increase, never below nothing (SubtractWithNonNegativeResult)."""
    return {
        name: amount._replace(nanos=max(amount.nanos - before.get(name, ZERO).nanos, 0))
        for name, amount in usage.items()
    }


def _added(request: Request, quota: Object, used: Usage, delta: Usage) -> Usage:
    hard = used_of(quota, "hard")
    requested = {name: amount for name, amount in delta.items() if name in hard and amount.nanos}
    if not requested:
        return used
    after = {**used, **{name: used.get(name, ZERO).plus(amount) for name, amount in requested.items()}}
    if request.op.subresource != "status":
        exceeded = sorted(name for name in requested if after[name].nanos > hard[name].nanos)
        if exceeded:
            raise refused(
                request,
                f"exceeded quota: {quota['metadata']['name']}, requested: {_shown(requested, exceeded)}, "
                f"used: {_shown(used, exceeded)}, limited: {_shown(hard, exceeded)}",
            )
    return after


def _shown(usage: Usage, names: Iterable[str]) -> str:
    return ",".join(f"{name}={usage[name].text}" for name in names if name in usage)
