"""Priority: a pod's class decides its priority, and there is one default class.

Source: plugin/pkg/admission/priority/admission.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final

from kcore.api.admission import PREEMPT_LOWER_PRIORITY
from kcore.apiserver.admission.contract import CREATE, EVERY_SUBRESOURCE, UPDATE, Plugin, Request, refused
from kcore.apiserver.view import Object, View

GROUP: Final = "scheduling.k8s.io"
PLURAL: Final = "priorityclasses"


def priority(view: View) -> Plugin:
    """The plugin over the classes of the view."""
    default = _DefaultClass(view)

    async def resolve_late(request: Request, pod: Object, name: str) -> None:
        found = await view.live(GROUP, PLURAL, "", name)
        if found is None:
            raise refused(request, f"no PriorityClass with name {name} was found")
        _set(request, pod["spec"], name, found)

    def mutate(request: Request) -> Awaitable[None] | None:  # waits only where the store must be asked
        if request.op.row.plural != "pods" or request.obj is None:
            return None
        spec = request.obj["spec"]
        if request.verb == UPDATE:
            old = (request.old or {}).get("spec") or {}
            kept = {
                key: old[key]
                for key in ("priority", "preemptionPolicy")
                if spec.get(key) is None and old.get(key) is not None
            }
            if kept:
                request.obj["spec"] = {**spec, **kept}
            return None
        name = spec.get("priorityClassName")
        if name:
            found = view.get(GROUP, PLURAL, "", name)
            if found is None:
                return resolve_late(request, request.obj, name)
            _set(request, spec, name, found)
        else:
            found = default.find()
            _set(request, spec, found["metadata"]["name"] if found is not None else "", found)
        return None

    def validate(request: Request) -> None:
        new = request.obj
        if request.op.row.plural != PLURAL or new is None or not new.get("globalDefault"):
            return
        found = default.find()
        if found is not None and (
            request.verb == CREATE or found["metadata"]["name"] != new["metadata"].get("name")
        ):
            title = found["metadata"]["name"]
            raise refused(
                request, f"PriorityClass {title} is already marked as default. Only one default can exist"
            )

    return Plugin(
        "Priority",
        frozenset({CREATE, UPDATE}),
        frozenset({("", "pods"), (GROUP, PLURAL)}),
        mutate=mutate,
        validate=validate,
        traceable=True,
        keeps_shared=EVERY_SUBRESOURCE,
    )


class _DefaultClass:
    """The class of pods that name none, looked for again whenever a class has changed."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._as_of = -1
        self._found: Object | None = None

    def find(self) -> Object | None:
        """The least of the default classes, None where there is none."""
        revision = self._view.revision(GROUP, PLURAL)
        if revision != self._as_of:
            defaults = [each for each in self._view.list(GROUP, PLURAL) if each.get("globalDefault")]
            self._found = min(defaults, key=lambda each: int(each.get("value", 0)), default=None)
            self._as_of = revision
        return self._found


def _set(request: Request, spec: dict[str, Any], name: str, found: Object | None) -> None:
    computed = int(found.get("value", 0)) if found is not None else 0
    policy = found.get("preemptionPolicy") if found is not None else PREEMPT_LOWER_PRIORITY
    if name:
        spec["priorityClassName"] = name
    stated = spec.get("priority")
    if stated is not None and stated != computed:
        raise refused(
            request,
            f"the integer value of priority ({stated}) must not be provided in pod spec; priority admission controller "
            f"computed {computed} from the given PriorityClass name",
        )
    spec["priority"] = computed
    if policy is not None:
        stated = spec.get("preemptionPolicy")
        if stated is not None and stated != policy:
            raise refused(
                request,
                f"the string value of PreemptionPolicy ({stated}) must not be provided in pod spec; priority admission "
                f"controller computed {policy} from the given PriorityClass name",
            )
        spec["preemptionPolicy"] = policy
