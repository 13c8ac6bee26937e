"""Which form an answer has, and which a body may have."""

import pytest

from kcore.api.resources.catalog import builtin
from kcore.api.status import ApiError
from kcore.apiserver.negotiation import (
    JSON,
    PROTOBUF,
    YAML,
    Accepted,
    accepted,
    content_type,
    has_table,
    wants_pretty,
)

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Accepted(JSON)),
        ("*/*", Accepted(JSON)),
        ("application/*", Accepted(JSON)),
        ("application/yaml", Accepted(YAML)),
        ("application/vnd.kubernetes.protobuf", Accepted(PROTOBUF)),
        ("application/vnd.kubernetes.protobuf,application/json", Accepted(PROTOBUF)),
        ("application/json;q=0.1, application/yaml;q=0.9", Accepted(YAML)),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Accepted(JSON)),
        (f"{TABLE},application/json", Accepted(JSON, "Table", "v1")),
        ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", Accepted(JSON)),
        ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json", Accepted(JSON)),
        ("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", Accepted(JSON, "PartialObjectMetadata", "v1")),
        ("application/json;stream=watch", Accepted(JSON)),
        ("application/json;pretty=1", Accepted(JSON, pretty=True)),
    ],
)  # fmt: skip
def test_the_best_that_is_served_is_chosen(header: str, expected: Accepted) -> None:
    assert accepted(header) == expected


def test_what_is_not_served_is_406() -> None:
    for header in ("text/html", "application/cbor", "application/json;as=Nothing;v=v1;g=meta.k8s.io"):
        with pytest.raises(ApiError) as caught:
            accepted(header)
        assert caught.value.code == 406
        assert caught.value.message == (
            "only the following media types are accepted: application/json, application/yaml, "
            "application/vnd.kubernetes.protobuf"
        )


def test_an_error_is_never_transformed() -> None:
    assert accepted(f"{TABLE},application/json", transforms=False) == Accepted(JSON)


def test_what_is_not_stored_has_no_table() -> None:
    with pytest.raises(ApiError) as caught:
        accepted(TABLE, tables=False)
    assert caught.value.code == 406
    assert accepted(f"{TABLE},application/json", tables=False) == Accepted(JSON)
    rows = {row.plural: row for row in builtin().rows}
    without = {plural for plural, row in rows.items() if not has_table(row)}
    assert without == {
        "bindings", "localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectreviews",
        "selfsubjectrulesreviews", "subjectaccessreviews", "tokenreviews",
    }  # fmt: skip
    assert has_table(rows["pods"], "status")
    assert has_table(rows["deployments"], "scale")
    for plural, subresource in (
        ("pods", "eviction"),
        ("serviceaccounts", "token"),
        ("resourceclaims", "status"),
    ):
        assert not has_table(rows[plural], subresource)


def test_a_watch_is_not_in_yaml() -> None:
    with pytest.raises(ApiError) as caught:
        accepted("application/yaml", streams=True)
    assert caught.value.code == 406


def test_bodies() -> None:
    assert content_type(None) == JSON
    assert content_type("application/json; charset=utf-8") == JSON
    with pytest.raises(ApiError) as caught:
        content_type("application/cbor")
    assert caught.value.code == 415
    assert caught.value.message.startswith("the body of the request was in an unknown format")


def test_people_get_it_indented() -> None:
    assert wants_pretty(None, "curl/8.0")
    assert not wants_pretty(["false"], "curl/8.0")
    assert wants_pretty(["true"], "kubectl/v1.36")
    assert not wants_pretty(None, "kubectl/v1.36")
