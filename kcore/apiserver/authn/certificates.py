"""Who a client certificate names: the common name is the user, organisations are the groups.

The TLS layer has only seen that the client has the certificate's key: who signed it, for what, and whether it still
holds is looked at here. Source: apiserver pkg/authentication/request/x509/x509.go and
request/headerrequest/requestheader.go of Kubernetes 1.36.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from kcore.apiserver.authn.authenticator import InvalidCertificate
from kcore.apiserver.headers import HeaderFields
from kcore.apiserver.user import EXTRA_CREDENTIAL_ID, UserInfo, authenticated

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

UID_OID: Final = "1.3.6.1.4.1.57683.2"
CERTIFICATES_CACHED_MAX: Final = 10_000


class _Known(NamedTuple):
    """What is known of one certificate; times are seconds since 1970."""

    user: UserInfo | None
    common_name: str
    not_before: float
    not_after: float


class ClientCertificates:
    """Users by their certificates. ``authorities``: PEM of those whose certificates count; without any, all count.

    A certificate must be signed by one of the authorities itself, not through an intermediate one, and must not be for
    other uses than a client's.
    """

    def __init__(self, authorities: bytes | None, now_s: Callable[[], float]) -> None:
        self._authorities_pem = authorities
        self._authorities: list[Certificate] | None = None
        self._now_s = now_s
        self._known: dict[bytes, _Known] = {}
        self._refused: dict[bytes, str] = {}  # why it does not hold, by the certificate's SHA-256

    def identify(self, der: bytes) -> UserInfo | None:
        """The user, None where it names none; InvalidCertificate where it does not hold. Parsed once a certificate."""
        return self._holding(der).user

    def common_name(self, der: bytes) -> str:
        """The name on a certificate that holds; InvalidCertificate."""
        return self._holding(der).common_name

    def _holding(self, der: bytes) -> _Known:
        """What the certificate says; InvalidCertificate where it is not, or no longer, valid."""
        known = self._known.get(der)
        if known is None:
            known = self._newly(der)
        if not known.not_before <= self._now_s() <= known.not_after:
            raise InvalidCertificate("x509: certificate has expired or is not yet valid")
        return known

    def _newly(self, der: bytes) -> _Known:
        """The same of one that is not known; of what anybody may show, only a digest is remembered."""
        digest = hashlib.sha256(der).digest()
        why = self._refused.get(digest)
        if why is None:
            try:
                known = self._read(der)
            except (
                InvalidCertificate,
                ValueError,
            ) as error:  # x509 says ValueError of what is no certificate
                why = str(error)
            else:
                if len(self._known) >= CERTIFICATES_CACHED_MAX:
                    self._known.clear()
                self._known[der] = known
                return known
            if len(self._refused) >= CERTIFICATES_CACHED_MAX:
                self._refused.clear()
            self._refused[digest] = why
        raise InvalidCertificate(why)

    def _read(self, der: bytes) -> _Known:
        from cryptography import x509
        from cryptography.x509.oid import NameOID

        certificate = x509.load_der_x509_certificate(der)
        authority = self._authority_of(certificate)
        if not _is_for_clients(certificate):
            raise InvalidCertificate("x509: certificate specifies an incompatible key usage")
        subject = certificate.subject
        names = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        common_name = names[-1] if names else ""  # the last one, as Go's pkix.Name
        user = None
        if common_name:
            uids = [each.value for each in subject if each.oid.dotted_string == UID_OID]
            if uids and (len(uids) > 1 or not isinstance(uids[0], str) or not uids[0]):
                raise InvalidCertificate("unable to parse UID from certificate: it has to be one text")
            groups = tuple(
                str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
            )
            credential = f"X509SHA256={hashlib.sha256(der).hexdigest()}"
            uid = str(uids[0]) if uids else ""
            user = authenticated(UserInfo(common_name, uid, groups, {EXTRA_CREDENTIAL_ID: (credential,)}))
        chain = [certificate] if authority is None else [certificate, authority]
        return _Known(
            user,
            common_name,
            max(each.not_valid_before_utc for each in chain).timestamp(),
            min(each.not_valid_after_utc for each in chain).timestamp(),
        )

    def _authority_of(self, certificate: Certificate) -> Certificate | None:
        """Who signed it, None where all count; InvalidCertificate where it is none of ours."""
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature

        if self._authorities_pem is None:
            return None
        if self._authorities is None:
            self._authorities = x509.load_pem_x509_certificates(self._authorities_pem)
        for authority in self._authorities:
            try:
                certificate.verify_directly_issued_by(authority)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return authority
        raise InvalidCertificate("x509: certificate signed by unknown authority")


def _is_for_clients(certificate: Certificate) -> bool:
    """Whether its extended key usage is a client's, or it says nothing of it."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        usages = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return True
    return not usages.isdisjoint(
        (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    )


class FrontProxy:
    """Users whom a proxy names by headers, where it shows a certificate of the proxies' authority.

    ``allowed_names``: common names that may; none: every certificate of that authority may.
    """

    def __init__(
        self,
        certificates: ClientCertificates,
        *,
        allowed_names: Sequence[str] = (),
        username_headers: Sequence[str] = ("X-Remote-User",),
        uid_headers: Sequence[str] = (),
        group_headers: Sequence[str] = ("X-Remote-Group",),
        extra_prefixes: Sequence[str] = ("X-Remote-Extra-",),
    ) -> None:
        self._certificates = certificates
        self._allowed_names = frozenset(allowed_names)
        self._username_headers = _lower(username_headers)
        self._uid_headers = _lower(uid_headers)
        self._group_headers = _lower(group_headers)
        self._extra_prefixes = _lower(extra_prefixes)

    def identify(self, headers: HeaderFields, der: bytes) -> UserInfo | None:
        """The user that the headers name, None where they name none; InvalidCertificate where no proxy of ours asks."""
        common_name = self._certificates.common_name(der)
        if self._allowed_names and common_name not in self._allowed_names:
            raise InvalidCertificate(f"x509: subject with cn={common_name} is not in the allowed list")
        name = _first(headers, self._username_headers)
        if not name:
            return None
        groups = [value for each in self._group_headers for value in headers.get_all(each) if value]
        extra: dict[str, Any] = {}
        for prefix in self._extra_prefixes:
            for header, value in headers.items():
                if header.startswith(prefix):
                    extra.setdefault(unquote(header[len(prefix) :]), []).append(value)
        return UserInfo(
            name,
            _first(headers, self._uid_headers),
            tuple(groups),
            {key: tuple(values) for key, values in extra.items()},
        )


def _lower(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in names)


def _first(headers: HeaderFields, names: Sequence[str]) -> str:
    return next((value for name in names if (value := headers.get(name))), "")
