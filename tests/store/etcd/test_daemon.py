"""The process: its ready line, its doors, its end, and what it refuses in one line; etcdctl where it is installed."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.etcdctl_suite.session import etcdctl_binary

READY = "ready to serve client requests"
SECONDS_MAX = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Daemon:
    """A running ``kcore etcd``; ``lines`` is what it logged."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        scheme: str = "http",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.client, self.peer = free_port(), free_port()
        self.url = f"{scheme}://127.0.0.1:{self.client}"
        peer = f"http://127.0.0.1:{self.peer}"
        command = [
            sys.executable, "-m", "kcore", "etcd", f"--data-dir={directory}", f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            *arguments,
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        self.lines: list[str] = []
        self.ready = threading.Event()
        self.reading = threading.Thread(target=self._read, daemon=True)
        self.reading.start()
        self.ready.wait(SECONDS_MAX)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if READY in line:
                self.ready.set()
        self.ready.set()

    def page(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return str(answer.read().decode())

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        code = self.process.wait(SECONDS_MAX)
        self.reading.join(SECONDS_MAX)
        return code


@contextlib.contextmanager
def running(directory: Path, *arguments: str, **options: object) -> Iterator[Daemon]:
    daemon = Daemon(directory, *arguments, **options)  # type: ignore[arg-type]
    try:
        assert daemon.process.poll() is None, daemon.lines
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.stop()
        assert daemon.process.stderr is not None
        daemon.process.stderr.close()


def test_it_says_when_it_is_ready_and_stops_when_told(tmp_path: Path) -> None:
    with running(tmp_path / "d") as daemon:
        assert daemon.page("/health") == '{"health":"true","reason":""}'
        body = json.dumps({"key": "Zm9v", "value": "YmFy"}).encode()
        urllib.request.urlopen(daemon.url + "/v3/kv/put", body, timeout=10).close()
        assert daemon.stop() == 0
    lines = [json.loads(line) for line in daemon.lines]
    assert READY in [line["msg"] for line in lines]
    assert {line["level"] for line in lines} == {"info"}
    with running(tmp_path / "d", "-log-format", "console") as daemon:
        body = json.dumps({"key": "Zm9v"}).encode()
        with urllib.request.urlopen(daemon.url + "/v3/kv/range", body, timeout=10) as answer:
            assert json.load(answer)["kvs"][0]["value"] == "YmFy"
        assert daemon.stop(signal.SIGINT) == 0
    assert any("\tinfo\tdaemon.py:" in line and READY in line for line in daemon.lines)


def test_what_cannot_be_is_one_line_and_exit_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for arguments, problem in (
            (["--nonsense"], "nonsense"),
            (["--listen-client-urls", url, "--advertise-client-urls", url], "cannot listen on"),
            (["--election-timeout", "100"], "election-timeout"),
            (["--config-file", str(tmp_path / "nothing.yaml")], "nothing.yaml"),
            (["--auth-token", "nonsense"], "--auth-token"),
            (["--cert-file", "c"], "--key-file"),
            (["--initial-cluster", "other=http://127.0.0.1:1"], "default"),
        ):
            command = [sys.executable, "-m", "kcore", "etcd", "--data-dir", str(tmp_path / "x"), *arguments]
            if "--listen-client-urls" not in arguments:
                command += [
                    f"--listen-client-urls=http://127.0.0.1:{free_port()}",
                    f"--advertise-client-urls={url}",
                ]
            command += [f"--listen-peer-urls=http://127.0.0.1:{free_port()}"]
            run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
            assert run.returncode == 2, (arguments, run.stderr)
            last = run.stderr.strip().splitlines()[-1]
            assert last.startswith("kcore: error: ") and problem in last, (arguments, run.stderr)


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "d"):
        second = Daemon(tmp_path / "d")
        assert second.process.wait(SECONDS_MAX) == 2
        second.reading.join(SECONDS_MAX)
        assert second.process.stderr is not None
        second.process.stderr.close()
        assert "in use" in second.lines[-1]


def test_open_doors_are_warned_of(tmp_path: Path) -> None:
    port = free_port()
    extra = f"--listen-client-http-urls=http://0.0.0.0:{port}"
    with running(tmp_path / "d", extra, "--unsafe-no-fsync", "--host-whitelist=x") as daemon:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/version", timeout=10) as answer:
            assert json.load(answer)["etcdserver"].startswith("3.6.")
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            daemon.page("/version")  # the client URLs are for gRPC alone then
    warnings = [json.loads(line)["msg"] for line in daemon.lines if '"level":"warn"' in line]
    assert any("without TLS beyond this machine" in text for text in warnings)
    assert any("--unsafe-no-fsync" in text for text in warnings)
    assert "--host-whitelist has no effect here" in warnings


def etcdctl(daemon: Daemon, *arguments: str) -> str:
    command = [etcdctl_binary(), f"--endpoints={daemon.url}", *arguments]
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env={**os.environ, "ETCDCTL_API": "3"},
        check=False,
    )
    assert run.returncode == 0, (arguments, run.stderr)
    return run.stdout


def test_etcdctl(tmp_path: Path) -> None:
    with running(tmp_path / "d", environment={"ETCD_NAME": "first"}) as daemon:
        assert etcdctl(daemon, "put", "a", "1") == "OK\n"
        assert etcdctl(daemon, "get", "a") == "a\n1\n"
        assert ", started, first, " in etcdctl(daemon, "member", "list")
        assert "3.6." in etcdctl(daemon, "endpoint", "status")
        etcdctl(daemon, "snapshot", "save", str(tmp_path / "s.db"))
    restored = ["snapshot", "restore", str(tmp_path / "s.db"), "--data-dir", str(tmp_path / "e")]
    subprocess.run(
        [sys.executable, "-m", "kcore", *restored], check=True, capture_output=True, timeout=SECONDS_MAX
    )
    with running(tmp_path / "e") as daemon:
        assert etcdctl(daemon, "get", "a") == "a\n1\n"


def test_etcdctl_with_a_certificate_of_its_own_making(tmp_path: Path) -> None:
    with running(tmp_path / "d", "--auto-tls", scheme="https") as daemon:
        trusted = f"--cacert={tmp_path / 'd' / 'fixtures' / 'client' / 'cert.pem'}"
        assert etcdctl(daemon, trusted, "put", "a", "1") == "OK\n"
        assert etcdctl(daemon, trusted, "get", "", "--prefix", "--keys-only") == "a\n\n"
