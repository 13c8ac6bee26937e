"""``--authorization-mode``: one mode after the other, until one has an opinion.

Source: pkg/kubeapiserver/authorizer/{config,modes}.go and apiserver pkg/authorization/union of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kcore.api.errors import InputError
from kcore.apiserver.authz.contract import Authorizer, Decision, RequestAttributes
from kcore.apiserver.user import MASTERS, UserInfo

ALLOWED: Final = Decision(True)
NO_OPINION: Final = Decision(False)
MODES: Final = ("AlwaysAllow", "AlwaysDeny", "RBAC")
ELSEWHERE: Final = {
    "Node": "the node authorizer is not built in; nodes get their rights by RBAC",
    "ABAC": "policy files are not read; write roles and bindings",
    "Webhook": "no authorization webhook is called",
}


class AlwaysAllow:
    """Everybody may do everything."""

    def authorize(self, user: UserInfo, info: RequestAttributes) -> Decision:
        """Allowed."""
        return ALLOWED


class AlwaysDeny:
    """Nobody may do anything."""

    def authorize(self, user: UserInfo, info: RequestAttributes) -> Decision:
        """No opinion, which in the end is a refusal."""
        return Decision(False, "Everything is forbidden.")


class PrivilegedGroups:
    """Members of the groups may do everything."""

    def __init__(self, *groups: str) -> None:
        self._groups = frozenset(groups)

    def authorize(self, user: UserInfo, info: RequestAttributes) -> Decision:
        """Allowed for a member."""
        return NO_OPINION if self._groups.isdisjoint(user.groups) else ALLOWED


class Union:
    """The first that allows or forbids decides; where none does, all their reasons are given."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    def authorize(self, user: UserInfo, info: RequestAttributes) -> Decision:
        """See the class."""
        reasons: list[str] = []
        errors: list[str] = []
        for each in self._authorizers:
            decision = each.authorize(user, info)
            if decision.allowed or decision.denied:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
            if decision.error:
                errors.append(decision.error)
        if not reasons and not errors:
            return NO_OPINION
        return Decision(False, "\n".join(reasons), error=", ".join(errors))


def authorizer_of(modes: Sequence[str], rbac: Callable[[], Authorizer]) -> Authorizer:
    """The authorizer of the modes in order, behind the superusers of ``system:masters``.

    InputError for a mode that there is not. ``rbac`` makes the one of that mode, where it is asked for.
    """
    if not modes:
        raise InputError("no authorization mode", field="--authorization-mode", expected=", ".join(MODES))
    made: list[Authorizer] = [PrivilegedGroups(MASTERS)]
    for index, mode in enumerate(modes):
        if mode in modes[:index]:
            raise InputError(f"{mode} is given twice", field="--authorization-mode")
        if mode == "AlwaysAllow":
            made.append(AlwaysAllow())
        elif mode == "AlwaysDeny":
            made.append(AlwaysDeny())
        elif mode == "RBAC":
            made.append(rbac())
        else:
            why = ELSEWHERE.get(mode, "there is no such mode")
            raise InputError(f"{mode}: {why}", field="--authorization-mode", expected=", ".join(MODES))
    return Union(made)
