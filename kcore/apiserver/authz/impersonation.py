"""One user acts as another: the ``Impersonate-*`` headers that ``kubectl --as`` sends.

The constrained modes (KEP-5284) come first, each with two questions: may the requester act as that kind of user at
this request, and as this very user; the plain ``impersonate`` verb comes last. Source: apiserver
pkg/endpoints/filters/impersonation of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote

from kcore.api import status
from kcore.api.field import quoted
from kcore.api.status import ApiError
from kcore.apiserver.authz.contract import Attributes, Authorizer, RequestAttributes
from kcore.apiserver.authz.refusal import forbidden
from kcore.apiserver.headers import HeaderFields
from kcore.apiserver.user import (
    ALL_AUTHENTICATED,
    ALL_UNAUTHENTICATED,
    ANONYMOUS,
    EXTRA_NODE_NAME,
    MASTERS,
    NODE_USER_PREFIX,
    NODES,
    UserInfo,
    is_subdomain,
    service_account_groups,
    split_service_account,
)

USER_HEADER: Final = "impersonate-user"
UID_HEADER: Final = "impersonate-uid"
GROUP_HEADER: Final = "impersonate-group"
EXTRA_HEADER_PREFIX: Final = "impersonate-extra-"
AUTHENTICATION: Final = "authentication.k8s.io"
QUESTIONS_ONE_BY_ONE_MAX: Final = 4  # beyond, the right to all of them is asked for first


class _Mode(NamedTuple):
    """``name`` is empty for the plain verb."""

    name: str

    @property
    def verb(self) -> str:
        return f"impersonate:{self.name}" if self.name else "impersonate"

    @property
    def group(self) -> str:
        """The API group of users, groups, nodes and service accounts in its questions."""
        return AUTHENTICATION if self.name else ""


MODES: Final = tuple(map(_Mode, ("associated-node", "arbitrary-node", "serviceaccount", "user-info", "")))


def wanted_user(headers: HeaderFields) -> UserInfo | None:
    """Whom the headers ask to act as, None: nobody. ApiError 400 where they ask without a user's name."""
    if not headers.impersonates:
        return None
    name = headers.get(USER_HEADER) or ""
    uid = headers.get(UID_HEADER) or ""
    groups = tuple(headers.get_all(GROUP_HEADER))
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in headers.items():
        if header.startswith(EXTRA_HEADER_PREFIX):
            key = unquote(header[len(EXTRA_HEADER_PREFIX) :])
            extra[key] = (*extra.get(key, ()), value)
    if not name:
        if uid or groups or extra:
            raise status.bad_request(
                f"requested {_go_user(uid, groups, extra)} without impersonating a user name"
            )
        return None
    return UserInfo(name, uid, groups, extra)


def impersonated(
    authorizer: Authorizer, requester: UserInfo, wanted: UserInfo, info: RequestAttributes
) -> UserInfo:
    """The user that the request goes on as; ApiError 403, of the first mode that applies, where none allows it."""
    first: ApiError | None = None
    for mode in MODES:
        if not _applies(mode, wanted, requester):
            continue
        try:
            return _checked(mode, authorizer, requester, wanted, info)
        except ApiError as fault:
            first = first or fault
    assert first is not None  # the plain mode always applies
    raise first


def _applies(mode: _Mode, wanted: UserInfo, requester: UserInfo) -> bool:
    node = _node_of(wanted.name)
    only_name = not wanted.uid and not wanted.groups and not wanted.extra
    if mode.name == "associated-node":
        at = requester.extra.get(EXTRA_NODE_NAME, ())
        return (
            only_name
            and node is not None
            and tuple(at) == (node,)
            and split_service_account(requester.name) is not None
        )
    if mode.name == "arbitrary-node":
        return only_name and node is not None
    if mode.name == "serviceaccount":
        return only_name and split_service_account(wanted.name) is not None
    if mode.name == "user-info":
        return node is None and split_service_account(wanted.name) is None
    return True


