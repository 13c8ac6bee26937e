"""A certificate for the kubelets' port that signs itself, as a kubelet's does without --tls-cert-file."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kcore.api.errors import InputError

DAYS: Final = 365
CLOCK_SKEW: Final = dt.timedelta(minutes=5)


def self_signed(hosts: Sequence[str], now: dt.datetime) -> tuple[bytes, bytes]:
    """Certificate and key as PEM, on the curve P-256."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kcore-hollow-nodes")])
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + dt.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def server_context(
    hosts: Sequence[str], cert_file: str = "", key_file: str = "", client_ca: str = ""
) -> ssl.SSLContext:
    """TLS of the kubelets' port; with ``client_ca`` only clients whose certificate it signed are let in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    try:
        if cert_file:
            context.load_cert_chain(cert_file, key_file or None)
        else:
            _load(context, *self_signed(hosts, dt.datetime.now(dt.UTC)))
        if client_ca:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        file = client_ca if cert_file == "" or context.cert_store_stats()["x509"] else cert_file
        raise InputError(f"is no certificate with its key: {error}", file=file) from None
    return context


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # ssl reads certificates from files alone
    handle, path = tempfile.mkstemp(prefix="kcore-kubelet-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(certificate + key)
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()
