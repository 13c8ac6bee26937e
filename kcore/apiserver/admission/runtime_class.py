"""RuntimeClass: what running a pod costs beside its containers, and where its runtime is installed.

Source: plugin/pkg/admission/runtimeclass/admission.go and pkg/util/tolerations of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from kcore.api.field import quoted
from kcore.api.kinds.resource_lists import equal_amounts
from kcore.apiserver.admission.contract import CREATE, Plugin, Request, refused
from kcore.apiserver.view import Object, View

GROUP: Final = "node.k8s.io"
MISMATCH: Final = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
UNDEFINED: Final = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"


def runtime_class(view: View) -> Plugin:
    """The plugin over the runtime classes of the view."""
    Then = Callable[[Request, Object, Object | None], None]

    async def look_up(request: Request, spec: Object, name: str, then: Then) -> None:
        found = await view.live(GROUP, "runtimeclasses", "", name)
        if found is None:
            raise refused(request, f"pod rejected: RuntimeClass {quoted(name)} not found")
        then(request, spec, found)

    def with_class(request: Request, then: Then) -> Awaitable[None] | None:
        assert request.obj is not None
        spec = request.obj["spec"]
        name = spec.get("runtimeClassName")
        if name is None:
            then(request, spec, None)
            return None
        found = view.get(GROUP, "runtimeclasses", "", name)
        if found is None:
            return look_up(request, spec, name, then)
        then(request, spec, found)
        return None

    return Plugin(
        "RuntimeClass",
        frozenset({CREATE}),
        frozenset({("", "pods")}),
        mutate=lambda request: with_class(request, _apply),
        validate=lambda request: with_class(request, _check),
        traceable=True,
    )


def _overhead(found: Object | None) -> dict[str, Any] | None:
    overhead = (found or {}).get("overhead")
    return None if overhead is None else overhead.get("podFixed") or {}


def _apply(request: Request, spec: Object, found: Object | None) -> None:
    if found is None:
        return
    fixed = _overhead(found)
    if fixed is not None:
        if spec.get("overhead") and not equal_amounts(fixed, spec["overhead"]):
            raise refused(request, MISMATCH)
        if fixed:
            spec["overhead"] = dict(fixed)
        else:
            spec.pop("overhead", None)
    scheduling = found.get("scheduling")
    if scheduling is None:
        return
    selector = spec.get("nodeSelector") or {}
    wanted = scheduling.get("nodeSelector") or {}
    for key, value in sorted(wanted.items()):
        if selector.get(key, value) != value:
            raise refused(
                request,
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {selector[key]}",
            )
    if wanted:
        spec["nodeSelector"] = {**selector, **wanted}
    if scheduling.get("tolerations"):
        spec["tolerations"] = merged_tolerations(spec.get("tolerations") or (), scheduling["tolerations"])


def _check(request: Request, spec: Object, found: Object | None) -> None:
    fixed = _overhead(found)
    if fixed is None:
        if spec.get("overhead") is not None:
            raise refused(request, UNDEFINED)
    elif not equal_amounts(fixed, spec.get("overhead")):
        raise refused(request, MISMATCH)


def merged_tolerations(first: Sequence[Object], second: Sequence[Object]) -> list[Object]:
    """Both lists in order, without those that another one of them makes redundant."""
    everything = [*first, *second]
    merged: list[Object] = []
    for index, each in enumerate(everything):
        if any(_tolerates_all_of(other, each) for other in merged):
            continue
        if any(other != each and _tolerates_all_of(other, each) for other in everything[index + 1 :]):
            continue
        merged.append(dict(each))
    return merged


def _tolerates_all_of(wide: Object, narrow: Object) -> bool:
    if wide == narrow:
        return True
    operator = wide.get("operator", "")
    if narrow.get("key", "") != wide.get("key", "") and (wide.get("key") or operator != "Exists"):
        return False
    effect = wide.get("effect", "")
    if narrow.get("effect", "") != effect and effect:
        return False
    if effect == "NoExecute" and (seconds := wide.get("tolerationSeconds")) is not None:
        if narrow.get("tolerationSeconds") is None or narrow["tolerationSeconds"] > seconds:
            return False
    if operator in ("Equal", ""):
        return narrow.get("operator") == "Equal" and narrow.get("value", "") == wide.get("value", "")
    return bool(operator == "Exists")
