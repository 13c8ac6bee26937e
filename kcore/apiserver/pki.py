"""Certificates, keys and the admin's kubeconfig, made on first start and kept.

Names and places are kubeadm's: ``ca.crt``, ``apiserver.crt``, ``apiserver-kubelet-client``, ``front-proxy-ca``,
``sa.key`` below one folder. Source: cmd/kubeadm/app/phases/certs of Kubernetes 1.36.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from kcore.api.errors import InputError

CERTIFICATE_DAYS: Final = 365
AUTHORITY_DAYS: Final = 3650
RENEWED_DAYS_BEFORE: Final = 30
CLOCK_SKEW: Final = dt.timedelta(minutes=5)
SERVER_NAMES: Final = (
    "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost",
)  # fmt: skip
PRIVATE: Final = 0o600
PEM_BEGINS: Final = b"-----BEGIN "
NOTES: Final = "kept.json"  # what is known of each certificate: a start that finds it so parses none


class Pair(NamedTuple):
    """A certificate and its key, both as PEM."""

    certificate: bytes
    key: bytes


class Pki:
    """One folder of certificates; what is asked for is made where it is not there or about to expire."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._notes: dict[str, Any] | None = None

    def authority(self, name: str, common_name: str) -> Pair:
        """An authority that signs itself."""
        return self._kept(name, lambda: _issued(common_name, None, days=AUTHORITY_DAYS))

    def server(self, name: str, authority: Pair, hosts: Iterable[str]) -> Pair:
        """A certificate for a server of those names and addresses."""
        names = tuple(dict.fromkeys(hosts))
        return self._kept(name, lambda: _issued("kube-apiserver", authority, hosts=names), names)

    def client(self, name: str, authority: Pair, common_name: str, *groups: str) -> Pair:
        """A certificate for a user."""
        return self._kept(name, lambda: _issued(common_name, authority, groups=groups))

    def signing_key(self, name: str) -> bytes:
        """A key pair for tokens on the curve P-256 (RSA would take half a second to make); its private half as PEM."""
        path = self.folder / f"{name}.key"
        if path.exists():
            return _pem(path)
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        pem = _private_pem(key)
        self._write(path, pem)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self.folder / f"{name}.pub").write_bytes(public)
        return pem

    def _kept(self, name: str, make: Any, hosts: Iterable[str] = ()) -> Pair:
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if certificate.exists() and key.exists():
            pair = Pair(_pem(certificate), _pem(key))
            if self._is_noted(name, pair.certificate, hosts) or _still_good(certificate, pair, hosts):
                self._note(name, pair.certificate, hosts)
                return pair
        made: Pair = make()
        self._write(key, made.key)
        certificate.write_bytes(made.certificate)
        self._note(name, made.certificate, hosts)
        return made

    def _noted(self) -> dict[str, Any]:
        if self._notes is None:
            try:
                found = orjson.loads((self.folder / NOTES).read_bytes())
            except (OSError, ValueError):
                found = {}
            self._notes = found if isinstance(found, dict) else {}
        return self._notes

    def _is_noted(self, name: str, pem: bytes, hosts: Iterable[str]) -> bool:
        """True for a certificate that was good for the hosts before, and was not to be renewed until later than now."""
        note = self._noted().get(name) or {}
        return (
            note.get("sha256") == hashlib.sha256(pem).hexdigest()
            and set(hosts) <= set(note.get("hosts") or ())
            and time.time() < note.get("renew_s", 0)
        )

    def _note(self, name: str, pem: bytes, hosts: Iterable[str]) -> None:
        if self._is_noted(name, pem, hosts):
            return
        self._noted()[name] = {
            "sha256": hashlib.sha256(pem).hexdigest(), "hosts": sorted(hosts), "renew_s": _renewal_s(pem),
        }  # fmt: skip
        self._write(self.folder / NOTES, orjson.dumps(self._notes))

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, content)


def write_private(path: Path, content: bytes) -> None:
    """The file has the content and is for this user alone."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: {error.strerror}", expected="a file that can be written") from None


def _pem(path: Path) -> bytes:
    """What the file has; InputError where that is no PEM."""
    content = path.read_bytes()
    if PEM_BEGINS not in content:
        raise InputError(f"{path}: is no PEM", expected="a certificate or key; without the file one is made")
    return content


def _renewal_s(pem: bytes) -> float:
    """From when on the certificate is made anew, in seconds since 1970."""
    from cryptography import x509

    ends = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    return (ends - dt.timedelta(days=RENEWED_DAYS_BEFORE)).timestamp()


def _still_good(path: Path, pair: Pair, hosts: Iterable[str]) -> bool:
    """Whether the certificate has a while to go, and names the hosts; InputError where it is not its key's."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = load_pem_private_key(pair.key, None)
    except (ValueError, TypeError):
        raise InputError(f"{path}: cannot be read, or its key cannot", expected="both in PEM") from None
    if certificate.public_key() != key.public_key():
        raise InputError(
            f"{path}: is not of the key beside it", expected="a pair; without the files one is made"
        )
    if _renewal_s(pair.certificate) < time.time():
        return False
    wanted = {_general_name(host) for host in hosts}
    if not wanted:
        return True
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return wanted <= set(names)


def _general_name(host: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private_pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem


def _issued(
    common_name: str,
    authority: Pair | None,
    *,
    hosts: Iterable[str] = (),
    groups: Iterable[str] = (),
    days: int = CERTIFICATE_DAYS,
) -> Pair:
    """A certificate on the curve P-256, signed by the authority, by itself without one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key: Any = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([
        *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
    ])  # fmt: skip
    signer: Any = key
    issuer = subject
    if authority is not None:
        signer = serialization.load_pem_private_key(authority.key, None)
        issuer = x509.load_pem_x509_certificate(authority.certificate).subject
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(_usage(is_authority=authority is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    names = [_general_name(host) for host in hosts]
    if authority is not None:
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(signer, hashes.SHA256())
    return Pair(signed.public_bytes(serialization.Encoding.PEM), _private_pem(key))


def _usage(*, is_authority: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True, key_encipherment=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority,
        content_commitment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def kubeconfig(server: str, authority: bytes, client: Pair, *, name: str = "kcore") -> dict[str, Any]:
    """A kubeconfig with one context, everything inside it."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": _base64(authority)}}
        ],
        "users": [
            {
                "name": f"{name}-admin",
                "user": {
                    "client-certificate-data": _base64(client.certificate),
                    "client-key-data": _base64(client.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-admin"}}],
        "current-context": name,
    }


def kubeconfig_text(config: dict[str, Any]) -> bytes:
    """What ``kubeconfig`` made, as YAML. Every value is a plain scalar, so that no YAML library need be loaded."""
    cluster, user, context = config["clusters"][0], config["users"][0], config["contexts"][0]
    lines = [
        "apiVersion: v1",
        "kind: Config",
        "clusters:",
        f"- name: {cluster['name']}",
        "  cluster:",
        *(f"    {name}: {value}" for name, value in cluster["cluster"].items()),
        "users:",
        f"- name: {user['name']}",
        "  user:",
        *(f"    {name}: {value}" for name, value in user["user"].items()),
        "contexts:",
        f"- name: {context['name']}",
        "  context:",
        *(f"    {name}: {value}" for name, value in context["context"].items()),
        f"current-context: {config['current-context']}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
