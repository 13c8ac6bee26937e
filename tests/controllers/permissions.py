"""What the account of a controller may do, by the roles that every cluster begins with."""

from __future__ import annotations

from functools import cache

from kcore.apiserver.authz.rules import Rule
from kcore.apiserver.bootstrap.policy import policy
from kcore.controllers.accounts import NAMESPACE, OWN, account_of
from kcore.controllers.contract import Action, Create, Delete, DeleteAll, Patch, Read, ReadAll, Update

VERBS = {
    Create: "create", Update: "update", Patch: "patch", Delete: "delete", DeleteAll: "deletecollection", Read: "get",
    ReadAll: "list",
}  # fmt: skip
MANAGER = {"kind": "User", "name": "system:kube-controller-manager"}


@cache
def rules_of(account: str) -> tuple[Rule, ...]:
    """Those of the account, in whatever namespace; of the controller manager itself where it is none."""
    subject = (
        MANAGER if account == OWN else {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    )
    made = policy()
    roles = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each["rules"]
        for each in made
        if "rules" in each
    }
    return tuple(
        Rule.of(rule)
        for each in made
        if any(subject.items() <= found.items() for found in each.get("subjects", ()))
        for rule in roles[
            each["roleRef"]["kind"],
            each["metadata"].get("namespace", "") if each["roleRef"]["kind"] == "Role" else "",
            each["roleRef"]["name"],
        ]
    )


def refused(controller: str, action: Action) -> str:
    """What the controller by that name may not do of the action; empty where it may."""
    verb = VERBS.get(type(action))
    if verb is None:
        return ""
    plural, _, group = action.resource.partition(".")  # type: ignore[union-attr]
    subresource = getattr(action, "subresource", "")
    if any(
        rule.matches_resource(verb, group, plural, subresource) for rule in rules_of(account_of(controller))
    ):
        return ""
    return f"{controller}: {verb} {plural}/{subresource} in {group!r}"
