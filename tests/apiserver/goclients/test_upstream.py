"""A real kube-apiserver keeps its objects in ``kcore etcd``, over TLS, and finds nothing to complain about."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from kcore.apiserver.pki import Pki, kubeconfig
from tests.apiserver.goclients.programs import HERE, built, faults, kubectl_binary, logged, until
from tests.store.kv_suite.servers import free_ports

pytestmark = pytest.mark.slow

HOST: Final = "127.0.0.1"
# Lines of kube-apiserver's log in which its client of etcd, or what asks it, is not content.
_complaint = re.compile(
    r"^E.*(etcdserver|rpc error|compact)|etcd-client.*fail|\"level\":\"(warn|error)\""
).search


@contextmanager
def store(folder: Path, port: int, peer: int) -> Iterator[list[str]]:
    """Flags of kube-apiserver for a ``kcore etcd`` that asks for certificates."""
    pki = Pki(folder / "etcd-pki")
    authority = pki.authority("ca", "etcd-ca")
    pki.server("server", authority, [HOST])
    pki.client("client", authority, "kube-apiserver")
    at = {
        name: str(folder / "etcd-pki" / name)
        for name in ("ca.crt", "server.crt", "server.key", "client.crt", "client.key")
    }
    url, peer_url = f"https://{HOST}:{port}", f"http://{HOST}:{peer}"
    command = [
        sys.executable, "-m", "kcore", "etcd", f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}", f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}", f"--cert-file={at['server.crt']}", f"--key-file={at['server.key']}",
        "--client-cert-auth=true", f"--trusted-ca-file={at['ca.crt']}",
    ]  # fmt: skip
    log = folder / "etcd.log"
    with logged(command, log):
        until(lambda: "ready to serve client requests" in log.read_text(), "the store")
        yield [
            f"--etcd-servers={url}", f"--etcd-cafile={at['ca.crt']}", f"--etcd-certfile={at['client.crt']}",
            f"--etcd-keyfile={at['client.key']}",
        ]  # fmt: skip


@contextmanager
def real_server(program: str, folder: Path) -> Iterator[Path]:
    """Path of the kubeconfig of a kube-apiserver on a store of ours."""
    pki = Pki(folder / "pki")
    authority = pki.authority("ca", "kubernetes")
    admin = pki.client("admin", authority, "kubernetes-admin", "system:masters")
    pki.server("apiserver", authority, [HOST, "localhost"])
    pki.signing_key("sa")
    port, client, peer = free_ports(3)
    where = folder / "pki"
    path = folder / "admin.conf"
    path.write_text(
        yaml.safe_dump(kubeconfig(f"https://{HOST}:{port}", (where / "ca.crt").read_bytes(), admin))
    )
    with ExitStack() as stack:
        flags = stack.enter_context(store(folder, client, peer))
        command = [
            program, *flags, f"--secure-port={port}", f"--bind-address={HOST}", f"--client-ca-file={where / 'ca.crt'}",
            f"--tls-cert-file={where / 'apiserver.crt'}", f"--tls-private-key-file={where / 'apiserver.key'}",
            f"--service-account-key-file={where / 'sa.pub'}", f"--service-account-signing-key-file={where / 'sa.key'}",
            "--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16", "--disable-admission-plugins=ServiceAccount", "--v=1",
        ]  # fmt: skip
        stack.enter_context(logged(command, folder / "apiserver.log"))
        yield path


def test_a_real_kube_apiserver_runs_on_our_store(tmp_path: Path) -> None:
    kubectl = kubectl_binary()
    program = built(HERE / "upstream", "k8s.io/kubernetes/cmd/kube-apiserver", tmp_path)
    clientgo = built(HERE, "./clientgo", tmp_path)
    with real_server(program, tmp_path) as path:

        def kube(*words: str, given: Any = None) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [kubectl, f"--kubeconfig={path}", f"--cache-dir={tmp_path / 'discovery'}", *words],
                input=json.dumps(given), capture_output=True, text=True,
            )  # fmt: skip

        until(lambda: kube("get", "--raw", "/readyz").stdout == "ok", "readiness")
        assert kube("create", "configmap", "one", "--from-literal=a=b").returncode == 0
        watched = kube("get", "configmap", "one", "--watch", "--request-timeout=2s", "-o", "name")
        assert watched.stdout == "configmap/one\n"
        assert kube("get", "configmap", "one", "-o", "jsonpath={.data.a}").stdout == "b"
        assert kube("delete", "configmap", "one").returncode == 0
        assert kube("get", "configmap", "one").returncode == 1
        assert "etcd ok" in kube("get", "--raw", "/readyz?verbose").stdout
        assert faults(clientgo, path, "upstream") == []
        lines = (tmp_path / "apiserver.log").read_text().splitlines()
        said = (tmp_path / "etcd.log").read_text().splitlines()
    assert [line for line in lines if _complaint(line)] == []
    assert [line for line in said if '"level":"info"' not in line] == []
