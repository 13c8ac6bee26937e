"""A whole API server in this process, over TLS and without HTTP: what clients see."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kcore import ControlPlane
from kcore.api.status import ApiError

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.csv"
    tokens.write_text('bobs-token,bob,1,"testers"\n')
    with ControlPlane(flags={"token-auth-file": str(tokens)}) as made:
        yield made


class Caller:
    """Requests over TLS with the admin's certificate, or with a token."""

    def __init__(self, plane: ControlPlane, folder: Any, token: str = "") -> None:
        cluster = plane.kubeconfig_dict["clusters"][0]["cluster"]
        user = plane.kubeconfig_dict["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        if not token:
            pem = folder / "admin.pem"
            pem.write_bytes(
                base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"])
            )
            context.load_cert_chain(pem)
        host, _, port = plane.url.removeprefix("https://").partition(":")
        self.open = lambda: http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = self.open()
        given = {name.replace("_", "-"): value for name, value in headers.items()} | self.headers
        text = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, text, given)
        answer = connection.getresponse()
        got = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return got


@pytest.fixture(scope="module")
def call(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Caller:
    return Caller(plane, tmp_path_factory.mktemp("admin"))


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_an_object_lives_and_dies(call: Caller) -> None:
    status, headers, body = call("POST", CONFIG_MAPS, config_map("a", x="1"))
    assert status == 201
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-cache, private"
    assert len(headers["audit-id"]) == 36
    made = json.loads(body)
    assert made["metadata"]["namespace"] == "default"
    assert call("POST", CONFIG_MAPS, config_map("a"))[0] == 409
    status, _, body = call("GET", f"{CONFIG_MAPS}/a", Audit_ID="mine")
    assert json.loads(body) == made
    patch = {"data": {"y": "2"}}
    status, _, body = call("PATCH", f"{CONFIG_MAPS}/a", patch, Content_Type="application/merge-patch+json")
    assert (status, json.loads(body)["data"]) == (200, {"x": "1", "y": "2"})
    status, _, body = call("DELETE", f"{CONFIG_MAPS}/a")
    assert (status, json.loads(body)["status"]) == (200, "Success")
    status, _, body = call("GET", f"{CONFIG_MAPS}/a")
    assert status == 404
    assert json.loads(body) == {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": 'configmaps "a" not found', "reason": "NotFound",
        "details": {"name": "a", "kind": "configmaps"}, "code": 404,
    }  # fmt: skip


def test_answers_come_in_the_form_asked_for(call: Caller) -> None:
    call("POST", CONFIG_MAPS, config_map("forms", x="1"))
    path = f"{CONFIG_MAPS}/forms"
    _, headers, body = call("GET", path, Accept="application/yaml")
    assert headers["content-type"] == "application/yaml"
    assert b"kind: ConfigMap\n" in body
    _, headers, body = call("GET", path, Accept="application/vnd.kubernetes.protobuf")
    assert body.startswith(b"k8s\0")
    _, _, body = call("GET", path, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    table = json.loads(body)
    assert (table["kind"], table["rows"][0]["cells"][:2]) == ("Table", ["forms", 1])
    _, _, body = call(
        "GET", CONFIG_MAPS, Accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    )
    assert {item["kind"] for item in json.loads(body)["items"]} == {"PartialObjectMetadata"}
    _, _, body = call("GET", f"{path}?pretty=true")
    assert b'\n  "kind": "ConfigMap"' in body
    status, _, body = call("GET", path, Accept="text/html")
    assert status == 406
    assert json.loads(body)["reason"] == "NotAcceptable"


def test_bodies_that_are_not_what_they_say(call: Caller) -> None:
    status, _, body = call("POST", CONFIG_MAPS, b"{", Content_Type="application/json")
    assert (status, json.loads(body)["reason"]) == (400, "BadRequest")
    status, _, body = call("POST", CONFIG_MAPS, b"x", Content_Type="application/cbor")
    assert (status, json.loads(body)["reason"]) == (415, "UnsupportedMediaType")
    status, _, body = call("PATCH", f"{CONFIG_MAPS}/x", b"{}", Content_Type="application/json")
    assert status == 415
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    status, _, body = call("POST", CONFIG_MAPS, pod)
    assert status == 400
    status, _, body = call("POST", CONFIG_MAPS, b" " * (4 << 20))
    assert (status, json.loads(body)["message"]) == (413, "Request entity too large: limit is 3145728")


def test_unknown_fields_are_warned_of_or_refused(call: Caller) -> None:
    odd = config_map("odd") | {"nothing": 1}
    status, headers, _ = call("POST", f"{CONFIG_MAPS}?dryRun=All", odd)
    assert (status, headers["warning"]) == (201, '299 - "unknown field \\"nothing\\""')
    status, headers, body = call("POST", f"{CONFIG_MAPS}?fieldValidation=Strict", odd)
    assert status == 400
    assert 'strict decoding error: unknown field "nothing"' in json.loads(body)["message"]
    status, headers, _ = call("POST", f"{CONFIG_MAPS}?dryRun=All&fieldValidation=Ignore", odd)
    assert status == 201
    assert "warning" not in headers


def test_who_asks_and_whether_they_may(plane: ControlPlane, call: Caller, tmp_path: Any) -> None:
    bob = Caller(plane, tmp_path, "bobs-token")
    status, _, body = bob("GET", "/api/v1/namespaces/default/pods")
    assert status == 403
    assert json.loads(body)["message"] == (
        'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    assert Caller(plane, tmp_path, "nonsense")("GET", "/api")[0] == 401
    status, _, body = call("GET", "/api/v1/pods", Impersonate_User="eve")
    assert status == 403
    assert (
        '"eve" cannot list resource "pods" in API group "" at the cluster scope'
        in json.loads(body)["message"]
    )


def test_places_where_nothing_is_and_methods_that_are_not(call: Caller) -> None:
    status, _, body = call("GET", "/api/v1/nothings")
    assert (status, json.loads(body)["message"]) == (404, "the server could not find the requested resource")
    assert call("GET", "/apis/nobody.io/v1/things")[::2] == (404, b"404 page not found\n")
    assert call("GET", "/nothing")[::2] == (404, b"404 page not found\n")
    status, _, body = call("DELETE", "/api/v1/configmaps")
    assert (status, json.loads(body)["reason"]) == (405, "MethodNotAllowed")
    assert call("POST", f"{CONFIG_MAPS}/x", config_map("x"))[0] == 405


def test_lists_are_paged_and_zipped(call: Caller) -> None:
    for number in range(5):
        call("POST", CONFIG_MAPS, config_map(f"page-{number}", x="y" * 40_000))
    _, _, body = call("GET", f"{CONFIG_MAPS}?limit=2")
    page = json.loads(body)
    assert len(page["items"]) == 2
    assert "kind" not in page["items"][0]
    _, _, body = call("GET", f"{CONFIG_MAPS}?limit=100&continue={page['metadata']['continue']}")
    assert len(json.loads(body)["items"]) >= 4
    _, headers, body = call("GET", CONFIG_MAPS, Accept_Encoding="gzip")
    assert headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))["kind"] == "ConfigMapList"
    status, _, body = call("GET", f"{CONFIG_MAPS}?limit=x")
    assert (status, json.loads(body)["message"]) == (400, 'strconv.ParseInt: parsing "x": invalid syntax')


@pytest.mark.parametrize(
    ("accept", "columns"),
    [("application/json", False), ("application/json;as=Table;v=v1;g=meta.k8s.io", True)],
)
def test_a_watch_tells_what_happens(plane: ControlPlane, call: Caller, accept: str, columns: bool) -> None:
    name = f"seen-{columns}".lower()
    version = plane.client.list("configmaps")["metadata"]["resourceVersion"]
    connection = call.open()
    path = f"{CONFIG_MAPS}?watch=1&resourceVersion={version}&timeoutSeconds=30&fieldSelector=metadata.name%3D{name}"
    connection.request("GET", path, headers={"Accept": accept})
    answer = connection.getresponse()
    assert answer.getheader("transfer-encoding") == "chunked"
    plane.client.create(config_map(name, x="1"), "default")
    plane.client.patch("configmaps", name, {"data": {"x": "2"}})
    plane.client.delete("configmaps", name)
    events = [json.loads(answer.readline()) for _ in range(3)]
    connection.close()
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    if columns:
        assert events[0]["object"]["columnDefinitions"]
        assert not events[1]["object"].get("columnDefinitions")
        assert events[2]["object"]["rows"][0]["cells"][0] == name
    else:
        assert [event["object"]["data"]["x"] for event in events] == ["1", "2", "2"]


def test_initial_events_as_tables_begin_with_the_columns(plane: ControlPlane, call: Caller) -> None:
    for name in ("initial-0", "initial-1"):
        plane.client.create(
            {**config_map(name, x="1"), "metadata": {"name": name, "labels": {"l": "initial"}}}, "default"
        )
    connection = call.open()
    wanted = "sendInitialEvents=1&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1&labelSelector=l%3Dinitial"
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    connection.request("GET", f"{CONFIG_MAPS}?watch=1&timeoutSeconds=30&{wanted}", headers=accept)
    answer = connection.getresponse()
    events = [json.loads(answer.readline()) for _ in range(3)]
    connection.close()
    assert [event["type"] for event in events] == ["ADDED", "ADDED", "BOOKMARK"]
    assert [bool(event["object"].get("columnDefinitions")) for event in events] == [True, False, False]


def test_what_the_server_says_of_itself(call: Caller) -> None:
    assert json.loads(call("GET", "/version")[2])["gitVersion"].startswith("v1.36.")
    assert call("GET", "/readyz")[::2] == (200, b"ok")
    text = call("GET", "/livez?verbose&exclude=etcd&exclude=nothing")[2].decode()
    assert text.startswith("[+]ping ok\n")
    assert "[+]etcd excluded: ok\n" in text
    assert 'warn: some health checks cannot be excluded: no matches for "nothing"\n' in text
    assert text.endswith("livez check passed\n")
    assert call("GET", "/readyz/ping")[::2] == (200, b"ok")
    assert call("GET", "/readyz/nothing")[0] == 404
    assert "/apis/apps/v1" in json.loads(call("GET", "/")[2])["paths"]
    metrics = call("GET", "/metrics")[2].decode()
    for name in (
        "apiserver_request_total", "apiserver_request_duration_seconds_bucket", "apiserver_storage_objects",
        "apiserver_current_inflight_requests", "process_resident_memory_bytes",
    ):  # fmt: skip
        assert f"\n{name}" in metrics


def test_discovery_has_a_tag_that_saves_asking(call: Caller) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    status, headers, body = call("GET", "/apis", Accept=accept)
    assert (status, headers["content-type"]) == (200, accept)
    assert json.loads(body)["items"][0]["metadata"]["name"]
    status, _, body = call("GET", "/apis", Accept=accept, If_None_Match=headers["etag"])
    assert (status, body) == (304, b"")
    assert json.loads(call("GET", "/apis/apps")[2])["preferredVersion"]["version"] == "v1"
    assert json.loads(call("GET", "/api")[2])["versions"] == ["v1"]
    address = json.loads(call("GET", "/openapi/v3")[2])["paths"]["api/v1"]["serverRelativeURL"]
    status, headers, body = call("GET", address)
    assert (status, json.loads(body)["openapi"]) == (200, "3.0.0")
    assert "immutable" in headers["cache-control"]


def test_the_client_in_the_process_has_the_same_semantics(plane: ControlPlane) -> None:
    client = plane.client
    made = client.create(config_map("local", x="1"))
    assert client.get("cm", "local") == made
    with pytest.raises(ApiError) as caught:
        client.create(config_map("local"))
    assert (caught.value.code, caught.value.reason) == (409, "AlreadyExists")
    made["metadata"]["resourceVersion"] = "1"
    with pytest.raises(ApiError) as caught:
        client.update(made)
    assert caught.value.reason == "Conflict"
    applied = client.apply(config_map("local", z="3"), field_manager="me")
    assert applied["data"] == {"x": "1", "z": "3"}
    assert (
        client.list("configmaps", "default", field_selector="metadata.name=local")["items"][0]["data"]
        == applied["data"]
    )
    events = client.watch("configmaps", "default", field_selector="metadata.name=local")
    assert next(events)[0] == "ADDED"
    client.delete("configmaps", "local")
    assert next(events)[0] == "DELETED"
    events.close()
    with pytest.raises(ApiError) as caught:
        client.get("nothings", "x")
    assert caught.value.code == 404


def test_many_clients_at_once_get_their_own_answers(call: Caller, plane: ControlPlane) -> None:
    wrong: list[str] = []

    def work(name: str) -> None:
        call("POST", CONFIG_MAPS, config_map(name, x=name))
        if json.loads(call("GET", f"{CONFIG_MAPS}/{name}")[2])["data"] != {"x": name}:
            wrong.append(name)

    threads = [threading.Thread(target=work, args=(f"many-{number}",)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_namespace_of_the_test_s_own(kcore_cluster: ControlPlane, kcore_namespace: str) -> None:
    made = kcore_cluster.client.create(config_map("mine"), kcore_namespace)
    assert made["metadata"]["namespace"] == kcore_namespace
