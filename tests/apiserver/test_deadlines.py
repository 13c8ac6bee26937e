"""A timeout in a query is a duration of Go's, or the request is refused."""

from __future__ import annotations

import pytest

from kcore.api.status import ApiError
from kcore.apiserver.deadlines import check_timeout
from kcore.apiserver.request import query_of, request_info


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
