"""OwnerReferencesPermissionEnforcement: who sets an owner must be able to do what the owner's deletion will do.

Source: plugin/pkg/admission/gc/gc_admission.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kcore.api.field import quoted
from kcore.api.rows import Row
from kcore.apiserver.admission.contract import (
    ALL,
    CREATE,
    EVERY_SUBRESOURCE,
    UPDATE,
    Plugin,
    Request,
    refused,
)
from kcore.apiserver.authz.contract import Attributes, Authorizer
from kcore.apiserver.view import Object

KindOf = Callable[[str, str], Row | None]
"""The row of an apiVersion and a kind, None where none is served."""

UNCONCERNED: Final = frozenset({("", "pods", "status"), ("", "pods", "binding")})


def owner_references_permission_enforcement(authorizer: Authorizer, kind_of: KindOf) -> Plugin:
    """The plugin; ``kind_of`` finds the resource of an owner."""

    def check_blocking(request: Request, reference: Object) -> None:
        version, kind = reference.get("apiVersion", ""), reference.get("kind", "")
        row = kind_of(version, kind)
        if row is None:
            raise refused(
                request,
                f"cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {version} "
                f"Kind {kind}: no matches for kind {quoted(kind)} in version {quoted(version)}",
            )
        namespace = request.op.namespace if row.namespaced else ""
        name = reference.get("name", "")
        question = Attributes("update", row.group, row.plural, "finalizers", namespace, name)
        decision = authorizer.authorize(request.op.user, question)
        if not decision.allowed:
            raise refused(
                request,
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: "
                f"{decision.reason}, {decision.error or '<nil>'}",
            )

    def validate(request: Request) -> None:
        op = request.op
        new, old = _owners(request.obj), _owners(request.old)
        if (op.row.group, op.row.plural, op.subresource) in UNCONCERNED or new == old:
            return
        if request.verb != CREATE:
            question = Attributes(
                "delete", op.row.group, op.row.plural, op.subresource, op.namespace, op.name
            )
            decision = authorizer.authorize(op.user, question)
            if not decision.allowed:
                raise refused(
                    request,
                    "cannot set an ownerRef on a resource you can't delete: "
                    f"{decision.reason}, {decision.error or '<nil>'}",
                )
        was_blocking = {each.get("uid") for each in old if each.get("blockOwnerDeletion")}
        blocking = [
            each for each in new if each.get("blockOwnerDeletion") and each.get("uid") not in was_blocking
        ]
        everything = Attributes("update", "*", "*", "finalizers", "", "*")
        if blocking and not authorizer.authorize(op.user, everything).allowed:
            for reference in blocking:
                check_blocking(request, reference)

    return Plugin(
        "OwnerReferencesPermissionEnforcement",
        frozenset({CREATE, UPDATE}),
        ALL,
        EVERY_SUBRESOURCE,
        validate=validate,
    )


def _owners(obj: Object | None) -> Sequence[Object]:
    return ((obj or {}).get("metadata") or {}).get("ownerReferences") or ()
