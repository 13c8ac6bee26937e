"""TLS of the client port: etcd's rules of who must show what, and certificates renewed without a restart.

A context looks at its files whenever a client connects: where they have changed it uses the new ones from that
connection on, and where the new ones cannot be read it keeps the old and says so.
"""

import datetime as dt
import ipaddress
import logging
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kcore.api.errors import InputError

VERSIONS: Final = {"TLS1.2": ssl.TLSVersion.TLSv1_2, "TLS1.3": ssl.TLSVersion.TLSv1_3}
PROTOCOLS: Final = ["h2", "http/1.1"]

log = logging.getLogger("kcore.store.etcd")


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """What etcd's flags say of one listener's TLS."""

    cert_file: str
    key_file: str
    trusted_ca_file: str = ""
    client_cert_auth: bool = False
    crl_file: str = ""
    version_min: str = "TLS1.2"
    version_max: str = ""
    cipher_suites: tuple[str, ...] = ()


def openssl_name(suite: str) -> str:
    """``TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`` as OpenSSL says it: ``ECDHE-RSA-AES128-GCM-SHA256``."""
    name = suite.removeprefix("TLS_").replace("_WITH_", "_")
    for bits in ("128", "256"):
        name = name.replace(f"AES_{bits}", f"AES{bits}")
    name = name.replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305").replace("_CBC_", "_")
    return name.removeprefix("RSA_").replace("_", "-")


def server_context(files: ServerFiles) -> ssl.SSLContext:
    """The listener's context; InputError where a file cannot be used."""
    context = _context(files)
    stamps = {"now": _stamp(files)}

    def renewed(connection: ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
        stamp = _stamp(files)
        if stamp != stamps["now"]:
            stamps["now"] = stamp
            try:
                stamps["context"] = _context(files)
                log.info("certificates renewed", extra={"cert-file": files.cert_file})
            except InputError as error:
                log.warning(
                    "new certificates cannot be used, the old ones are kept", extra={"error": str(error)}
                )
        if (latest := stamps.get("context")) is not None:
            connection.context = latest

    context.sni_callback = renewed
    return context


def _stamp(files: ServerFiles) -> Any:
    try:
        return tuple(
            (os.stat(name).st_mtime_ns, os.stat(name).st_ino) for name in (files.cert_file, files.key_file)
        )
    except OSError:
        return None


def _context(files: ServerFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[files.version_min]
    if files.version_max:
        context.maximum_version = VERSIONS[files.version_max]
    context.set_alpn_protocols(PROTOCOLS)
    try:
        context.load_cert_chain(files.cert_file, files.key_file)
    except OSError as error:  # ssl.SSLError is one
        raise InputError(
            f"cannot use {files.cert_file} with {files.key_file}: {error.strerror or error}",
            field="--cert-file",
        ) from None
    if (
        files.trusted_ca_file or files.client_cert_auth
    ):  # as etcd: an authority alone demands certificates, too
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            if files.trusted_ca_file:
                context.load_verify_locations(files.trusted_ca_file)
            else:
                context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
            if files.crl_file:
                context.load_verify_locations(files.crl_file)
                context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        except OSError as error:
            named = f"{files.trusted_ca_file} {files.crl_file}".strip()
            raise InputError(
                f"cannot use {named}: {error.strerror or error}", field="--trusted-ca-file"
            ) from None
    if files.cipher_suites:
        try:
            context.set_ciphers(":".join(map(openssl_name, files.cipher_suites)))
        except ssl.SSLError:
            raise InputError(
                f"unknown among {','.join(files.cipher_suites)}", field="--cipher-suites"
            ) from None
    return context


def self_signed(folder: Path, hosts: Iterable[str], years: int) -> tuple[str, str]:
    """Files (certificate, key) of a certificate that signs itself, made on first use, private to this user."""
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    if certificate_file.exists() and key_file.exists():
        return str(certificate_file), str(key_file)
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "etcd")])
    now = dt.datetime.now(dt.UTC)
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=365 * years))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with open(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(private)
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return str(certificate_file), str(key_file)
