"""Requests made at random from the schemas of all kinds: the server refuses or does, and never stumbles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcore.api.rows import Row
from tests.apiserver.documents_at_random import WRONG, document, operations
from tests.apiserver.handled import Server

REQUESTS = 300  # by each seed
PATCHES = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)  # fmt: skip
QUERIES = (
    "dryRun=All", "fieldValidation=Strict", "fieldValidation=x", "fieldManager=a&force=true", "force=x", "dryRun=x",
    "gracePeriodSeconds=0", "gracePeriodSeconds=x", "propagationPolicy=Orphan", "limit=-1", "continue=xx",
    "resourceVersion=x&limit=1", "resourceVersion=" + "9" * 5000, "labelSelector=a+in+(", "fieldSelector=a%3Db",
    "watch=1&timeoutSeconds=x", "fieldManager=" + "x" * 200, "%zz=%zz;", "pretty",
)  # fmt: skip
SUBRESOURCES = (
    "status", "scale", "binding", "eviction", "token", "resize", "ephemeralcontainers", "approval", "finalize", "log",
    "exec", "proxy", "zz",
)  # fmt: skip
ACCEPTS = (
    "application/yaml", "application/vnd.kubernetes.protobuf", "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "text/html", "*/*;q=x",
)  # fmt: skip
# what upstream answers with 500 though the client is to blame
BLAMED = (
    "strconv.", "target.", "[target.", "failed to create typed patch object", "failed to convert", "no preferred addresses",
    "resourceVersion should not be set", "metadata.", "failed to create manager",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def target(row: Row, random: Random, named: bool) -> str:
    base = f"/apis/{row.group}/{row.version}" if row.group else f"/api/{row.version}"
    path = f"{base}/namespaces/default/{row.plural}" if row.namespaced else f"{base}/{row.plural}"
    if named:
        path += "/" + random.choice(["a", "web", "web-0", "default"])
        if random.random() < 0.2:
            path += "/" + random.choice(SUBRESOURCES)
    if random.random() < 0.4:
        path += "?" + random.choice(QUERIES)
    return path


def body_of(row: Row, node: Any, random: Random) -> Any:
    made = document(node, random)
    if isinstance(made, dict) and random.random() < 0.9:
        made |= {"apiVersion": row.api_version, "kind": row.kind}
        given = made.get("metadata")
        metadata = given if isinstance(given, dict) else {}
        for name in ("resourceVersion", "uid", "namespace"):
            if random.random() < 0.9:
                metadata.pop(name, None)
        made["metadata"] = metadata | {"name": random.choice(["a", "web", "web-0"])}
    return made


def refused(code: int, body: Any, verb: str, path: str) -> None:
    if code == 500 and isinstance(body, dict):
        assert body["message"].startswith(BLAMED), (verb, path, body)
    assert code in (200, 201, 202, 400, 403, 404, 405, 406, 409, 415, 422, 429, 500, 503, 504), (
        verb,
        path,
        body,
    )


def one_request(server: Server, random: Random) -> None:
    """A request of any kind; what it was refused for leaves the store as it was."""
    catalog = server.assembly.catalog
    row = random.choice(catalog.rows)
    verb = random.choice(["POST", "POST", "POST", "PUT", "PATCH", "PATCH", "DELETE", "DELETE", "GET"])
    kind, extra = "application/json", {}
    body: Any = body_of(row, catalog.node(row), random)
    named = verb != "POST" if random.random() < 0.8 else random.random() < 0.5
    path = target(row, random, named)
    if verb == "PATCH":
        kind = random.choice(PATCHES)
        if kind == PATCHES[0]:
            body = operations(random) if random.random() < 0.9 else random.choice(WRONG)
        elif kind == PATCHES[3] and "?" not in path:
            path += "?fieldManager=me"
    elif verb == "DELETE":
        names = ("gracePeriodSeconds", "propagationPolicy", "preconditions", "dryRun", "orphanDependents")
        body = {random.choice(names): random.choice(WRONG)} if random.random() < 0.7 else b""
    elif verb == "GET":
        body = b""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    if random.random() < 0.05:
        raw = raw[: random.randrange(len(raw) + 1)]
    if random.random() < 0.05:
        raw = bytes(random.randrange(256) if random.random() < 0.05 else byte for byte in raw)
    if random.random() < 0.05:
        kind = random.choice(["application/yaml", "application/vnd.kubernetes.protobuf", "x", ""])
    if random.random() < 0.2:
        extra["accept"] = random.choice(ACCEPTS)
    before = server.state()
    code, answer = server(verb, path, raw, kind, **extra)
    refused(code, answer, verb, path)
    # 406: what was done has no such form; upstream, too, looks only then
    if 400 <= code < 500 and code != 406 and not path.endswith("/eviction"):
        assert server.state() == before, (verb, path)


@pytest.mark.parametrize("seed", range(5))
def test_no_request_stumbles(server: Server, seed: int) -> None:
    random = Random(seed)
    for _ in range(REQUESTS):
        one_request(server, random)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    path=st.text(max_size=60),
    query=st.text(max_size=60),
    kind=st.sampled_from(["application/json", "application/yaml", "application/vnd.kubernetes.protobuf", *PATCHES]),
    body=st.binary(max_size=200) | st.binary(max_size=100).map(lambda raw: b"k8s\0" + raw),
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"]),
)  # fmt: skip
def test_no_bytes_stumble(server: Server, path: str, query: str, kind: str, body: bytes, method: str) -> None:
    for root in (
        "/",
        "/api/v1/namespaces/default/configmaps/",
        "/apis/apps/v1/namespaces/default/deployments",
    ):
        code, answer = server(method, f"{root}{path.replace('?', '')}?{query}", body, kind)
        if code == 500 and not isinstance(answer, dict):
            assert b"failed to create RequestInfo" in answer
        else:
            refused(code, answer, method, path)


@pytest.mark.slow
def test_no_request_stumbles_for_long(server: Server) -> None:
    random = Random(0)
    for _ in range(50_000):
        one_request(server, random)
