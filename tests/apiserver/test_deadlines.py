"""A timeout in a query is a duration of Go's, or told to be none in Go's words."""

from __future__ import annotations

import pytest

from kcore.api.status import ApiError
from kcore.apiserver.deadlines import check_timeout, why_no_duration
from kcore.apiserver.request import query_of, request_info


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("0", ""), ("-0", ""), ("5s", ""), ("1h30m", ""), ("1.5h", ""), (".5s", ""), ("1.s", ""), ("+3us", ""), ("3µs", ""),
        ("2562047h", ""),
        ("invalid", 'time: invalid duration "invalid"'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1h30", 'time: missing unit in duration "1h30"'),
        ("5d", 'time: unknown unit "d" in duration "5d"'),
        ("5s ", 'time: unknown unit "s " in duration "5s "'),
        ("2562048h", 'time: invalid duration "2562048h"'),
    ],
)  # fmt: skip
def test_durations(text: str, wrong: str) -> None:
    assert why_no_duration(text) == wrong


def test_a_request_with_a_wrong_timeout_is_400() -> None:
    def check(path: str, text: str) -> None:
        query = query_of(text)
        check_timeout(request_info("GET", path, query), query)

    pods = "/api/v1/namespaces/default/pods"
    with pytest.raises(ApiError) as caught:
        check(pods, "timeout=5")
    assert caught.value.code == 400
    assert caught.value.message == (
        'invalid timeout specified in the request URL - time: missing unit in duration "5"'
    )
    check(pods, "timeout=5s")
    check(pods, "timeout=5&watch=1")
    check(f"{pods}/web/log", "timeout=5")
