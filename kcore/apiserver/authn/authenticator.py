"""Who asks, found out from a request's headers and its connection's client certificate.

Source: pkg/kubeapiserver/authenticator/config.go and apiserver pkg/authentication of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from kcore.api import status
from kcore.api.status import ApiError
from kcore.apiserver.headers import HeaderFields
from kcore.apiserver.user import ALL_UNAUTHENTICATED, ANONYMOUS, UserInfo, authenticated

ANONYMOUS_USER: Final = UserInfo(ANONYMOUS, groups=(ALL_UNAUTHENTICATED,))
SPACED_TOKEN_WARNING: Final = (
    "the provided Authorization header contains extra space before the bearer token, and is ignored"
)


class Verified(NamedTuple):
    """Whom a token stands for, and for which of the audiences asked for."""

    user: UserInfo
    audiences: tuple[str, ...] = ()


class InvalidToken(Exception):
    """The token is one of ours and does not hold; the text is for the log and for a TokenReview."""


class InvalidCertificate(Exception):
    """The client certificate does not hold here; the text says why."""


class CertificateAuthenticator(Protocol):
    """Who stands behind a client certificate whose key the TLS layer has seen used."""

    def identify(self, der: bytes) -> UserInfo | None:
        """The user, None where the certificate names none; InvalidCertificate where it does not hold."""
        ...


class ProxyAuthenticator(Protocol):
    """Whom a front proxy that shows the right certificate speaks for."""

    def identify(self, headers: HeaderFields, der: bytes) -> UserInfo | None:
        """The user, None where it names none; InvalidCertificate where no such proxy asks."""
        ...


class TokenAuthenticator(Protocol):
    """Who stands behind a bearer token."""

    async def verify(self, token: str, audiences: Sequence[str]) -> Verified | None:
        """The user, None where the token is of another kind; InvalidToken where it does not hold."""
        ...


class Authenticator:
    """Front proxy, client certificate and bearer token in turn: the first that knows decides.

    A false token or certificate is 401 even where anonymous requests are welcome; no claim at all is the anonymous user, on the
    given paths (on all, where none are given).
    """

    def __init__(
        self,
        *,
        proxy: ProxyAuthenticator | None = None,
        certificates: CertificateAuthenticator | None = None,
        tokens: Sequence[TokenAuthenticator] = (),
        audiences: Sequence[str] = (),
        anonymous: bool = True,
        anonymous_paths: Iterable[str] = (),
    ) -> None:
        self._proxy = proxy
        self._certificates = certificates
        self._tokens = tuple(tokens)
        self._audiences = tuple(audiences)
        self._anonymous = anonymous
        self._anonymous_paths = frozenset(anonymous_paths)

    async def authenticate(
        self, headers: HeaderFields, peer_certificate_der: bytes | None, path: str = ""
    ) -> UserInfo:
        """Who asks; ApiError 401 where that is not to be found out."""
        false = False  # a claim that does not hold
        if peer_certificate_der:
            if self._proxy is not None:
                try:
                    if (user := self._proxy.identify(headers, peer_certificate_der)) is not None:
                        return authenticated(user)
                except InvalidCertificate:
                    false = True
            if self._certificates is not None:
                try:
                    if (user := self._certificates.identify(peer_certificate_der)) is not None:
                        return authenticated(user)
                except InvalidCertificate:
                    false = True
        token = bearer_token(headers.get("authorization"))
        if token:
            try:
                verified = await self.verify_token(token, self._audiences)
            except InvalidToken:
                raise status.unauthorized() from None
            return verified.user
        if not false and self._anonymous and (not self._anonymous_paths or path in self._anonymous_paths):
            return ANONYMOUS_USER
        raise status.unauthorized()

    async def verify_token(self, token: str, audiences: Sequence[str] = ()) -> Verified:
        """Whom the token stands for, in ``system:authenticated``; InvalidToken where it stands for nobody."""
        asked = audiences or self._audiences
        faults: list[str] = []
        for way in self._tokens:
            try:
                verified = await way.verify(token, asked)
            except InvalidToken as fault:
                faults.append(str(fault))
                continue
            except ApiError as fault:  # a lookup that failed
                faults.append(fault.message)
                continue
            if verified is not None:
                return Verified(authenticated(verified.user), verified.audiences)
        if not faults:
            raise InvalidToken("invalid bearer token")
        raise InvalidToken(
            f"[invalid bearer token, {', '.join(faults)}]" if len(faults) > 0 else "invalid bearer token"
        )


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header, empty where it carries none."""
    if not authorization:
        return ""
    parts = authorization.strip().split(" ", 2)
    if len(parts) < 2 or parts[0].lower() != "bearer":
        return ""
    return parts[1]


def is_spaced_token(authorization: str | None) -> bool:
    """True where a header is ignored because of extra space, which deserves SPACED_TOKEN_WARNING."""
    parts = (authorization or "").strip().split(" ", 2)
    return len(parts) == 3 and parts[0].lower() == "bearer" and not parts[1]
