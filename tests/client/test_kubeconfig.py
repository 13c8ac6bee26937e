"""Kubeconfigs: what is right is read as client-go reads it, what is wrong is one line with file and field."""

from __future__ import annotations

import asyncio
import base64
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from kcore.api.errors import InputError
from kcore.client import kubeconfig
from kcore.client.credentials import Credentials
from kcore.clock import VirtualClock

CLUSTER = {"server": "https://127.0.0.1:6443"}


def config(cluster: Any = CLUSTER, user: Any = None, **context: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": cluster}], "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", **context}}],
    }  # fmt: skip


def written(path: Path, made: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(made) if not isinstance(made, str) else made)
    return str(path)


WRONG = [
    ("clusters: [", "k: is not YAML"),
    ("[]", "k: is not a kubeconfig (expected a mapping with clusters, users and contexts)"),
    ({**config(), "current-context": ""}, "k: current-context: is not set (expected the name of a context)"),
    ({**config(), "current-context": "x"}, "k: current-context: 'x' is not among the contexts (expected one of c)"),
    (config(cluster={}), "k: clusters[k].cluster.server: is not set (expected a URL as https://host:6443)"),
    (config(cluster={"server": "ftp://x"}), "k: clusters[k].cluster.server: is 'ftp://x' (expected a URL"),
    (config(cluster={"server": "https://x:99999"}), "k: clusters[k].cluster.server: is 'https://x:99999'"),
    (config(cluster={"server": 5}), "k: clusters[k].cluster.server: is 5 (expected a string)"),
    (config(cluster={**CLUSTER, "proxy-url": "gopher://x"}), "k: clusters[k].cluster.proxy-url: is 'gopher://x'"),
    (config(cluster={**CLUSTER, "certificate-authority": "no"}), "k: clusters[k].cluster.certificate-authority: cannot read"),
    (config(cluster={**CLUSTER, "certificate-authority-data": "%"}), "certificate-authority-data: is not base64"),
    (config(cluster=[1]), "k: clusters[k].cluster: is not a mapping"),
    (config(user={"client-certificate-data": "QQ=="}), "k: users[u].user.client-key: is not set"),
    (config(user={"tokenFile": "no"}), "k: users[u].user.tokenFile: cannot read"),
    (config(user={"token": "t", "username": "n"}), "k: users[u].user: more than one authentication method"),
    (config(user={"auth-provider": {"name": "gcp"}}), "k: users[u].user.auth-provider: is no longer part"),
    (config(user={"as-groups": ["g"]}), "k: users[u].user.as: is not set"),
    (config(user={"as": "x", "as-groups": [1]}), "k: users[u].user.as-groups[0]: is 1 (expected a string)"),
    (config(user={"exec": {}}), "k: users[u].user.exec.command: is not set"),
    (config(user={"exec": {"command": "x", "apiVersion": "v2"}}), "k: users[u].user.exec.apiVersion: is 'v2'"),
    (
        config(user={"exec": {"command": "x", "apiVersion": "client.authentication.k8s.io/v1"}}),
        "k: users[u].user.exec.interactiveMode: is not set (expected one of Never, IfAvailable, Always)",
    ),
    (config(cluster_="x") | {"clusters": []}, "k: contexts[c].context.cluster: 'k' is not among the clusters"),
]  # fmt: skip


@pytest.mark.parametrize(("made", "message"), WRONG, ids=[message[:60] for _, message in WRONG])
def test_what_is_wrong_is_one_line(
    made: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "k", made)
    with pytest.raises(InputError) as raised:
        kubeconfig.load("k")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_are_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("ca.crt", "me.crt", "me.key"):
        (tmp_path / "d" / name).write_text(name)
    made = config(
        {**CLUSTER, "certificate-authority": "ca.crt"},
        {"client-certificate": "me.crt", "client-key": "me.key"},
    )
    access = kubeconfig.load(written(tmp_path / "d" / "config", made))
    assert (access.authority.read(), access.certificate.read(), access.key.read()) == (
        b"ca.crt",
        b"me.crt",
        b"me.key",
    )


def test_several_files_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = config({"server": "https://first"}, namespace="one")
    second = config({"server": "https://second"}) | {"current-context": "other"}
    second["contexts"].append({"name": "other", "context": {"cluster": "k", "user": "v"}})
    second["users"].append({"name": "v", "user": {"token": "t"}})
    paths = [written(tmp_path / "1", {**first, "current-context": ""}), written(tmp_path / "2", second)]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(tmp_path / "none"), *paths]))
    access = kubeconfig.load()
    assert (access.server, access.token, access.namespace) == ("https://first", "t", "default")
    assert kubeconfig.load(context="c").namespace == "one"


