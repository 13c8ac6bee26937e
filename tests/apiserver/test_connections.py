"""Connections to a whole API server: foreign certificates, plain HTTP, and what clients see while it stops."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kcore import ControlPlane
from kcore.apiserver import watch_stream
from kcore.apiserver.pki import Pki
from tests.apiserver.test_door import Caller

ROOT = Path(__file__).resolve().parent.parent.parent
PODS = "/api/v1/namespaces/default/pods"
WATCH = f"{PODS}?watch=1&timeoutSeconds=60"


class Server:
    """``kcore apiserver`` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        arguments = [
            "apiserver",
            "--cert-dir",
            str(folder),
            "--bind-address",
            "127.0.0.1",
            "--secure-port",
            "0",
        ]
        arguments += ["--shutdown-delay-duration", "1s", "--v", "1"]
        command = [sys.executable, "-m", "kcore", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        while "serving securely" not in (line := self.process.stderr.readline()):
            assert line, "the server did not start"
        config = yaml.safe_load((folder / "admin.conf").read_text())
        host, _, port = config["clusters"][0]["cluster"]["server"].removeprefix("https://").partition(":")
        self.host, self.port = host, int(port)
        self.authority = base64.b64decode(
            config["clusters"][0]["cluster"]["certificate-authority-data"]
        ).decode()
        user = config["users"][0]["user"]
        self.admin = folder / "admin.pem"
        self.admin.write_bytes(
            base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"])
        )

    def connect(
        self, certificate: Path | None = None, key: Path | None = None
    ) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cadata=self.authority)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        return http.client.HTTPSConnection(self.host, self.port, context=context, timeout=20)

    def ask(self, connection: http.client.HTTPConnection, path: str, **headers: str) -> tuple[int, bytes]:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.process.kill()
    made.process.wait()
    assert made.process.stderr is not None
    made.process.stderr.close()


def test_a_foreign_certificate_is_unauthorized(server: Server, tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    # of an authority that has the right name, and another key
    pki.client("foreign", pki.authority("ca", "kubernetes"), "kubernetes-admin", "system:masters")
    foreign = server.connect(tmp_path / "foreign.crt", tmp_path / "foreign.key")
    for path in (PODS, "/healthz", "/version"):
        code, body = server.ask(foreign, path)
        assert code == 401
        assert json.loads(body) == {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
            "reason": "Unauthorized", "code": 401,
        }  # fmt: skip
    foreign.close()
    # a server's certificate is not a client's
    serving = server.admin.parent / "apiserver.crt"
    wrong = server.connect(serving, serving.with_suffix(".key"))
    assert server.ask(wrong, PODS)[0] == 401
    wrong.close()
    nobody, admin = server.connect(), server.connect(server.admin)
    assert server.ask(nobody, "/healthz") == (200, b"ok")
    assert server.ask(nobody, PODS)[0] == 403
    assert server.ask(admin, PODS)[0] == 200
    for each in (nobody, admin):
        each.close()


def test_plain_http_is_told_that_this_is_https(server: Server) -> None:
    plain = http.client.HTTPConnection(server.host, server.port, timeout=20)
    assert server.ask(plain, PODS) == (400, b"Client sent an HTTP request to an HTTPS server.\n")
    plain.close()


def test_a_watch_that_is_never_read_ends_and_holds_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_stream, "EVENTS_WAITING_MAX", 20)
    with ControlPlane() as plane:
        call = Caller(plane, tmp_path)
        slow = call.open()
        slow.request("GET", "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=600")
        answer = slow.getresponse()
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # less for the kernel to hold
        large = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}}
        plane.client.create(large)
        sent = 0

        def watching() -> int:
            lines = call("GET", "/metrics")[2].decode().splitlines()
            named = [
                each for each in lines if each.startswith("apiserver_longrunning") and "configmaps" in each
            ]
            return int(named[0].rsplit(" ", 1)[1])

        while watching():
            for _ in range(20):
                sent += 1
                large["data"] = {"text": f"{sent:06}" * 50_000}
                plane.client.update(large)
            assert sent < 1000, "the watch goes on"
        assert answer.readline().startswith(b'{"type":"ADDED",')
        slow.close()


def test_a_server_that_stops_fails_readyz_first_and_breaks_nothing_off(server: Server) -> None:
    admin, watching, idle = (server.connect(server.admin) for _ in range(3))
    watching.request("GET", WATCH)
    watch = watching.getresponse()
    assert server.ask(idle, "/readyz") == (200, b"ok")
    server.process.terminate()
    deadline = time.monotonic() + 10
    while (said := server.ask(admin, "/readyz"))[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert said[0] == 500
    assert b"[-]shutdown failed" in said[1]
    assert server.ask(admin, "/livez")[0] == 200
    assert server.ask(admin, PODS)[0] == 200  # on a connection that was there, and
    late = server.connect(server.admin)
    assert server.ask(late, PODS)[0] == 200  # on a new one
    assert watch.read() == b""  # its last chunk, not a broken connection
    with pytest.raises(ConnectionRefusedError):
        server.connect(server.admin).connect()
    assert server.process.wait(20) == 0
    for each in (admin, watching, idle, late):
        each.close()
