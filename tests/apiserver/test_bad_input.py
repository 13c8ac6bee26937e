"""What no client should send, and what it is told: upstream's code, reason and message; nothing is kept of it."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.apiserver.handled import Server

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
JSON_PATCH, MERGE, STRATEGIC, APPLY = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)  # fmt: skip
INVALID_TOKEN = "invalid continue token: continue key is not valid"
UNRECOGNIZED = "the object provided is unrecognized (must be of type ConfigMap): "


def config_map(name: str = "made", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


def nested(depth: int, opened: bytes = b'{"a":', closed: bytes = b"}") -> bytes:
    return opened * depth + b"1" + closed * depth


def within(depth: int) -> bytes:
    return b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"},"data":' + nested(depth) + b"}"


def token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    made("POST", MAPS, config_map("there"))
    yield made
    made.close()


COPIES = [
    {"op": "add", "path": "/data", "value": {"a": "x" * 1000}},
    *({"op": "copy", "from": "/data", "path": f"/data/b{number}"} for number in range(60)),
]
TESTS = [{"op": "test", "path": "/kind", "value": "ConfigMap"}]
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + level, 98 + level, b",".join([b"*%c" % (97 + level)] * 9)) for level in range(8)
)
MANY = ",".join(f"a{number}%3Db" for number in range(3000))

BODIES: list[tuple[str, str, Any, str, int, str, str]] = [
    ("POST", MAPS, within(9000), "application/json", 400, "BadRequest", UNRECOGNIZED),
    ("POST", MAPS, within(100_000), "application/json", 400, "BadRequest", UNRECOGNIZED),
    ("POST", MAPS, b"[" * 1_000_000, "application/json", 400, "BadRequest", UNRECOGNIZED),
    ("POST", MAPS, b"[" * 20_000, "application/yaml", 400, "BadRequest", UNRECOGNIZED + "yaml: exceeded"),
    ("POST", MAPS, BOMB, "application/yaml", 400, "BadRequest", UNRECOGNIZED + "yaml: document contains excessive aliasing"),
    ("POST", MAPS, b"!!python/object/apply:os.abort []", "application/yaml", 400, "BadRequest", UNRECOGNIZED),
    ("POST", MAPS, b"\xff\xfe\x00", "application/yaml", 400, "BadRequest", UNRECOGNIZED),
    ("POST", MAPS, b"\x1f\x8b\x08\x00", "application/json", 400, "BadRequest", UNRECOGNIZED),
    ("POST", MAPS, b"k8s\0" + bytes(range(256)), "application/vnd.kubernetes.protobuf", 400, "BadRequest", "the object provided"),
    ("POST", MAPS, b'{"metadata":{"name":"n","generation":' + b"9" * 50_000 + b"}}", "application/json", 400, "BadRequest", ""),
    ("POST", MAPS, config_map("big", annotations={"a": "x" * 300_000}), "application/json", 422, "Invalid",
     'ConfigMap "big" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes'),
    ("POST", MAPS, config_map("l", labels={"-a": "b c"}), "application/json", 422, "Invalid", 'ConfigMap "l" is invalid: ['),
    ("POST", MAPS, config_map("a/b"), "application/json", 422, "Invalid", 'ConfigMap "a/b" is invalid: '),
    ("POST", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", {}, "application/json", 422, "Invalid",
     'PodDisruptionBudget.policy "" is invalid: '),
    ("PUT", f"{MAPS}/there", config_map("there", resourceVersion="1"), "application/json", 409, "Conflict",
     'Operation cannot be fulfilled on configmaps "there": the object has been modified'),
    ("PUT", f"{MAPS}/there", config_map("there", resourceVersion="x"), "application/json", 500, "",
     'strconv.ParseUint: parsing "x": invalid syntax'),
    ("PUT", f"{MAPS}/there", config_map("there", resourceVersion="9" * 5000), "application/json", 500, "", "strconv.ParseUint"),
    ("PUT", f"{MAPS}/there", config_map("there", uid="other"), "application/json", 409, "Conflict", ""),
    ("PATCH", f"{MAPS}/there", COPIES, JSON_PATCH, 422, "Invalid", "the server rejected our request due to an error"),
    ("PATCH", f"{MAPS}/there", TESTS * 10_001, JSON_PATCH, 413, "RequestEntityTooLarge",
     "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"),
    ("PATCH", f"{MAPS}/there", nested(9000), MERGE, 400, "BadRequest", "error decoding patch: exceeded max depth"),
    ("PATCH", f"{MAPS}/there", nested(900), MERGE, 400, "BadRequest", "json: exceeded max depth"),
    ("PATCH", f"{MAPS}/there", nested(900), STRATEGIC, 400, "BadRequest", "json: exceeded max depth"),
    ("PATCH", f"{MAPS}/there", b'[{"op":"add","path":"/x","value":' + nested(900) + b"}]", JSON_PATCH, 400, "BadRequest", ""),
    ("PATCH", f"{MAPS}/there?fieldManager=a", within(900), APPLY, 400, "BadRequest", "error decoding YAML: "),
    ("PATCH", f"{MAPS}/there?fieldManager=a", {"apiVersion": 1, "kind": "ConfigMap"}, APPLY, 400, "BadRequest", "invalid object type"),
    ("DELETE", f"{MAPS}/there", {"gracePeriodSeconds": "x"}, "application/json", 400, "BadRequest", "json: cannot unmarshal string"),
    ("DELETE", f"{MAPS}/there", {"preconditions": [1]}, "application/json", 400, "BadRequest", "json: cannot unmarshal array"),
    ("DELETE", MAPS, {"dryRun": 1}, "application/json", 400, "BadRequest", "json: cannot unmarshal number"),
    ("DELETE", f"{MAPS}/there", b"{", "application/yaml", 400, "BadRequest", "couldn't get version/kind"),
    ("DELETE", f"{MAPS}/there", {"propagationPolicy": "x"}, "application/json", 422, "Invalid", ""),
    ("DELETE", f"{MAPS}/there", {"preconditions": {"uid": "x"}}, "application/json", 409, "Conflict", ""),
    ("GET", f"{MAPS}/there?resourceVersion=x", b"", "", 400, "BadRequest", "invalid resource version: "),
    ("GET", f"{MAPS}?resourceVersion=-1", b"", "", 400, "BadRequest", "invalid resource version: "),
    ("GET", f"{MAPS}?limit={'9' * 5000}", b"", "", 400, "BadRequest", "strconv.ParseInt: parsing"),
    ("GET", f"{MAPS}?labelSelector={'(' * 8000}", b"", "", 400, "BadRequest", "found '('"),
    ("GET", f"{MAPS}?labelSelector=%ff", b"", "", 400, "BadRequest", "unable to parse requirement"),
    ("GET", f"{MAPS}?continue=%00%ff", b"", "", 400, "BadRequest", f"{INVALID_TOKEN}: illegal base64 data at input byte 0"),
    ("GET", f"{MAPS}?continue={token('[' * 9000)}", b"", "", 400, "BadRequest", f"{INVALID_TOKEN}: invalid JSON"),
]  # fmt: skip
for forged, why in (
    ('{"v":"meta.k8s.io/v1","rv":1,"start":"../secrets/x"}', "../secrets/x"),
    ('{"v":"meta.k8s.io/v1","rv":0,"start":"a"}', "incorrect encoded start resourceVersion"),
    ('{"v":"meta.k8s.io/v1","rv":1,"start":""}', "encoded start key empty"),
    ('{"v":"v2","rv":1,"start":"a"}', "server does not recognize this encoded version v2"),
    ('{"v":"meta.k8s.io/v1","rv":99999999999999999999,"start":"a"}', "invalid JSON"),
    ('{"v":"meta.k8s.io/v1","rv":true,"start":"a"}', "invalid JSON"),
):
    BODIES.append(
        (
            "GET",
            f"{MAPS}?limit=1&continue={token(forged)}",
            b"",
            "",
            400,
            "BadRequest",
            f"{INVALID_TOKEN}: {why}",
        )
    )


@pytest.mark.parametrize(("method", "target", "body", "kind", "code", "reason", "message"), BODIES)
def test_what_is_refused(
    server: Server, method: str, target: str, body: Any, kind: str, code: int, reason: str, message: str
) -> None:
    before = server.state()
    got, answer = server(method, target, body, kind)
    assert (got, answer.get("reason", "")) == (code, reason), answer
    assert answer["message"].startswith(message)
    assert server.state() == before


@pytest.mark.parametrize(
    "query",
    [f"labelSelector={MANY}", "labelSelector=a+in+(" + MANY.replace("%3Db", "") + ")", "%zz=%zz", "a;b=c", "pretty=x"],
)  # fmt: skip
def test_odd_queries_are_answered(server: Server, query: str) -> None:
    assert server("GET", f"{MAPS}?{query}")[0] == 200


def test_bytes_that_are_not_utf8_are_replaced(server: Server) -> None:
    raw = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bytes"},"data":{"a":"\xff"}}'
    assert server("POST", MAPS, raw)[1]["data"] == {"a": "\ufffd"}


def test_paths_that_lead_nowhere(server: Server) -> None:
    for path in (
        "//",
        "/%ff%fe",
        "/healthz/../x",
        "/openapi/v3/apis/../../x",
        "/apis/" + "a" * 5000 + "/v1/x",
    ):
        assert server("GET", path)[0] == 404, path
    assert server("GET", f"{MAPS}/%2e%2e")[0] == 404
    code, text = server("GET", "/api/v1/watch")
    assert code == 500
    assert b'Internal Server Error: "/api/v1/watch": failed to create RequestInfo: ' in text


def test_what_clients_make_up_is_no_label(server: Server) -> None:
    for number in range(50):
        server("GET", f"/apis/group{number}/v{number}/things{number}/x/y")
        server(f"BREW{number}", f"/tea/{number}")
        server("GET", f"{PODS}/x/made-up-{number}")
    before = len(server.assembly.metrics.requests)
    for number in range(50, 100):
        server("GET", f"/apis/group{number}/v{number}/things{number}/x/y")
        server(f"BREW{number}", f"/tea/{number}")
        server("GET", f"{PODS}/x/made-up-{number}")
    assert len(server.assembly.metrics.requests) == before


def test_metrics_are_upstream_s(server: Server) -> None:
    server("POST", f"{MAPS}?dryRun=All", config_map("dry"))
    text = server("GET", "/metrics")[1].decode()
    labels = 'component="apiserver",dry_run="All",group="",resource="configmaps",scope="resource",subresource="",verb="POST"'
    assert f'apiserver_request_total{{code="201",{labels},version="v1"}} 1\n' in text
    for name, stability, kind in (
        ("apiserver_request_total", "[STABLE] ", "counter"),
        ("apiserver_request_duration_seconds", "[STABLE] ", "histogram"),
        ("apiserver_response_sizes", "[STABLE] ", "histogram"),
        ("apiserver_storage_objects", "[STABLE] (Deprecated since 1.34.0) ", "gauge"),
        ("apiserver_resource_objects", "[ALPHA] ", "gauge"),
        ("etcd_request_duration_seconds", "[ALPHA] ", "histogram"),
        ("kubernetes_build_info", "[BETA] ", "gauge"),
        ("process_start_time_seconds", "[ALPHA] ", "gauge"),
        ("process_cpu_seconds_total", "", "counter"),
    ):
        assert f"# HELP {name} {stability}" in text
        assert f"# TYPE {name} {kind}\n" in text
    assert 'etcd_request_duration_seconds_count{group="",operation="create",resource="configmaps"}' in text
    assert text.count("# TYPE apiserver_storage_objects gauge\n") == 1


def test_watches_are_counted_while_they_are_open(server: Server) -> None:
    answer = server.answer("GET", f"{MAPS}?watch=1&resourceVersion=0")
    stream: Any = answer.body

    class Outlet:
        waiting_bytes, is_choked, seen = 0, False, b""

        def write(self, data: bytes) -> None:
            self.seen += data

        def end(self) -> None:
            pass

        abort = end

    outlet = Outlet()
    stream.start(outlet)
    text = server("GET", "/metrics")[1].decode()
    where = 'group="",resource="configmaps",scope="namespace",subresource="",verb="WATCH",version="v1"'
    assert f'apiserver_longrunning_requests{{component="apiserver",{where}}} 1\n' in text
    sent = outlet.seen.count(b'{"type":"ADDED"')
    assert sent >= 1
    counted = f'apiserver_watch_events_total{{group="",resource="configmaps",version="v1"}} {sent}\n'
    assert counted in text
    stream.stop()
    text = server("GET", "/metrics")[1].decode()
    assert f'apiserver_longrunning_requests{{component="apiserver",{where}}} 0\n' in text
    assert counted in text


def test_secrets_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = Server()
    try:
        hidden = "hidden-" + "x" * 30
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s"},
            "stringData": {"a": hidden},
        }
        server("POST", "/api/v1/namespaces/default/secrets", secret, authorization=f"Bearer {hidden}")
        server("GET", f"/api/v1/secrets?token={hidden}", authorization=f"Basic {hidden}")
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": hidden}}
        server("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
        server("POST", "/api/v1/namespaces/default/secrets", json.dumps(secret).encode()[:-3])
    finally:
        server.close()
    for record in caplog.records:
        said = f"{record.getMessage()} {record.__dict__}"
        assert hidden not in said
        assert base64.b64encode(hidden.encode()).decode() not in said
