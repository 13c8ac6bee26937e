"""Who a client certificate names: the common name is the user, organisations are the groups.

The TLS layer has verified the chain at the handshake. What it cannot say is which of several authorities signed, and
what may have changed since: both are looked at here. Source: apiserver pkg/authentication/request/x509/x509.go and
request/headerrequest/requestheader.go of Kubernetes 1.36.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

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

    A certificate must be signed by one of the authorities itself, not through an intermediate one.
    """

    def __init__(self, authorities: bytes | None, now_s: Callable[[], float]) -> None:
        self._authorities_pem = authorities
        self._authorities: list[Certificate] | None = None
        self._now_s = now_s
        self._known: dict[bytes, _Known] = {}

    def identify(self, der: bytes) -> UserInfo | None:
        """The user, None for one that no certificate of ours names; parsed once a certificate."""
        known = self.known(der)
        return known.user if known is not None else None

    def common_name(self, der: bytes) -> str | None:
        """The name on a certificate that holds, None where it does not."""
        known = self.known(der)
        return known.common_name if known is not None else None

    def known(self, der: bytes) -> _Known | None:
        """What the certificate says, None where it is not, or no longer, valid."""
        known = self._known.get(der)
        if known is None:
            if len(self._known) >= CERTIFICATES_CACHED_MAX:
                self._known.clear()
            known = self._known[der] = self._read(der)
        return known if known.not_before <= self._now_s() <= known.not_after else None

    def _read(self, der: bytes) -> _Known:
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature
        from cryptography.x509.oid import NameOID

        certificate = x509.load_der_x509_certificate(der)
        if self._authorities_pem is not None:
            if self._authorities is None:
                self._authorities = x509.load_pem_x509_certificates(self._authorities_pem)
            for authority in self._authorities:
                try:
                    certificate.verify_directly_issued_by(authority)
                    break
                except (ValueError, TypeError, InvalidSignature):
                    continue
            else:
                return _Known(None, "", 1.0, 0.0)  # never valid
        subject = certificate.subject
        names = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        common_name = names[-1] if names else ""  # the last one, as Go's pkix.Name
        uids = [each.value for each in subject if each.oid.dotted_string == UID_OID]
        user = None
        if common_name and (not uids or (len(uids) == 1 and isinstance(uids[0], str) and uids[0])):
            groups = tuple(
                str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
            )
            credential = f"X509SHA256={hashlib.sha256(der).hexdigest()}"
            uid = str(uids[0]) if uids else ""
            user = authenticated(UserInfo(common_name, uid, groups, {EXTRA_CREDENTIAL_ID: (credential,)}))
        return _Known(
            user,
            common_name,
            certificate.not_valid_before_utc.timestamp(),
            certificate.not_valid_after_utc.timestamp(),
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
        """The user that the headers name, None where no proxy of ours asks or it names nobody."""
        common_name = self._certificates.common_name(der)
        if common_name is None or (self._allowed_names and common_name not in self._allowed_names):
            return None
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
