"""The ``timeout`` of a request's query, read as Go reads a duration; what is none is refused.

Source: apiserver pkg/endpoints/filters/request_deadline.go of Kubernetes 1.36.
"""

from __future__ import annotations

from typing import Final

from kcore.api import status
from kcore.api.durations import NoDuration, read_duration_ns
from kcore.apiserver.request import Query, RequestInfo

LONG_SUBRESOURCES: Final = ("attach", "exec", "log", "portforward", "proxy")


def check_timeout(info: RequestInfo, query: Query) -> None:
    """The query names no timeout, or one that is a duration, or the request may last: ApiError 400 otherwise."""
    text = query.get("timeout", ("",))[0]
    if not text or info.verb in ("watch", "proxy") or info.subresource in LONG_SUBRESOURCES:
        return
    try:
        read_duration_ns(text)
    except NoDuration as wrong:
        raise status.bad_request(f"invalid timeout specified in the request URL - {wrong}") from None
