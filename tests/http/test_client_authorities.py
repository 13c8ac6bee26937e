"""A TLS listener says whose certificates it takes."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from kcore.apiserver.driver import Identity
from kcore.apiserver.flags import gather
from kcore.apiserver.pki import Pki
from kcore.http import client_authorities
from kcore.http.client_authorities import name_authorities


def hello(context: ssl.SSLContext) -> bytes:
    """What the server answers first; with TLS 1.2 its wish for a certificate is to be read in it."""
    asks = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asks.maximum_version = ssl.TLSVersion.TLSv1_2
    asks.check_hostname, asks.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asks.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server):
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
    return to_client.read()


def test_the_wish_for_a_certificate_names_all_authorities(tmp_path: Path) -> None:
    flags = gather({"cert-dir": str(tmp_path)})
    identity = Identity(flags, ["localhost"])
    said = hello(identity.tls(flags))
    for authority in (identity.client_ca, identity.front_proxy_ca):
        subject = load_pem_x509_certificate(authority).subject.public_bytes()
        assert len(subject).to_bytes(2) + subject in said


def test_where_openssl_is_hidden_no_names_are_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Pki(tmp_path).authority("ca", "kubernetes").certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert name_authorities(context, authority + b"and no certificate")
    monkeypatch.setattr(client_authorities, "CALLS", (("SSL_CTX_no_such_call", None, ()),))
    assert not name_authorities(context, authority)
    monkeypatch.undo()
    monkeypatch.setattr(client_authorities.sys, "implementation", type("Other", (), {"name": "pypy"}))
    assert not name_authorities(context, authority)
