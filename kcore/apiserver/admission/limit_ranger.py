"""LimitRanger: what containers do not ask for they get by default, and nobody asks for too little or too much.

Source: plugin/pkg/admission/limitranger/admission.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kcore.api.kinds.resource_lists import aggregate_spec
from kcore.api.quantity import (
    INT64_MAX,
    binary_text,
    canonical,
    decimal_text,
    is_binary,
    milli_value,
    parse_quantity,
    unit_value,
)
from kcore.apiserver.admission.contract import CREATE, UPDATE, Plugin, Request, refused
from kcore.apiserver.view import Object, View

ANNOTATION: Final = "kubernetes.io/limit-ranger"
MILLI_VALUE_MAX: Final = INT64_MAX // 1000  # above, whole units are compared
POD_LEVEL: Final = frozenset({"cpu", "memory"})

Amounts = Mapping[str, Any]


def limit_ranger(view: View) -> Plugin:
    """The plugin over the limit ranges of the view."""

    def ranges(request: Request) -> list[Object]:
        if request.old is not None and request.old.get("metadata", {}).get("deletionTimestamp"):
            return []
        found = view.list("", "limitranges", request.op.namespace)
        return (
            sorted(found, key=lambda each: str(each["metadata"]["name"])) if len(found) > 1 else list(found)
        )

    def concerns(request: Request) -> bool:
        if request.op.subresource == "resize":
            return request.op.row.plural == "pods" and request.verb == UPDATE
        return request.op.row.plural != "pods" or request.verb == CREATE

    def mutate(request: Request) -> None:
        if request.op.row.plural == "pods" and concerns(request):
            assert request.obj is not None
            for each in ranges(request):
                _set_defaults(request.obj, each)

    def validate(request: Request) -> None:
        if not concerns(request):
            return
        assert request.obj is not None
        for each in ranges(request):
            if request.op.row.plural == "pods":
                faults = list(dict.fromkeys(_pod_faults(request.obj, each)))
            else:
                faults = list(dict.fromkeys(_claim_faults(request.obj, each)))
            if faults:
                raise refused(request, faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]")

    return Plugin(
        "LimitRanger",
        frozenset({CREATE, UPDATE}),
        frozenset({("", "pods"), ("", "persistentvolumeclaims")}),
        frozenset({"", "resize"}),
        mutate,
        validate,
        traceable=True,
        keeps_shared=frozenset({""}),
    )


def _limits(limit_range: Object) -> list[Object]:
    return limit_range.get("spec", {}).get("limits") or []


def _set_defaults(pod: Object, limit_range: Object) -> None:
    requests: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for limit in _limits(limit_range):
        if limit.get("type") == "Container":
            requests |= limit.get("defaultRequest") or {}
            limits |= limit.get("default") or {}
    if not requests and not limits:
        return
    notes: list[str] = []
    for side, title in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(side) or ():
            notes.extend(_complete(container, requests, limits, title))
    if notes:
        metadata = pod["metadata"]
        text = f"LimitRanger plugin set: {'; '.join(notes)}"
        metadata["annotations"] = {**(metadata.get("annotations") or {}), ANNOTATION: text}


def _complete(container: Object, requests: Amounts, limits: Amounts, title: str) -> Iterator[str]:
    resources = container.get("resources") or {}
    for key, word, defaults in (("requests", "request", requests), ("limits", "limit", limits)):
        amounts = resources.get(key) or {}
        missing = {name: amount for name, amount in defaults.items() if name not in amounts}
        if missing:
            resources = {**resources, key: {**amounts, **missing}}
            container["resources"] = resources
            yield f"{', '.join(sorted(missing))} {word} for {title} {container.get('name', '')}"


def _pod_faults(pod: Object, limit_range: Object) -> Iterator[str]:
    spec = pod["spec"]
    for limit in _limits(limit_range):
        kind = limit.get("type", "")
        if kind == "Container":
            for side in ("containers", "initContainers"):
                for container in spec.get(side) or ():
                    resources = container.get("resources") or {}
                    yield from _faults(
                        limit, kind, resources.get("requests") or {}, resources.get("limits") or {}
                    )
        elif kind == "Pod":
            yield from _faults(limit, kind, _of_pod(spec, "requests"), _of_pod(spec, "limits"))


def _claim_faults(claim: Object, limit_range: Object) -> Iterator[str]:
    requests = (claim.get("spec", {}).get("resources") or {}).get("requests") or {}
    for limit in _limits(limit_range):
        kind = limit.get("type", "")
        if kind != "PersistentVolumeClaim":
            continue
        for name, bound in sorted((limit.get("min") or {}).items()):
            yield from _below(kind, name, bound, requests, {})
        for name, bound in sorted((limit.get("max") or {}).items()):
            shown = f"maximum {name} usage per {kind} is {canonical(bound)}"
            if name not in requests:
                yield f"{shown}.  No request is specified"
            elif _compared(requests[name], bound)[0] > _compared(requests[name], bound)[1]:
                yield f"{shown}, but request is {canonical(requests[name])}"


def _faults(limit: Object, kind: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, bound in sorted((limit.get("min") or {}).items()):
        yield from _below(kind, name, bound, requests, limits)
    for name, bound in sorted((limit.get("max") or {}).items()):
        yield from _above(kind, name, bound, requests, limits)
    for name, bound in sorted((limit.get("maxLimitRequestRatio") or {}).items()):
        yield from _apart(kind, name, bound, requests, limits)


def _compared(*amounts: Any) -> list[int]:
    """The amounts in milli-units, in whole units where one of them is too large for that."""
    nanos = [parse_quantity(amount) for amount in amounts]
    whole = [unit_value(each) for each in nanos]
    return whole if max(whole) > MILLI_VALUE_MAX else [milli_value(each) for each in nanos]


def _below(kind: str, name: str, bound: Any, requests: Amounts, limits: Amounts) -> Iterator[str]:
    shown = f"minimum {name} usage per {kind} is {canonical(bound)}"
    request, limit, least = _compared(requests.get(name, 0), limits.get(name, 0), bound)
    if name not in requests:
        yield f"{shown}.  No request is specified"
    elif request < least:
        yield f"{shown}, but request is {canonical(requests[name])}"
    elif name in limits and limit < least:
        yield f"{shown}, but limit is {canonical(limits[name])}"


def _above(kind: str, name: str, bound: Any, requests: Amounts, limits: Amounts) -> Iterator[str]:
    shown = f"maximum {name} usage per {kind} is {canonical(bound)}"
    request, limit, most = _compared(requests.get(name, 0), limits.get(name, 0), bound)
    if name not in limits:
        yield f"{shown}.  No limit is specified"
    elif limit > most:
        yield f"{shown}, but limit is {canonical(limits[name])}"
    elif name in requests and request > most:
        yield f"{shown}, but request is {canonical(requests[name])}"


def _apart(kind: str, name: str, bound: Any, requests: Amounts, limits: Amounts) -> Iterator[str]:
    shown = f"{name} max limit to request ratio per {kind} is {canonical(bound)}"
    request, limit, _ = _compared(requests.get(name, 0), limits.get(name, 0), bound)
    if not request:
        yield f"{shown}, but no request is specified or request is 0"
        return
    if not limit:
        yield f"{shown}, but no limit is specified or limit is 0"
        return
    ratio = limit / request
    nanos = parse_quantity(bound)
    in_milli = unit_value(nanos) <= MILLI_VALUE_MAX
    if (ratio * 1000 > milli_value(nanos)) if in_milli else (ratio > unit_value(nanos)):
        yield f"{shown}, but provided ratio is {ratio:f}"


def _of_pod(spec: Object, side: str) -> dict[str, str]:
    """What the containers ask for together, or the pod as a whole where it says so."""
    amounts: dict[str, str] = {}
    for name, nanos in aggregate_spec(spec, side).items():
        amounts[name] = (binary_text if _is_written_binary(spec, side, name) else decimal_text)(nanos)
    stated = (spec.get("resources") or {}).get(side) or {}
    amounts |= {name: amount for name, amount in stated.items() if name in POD_LEVEL}
    return amounts


def _is_written_binary(spec: Object, side: str, name: str) -> bool:
    """The form of a sum is that of its first term."""
    for kind in ("containers", "initContainers"):
        for container in spec.get(kind) or ():
            amount = ((container.get("resources") or {}).get(side) or {}).get(name)
            if amount is not None:
                return is_binary(amount)
    return False