def test_without_any_file_there_is_the_pods_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InputError, match=r"\.kube/config: there is no such file"):
        kubeconfig.load()
    monkeypatch.setattr(kubeconfig, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(InputError, match="the token of a service account"):
        kubeconfig.load()
    for name in ("token", "ca.crt", "namespace"):
        (tmp_path / name).write_text(name)
    access = kubeconfig.load()
    assert (access.server, access.namespace) == ("https://[fd00::1]:443", "namespace")


def test_a_token_file_is_read_again(tmp_path: Path) -> None:
    async def test() -> None:
        clock = VirtualClock()
        credentials = Credentials(kubeconfig.load(path), clock)
        await credentials.fresh()
        assert credentials.headers == ((b"authorization", b"Bearer one"),)
        (tmp_path / "token").write_text("two\n")
        assert not credentials.is_due
        assert await credentials.refused(credentials.generation)
        assert credentials.headers == ((b"authorization", b"Bearer two"),)
        (tmp_path / "token").write_text("three")
        await clock.advance(61)
        assert credentials.is_due
        await credentials.fresh()
        assert credentials.headers == ((b"authorization", b"Bearer three"),)

    (tmp_path / "token").write_text("one\n")
    path = written(tmp_path / "k", config({"server": "http://x"}, {"tokenFile": "token"}))
    asyncio.run(test())


def test_a_user_may_be_impersonated_and_have_a_password() -> None:
    user = {
        "username": "ann", "password": "x:y", "as": "bob", "as-uid": "7", "as-groups": ["g", "h"],
        "as-user-extra": {"Scopes/a": ["v"]},
    }  # fmt: skip
    credentials = Credentials(kubeconfig.of(config({"server": "http://x"}, user)))
    asyncio.run(credentials.fresh())
    assert credentials.headers == (
        (b"authorization", b"Basic " + base64.b64encode(b"ann:x:y")), (b"impersonate-user", b"bob"),
        (b"impersonate-uid", b"7"), (b"impersonate-group", b"g"), (b"impersonate-group", b"h"),
        (b"impersonate-extra-scopes%2Fa", b"v"),
    )  # fmt: skip


PLUGIN = """#!{python}
import json, os, pathlib
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
count = pathlib.Path(__file__).with_name("count")
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
told = pathlib.Path(__file__).with_name("told")
told.write_text(json.dumps(asked))
{more}
print(json.dumps({{"kind": "ExecCredential", "apiVersion": asked["apiVersion"], "status": {status}}}))
"""


def plugin(folder: Path, status: str, more: str = "", **options: Any) -> kubeconfig.Access:
    path = folder / "plugin"
    path.write_text(PLUGIN.format(python=sys.executable, status=status, more=more))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    entry = {
        "command": "./plugin", "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "env": [{"name": "WORD", "value": "said"}], **options,
    }  # fmt: skip
    return kubeconfig.load(written(folder / "k", config(CLUSTER, {"exec": entry})))


def test_a_plugin_is_run_again_once_what_it_said_has_expired(tmp_path: Path) -> None:
    status = '{"token": f"{os.environ[\'WORD\']}-{number}", "expirationTimestamp": "2023-11-14T22:15:00Z"}'
    access = plugin(tmp_path, status, provideClusterInfo=True)

    async def test() -> None:
        clock = VirtualClock()  # 2023-11-14T22:13:20Z
        credentials = Credentials(access, clock)
        await asyncio.gather(credentials.fresh(), credentials.fresh())
        assert credentials.headers == ((b"authorization", b"Bearer said-1"),)
        await clock.advance(99)
        await credentials.fresh()
        assert credentials.headers == ((b"authorization", b"Bearer said-1"),)
        await clock.advance(2)
        assert credentials.is_due
        await credentials.fresh()
        assert credentials.headers == ((b"authorization", b"Bearer said-2"),)
        assert await credentials.refused(credentials.generation)
        assert credentials.headers == ((b"authorization", b"Bearer said-3"),)

    asyncio.run(test())
    told = yaml.safe_load((tmp_path / "told").read_text())
    assert told["spec"] == {"interactive": False, "cluster": {"server": "https://127.0.0.1:6443"}}


def test_a_plugin_may_give_a_certificate(tmp_path: Path) -> None:
    pair = trustme.CA().issue_cert("me")
    made = {
        "clientCertificateData": pair.cert_chain_pems[0].bytes().decode(),
        "clientKeyData": pair.private_key_pem.bytes().decode(),
    }
    credentials = Credentials(plugin(tmp_path, repr(made)))
    assert asyncio.run(credentials.fresh())
    assert credentials.tls is not None
    assert credentials.headers == ()


@pytest.mark.parametrize(
    ("status", "more", "message"),
    [
        ("None", "", "exec.command: exec plugin didn't return a status field"),
        ("{}", "", "didn't return a token or cert/key pair"),
        ("{'clientKeyData': 'x'}", "", "returned only certificate or key, not both"),
        ("{'token': 't', 'expirationTimestamp': 'soon'}", "", "expirationTimestamp is 'soon'"),
        ("{}", "raise SystemExit(3)", "failed with exit code 3"),
        ("{}", "print('hello')", "decoding stdout"),
        ("{}", "asked['apiVersion'] = 'client.authentication.k8s.io/v1beta1'", "plugin returned version"),
    ],
)
def test_a_plugin_that_fails_says_why_in_one_line(
    status: str, more: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        asyncio.run(Credentials(plugin(tmp_path, status, more)).fresh())
    assert str(raised.value).startswith(f"{tmp_path}/k: exec")


def test_a_plugin_that_is_not_there_says_how_to_have_it(tmp_path: Path) -> None:
    access = plugin(tmp_path, "{}", installHint="get it from us")
    (tmp_path / "plugin").unlink()
    with pytest.raises(InputError, match=r"executable .*plugin not found; get it from us"):
        asyncio.run(Credentials(access).fresh())


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    bad = base64.b64encode(b"not PEM").decode()
    for cluster, user, field in (
        ({**CLUSTER, "certificate-authority-data": bad}, {}, "certificate-authority"),
        (CLUSTER, {"client-certificate-data": bad, "client-key-data": bad}, "client-certificate"),
    ):
        access = kubeconfig.load(written(tmp_path / "k", config(cluster, user)))
        with pytest.raises(InputError, match=f"k: {field}: cannot be used"):
            asyncio.run(Credentials(access).fresh())


def test_a_proxy_of_the_environment_is_not_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    for server, proxy in (
        ("https://outside.example", "http://proxy:3128"), ("https://inside.example", ""), ("https://127.0.0.1:1", ""),
    ):  # fmt: skip
        assert kubeconfig.of(config({"server": server})).proxy == proxy
    assert kubeconfig.of(config({**CLUSTER, "proxy-url": "socks5://p:1"})).proxy == "socks5://p:1"
