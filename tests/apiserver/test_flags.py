"""The flags of kcore apiserver, and what is made on first start."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from kcore.api.errors import InputError
from kcore.apiserver.driver import Identity, anonymous_may_ask
from kcore.apiserver.flags import BY_NAME, FLAGS, gather
from kcore.apiserver.pki import Pki, kubeconfig, kubeconfig_text, write_private
from kcore.apiserver.release import GIT_VERSION, told, version_info
from kcore.cli.app import main
from kcore.cli.daemons import UP_DEFAULTS, pairs, plain
from kcore.cli.go_flags import two_dashes


def test_values_are_read_by_their_kind() -> None:
    settings = gather({"secure-port": "1", "authorization-mode": "RBAC,AlwaysAllow", "event-ttl": "1h30m", "anonymous-auth": "false"})  # fmt: skip
    assert (settings["secure-port"], settings["event-ttl"], settings["anonymous-auth"]) == (1, 5400.0, False)
    assert settings["authorization-mode"] == ("RBAC", "AlwaysAllow")
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)


@pytest.mark.parametrize(
    ("name", "text"),
    [("secure-port", "x"), ("event-ttl", "soon"), ("anonymous-auth", "maybe"), ("tls-min-version", "1"),
     ("tls-cert-file", "only-one"), ("secure-port", "70000"), ("advertise-address", "x"), ("service-account-issuer", ""),
     ("service-cluster-ip-range", "x"), ("service-cluster-ip-range", ""), ("service-cluster-ip-range", "10.0.0.0/32"),
     ("service-cluster-ip-range", "10.0.0.0/24,10.1.0.0/24"), ("service-cluster-ip-range", "fd00::/32"),
     ("service-cluster-ip-range", "10.0.0.0/24,fd00::/112,fd01::/112")],
)  # fmt: skip
def test_what_cannot_be_is_said(name: str, text: str) -> None:
    with pytest.raises(InputError, match=name):
        gather({name: text})


def test_ranges_of_both_families_are_taken() -> None:
    both = gather({"service-cluster-ip-range": "10.0.0.0/24,fd00::/112", "advertise-address": "::1"})
    assert both["service-cluster-ip-range"] == ("10.0.0.0/24", "fd00::/112")
    assert both["advertise-address"] == "::1"


def test_a_key_that_cannot_be_read_names_its_flag(tmp_path: Path) -> None:
    flags = gather({"cert-dir": str(tmp_path), "service-account-key-file": str(tmp_path / "no.pem")})
    with pytest.raises(InputError, match="--service-account-key-file"):
        Identity(flags, ["localhost"])


def test_an_unknown_flag_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apiserver", "--no-such-flag=1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_flags_are_taken_as_go_takes_them() -> None:
    assert two_dashes("-anonymous-auth", BY_NAME) == "--anonymous-auth=true"
    assert two_dashes("--anonymous-auth=false", BY_NAME) == "--anonymous-auth=false"
    assert two_dashes("-v=2", BY_NAME) == "--v=2"
    assert two_dashes("value", BY_NAME) == "value"


def test_nobody_is_anonymous_where_everybody_may_do_everything() -> None:
    assert anonymous_may_ask(gather({}))
    assert not anonymous_may_ask(gather({"anonymous-auth": "false"}))
    assert not anonymous_may_ask(gather({"authorization-mode": "RBAC,AlwaysAllow"}))


def test_the_version_is_said_or_reported(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--version"], ["-version"], ["--version=true", "--secure-port=1"]):
        assert main(["apiserver", *arguments]) == 0
        assert capsys.readouterr().out == f"Kubernetes {GIT_VERSION}\n"
    assert told("raw").startswith('version.Info{Major:"1", Minor:"36", ')
    mine = gather({"version": f"{GIT_VERSION}-mine.1+build"})["version"]
    assert version_info(mine)["gitVersion"] == f"{GIT_VERSION}-mine.1+build"
    assert plain(["apiserver", "--version", "--secure-port=1"]) is not None
    assert gather({"version": "false"})["version"] == ""
    for text in ("v1.35.0", "v1.36.20", "vv", "perhaps", ""):
        with pytest.raises(InputError, match="version"):
            gather({"version": text})


def test_suites_are_those_that_were_named(tmp_path: Path) -> None:
    suite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    given = {"cert-dir": str(tmp_path), "tls-cipher-suites": suite, "tls-min-version": "VersionTLS12"}
    flags = gather(given)
    offered = Identity(flags, ["localhost"]).tls(flags).get_ciphers()
    assert [each["name"] for each in offered if each["protocol"] != "TLSv1.3"] == [
        "ECDHE-ECDSA-AES128-GCM-SHA256"
    ]
    flags = gather(given | {"tls-cipher-suites": "TLS_NONE"})
    with pytest.raises(InputError, match="tls-cipher-suites"):
        Identity(flags, ["localhost"]).tls(flags)


def test_keys_are_made_once_and_are_private(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    authority = pki.authority("ca", "kubernetes")
    server = pki.server("apiserver", authority, ["localhost", "127.0.0.1"])
    admin = pki.client("admin", authority, "kubernetes-admin", "system:masters")
    assert pki.authority("ca", "kubernetes") == authority
    assert pki.server("apiserver", authority, ["localhost"]) == server
    assert pki.server("apiserver", authority, ["elsewhere"]) != server, (
        "a name more needs another certificate"
    )
    again = Pki(tmp_path)
    assert again.client("admin", authority, "kubernetes-admin", "system:masters") == admin
    (tmp_path / "admin.crt").write_bytes(b"nothing")
    with pytest.raises(InputError, match="PEM"):
        Pki(tmp_path).client("admin", authority, "kubernetes-admin", "system:masters")
    assert pki.signing_key("sa") == pki.signing_key("sa")
    for path in tmp_path.glob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made = kubeconfig("https://localhost:1", authority.certificate, admin)
    assert made["clusters"][0]["cluster"]["server"] == "https://localhost:1"
    assert yaml.safe_load(kubeconfig_text(made)) == made


def test_plain_command_lines_need_no_parser() -> None:
    assert pairs(["--port", "1", "--v=2"], UP_DEFAULTS, ()) == {"port": "1", "v": "2"}
    assert pairs(["--anonymous-auth"], {"anonymous-auth": ""}, {"anonymous-auth"}) == {
        "anonymous-auth": "true"
    }
    assert plain(["up", "--port", "0"]) is not None
    assert plain(["apiserver", "--anonymous-auth", "--secure-port=1"]) is not None
    for words in (
        [], ["etcd"], ["up", "--help"], ["up", "--port"], ["up", "--port", "x"], ["up", "more"], ["up", "--prot=1"],
        ["up", "--port=1", "--port=2"], ["apiserver", "-v=2"],
    ):  # fmt: skip
        assert plain(words) is None


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "sa.key"])
def test_what_is_no_pem_refuses_the_start(tmp_path: Path, name: str) -> None:
    flags = gather({"cert-dir": str(tmp_path)})
    Identity(flags, ["localhost"])
    (tmp_path / name).write_bytes(b"garbage")
    with pytest.raises(InputError, match=f"{name}: is no PEM"):
        Identity(flags, ["localhost"])


def test_a_certificate_of_another_key_refuses_the_start(tmp_path: Path) -> None:
    flags = gather({"cert-dir": str(tmp_path)})
    Identity(flags, ["localhost"])
    (tmp_path / "ca.crt").write_bytes((tmp_path / "front-proxy-ca.crt").read_bytes())
    with pytest.raises(InputError, match=r"ca\.crt: is not of the key beside it"):
        Identity(flags, ["localhost"])


def test_a_kubeconfig_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path}: Is a directory"):
        write_private(tmp_path, b"x")
