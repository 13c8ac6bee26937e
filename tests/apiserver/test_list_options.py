"""Options of lists and watches, versions and tokens are refused in upstream's words."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcore.api.fields import FieldSelector, Term
from kcore.api.status import ApiError
from kcore.apiserver import versions
from kcore.apiserver.list_options import NOT_OLDER_THAN, from_query
from tests.apiserver.stores import POD

PREFIX = b"/registry/pods/"


def test_a_query_is_read() -> None:
    options = from_query(
        POD,
        [
            ("labelSelector", "a=b"),
            ("fieldSelector", "spec.host=n"),
            ("limit", "5"),
            ("limit", "6"),
            ("pretty", ""),
        ],
    )
    assert options.label_selector.matches({"a": "b"})
    assert options.field_selector.terms == (Term("spec.nodeName", "n"),)
    assert (options.limit, options.timeout_seconds, options.watch) == (5, None, False)


def test_a_watch_from_nothing_sends_the_state_first() -> None:
    for query in ([], [("resourceVersion", "0")]):
        options = from_query(POD, query, watch=True)
        assert (options.send_initial_events, options.resource_version_match) == (True, NOT_OLDER_THAN)
    assert from_query(POD, [("resourceVersion", "1"), ("watch", "1")]).send_initial_events is None


def test_a_name_in_the_path_is_a_selector() -> None:
    assert from_query(POD, [], name="a").field_selector == FieldSelector((Term("metadata.name", "a"),))
    with pytest.raises(ApiError, match=r"fieldSelector metadata.name doesn't match requested name"):
        from_query(POD, [("fieldSelector", "metadata.name=b")], name="a")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("limit=9223372036854775808", 'strconv.ParseInt: parsing "9223372036854775808": value out of range'),
        (
            "resourceVersionMatch=Exact",
            (
                'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
                "resourceVersionMatch is forbidden unless resourceVersion is provided"
            ),
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            (
                'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
                'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            ),
        ),
        (
            "resourceVersionMatch=x&resourceVersion=1",
            (
                'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Unsupported value: "x": '
                'supported values: "Exact", "NotOlderThan", ""'
            ),
        ),
        (
            "sendInitialEvents=false",
            (
                'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: '
                "sendInitialEvents is forbidden for list"
            ),
        ),
        (
            "watch=1&sendInitialEvents=1",
            (
                'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            ),
        ),
        (
            "watch=1&resourceVersionMatch=Exact&resourceVersion=1",
            (
                'ListOptions.meta.k8s.io "" is invalid: [resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden '
                "for watch unless sendInitialEvents is provided, resourceVersionMatch: Unsupported value: "
                '"Exact": supported values: "NotOlderThan"]'
            ),
        ),
    ],
)
def test_what_makes_no_sense_is_refused(query: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        from_query(
            POD, [(key, value) for key, _, value in (part.partition("=") for part in query.split("&"))]
        )
    assert caught.value.message == message


@given(st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text), st.integers(1, 2**62))
def test_a_token_is_read_as_written(name: str, revision: int) -> None:
    name = "".join(char for char in name if char not in "/." and not "\ud800" <= char <= "\udfff") or "x"
    key = PREFIX + name.encode() + b"\0"
    assert versions.decode_continue(versions.encode_continue(key, PREFIX, revision), PREFIX) == (
        key,
        revision,
    )


def token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("%%%", "continue key is not valid: illegal base64 data at input byte 0"),
        (
            token('{"v":"v0","rv":1,"start":"a"}'),
            "continue key is not valid: server does not recognize this encoded version v0",
        ),
        (
            token('{"v":"meta.k8s.io/v1","start":"a"}'),
            "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        (
            token('{"v":"meta.k8s.io/v1","rv":1}'),
            "continue key is not valid: encoded start key empty (version meta.k8s.io/v1)",
        ),
        (
            token('{"v":"meta.k8s.io/v1","rv":1,"start":"../x"}'),
            "continue key is not valid: ../x",
        ),
        (token('{"v":"meta.k8s.io/v1","rv":1,"start":"a//x"}'), "continue key is not valid: a//x"),
    ],
)
def test_tokens_that_are_none_are_refused(text: str, why: str) -> None:
    with pytest.raises(ApiError) as caught:
        versions.decode_continue(text, PREFIX)
    assert (caught.value.code, caught.value.message) == (400, f"invalid continue token: {why}")


def test_versions_are_numbers() -> None:
    with pytest.raises(ApiError) as caught:
        versions.list_version("x")
    told = 'resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax'
    assert (caught.value.code, caught.value.message) == (400, f"invalid resource version: {told}")
    with pytest.raises(ApiError) as caught:
        versions.watch_version("x")
    assert (caught.value.code, caught.value.message) == (500, told)
    refused = versions.too_large(100, 50, 1)
    assert refused.message == "Timeout: Too large resource version: 100, current: 50"
    assert refused.details == {
        "retryAfterSeconds": 1,
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
    }
