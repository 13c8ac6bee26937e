"""Role-based access control: a request is allowed where a rule that the user holds says so.

What was found out once for a user, a verb and a resource is remembered until a role or a binding changes. Source:
plugin/pkg/auth/authorizer/rbac/rbac.go of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kcore.apiserver.authz.bindings import Bindings, RoleMissing
from kcore.apiserver.authz.contract import Decision, RequestAttributes
from kcore.apiserver.user import UserInfo

USERS_REMEMBERED_MAX: Final = 10_000
QUESTIONS_REMEMBERED_MAX: Final = 10_000  # of each user


class _Answer(NamedTuple):
    """``whole`` allows whatever the object's name; else ``named`` allows some; else ``refused``."""

    whole: Decision | None
    named: dict[str, Decision]
    refused: Decision


_Question = tuple[str, str, str, str, str]  # verb, group, resource, subresource, namespace; or verb, path


class RBAC:
    """Invariant: what is remembered was found out since the last change to a role or a binding."""

    def __init__(self, bindings: Bindings) -> None:
        self.bindings = bindings
        self._as_of = -1
        self._remembered: dict[tuple[str, tuple[str, ...]], dict[_Question, _Answer]] = {}

    def authorize(self, user: UserInfo, info: RequestAttributes) -> Decision:
        """Allowed with the binding that allows it; else no opinion, with roles that are missing as the reason."""
        if self._as_of != self.bindings.changes:
            self._remembered.clear()
            self._as_of = self.bindings.changes
        who = (user.name, user.groups)
        answers = self._remembered.get(who)
        if answers is None:
            if len(self._remembered) >= USERS_REMEMBERED_MAX:
                self._remembered.clear()
            answers = self._remembered[who] = {}
        if info.is_resource_request:
            question = (info.verb, info.api_group, info.resource, info.subresource, info.namespace)
        else:
            question = (info.verb, info.path, "", "", "\0")
        answer = answers.get(question)
        if answer is None:
            if len(answers) >= QUESTIONS_REMEMBERED_MAX:
                answers.clear()
            answer = answers[question] = self._found(user, info)
        if answer.whole is not None:
            return answer.whole
        return answer.named.get(info.name, answer.refused) if answer.named else answer.refused

    def _found(self, user: UserInfo, info: RequestAttributes) -> _Answer:
        named: dict[str, Decision] = {}
        faults: list[str] = []
        of_resource = info.is_resource_request
        verb, group, resource, subresource = info.verb, info.api_group, info.resource, info.subresource
        for binding in self.bindings.of(user, info.namespace if of_resource else ""):
            try:
                rules = self.bindings.rules_of(binding)
            except RoleMissing as fault:
                faults.append(str(fault))
                continue
            for rule in rules:
                if of_resource:
                    matched = rule.matches_resource(verb, group, resource, subresource)
                else:
                    matched = rule.matches_url(verb, info.path)
                if not matched:
                    continue
                allowed = Decision(True, f"RBAC: allowed by {binding.source(user)}")
                if not of_resource or not rule.names:
                    return _Answer(allowed, named, allowed)
                for name in rule.names:
                    named.setdefault(name, allowed)
        return _Answer(None, named, Decision(False, f"RBAC: {aggregated(faults)}" if faults else ""))


def aggregated(faults: list[str]) -> str:
    """Several errors as Go's Aggregate prints them: one bare, more in brackets, each once."""
    once = list(dict.fromkeys(faults))
    return once[0] if len(once) == 1 else f"[{', '.join(once)}]"
