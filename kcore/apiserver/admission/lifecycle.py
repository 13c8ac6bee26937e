"""NamespaceLifecycle: nothing is made in a namespace that is not there or is going, and some namespaces stay.

Source: apiserver pkg/admission/plugin/namespace/lifecycle/admission.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from kcore.api import status
from kcore.apiserver.admission.contract import (
    ALL,
    CREATE,
    DELETE,
    EVERY_SUBRESOURCE,
    UPDATE,
    Plugin,
    Request,
    refused,
)
from kcore.apiserver.view import View

IMMORTAL: Final = frozenset({"default", "kube-system", "kube-public"})


def namespace_lifecycle(view: View) -> Plugin:
    """The plugin over the namespaces of the view."""

    async def look_up(request: Request, name: str) -> None:
        namespace = await view.live("", "namespaces", "", name)
        if namespace is None:
            raise status.not_found("", "namespaces", name)
        if request.verb == CREATE:
            _refuse_terminating(request, namespace, name)

    def mutate(request: Request) -> Awaitable[None] | None:  # waits only where the store must be asked
        op = request.op
        row = op.row
        if row.plural == "namespaces" and not row.group:
            if request.verb == DELETE and op.name in IMMORTAL:
                raise status.forbidden("", "namespaces", op.name, "this namespace may not be deleted")
            return None
        name = op.namespace
        if not name or request.verb == DELETE or row.plural == "localsubjectaccessreviews":
            return None
        namespace = view.get("", "namespaces", "", name)
        if namespace is None:
            return look_up(request, name)
        if request.verb == CREATE:
            _refuse_terminating(request, namespace, name)
        return None

    return Plugin(
        "NamespaceLifecycle",
        frozenset({CREATE, UPDATE, DELETE}),
        ALL,
        EVERY_SUBRESOURCE,
        mutate=mutate,
        traceable=True,
        keeps_shared=EVERY_SUBRESOURCE,
    )


def _refuse_terminating(request: Request, namespace: dict[str, object], name: str) -> None:
    phase = namespace.get("status")
    if not isinstance(phase, dict) or phase.get("phase") != "Terminating":
        return
    error = refused(
        request, f"unable to create new content in namespace {name} because it is being terminated"
    )
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {name} is being terminated",
        "field": "metadata.namespace",
    }
    error.details = {**(error.details or {}), "causes": [cause]}
    raise error
