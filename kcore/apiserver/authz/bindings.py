"""Who holds which rules: roles and bindings, found by subject.

The index follows the watch cache; each change touches only the bindings concerned. Source:
pkg/registry/rbac/validation/rule.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from kcore.api.field import quoted
from kcore.apiserver.authz.rules import Rule
from kcore.apiserver.user import UserInfo, service_account_username
from kcore.apiserver.view import Object, View

GROUP: Final = "rbac.authorization.k8s.io"
USER, OF_GROUP = "User", "Group"

Subject = tuple[str, str]  # kind (User or Group) and name; a service account is its user


class Binding(NamedTuple):
    """A binding; ``subjects`` beside the words that describe each of them. ``namespace`` is empty cluster-wide."""

    namespace: str
    name: str
    role_kind: str
    role_name: str
    subjects: tuple[tuple[Subject, str], ...]

    def source(self, user: UserInfo) -> str:
        """By which of its subjects it applies to the user, as a reason says it."""
        described = next(
            words
            for (kind, name), words in self.subjects
            if (name == user.name if kind == USER else name in user.groups)
        )
        if self.namespace:
            title = f"RoleBinding {quoted(f'{self.name}/{self.namespace}')}"
        else:
            title = f"ClusterRoleBinding {quoted(self.name)}"
        return f"{title} of {self.role_kind} {quoted(self.role_name)} to {described}"


class RoleMissing(Exception):
    """A binding names a role that is not there, or no kind of role at all."""


class Bindings:
    """All roles and bindings, once it follows a view. ``changes`` grows with each change to any of them."""

    def __init__(self) -> None:
        self.changes = 0
        self._roles: dict[tuple[str, str], tuple[Rule, ...]] = {}  # by namespace, empty: cluster roles
        self._bindings: dict[tuple[str, str], Binding] = {}
        # by namespace, then subject, names of bindings in order of arrival
        self._by_subject: dict[str, dict[Subject, dict[str, Binding]]] = {}

    async def follow(self, view: View) -> None:
        """What the view holds is here, and each change to it from now on."""
        view.follow(GROUP, "clusterroles", self._role_changed)
        view.follow(GROUP, "roles", self._role_changed)
        view.follow(GROUP, "clusterrolebindings", self._binding_changed)
        view.follow(GROUP, "rolebindings", self._binding_changed)

    def of(self, user: UserInfo, namespace: str) -> Iterator[Binding]:
        """Bindings that apply to the user: cluster-wide, then of the namespace where one is given; by name."""
        subjects = ((USER, user.name), *((OF_GROUP, group) for group in user.groups))
        for place in ("", namespace) if namespace else ("",):
            here = self._by_subject.get(place)
            if here is None:
                continue
            found: dict[str, Binding] = {}
            for subject in subjects:
                if (bindings := here.get(subject)) is not None:
                    found |= bindings
            for name in sorted(found):
                yield found[name]

    def rules_of(self, binding: Binding) -> tuple[Rule, ...]:
        """The rules of the role that the binding names; RoleMissing where there is none."""
        return self.rules(binding.role_kind, binding.role_name, binding.namespace)

    def rules(self, kind: str, name: str, namespace: str) -> tuple[Rule, ...]:
        """The rules of a role; RoleMissing."""
        if kind == "ClusterRole":
            key, resource = ("", name), "clusterrole"
        elif kind == "Role":
            key, resource = (namespace, name), "role"
            if not namespace:
                raise RoleMissing(f"role.{GROUP} {quoted(name)} not found")
        else:
            raise RoleMissing(f"unsupported role reference kind: {quoted(kind)}")
        rules = self._roles.get(key)
        if rules is None:
            raise RoleMissing(f"{resource}.{GROUP} {quoted(name)} not found")
        return rules

    def rules_for(self, user: UserInfo, namespace: str) -> tuple[list[Rule], list[str]]:
        """Every rule that the user holds there, and what could not be resolved."""
        rules: list[Rule] = []
        faults: list[str] = []
        for binding in self.of(user, namespace):
            try:
                rules.extend(self.rules_of(binding))
            except RoleMissing as fault:
                faults.append(str(fault))
        return rules, faults

    def _role_changed(self, namespace: str, name: str, role: Object | None) -> None:
        self.changes += 1
        if role is None:
            self._roles.pop((namespace, name), None)
        else:
            self._roles[namespace, name] = tuple(map(Rule.of, role.get("rules") or ()))

    def _binding_changed(self, namespace: str, name: str, document: Object | None) -> None:
        self.changes += 1
        old = self._bindings.pop((namespace, name), None)
        if old is not None:
            here = self._by_subject.get(namespace, {})
            for subject in {subject for subject, _ in old.subjects}:
                here[subject].pop(name)
                if not here[subject]:
                    del here[subject]
            if not here:
                self._by_subject.pop(namespace, None)
        if document is not None:
            new = _binding(namespace, name, document)
            self._bindings[namespace, name] = new
            here = self._by_subject.setdefault(namespace, {})
            for subject, _ in new.subjects:
                here.setdefault(subject, {})[name] = new


def _binding(namespace: str, name: str, document: Object) -> Binding:
    reference = document.get("roleRef") or {}
    subjects = (_subject(each, namespace) for each in document.get("subjects") or ())
    return Binding(
        namespace,
        name,
        reference.get("kind", ""),
        reference.get("name", ""),
        tuple(each for each in subjects if each is not None),
    )


def _subject(document: dict[str, Any], namespace: str) -> tuple[Subject, str] | None:
    """The subject and the words for it, None for one that can stand for nobody."""
    kind, name = document.get("kind", ""), document.get("name", "")
    if kind in (USER, OF_GROUP):
        return (kind, name), f"{kind} {quoted(name)}"
    if kind == "ServiceAccount":
        home = document.get("namespace") or namespace
        if home:
            return (USER, service_account_username(home, name)), f"{kind} {quoted(f'{name}/{home}')}"
    return None
