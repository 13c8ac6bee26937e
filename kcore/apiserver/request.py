"""What a request asks for, read from its method, path and query alone.

Source: apiserver pkg/endpoints/request/requestinfo.go of Kubernetes 1.36.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qs, unquote

from kcore.api import fields
from kcore.api.status import ApiError

API_PREFIXES: Final = frozenset({"api", "apis"})
SPECIAL_VERBS: Final = frozenset({"proxy", "watch"})  # in the place of the resource: deprecated, and served
NAMESPACE_SUBRESOURCES: Final = frozenset({"status", "finalize"})
VERBS_WITH_SELECTORS: Final = frozenset({"list", "watch", "deletecollection"})
VERBS: Final = {
    "POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete",
}  # fmt: skip

TARGETS_REMEMBERED_MAX: Final = 1024  # of 16 KiB at most each, the limit of a request's head

Query = dict[str, list[str]]


@dataclass(slots=True)
class RequestInfo:
    """Upstream's RequestInfo. ``verb`` of what is no resource is the method in lower case.

    ``parts`` begin with the resource; ``namespace`` is empty for cluster-scoped resources and for all namespaces.
    ``error`` says why the path makes no sense (500, as upstream); the rest is then as far as it was read.
    """

    path: str
    verb: str
    is_resource_request: bool = False
    api_prefix: str = ""
    api_group: str = ""
    api_version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()
    field_selector: str = ""
    label_selector: str = ""
    error: str = ""


@lru_cache(maxsize=TARGETS_REMEMBERED_MAX)
def target_of(method: bytes, path: bytes, query: bytes) -> tuple[RequestInfo, Query]:
    """What a request asks for; nobody changes it, as the same request may come again."""
    named = path.decode("latin-1")
    if "%" in named:
        named = unquote(named, errors="replace")
    values = query_of(query.decode("latin-1"))
    return request_info(method.decode("latin-1"), named, values), values


def query_of(text: str) -> Query:
    """The values of each parameter, in their order; pairs that cannot be read are left out, as Go's ``URL.Query`` does."""
    if not text:
        return {}
    if ";" in text:  # Go refuses pairs with a semicolon
        text = "&".join(pair for pair in text.split("&") if ";" not in pair)
    return parse_qs(text, keep_blank_values=True)


def truth(values: list[str] | None) -> bool:
    """A boolean parameter: anything but ``false`` and ``0`` is true, and so is an empty value."""
    return values is not None and values[0].lower() not in ("false", "0")


def request_info(method: str, path: str, query: Query) -> RequestInfo:
    """What the request asks for. ``path`` is percent-decoded."""
    info = RequestInfo(path, method.lower())
    trimmed = path.strip("/")
    parts = trimmed.split("/")
    if len(parts) < 3 or parts[0] not in API_PREFIXES or (parts[0] == "apis" and len(parts) < 4):
        return info
    info.api_prefix = parts[0]
    at = 1
    if info.api_prefix == "apis":
        info.api_group = parts[1]
        at = 2
    info.is_resource_request = True
    info.api_version = parts[at]
    parts = parts[at + 1 :]
    by_path = parts[0] in SPECIAL_VERBS
    if by_path:
        if len(parts) < 2:
            info.error = f"unable to determine kind and namespace from url, {path}"
            return info
        info.verb = parts[0]
        parts = parts[1:]
    else:
        info.verb = VERBS.get(method, "")
    if parts[0] == "namespaces" and len(parts) > 1:
        info.namespace = parts[1]
        if len(parts) > 2 and parts[2] not in NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    info.parts = tuple(parts)
    info.resource = parts[0]
    if len(parts) > 1:
        info.name = parts[1]
        if len(parts) > 2 and info.verb != "proxy":
            info.subresource = parts[2]
    if not info.name:
        _of_many(info, query)
    if not by_path and info.verb in VERBS_WITH_SELECTORS:
        info.field_selector = query.get("fieldSelector", ("",))[0]
        info.label_selector = query.get("labelSelector", ("",))[0]
    return info


def _of_many(info: RequestInfo, query: Query) -> None:
    """A get without a name is a list or a watch, a delete without one a deletecollection."""
    if info.verb == "get":
        info.verb = "watch" if truth(query.get("watch")) else "list"
        if selector := query.get("fieldSelector", ("",))[0]:
            try:
                name = fields.parse(selector).exact(fields.METADATA_NAME)
            except ApiError:
                return
            if name and name not in (".", "..") and "/" not in name and "%" not in name:
                info.name = name
    elif info.verb == "delete":
        info.verb = "deletecollection"
