"""What a certificate request asks for and whether a signer of Kubernetes may give it; certificates signed as asked.

Source: pkg/apis/certificates/helpers.go, pkg/controller/certificates/authority, signer/signer.go of Kubernetes 1.36.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from kcore.controllers.contract import Failed, Object

KUBELET_SERVING: Final = "kubernetes.io/kubelet-serving"
KUBELET_CLIENT: Final = "kubernetes.io/kube-apiserver-client-kubelet"
API_SERVER_CLIENT: Final = "kubernetes.io/kube-apiserver-client"
LEGACY_UNKNOWN: Final = "kubernetes.io/legacy-unknown"
BACKDATE: Final = timedelta(minutes=5)
SHORT: Final = timedelta(
    hours=8
)  # a certificate that lives for less is not cut short by what it is dated back
TTL_SECONDS: Final = 365 * 86_400  # --cluster-signing-duration
TTL_SECONDS_MIN: Final = 600
KEY_USAGES: Final = {
    "signing": "digital_signature", "digital signature": "digital_signature",
    "content commitment": "content_commitment", "key encipherment": "key_encipherment",
    "key agreement": "key_agreement", "data encipherment": "data_encipherment", "cert sign": "key_cert_sign",
    "crl sign": "crl_sign", "encipher only": "encipher_only", "decipher only": "decipher_only",
}  # fmt: skip
EXTENDED_USAGES: Final = {  # in the order of Go's crypto/x509
    "any": "2.5.29.37.0", "server auth": "1.3.6.1.5.5.7.3.1", "client auth": "1.3.6.1.5.5.7.3.2",
    "code signing": "1.3.6.1.5.5.7.3.3", "email protection": "1.3.6.1.5.5.7.3.4", "s/mime": "1.3.6.1.5.5.7.3.4",
    "ipsec end system": "1.3.6.1.5.5.7.3.5", "ipsec tunnel": "1.3.6.1.5.5.7.3.6",
    "ipsec user": "1.3.6.1.5.5.7.3.7", "timestamping": "1.3.6.1.5.5.7.3.8", "ocsp signing": "1.3.6.1.5.5.7.3.9",
    "microsoft sgc": "1.3.6.1.4.1.311.10.3.3", "netscape sgc": "2.16.840.1.113730.4.1",
}  # fmt: skip


class Request(NamedTuple):
    """A PKCS #10 request; ``parsed`` is cryptography's."""

    parsed: Any
    common_name: str
    organizations: tuple[str, ...]
    dns_names: tuple[str, ...]
    ip_addresses: tuple[Any, ...]
    emails: tuple[str, ...]
    uris: tuple[str, ...]


def request_of(csr: Object) -> Request:
    """What the object's ``spec.request`` says; Failed where it is none."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    name = csr["metadata"]["name"]
    try:
        pem = base64.b64decode(csr["spec"]["request"])
        if b"-----BEGIN CERTIFICATE REQUEST-----" not in pem:
            raise Failed(f'unable to parse csr "{name}": PEM block type must be CERTIFICATE REQUEST')
        parsed = x509.load_pem_x509_csr(pem)
        subject = parsed.subject
        try:
            names = [*parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value]
        except x509.ExtensionNotFound:
            names = []
    except (ValueError, binascii.Error) as error:
        raise Failed(f'unable to parse csr "{name}": {error}') from error

    def named(kind: Any) -> tuple[Any, ...]:
        return tuple(each.value for each in names if isinstance(each, kind))

    common = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    organizations = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return Request(
        parsed, str(common[-1].value) if common else "", tuple(str(each.value) for each in organizations),
        named(x509.DNSName), named(x509.IPAddress), named(x509.RFC822Name), named(x509.UniformResourceIdentifier),
    )  # fmt: skip


def _of_kubelet(request: Request, usages: Iterable[str], auth: str, *, serves: bool) -> str | None:
    if request.organizations != ("system:nodes",):
        return "subject organization is not system:nodes"
    if serves and not request.dns_names and not request.ip_addresses:
        return "DNS or IP subjectAltName is required"
    if not serves and request.dns_names:
        return "DNS subjectAltNames are not allowed"
    if request.emails:
        return "Email subjectAltNames are not allowed"
    if not serves and request.ip_addresses:
        return "IP subjectAltNames are not allowed"
    if request.uris:
        return "URI subjectAltNames are not allowed"
    wanted = {"digital signature", "key encipherment", auth}
    usages_wrong = set(usages) not in (wanted, wanted - {"key encipherment"})
    usages_text = f"usages did not match [{' '.join(sorted(wanted))}]"
    if serves and usages_wrong:
        return usages_text
    if not request.common_name.startswith("system:node:"):
        return "subject common name does not begin with system:node:"
    return usages_text if usages_wrong else None


def kubelet_client_fault(request: Request, usages: Iterable[str]) -> str | None:
    """Why it is no request for a kubelet's client certificate (ValidateKubeletClientCSR)."""
    return _of_kubelet(request, usages, "client auth", serves=False)


