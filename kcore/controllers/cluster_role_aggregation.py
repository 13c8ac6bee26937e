"""A cluster role with an aggregation rule has the rules of all the roles that it selects.

Source: pkg/controller/clusterroleaggregation of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from kcore.controllers.contract import Controller, Key, Object, Patch, Steps, View, Watched, done
from kcore.controllers.selection import selector_of

FIELD_MANAGER: Final = "clusterrole-aggregation-controller"
RULE_FIELDS: Final = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")


class ClusterRoleAggregation(Controller):
    """``clusterrole-aggregation-controller``."""

    name: ClassVar = "clusterrole-aggregation-controller"
    aliases: ClassVar = ("clusterrole-aggregation",)
    component: ClassVar = "clusterrole-aggregation-controller"
    workers: ClassVar[int] = 5

    @property
    def watches(self) -> Sequence[Watched]:
        """Cluster roles: each change may concern every one that aggregates."""
        return (Watched("clusterroles", self._keys),)

    def _keys(self, old: Object | None, new: Object | None, view: View) -> Iterable[Key]:
        for role in view.list("clusterroles"):
            if role.get("aggregationRule"):
                yield Key("", role["metadata"]["name"])

    def reconcile(self, key: Key, view: View, now_ms: int) -> Steps:
        """Its rules are those of the roles it selects, by name, each once."""
        role = view.get("clusterroles", "", key.name)
        if role is None or not role.get("aggregationRule"):
            return None
        rules: list[Object] = []
        for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
            matches = selector_of(selector).matches
            chosen = [
                each
                for each in view.list("clusterroles")
                if each["metadata"]["name"] != key.name and matches(each["metadata"].get("labels") or {})
            ]
            for each in sorted(chosen, key=lambda found: found["metadata"]["name"]):
                for rule in each.get("rules") or ():
                    told = {name: rule[name] for name in RULE_FIELDS if rule.get(name)}
                    if told not in rules:
                        rules.append(told)
        there = [
            {name: rule[name] for name in RULE_FIELDS if rule.get(name)} for rule in role.get("rules") or ()
        ]
        if rules == there:
            return None
        body = {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": key.name},
            "rules": rules,
        }  # fmt: skip
        patch = Patch("clusterroles", "", key.name, body, "apply", manager=FIELD_MANAGER, force=True)
        done((yield [patch]), gone_is_fine=False)
        return None
