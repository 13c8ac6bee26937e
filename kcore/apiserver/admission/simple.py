"""Small plugins that are off by default.

Sources: plugin/pkg/admission/{admit,deny,alwayspullimages,antiaffinity,extendedresourcetoleration,namespace/exists,
network/denyserviceexternalips} of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kcore.api import field, status
from kcore.api.kinds.resource_lists import is_extended
from kcore.apiserver.admission.contract import (
    ALL,
    CONNECT,
    CREATE,
    DELETE,
    EVERY_SUBRESOURCE,
    UPDATE,
    Object,
    Plugin,
    Request,
    refused,
)
from kcore.apiserver.view import View

PODS: Final = frozenset({("", "pods")})
EVERY_VERB: Final = frozenset({CREATE, UPDATE, DELETE, CONNECT})
CONTAINER_SIDES: Final = ("initContainers", "containers", "ephemeralContainers")
HOSTNAME: Final = "kubernetes.io/hostname"


def always_admit() -> Plugin:
    """Refuses nothing."""
    return Plugin("AlwaysAdmit", EVERY_VERB, ALL, EVERY_SUBRESOURCE, traceable=True)


def always_deny() -> Plugin:
    """Refuses everything."""

    def refuse(request: Request) -> None:
        raise refused(request, "admission control is denying all modifications")

    return Plugin("AlwaysDeny", EVERY_VERB, ALL, EVERY_SUBRESOURCE, refuse, refuse)


def namespace_exists(view: View) -> Plugin:
    """Whatever is written in a namespace needs one that is there."""

    async def look_up(name: str) -> None:
        if await view.live("", "namespaces", "", name) is None:
            raise status.not_found("", "namespaces", name)

    async def validate(request: Request) -> None:
        name = request.op.namespace
        if name and request.op.row.plural != "namespaces" and view.get("", "namespaces", "", name) is None:
            await look_up(name)

    return Plugin(
        "NamespaceExists", frozenset({CREATE, UPDATE, DELETE}), ALL, EVERY_SUBRESOURCE, validate=validate
    )


def _containers(spec: Object) -> Iterator[tuple[str, Object]]:
    for side in CONTAINER_SIDES:
        for index, container in enumerate(spec.get(side) or ()):
            yield f"spec.{side}[{index}]", container


def always_pull_images() -> Plugin:
    """Nobody runs an image that was pulled with another's credentials."""

    def mutate(request: Request) -> None:
        assert request.obj is not None
        for _, container in _containers(request.obj["spec"]):
            container["imagePullPolicy"] = "Always"

    def validate(request: Request) -> None:
        assert request.obj is not None
        for path, container in _containers(request.obj["spec"]):
            policy = container.get("imagePullPolicy", "")
            if policy != "Always":
                error = field.not_supported(f"{path}.imagePullPolicy", policy, ("Always",))
                raise refused(request, error.text)

    return Plugin(
        "AlwaysPullImages",
        frozenset({CREATE, UPDATE}),
        PODS,
        mutate=mutate,
        validate=validate,
        traceable=True,
    )


def limit_pod_hard_anti_affinity_topology() -> Plugin:
    """Required anti-affinity is by host name only."""

    def validate(request: Request) -> None:
        assert request.obj is not None
        affinity = (request.obj["spec"].get("affinity") or {}).get("podAntiAffinity") or {}
        for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
            key = term.get("topologyKey", "")
            if key != HOSTNAME:
                raise refused(
                    request,
                    f"affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key {HOSTNAME} "
                    "is allowed",
                )

    return Plugin(
        "LimitPodHardAntiAffinityTopology", frozenset({CREATE}), PODS, validate=validate, traceable=True
    )


def extended_resource_toleration() -> Plugin:
    """A pod that asks for an extended resource tolerates the taint of nodes that are kept for it."""

    def mutate(request: Request) -> None:
        assert request.obj is not None
        spec = request.obj["spec"]
        wanted = sorted({
            name
            for _, container in _containers(spec)
            for name in (container.get("resources") or {}).get("requests") or ()
            if is_extended(name)
        })  # fmt: skip
        tolerations = spec.get("tolerations") or []
        added = [{"key": name, "operator": "Exists"} for name in wanted]
        if added:
            spec["tolerations"] = [*tolerations, *(each for each in added if each not in tolerations)]

    return Plugin(
        "ExtendedResourceToleration", frozenset({CREATE, UPDATE}), PODS, mutate=mutate, traceable=True
    )


def deny_service_external_ips() -> Plugin:
    """No service claims addresses that are not its own."""

    def validate(request: Request) -> None:
        new, old = ((each or {}).get("spec") or {} for each in (request.obj, request.old))
        if set(new.get("externalIPs") or ()) - set(old.get("externalIPs") or ()):
            raise refused(request, "Use of external IPs is denied by admission control")

    return Plugin(
        "DenyServiceExternalIPs",
        frozenset({CREATE, UPDATE}),
        frozenset({("", "services")}),
        validate=validate,
    )
