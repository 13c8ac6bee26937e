"""Requests that schemathesis makes from the OpenAPI documents that the server publishes: no 5xx, answers as documented.

Slow, and skipped without the package: what a document says is wide, and what its generator finds is seldom valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.apiserver.handled import Server
from tests.apiserver.test_fuzz import BLAMED, PATCHES

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis: pip install schemathesis")

EXAMPLES = 20  # of each operation
UNREAD = {"application/cbor": "application/json", "application/apply-patch+cbor": PATCHES[3]}
GROUPS = (
    "api/v1", "apis/admissionregistration.k8s.io/v1", "apis/apiextensions.k8s.io/v1", "apis/apps/v1", "apis/autoscaling/v2",
    "apis/batch/v1", "apis/certificates.k8s.io/v1", "apis/coordination.k8s.io/v1", "apis/discovery.k8s.io/v1",
    "apis/flowcontrol.apiserver.k8s.io/v1", "apis/networking.k8s.io/v1", "apis/policy/v1",
    "apis/rbac.authorization.k8s.io/v1", "apis/resource.k8s.io/v1", "apis/scheduling.k8s.io/v1", "apis/storage.k8s.io/v1",
)  # fmt: skip


class Wsgi:
    """The server as a WSGI application, which schemathesis calls without a socket; a panic is an AssertionError."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        """One request; a watch is begun and ended."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        target = f"{quote(environ['PATH_INFO'].encode('latin-1'))}?{environ.get('QUERY_STRING', '')}"
        kind = environ.get("CONTENT_TYPE") or "application/json"
        headers = {"accept": environ["HTTP_ACCEPT"]} if "HTTP_ACCEPT" in environ else {}
        answer = self.server.answer(environ["REQUEST_METHOD"], target, body, kind, **headers)
        found = answer.body
        if not isinstance(found, bytes):
            found.stop()
            found = b""
        else:
            self.server.check(answer)
        listed = [(name.decode(), value.decode("latin-1")) for name, value in answer.headers]
        start(f"{answer.status} x", listed)
        return [found]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def settle(case: Any) -> None:
    """The request is about an object that may be there, in a form that the server reads."""
    parameters = case.path_parameters or {}
    if "namespace" in parameters:
        parameters["namespace"] = "default"
    if "name" in parameters:
        parameters["name"] = "web"
    case.media_type = UNREAD.get(case.media_type, case.media_type)
    kind = case.operation.definition.raw.get("x-kubernetes-group-version-kind")
    if isinstance(case.body, dict) and kind:
        case.body["apiVersion"] = f"{kind['group']}/{kind['version']}".lstrip("/")
        case.body["kind"] = kind["kind"]
        case.body["metadata"] = {"name": "web"}


def fits(answer: Any) -> None:
    """A refusal is the client's fault, and a document is whole."""
    if answer.status_code >= 500:
        assert answer.status_code in (500, 503, 504)
        assert answer.json()["message"].startswith(
            (*BLAMED, "resourceVersion: Invalid value", "error dialing", "no endpoints", "Timeout")
        )
    elif answer.headers.get("content-type", [""])[0].startswith("application/json") and answer.content:
        assert answer.json()["kind"]


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_every_operation_answers(server: Server, group: str) -> None:
    schema = schemathesis.openapi.from_wsgi(f"/openapi/v3/{group}", Wsgi(server))
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy())
        def asked(case: Any) -> None:
            settle(case)
            if "protobuf" not in (case.media_type or ""):
                fits(case.call())

        asked()
