"""Roles and bindings: the escalation check, which no flag turns off.

It stands behind all other mutating plugins, where upstream's policy-based storage has it.
"""

from __future__ import annotations

from typing import Final

from kcore.apiserver.admission.contract import CREATE, UPDATE, Plugin, Request
from kcore.apiserver.authz.bindings import GROUP, Bindings
from kcore.apiserver.authz.contract import Authorizer
from kcore.apiserver.authz.escalation import BINDINGS, ROLES, confirm_binding, confirm_role

RESOURCES: Final = frozenset((GROUP, plural) for plural in ROLES | BINDINGS)


def role_escalation(bindings: Bindings, authorizer: Authorizer) -> Plugin:
    """Nobody grants what they do not hold, unless they may ``escalate`` or ``bind``."""

    def mutate(request: Request) -> None:
        op, new = request.op, request.obj
        assert new is not None
        if op.row.plural in ROLES:
            confirm_role(
                bindings, authorizer, op.user, op.row.plural, op.namespace, op.name, new, request.old
            )
        else:
            confirm_binding(bindings, authorizer, op.user, op.row.plural, op.namespace, new, request.old)

    return Plugin(
        "RoleEscalation", frozenset({CREATE, UPDATE}), RESOURCES, mutate=mutate, keeps_shared=frozenset({""})
    )
