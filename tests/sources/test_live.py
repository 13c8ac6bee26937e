"""A live cluster is read page by page with its credentials; what it refuses is said in one line."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
import yaml

from bench.dump import node, pod
from kcore.api.errors import InputError
from kcore.sources import from_kubeconfig, live, validate

pytest.importorskip("lightkube")
trustme = pytest.importorskip("trustme")

TOKEN = "secret-token"


class Api:
    """What the server holds, what it refuses, and what it was asked."""

    def __init__(self) -> None:
        self.items: dict[str, list[dict[str, Any]]] = {listed.path: [] for listed in live.LISTED}
        self.refused: dict[str, int] = {}
        self.expire_once: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.body: bytes | None = None

    def answer(self, method: str, target: str, token: str) -> tuple[int, bytes]:
        url = urlparse(target)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.asked.append((method, target))
        if token != f"Bearer {TOKEN}":
            return 401, json.dumps({"kind": "Status", "message": "Unauthorized"}).encode()
        if url.path in self.refused:
            code = self.refused[url.path]
            return code, json.dumps(
                {"kind": "Status", "code": code, "message": f"{url.path} is\nforbidden"}
            ).encode()
        if "continue" in query and url.path in self.expire_once:
            self.expire_once.remove(url.path)
            return 410, b'{"kind": "Status", "reason": "Expired"}'
        if self.body is not None:
            return 200, self.body
        start, limit = int(query.get("continue", 0)), int(query["limit"])
        items = self.items[url.path]
        metadata = {"resourceVersion": "7"}
        if start + limit < len(items):
            metadata["continue"] = str(start + limit)
        kind = next(listed.kind for listed in live.LISTED if listed.path == url.path)
        version = url.path.removeprefix("/api/").removeprefix("/apis/").rpartition("/")[0]
        page = {
            "kind": f"{kind}List",
            "apiVersion": version,
            "metadata": metadata,
            "items": items[start : start + limit],
        }
        return 200, json.dumps(page).encode()


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    state = Api()

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = state.answer("GET", self.path, self.headers.get("Authorization", ""))
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    (tmp_path / "ca.crt").write_bytes(authority.cert_pem.bytes())
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [
            {
                "name": "here",
                "cluster": {
                    "server": f"https://127.0.0.1:{server.server_port}",
                    "certificate-authority": "ca.crt",
                },
            }
        ],
        "users": [{"name": "me", "user": {"token": TOKEN}}, {"name": "you", "user": {"token": "wrong"}}],
        "contexts": [
            {"name": "main", "context": {"cluster": "here", "user": "me"}},
            {"name": "stranger", "context": {"cluster": "here", "user": "you"}},
            {"name": "nobody", "context": {"cluster": "here"}},
        ],
    }
    (tmp_path / "config").write_text(yaml.dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def without_kind(value: dict[str, Any]) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key not in ("kind", "apiVersion")}


def fill(api: Api) -> None:
    api.items["/api/v1/nodes"] = [without_kind(node(index)) for index in range(3)]
    api.items["/api/v1/pods"] = [without_kind(pod(index, 3)) for index in range(25)]
    replica_set = {
        "metadata": {"name": "app-001-6d4cf56db6", "namespace": "team-01", "uid": "u"},
        "spec": {"replicas": 1},
    }
    api.items["/apis/apps/v1/replicasets"] = [replica_set]
    gold = {"metadata": {"name": "gold", "uid": "u"}, "value": 5}
    api.items["/apis/scheduling.k8s.io/v1/priorityclasses"] = [gold]


def test_a_cluster_is_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(api)
    monkeypatch.setattr(live, "PAGE_OBJECTS", 10)
    api.expire_once = {"/api/v1/pods"}
    objects = from_kubeconfig()
    validate(objects)
    assert (len(objects.nodes), len(objects.pods)) == (3, 25)
    assert [each.metadata.name for each in objects.priority_classes] == ["gold"]
    assert len(objects.replica_sets) == 1
    assert {method for method, _ in api.asked} == {"GET"}
    assert len([target for _, target in api.asked if target.startswith("/api/v1/pods")]) == 5
    assert objects.pods == from_kubeconfig(context="main").pods


@pytest.mark.parametrize("context", ["stranger", "nobody"])
def test_wrong_credentials(api: Api, context: str) -> None:
    with pytest.raises(InputError, match=r"^https://127.*: does not accept the credentials: Unauthorized"):
        from_kubeconfig(context=context)


def test_a_missing_permission(api: Api) -> None:
    api.refused["/api/v1/pods"] = 403
    with pytest.raises(InputError) as caught:
        from_kubeconfig()
    assert "does not permit listing Pod: /api/v1/pods is forbidden (expected the verb list" in str(
        caught.value
    )
    api.refused["/api/v1/pods"] = 500
    with pytest.raises(InputError, match=r"answers /api/v1/pods with HTTP 500"):
        from_kubeconfig()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"metadata": 7}'])
def test_something_else_answers(api: Api, body: bytes) -> None:
    api.body = body
    with pytest.raises(InputError, match=r"something that is no list"):
        from_kubeconfig()


def test_no_server(api: Api, tmp_path: Path) -> None:
    text = (tmp_path / "config").read_text()
    (tmp_path / "config").write_text(text.replace("https://127.0.0.1:", "https://127.0.0.1:1#"))
    with pytest.raises(InputError, match=r"cannot be reached"):
        from_kubeconfig()


def test_an_unknown_authority(api: Api, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(trustme.CA().cert_pem.bytes())
    with pytest.raises(InputError, match=r"cannot be reached: .*certificate verify failed"):
        from_kubeconfig()


WRONG = {
    "text": "hello",
    "list": "[1]",
    "empty": "",
    "not yaml": "a: [",
    "no clusters": "contexts: []\n",
    "no context": "clusters: []\ncontexts: []\n",
    "dangling": "clusters: []\nusers: []\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]\n",
    "types": "clusters: 7\ncontexts: [7]\n",
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(tmp_path: Path, case: str) -> None:
    path = tmp_path / "config"
    path.write_text(WRONG[case])
    with pytest.raises(InputError) as caught:
        from_kubeconfig(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_unknown_context(api: Api, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing: cannot be used"):
        from_kubeconfig(str(tmp_path / "missing"))
    with pytest.raises(InputError, match=r"Context 'other' not found"):
        from_kubeconfig(context="other")
