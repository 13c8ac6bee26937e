"""Who asks, found out from a request's headers and its connection's client certificate.

Source: pkg/kubeapiserver/authenticator/config.go and apiserver pkg/authentication of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from kcore.apiserver.user import UserInfo


class Headers(Protocol):
    """Header names are lower case."""

    def get(self, name: str) -> str | None:
        """The first value."""
        ...

    def get_all(self, name: str) -> Sequence[str]:
        """All values in the order sent."""
        ...

    def items(self) -> Iterable[tuple[str, str]]:
        """Every header, one pair a value."""
        ...


class RequestAuthenticator(Protocol):
    """One way to find out."""

    async def authenticate(self, headers: Headers, peer_certificate_der: bytes | None) -> UserInfo | None:
        """Who asks, None where this way says nothing; ApiError 401 where it says that the claim is false."""
        ...


class Authenticator:
    """Asks each way in turn; the first that knows decides."""

    def __init__(self, ways: Sequence[RequestAuthenticator], *, anonymous: bool = True) -> None:
        self._ways = tuple(ways)
        self._anonymous = anonymous

    async def authenticate(self, headers: Headers, peer_certificate_der: bytes | None) -> UserInfo | None:
        """Who asks; None: nobody that is known, which is 401 too. ApiError 401 for a false claim."""
        for way in self._ways:
            user = await way.authenticate(headers, peer_certificate_der)
            if user is not None:
                return user
        return None
