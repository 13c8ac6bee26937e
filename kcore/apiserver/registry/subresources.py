"""Requests that are not plain writes of an object, by subresource."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from kcore.apiserver.operation import Object, Operation, Result
from kcore.apiserver.registry.binding import bind, bind_pod
from kcore.apiserver.registry.core import Core
from kcore.apiserver.registry.evicting import evict
from kcore.apiserver.registry.issuing import issue_token
from kcore.apiserver.registry.scaling import get_scale, update_scale

Create = Callable[[Core, Operation, Object], Awaitable[Result]]
Get = Callable[[Core, Operation], Awaitable[Result]]

CREATES: Final[dict[tuple[str, str, str], Create]] = {
    ("", "bindings", ""): bind,
    ("", "pods", "binding"): bind_pod,
    ("", "pods", "eviction"): evict,
    ("", "serviceaccounts", "token"): issue_token,
}
UPDATES: Final[dict[str, Create]] = {"scale": update_scale}
GETS: Final[dict[str, Get]] = {"scale": get_scale}