def _checked(
    mode: _Mode, authorizer: Authorizer, requester: UserInfo, wanted: UserInfo, info: RequestAttributes
) -> UserInfo:
    asker = requester
    if mode.name == "associated-node":
        kept = {key: value for key, value in requester.extra.items() if not key.startswith("authentication.")}
        asker = UserInfo(requester.name, requester.uid, requester.groups, kept)
    if mode.name:
        on = Attributes(
            f"impersonate-on:{mode.name}:{info.verb}",
            info.api_group,
            info.resource,
            info.subresource,
            info.namespace,
            info.name,
            info.path,
            info.is_resource_request,
            info.api_version,
        )
        _require(authorizer, asker, on)
    groups = _require_username(mode, authorizer, asker, wanted)
    if wanted.uid:
        _require(authorizer, asker, Attributes(mode.verb, AUTHENTICATION, "uids", name=wanted.uid))
    _require_groups(mode, authorizer, asker, wanted.groups)
    _require_extra(mode, authorizer, asker, wanted.extra)
    if wanted.name == ANONYMOUS:
        groups = groups if ALL_UNAUTHENTICATED in groups else (*groups, ALL_UNAUTHENTICATED)
    elif ALL_UNAUTHENTICATED not in groups and ALL_AUTHENTICATED not in groups:
        groups = (*groups, ALL_AUTHENTICATED)
    return UserInfo(wanted.name, wanted.uid, groups, wanted.extra)


def _require(authorizer: Authorizer, user: UserInfo, question: Attributes) -> None:
    decision = authorizer.authorize(user, question)
    if not decision.allowed:
        raise forbidden(user, question, decision.reason)


def _require_username(
    mode: _Mode, authorizer: Authorizer, user: UserInfo, wanted: UserInfo
) -> tuple[str, ...]:
    """The groups that come with the name."""
    question = Attributes(mode.verb, mode.group, "users", name=wanted.name)
    groups = wanted.groups
    if mode.name and (node := _node_of(wanted.name)) is not None:
        name = "*" if mode.name == "associated-node" else node
        question = question._replace(resource="nodes", name=name)
        groups = (NODES,)
    if (account := split_service_account(wanted.name)) is not None:
        namespace, name = account
        question = question._replace(resource="serviceaccounts", namespace=namespace, name=name)
        groups = groups or service_account_groups(namespace)
    _require(authorizer, user, question)
    return groups


def _require_groups(mode: _Mode, authorizer: Authorizer, user: UserInfo, groups: Sequence[str]) -> None:
    question = Attributes(mode.verb, mode.group, "groups")
    if mode.name and "" in groups:
        raise forbidden(user, question, "impersonating the empty string group is not allowed")
    if mode.name and MASTERS in groups:
        raise forbidden(
            user, question._replace(name=MASTERS), "impersonating the system:masters group is not allowed"
        )
    if mode.name and len(groups) >= QUESTIONS_ONE_BY_ONE_MAX:
        if authorizer.authorize(user, question._replace(name="*")).allowed:
            return
    for group in groups:
        _require(authorizer, user, question._replace(name=group))


def _require_extra(
    mode: _Mode, authorizer: Authorizer, user: UserInfo, extra: Mapping[str, Sequence[str]]
) -> None:
    question = Attributes(mode.verb, AUTHENTICATION, "userextras")
    if mode.name and extra:
        if (fault := _fault_of_extra(extra)) is not None:
            raise forbidden(user, question, fault)
        if len(extra) + sum(map(len, extra.values())) - 1 >= QUESTIONS_ONE_BY_ONE_MAX:
            if authorizer.authorize(user, question._replace(subresource="*", name="*")).allowed:
                return
    for key, values in extra.items():
        for value in values:
            _require(authorizer, user, question._replace(subresource=key, name=value))


def _fault_of_extra(extra: Mapping[str, Sequence[str]]) -> str | None:
    for key, values in extra.items():
        if not key:
            return "impersonating the empty string key in extra is not allowed"
        domain, slash, path = key.partition("/")
        if not slash or not path or not is_subdomain(domain):
            shown = f'extra.key: Invalid value: {quoted(key)}: must be a domain-prefixed path (such as "acme.io/foo")'
            return f"impersonating an invalid key in extra is not allowed: {shown}"
        if key != key.lower():
            return f"impersonating a non-lowercase key in extra is not allowed: {quoted(key)}"
        if "" in values:
            return "impersonating the empty string value in extra is not allowed"
    return None


def _node_of(username: str) -> str | None:
    if not username.startswith(NODE_USER_PREFIX):
        return None
    name = username[len(NODE_USER_PREFIX) :]
    return name if is_subdomain(name) else None


def _go_user(uid: str, groups: Sequence[str], extra: Mapping[str, Sequence[str]]) -> str:
    """An unnamed user as Go's ``%#v`` prints it."""

    def strings(values: Sequence[str]) -> str:
        return f"[]string{{{', '.join(map(quoted, values))}}}"

    listed = strings(groups) if groups else "[]string(nil)"
    pairs = ", ".join(f"{quoted(key)}:{strings(extra[key])}" for key in sorted(extra))
    mapped = f"map[string][]string{{{pairs}}}" if extra else "map[string][]string(nil)"
    return f'&user.DefaultInfo{{Name:"", UID:{quoted(uid)}, Groups:{listed}, Extra:{mapped}}}'
