"""Nobody grants what they do not hold themselves, unless a rule lets them escalate or bind.

The check stands at the end of mutating admission, where upstream's policy-based storage has it. Source:
pkg/registry/rbac/{escalation_check,helpers}.go, */policybased/storage.go and validation/rule.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kcore.api import status
from kcore.api.field import quoted
from kcore.apiserver.authz.bindings import GROUP, Bindings, RoleMissing
from kcore.apiserver.authz.contract import Attributes, Authorizer
from kcore.apiserver.authz.rbac import aggregated
from kcore.apiserver.authz.rules import Rule, compacted, go_list, uncovered
from kcore.apiserver.user import MASTERS, UserInfo

Object = dict[str, Any]

ROLES: Final = frozenset({"roles", "clusterroles"})
BINDINGS: Final = frozenset({"rolebindings", "clusterrolebindings"})
FULL_AUTHORITY: Final = (Rule(("*",), ("*",), ("*",)), Rule(("*",), urls=("*",)))
COLLECTED: Final = ("ownerReferences", "finalizers", "managedFields", "selfLink")


def confirm_role(
    bindings: Bindings,
    authorizer: Authorizer,
    user: UserInfo,
    plural: str,
    namespace: str,
    name: str,
    role: Object,
    old: Object | None,
) -> None:
    """ApiError 403 where the role holds rules that the user does not; ``name`` is the request's, maybe empty."""
    if MASTERS in user.groups:
        return
    question = Attributes("escalate", GROUP, plural, "", namespace, name)
    if authorizer.authorize(user, question).allowed or _changes_no_more_than_collected(role, old):
        return
    title = role["metadata"].get("name", "")
    rules = tuple(map(Rule.of, role.get("rules") or ()))
    if (fault := escalation(bindings, user, namespace, rules)) is not None:
        raise status.forbidden(GROUP, plural, title, fault)
    if _is_aggregated(role) or (old is not None and _is_aggregated(old)):
        if escalation(bindings, user, namespace, FULL_AUTHORITY) is not None:
            raise status.forbidden(
                GROUP, plural, title, "must have cluster-admin privileges to use the aggregationRule"
            )


def confirm_binding(
    bindings: Bindings,
    authorizer: Authorizer,
    user: UserInfo,
    plural: str,
    namespace: str,
    binding: Object,
    old: Object | None,
) -> None:
    """ApiError 403 where the role bound holds rules that the user does not, 404 where there is no such role."""
    if MASTERS in user.groups or _changes_no_more_than_collected(binding, old):
        return
    reference = binding.get("roleRef") or {}
    kind, role_name = reference.get("kind", ""), reference.get("name", "")
    resource = {"ClusterRole": "clusterroles", "Role": "roles"}.get(kind)
    if resource is not None:
        group = reference.get("apiGroup", GROUP)
        if authorizer.authorize(user, Attributes("bind", group, resource, "", namespace, role_name)).allowed:
            return
    try:
        rules = bindings.rules(kind, role_name, namespace)
    except RoleMissing as fault:
        if resource is None:
            raise status.internal(str(fault)) from None
        raise status.not_found(GROUP, resource, role_name) from None
    if (fault_text := escalation(bindings, user, namespace, rules)) is not None:
        raise status.forbidden(GROUP, plural, binding["metadata"].get("name", ""), fault_text)


def escalation(bindings: Bindings, user: UserInfo, namespace: str, rules: Sequence[Rule]) -> str | None:
    """What the user would grant without holding it, None where they hold all of it."""
    held, faults = bindings.rules_for(user, namespace)
    missing = uncovered(held, rules)
    if not missing:
        return None
    texts = sorted({rule.text for rule in compacted(missing)})
    message = (
        f"user {quoted(user.name)} (groups={go_list(user.groups)}) is attempting to grant RBAC permissions not "
        "currently held:\n" + "\n".join(texts)
    )
    return f"{message}; resolution errors: [{aggregated(faults)}]" if faults else message


def _is_aggregated(role: Object) -> bool:
    return bool((role.get("aggregationRule") or {}).get("clusterRoleSelectors"))


def _changes_no_more_than_collected(new: Object, old: Object | None) -> bool:
    """True for an update that touches only what garbage collection works with."""
    if old is None:
        return False

    def rest(obj: Object) -> Object:
        metadata = {key: value for key, value in obj["metadata"].items() if key not in COLLECTED}
        return {**obj, "metadata": metadata}

    return rest(new) == rest(old)
