"""PodResizeValidator: a pod is resized only on Linux, and never beyond what its node has.

Source: plugin/pkg/admission/podresize/admission.go of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Final

from kcore.api.field import quoted
from kcore.api.kinds.resource_lists import aggregate_spec
from kcore.api.quantity import milli_value, parse_quantity, unit_value
from kcore.api.status import ApiError
from kcore.apiserver.admission.contract import UPDATE, Plugin, Request, refused
from kcore.apiserver.view import Object, View

OS_LABEL: Final = "kubernetes.io/os"


def pod_resize_validator(view: View) -> Plugin:
    """The plugin over the nodes of the view."""

    def validate(request: Request) -> None:
        pod, old = request.obj, request.old
        assert pod is not None and old is not None
        name = pod["spec"].get("nodeName")
        if not name or old["metadata"].get("generation") == pod["metadata"].get("generation"):
            return
        node = view.get("", "nodes", "", name)
        if node is None:
            raise refused(request, f"node {quoted(name)} not found")
        system = (node["metadata"].get("labels") or {}).get(OS_LABEL, "linux")
        if system != "linux":
            text = f"pod resize is only supported on linux nodes, node {quoted(name)} is {quoted(system)}"
            raise _with_cause(refused(request, text), "UnsupportedPlatform")
        if short := _short(pod["spec"], (node.get("status") or {}).get("allocatable") or {}):
            text = f"node didn't have enough allocatable resources: {short}"
            raise _with_cause(refused(request, text), "NodeCapacity")

    return Plugin(
        "PodResizeValidator",
        frozenset({UPDATE}),
        frozenset({("", "pods")}),
        frozenset({"resize"}),
        validate=validate,
    )


def _short(spec: Object, allocatable: Object) -> str:
    """What the node has too little of, in words; empty where it has enough."""
    requests = aggregate_spec(spec, "requests")
    stated = (spec.get("resources") or {}).get("requests") or {}
    requests |= {name: parse_quantity(stated[name]) for name in ("cpu", "memory") if name in stated}
    for name, amount in (spec.get("overhead") or {}).items():
        requests[name] = requests.get(name, 0) + parse_quantity(amount)
    faults = []
    for name, rounded in (("cpu", milli_value), ("memory", unit_value)):
        wanted, there = requests.get(name, 0), parse_quantity(allocatable.get(name, 0))
        if wanted > there:
            faults.append(f"{name}, requested: {rounded(wanted)}, allocatable: {rounded(there)}")
    return "; ".join(faults)


def _with_cause(error: ApiError, reason: str) -> ApiError:
    error.details = {**(error.details or {}), "causes": [{"reason": reason}]}
    return error
