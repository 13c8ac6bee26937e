"""What a request asks for: upstream's own table (requestinfo_test.go of Kubernetes 1.36) and more."""

import pytest

from kcore.apiserver.request import query_of, request_info

CASES = """
GET /api/v1/namespaces                                   list    - v1 - namespaces - - namespaces
GET /api/v1/namespaces/other                             get     - v1 other namespaces - other namespaces/other
GET /api/v1/namespaces/other/pods                        list    - v1 other pods - - pods
GET /api/v1/namespaces/other/pods/foo                    get     - v1 other pods - foo pods/foo
HEAD /api/v1/namespaces/other/pods/foo                   get     - v1 other pods - foo pods/foo
GET /api/v1/pods                                         list    - v1 - pods - - pods
HEAD /api/v1/pods                                        list    - v1 - pods - - pods
GET /api/v1/proxy/namespaces/other/pods/foo              proxy   - v1 other pods - foo pods/foo
GET /api/v1/proxy/namespaces/other/pods/foo/sub/not      proxy   - v1 other pods - foo pods/foo/sub/not
GET /api/v1/watch/pods                                   watch   - v1 - pods - - pods
GET /api/v1/pods?watch=true                              watch   - v1 - pods - - pods
GET /api/v1/pods?watch=false                             list    - v1 - pods - - pods
GET /api/v1/pods?watch                                   watch   - v1 - pods - - pods
GET /api/v1/watch/namespaces/other/pods                  watch   - v1 other pods - - pods
GET /api/v1/namespaces/other/pods?watch=1                watch   - v1 other pods - - pods
GET /api/v1/namespaces/other/pods?watch=0                list    - v1 other pods - - pods
GET /api/v1/namespaces/other/pods/foo/status             get     - v1 other pods status foo pods/foo/status
GET /api/v1/namespaces/other/pods/foo/proxy/subpath      get     - v1 other pods proxy foo pods/foo/proxy/subpath
PUT /api/v1/namespaces/other/finalize                    update  - v1 other namespaces finalize other namespaces/other/finalize
PUT /api/v1/namespaces/other/status                      update  - v1 other namespaces status other namespaces/other/status
PATCH /api/v1/namespaces/other/pods/foo                  patch   - v1 other pods - foo pods/foo
DELETE /api/v1/namespaces/other/pods/foo                 delete  - v1 other pods - foo pods/foo
POST /api/v1/namespaces/other/pods                       create  - v1 other pods - - pods
DELETE /api/v1/nodes                                     deletecollection - v1 - nodes - - nodes
DELETE /api/v1/namespaces                                deletecollection - v1 - namespaces - - namespaces
DELETE /api/v1/namespaces/other/pods                     deletecollection - v1 other pods - - pods
DELETE /apis/extensions/v1/namespaces/other/pods         deletecollection extensions v1 other pods - - pods
POST /apis/extensions/v1beta3/namespaces/other/pods      create  extensions v1beta3 other pods - - pods
OPTIONS /api/v1/pods                                     -       - v1 - pods - - pods
"""


@pytest.mark.parametrize("line", CASES.strip().splitlines())
def test_resources(line: str) -> None:
    method, url, *expected = line.split()
    path, _, query = url.partition("?")
    info = request_info(method, path, query_of(query))
    found = (
        info.verb, info.api_group, info.api_version, info.namespace, info.resource, info.subresource, info.name,
        "/".join(info.parts),
    )  # fmt: skip
    assert info.is_resource_request
    assert [text or "-" for text in found] == expected


@pytest.mark.parametrize(
    "path",
    ["/", "", "/api", "/apis", "/api/version/", "/apis/group/version/", "/bad/version/resource", "/apis/v1/pods",
     "/healthz", "/apis/batch/v1"],
)  # fmt: skip
def test_what_is_no_resource(path: str) -> None:
    info = request_info("GET", path, {})
    assert not info.is_resource_request
    assert (info.verb, info.path) == ("get", path)


@pytest.mark.parametrize(
    ("method", "url", "verb", "name", "fields", "labels"),
    [
        ("GET", "/apis/g/v/r", "list", "", "", ""),
        ("GET", "/apis/g/v/r?fieldSelector=metadata.name=name1", "list", "name1", "metadata.name=name1", ""),
        ("GET", "/apis/g/v/r?watch=true&fieldSelector=metadata.name=n", "watch", "n", "metadata.name=n", ""),
        ("GET", "/apis/g/v/r?fieldSelector=foo=bar&labelSelector=baz=qux", "list", "", "foo=bar", "baz=qux"),
        ("GET", "/apis/g/v/r?fieldSelector=metadata.name=n,foo", "list", "", "metadata.name=n,foo", ""),
        ("GET", "/apis/g/v/r?fieldSelector=metadata.name=n,foo&watch=true", "watch", "", "metadata.name=n,foo", ""),
        ("GET", "/apis/g/v/r?fieldSelector=metadata.name=..", "list", "", "metadata.name=..", ""),
        ("DELETE", "/apis/g/v/r?fieldSelector=foo=bar&labelSelector=b=q", "deletecollection", "", "foo=bar", "b=q"),
        ("GET", "/apis/g/v/r?fieldSelector=metadata.name=foo&fieldSelector=metadata.name=bar", "list", "foo", "metadata.name=foo", ""),
        ("GET", "/apis/g/v/r/name?fieldSelector=foo=bar&labelSelector=foo=bar", "get", "name", "", ""),
        ("GET", "/apis/g/v/watch/r?fieldSelector=metadata.name=foo&labelSelector=foo=bar", "watch", "", "", ""),
        ("GET", "/apis/g/v/watch/r/name?fieldSelector=metadata.name=foo", "watch", "name", "", ""),
    ],
)  # fmt: skip
def test_selectors(method: str, url: str, verb: str, name: str, fields: str, labels: str) -> None:
    path, _, query = url.partition("?")
    info = request_info(method, path, query_of(query))
    assert (info.verb, info.name, info.field_selector, info.label_selector) == (verb, name, fields, labels)


def test_a_special_verb_needs_a_resource() -> None:
    assert request_info("GET", "/api/v1/watch", {}).error


def test_queries_are_read_as_go_reads_them() -> None:
    assert query_of("a=1&a=2&b&c=%20x+y") == {"a": ["1", "2"], "b": [""], "c": [" x y"]}
    assert query_of("a=1;b=2&c=3") == {"c": ["3"]}
