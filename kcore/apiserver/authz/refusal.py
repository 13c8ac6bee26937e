"""What a refused request is told.

Source: apiserver pkg/endpoints/handlers/responsewriters/errors.go of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Final

from kcore.api import status
from kcore.api.field import quoted
from kcore.api.status import ApiError
from kcore.apiserver.authz.contract import RequestAttributes
from kcore.apiserver.user import UserInfo

_HTML: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def forbidden(user: UserInfo, info: RequestAttributes, reason: str = "") -> ApiError:
    """403: the user cannot do that; ``reason`` is the authorizer's."""
    message = refusal(user, info).translate(_HTML)
    return status.forbidden(
        info.api_group, info.resource, info.name, f"{message}: {reason}" if reason else message
    )


def refusal(user: UserInfo, info: RequestAttributes) -> str:
    """Who cannot do what, where."""
    who = quoted(user.name)
    if not info.is_resource_request:
        return f"User {who} cannot {info.verb} path {quoted(info.path)}"
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    place = f"in the namespace {quoted(info.namespace)}" if info.namespace else "at the cluster scope"
    return f"User {who} cannot {info.verb} resource {quoted(resource)} in API group {quoted(info.api_group)} {place}"
