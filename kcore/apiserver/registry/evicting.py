"""POST of an Eviction: the pod is deleted where its disruption budget allows it.

Source: pkg/registry/core/pod/storage/eviction.go of Kubernetes 1.36.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson

from kcore.api import field
from kcore.api.status import (
    ApiError,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
    timeout,
    too_many_requests,
)
from kcore.apiserver.list_options import ListOptions
from kcore.apiserver.operation import CREATE, DELETE, Object, Operation, Result, Written
from kcore.apiserver.registry.binding import succeeded
from kcore.apiserver.registry.conditions import pod_is_ready, set_pod_condition
from kcore.apiserver.registry.core import Core
from kcore.apiserver.registry.deleting import delete_object
from kcore.apiserver.registry.metadata import ensure_namespace, metadata_of
from kcore.apiserver.registry.selection import matches
from kcore.apiserver.registry.stored_form import decode
from kcore.apiserver.registry.updating import Write, write

DISRUPTED_PODS_MAX: Final = 2000
RETRIES_MAX: Final = 20
RETRY_AFTER_SECONDS: Final = 10
VIOLATES: Final = "Cannot evict pod as it would violate the pod's disruption budget."
SEVERAL_BUDGETS: Final = (
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
)
ENDED_PHASES: Final = ("Succeeded", "Failed")
UNSAFE: Final = "ignoreStoreReadErrorWithClusterBreakingPotential"


async def evict(core: Core, op: Operation, eviction: Object) -> Result:
    """201 once the deletion of the pod has begun; 429 where its budget forbids it."""
    metadata = metadata_of(eviction)
    ensure_namespace(metadata, op.namespace)
    op.verb = CREATE
    await core.admission.mutate(op, eviction, None, now=core.now())
    if op.name != metadata.get("name", ""):
        raise bad_request("name in URL does not match name in Eviction object")
    options: Object = eviction.get("deleteOptions") or {}
    if options.get(UNSAFE):
        text = "can not be set for pod eviction, try after removing the option"
        raise invalid("policy", "Eviction", op.name, [field.invalid(f"deleteOptions.{UNSAFE}", True, text)])
    op.options.dry_run = op.options.dry_run or bool(options.get("dryRun"))
    await core.admission.validate(op, eviction, None, now=core.now())
    return await _Eviction(core, op, options).run()


class _Eviction:
    """One eviction and what it needs of the pod and its budgets."""

    def __init__(self, core: Core, op: Operation, options: Object) -> None:
        self.core, self.op, self.options = core, op, options
        pods = core.catalog.row("", "v1", "pods")
        budgets = core.catalog.row("policy", "v1", "poddisruptionbudgets")
        assert pods is not None and budgets is not None
        self.pods, self.budgets = pods, budgets

    @property
    def pinned(self) -> bool:
        """The request itself names the version that it means."""
        return (self.options.get("preconditions") or {}).get("resourceVersion") is not None

    async def run(self) -> Result:
        """See ``evict``."""
        pod = await self._pod()
        for attempt in range(RETRIES_MAX):
            if not _may_ignore_budgets(pod):
                break
            options = self.options
            if _is_pinned_for(pod) and not self.pinned:
                options = _at_version(options, pod)
            try:
                await self._delete(options)
            except ApiError as error:
                if error.reason != "Conflict" or self.pinned or attempt == RETRIES_MAX - 1:
                    raise
                pod = await self._pod()
                continue
            return Result(201, succeeded(201))
        found = await self._budgets(pod)
        if len(found) > 1:
            return Result(500, _failure(SEVERAL_BUDGETS))
        options = self.options
        budget = found[0] if found else None
        healthy_enough = budget is not None and not pod_is_ready(pod) and _spares_unready(budget)
        if healthy_enough:
            options = _at_version(options, pod)
        elif budget is not None:
            await self._decrement(pod, budget["metadata"]["name"])
        try:
            await self._delete(options)
        except ApiError as error:
            if error.reason == "Conflict" and healthy_enough and not self.pinned and budget is not None:
                raise _still_processed(budget) from None
            raise
        return Result(201, succeeded(201))

    async def _pod(self) -> Object:
        stored = await self.core.store.get(self.pods, self.op.namespace, self.op.name)
        if stored is None:
            raise not_found("", "pods", self.op.name)
        return decode(stored.value, stored.revision)

    async def _budgets(self, pod: Object) -> list[Object]:
        """The budgets that the pod falls under."""
        page = await self.core.cacher.list(self.budgets, self.op.namespace, ListOptions())
        labels = pod["metadata"].get("labels") or {}
        budgets = [orjson.loads(item) for item in page.items]
        return [each for each in budgets if matches((each.get("spec") or {}).get("selector"), labels)]

    async def _decrement(self, pod: Object, name: str) -> None:
        """The budget counts one disruption less and knows the pod; raises where it allows none."""
        budgets = self.budgets
        op = replace(
            self.op,
            row=budgets,
            name=name,
            subresource="status",
            options=replace(self.op.options),
            may_create=None,
        )
        now = self.core.now()

        async def updated(live: Object | None) -> Object:
            if live is None:
                raise not_found("policy", "poddisruptionbudgets", name)
            return _decremented(live, pod["metadata"]["name"], now)

        for attempt in range(RETRIES_MAX):
            try:
                await write(self.core, Write(self.core.kind(budgets), op, updated, now, admits=False))
            except ApiError as error:
                if error.reason != "Conflict":
                    raise
                if attempt == RETRIES_MAX - 1:
                    text = f'couldn\'t update PodDisruptionBudget "{name}" due to conflicts'
                    raise timeout(text, RETRY_AFTER_SECONDS) from None
                continue
            return

    async def _delete(self, options: Object) -> None:
        """The pod says that it is evicted, and is deleted."""
        core, row = self.core, self.pods
        options = {**options, "preconditions": dict(options.get("preconditions") or {})}
        op = replace(self.op, row=row, subresource="", verb=DELETE, delete_options=options)
        if not op.options.dry_run:
            version = await self._disrupt(options)
            if options["preconditions"].get("resourceVersion") is not None:
                options["preconditions"]["resourceVersion"] = version
        await delete_object(core, core.kind(row), op, options, admits=False)

    async def _disrupt(self, options: Object) -> str:
        """The pod has the condition DisruptionTarget; its version after that."""
        core, now = self.core, self.core.now()
        wanted = options["preconditions"]

        async def updated(live: Object | None) -> Object:
            if live is None:
                raise not_found("", "pods", self.op.name)
            _check(live, wanted)
            pod: Object = orjson.loads(orjson.dumps(live))
            set_pod_condition(pod, dict(EVICTED), now)
            return pod

        op = replace(self.op, row=self.pods, subresource="status", may_create=None)
        done = await write(core, Write(core.kind(self.pods), op, updated, now, admits=False))
        assert isinstance(done, Written)
        return str(done.revision)


EVICTED: Final = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


def _failure(text: str) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": text,
        "code": 500,
    }


def _check(pod: Object, wanted: Object) -> None:
    metadata = pod["metadata"]
    name = metadata["name"]
    if (uid := wanted.get("uid")) and uid != (found := metadata.get("uid", "")):
        why = (
            f"the UID in the precondition ({uid}) does not match the UID in record ({found}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict("", "Pod", name, why)
    if (version := wanted.get("resourceVersion")) and version != (found := metadata["resourceVersion"]):
        why = (
            f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
            f"({found}). The object might have been modified"
        )
        raise conflict("", "Pod", name, why)


def _at_version(options: Object, pod: Object) -> Object:
    """The options, for the pod as it was read alone."""
    wanted = dict(options.get("preconditions") or {})
    wanted["resourceVersion"] = pod["metadata"]["resourceVersion"]
    return {**options, "preconditions": wanted}


def _phase(pod: Object) -> str:
    return (pod.get("status") or {}).get("phase") or ""


def _may_ignore_budgets(pod: Object) -> bool:
    """It serves nobody: ended, not yet running, or on its way out."""
    return _phase(pod) in (*ENDED_PHASES, "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


def _is_pinned_for(pod: Object) -> bool:
    return _phase(pod) not in ENDED_PHASES and not pod["metadata"].get("deletionTimestamp")


def _spares_unready(budget: Object) -> bool:
    """A pod that is not ready may go without being counted."""
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy", 0)
    return bool(status.get("currentHealthy", 0) >= desired > 0)


def _still_processed(budget: Object) -> ApiError:
    name = budget["metadata"]["name"]
    return _refused(
        f"The disruption budget {name} is still being processed by the server.", RETRY_AFTER_SECONDS
    )


def _refused(text: str, retry_after_seconds: int) -> ApiError:
    error = too_many_requests(VIOLATES, retry_after_seconds)
    details: dict[str, Any] = error.details or {}
    if not retry_after_seconds:
        details.pop("retryAfterSeconds", None)
    error.details = {**details, "causes": [{"reason": "DisruptionBudget", "message": text}]}
    return error


def _decremented(live: Object, pod_name: str, now: str) -> Object:
    """The budget with one disruption less; 429 or 403 where there is none to take."""
    name = live["metadata"]["name"]
    state = live.get("status") or {}
    if state.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
        raise _still_processed(live)
    allowed = state.get("disruptionsAllowed", 0)
    if allowed < 0:
        raise forbidden("policy", "poddisruptionbudget", name, "pdb disruptions allowed is negative")
    if len(state.get("disruptedPods") or {}) > DISRUPTED_PODS_MAX:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise forbidden("policy", "poddisruptionbudget", name, why)
    if allowed == 0:
        raise _refused(_why_none(name, state), 0)
    budget: Object = orjson.loads(orjson.dumps(live))
    state = budget["status"]
    state["disruptionsAllowed"] = allowed - 1
    if allowed == 1:
        _set_insufficient(state, now)
    state.setdefault("disruptedPods", {})[pod_name] = now
    return budget


def _why_none(name: str, state: Object) -> str:
    conditions = state.get("conditions") or ()
    found: Object = next((each for each in conditions if each["type"] == "DisruptionAllowed"), {})
    refused = found.get("status") == "False" and bool(found.get("message"))
    if refused and found.get("reason") == "SyncFailed":
        return (
            f"The disruption budget {name} does not allow evicting pods currently because it failed sync: "
            f"{found['message']}"
        )
    current, desired = state.get("currentHealthy", 0), state.get("desiredHealthy", 0)
    if current <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {current} currently"
    text = f"The disruption budget {name} does not allow evicting pods currently"
    return f"{text} ({found.get('reason', '')}): {found['message']}" if refused else text


def _set_insufficient(state: Object, now: str) -> None:
    made = {
        "type": "DisruptionAllowed",
        "status": "False",
        "observedGeneration": state.get("observedGeneration", 0),
        "lastTransitionTime": now,
        "reason": "InsufficientPods",
        "message": "",
    }
    conditions = state.setdefault("conditions", [])
    for index, found in enumerate(conditions):
        if found["type"] == made["type"]:
            if found.get("status") == made["status"]:
                made["lastTransitionTime"] = found.get("lastTransitionTime", now)
            made["message"] = found.get("message", "")
            conditions[index] = made
            return
    conditions.append(made)
