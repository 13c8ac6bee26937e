"""The ``timeout`` of a request's query, read as Go reads a duration; what is none is refused.

Source: apiserver pkg/endpoints/filters/request_deadline.go of Kubernetes 1.36 and ``time.ParseDuration`` of Go.
"""

from __future__ import annotations

import re
from typing import Final

from kcore.api import status
from kcore.api.field import quoted
from kcore.apiserver.request import Query, RequestInfo

LONG_SUBRESOURCES: Final = ("attach", "exec", "log", "portforward", "proxy")
UNITS: Final = ("ns", "us", "µs", "μs", "ms", "s", "m", "h")
NANOSECONDS: Final = dict(zip(UNITS, (1, 1e3, 1e3, 1e3, 1e6, 1e9, 60e9, 3600e9), strict=True))
NANOSECONDS_MAX: Final = 2**63 - 1
_part = re.compile(r"(?P<number>\d+\.?\d*|\.\d+)(?P<unit>[^.\d]*)").match


def check_timeout(info: RequestInfo, query: Query) -> None:
    """The query names no timeout, or one that is a duration, or the request may last: ApiError 400 otherwise."""
    text = query.get("timeout", ("",))[0]
    if not text or info.verb in ("watch", "proxy") or info.subresource in LONG_SUBRESOURCES:
        return
    wrong = why_no_duration(text)
    if wrong:
        raise status.bad_request(f"invalid timeout specified in the request URL - {wrong}")


def why_no_duration(text: str) -> str:
    """What Go says of a text that is no duration, nothing where it is one."""
    rest, total = text[1:] if text[:1] in ("+", "-") else text, 0.0
    if rest == "0":
        return ""
    while found := _part(rest):
        unit = found["unit"]
        if not unit:
            return f"time: missing unit in duration {quoted(text)}"
        if unit not in NANOSECONDS:
            return f"time: unknown unit {quoted(unit)} in duration {quoted(text)}"
        total += float(found["number"]) * NANOSECONDS[unit]
        rest = rest[found.end() :]
        if not rest and total <= NANOSECONDS_MAX:
            return ""
    return f"time: invalid duration {quoted(text)}"