def kubelet_serving_fault(request: Request, usages: Iterable[str]) -> str | None:
    """Why it is no request for a kubelet's serving certificate (ValidateKubeletServingCSR)."""
    return _of_kubelet(request, usages, "server auth", serves=True)


def client_fault(request: Request, usages: Iterable[str]) -> str | None:
    """Why it is no request for a client's certificate (validAPIServerClientUsages)."""
    given = list(usages)
    for usage in given:
        if usage not in ("digital signature", "key encipherment", "client auth"):
            return f"invalid usage for client certificate: {usage}"
    if "client auth" not in given:
        return "missing required usage for client certificate: client auth"
    return None


def no_fault(request: Request, usages: Iterable[str]) -> str | None:
    """Whatever is asked for is given."""
    return None


FAULTS: Final[Mapping[str, Callable[[Request, Sequence[str]], str | None]]] = {
    KUBELET_SERVING: kubelet_serving_fault, KUBELET_CLIENT: kubelet_client_fault,
    API_SERVER_CLIENT: client_fault, LEGACY_UNKNOWN: no_fault,
}  # fmt: skip


def seconds_of(asked: int | None, ttl_seconds: int) -> int:
    """How long the certificate is to hold: as asked for, within bounds."""
    return ttl_seconds if asked is None else min(max(asked, TTL_SECONDS_MIN), ttl_seconds)


class Authority:
    """A certificate and its key, as PEM, that sign others."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self._certificate = certificate
        self._key = key

    def signed(self, request: Request, usages: Sequence[str], seconds: int, now: datetime) -> bytes:
        """The certificate that was asked for, as PEM (PermissiveSigningPolicy); Failed where there can be none."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        signer: Any = serialization.load_pem_private_key(self._key, None)
        issuer = x509.load_pem_x509_certificate(self._certificate)
        parsed = request.parsed
        if not parsed.is_signature_valid:
            raise Failed(
                "error auto signing csr: unable to verify certificate request signature: x509: verification error"
            )
        unknown = [each for each in usages if each not in KEY_USAGES and each not in EXTENDED_USAGES]
        if unknown:
            listed = " ".join(f'"{each}"' for each in unknown)
            raise Failed(f"error auto signing csr: unrecognized usage values: [{listed}]")
        ends = issuer.not_valid_after_utc
        if now >= ends:
            raise Failed(
                "error auto signing csr: refusing to sign a certificate that expired in the past: "
                f"NotAfter={ends:%Y-%m-%d %H:%M:%S} +0000 UTC"
            )
        lives = timedelta(seconds=seconds)
        until = min(now + (lives if lives < SHORT else lives - BACKDATE), ends)
        builder = (
            x509.CertificateBuilder()
            .subject_name(parsed.subject)
            .issuer_name(issuer.subject)
            .public_key(parsed.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(until)
        )
        for extension, critical in _extensions(request, usages, issuer):
            builder = builder.add_extension(extension, critical=critical)
        made = builder.sign(signer, _digest(signer))
        pem: bytes = made.public_bytes(serialization.Encoding.PEM)
        return pem


def _extensions(request: Request, usages: Sequence[str], issuer: Any) -> list[tuple[Any, bool]]:
    """Those of the certificate in the order of Go's CreateCertificate, and which are critical."""
    from cryptography import x509

    made: list[tuple[Any, bool]] = []
    wanted = {KEY_USAGES[each] for each in usages if each in KEY_USAGES}
    if wanted:
        agrees = "key_agreement" in wanted  # the last two mean nothing without it, and cannot be said
        flags = {
            name: name in wanted and (agrees or name not in ("encipher_only", "decipher_only"))
            for name in set(KEY_USAGES.values())
        }
        made.append((x509.KeyUsage(**flags), True))
    extended = dict.fromkeys(oid for name, oid in EXTENDED_USAGES.items() if name in usages)
    if extended:
        made.append((x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in extended]), False))
    made.append((x509.BasicConstraints(ca=False, path_length=None), True))
    try:
        key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        made.append((x509.AuthorityKeyIdentifier(key_id.digest, None, None), False))
    except x509.ExtensionNotFound:
        pass
    names = [
        *(x509.DNSName(each) for each in request.dns_names),
        *(x509.RFC822Name(each) for each in request.emails),
        *(x509.IPAddress(each) for each in request.ip_addresses),
        *(x509.UniformResourceIdentifier(each) for each in request.uris),
    ]
    if names:
        made.append((x509.SubjectAlternativeName(names), not list(request.parsed.subject)))
    return made


def _digest(key: Any) -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {384: hashes.SHA384(), 521: hashes.SHA512()}.get(key.curve.key_size, hashes.SHA256())
    return hashes.SHA256()


def is_expired(certificate: str, now: datetime) -> bool:
    """Whether the first certificate of a status (base64 of PEM) has ended; False where it cannot be read."""
    from cryptography import x509

    try:
        ends = x509.load_pem_x509_certificate(base64.b64decode(certificate)).not_valid_after_utc
    except (ValueError, binascii.Error):
        return False
    return now > ends


def moment(now_ms: int) -> datetime:
    """The time."""
    return datetime.fromtimestamp(now_ms / 1000, UTC)
