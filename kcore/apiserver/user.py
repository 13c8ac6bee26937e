"""Who asks: what authentication found out and authorization decides upon.

Source: apiserver pkg/authentication/{user,serviceaccount} of Kubernetes 1.36.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

ANONYMOUS: Final = "system:anonymous"
API_SERVER: Final = "system:apiserver"
ALL_AUTHENTICATED: Final = "system:authenticated"
ALL_UNAUTHENTICATED: Final = "system:unauthenticated"
MASTERS: Final = "system:masters"
NODES: Final = "system:nodes"
NODE_USER_PREFIX: Final = "system:node:"
SERVICE_ACCOUNTS: Final = "system:serviceaccounts"
SERVICE_ACCOUNTS_OF_PREFIX: Final = "system:serviceaccounts:"
SERVICE_ACCOUNT_PREFIX: Final = "system:serviceaccount:"

# Keys of ``extra`` that tokens and certificates fill in.
EXTRA_POD_NAME: Final = "authentication.kubernetes.io/pod-name"
EXTRA_POD_UID: Final = "authentication.kubernetes.io/pod-uid"
EXTRA_NODE_NAME: Final = "authentication.kubernetes.io/node-name"
EXTRA_NODE_UID: Final = "authentication.kubernetes.io/node-uid"
EXTRA_CREDENTIAL_ID: Final = "authentication.kubernetes.io/credential-id"

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
LABEL_LENGTH_MAX: Final = 63
SUBDOMAIN_LENGTH_MAX: Final = 253

NO_EXTRA: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class UserInfo:
    """``groups`` are in the order found; ``extra`` keys are lower case."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NO_EXTRA, hash=False)

    def document(self) -> dict[str, Any]:
        """The ``UserInfo`` of authentication.k8s.io/v1: what ``kubectl auth whoami`` shows."""
        made: dict[str, Any] = {}
        if self.name:
            made["username"] = self.name
        if self.uid:
            made["uid"] = self.uid
        if self.groups:
            made["groups"] = list(self.groups)
        if self.extra:
            made["extra"] = {key: list(values) for key, values in self.extra.items()}
        return made

    def of_groups(self, *more: str) -> UserInfo:
        """The same user, also in those groups."""
        missing = tuple(group for group in more if group not in self.groups)
        return UserInfo(self.name, self.uid, self.groups + missing, self.extra) if missing else self


def authenticated(user: UserInfo) -> UserInfo:
    """The same user, among the authenticated ones: whoever is known, but for those who are said to be nobody."""
    if user.name == ANONYMOUS or ALL_AUTHENTICATED in user.groups or ALL_UNAUTHENTICATED in user.groups:
        return user
    return UserInfo(user.name, user.uid, (*user.groups, ALL_AUTHENTICATED), user.extra)


APISERVER_USER: Final = UserInfo(API_SERVER, groups=(MASTERS, ALL_AUTHENTICATED))


def service_account_username(namespace: str, name: str) -> str:
    """The user name of a service account."""
    return f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"


def service_account_groups(namespace: str) -> tuple[str, str]:
    """The groups that every service account of the namespace is in."""
    return (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS_OF_PREFIX}{namespace}")


def split_service_account(username: str) -> tuple[str, str] | None:
    """Namespace and name of the service account that the user name stands for, None: it stands for none.

    The names must be well-formed: a label, and a subdomain.
    """
    if not username.startswith(SERVICE_ACCOUNT_PREFIX):
        return None
    parts = username[len(SERVICE_ACCOUNT_PREFIX) :].split(":")
    if len(parts) != 2 or not is_label(parts[0]) or not is_subdomain(parts[1]):
        return None
    return parts[0], parts[1]


def node_name(user: UserInfo) -> str | None:
    """The node whose kubelet asks ("" for one without a name), None: the user is no node."""
    if NODES in user.groups and user.name.startswith(NODE_USER_PREFIX):
        return user.name[len(NODE_USER_PREFIX) :]
    return None


def is_label(text: str) -> bool:
    """True for a DNS label (RFC 1123)."""
    return len(text) <= LABEL_LENGTH_MAX and _LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """True for a DNS subdomain (RFC 1123)."""
    return len(text) <= SUBDOMAIN_LENGTH_MAX and all(map(_LABEL.fullmatch, text.split(".")))
