"""What an authorizer is asked and what it answers.

Source: apiserver pkg/authorization/authorizer/interfaces.go of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from kcore.apiserver.user import UserInfo


class RequestAttributes(Protocol):
    """What RequestInfo and the attributes of an access review have in common."""

    @property
    def verb(self) -> str: ...
    @property
    def is_resource_request(self) -> bool: ...
    @property
    def path(self) -> str: ...
    @property
    def api_group(self) -> str: ...
    @property
    def api_version(self) -> str: ...
    @property
    def resource(self) -> str: ...
    @property
    def subresource(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...


class Attributes(NamedTuple):
    """A question that no HTTP request stands behind."""

    verb: str
    api_group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    is_resource_request: bool = True
    api_version: str = "*"


class Decision(NamedTuple):
    """``denied`` where an authorizer forbids, rather than having no opinion; ``error`` is an evaluation error."""

    allowed: bool
    reason: str = ""
    denied: bool = False
    error: str = ""


class Authorizer(Protocol):
    """Synchronous, without I/O: everything it needs is in memory."""

    def authorize(self, user: UserInfo, info: RequestAttributes) -> Decision:
        """Whether the user may."""
        ...
