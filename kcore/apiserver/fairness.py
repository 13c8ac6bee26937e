"""Which flow schema and which priority level a request belongs to; every answer names both by their uids.

What belongs where is found out once for a user and a question, until a flow schema or a priority level changes. Source:
apiserver pkg/util/flowcontrol/{apf_controller,rule}.go and pkg/server/filters/priority-and-fairness.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kcore.apiserver.request import RequestInfo
from kcore.apiserver.user import SERVICE_ACCOUNT_PREFIX, UserInfo
from kcore.apiserver.view import View
from kcore.http.message import Header

GROUP: Final = "flowcontrol.apiserver.k8s.io"
SCHEMAS: Final = "flowschemas"
LEVELS: Final = "prioritylevelconfigurations"
SCHEMA_HEADER: Final = b"x-kubernetes-pf-flowschema-uid"
LEVEL_HEADER: Final = b"x-kubernetes-pf-prioritylevel-uid"
CATCH_ALL: Final = "catch-all"
ANY: Final = "*"
NOT_CLASSIFIED: Final = frozenset({"attach", "exec", "proxy", "log", "portforward"})  # they last
QUESTIONS_REMEMBERED_MAX: Final = 10_000

Object = dict[str, Any]
Question = tuple[str, tuple[str, ...], bool, str, str, str, str, str]


class Classifier:
    """Invariant: what is remembered was found out since the last change of a flow schema or a priority level."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._remembered: dict[Question, tuple[Header, ...]] = {}
        self._schemas: list[Object] | None = None
        for plural in (SCHEMAS, LEVELS):
            view.follow(GROUP, plural, self._changed)

    def _changed(self, namespace: str, name: str, obj: Object | None) -> None:
        self._schemas = None
        self._remembered.clear()

    def headers(self, user: UserInfo, info: RequestInfo) -> tuple[Header, ...]:
        """The uids of the request's flow schema and priority level; nothing for what lasts and is no watch."""
        if info.is_resource_request:
            asked = (info.api_group, info.resource, info.subresource, info.namespace)
            if info.verb == "proxy" or info.subresource in NOT_CLASSIFIED:
                return ()
        else:
            asked = (info.path, "", "", "")
        question = (user.name, user.groups, info.is_resource_request, info.verb, *asked)
        found = self._remembered.get(question)
        if found is None:
            if len(self._remembered) >= QUESTIONS_REMEMBERED_MAX:
                self._remembered.clear()
            found = self._remembered[question] = self._found(user, info)
        return found

    def _found(self, user: UserInfo, info: RequestInfo) -> tuple[Header, ...]:
        schemas = self._schemas
        if schemas is None:
            schemas = self._schemas = in_order(self._view.list(GROUP, SCHEMAS))
        for schema in schemas:
            level = self._level(schema)
            if level is not None and (matches(schema, user, info) or schema["metadata"]["name"] == CATCH_ALL):
                return (
                    (SCHEMA_HEADER, str(schema["metadata"]["uid"]).encode()),
                    (LEVEL_HEADER, str(level["metadata"]["uid"]).encode()),
                )
        return ()

    def _level(self, schema: Object) -> Object | None:
        return self._view.get(GROUP, LEVELS, "", level_of(schema))


def level_of(schema: Object) -> str:
    """The name of the priority level that the flow schema refers to."""
    return str(schema["spec"]["priorityLevelConfiguration"]["name"])


def in_order(schemas: Sequence[Object]) -> list[Object]:
    """The flow schemas as they are tried: by precedence, then by name."""
    return sorted(
        schemas, key=lambda each: (each["spec"].get("matchingPrecedence") or 0, each["metadata"]["name"])
    )


def matches(schema: Object, user: UserInfo, info: RequestInfo) -> bool:
    """Whether one of the schema's rules is about the user and the request."""
    for rules in schema["spec"].get("rules") or ():
        if not any(_is_subject(subject, user) for subject in rules.get("subjects") or ()):
            continue
        if info.is_resource_request:
            if any(_is_resource(rule, info) for rule in rules.get("resourceRules") or ()):
                return True
        elif any(_is_url(rule, info) for rule in rules.get("nonResourceRules") or ()):
            return True
    return False


def _is_subject(subject: Object, user: UserInfo) -> bool:
    kind = subject.get("kind")
    if kind == "User":
        return (subject.get("user") or {}).get("name") in (ANY, user.name)
    if kind == "Group":
        name = (subject.get("group") or {}).get("name")
        return name == ANY or name in user.groups
    if kind == "ServiceAccount" and (account := subject.get("serviceAccount")):
        prefix = f"{SERVICE_ACCOUNT_PREFIX}{account.get('namespace')}:"
        if account.get("name") == ANY:
            return user.name.startswith(prefix)
        return user.name == prefix + str(account.get("name"))
    return False


def _is_resource(rule: Object, info: RequestInfo) -> bool:
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    return (
        _holds(rule.get("verbs"), info.verb)
        and _holds(rule.get("resources"), resource)
        and _holds(rule.get("apiGroups"), info.api_group)
        and (
            _holds(rule.get("namespaces"), info.namespace)
            if info.namespace
            else bool(rule.get("clusterScope"))
        )
    )


def _is_url(rule: Object, info: RequestInfo) -> bool:
    if not _holds(rule.get("verbs"), info.verb):
        return False
    for url in rule.get("nonResourceURLs") or ():
        if url in (ANY, info.path) or info.path.startswith(url.removesuffix(ANY).rstrip("/") + "/"):
            return True
    return False


def _holds(listed: list[str] | None, wanted: str) -> bool:
    return bool(listed) and (listed == [ANY] or wanted in (listed or ()))
